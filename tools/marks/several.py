"""Runs beside each other: with and without the term, and the term beside every other arm."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from marks.words import SHOWN, kept, signed
from mil_rbc.markdown import table
from mil_rbc.report.statistics import corrected_t_test
from mil_rbc.report.tables import PAPER, percent


def summary(runs: Path, names: str) -> str:
    """Differences in accuracy and AUROC of several runs, the paper's first."""
    poolings = list(dict.fromkeys(pooling for pooling, _ in PAPER))
    rows = []
    for metric in ("accuracy", "auroc"):
        gains = [signed((PAPER[p, "signature"][metric][0] - PAPER[p, "off"][metric][0]) / 100)
                 for p in poolings]  # fmt: skip
        rows.append(["the paper, its 71 patients", SHOWN[metric], *gains])
    for name in names.split():
        paired = pd.read_csv(runs / name / "paired.csv").set_index(["pooling", "metric"])
        for metric in ("accuracy", "auroc"):
            cells = []
            for pooling in poolings:
                there = (pooling, metric) in paired.index
                found = paired.loc[(pooling, metric)] if there else None
                cells.append("–" if found is None else
                             f"{signed(found['difference'])} (p {found['p']:.2f})")  # fmt: skip
            rows.append([name, SHOWN[metric], *cells])
    return table(["", "", *poolings], rows) + "\n"


def beside(runs: Path, name: str) -> str:
    """AUROC with the term minus that of every other arm, paired by fold and run."""
    trials = kept(runs, name)
    trials = trials[trials["topology"] != "linear"]
    rows = []
    for pooling, of in trials.groupby("pooling", sort=False):
        arms = {
            f"{arm}{other}": part.set_index(["fold", "run"])
            for (other, arm), part in of.groupby(["other", "topology"], sort=False)
        }
        term = arms["signature"]
        sizes = term["train_bags"].mean(), term["test_bags"].mean()
        for arm, part in arms.items():
            cells = [percent(part["auroc"].mean(), part["auroc"].std()), *["–"] * 3]
            if part is not term:
                gains = (term["auroc"] - part["auroc"]).dropna()
                found = corrected_t_test(gains.tolist(), *sizes)
                cells[1:] = [signed(gains.mean()), f"{found.p:.3f}",
                             f"{(gains > 0).sum()} of {len(gains)}"]  # fmt: skip
            rows.append([str(pooling), arm, *cells, f"{part['cross_entropy'].mean():.2f}"])
    return table(["pooling", "arm", "AUROC", "signature minus it", "p", "higher in",
                  "cross-entropy"], rows) + "\n"  # fmt: skip
