"""What every command line shares: faults in one sentence, exit codes, times in words."""

from __future__ import annotations

import difflib
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from mil_rbc.errors import DataError, RunError
from mil_rbc.files import NO_ROOM, cannot_write

WRONG = re.compile(
    r"Parser key \"(\w+)\"(?: element \d+)?: Expected a "
    r"(?:<class '(\w+)'>|typing\.Literal\[(.*?)\])\. Got value: (.*)"
)


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


def parse_arguments(parser: ArgumentParser, argv: list[str], defaults: bool = True) -> Namespace:
    """Parse arguments; a fault is one sentence, without the list of all options before it.

    Args:
        parser: made with `exit_on_error=False`.
        argv: the arguments.
        defaults: whether options that were not given are there too.

    Raises:
        RunError: for an option that is unknown (the nearest one is named) or a value that it cannot
            have.
    """
    argv = [_underscored(argument) for argument in argv]
    try:
        return parser.parse_args(argv, defaults=defaults)
    except ArgumentError as error:
        said = " ".join(str(error).split())
        known = [name for action in parser._actions for name in action.option_strings]
        given = [a.partition("=")[0] for a in argv if a.startswith("--")]
        unknown = [name for name in given if name not in known]
        if not unknown:
            if found := WRONG.fullmatch(said):
                name, kind, choices, value = found.groups()
                wanted = f"one of {choices}" if choices else f"a value of type {kind}"
                said = f"--{name} cannot be {value}: give {wanted}"
            raise RunError(f"{said} (--help lists the options)") from error
        near = difflib.get_close_matches(unknown[0], known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise RunError(f"there is no option {unknown[0]}{hint} (--help lists them)") from error


def call(
    program: str,
    function: Callable[..., object],
    argv: list[str],
    positional: tuple[tuple[str, dict[str, Any]], ...] = (),
    epilog: str = "",
) -> None:
    """Call a function with the arguments that a command line made of its signature reads.

    Args:
        program: what the help calls the command.
        function: its docstring's first line describes the command, its `Args` the options.
        argv: the arguments.
        positional: parameters that are given without a flag, each with what `add_argument` takes.
        epilog: of the help.

    Raises:
        RunError: as `parse_arguments`.
    """
    says = (function.__doc__ or "").partition("\n")[0]
    parser = ArgumentParser(prog=program, description=says, epilog=epilog, exit_on_error=False)
    for name, keywords in positional:
        parser.add_argument(name, **keywords)
    parser.add_function_arguments(
        function, as_positional=False, skip={name for name, _ in positional}
    )
    function(**parser.instantiate(parse_arguments(parser, argv)).as_dict())


def _underscored(argument: str) -> str:
    """`--lam-ratio=1` as `--lam_ratio=1`: both spellings are one option."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


def duration(seconds: float) -> str:
    """Write seconds as people say them."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
