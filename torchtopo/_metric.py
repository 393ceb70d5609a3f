"""Metrics as differentiable tensor code: lengths of pairs from the rows that they name.

Everything here is ordinary PyTorch, so it has every derivative and runs on every device. Only the
rows of the pairs are gathered: memory O(M·D), never N×N.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor

Metric: TypeAlias = Literal["euclidean", "manhattan", "chebyshev", "cosine", "precomputed"]

# In the order of the kernels' enum, csrc/metric.hpp.
METRICS = ("euclidean", "manhattan", "chebyshev", "cosine", "precomputed")
POINT_METRICS = METRICS[:-1]

_ORDER = {"euclidean": 2.0, "manhattan": 1.0, "chebyshev": float("inf")}


def measured_in(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which points are measured: float64 in itself, all others in float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def names_no_points(pairs: Tensor, n: int) -> Tensor:
    """Which of `pairs (*B, M, 2)` are padding or, where no kernel refused them, out of a bag."""
    return ((pairs < 0) | (pairs >= n)).any(-1)


def pair_lengths(points: Tensor, pairs: Tensor, metric: str, left_out: Tensor) -> Tensor:
    """Lengths of `pairs (*B, M, 2)` in `points (*B, N, D)`, as float64 `(*B, M)`.

    Where `left_out (*B, M)` is true a row of zeros is measured against itself, so whatever the
    points hold, neither the value nor the gradient of the others is touched by it. Pairs that name
    no points must be left out.
    """
    n, d = points.shape[-2:]
    rows = torch.cat((points.reshape(-1, d), points.new_zeros(1, d)))
    zero_row = rows.shape[0] - 1
    start = _starts(points, n)
    i, j = (torch.where(left_out, zero_row, pairs[..., e] + start).reshape(-1) for e in (0, 1))
    lengths = _between(rows.index_select(0, i), rows.index_select(0, j), metric)
    return lengths.reshape(pairs.shape[:-1])


def matrix_entries(distances: Tensor, pairs: Tensor) -> Tensor:
    """Entries `(*B, M)` of `distances (*B, N, N)` at `pairs`, from the half i < j.

    Where a pair names no points the entry is the bag's first, for the caller to replace.
    """
    n = distances.shape[-1]
    flat = distances.reshape(-1)
    i, j = pairs.masked_fill(names_no_points(pairs, n).unsqueeze(-1), 0).aminmax(dim=-1)
    index = i * n + j + _starts(distances, n * n)
    return flat.index_select(0, index.reshape(-1)).reshape(index.shape)


def _starts(values: Tensor, step: int) -> Tensor:
    """Where each bag begins, `(*B, 1)`, if each takes `step`."""
    batch = values.shape[:-2]
    return (torch.arange(math.prod(batch), device=values.device) * step).reshape(*batch, 1)


def norm(x: Tensor, order: float = 2.0) -> Tensor:
    """The norm of each row; where a row is zero all its derivatives are zero, not NaN."""
    zero = (x == 0).all(-1, keepdim=True)
    norms: Tensor = torch.linalg.vector_norm(x.masked_fill(zero, 1.0), order, dim=-1)
    return norms.masked_fill(zero.squeeze(-1), 0.0)


def _between(a: Tensor, b: Tensor, metric: str) -> Tensor:
    """Distances of the rows of `a (K, D)` and `b (K, D)`, measured in float64.

    Float32 and half types can neither overflow nor underflow there; float64 itself is scaled.
    """
    robust = a.dtype == torch.float64
    a, b = a.double(), b.double()
    if metric != "cosine":
        return _scaled_norm(a - b, _ORDER[metric], robust)
    norm_a, norm_b = _scaled_norm(a, 2.0, robust), _scaled_norm(b, 2.0, robust)
    undirected = (norm_a == 0) | (norm_b == 0)
    unit_a = a / norm_a.masked_fill(undirected, 1.0).unsqueeze(-1)
    unit_b = b / norm_b.masked_fill(undirected, 1.0).unsqueeze(-1)
    # 1 - cos of unit vectors without its cancellation.
    return torch.where(undirected, 1.0, (unit_a - unit_b).square().sum(-1) / 2)


def _scaled_norm(x: Tensor, order: float, robust: bool) -> Tensor:
    """The norm of each row, of squares that stay in range."""
    if not robust or order != 2.0:
        return norm(x, order)
    # A norm is homogeneous, so a constant scale changes neither value nor derivatives.
    scale = x.detach().abs().amax(-1, keepdim=True)
    scale = torch.where(scale.isfinite(), scale.clamp(min=1e-290), 1.0)
    return norm(x / scale) * scale.squeeze(-1)
