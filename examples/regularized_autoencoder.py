"""The signature loss in an autoencoder of nested spheres, beside a control without topology.

Data (synthetic) of Moor et al. 2020, "Topological Autoencoders": ten spheres inside a large one.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

import torchtopo


def nested_spheres(per_sphere: int, dim: int = 101) -> tuple[Tensor, Tensor]:
    """Shuffled points of ten spheres of radius 5 (labels 0 to 9) and of one of 25 around (10)."""
    labels = torch.arange(11).repeat_interleave(torch.tensor([per_sphere] * 10 + [10 * per_sphere]))
    labels = labels[torch.randperm(len(labels))]
    centres = torch.cat((torch.randn(10, dim), torch.zeros(1, dim)))
    radius = torch.where(labels < 10, 5.0, 25.0).unsqueeze(1)
    return centres[labels] + radius * nn.functional.normalize(torch.randn(len(labels), dim)), labels


def random_pairs(x: Tensor, z: Tensor, z_scale: Tensor) -> Tensor:
    """The squares of the signature loss over random pairs of points, in place of the two trees."""
    i = torch.randint(0, len(x), (2 * (len(x) - 1),))
    j = (i + torch.randint(1, len(x), i.shape)) % len(x)
    a, b = (torchtopo.pair_distances(points, torch.stack((i, j), 1)) for points in (x, z))
    return (a / torch.pdist(x).max() - b / z_scale).square().sum() / len(x)


def train(x: Tensor, arm: str, epochs: int = 40, batch: int = 64, weight: float = 2.0) -> nn.Module:
    """The encoder of an autoencoder with a plane as its latent space; all arms start alike."""
    torch.manual_seed(1)
    d = x.shape[1]
    encoder = nn.Sequential(nn.Linear(d, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 2))
    decoder = nn.Sequential(nn.Linear(2, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, d))
    scale = nn.Parameter(torch.zeros(()))  # the logarithm of the plane's, learned
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters(), scale], lr=3e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(batch)[: len(x) // batch]:
            y, z = x[rows], encoder(x[rows])
            loss = nn.functional.mse_loss(decoder(z), y) / x.var()
            if arm == "signature loss":
                pull = torchtopo.signature_loss(y, z, convention="topoae", z_scale=scale.exp())
                loss = loss + weight * pull
            elif arm == "random pairs":
                loss = loss + weight * random_pairs(y, z, scale.exp())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return encoder.eval()


def divergence(x: Tensor, z: Tensor) -> float:
    """KL at σ = 0.1 of Moor et al.: how far the densities over points differ in two spaces."""
    p, q = ((-((d := torch.cdist(y, y)) / d.max()).square() / 0.1).exp().sum(1) for y in (x, z))
    return float(nn.functional.kl_div((q / q.sum()).log(), p / p.sum(), reduction="sum"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the picture")
    out = parser.parse_args().out
    torch.manual_seed(0)
    (points, labels), seen, said = nested_spheres(75), 1000, []
    unseen, small = points[seen:], labels[seen:] < 10
    figure, panels = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained")
    for axes, arm in zip(panels, ("without", "signature loss", "random pairs"), strict=True):
        z = train(points[:seen], arm)(unseen).detach()
        said.append(f"{arm} {divergence(unseen, z):.2f}")
        axes.scatter(*z[~small].T, c="#AAAAAA", s=9)
        axes.scatter(*z[small].T, c=labels[seen:][small], cmap="viridis", s=9)
        axes.set(title=f"{arm}: KL {said[-1].split()[-1]}", xticks=[], yticks=[])
    figure.suptitle("Latent planes of nested spheres (synthetic; unseen points, outer sphere grey)")
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / "regularized_autoencoder.png", dpi=110)
    print(f"KL of densities on {len(unseen)} unseen points, one seed: {', '.join(said)}")
