"""The confirmatory experiment: `python -m mil_rbc.confirm run --data DATA`, then `... report`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import pandas as pd
from jsonargparse import ArgumentParser

from mil_rbc.cli import call, command, parse_arguments
from mil_rbc.confirm.plan import Plan
from mil_rbc.confirm.report import describe, effects, trials
from mil_rbc.errors import RunError
from mil_rbc.files import write_whole
from mil_rbc.options import Options
from mil_rbc.training.trial import grid

HASH = "plan.sha256"


def run(
    data: Path,
    out: Path = Path("runs/confirm"),
    only: list[str] | None = None,
    pooling: list[str] | None = None,
    plan: str = "plan",
) -> None:
    """Run what is not run yet, in the plan's order; stop it when you like and start it again.

    Args:
        data: folder with the folders chula_rbc12, nih_malaria, mil_benchmarks and mnist.
        out: where to; one folder for each cohort.
        only: cohorts to run, if not all.
        pooling: poolings to run, if not all.
        plan: which one: plan; regimes, of the papers' losses and heads; default, of that preset.
    """
    from mil_rbc.experiment import run as run_cohort

    read = Plan.read(plan)
    stamp = out / HASH
    if stamp.exists() and stamp.read_text().strip() != read.sha256:
        raise RunError(
            f"{out} holds results of another plan than {plan}.yaml: choose another --out"
        )
    write_whole(stamp, read.sha256 + "\n")
    for kind, names, known in (("cohort", only, read.cohorts), ("pooling", pooling, read.poolings)):
        for name in names or ():
            if name not in known:
                raise RunError(f"the plan has no {kind} {name!r}: it has {', '.join(known)}")
    for name, planned in read.steps():
        poolings = [p for p in planned if not pooling or p in pooling]
        if (only and name not in only) or not poolings:
            continue
        options = read.run_options(name, poolings, data, out)
        if tabled(options):
            continue
        print(f"== {name}: {', '.join(poolings)}", file=sys.stderr)
        run_cohort(options, preset="default", report=False)
    report(out, plan)


def tabled(options: Options) -> bool:
    """Whether results.csv holds every trial, so that a command given again need load nothing."""
    path = options.folder.table("results")
    if not path.exists():
        return False
    there = pd.read_csv(path)[["pooling", "topology", "fold", "run"]]
    return {astuple(t) for t in grid(options)} <= {*there.itertuples(index=False, name=None)}


def report(out: Path = Path("runs/confirm"), plan: str = "plan") -> str:
    """Pool what has been run: effects.csv, confirm.md and forest.png.

    Args:
        out: where the results of `run` lie.
        plan: which one they are of.
    """
    read = Plan.read(plan)
    stamp = out / HASH
    if not stamp.exists():
        raise RunError(f"{out} holds no results: python -m mil_rbc.confirm run --out {out}")
    if stamp.read_text().strip() != read.sha256:
        raise RunError(f"{out} holds results of another plan than {plan}.yaml: see --plan")
    table = effects(read, trials(read, out))
    if table.empty:
        raise RunError(f"{out} holds no finished cohort yet: run on")
    write_whole(out / "effects.csv", table.to_csv(index=False))
    text = describe(read, table)
    write_whole(out / "confirm.md", text)
    from mil_rbc.confirm.forest import forest

    write_whole(out / "forest.png", forest(read, table))
    print(text)
    return text


COMMANDS: dict[str, Callable[..., object]] = {"run": run, "report": report}


def main(argv: list[str]) -> None:
    """Run one of the commands."""
    program = "python -m mil_rbc.confirm"
    name = argv[0] if argv else ""
    if name not in COMMANDS:
        top = ArgumentParser(prog=f"{program} {{{','.join(COMMANDS)}}}", exit_on_error=False,
                             description=(__doc__ or "").strip())  # fmt: skip
        parse_arguments(top, [a for a in argv if a.startswith("-")])  # --help ends here
        raise RunError(
            f"{program} takes a command first, {' or '.join(COMMANDS)}, each with --help"
        )
    call(f"{program} {name}", COMMANDS[name], argv[1:])


if __name__ == "__main__":
    sys.exit(command(main))
