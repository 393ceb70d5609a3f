"""Kruskal's algorithm from the textbook, in numpy: what the kernels are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def distances(points: Array, metric: str) -> Array:
    """All distances of `points (N, D)` by direct differences, in float64."""
    if metric == "precomputed":
        return points
    x = points.astype(np.float64)
    with np.errstate(all="ignore"):
        if metric == "cosine":
            norms = np.linalg.norm(x, axis=1)
            unit = x / np.where(norms == 0, 1, norms)[:, None]
            half = 0.5 * ((unit[:, None] - unit[None]) ** 2).sum(-1)
            zero = norms == 0
            return np.where(zero[:, None] | zero[None], 1.0, half)
        difference = np.abs(x[:, None] - x[None])
        if metric == "manhattan":
            return difference.sum(-1)
        if metric == "chebyshev":
            return difference.max(-1)
        scale = difference.max(-1)
        safe = np.where((scale > 0) & np.isfinite(scale), scale, 1)
        length = safe * np.sqrt(((difference / safe[..., None]) ** 2).sum(-1))
        return np.where(np.isfinite(scale), length, scale)


def kruskal(weights: Array) -> tuple[Array, Array]:
    """Edges `(N-1, 2)` in the order (weight, i, j), NaN last, and the vertex that each kills."""
    n = len(weights)
    i, j = np.triu_indices(n, 1)
    w = weights[i, j] + 0.0
    order = np.lexsort((j, i, np.where(np.isnan(w), 0, w), np.isnan(w)))
    component = list(range(n))

    def find(v: int) -> int:
        while component[v] != v:
            component[v] = component[component[v]]
            v = component[v]
        return v

    edges, dying = [], []
    for a, b in zip(i[order].tolist(), j[order].tolist(), strict=True):
        elder, younger = sorted((find(a), find(b)))
        if elder != younger:
            component[younger] = elder
            edges.append((a, b))
            dying.append(younger)
            if len(edges) == n - 1:
                break
    return np.array(edges, np.int64).reshape(-1, 2), np.array(dying, np.int64)
