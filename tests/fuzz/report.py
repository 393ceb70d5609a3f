"""A draw that fails, made smaller and written as a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

Arguments = dict[str, Any]


Fails = Callable[[Arguments], bool]


def smaller(arguments: Arguments, fails: Fails, tries: int) -> Arguments:
    """Bags, points, coordinates and settings left out as long as the draw still fails."""
    found = True
    while found and tries > 0:
        found = False
        for candidate in _steps(arguments):
            tries -= 1
            if fails(candidate):
                arguments, found = candidate, True
                break
            if tries <= 0:
                break
    return arguments


def _steps(arguments: Arguments) -> Iterator[Arguments]:
    """Arguments that are one step smaller."""
    simple = {"layout": "plain", "threads": 1, "isa": "best", "flush": False, "mode": "alone"}
    bags = arguments.get("bags", [])
    if len(bags) > 1:
        del simple["mode"]
    for name, value in simple.items():
        if arguments.get(name, value) != value:
            yield {**arguments, name: value}
    metrics = arguments.get("metrics") or [arguments.get("metric", "euclidean")] * 2
    for b in range(len(bags)) if len(bags) > 1 else ():
        yield {**arguments, "bags": bags[:b] + bags[b + 1 :]}
    for b, bag in enumerate(bags):
        n = len(bag[0])
        for kept in _less(n):
            less = tuple(
                space[kept][:, kept] if metric == "precomputed" else space[kept]
                for space, metric in zip(bag, metrics, strict=False)
            )
            yield {**arguments, "bags": [*bags[:b], less, *bags[b + 1 :]]}
    for which in range(len(bags[0]) if bags else 0):
        if metrics[which] != "precomputed":
            for kept in _less(bags[0][which].shape[1]):
                narrow = [(*bag[:which], bag[which][:, kept], *bag[which + 1 :]) for bag in bags]
                yield {**arguments, "bags": narrow}
        coarse = [(*bag[:which], _coarse(bag[which]), *bag[which + 1 :]) for bag in bags]
        if any(not torch.equal(a[which], b[which]) for a, b in zip(coarse, bags, strict=True)):
            yield {**arguments, "bags": coarse}


def _coarse(values: Tensor) -> Tensor:
    """Values of at most three digits."""
    digits = [float(f"{x:.2e}") for x in values.double().flatten().tolist()]
    same = torch.tensor(digits, dtype=torch.float64).to(values.dtype).reshape(values.shape)
    return torch.where(values.isfinite(), same, values)


def _less(n: int) -> Iterator[list[int]]:
    """Fewer of n things: each half, then all but one."""
    if n > 3:
        yield from (list(range(n // 2)), list(range(n // 2, n)))
    if n > 1:
        yield from ([*range(i), *range(i + 1, n)] for i in range(n))


def as_test(check: str, arguments: Arguments, seed: int, number: int, reason: str) -> str:
    """Python that fails as the draw did, to be pasted into a file of tests."""
    words = "".join(f"        {name}={_literal(value)},\n" for name, value in arguments.items())
    if len(words) > 12_000:  # too long to be read
        words = f"        **draw({seed}, {number})[1]\n"
    return (
        f"# {reason.splitlines()[0][:300]}\n"
        f"def test_{check}_drawn_as_{number}_of_seed_{seed}():\n"
        f"    checks.{check}(\n{words}    )\n"
    )


HEADER = """import torch
from torch import inf, nan

from tests.fuzz import checks
from tests.fuzz.draws import draw
"""


def _literal(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"torch.tensor({_numbers(value)}, dtype={value.dtype})"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if isinstance(value, tuple):
        return "(" + "".join(_literal(part) + ", " for part in value).rstrip() + ")"
    return str(value) if isinstance(value, torch.dtype) else repr(value)


def _numbers(values: Tensor) -> str:
    """The shortest decimals that the type reads back as these values."""
    if values.dtype in (torch.float16, torch.float32):
        short = [float(str(x)) for x in values.flatten().numpy()]
        values = torch.tensor(short, dtype=torch.float64).reshape(values.shape)
    return repr(values.double().tolist() if values.is_floating_point() else values.tolist())
