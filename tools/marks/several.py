"""Runs beside each other: with and without the term, and the term beside every other arm."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from marks.words import SHOWN, kept
from mil_rbc.markdown import points, table
from mil_rbc.report.statistics import corrected_t_test
from mil_rbc.report.tables import PAPER, percent


def summary(runs: Path, names: str) -> str:
    """Differences in accuracy and AUROC of several runs, the paper's first."""
    poolings = list(dict.fromkeys(pooling for pooling, _ in PAPER))
    rows = []
    for metric in ("accuracy", "auroc"):
        gains = [points((PAPER[p, "signature"][metric][0] - PAPER[p, "off"][metric][0]) / 100)
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
                             f"{points(found['difference'])} (p {found['p']:.2f})")  # fmt: skip
            rows.append([name, SHOWN[metric], *cells])
    return table(["", "", *poolings], rows) + "\n"


def beside(runs: Path, name: str) -> str:
    """AUROC with the term minus that of every other arm, paired by fold and run.

    Arms other than "off" are controls; Holm's correction is over a pooling's controls.
    """
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
        gains = {arm: (term["auroc"] - part["auroc"]).dropna() for arm, part in arms.items()
                 if part is not term}  # fmt: skip
        p = {arm: corrected_t_test(d.tolist(), *sizes).p for arm, d in gains.items()}
        controls = holm({arm: p[arm] for arm in p if arm != "off"})
        for arm, part in arms.items():
            cells = [percent(part["auroc"].mean(), part["auroc"].std()), *["–"] * 4]
            if arm in gains:
                d, corrected = gains[arm], controls.get(arm)
                cells[1:] = [points(d.mean()), f"{p[arm]:.3f}",
                             "–" if corrected is None else f"{corrected:.3f}",
                             f"{(d > 0).sum()} of {len(d)}"]  # fmt: skip
            rows.append([str(pooling), arm, *cells, f"{part['cross_entropy'].mean():.2f}"])
    return table(["pooling", "arm", "AUROC", "signature minus it", "p", "Holm", "higher in",
                  "cross-entropy"], rows) + "\n"  # fmt: skip


def holm(p: dict[str, float]) -> dict[str, float]:
    """p-values corrected for their number (Holm 1979)."""
    corrected, least = {}, 0.0
    for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
        least = max(least, min(1.0, (len(p) - rank) * p[name]))
        corrected[name] = least
    return corrected
