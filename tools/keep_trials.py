"""Keep the trials of runs as one table: `python tools/keep_trials.py RUNS... --out FILE`.

RUNS are folders with finished runs anywhere below them: a run, a sweep, replicates of a sweep, a
confirmatory experiment. FILE, a CSV, has a row for every trial and for every logistic regression,
so that `tools/results_table.py` can write an experiment's tables again without training.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pandas as pd
from marks.words import stored

from mil_rbc.run_folder import RunFolder
from mil_rbc.training.trial import Trial

SETTINGS = ("activation", "attention", "averaged_epochs", "beta_decay", "convention", "deviation",
            "dropout", "epochs", "lam", "lr", "schedule")  # fmt: skip
OUTCOMES = ("auroc", "accuracy", "cross_entropy", "matched", "spearman", "topo_to_class",
            "dead_bag_head")  # fmt: skip
"""Columns of results.csv that are kept, of test bags or of the last epoch."""
FIRST = ("topo_to_class", "dead_bag_head")
"""Columns of metrics.csv that are kept of the first epoch too."""
COLUMNS = ["plan", "of", "pooling", "topology", "run", "fold", "train_bags", "test_bags",
           *OUTCOMES, *(f"{m}_first" for m in FIRST), "accuracy_train", *SETTINGS]  # fmt: skip

IDENTITY = [f.name for f in fields(Trial)]


def trials(folder: Path) -> Iterator[pd.DataFrame]:
    """Rows of every run below `folder` in the order they ended, of logistic regression last."""
    stamp = folder / "plan.sha256"
    plan = {"plan": stamp.read_text().strip()[:12]} if stamp.exists() else {}
    runs = [config.parent for config in folder.rglob("config.yaml")]
    for run in runs:
        if not (run / "results.csv").exists():
            sys.exit(f"{run} is not finished: give its command again")
    for run in sorted(runs, key=lambda run: (run / "results.csv").stat().st_mtime_ns):
        config = stored(run)
        settings = {name: config.get(name) for name in SETTINGS}
        of = {**plan, "of": str(run.relative_to(folder.parent)), **settings}
        results = pd.read_csv(run / "results.csv")
        named = [Trial(*row).name for row in results[IDENTITY].itertuples(index=False)]
        more = [first_and_last(RunFolder(run).trial(n).table("metrics")) for n in named]
        yield results.assign(**of).join(pd.DataFrame(more))
        if (run / "baselines.csv").exists():
            linear = pd.read_csv(run / "baselines.csv").assign(**of)
            yield linear.rename(columns={"baseline": "pooling"}).assign(topology="linear")


def first_and_last(metrics: Path) -> dict[str, float]:
    """What is kept of the first epoch of a trial, and its accuracy on training bags in the last."""
    found = pd.read_csv(metrics)
    first = {f"{name}_first": float(found[name].iloc[0]) for name in FIRST}
    return {**first, "accuracy_train": float(found["accuracy_train"].iloc[-1])}


def main() -> None:
    """Read the runs and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("runs", nargs="+", type=Path, help="folders with runs below them")
    parser.add_argument("--out", required=True, type=Path, help="CSV file to write")
    given = parser.parse_args()
    rows = [part for folder in given.runs for part in trials(folder)]
    if not rows:
        sys.exit(f"no run lies below {', '.join(map(str, given.runs))}")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    kept = pd.concat(rows).reindex(columns=COLUMNS)
    kept.to_csv(given.out, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
