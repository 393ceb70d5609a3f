"""Single linkage of two moons, the tree of its merges, and the noise at which it chains them.

Data (synthetic): two interleaved half circles with normal noise.
"""

import argparse
import math
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor

import torchtopo

BLUE, ORANGE = "#0072B2", "#D55E00"


def moons(clouds: int, each: int, noise: float) -> tuple[Tensor, Tensor]:
    """Clouds (clouds, 2 · each, 2) and the moon (2 · each,) of each point."""
    angle = math.pi * torch.rand(clouds, 2 * each)
    moon = torch.arange(2 * each) // each
    side = 1 - 2 * moon
    points = torch.stack((side * angle.cos() + moon, side * angle.sin() + 0.5 * moon), -1)
    return points + noise * torch.randn(points.shape), moon


def rightly_parted(points: Tensor, moon: Tensor) -> Tensor:
    """The share of points in the right one of two clusters, of each cloud; 0.5 is the least."""
    found = torchtopo.cut(torchtopo.single_linkage(points), n_clusters=2)  # all clouds at once
    right = (found == moon).double().mean(-1)
    return torch.maximum(right, 1 - right)


def draw_tree(axes: Axes, linkage: Tensor, flat: Tensor) -> None:
    """The merges as brackets, each as high as the distance at which it happens."""
    n = len(linkage) + 1
    members: list[list[int]] = [[k] for k in range(n)]
    for a, b in linkage[:, :2].long().tolist():
        members.append(members[a] + members[b])
    place = {point: float(k) for k, point in enumerate(members[-1])}  # no two brackets cross
    height = [0.0] * n
    for k, (a, b, distance, _) in enumerate(linkage.tolist(), start=n):
        a, b = int(a), int(b)
        top = k == 2 * n - 2
        colour = "black" if top else (BLUE, ORANGE)[int(flat[members[k][0]])]
        x, y = (place[a], place[a], place[b], place[b]), (height[a], distance, distance, height[b])
        axes.plot(x, y, color=colour, linewidth=1)
        place[k] = (place[a] + place[b]) / 2
        height.append(distance)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the picture")
    out = parser.parse_args().out
    torch.manual_seed(0)
    cloud, moon = moons(1, 100, noise=0.05)
    linkage = torchtopo.single_linkage(cloud[0])
    flat = torchtopo.cut(linkage, n_clusters=2)
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    left.scatter(*cloud[0].T, c=[(BLUE, ORANGE)[k] for k in flat.tolist()], s=14)
    left.set(title="two clusters cut from the tree, noise 0.05", aspect="equal")
    draw_tree(middle, linkage, flat)
    middle.axhline(float(linkage[-2:, 2].mean()), color="#888888", linestyle="--")
    middle.set(title="merges of 200 points, and the cut", xticks=[], ylabel="distance")
    noises = (0.0, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2)
    shares = [float(rightly_parted(*moons(50, 100, noise)).mean()) for noise in noises]
    right.plot(noises, shares, "o-", color=BLUE)
    right.axhline(0.5, color="#888888", linestyle="--")
    right.set(title="share rightly parted (dashed: the least)", xlabel="noise", ylim=(0.45, 1.02))
    figure.suptitle("Single linkage of two moons (synthetic)")
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / "two_moons.png", dpi=110)
    said = ", ".join(f"{shares[noises.index(noise)]:.2f} at {noise}" for noise in (0.0, 0.05, 0.15))
    print(f"share of points rightly parted, mean of 50 clouds, by noise: {said}")
