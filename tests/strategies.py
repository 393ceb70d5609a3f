"""Hypothesis strategies that draw a problem together with its answer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor


class Problem(NamedTuple):
    data: Tensor  # points (N, D), or distances (N, N)
    deaths: Tensor  # (N-1,), ascending
    pairs: Tensor | None = None  # (N-1, 2), where the answer is unique without tie rules


def generators() -> st.SearchStrategy[torch.Generator]:
    return st.integers(0, 2**31).map(lambda seed: torch.Generator().manual_seed(seed))


@st.composite
def planted_trees(draw: st.DrawFn, max_points: int = 24) -> Problem:
    """Distances with a known, unique spanning tree: all others exceed their path's longest edge."""
    n, gen = draw(st.integers(2, max_points)), draw(generators())
    weights = torch.randperm(4 * n, generator=gen)[: n - 1].sort().values.double() + 1
    label = torch.randperm(n, generator=gen).tolist()
    order = torch.randperm(n - 1, generator=gen).tolist()
    edges = [
        (label[int(torch.randint(0, v, (), generator=gen))], label[v], float(weights[order[v - 1]]))
        for v in range(1, n)
    ]
    longest = torch.full((n, n), torch.inf, dtype=torch.float64).fill_diagonal_(0)
    for i, j, w in edges:
        longest[i, j] = longest[j, i] = w
    for k in range(n):  # minimax paths
        longest = torch.minimum(longest, torch.maximum(longest[:, k, None], longest[None, k]))
    slack = torch.rand(n, n, generator=gen, dtype=torch.float64).triu(1)
    distances = longest + (slack + slack.T).fill_diagonal_(0)
    for i, j, w in edges:
        distances[i, j] = distances[j, i] = w
    answer = sorted((w, min(i, j), max(i, j)) for i, j, w in edges)
    return Problem(distances, weights, torch.tensor([e[1:] for e in answer]))


@st.composite
def ultrametrics(draw: st.DrawFn, max_points: int = 24) -> Problem:
    """Distances that are merge heights, full of ties; the deaths are the heights."""
    n, gen = draw(st.integers(2, max_points)), draw(generators())
    heights = torch.randint(0, 5, (n - 1,), generator=gen).sort().values.double()
    distances = torch.zeros(n, n, dtype=torch.float64)
    clusters = [[v] for v in range(n)]
    for height in heights.tolist():
        a = clusters.pop(int(torch.randint(0, len(clusters), (), generator=gen)))
        b = clusters.pop(int(torch.randint(0, len(clusters), (), generator=gen)))
        for i in a:
            for j in b:
                distances[i, j] = distances[j, i] = height
        clusters.append(a + b)
    return Problem(distances, heights)


@st.composite
def collinear_points(draw: st.DrawFn, max_points: int = 24) -> Problem:
    """Integer points on an axis, in any order; the deaths are the gaps."""
    n, d, gen = draw(st.integers(1, max_points)), draw(st.integers(1, 4)), draw(generators())
    places = torch.randint(-50, 50, (n,), generator=gen)
    points = torch.zeros(n, d, dtype=torch.float64)
    points[:, draw(st.integers(0, d - 1))] = places.double()
    return Problem(points, places.sort().values.diff().sort().values.double())


@st.composite
def integer_grids(draw: st.DrawFn, max_points: int = 30) -> Tensor:
    """Clouds `(N, D)` of small integers: exact distances, many ties and duplicates."""
    n, d, gen = draw(st.integers(1, max_points)), draw(st.integers(1, 5)), draw(generators())
    points = torch.randint(0, draw(st.integers(1, 5)), (n, d), generator=gen)
    return points.to(draw(st.sampled_from((torch.float32, torch.float64))))


@st.composite
def tied_matrices(draw: st.DrawFn, max_points: int = 30) -> Tensor:
    """Asymmetric matrices `(N, N)` with ties, infinities, NaN and both zeros."""
    n, gen = draw(st.integers(1, max_points)), draw(generators())
    alphabet = draw(
        st.lists(
            st.sampled_from((0.0, -0.0, 1.0, 2.0, -1.0, float("inf"), -float("inf"), float("nan"))),
            min_size=1,
            max_size=6,
        )
    )
    values = torch.tensor(alphabet, dtype=draw(st.sampled_from((torch.float32, torch.float64))))
    return values[torch.randint(0, len(alphabet), (n, n), generator=gen)]


@st.composite
def clouds_with_copies(draw: st.DrawFn) -> tuple[Tensor, int]:
    """A generic cloud with copied rows, and the number of distinct ones."""
    distinct, n, gen = draw(st.integers(1, 12)), draw(st.integers(0, 12)), draw(generators())
    points = torch.randn(distinct, 3, generator=gen, dtype=torch.float64)
    copies = points[torch.randint(0, distinct, (n,), generator=gen)]
    both = torch.cat((points, copies))
    return both[torch.randperm(len(both), generator=gen)], distinct
