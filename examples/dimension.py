"""The persistent homology dimension of a curve, a surface and two cubes, and what its bars are not.

Data (synthetic): uniform points of a helix, a torus, and cubes of three and eight dimensions.
"""

import argparse
import math
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor

import torchtopo

CLOUDS, POINTS = 12, 2000


def helix() -> Tensor:
    """A curve of constant speed in space."""
    t = 6 * math.pi * torch.rand(CLOUDS, POINTS, dtype=torch.float64)
    return torch.stack((t.cos(), t.sin(), t / 3), -1)


def torus() -> Tensor:
    """The flat torus in four dimensions, on which pairs of uniform angles are uniform."""
    a, b = 2 * math.pi * torch.rand(2, CLOUDS, POINTS, dtype=torch.float64)
    return torch.stack((a.cos(), a.sin(), b.cos(), b.sin()), -1)


def cube(d: int) -> Tensor:
    """The solid cube of d dimensions."""
    return torch.rand(CLOUDS, POINTS, d, dtype=torch.float64)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the picture")
    out = parser.parse_args().out
    torch.manual_seed(0)
    sets = {"helix": (1, helix()), "torus": (2, torus()), "cube": (3, cube(3)),
            "cube of 8": (8, cube(8))}  # fmt: skip
    figure, panels = plt.subplots(1, 4, figsize=(12, 3.8), layout="constrained")
    said = []
    for axes, (name, (truth, clouds)) in zip(panels, sets.items(), strict=True):
        found, error = torchtopo.ph_dimension(clouds, alpha=0.5)  # of all clouds at once
        within = int(((found - truth).abs() <= 2 * error).sum())
        axes.errorbar(range(CLOUDS), found, 2 * error, fmt="o", color="#0072B2", markersize=4)
        axes.axhline(truth, color="#D55E00", linestyle="--")
        axes.set(title=f"{name}: truth {truth},\nwithin {within} of {CLOUDS} bars", xticks=[])
        axes.set(xlabel="clouds of one law")
        said.append(f"{name} {float(found.mean()):.2f} (truth {truth}, in {within} bars)")
    panels[0].set(ylabel="dimension ± 2 standard errors")
    figure.suptitle(
        "PH dimension of 2000 points (synthetic): bars are of the regression, not of the truth"
    )
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / "dimension.png", dpi=110)
    print(f"mean dimension over {CLOUDS} clouds: {', '.join(said)}")
