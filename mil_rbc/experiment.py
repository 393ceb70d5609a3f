"""One run of the experiment: cohort, trials, tables, report."""

from __future__ import annotations

import dataclasses
import os
import platform
import shlex
import sys
import time
from importlib import metadata
from typing import Any

import pandas as pd

from mil_rbc import __version__
from mil_rbc.cli import duration
from mil_rbc.cohort import COHORTS, load
from mil_rbc.data.bags import Cohort
from mil_rbc.data.folds import Split, split_hash
from mil_rbc.data.store import load_cohort, save_cohort
from mil_rbc.errors import DataError, RunError
from mil_rbc.instances import prepare
from mil_rbc.model.choices import SCALES
from mil_rbc.model.variants import ARMS, OFF, POOLINGS
from mil_rbc.options import FREE, Options, plain
from mil_rbc.report.tables import write_tables
from mil_rbc.run_folder import Record
from mil_rbc.training import threads
from mil_rbc.training.baselines import baselines
from mil_rbc.training.execute import run_trials
from mil_rbc.training.material import shares
from mil_rbc.training.trial import deal_runs, grid


def run(
    options: Options, preset: str = "", argv: list[str] | None = None, *, report: bool = True
) -> dict[str, pd.DataFrame]:
    """Load the cohort, train what is not trained yet, write tables, figures and report.

    Returns:
        The tables by name; none in a process that only helps a strategy.
    """
    if int(os.environ.get("LOCAL_RANK", "0")) > 0:  # the first process of a strategy has the folder
        return _run(options, preset, argv or [], report=report, first=False)
    with options.folder.held():
        return _run(options, preset, argv or [], report=report, first=True)


def _run(
    options: Options, preset: str, argv: list[str], *, report: bool, first: bool
) -> dict[str, pd.DataFrame]:
    start, started = time.monotonic(), time.time()
    folder, asked = options.folder, options
    stored = _stored(options)
    if stored is not None:
        options = _with_finished(options, stored[0])
    threads.bind(threads.of_a_run(options))
    cohort = prepare(_cohort(options), options.instances, folder.path, options.features_in)
    if len(set(cohort.labels.tolist())) < 2:
        raise RunError(
            f"all {len(cohort.bags)} bags have the class {cohort.classes[cohort.bags[0].label]!r}: "
            f"there is nothing to tell apart; add samples of another class"
        )
    needy = [p for p in options.pooling if POOLINGS[p].needs_control]
    if cohort.control is None and needy:
        may = "control" in COHORTS[options.cohort].options()
        name = f" with one of {', '.join(cohort.classes)}"
        raise DataError(
            f"cohort {cohort.name!r} has no control class, whose cells pooling {needy[0]!r} is "
            f"fitted on: " + (f"give --cohort_options '{{control: NAME}}'{name}, or leave" if may
                              else "leave") + f" {needy[0]!r} out of --pooling"
        )  # fmt: skip
    splits = deal_runs(cohort, options)
    record = _record(cohort, splits, options, argv)
    if stored is not None:
        stored[1].check_same(record, folder.path)
        record.seconds_before = folder.seconds(stored[1])
        if options != asked:  # the command that makes all of it again
            record.command = stored[1].command
    config = {**plain(options), "preset": preset}
    if first:
        if stored is None or not folder.cohort.exists():
            save_cohort(folder.cohort, cohort)
        folder.write_config(config, dataclasses.replace(record, started=started))
        size = f"{len(cohort.bags)} bags of {len(set(cohort.patients))} patients"
        print(f"{options.cohort}: {size}. {cohort.provenance}", file=sys.stderr)
    trials = grid(options)
    results = run_trials(trials, splits, options)
    if not first:
        return {}
    record.seconds = round(record.seconds_before + time.monotonic() - start, 1)
    record.seconds_before = 0.0
    folder.write_config(config, record)
    said = describe(options, cohort, record)
    known = baselines(cohort, splits, shares(cohort, options))
    tables = write_tables(trials, results, cohort, options, said, known)
    if not report:
        return tables
    from mil_rbc.report.page import write_report

    write_report(options, cohort, trials, splits, tables, record, said)
    print(folder.markdown.read_text())
    print(f"{folder.report} ({duration(record.seconds)})")
    return tables


def describe(options: Options, cohort: Cohort, record: Record) -> str:
    """Say in a sentence what was run."""
    arms = "; ".join(ARMS[arm].words for arm in options.topology if arm != OFF)
    topology = arms or "no topological regularization"
    if any(ARMS[arm].term for arm in options.topology):
        weighed = f"λ = {options.lam:g}"
        if options.lam_ratio:
            weighed = f"λ·L_topo = {options.lam_ratio:g} · L_class over the first epoch"
        if options.topology_from:
            weighed += f", from a training accuracy of {options.topology_from:g}"
        topology += (
            f" ({weighed}; convention '{options.convention}'; A^X on {record.space}, "
            f"{SCALES[options.scale]})"
        )
    chosen = {"paper": "last epoch tested", "nested": "epoch chosen on an inner validation split"}
    folds = f"{options.folds} folds" if options.folds > 1 else "one split"
    return (f"{folds} × {options.runs} run{'s' if options.runs > 1 else ''}, {options.epochs} "
            f"epochs, {chosen[options.protocol]}; {topology}; anomaly-aware pooling of preset "
            f"'{options.anomaly}'; seed {options.seed}.")  # fmt: skip


def _cohort(options: Options) -> Cohort:
    stored = options.folder.cohort
    if options.cohort == "rendered" and stored.exists():  # rendering takes longer than reading
        return load_cohort(stored, encoded=False)
    extra = dict(options.cohort_options)
    if options.instances == "roi" and "instances" in COHORTS[options.cohort].options():
        extra.setdefault("instances", "roi")
    if "folds" in COHORTS[options.cohort].options():
        extra.setdefault("folds", options.folds)  # the source of the cells decides the folds
    return load(options.cohort, options.data, seed=options.cohort_seed, size=options.size, **extra)


def _record(cohort: Cohort, splits: list[list[Split]], options: Options, argv: list[str]) -> Record:
    import numpy
    import sklearn
    import torch

    from mil_rbc.model.topology import resolve_space

    encoding = cohort.encoding
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return Record(
        command=shlex.join(["python", "-m", "mil_rbc.run", *argv]),
        versions={
            "mil_rbc": __version__, "torch": str(torch.__version__),
            "lightning": metadata.version("lightning"), "numpy": numpy.__version__,
            "scikit-learn": sklearn.__version__, "python": platform.python_version(),
        },
        machine=f"{platform.machine()}, {os.cpu_count()} cores{gpu}",
        provenance=cohort.provenance,
        classes=list(cohort.classes),
        instances=dataclasses.asdict(encoding) if encoding else {"name": cohort.kind},
        space=resolve_space(options.space, cohort.kind, crops=encoding is not None),
        data_sha256=cohort.data_hash(),
        cells_sha256=cohort.cells_hash(),
        split_sha256=[split_hash(cohort, s) for s in splits],
        seeds={f"fold{t.fold}-run{t.run}": t.seed(options.seed) for t in grid(options)},
    )  # fmt: skip


def _stored(options: Options) -> tuple[dict[str, Any], Record] | None:
    """Settings of an earlier run in the same folder, which this one must go on with."""
    folder = options.folder
    found = folder.read_config()
    if found is None:
        return None
    for name, value in plain(options).items():
        if name in FREE or found[0].get(name) == value:
            continue
        if not folder.trained():  # stopped before anything was trained
            folder.cohort.unlink(missing_ok=True)
            return None
        raise RunError(
            f"{folder.path} holds a run with --{name} {found[0].get(name)}, not {value}: give "
            f"that, or another --out"
        )
    return found


def _with_finished(options: Options, stored: dict[str, Any]) -> Options:
    """The options with the further trials that the folder holds, if all of them are finished."""
    wider = dataclasses.replace(
        options,
        pooling=POOLINGS.ordered({*options.pooling, *stored["pooling"]}),
        topology=ARMS.ordered({*options.topology, *stored["topology"]}),
        runs=max(options.runs, stored["runs"]),
    )
    asked, folder = set(grid(options)), options.folder
    further = [t for t in grid(wider) if t not in asked]
    if not further or not all(folder.trial(t.name).result.exists() for t in further):
        return options
    print(f"{folder.path} holds {len(further)} further trials: the tables show them too",
          file=sys.stderr)  # fmt: skip
    return wider
