"""What every command line shares: faults in one sentence, exit codes, times in words."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from mil_rbc.errors import DataError, RunError
from mil_rbc.files import NO_ROOM, cannot_write


def command(main: Callable[[list[str]], None], argv: list[str] | None = None) -> int:
    """Run a command line; expected faults become one sentence on stderr, unless `--debug`.

    Returns:
        The exit code: 0, or 2 after a fault that was said, or 1 after one that was not foreseen.
    """
    arguments = sys.argv[1:] if argv is None else argv
    debug = "--debug" in arguments
    try:
        main([a for a in arguments if a != "--debug"])
    except (DataError, RunError) as error:
        if debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; give the same command again to go on", file=sys.stderr)
        return 130
    except Exception as error:
        if debug:
            raise
        said = f"{type(error).__name__}: {error}"
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            said = str(cannot_write(Path(str(error.filename)), error))
        print(f"error: {said} (--debug shows where)", file=sys.stderr)
        return 1
    return 0


def duration(seconds: float) -> str:
    """Write seconds as people say them."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
