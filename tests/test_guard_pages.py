"""No operator touches a byte before or after its arguments and results."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.guard_pages import PAGE, Guard, Side, in_a_child
from torchtopo import _C
from torchtopo._metric import METRICS, POINT_METRICS

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and mprotect"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # a fork beside torch's threads
]

ops = torch.ops.torchtopo
VECTOR = 64  # bytes of the widest vectors

Calls = Iterator[tuple[str, Callable[[], Any]]]


def sizes(dtype: torch.dtype) -> list[int]:
    """N from 1 to two vectors and 1, and around 64 and 128."""
    return [*range(1, 2 * VECTOR // dtype.itemsize + 2), 63, 64, 65, 127, 128, 129]


def widths(n: int) -> list[int]:
    """D from 1 to 17, at most sizes a few of them."""
    return list(range(1, 18)) if n in (2, 5, 17, 65) else [1 + n % 3, 4 + n % 5, 9 + n % 9]


def of_points(guard: Guard, points: Tensor, metric: str) -> Calls:
    n = points.shape[0]
    yield from of_one_bag(guard, points, metric)
    pairs = torch.combinations(torch.arange(min(n, 9)))
    pull = torch.ones(len(pairs), dtype=points.dtype)
    yield (
        "pair_pulls",
        lambda: ops.pair_pulls(guard(pull), guard(points), guard(pairs), metric),
    )
    ends = torch.tensor([0, 1, n] if n > 1 else [0, 1], dtype=torch.int32)
    yield (
        "trees, packed",
        lambda: ops.trees(guard(points), metric, None, guard(ends)),
    )
    yield (
        "farthest_pairs, packed",
        lambda: ops.farthest_pairs(guard(points), metric, None, guard(ends)),
    )
    yield (
        "signature_edges, packed",
        lambda: ops.signature_edges(
            *(guard(points), guard(points[:, :1]), None),
            *(metric, "euclidean", None, guard(ends), True, True),
        ),
    )


def of_one_bag(guard: Guard, values: Tensor, metric: str) -> Calls:
    """Operators that take points and matrices alike."""
    n = values.shape[0]

    def tree(lengths: Tensor | None) -> Any:
        return ops.trees(guard(values), metric, lengths, None)

    yield "tree", lambda: tree(None)
    yield "tree, half a bag", lambda: tree(guard(torch.tensor((n + 1) // 2)))
    yield "farthest_pairs", lambda: ops.farthest_pairs(guard(values), metric, None, None)
    yield (
        "farthest_pairs, all but one",
        lambda: ops.farthest_pairs(guard(values), metric, guard(torch.tensor(max(1, n - 1))), None),
    )
    pairs = torch.combinations(torch.arange(min(n, 9)).flip(0) + n - min(n, 9))
    yield (
        "pair_lengths",
        lambda: ops.pair_lengths(guard(values), guard(pairs), metric),
    )
    path = torch.stack((torch.arange(n - 1), torch.arange(1, n)), -1)
    yield "elder_rule", lambda: ops.elder_rule(guard(path), n)
    scale, share, flags = torch.rand(1), torch.rand(1), (metric != "precomputed", True, True, True)
    for largest in (False, True):
        scales = (None, None) if largest else (guard(scale), guard(scale))
        yield (
            "signature_step" + (", of largest lengths" if largest else ""),
            lambda scales=scales, largest=largest: ops.signature_step(
                *(guard(values), guard(values[:, :1]), guard(path), metric, "euclidean", None),
                *(*scales, guard(share), 1.0, 1.0, 2.0, *flags, largest, largest),
            ),
        )
    for known in (None, path):
        yield (
            "signature_edges" + (", pairs_x" if known is not None else ""),
            lambda known=known: ops.signature_edges(
                *(guard(values), guard(values[:, :1]), known if known is None else guard(known)),
                *(metric, "euclidean", None, None, True, True),
            ),
        )


def spaces(dtype: torch.dtype, metric: str) -> Iterator[Tensor]:
    """Clouds of every size, or matrices, which kernels take as they are only if symmetric."""
    for n in sizes(dtype):
        if metric == "precomputed":
            matrix = torch.rand(n, n, dtype=dtype)
            yield from (matrix + matrix.T, matrix)
        else:
            yield from (torch.rand(n, d, dtype=dtype) for d in widths(n))


def flush_against_unmapped_memory(isa: str, dtype: torch.dtype, metric: str) -> str:
    """Run everything that way; "" if nothing was touched that may not be."""

    def work(say: Callable[[str], None]) -> None:
        _C.set_isa(isa)
        torch.set_num_threads(1)
        calls = of_one_bag if metric == "precomputed" else of_points
        sides: tuple[Side, ...] = ("after", "before")
        for guard in map(Guard, sides):
            with guard.outputs():
                for values in spaces(dtype, metric):
                    for name, call in calls(guard, values, metric):
                        say(
                            f"{name} of {metric} {dtype} {tuple(values.shape)}, {isa}: "
                            f"reads or writes {guard.side} the end of an argument or result"
                        )
                        call()
                        guard.free()

    return in_a_child(work)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("isa", _C.config()["isas"])
def test_nothing_outside_of_arguments_and_results_is_touched(isa, dtype, metric):
    assert flush_against_unmapped_memory(isa, dtype, metric) == ""


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_nor_of_half_types(dtype):
    def work(say):
        guard = Guard("after")
        for n in range(1, 34):
            for metric in POINT_METRICS:
                say(f"{metric} {dtype} {n}")
                points = guard(torch.rand(n, 3).to(dtype))
                pairs = guard(torch.combinations(torch.arange(n)))
                ops.trees(points, metric, None, None)
                ops.pair_lengths(points, pairs, metric)
                guard.free()

    assert in_a_child(work) == ""


@pytest.mark.parametrize("side", ["after", "before"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.int64])
def test_a_guarded_tensor_has_its_values_and_no_byte_beside_them(dtype, side):
    values = torch.arange(15, dtype=dtype).reshape(3, 5)
    placed = Guard(side)(values)
    assert torch.equal(placed, values)
    beside = placed.data_ptr() + (placed.nbytes if side == "after" else -1)

    def touch(say):
        say("one byte")
        ctypes.string_at(beside, 1)

    assert in_a_child(touch) in ("SIGSEGV in one byte", "SIGBUS in one byte")


def test_what_a_child_dies_of_is_told():
    def fail(say):
        say("the case")
        raise ValueError("the reason")

    assert in_a_child(lambda say: None) == ""
    assert in_a_child(fail).startswith("the case\nTraceback")
    assert "ValueError: the reason" in in_a_child(fail)


def test_results_are_guarded_too():
    guard = Guard("after")
    with guard.outputs():
        edges, weights = ops.trees(guard(torch.rand(4, 2)), "euclidean", None, None)
    assert guard.used == 3
    places = {t.data_ptr() + t.nbytes for t in (edges, weights)}
    assert all(end % PAGE == 0 for end in places)
    assert torch.empty is not guard.empty
