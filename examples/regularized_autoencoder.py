"""Train a small autoencoder on ten spheres inside a large one, and watch its topology improve.

    python examples/regularized_autoencoder.py [--epochs 40] [--weight 1.0] [--out runs/example]

Prints the loss as it falls, and draws the latent space with and without the signature loss. The
data is synthetic: the nested spheres of Moor et al. 2020, "Topological Autoencoders", section 5.1.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

import torchtopo


def nested_spheres(per_sphere: int, dim: int = 100) -> tuple[Tensor, Tensor]:
    """Points on ten spheres of radius 5 and on one of radius 25 around them, with labels."""

    def sphere(count: int, radius: float) -> Tensor:
        return radius * nn.functional.normalize(torch.randn(count, dim + 1))

    centres = torch.randn(10, dim + 1) * 10 / dim**0.5
    parts = [sphere(per_sphere, 5.0) + centre for centre in centres]
    parts.append(sphere(10 * per_sphere, 25.0))
    labels = torch.repeat_interleave(torch.arange(11), torch.tensor([len(p) for p in parts]))
    return torch.cat(parts), labels


def train(x: Tensor, weight: float, epochs: int, batch: int = 64) -> Tensor:
    """Train an autoencoder, print its losses, and return the latent points ``(N, 2)``."""
    torch.manual_seed(0)
    width = x.shape[1]
    encoder = nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, 2))
    decoder = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, width))
    topology = torchtopo.nn.SignatureLoss(convention="topoae")
    parameters = [*encoder.parameters(), *decoder.parameters(), *topology.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=3e-3)

    for epoch in range(epochs):
        sums = torch.zeros(2)
        for rows in torch.randperm(len(x)).split(batch):
            z = encoder(x[rows])
            reconstruction = nn.functional.mse_loss(decoder(z), x[rows])
            signature = topology(x[rows], z)  # one line: the whole regularizer
            optimizer.zero_grad()
            (reconstruction + weight * signature).backward()
            optimizer.step()
            sums += torch.stack([reconstruction, signature]).detach() * len(rows)
        if epoch % max(1, epochs // 8) == 0 or epoch == epochs - 1:
            a, b = (sums / len(x)).tolist()
            print(f"epoch {epoch + 1:3d}  reconstruction {a:.3f}  signature loss {b:.4f}")
    with torch.no_grad():
        return encoder(x)


def draw(latents: dict[str, Tensor], labels: Tensor, path: Path) -> None:
    """Draw the latent spaces side by side."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(latents), figsize=(10, 4.8))
    for axes, (title, z) in zip(panels, latents.items(), strict=True):
        axes.scatter(*z.T.numpy(), c=labels.numpy(), cmap="turbo", s=8, alpha=0.7)
        axes.set(title=title, xlabel="latent 1", ylabel="latent 2")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--weight", type=float, default=1.0, help="of the signature loss")
    parser.add_argument("--out", type=Path, default=Path("runs/example"))
    options = parser.parse_args()

    torch.manual_seed(0)
    x, labels = nested_spheres(100)
    latents = {}
    for weight in (0.0, options.weight):
        print(f"\nweight of the signature loss: {weight:g}")
        latents[f"weight {weight:g}"] = train(x, weight, options.epochs)
    path = options.out / "latent_spaces.png"
    draw(latents, labels, path)
    print(f"\ndrew {path}")


if __name__ == "__main__":
    main()
