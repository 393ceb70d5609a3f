"""The connectivity loss brings deaths of codes towards η; the nearest sample needs no loss.

Method of Hofer et al. 2019: an autoencoder learns other classes; a point is normal by how many
normal samples lie within η of its code. Data (synthetic): curved sheets of three dimensions in 64.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

import torchtopo

BRANCHES, ETA, RADII = 8, 2.0, [k / 4 for k in range(1, 21)]


def sheets(each: int, axes: Tensor, centres: Tensor) -> Tensor:
    """Points (10, each, 64), ten classes."""
    return torch.tanh(torch.randn(10, each, 3) @ axes + centres + 0.3 * torch.randn(10, each, 64))


def train(x: Tensor, weight: float) -> nn.Module:
    """The encoder of an autoencoder, to 8 branches of 5 coordinates; both arms start alike."""
    torch.manual_seed(1)
    encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 5 * BRANCHES))
    decoder = nn.Sequential(nn.Linear(5 * BRANCHES, 128), nn.ReLU(), nn.Linear(128, 64))
    connectivity = torchtopo.nn.ConnectivityLoss(eta=ETA, branches=BRANCHES, metric="manhattan")
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    for _ in range(20):
        for rows in torch.randperm(len(x)).split(100):
            z = encoder(x[rows])
            loss = (decoder(z) - x[rows]).abs().sum(1).mean() + weight * connectivity(z) / BRANCHES
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return nn.Sequential(encoder, nn.Unflatten(-1, (BRANCHES, 5))).requires_grad_(False)


def auroc(score: Tensor, normal: Tensor) -> float:
    """The chance that a normal point scores above another, ties counted half."""
    above = score[normal].unsqueeze(1) - score[~normal]
    return float((above > 0).double().mean() + (above == 0).double().mean() / 2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the picture")
    out = parser.parse_args().out
    torch.manual_seed(0)
    classes = torch.randn(10, 3, 64) / 2, torch.randn(10, 1, 64) / 4
    x, samples, test = (sheets(n, *classes) for n in (400, 50, 200))
    x, test, label = x[:5].flatten(0, 1), test.flatten(0, 1), torch.arange(2000) // 200
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
    nearest, said = torch.cdist(test, samples).amin(2), []  # of class c, distances to its samples
    knn = sum(auroc(-nearest[c], label == c) for c in range(5, 10)) / 5
    for name, weight, colour in (("without", 0.0, "#D55E00"), ("with", 20.0, "#0072B2")):
        encode = train(x, weight)
        z, known, seen = (encode(y).transpose(-2, -3) for y in (test, samples, x.view(-1, 100, 64)))
        deaths = torchtopo.deaths(seen, metric="manhattan").flatten()
        left.hist(deaths, bins=60, range=(0, 4), color=colour, alpha=0.6, label=name)
        apart = [torch.cdist(z, known[c], p=1.0) for c in range(5, 10)]  # unseen, normal in turn
        found = [
            sum(auroc((d <= r).sum((0, 2)), label == c) for c, d in enumerate(apart, start=5)) / 5
            for r in RADII
        ]
        right.plot(RADII, found, "o-", color=colour, label=name, markersize=4)
        said.append(f"{name} the loss {found[RADII.index(ETA)]:.2f} (deaths {deaths.mean():.2f})")
    right.axhline(knn, color="#888888", linestyle="--", label="nearest sample, no autoencoder")
    for axes in (left, right):
        axes.axvline(ETA, color="#222222", linestyle=":", label="η")
        axes.legend(loc="lower right" if axes is right else "upper right")
    left.set(title="deaths of codes, batches of 100", xlabel="diameter", yticks=[])
    right.set(title="AUROC, mean of five unseen classes", xlabel="radius", ylim=(0.3, 1.02))
    figure.suptitle("One-class codes with and without the connectivity loss (synthetic)")
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / "one_class.png", dpi=110)
    print(f"AUROC at radius η = {ETA:g}: {', '.join(said)}; nearest sample {knn:.2f}")
