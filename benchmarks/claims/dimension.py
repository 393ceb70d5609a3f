"""Dimension: does the persistent homology dimension find what is known, and is its bar honest?"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

import torchtopo

from .models import draws
from .protocol import Arm, Comparison, Outcome, Part, Plan, Settings

N = 2000


def cube(d: int) -> Callable[[torch.Generator], Tensor]:
    """Uniform points of a cube of d dimensions."""
    return lambda g: torch.rand(N, d, generator=g, dtype=torch.float64)


def ball_surface(d: int, around: int) -> Callable[[torch.Generator], Tensor]:
    """Uniform points of a d-dimensional sphere, turned at random into more coordinates."""

    def make(g: torch.Generator) -> Tensor:
        x = torch.randn(N, d + 1, generator=g, dtype=torch.float64)
        x = x / x.norm(dim=1, keepdim=True)
        turn, _ = torch.linalg.qr(torch.randn(around, d + 1, generator=g, dtype=torch.float64))
        turned: Tensor = x @ turn.T
        return turned

    return make


def swiss_roll(g: torch.Generator) -> Tensor:
    """A strip rolled up in three dimensions, uniform in angle and height."""
    u, v = torch.rand(2, N, generator=g, dtype=torch.float64)
    angle = 1.5 * math.pi * (1 + 2 * u)
    return torch.stack((angle * angle.cos(), 21 * v, angle * angle.sin()), -1)


def self_similar(corners: Tensor, ratio: float) -> Callable[[torch.Generator], Tensor]:
    """The set that maps towards each corner by a ratio reproduce: dimension log k / -log ratio."""

    def make(g: torch.Generator) -> Tensor:
        digits = torch.randint(0, len(corners), (N, 30), generator=g)
        steps = ratio ** torch.arange(30, dtype=torch.float64)
        return (corners.double()[digits] * steps.unsqueeze(-1)).sum(1) * (1 - ratio)

    return make


TRIANGLE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]])
SQUARE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
SHAPES: dict[str, tuple[float, Callable[[torch.Generator], Tensor]]] = {
    "interval": (1.0, cube(1)),
    "Cantor dust": (math.log(4) / math.log(3), self_similar(SQUARE, 1 / 3)),
    "Sierpinski triangle": (math.log(3) / math.log(2), self_similar(TRIANGLE, 1 / 2)),
    "square": (2.0, cube(2)),
    "Swiss roll": (2.0, swiss_roll),
    "sphere in 50": (2.0, ball_surface(2, 50)),
    "cube": (3.0, cube(3)),
    "cube of 5": (5.0, cube(5)),
    "cube of 8": (8.0, cube(8)),
}

PLAN = Plan(
    name="dimension",
    whom="the dimension of data",
    hypothesis=(
        "The dimension that ph_dimension reads from 2000 points errs less, averaged over nine sets "
        "of known dimension, than TwoNN and the maximum-likelihood estimate from 10 neighbours."
    ),
    source="Schweinhart 2020; Facco et al. 2017 (TwoNN); Levina and Bickel 2004",
    data=(
        "Synthetic, drawn anew by each seed: interval, Cantor dust, Sierpinski triangle, square, "
        "Swiss roll, 2-sphere turned into 50 dimensions, cubes of 3, 5 and 8 dimensions; "
        "2000 points each, no noise."
    ),
    conditions=("all", *SHAPES),
    choose_at=("all",),
    arms=(
        Arm("ph_dimension", "eight sizes from 125 to 1000, eight subsets each",
            ({"alpha": 0.5}, {"alpha": 1.0})),
        Arm("TwoNN", "the ratio of the second to the first neighbour's distance, by likelihood"),
        Arm("MLE", "the likelihood of the distances to 10 neighbours, inverse averaged"),
    ),
    outcomes=(
        Outcome("relative", "relative error", -1),
        Outcome("error", "error", 1),
        Outcome("covered", "share of seeds with the truth within 2 standard errors", 1),
    ),
    without=Comparison("ph_dimension", "TwoNN", "all"),
    controls=(Comparison("ph_dimension", "MLE", "all"),),
    margin=0.01,
    seeds=20,
    settings={"points": N},
)  # fmt: skip


def estimate(arm: str, settings: Settings, x: Tensor, generator: torch.Generator) -> Tensor:
    """Dimension and standard error."""
    if arm == "ph_dimension":
        return torch.stack(torchtopo.ph_dimension(x, alpha=settings["alpha"], generator=generator))
    near = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    near = near.topk(11, largest=False).values[:, 1:]
    if arm == "TwoNN":
        log_ratio = (near[:, 1] / near[:, 0]).log()
        d = 1 / log_ratio.mean()
        return torch.stack((d, d / len(x) ** 0.5))
    inverse = (near[:, -1:] / near[:, :-1]).log().mean(1)
    d = 1 / inverse.mean()
    return torch.stack((d, d.square() * inverse.std() / len(x) ** 0.5))


@functools.cache
def at(arm: str, settings: tuple[tuple[str, float], ...], shape: str, seed: int, part: Part
       ) -> tuple[float, float, float]:  # fmt: skip
    """Relative error, error, and whether two standard errors cover the truth, on one shape."""
    truth, make = SHAPES[shape]
    generator = draws(seed, part)
    d, error = estimate(arm, dict(settings), make(generator), generator).tolist()
    return abs(d - truth) / truth, d - truth, float(abs(d - truth) <= 2 * error)


def trial(
    arm: str, settings: Settings, condition: str, seed: int, part: Part, quick: bool
) -> dict[str, float]:
    """The three outcomes on one shape, or their means over all."""
    shapes = SHAPES if condition == "all" else (condition,)
    found = [at(arm, tuple(settings.items()), shape, seed, part) for shape in shapes]
    relative, error, covered = (sum(v) / len(found) for v in zip(*found, strict=True))
    return {"relative": relative, "error": error, "covered": covered}
