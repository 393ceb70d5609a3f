"""Before a command is imported: which of its packages are missing, and what Ctrl-C says."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, distribution, requires
from types import TracebackType


def missing(extra: str = "mil") -> list[str]:
    """The packages of an extra of torchtopo that are not installed."""
    try:
        wanted = requires("torchtopo") or []
    except PackageNotFoundError:  # a checkout that was never installed; torchtopo itself says so
        return []
    names = [re.split(r"[^\w.-]", w)[0] for w in wanted if re.search(f"extra == .{extra}\\W", w)]
    return [name for name in names if not _installed(name)]


def sentence(packages: list[str]) -> str:
    """What to do about them."""
    return (
        f"mil_rbc needs {', '.join(packages)}, which are missing here: pip install "
        f"'torchtopo[mil]', or in a checkout pip install -e '.[mil]'"
    )


def interrupted(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """`sys.excepthook` of a command: Ctrl-C while it is being imported is one line."""
    if issubclass(kind, KeyboardInterrupt):
        print("stopped before anything was begun", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
