"""Scores of single cells, and how the anomaly-aware pooling weighs them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from marks.words import ARMS
from mil_rbc.markdown import table


def cells(runs: Path, name: str) -> str:
    """Fig. 4 as numbers: how well the scores tell anomalous cells from normal ones."""
    found = pd.read_csv(runs / name / "explanations.csv")
    found = found[found["of"] == "cells"].sort_values(["score", "pooling", "topology"])
    each = pd.read_csv(runs / name / "instances.csv")
    normal = each[each["anomalous"] == 0].groupby(["pooling", "topology"])["anomaly_score"].median()
    rows = []
    for r in found.to_dict("records"):
        typical = normal[r["pooling"], r["topology"]] if r["score"] == "anomaly_score" else None
        rows.append([r["pooling"], str(r["score"]).replace("_", " "), ARMS[r["topology"]],
                     f"{r['auroc']:.2f}", f"{r['spread']:.2f}",
                     "–" if typical is None else f"{typical:.1f}"])  # fmt: skip
    return table(["pooling", "score", "topology", "AUROC", "spread among anomalous cells",
                  "median score of normal cells"], rows) + "\n"  # fmt: skip


def presets(runs: Path, name: str) -> str:
    """How many cells the softmax of anomaly scores weighs, as tested and fitted anew."""
    found = pd.read_csv(runs / name / "explanations.csv")
    rows = [[ARMS[r["topology"]], r["preset"], "tested" if r["fit"] == "tested" else "fitted anew",
             f"{100 * r['effective']:.0f} %", f"{r['top']:.2f}", f"{r['held_out']:.2f}",
             f"{r['auroc']:.2f}"]
            for r in found[found["of"] == "presets"].to_dict("records")]  # fmt: skip
    return table(["topology", "preset", "Gaussian", "effective number of cells", "weight of the "
                  "first cell", "held-out ÷ fitted control cells",
                  "AUROC, anomalous against normal"], rows) + "\n"  # fmt: skip
