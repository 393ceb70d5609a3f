"""Things by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn, TypeVar

from mil_rbc.errors import DataError, RunError

T = TypeVar("T")


class Registry(dict[str, T]):
    """A dict from names to entries that says in a sentence which names there are.

    An entry describes itself: whatever else depends on a name is a field of its entry, so that a
    new one is one line in one place and no list of names elsewhere can forget it.

    Args:
        what: what an entry is called.
        entries: the entries in the order of tables and help.
        error: raised for a name that is not there.

    Examples:
        >>> Registry("shape", {"round": 1})["square"]
        Traceback (most recent call last):
        mil_rbc.errors.RunError: unknown shape 'square': use one of round
    """

    def __init__(
        self,
        what: str,
        entries: Mapping[str, T],
        error: type[DataError] | type[RunError] = RunError,
    ) -> None:
        super().__init__(entries)
        self.what, self.error = what, error

    def __missing__(self, name: str) -> NoReturn:
        raise self.error(f"unknown {self.what} {name!r}: use one of {', '.join(self)}")

    def ordered(self, names: object) -> list[str]:
        """Those of `names`, any container, that are here, in the order of the entries."""
        return [name for name in self if name in names]  # type: ignore[operator]
