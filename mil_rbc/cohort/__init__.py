"""Cohorts by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mil_rbc.cohort import benchmarks, chula, folders, mnist, nih, rendered
from mil_rbc.data.bags import Cohort
from mil_rbc.errors import DataError
from mil_rbc.smears.recipe import Size

__all__ = ["COHORTS", "load"]

COHORTS: dict[str, Callable[..., Cohort]] = {
    "rendered": rendered.load,
    "chula": chula.load,
    "nih": nih.load,
    "nih-control": partial(nih.load, control=True),
    **{name: partial(benchmarks.load, name) for name in benchmarks.WIDTHS},
    "mnist": mnist.load,
    "bags": folders.load_bags,
    "images": folders.load_images,
}


def load(
    name: str, data: Path | None = None, *, seed: int = 0, size: Size = "default", **options: Any
) -> Cohort:
    """Load a cohort by name.

    Args:
        name: a key of `COHORTS`; docs/cohorts.md says what each is and where to get it.
        data: the folder its data lie in; `rendered` needs none.
        seed: of whatever is drawn: rendered cells, bags, patients.
        size: `"smoke"`, `"default"` or `"paper"`, for cohorts that come in sizes.
        options: further options of that cohort.

    Returns:
        The cohort.

    Raises:
        DataError: if the name or an option is unknown, or the data are at fault.

    Examples:
        >>> load("rendered", seed=0, size="smoke").kind
        'crop'
    """
    if name not in COHORTS:
        raise DataError(f"unknown cohort {name!r}: use one of {', '.join(COHORTS)}")
    make = COHORTS[name]
    known = inspect.signature(make).parameters
    given = {"data": data, "seed": seed, "size": size}
    free = [option for option in known if option not in given and option != "name"]
    for option in options:
        if option not in free:
            raise DataError(
                f"cohort {name!r} has no option {option!r}: it has {', '.join(free) or 'none'}"
            )
    return make(**{key: value for key, value in given.items() if key in known}, **options)
