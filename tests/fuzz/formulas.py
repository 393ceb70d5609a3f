"""Gradients and losses by their formulas in float64, and large clouds by NumPy.

Lengths come from the exact oracle; what multiplies them comes from autograd of a formula that is
written here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tests.fuzz.oracle import Cloud, Edge


def measured_in(values: Tensor) -> torch.finfo:
    return torch.finfo(torch.float64 if values.dtype == torch.float64 else torch.float32)


def rounded(lengths: Sequence[float], info: torch.finfo) -> Tensor:
    """Lengths as the type that they are measured in holds them, in float64."""
    dtype = torch.float64 if info.bits == 64 else torch.float32
    return torch.tensor(lengths, dtype=torch.float64).to(dtype).double()


def slack_of_a_length(
    right: Cloud, lengths: Sequence[float], info: torch.finfo, tree: bool = False
) -> list[float]:
    """How far lengths measured in float64 and rounded to the type of `info` may be off.

    With `tree`, how far a kernel that compares lengths in that type may be off in the one it takes.
    """
    if right.metric == "precomputed":
        return [0.0] * len(lengths)
    d = len(right.rows[0])
    eps = (d + 8) * (info.eps if tree else 2.0**-53)
    room = [eps * w + 0.51 * info.eps * w + info.tiny * info.eps for w in lengths]
    if right.metric == "cosine":
        # The error is that of unit vectors, whose squared distance is twice the length.
        unit = (d + 8) * right.rounding_of_norms()
        of_unit = [2 * unit * math.sqrt(2 * max(w, 0)) + 4 * unit**2 for w in lengths]
        room = [r + u for r, u in zip(room, of_unit, strict=True)]
    return [0.0 if math.isnan(r) or math.isinf(r) else r for r in room]


def slopes(values: Tensor, edges: Tensor, metric: str) -> tuple[Tensor, Tensor]:
    """The gradients of each edge's length in its two ends, `(M, D)` each; 0 where it is 0."""
    i, j = edges.unbind(-1)
    a, b = values.double()[i], values.double()[j]
    if metric == "cosine":
        (a, *by_a), (b, *by_b) = (_to_the_unit(v) for v in (a, b))
        a, b = a.requires_grad_(), b.requires_grad_()
        zero = ((a == 0).all(-1) | (b == 0).all(-1)).unsqueeze(-1)
        lifted = (v.masked_fill(zero, 1.0) for v in (a, b))
        unit_a, unit_b = (v / torch.linalg.vector_norm(v, 2, -1, True) for v in lifted)
        length = (unit_a - unit_b).square().sum() / 2
        of_a, of_b = torch.autograd.grad(length, (a, b))
        return of_a * by_a[0] * by_a[1], of_b * by_b[0] * by_b[1]
    gap = a - b
    if metric == "euclidean":
        gap, *_ = _to_the_unit(gap)  # the slope of a norm is that of any multiple
    gap = gap.requires_grad_()
    if metric == "euclidean":
        length = torch.linalg.vector_norm(gap, 2, -1)
    else:
        length = gap.abs().sum(-1) if metric == "manhattan" else gap.abs().amax(-1)
    (slope,) = torch.autograd.grad(length.sum(), gap)
    slope = slope.masked_fill((gap == 0).all(-1, keepdim=True), 0.0)
    return slope, -slope


def _to_the_unit(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows times powers of two so that the largest entry is about 1; and two factors of these."""
    exponent = rows.abs().amax(-1, keepdim=True).nan_to_num(1.0, 1.0).frexp().exponent
    half = exponent // 2
    first, second = torch.exp2(-half.double()), torch.exp2((half - exponent).double())
    return rows * first * second, first, second


def pulled(
    values: Tensor,
    edges: Tensor,
    pull: Tensor,
    metric: str,
    error: Tensor | None = None,
    cloud: Cloud | None = None,
) -> tuple[Tensor, Tensor]:
    """The gradient Σ pull·∂length of the values, and how far sums in their type may be off.

    `error` is how far the pulls may be off. An infinite length pulls nowhere, an unknown one NaN.
    """
    pull = pull.double()
    error = torch.zeros_like(pull) if error is None else error
    info, own = measured_in(values), torch.finfo(values.dtype)
    gradient = torch.zeros_like(values, dtype=torch.float64)
    weight, off, count = gradient.clone(), gradient.clone(), gradient.clone()
    if metric == "precomputed":
        i, j = edges.sort(-1).values.unbind(-1)
        for into, what in ((gradient, pull), (weight, pull.abs()), (off, error)):
            into.index_put_((i, j), what, accumulate=True)
        # What the gradient of a length of 0 and of infinity is, is checked of points alone.
        odd = (values == 0) | ~values.isfinite()
        off = torch.where(odd, weight + off, off)
    else:
        cloud = cloud or Cloud(values.tolist(), metric)
        lengths = rounded([cloud.length(*e) for e in edges.tolist()], info)
        for side, slope in enumerate(slopes(values, edges, metric)):
            slope = slope.masked_fill(lengths.isinf().unsqueeze(-1), 0.0)
            slope = slope.masked_fill(lengths.isnan().unsqueeze(-1), torch.nan)
            terms = slope * pull.unsqueeze(-1)
            if info.bits == 64:  # a subnormal length has few digits
                size = lengths.abs().masked_fill(lengths == 0, 1.0)
                digits = torch.full_like(size, 2.0**-1074) / size
                off.index_add_(0, edges[:, side], terms.abs() * digits.unsqueeze(-1))
            gradient.index_add_(0, edges[:, side], terms)
            weight.index_add_(0, edges[:, side], terms.abs())
            count.index_add_(0, edges[:, side], torch.ones_like(terms))
            if metric == "cosine":  # of unit vectors, each off by an ulp of float64
                ulp = 1e-14 + 8 * cloud.rounding_of_norms()
                _, *by = _to_the_unit(values.double()[edges[:, side]])
                reach = pull.abs().unsqueeze(-1) * by[0] * by[1]
                far = torch.where(reach < 1e-2 * own.max, ulp * reach, torch.inf)
                off.index_add_(0, edges[:, side], far.expand_as(slope))
            off.index_add_(0, edges[:, side], slope.abs() * error.unsqueeze(-1))
            subnormal = 4 * 2.0**-1074 * pull.abs()  # a slope may be rounded before it is pulled
            off.index_add_(0, edges[:, side], subnormal.unsqueeze(-1).expand_as(slope))
    slack = (count + 8) * info.eps * weight + off + own.eps * gradient.abs()
    slack = torch.where(weight > info.max, torch.inf, slack)  # partial sums may leave the range
    return gradient, (slack + own.tiny * own.eps * (count + 1)).nan_to_num(0.0, posinf=torch.inf)


class Answer(NamedTuple):
    loss: float
    slack: float
    gradients: tuple[Tensor, Tensor] | None = None  # where the formula is smooth and in range
    gradient_slack: tuple[Tensor, Tensor] | None = None


def signature(
    spaces: tuple[Tensor, Tensor],
    metrics: tuple[str, str],
    edges: tuple[Tensor, Tensor],
    convention: str,
    z_scale: float,
) -> Answer:
    """The signature loss of one bag, over the given pairs of x and of z."""
    n = len(spaces[0])
    if n == 1:
        zeros = (torch.zeros_like(spaces[0]).double(), torch.zeros_like(spaces[1]).double())
        return Answer(0.0, 0.0, zeros, zeros)
    infos = [measured_in(space) for space in spaces]
    both = torch.cat(edges)
    clouds = [Cloud(space.tolist(), metric) for space, metric in zip(spaces, metrics, strict=True)]
    all_pairs = list(clouds[0].edges)
    every = [
        rounded([cloud.length(*edge) for edge in all_pairs], info)
        for cloud, info in zip(clouds, infos, strict=True)
    ]
    lengths = [
        rounded([cloud.length(*edge) for edge in both.tolist()], info)
        for cloud, info in zip(clouds, infos, strict=True)
    ]
    a, b = lengths
    left_out = (a.isinf() & (a > 0) & ~b.isnan()) | (b.isinf() & (b > 0) & ~a.isnan())
    half = torch.arange(len(both)) < len(edges[0])

    divisors, farthest, unique = [], [], True
    by_maximum = (convention in ("topoae", "torch_topological"), convention == "torch_topological")
    for which, distances in enumerate(every):
        scale = z_scale if which == 1 and convention in ("topoae", "mil") else 1.0
        place = None
        if by_maximum[which]:
            finite = distances.masked_fill(distances.isinf(), -math.inf)
            place = int(finite.nan_to_num(math.inf, neginf=-math.inf).argmax())
            scale = float(finite[place])
            near = finite >= scale - 1e-5 * abs(scale)
            unique &= int(near.sum()) == 1
            if scale == 0 or scale == -math.inf:
                scale, place = 1.0, None
        divisors.append(torch.tensor(scale, dtype=torch.float64, requires_grad=place is not None))
        farthest.append(place)

    leaves = [v.masked_fill(left_out, 0.0).requires_grad_() for v in (a, b)]
    difference = leaves[0] / divisors[0] - leaves[1] / divisors[1]
    kept = difference.detach()

    info = max(infos, key=lambda info: info.eps)
    out = torch.finfo(torch.promote_types(spaces[0].dtype, spaces[1].dtype))
    off = torch.zeros_like(kept)
    for cloud, leaf, divisor, i in zip(clouds, leaves, divisors, infos, strict=True):
        by, size = abs(divisor.item()), leaf.detach().abs()
        own = slack_of_a_length(cloud, size.tolist(), i)
        (of_divisor,) = slack_of_a_length(cloud, [by if divisor.requires_grad else 0.0], i)
        off += (torch.tensor(own, dtype=torch.float64) + size * (of_divisor / by)) / by
        off += 8 * info.eps * size / by

    m = len(kept)
    if convention == "torch_topological":
        parts = [difference[part] for part in (half, ~half)]
        norms = [torch.linalg.vector_norm(p) if bool((p != 0).any()) else p.sum() for p in parts]
        loss = (norms[0] + norms[1]) / 2
        slack = off.norm() + (m + 8) * info.eps * loss.item() + 4 * math.sqrt(m * info.tiny)
        curvature = 1 / torch.stack([p.detach().norm() for p in parts])[(~half).long()]
    else:
        share = 2 if convention == "paper" else n
        loss = difference.square().sum() / share
        slack = (2 * kept.abs() * off + off.square()).sum() / share
        slack = slack + (m + 8) * info.eps * loss.item() + m * info.tiny
        curvature = torch.full_like(kept, 2 / share)
    value = loss.item()
    slack = slack.item() + (out.eps + 8 * info.eps) * abs(value) + out.tiny * out.eps
    if kept.square().sum() > info.max:
        slack = math.inf  # what is divided, or what a root is taken of, leaves the range
    for cloud, distances, i, used in zip(clouds, every, infos, by_maximum, strict=True):
        finite = distances[distances.isfinite()]
        if used and cloud.metric == "cosine" and len(finite):
            (rounding,) = slack_of_a_length(cloud, [finite.max().item()], i)
            if finite.max() < 1e3 * rounding:
                slack = math.inf  # vectors so nearly parallel that their maximum is rounding
    scaled = zip(leaves, divisors, infos, strict=True)
    if any(bool(((v / by).abs() > i.max).any() and (v <= i.max).all()) for v, by, i in scaled):
        slack = math.inf  # what is divided leaves the range of its type
    slack = 0.0 if math.isnan(slack) else slack

    sizes = torch.cat((kept, *(v.detach() for v in leaves))).abs()
    mild = bool(sizes.isfinite().all()) and float(sizes.max()) < 1e6 and unique
    mild &= all(bool((d > 1e-6).all() | (d == 0).all()) for d in every) and abs(value) < 1e10
    mild &= not bool((kept.abs() < 4 * off).any() and convention == "torch_topological")
    mild &= out.bits > 16 and all(s.dtype.itemsize > 2 for s in spaces)
    if not mild:
        return Answer(value, slack)

    wanted = [*leaves, *(d for d in divisors if d.requires_grad)]
    found = dict(zip(wanted, torch.autograd.grad(loss, wanted), strict=True))
    gradients, slacks = [], []
    for which in (0, 1):
        scale, pull = divisors[which].item(), found[leaves[which]]
        error = (curvature * off / scale + 16 * info.eps * pull.abs()).nan_to_num(0.0, 0.0)
        pairs = both
        if divisors[which].requires_grad:
            of_scale = found[divisors[which]]
            pairs = torch.cat((both, torch.tensor([all_pairs[farthest[which]]])))
            pull = torch.cat((pull, of_scale.reshape(1)))
            total = (error * leaves[which].detach().abs()).sum() / scale
            error = torch.cat((error, total.reshape(1) + 16 * info.eps * of_scale.abs()))
        gradient, room = pulled(spaces[which], pairs, pull, metrics[which], error, clouds[which])
        gradients.append(gradient)
        slacks.append(room)
    return Answer(value, slack, (gradients[0], gradients[1]), (slacks[0], slacks[1]))


def distances_to(points: np.ndarray, i: int, metric: str) -> np.ndarray:
    """Lengths from row i to every row; scaled, so that squares stay in range."""
    gaps = np.abs(points - points[i])
    if metric == "manhattan":
        return gaps.sum(1)
    if metric == "chebyshev":
        return gaps.max(1)
    return np.sqrt(np.square(gaps).sum(1))


def deaths_of_many(points: np.ndarray, metric: str) -> np.ndarray:
    """Ascending, by Prim's algorithm a row at a time."""
    nearest = distances_to(points, 0, metric)
    nearest[0] = -1
    deaths = []
    for _ in range(len(points) - 1):
        v = int(np.where(nearest < 0, np.inf, nearest).argmin())
        deaths.append(nearest[v])
        nearest = np.where(nearest < 0, -1, np.minimum(nearest, distances_to(points, v, metric)))
        nearest[v] = -1
    return np.sort(np.array(deaths))


def order_of_many(points: np.ndarray, metric: str) -> list[Edge]:
    """All edges of a lattice in the order (length, i, j)."""
    i, j = np.triu_indices(len(points), 1)
    lengths = np.concatenate(
        [distances_to(points, k, metric)[k + 1 :] for k in range(len(points) - 1)]
    )
    order = np.lexsort((j, i, lengths))
    return list(zip(i[order].tolist(), j[order].tolist(), strict=True))
