"""What deaths, diagrams and thresholds must be, and what is said of those that are not."""

from __future__ import annotations

import torch
from torch import Tensor

from torchtopo import _checks


def check_deaths(deaths: Tensor, cu_seqlens: Tensor | None = None, name: str = "deaths") -> None:
    """Raise unless `deaths` are `(*B, M)`, or `(T-B,)` of the clouds packed by `cu_seqlens`."""
    _check_floating(deaths, name)
    if deaths.dim() < 1:
        raise ValueError(f"{name} must have the shape (*B, M), got a scalar")
    if cu_seqlens is None:
        return
    _checks.check_cu_seqlens(cu_seqlens, deaths, name)
    if deaths.dim() != 1:
        raise ValueError(
            f"packed {name} have the shape (T-B,) of one number for each pair, "
            f"got {tuple(deaths.shape)}"
        )


def check_diagram(diagram: Tensor) -> None:
    """Raise unless `diagram` is `(*B, M, 2)`."""
    _check_floating(diagram, "diagram")
    if diagram.dim() < 2 or diagram.shape[-1] != 2:
        raise ValueError(
            f"diagram must have the shape (*B, M, 2), rows (birth, death), "
            f"got {tuple(diagram.shape)}"
        )


def check_thresholds(thresholds: Tensor, diagram: Tensor) -> None:
    """Raise unless `thresholds` are `(T,)`, floating; that they rise is asked on the CPU alone."""
    _check_floating(thresholds, "thresholds")
    if thresholds.dim() != 1 or thresholds.shape[0] == 0:
        raise ValueError(f"thresholds must have the shape (T,), got {tuple(thresholds.shape)}")
    if thresholds.device != diagram.device:
        raise ValueError(f"thresholds are on {thresholds.device}, the diagram on {diagram.device}")
    if not _checks.readable(thresholds):
        return
    falls = thresholds[1:] < thresholds[:-1]
    if bool(falls.any()):
        k = int(falls.nonzero()[0, 0])
        raise ValueError(
            f"thresholds must rise, but number {k + 1} is {float(thresholds[k + 1]):g} after "
            f"{float(thresholds[k]):g}; sort them"
        )


def measured(values: Tensor) -> Tensor:
    """Half types as float32, in which they are summed."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def _check_floating(values: object, name: str) -> None:
    _checks.check_dense(values, name)
    if values.dtype not in _checks.FLOATS:  # type: ignore[attr-defined]
        raise TypeError(
            f"{name} must be float16, bfloat16, float32 or float64, got {values.dtype}"  # type: ignore[attr-defined]
        )
