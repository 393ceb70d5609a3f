"""The two faults a user can mend, each said in one sentence."""

from __future__ import annotations


class DataError(ValueError):
    """A fault in the data, said in one sentence that names the file or row and what to do."""


class RunError(RuntimeError):
    """A fault in a run, said in one sentence that names the file or option and what to do."""
