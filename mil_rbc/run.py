"""The experiment of the paper with one command: `python -m mil_rbc.run`."""

from __future__ import annotations

import sys

from mil_rbc.cli import command
from mil_rbc.options import parse

DESCRIPTION = "Train and test every variant of the paper's Table 1 and write a report."


def main(argv: list[str]) -> None:
    """Run the command line; torch and the like are imported once there is something to train."""
    options, further = parse("python -m mil_rbc.run", DESCRIPTION, argv)
    from mil_rbc.experiment import run

    run(options, preset=str(further["preset"]), argv=argv)


if __name__ == "__main__":
    sys.exit(command(main))
