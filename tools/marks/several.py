"""Runs beside each other: with and without the term, and the term beside every other arm."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from marks.markdown import SHOWN, signed, stored, table
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


def beside(runs: Path, names: str) -> str:
    """AUROC with the term minus that of every other arm, paired by fold and run."""
    first, *_ = names.split()
    own = stored(runs / first)
    results = {name: pd.read_csv(runs / name / "results.csv") for name in names.split()}
    rows = []
    for pooling in dict.fromkeys(results[first]["pooling"]):
        arms = []
        for name, found in results.items():
            changed = ", ".join(f"{k} {v:g}" for k, v in stored(runs / name).items()
                                if k in ("lr", "epochs") and v != own[k])  # fmt: skip
            for arm, of in found[found["pooling"] == pooling].groupby("topology", sort=False):
                arms.append(
                    (f"{arm}, {changed}" if changed else arm, of.set_index(["fold", "run"]))
                )
        term = dict(arms)["signature"]
        sizes = term["train_bags"].mean(), term["test_bags"].mean()
        for arm, of in arms:
            cells = [percent(of["auroc"].mean(), of["auroc"].std()), *["–"] * 3]
            if of is not term:
                gains = (term["auroc"] - of["auroc"]).dropna()
                found = corrected_t_test(gains.tolist(), *sizes)
                cells[1:] = [signed(gains.mean()), f"{found.p:.3f}",
                             f"{(gains > 0).sum()} of {len(gains)}"]  # fmt: skip
            rows.append([pooling, arm, *cells])
    return table(["pooling", "arm", "AUROC", "signature minus it", "p", "higher in"], rows) + "\n"
