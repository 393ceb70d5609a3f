"""The experiment of the paper with one command: `python -m mil_rbc.run`."""

from __future__ import annotations

import dataclasses
import os
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from mil_rbc import __version__
from mil_rbc.cli import command, duration
from mil_rbc.cohort import COHORTS, load
from mil_rbc.data.bags import Cohort
from mil_rbc.data.folds import Split, split_hash
from mil_rbc.data.store import load_cohort, save_cohort
from mil_rbc.errors import RunError
from mil_rbc.files import write_whole
from mil_rbc.model.pooling import POOLINGS
from mil_rbc.options import FREE, Options, parse, plain
from mil_rbc.report.tables import write_tables
from mil_rbc.training.execute import run_trials
from mil_rbc.training.trial import deal_runs, grid

DESCRIPTION = "Train and test every variant of the paper's Table 1 and write a report."


def main(argv: list[str]) -> None:
    """Run the command line."""
    options, further = parse("python -m mil_rbc.run", DESCRIPTION, argv)
    run(options, preset=str(further["preset"]), argv=argv)


def run(
    options: Options, preset: str = "", argv: list[str] | None = None, *, report: bool = True
) -> dict[str, pd.DataFrame]:
    """Load the cohort, train what is not trained yet, write tables, figures and report.

    Returns:
        The tables by name; none in a process that only helps a strategy.
    """
    start, started = time.monotonic(), time.time()
    first = int(os.environ.get("LOCAL_RANK", "0")) == 0  # of the processes of a strategy
    stored, asked = _stored(options), options
    if stored is not None:
        options = _with_finished(options, stored)
    cohort_file = options.out / "cohort.npz"
    cohort = _cohort(options, cohort_file)
    if len(set(cohort.labels.tolist())) < 2:
        raise RunError(
            f"all {len(cohort.bags)} bags have the class {cohort.classes[cohort.bags[0].label]!r}: "
            f"there is nothing to tell apart; add samples of another class"
        )
    splits = deal_runs(cohort, options)
    record = _record(cohort, splits, options, argv or [])
    if stored is not None:
        _same_data(options.out, stored["record"], record)
        record["seconds_before"] = _seconds_before(options.out, stored["record"])
        if options != asked:  # the command that makes all of it again
            record["command"] = stored["record"]["command"]
    record["started"] = started
    if first:
        if stored is None or not cohort_file.exists():
            save_cohort(cohort_file, cohort)
        _write_config(options, preset, record)
        size = f"{len(cohort.bags)} bags of {len(set(cohort.patients))} patients"
        print(f"{options.cohort}: {size}. {cohort.provenance}", file=sys.stderr)
    trials = grid(options)
    results = run_trials(trials, splits, options, cohort_file)
    if not first:
        return {}
    seconds = record.pop("seconds_before", 0.0) + time.monotonic() - start
    record["seconds"] = round(seconds, 1)
    del record["started"]
    _write_config(options, preset, record)
    said = describe(options, cohort, record)
    tables = write_tables(
        options.out, trials, results, list(cohort.classes), cohort.provenance, options, said
    )
    if not report:
        return tables
    from mil_rbc.report.page import write_report

    write_report(options, cohort, trials, splits, tables, record, said)
    print((options.out / "table1.md").read_text())
    print(f"{options.out / 'report.html'} ({duration(time.monotonic() - start)})")
    return tables


def describe(options: Options, cohort: Cohort, record: dict[str, Any]) -> str:
    """Say in a sentence what was run."""
    if options.topology == ["off"]:
        topology = "no topological regularization"
    else:
        scale = "÷ √D" if options.scale == "rms" else "as they are"
        topology = (
            f"λ = {options.lam:g}, signature loss of convention '{options.convention}' on "
            f"{record['space']} ({scale})"
        )
    chosen = {"paper": "last epoch tested", "nested": "epoch chosen on an inner validation split"}
    folds = f"{options.folds} folds" if options.folds > 1 else "one split"
    return (f"{folds} × {options.runs} run{'s' if options.runs > 1 else ''}, {options.epochs} "
            f"epochs, {chosen[options.protocol]}; {topology}; anomaly-aware pooling of preset "
            f"'{options.anomaly}'; seed {options.seed}.")  # fmt: skip


def _cohort(options: Options, file: Path) -> Cohort:
    if options.cohort == "rendered" and file.exists():  # rendering takes longer than reading
        return load_cohort(file)
    extra = dict(options.cohort_options)
    if "folds" in COHORTS[options.cohort].options():
        extra.setdefault("folds", options.folds)  # the source of the cells decides the folds
    return load(options.cohort, options.data, seed=options.cohort_seed, size=options.size, **extra)


def _record(
    cohort: Cohort, splits: list[list[Split]], options: Options, argv: list[str]
) -> dict[str, Any]:
    import lightning
    import numpy
    import sklearn
    import torch

    from mil_rbc.model.topology import resolve_space

    return {
        "command": shlex.join(["python", "-m", "mil_rbc.run", *argv]),
        "versions": {
            "mil_rbc": __version__, "torch": str(torch.__version__),
            "lightning": lightning.__version__, "numpy": numpy.__version__,
            "scikit-learn": sklearn.__version__, "python": platform.python_version(),
        },
        "machine": f"{platform.machine()}, {os.cpu_count()} cores"
                   + (f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""),
        "provenance": cohort.provenance,
        "classes": list(cohort.classes),
        "space": resolve_space(options.space, cohort.kind),
        "data_sha256": cohort.data_hash(),
        "cells_sha256": cohort.cells_hash(),
        "split_sha256": [split_hash(cohort, s) for s in splits],
        "seeds": {f"fold{t.fold}-run{t.run}": t.seed(options.seed) for t in grid(options)},
    }  # fmt: skip


def _write_config(options: Options, preset: str, record: dict[str, Any]) -> None:
    values = {**plain(options), "preset": preset, "record": record}
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)
    write_whole(options.out / "config.yaml", text)


def _stored(options: Options) -> dict[str, Any] | None:
    """Settings of an earlier run in the same folder, which this one must go on with."""
    path = options.out / "config.yaml"
    if not path.exists():
        return None
    stored = yaml.safe_load(path.read_text())
    if not isinstance(stored, dict) or "record" not in stored:
        raise RunError(f"{path} is not what a run wrote: delete it, or choose another --out")
    for name, value in plain(options).items():
        if name in FREE or stored.get(name) == value:
            continue
        if not any(options.out.glob("trials/*/*")):  # stopped before anything was trained
            (options.out / "cohort.npz").unlink(missing_ok=True)
            return None
        raise RunError(
            f"{options.out} holds a run with --{name} {stored.get(name)}, not {value}: give "
            f"that, or another --out"
        )
    return stored


def _seconds_before(out: Path, record: dict[str, Any]) -> float:
    """Wall time of the earlier goes at a run, also of one that was killed."""
    if "seconds" in record:
        return float(record["seconds"])
    signs_of_life = [path.stat().st_mtime for path in out.glob("trials/*/*")]
    started = float(record.get("started", float("inf")))
    before = float(record.get("seconds_before", 0.0))
    return before + max(0.0, max(signs_of_life, default=0.0) - started)


def _with_finished(options: Options, stored: dict[str, Any]) -> Options:
    """The options with the further trials that the folder holds, if all of them are finished."""
    wider = dataclasses.replace(
        options,
        pooling=POOLINGS.ordered({*options.pooling, *stored["pooling"]}),
        topology=[a for a in ("off", "on") if a in {*options.topology, *stored["topology"]}],
        runs=max(options.runs, stored["runs"]),
    )
    asked = set(grid(options))
    further = [t for t in grid(wider) if t not in asked]
    if not further or any(
        not (options.out / "trials" / t.name / "result.json").exists() for t in further
    ):
        return options
    print(f"{options.out} holds {len(further)} further trials: the tables show them too",
          file=sys.stderr)  # fmt: skip
    return wider


def _same_data(out: Path, stored: dict[str, Any], now: dict[str, Any]) -> None:
    if stored["data_sha256"] != now["data_sha256"]:
        raise RunError(f"{out} holds a run on other data than are there now: choose another --out")
    if stored.get("cells_sha256", now["cells_sha256"]) != now["cells_sha256"]:
        raise RunError(f"{out} holds a run with other cell labels than now: choose another --out")
    shared = min(len(stored["split_sha256"]), len(now["split_sha256"]))
    if stored["split_sha256"][:shared] != now["split_sha256"][:shared]:
        raise RunError(f"{out} holds a run with other folds: choose another --out")


if __name__ == "__main__":
    sys.exit(command(main))
