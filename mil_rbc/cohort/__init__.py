"""Cohorts by name."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mil_rbc.data.bags import Cohort, Words
from mil_rbc.errors import DataError
from mil_rbc.registry import Registry
from mil_rbc.smears.recipe import Size

__all__ = ["COHORTS", "Source", "load"]


@dataclass(frozen=True)
class Source:
    """Where a cohort comes from, and what the rest of the experiment has to know about it.

    Attributes:
        loader: "module:function"; imported when it is asked for, since some import much.
        help: what it is, for `--help`.
        words: what the report calls its parts.
        prepared: its instances are prepared in a way of their own, so a model of them has nothing
            to say about crops of other images.
        fixed: arguments of the function that this name stands for.
    """

    loader: str
    help: str = ""
    words: Words = field(default_factory=Words)
    prepared: bool = False
    fixed: dict[str, Any] = field(default_factory=dict)

    @property
    def load(self) -> Callable[..., Cohort]:
        """The function that loads it."""
        return partial(pkgutil.resolve_name(self.loader), **self.fixed)

    def options(self) -> list[str]:
        """Options of its own, beside folder, seed and size."""
        known = inspect.signature(self.load).parameters
        return [name for name in known if name not in ("data", "seed", "size", *self.fixed)]


def _cells(found: str) -> Words:
    return Words("blood samples", "single cells", blood=True, found=found)


def _nih(control: bool) -> Source:
    fixed = {"control": control}
    words = _cells("cut out by those who published them")
    return Source("mil_rbc.cohort.nih:load", words=words, prepared=True, fixed=fixed)


def _benchmark(name: str, samples: str, instances: str) -> Source:
    return Source(
        "mil_rbc.cohort.benchmarks:load", words=Words(samples, instances), fixed={"name": name}
    )


COHORTS = Registry(
    "cohort",
    {
        "rendered": Source(
            "mil_rbc.cohort.rendered:load",
            "needs no data",
            _cells("cut at the boxes they were rendered in, unless a detector is named"),
        ),
        "chula": Source(
            "mil_rbc.cohort.chula:load", words=_cells("cut around labelled centres"), prepared=True
        ),
        "nih": _nih(control=False),
        "nih-control": _nih(control=True),
        "musk1": _benchmark("musk1", "molecules", "conformations"),
        "musk2": _benchmark("musk2", "molecules", "conformations"),
        "elephant": _benchmark("elephant", "pictures", "segments"),
        "fox": _benchmark("fox", "pictures", "segments"),
        "tiger": _benchmark("tiger", "pictures", "segments"),
        "mnist": Source("mil_rbc.cohort.mnist:load", words=Words("bags", "digits"), prepared=True),
        "bags": Source(
            "mil_rbc.cohort.folders:load_bags",
            "a folder of bags",
            _cells("as the folder holds them"),
        ),
        "images": Source(
            "mil_rbc.cohort.folders:load_images",
            "a folder of images",
            _cells("by the detector that is named, a watershed if none is"),
        ),
    },
    DataError,
)


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
    source = COHORTS[name]
    free = source.options()
    for option in options:
        if option not in free:
            raise DataError(
                f"cohort {name!r} has no option {option!r}: it has {', '.join(free) or 'none'}"
            )
    given = {"data": data, "seed": seed, "size": size}
    known = inspect.signature(source.load).parameters
    cohort = source.load(**{key: v for key, v in given.items() if key in known}, **options)
    cohort.words, cohort.prepared = cohort.words or source.words, source.prepared
    return cohort
