"""Bags as one call takes them: alone, padded, packed, stacked or expanded, in any memory layout."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from random import Random
from typing import Any

import torch
from torch import Tensor

from torchtopo import _C

LAYOUTS = ("plain", "transposed", "strided", "offset", "negated", "stepped rows")


def laid_out(values: Tensor, layout: str) -> Tensor:
    """A view that shows `values`, in that layout."""
    if layout == "transposed" and values.dim() > 1:
        return values.mT.contiguous().mT
    if layout == "strided" and values.dim() > 0:
        return torch.stack((values, torch.ones_like(values)), -1)[..., 0]
    if layout == "stepped rows" and values.dim() > 1:
        return torch.stack((values, torch.ones_like(values)), -2)[..., 0, :]
    if layout == "offset":
        return torch.cat((values.new_ones(3), values.flatten()))[3:].view(values.shape)
    if layout == "negated" and values.is_floating_point():
        return torch._neg_view(-values)
    return values


class Batch:
    """The bags of a draw in one batch, and the way back from its results to each bag."""

    def __init__(
        self,
        bags: list[tuple[Tensor, ...]],
        metrics: tuple[str, ...],
        mode: str,
        setting: dict[str, Any],
    ) -> None:
        rng = Random(setting["seed"])
        self.setting, self.mode, self.metrics = setting, mode, metrics
        if mode == "expanded":
            bags = bags[:1] * rng.randint(1, 3)
        elif mode == "stacked" and len({len(bag[0]) for bag in bags}) > 1:
            self.mode = "padded"
        self.bags = bags
        self.sizes = [len(bag[0]) for bag in bags]
        self.n = max(self.sizes) + (rng.randint(0, 2) if self.mode == "padded" else 0)
        self.fill = rng.choice((float("nan"), float("inf"), 0.0, 7.0))
        integers = rng.choice((torch.int32, torch.int64))
        self.ragged: dict[str, Tensor] = {}
        if self.mode == "padded":
            given = torch.tensor(self.sizes, dtype=integers)
            self.ragged["lengths"] = laid_out(given, rng.choice(("plain", "strided")))
        elif self.mode == "packed":
            ends = torch.tensor([0, *self.sizes]).cumsum(0).to(integers)
            self.ragged["cu_seqlens"] = laid_out(ends, rng.choice(("plain", "strided")))
        self.spaces = [self._space(which) for which in range(len(metrics))]

    @contextlib.contextmanager
    def chosen(self) -> Iterator[None]:
        """The instruction set and the number of threads of the draw."""
        chosen, threads = _C.config()["isa"], torch.get_num_threads()
        available = _C.config()["isas"]
        place = {"baseline": 0, "middle": len(available) // 2, "best": -1}[self.setting["isa"]]
        try:
            _C.set_isa(available[place])
            torch.set_num_threads(self.setting["threads"])
            yield
        finally:
            _C.set_isa(chosen)
            torch.set_num_threads(threads)

    def edges(self, values: Tensor, filled: bool = False) -> list[Tensor]:
        """Of each bag its n-1 rows of pairs (numbered within the bag), generators or lengths.

        Further rows must be padding unless they are `filled`.
        """
        rows = [n - 1 for n in self.sizes]
        if self.mode == "packed":
            parts = list(values.split(rows))
        elif self.mode == "alone":
            parts = [values]
        else:
            for bag, m in zip(values, rows, strict=True):
                padding = -1 if values.dtype == torch.int64 else 0
                assert filled or bool((bag[m:] == padding).all()), f"past a bag's length: {bag[m:]}"
            parts = [bag[:m] for bag, m in zip(values, rows, strict=True)]
        return self._within_bags(parts)

    def per_bag(self, values: Tensor) -> list[Tensor]:
        """The row of each bag."""
        return self._within_bags([values] if self.mode == "alone" else list(values))

    def rows(self, values: Tensor, which: int = 0) -> list[Tensor]:
        """Of each bag its points, or its matrix, in a tensor of the shape of that space."""
        if self.mode == "packed":
            return list(values.split(self.sizes))
        if self.mode == "alone":
            return [values]
        matrix = self.metrics[which] == "precomputed"
        parts = zip(values, self.sizes, strict=True)
        return [bag[:n, :n] if matrix else bag[:n] for bag, n in parts]

    def outside_of_bags(self, values: Tensor, which: int = 0) -> Tensor:
        """What belongs to no bag, as one row."""
        inside = torch.zeros_like(values, dtype=torch.bool)
        for rows in self.rows(inside, which):
            rows.fill_(True)
        return values[~inside]

    def any_pairs(self, rng: Random) -> Tensor:
        """As many pairs as the trees have, of any two points of a bag."""
        rows, start = [], 0
        for n in self.sizes:
            pairs = [sorted(rng.sample(range(n), 2)) for _ in range(n - 1)]
            rows.append(torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2) + start)
            start += n if self.mode == "packed" else 0
        if self.mode == "alone":
            return rows[0]
        if self.mode == "packed":
            return torch.cat(rows)
        full = torch.full((len(rows), self.n - 1, 2), -1)
        for bag, pairs in zip(full, rows, strict=True):
            bag[: len(pairs)] = pairs
        return full

    def spoil(self, pairs: Tensor, rng: Random) -> Tensor | None:
        """The pairs with one of them outside of its bag; None if there are none."""
        bag = rng.randrange(len(self.sizes))
        first = sum(self.sizes[:bag]) if self.mode == "packed" else 0
        last = first + self.sizes[bag] - 1
        begin, count = 0, self.n - 1
        if self.mode == "packed":
            begin, count = first - bag, self.sizes[bag] - 1
        if count == 0:
            return None
        row = begin + rng.randrange(count)
        outside = [last + 1, last + 2, first - 1, first - 2, 1 << 40, -(1 << 40)]
        wrong = [rng.choice(range(first, last + 1)), rng.choice(outside)]
        spoilt = pairs.clone()
        (spoilt[bag] if pairs.dim() > 2 else spoilt)[row] = torch.tensor(wrong)
        return spoilt

    def _space(self, which: int) -> Tensor:
        values = [bag[which] for bag in self.bags]
        square = self.metrics[which] == "precomputed"
        layout = self.setting["layout"]
        if self.mode == "alone":
            return laid_out(values[0], layout)
        if self.mode == "expanded":
            return values[0].expand(len(values), *values[0].shape)
        if self.mode == "packed":
            return laid_out(torch.cat(values), layout)
        wide = self.n if square else values[0].shape[1]
        padded = values[0].new_full((len(values), self.n, wide), self.fill)
        for place, bag in zip(padded, values, strict=True):
            place[: len(bag), : bag.shape[1]] = bag
        return laid_out(padded, layout)

    def _within_bags(self, parts: list[Tensor]) -> list[Tensor]:
        """Packed row numbers as numbers within their bag."""
        if self.mode != "packed" or parts[0].dtype != torch.int64:
            return parts
        starts = [sum(self.sizes[:b]) for b in range(len(parts))]
        return [
            torch.where(part < 0, part, part - start)
            for part, start in zip(parts, starts, strict=True)
        ]
