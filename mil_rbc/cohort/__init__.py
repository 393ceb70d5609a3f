"""Cohorts by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mil_rbc.bags import Cohort, DataError
from mil_rbc.cohort.recipe import Size

__all__ = ["NAMES", "load"]

NAMES = ("rendered",)


def load(
    name: str, data: Path | None = None, *, seed: int = 0, size: Size = "default", **options: Any
) -> Cohort:
    """Load a cohort by name."""
    if name == "rendered":
        from mil_rbc.cohort import rendered

        return rendered.load(seed=seed, size=size, **options)
    raise DataError(f"unknown cohort {name!r}: use one of {', '.join(NAMES)}")
