"""What was found against what is right: to the bit, within slack, up to rounding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def same(found: Tensor, expected: Tensor, what: str) -> None:
    """Equal to the bit, but that any NaN is any other."""
    assert found.dtype == expected.dtype, f"{what}: {found.dtype} for {expected.dtype}"
    assert found.shape == expected.shape, f"{what}: {found.shape} for {expected.shape}"
    if found.is_floating_point():
        wrong = ~((found == expected) | (found.isnan() & expected.isnan()))
        assert not bool(wrong.any()), f"{what}: {found[wrong]} for {expected[wrong]}"
    assert torch.equal(found.nan_to_num(), expected.nan_to_num()), f"{what}: {found}, {expected}"


def close(found: Tensor, expected: Sequence[float], slack: Sequence[float], what: str) -> None:
    """Within `slack` of numbers in float64, once these are rounded to the type found."""
    right = torch.tensor(expected, dtype=torch.float64).reshape(found.shape)
    room = torch.tensor(slack, dtype=torch.float64).reshape(found.shape)
    got = found.double()
    rounded = right.to(found.dtype).double()
    edge = torch.finfo(found.dtype).max
    good = (
        (got == rounded)
        | (got.isnan() & right.isnan())
        | ((got - right).abs() <= room)
        | room.isinf()
        | (got.isinf() & (got.sign() == right.sign()) & (right.abs() + room > edge))
        | (rounded.isinf() & (got.sign() == right.sign()) & (got.abs() + room >= edge))
    )
    assert bool(good.all()), f"{what}: {found[~good].tolist()} for {right[~good].tolist()}"


def near(found: Tensor, expected: Tensor, *terms: Tensor, ulps: int = 512) -> None:
    """Equal up to rounding of sums whose terms may be as large as the largest of these."""
    sizes = torch.cat([v.flatten() for v in (expected, *terms)]).abs()
    scale = sizes[sizes.isfinite()].max().item() if sizes.isfinite().any() else 0.0
    eps = ulps * torch.finfo(expected.dtype).eps
    torch.testing.assert_close(found, expected, rtol=eps, atol=eps * scale, equal_nan=True)
