"""What is drawn: clouds of every range and kind, batches, layouts, and a check's arguments."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import torch
from torch import Tensor

from tests.fuzz.views import LAYOUTS
from torchtopo._metric import METRICS, POINT_METRICS

Bags = list[tuple[Tensor, ...]]  # of each bag its spaces, points (N, D) or distances (N, N)

DTYPES = (torch.float32,) * 4 + (torch.float64,) * 4 + (torch.float16, torch.bfloat16)
MODES = ("alone", "padded", "packed", "stacked", "expanded")
CONVENTIONS = ("paper", "topoae", "mil", "torch_topological")

SPECIAL = (0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan)


def coordinates(rng: Random, n: int, d: int, dtype: torch.dtype, mild: bool = False) -> Tensor:
    """`(n, d)` of one kind of cloud; a mild one has finite values whose squares are in range."""
    kinds = [lattice, normal, far_from_the_origin, copies, on_a_line]
    kinds += [] if mild else [extreme_lattice, extreme_normal, wide_range, alphabet]
    rows = rng.choice(kinds)(rng, n, d, torch.finfo(dtype))
    if not mild and rng.random() < 0.1:
        rows[rng.randrange(n)][rng.randrange(d)] = rng.choice(SPECIAL)
    return torch.tensor(rows, dtype=torch.float64).to(dtype)


Rows = list[list[float]]


def lattice(rng: Random, n: int, d: int, info: torch.finfo, exponent: int = 0) -> Rows:
    """Small integers times a power of two: ties and duplicates."""
    most = rng.choice((1, 2, 4, 10, 60))
    return [[math.ldexp(rng.randint(0, most), exponent) for _ in range(d)] for _ in range(n)]


def extreme_lattice(rng: Random, n: int, d: int, info: torch.finfo) -> Rows:
    least = math.frexp(info.tiny * info.eps)[1]
    return lattice(rng, n, d, info, rng.randint(least, math.frexp(info.max)[1] - 7))


def normal(rng: Random, n: int, d: int, info: torch.finfo) -> Rows:
    scale = 10 ** rng.uniform(-2, 2)
    return [[rng.gauss(0, scale) for _ in range(d)] for _ in range(n)]


def extreme_normal(rng: Random, n: int, d: int, info: torch.finfo) -> Rows:
    low, high = math.log10(info.tiny), math.log10(info.max)
    scale = 10 ** rng.choice((rng.uniform(low - 5, low + 25), rng.uniform(high - 25, high)))
    return [[rng.gauss(0, scale) for _ in range(d)] for _ in range(n)]


def far_from_the_origin(rng: Random, n: int, d: int, info: torch.finfo) -> Rows:
    centre = rng.choice((1.0, 100.0, 1000.0))
    return [[centre + rng.gauss(0, centre * 1e-4) for _ in range(d)] for _ in range(n)]


def copies(rng: Random, n: int, d: int, info: torch.finfo) -> Rows:
    distinct = normal(rng, rng.randint(1, n), d, info)
    return [list(rng.choice(distinct)) for _ in range(n)]


def on_a_line(rng: Random, n: int, d: int, info: torch.finfo) -> Rows:
    """Nearly equal gaps, so lengths differ in their last digits."""
    direction = [rng.gauss(0, 1) for _ in range(d)]
    places = [0.1 * rng.randint(0, 2 * n) for _ in range(n)]
    return [[place * x for x in direction] for place in places]


def wide_range(rng: Random, n: int, d: int, info: torch.finfo) -> Rows:
    """Coordinates of any size the type can hold."""
    low, high = math.log10(info.tiny) - 5, math.log10(info.max)
    by_row = rng.random() < 0.5

    def row(size: float) -> list[float]:
        sizes = (size if by_row else rng.uniform(low, high) for _ in range(d))
        return [rng.gauss(0, 0.3) * 10**size for size in sizes]

    return [row(rng.uniform(low, high)) for _ in range(n)]


def alphabet(rng: Random, n: int, d: int, info: torch.finfo) -> Rows:
    """Few values, special ones among them."""
    own = (info.max, -info.max, info.tiny, info.tiny * info.eps, info.max / 2, 1 + info.eps)
    sets = (SPECIAL[:4], own, SPECIAL)
    letters = [rng.choice(rng.choice(sets)) for _ in range(rng.randint(1, 5))]
    return [[rng.choice(letters) for _ in range(d)] for _ in range(n)]


def matrix(rng: Random, n: int, dtype: torch.dtype, mild: bool = False) -> Tensor:
    """Distances `(n, n)`, any numbers; half of them symmetric with a diagonal of zeros."""
    values = coordinates(rng, n, n, dtype, mild)
    if mild:
        values = values.abs()
    if rng.random() < 0.5:
        values = torch.where(torch.ones(n, n).triu(1).bool(), values, values.mT)
        values.fill_diagonal_(0.0)
    return values


def size(rng: Random) -> int:
    """Points of a bag, mostly few."""
    return rng.randint(1, rng.choice((5, 12, 12, 24, 40)))


def width(rng: Random) -> int:
    return rng.choice((1, 2, 2, 3, rng.randint(1, 9), rng.randint(1, 20)))


def of_metric(
    rng: Random, n: int, d: int, metric: str, dtype: torch.dtype, mild: bool = False
) -> Tensor:
    if metric == "precomputed":
        return matrix(rng, n, dtype, mild)
    return coordinates(rng, n, d, dtype, mild)


def sizes(rng: Random, mode: str) -> list[int]:
    if mode in ("alone", "expanded"):
        return [rng.choice((size(rng), size(rng), rng.choice((63, 64, 65, 66))))]
    if mode == "stacked":
        return [size(rng)] * rng.randint(1, 4)
    return [size(rng) for _ in range(rng.randint(1, 5))]


def bags(
    rng: Random, metrics: tuple[str, ...], dtypes: tuple[torch.dtype, ...], mild: bool = False
) -> tuple[Bags, str]:
    """Bags, each of as many spaces as there are metrics, and the mode that they come in."""
    mode = rng.choice([m for m in MODES if m != "packed" or "precomputed" not in metrics])
    widths = [width(rng) for _ in metrics]
    drawn = [
        tuple(
            of_metric(rng, n, d, metric, dtype, mild)
            for d, metric, dtype in zip(widths, metrics, dtypes, strict=True)
        )
        for n in sizes(rng, mode)
    ]
    return drawn, mode


def setting(rng: Random) -> dict[str, Any]:
    """What every check takes beside its problem."""
    return {
        "layout": rng.choice(LAYOUTS),
        "threads": rng.choice((1, 1, 1, 2, 5)),
        "isa": rng.choice(("best", "best", "baseline", "middle")),
        "seed": rng.randrange(1 << 30),
    }


def trees(rng: Random) -> dict[str, Any]:
    metric = rng.choice(METRICS)
    drawn, mode = bags(rng, (metric,), (rng.choice(DTYPES),))
    flush = rng.random() < 0.1
    return {"bags": drawn, "metric": metric, "mode": mode, "flush": flush, **setting(rng)}


def lengths(rng: Random) -> dict[str, Any]:
    metric = rng.choice(METRICS)
    drawn, _ = bags(rng, (metric,), (rng.choice(DTYPES),))
    return {"bags": drawn, "metric": metric, **setting(rng)}


def gradients(rng: Random) -> dict[str, Any]:
    metric = rng.choice(METRICS)
    drawn, mode = bags(rng, (metric,), (rng.choice(DTYPES),))
    return {"bags": drawn, "metric": metric, "mode": mode, **setting(rng)}


def losses(rng: Random) -> dict[str, Any]:
    metrics = (rng.choice(METRICS), rng.choice(METRICS))
    dtypes = (rng.choice(DTYPES), rng.choice(DTYPES))
    drawn, mode = bags(rng, metrics, dtypes, mild=rng.random() < 0.7)
    convention = rng.choice(CONVENTIONS)
    learned = convention in ("topoae", "mil")
    return {
        "bags": drawn,
        "metrics": metrics,
        "mode": mode,
        "convention": convention,
        "reduction": rng.choice(("none", "mean", "sum")),
        "z_scale": rng.choice((None, 0.5, 3.0)) if learned else None,
        "known": rng.choice(("nothing", "tree", "any pairs")),
        **setting(rng),
    }


def refusals(rng: Random) -> dict[str, Any]:
    metrics = (rng.choice(METRICS), rng.choice(POINT_METRICS))
    drawn, mode = bags(rng, metrics, (torch.float32, torch.float32), mild=True)
    return {
        "bags": drawn,
        "metrics": metrics,
        "mode": mode,
        "convention": rng.choice(CONVENTIONS),
        "way": rng.choice(("eager", "grad", "jvp", "vmap", "validate", "backward")),
        **setting(rng),
    }


def transforms(rng: Random) -> dict[str, Any]:
    metric = rng.choice(METRICS)
    dtype = rng.choice((torch.float32, torch.float64))
    names = ("vmap", "grad", "jvp", "vmap of grad", "gradgrad", "compile")
    (transform,) = rng.choices(names, (6, 4, 4, 4, 4, 1))
    # Both sides of a comparison of derivatives round, so they are compared where they are in range.
    mild = transform not in ("vmap", "compile") or rng.random() < 0.5
    drawn, mode = bags(rng, (metric, metric), (dtype, dtype), mild)
    if mild and metric == "cosine":  # parallel vectors have lengths that are rounding and no more
        d, info = rng.randint(3, 9), torch.finfo(dtype)
        drawn = [
            tuple(torch.tensor(normal(rng, len(bag[0]), d, info), dtype=dtype) for _ in bag)
            for bag in drawn
        ]
    return {
        "bags": drawn,
        "metric": metric,
        "mode": mode,
        "convention": rng.choice(CONVENTIONS),
        "function": rng.choice(("deaths", "pair_distances", "signature_loss")),
        "transform": transform,
        **setting(rng),
    }


def matches(rng: Random) -> dict[str, Any]:
    drawn, mode = bags(rng, ("euclidean", "euclidean"), (torch.float32,) * 2, mild=True)
    return {"bags": drawn, "mode": mode, **setting(rng)}


def many(rng: Random) -> dict[str, Any]:
    n = rng.choice((129, 200, 300, 300, 513, 1024, 1100, rng.choice((2000, 4100))))
    d = rng.choice((1, 2, 3, 8, 9, 16, 17, 33, 70)) if n < 2000 else rng.choice((2, 5, 20))
    dtype = rng.choice((torch.float32, torch.float64))
    return {
        "n": n,
        "d": d,
        "dtype": dtype,
        "values": rng.choice((0, 0, 2, 5, 50)),
        "exponent": rng.choice((0, 0, 90, -90)),
        "metric": rng.choice(POINT_METRICS[:3]),
        **setting(rng),
    }


# How often each check is drawn.
KINDS = {
    trees: 30,
    lengths: 10,
    gradients: 15,
    losses: 20,
    refusals: 8,
    transforms: 10,
    matches: 4,
    many: 0.5,
}


def draw(seed: int, number: int) -> tuple[str, dict[str, Any]]:
    """The draw of that number: the name of its check, and the check's arguments."""
    rng = Random(f"{seed}/{number}")
    kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
    return kind.__name__, kind(rng)
