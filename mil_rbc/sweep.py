"""The same experiment over a grid of option values: `python -m mil_rbc.sweep`."""

from __future__ import annotations

import dataclasses
import itertools
import re
import sys
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml

from mil_rbc.cli import command
from mil_rbc.errors import RunError
from mil_rbc.experiment import run
from mil_rbc.files import write_again, write_whole
from mil_rbc.markdown import table as markdown
from mil_rbc.options import Further, Options, parse, value_of
from mil_rbc.report import figures
from mil_rbc.report.statistics import METRICS
from mil_rbc.run_folder import RunFolder

DESCRIPTION = "Run the experiment for every combination of some options' values."
OWN: Further = [
    ("--vary", {"action": "append", "type": str, "default": [],
                "help": "NAME=VALUE,VALUE,...: values of an option, or of a cohort's own as "
                        "cohort_options.NAME; may be given again for another"}),
    ("--one_at_a_time", {"action": "store_true", "default": False,
                         "help": "each further value alone beside the first of every other axis, "
                                 "instead of every combination"}),
    ("--report", {"type": Literal["validation", "test"], "default": "validation",
                  "help": "which folds the table is read from"}),
]  # fmt: skip
Axis = tuple[str, list[Any]]  # an option with its values
VALIDATED = {"L_MIL_validation": "L_MIL_validation", "accuracy_validation": "accuracy_validation"}


def main(argv: list[str]) -> None:
    """Run the command line."""
    options, further = parse("python -m mil_rbc.sweep", DESCRIPTION, argv, OWN)
    if not further["vary"]:
        raise RunError("nothing to vary: give --vary NAME=VALUE,VALUE, such as --vary lam=0.05,5")
    axes = [_axis(text) for text in further["vary"]]
    settings = _one_at_a_time(axes) if further["one_at_a_time"] else _grid(axes)
    sweep(options, settings, further["report"], str(further["preset"]))


def sweep(
    options: Options, settings: list[dict[str, Any]], measure: str, preset: str = ""
) -> pd.DataFrame:
    """Run every setting, and write `sweep.csv`, `sweep.md` and `figures/sweep.png`.

    Args:
        options: of all runs; each goes to its own folder below `options.out`.
        settings: the varied options of each run by name.
        measure: `"validation"` trains with the protocol nested and reads only inner validation
            folds, so that options may be chosen by it; `"test"` reads the test folds, for curves
            along something that is not chosen, such as the number of training bags.
        preset: which preset the options come from, for the record.

    Returns:
        One row per setting, pooling and arm, with mean and standard deviation of each metric.
    """
    if measure == "validation":
        options = dataclasses.replace(options, protocol="nested", test_every=0)
    rows, cells = [], list[Options]()
    for chosen in settings:
        name = "_".join(f"{k.split('.')[-1]}={_said(v)}" for k, v in chosen.items())
        cell = _with(options, chosen, options.out / re.sub(r"[^\w.=+-]", "-", name))
        print(f"== {name}", file=sys.stderr)
        _share_cohort(cells, cell)
        cells.append(cell)
        results = run(cell, preset, report=False)["results"]
        for (pooling, arm), part in results.groupby(["pooling", "topology"], sort=False):
            row = {**chosen, "pooling": pooling, "topology": arm, "trials": len(part)}
            for metric in VALIDATED if measure == "validation" else METRICS:
                row |= {f"{metric}_mean": part[metric].mean(), f"{metric}_std": part[metric].std()}
            row["topo_to_class"] = part["topo_to_class"].mean()
            rows.append(row)
    table = pd.DataFrame(rows)
    write_whole(options.out / "sweep.csv", table.to_csv(index=False))
    shown = [list(map(_said, row)) for row in table.itertuples(index=False)]
    text = f"Read from {measure} folds, {options.folds} folds × {options.runs} runs, seed "
    text += f"{options.seed}.\n\n{markdown(table.columns, shown)}\n"
    write_whole(options.out / "sweep.md", text)
    write_whole(options.out / "figures" / "sweep.png",
                figures.draw(figures.sweep, table, next(iter(settings[0])), measure,
                             provenance=_provenance(cells[0].folder)))  # fmt: skip
    print(text)
    return table


def _provenance(folder: RunFolder) -> str:
    found = folder.read_config()
    return found[1].provenance if found else ""


def _axis(text: str) -> Axis:
    name, _, values = text.partition("=")
    known = {f.name for f in dataclasses.fields(Options)}
    if name.split(".")[0] not in known or not values:
        raise RunError(f"--vary {text}: write NAME=VALUE,VALUE with an option of mil_rbc.run")
    if "." in name:
        return name, [yaml.safe_load(v) for v in values.split(",")]
    return name, [value_of(name, v) for v in values.split(",")]


def _grid(axes: list[Axis]) -> list[dict[str, Any]]:
    names = [name for name, _ in axes]
    every = itertools.product(*(values for _, values in axes))
    return [dict(zip(names, values, strict=True)) for values in every]


def _one_at_a_time(axes: list[Axis]) -> list[dict[str, Any]]:
    first = {name: values[0] for name, values in axes}
    return [first] + [{**first, name: v} for name, values in axes for v in values[1:]]


def _with(options: Options, chosen: dict[str, Any], out: Path) -> Options:
    plain = {k: v for k, v in chosen.items() if "." not in k}
    inner = {k.split(".", 1)[1]: v for k, v in chosen.items() if k.startswith("cohort_options.")}
    cohort_options = {**options.cohort_options, **inner}
    made = dataclasses.replace(options, **plain, cohort_options=cohort_options, out=out)
    made.check()
    return made


def _share_cohort(before: list[Options], now: Options) -> None:
    """Copy the cohort and its features from an earlier combination that draws the same one."""
    names = ("cohort", "data", "size", "cohort_seed", "cohort_options", "instances")
    same = [o for o in before if all(getattr(o, n) == getattr(now, n) for n in names)]
    target = now.folder.cohort
    if same and not target.exists():
        for file in same[0].out.glob("features-*.npy"):
            write_again(file, now.out / file.name)
        write_again(same[0].folder.cohort, target)


def _said(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(command(main))
