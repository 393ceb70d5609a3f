"""The discrete operators of the measures: merges of trees, exchanged edges, matched deaths.

None has a derivative: they say which values belong together, and tensor code gathers those.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from torchtopo import _C
from torchtopo._operators.vmap import batched, leading


def single_linkage_cpu(pairs: Tensor, heights: Tensor, cu_seqlens: Tensor | None) -> Tensor:
    *batch, m, _ = pairs.shape
    edges, at = pairs.contiguous(), heights.contiguous()
    rows = torch.empty(*batch, m, 4, dtype=heights.dtype)
    ends = None if cu_seqlens is None else cu_seqlens.to(torch.int64).contiguous()
    bags = math.prod(batch) if ends is None else ends.shape[0] - 1
    _C.single_linkage(
        heights.dtype == torch.float64,
        edges.data_ptr(),
        at.data_ptr(),
        bags,
        m,
        0 if ends is None else ends.data_ptr(),
        rows.data_ptr(),
        torch.get_num_threads(),
    )
    return rows


def single_linkage_generic(pairs: Tensor, heights: Tensor, cu_seqlens: Tensor | None) -> Tensor:
    """A merge after another, all bags at once, without waiting for the device."""
    *batch, m, _ = pairs.shape
    if cu_seqlens is None:
        points = m + 1
        edges = pairs.reshape(-1, m, 2)
        sizes = (edges[..., 0] >= 0).sum(-1, keepdim=True) + 1
        own = torch.arange(points, device=pairs.device).expand(edges.shape[0], points)
    else:  # one forest over all rows: numbers count from the beginning of each bag
        bags = cu_seqlens.shape[0] - 1
        points = m + bags
        edges = pairs.reshape(1, m, 2)
        row = torch.arange(points, device=pairs.device)
        bag = torch.searchsorted(cu_seqlens[1:].contiguous(), row, right=True).clamp(max=bags - 1)
        first, last = cu_seqlens[:-1].long(), cu_seqlens[1:].long()
        own = (row - first.gather(0, bag)).unsqueeze(0)
    number, count = own.clone(), torch.ones_like(own)
    where = torch.arange(points, device=pairs.device).expand_as(own)  # eldest of each component
    rows = []
    for k in range(m):
        i, j = (edges[:, k, e : e + 1].clamp(0, points - 1) for e in (0, 1))
        valid = edges[:, k, :1] >= 0
        a, b = number.gather(1, i), number.gather(1, j)
        size = count.gather(1, i) + count.gather(1, j)
        root_i, root_j = where.gather(1, i), where.gather(1, j)
        together = ((where == root_i) | (where == root_j)) & valid
        if cu_seqlens is None:
            new = sizes + k
        else:  # the bag's own count of points and of merges so far
            at = bag.unsqueeze(0).gather(1, i)
            start, stop = first.unsqueeze(0).gather(1, at), last.unsqueeze(0).gather(1, at)
            new = stop - start + k - (start - at)
        number = torch.where(together, new, number)
        count = torch.where(together, size, count)
        where = torch.where(together, torch.minimum(root_i, root_j), where)
        row = torch.cat((torch.minimum(a, b), torch.maximum(a, b), size), -1)
        padding = row.new_tensor([-1, -1, 0])
        rows.append(torch.where(valid, row, padding))
    if not rows:
        return heights.new_empty(*batch, 0, 4)
    merges = torch.stack(rows, 1).reshape(*batch, m, 3).to(heights.dtype)
    return torch.cat((merges[..., :2], heights.unsqueeze(-1), merges[..., 2:]), -1)


def single_linkage_fake(pairs: Tensor, heights: Tensor, cu_seqlens: Tensor | None) -> Tensor:
    return heights.new_empty(*pairs.shape[:-1], 4)


def single_linkage_vmap(
    op: Any, info: Any, in_dims: Any, pairs: Tensor, heights: Tensor, cu_seqlens: Tensor | None
) -> Any:
    if cu_seqlens is None:
        return batched(op, info, in_dims, pairs, heights, None)
    given = (pairs, heights, cu_seqlens)
    each = (leading(v, d, info.batch_size) for v, d in zip(given, in_dims, strict=True))
    return torch.stack([op(*one) for one in zip(*each, strict=True)]), 0


def tree_exchange_cpu(inner: Tensor, outer: Tensor) -> Tensor:
    *batch, m, _ = inner.shape
    first, second = inner.contiguous(), outer.contiguous()
    replaced = torch.empty(*batch, m, dtype=torch.int64)
    _C.tree_exchange(
        first.data_ptr(),
        second.data_ptr(),
        math.prod(batch),
        m,
        replaced.data_ptr(),
        torch.get_num_threads(),
    )
    return replaced


def tree_exchange_generic(inner: Tensor, outer: Tensor) -> Tensor:
    raise RuntimeError(
        f"the barcode of RTD-Lite is found on the CPU, not on {inner.device}; pass CPU tensors, "
        "or take torchtopo.rtd_lite, which is the sum of its bars"
    )


def tree_exchange_fake(inner: Tensor, outer: Tensor) -> Tensor:
    return inner.new_empty(inner.shape[:-1])


def matching_cpu(a: Tensor, b: Tensor, p: float) -> tuple[Tensor, Tensor]:
    first, second = a.double().contiguous(), b.double().contiguous()
    of_a = torch.empty(a.shape, dtype=torch.int64)
    of_b = torch.empty(b.shape, dtype=torch.int64)
    _C.matching(
        (first.data_ptr(), a.shape[-1]),
        (second.data_ptr(), b.shape[-1]),
        math.prod(a.shape[:-1]),
        p,
        of_a.data_ptr(),
        of_b.data_ptr(),
        torch.get_num_threads(),
    )
    return of_a, of_b


def matching_generic(a: Tensor, b: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """The table of prefixes a diagonal at a time, all bags at once, without waiting."""
    batch, m_a, m_b = a.shape[:-1], a.shape[-1], b.shape[-1]
    bags, device = math.prod(batch), a.device
    a, b = a.double().reshape(bags, m_a), b.double().reshape(bags, m_b)
    if m_a + m_b == 0:
        return a.long().reshape(*batch, 0), b.long().reshape(*batch, 0)
    largest = torch.cat((a, b), -1).abs().amax(-1, keepdim=True)
    largest = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)

    def power(x: Tensor) -> Tensor:
        x = x.abs()
        return x if p in (1.0, math.inf) else x.pow(p)

    a, b = a / largest, b / largest
    add = torch.maximum if p == math.inf else torch.add
    alone_a, alone_b = power(a / 2), power(b / 2)
    rows = torch.arange(m_a + 1, device=device)
    # Diagonal k holds the cells (i, k - i); a cell outside the table costs infinitely much.
    before = a.new_full((bags, m_a + 1), math.inf)
    now = before.clone()
    now[:, 0] = 0.0
    steps = []
    for k in range(1, m_a + m_b + 1):
        j = k - rows
        inside = (j >= 0) & (j <= m_b)
        up = torch.cat((now.new_full((bags, 1), math.inf), now[:, :-1]), 1)
        corner = torch.cat((before.new_full((bags, 1), math.inf), before[:, :-1]), 1)
        at_a = (rows - 1).clamp(min=0)
        at_b = (j - 1).clamp(0, max(m_b - 1, 0))
        cost_a = alone_a[:, at_a] if m_a else now.new_zeros(bags, 1)
        cost_b = alone_b[:, at_b] if m_b else now.new_zeros(bags, m_a + 1)
        both = power(a[:, at_a] - b[:, at_b]) if m_a and m_b else now.new_zeros(bags, m_a + 1)
        choices = torch.stack((add(corner, both), add(up, cost_a), add(now, cost_b)))
        choices[0].masked_fill_((rows == 0) | (j <= 0), math.inf)
        choices[1].masked_fill_(rows == 0, math.inf)
        choices[2].masked_fill_(j <= 0, math.inf)
        best, step = choices.min(0)
        before, now = now, best.masked_fill(~inside, math.inf)
        steps.append(step)
    i = torch.full((bags, 1), m_a, device=device)
    j = torch.full((bags, 1), m_b, device=device)
    of_a = torch.full((bags, m_a + 1), -1, dtype=torch.int64, device=device)
    of_b = torch.full((bags, m_b + 1), -1, dtype=torch.int64, device=device)
    for k in range(m_a + m_b, 0, -1):
        here = i + j == k  # a match skips a diagonal
        step = steps[k - 1].gather(1, i)
        match = here & (step == 0)
        of_a.scatter_(1, torch.where(match, i - 1, m_a), torch.where(match, j - 1, -1))
        of_b.scatter_(1, torch.where(match, j - 1, m_b), torch.where(match, i - 1, -1))
        i = i - (here & (step != 2)).long()
        j = j - (here & (step != 1)).long()
    return of_a[:, :m_a].reshape(*batch, m_a), of_b[:, :m_b].reshape(*batch, m_b)


def matching_fake(a: Tensor, b: Tensor, p: float) -> tuple[Tensor, Tensor]:
    return a.new_empty(a.shape, dtype=torch.int64), b.new_empty(b.shape, dtype=torch.int64)
