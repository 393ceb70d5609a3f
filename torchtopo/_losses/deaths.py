"""Deaths as the losses take them, and the checks of their arguments."""

from __future__ import annotations

import torch
from torch import Tensor

from torchtopo import _checks
from torchtopo._filtrations.rips import tree
from torchtopo._lengths import with_gradient


def measured_deaths(
    points: Tensor,
    metric: str,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    validate: bool,
    name: str = "z",
    max_seqlen: int | None = None,
) -> Tensor:
    """`torchtopo.deaths` before rounding to a half type."""
    if validate:
        _checks.check_values(points, metric, lengths, cu_seqlens, name, max_seqlen)
    pairs, weights = tree(points, metric, lengths, cu_seqlens, name, max_seqlen)
    return with_gradient(weights, points, pairs, metric)


def check_cloud(
    points: Tensor,
    metric: str,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    name: str = "z",
    max_seqlen: int | None = None,
) -> None:
    """Check a batch of clouds in whichever form it comes; reads values for `max_seqlen` alone."""
    _checks.check_space(points, metric, name)
    _checks.check_ragged(lengths, cu_seqlens, max_seqlen)
    if cu_seqlens is None:
        _checks.check_points(points, metric, lengths, name)
        return
    _checks.check_packed(points, cu_seqlens, metric, name)
    if max_seqlen is not None and _checks.readable(cu_seqlens):
        _checks.check_no_longer(cu_seqlens, max_seqlen)


def check_number(value: object, name: str, *, least: float = 0.0, positive: bool = False) -> None:
    """Raise ValueError unless `value` is a finite number that is not below `least`."""
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if fits:
        number = float(value)  # type: ignore[arg-type]
        fits = least <= number < torch.inf and not (positive and number == 0)
    if not fits:
        wanted = "a positive number" if positive else f"a number of at least {least:g}"
        raise ValueError(f"{name} must be {wanted}, got {value!r}")
