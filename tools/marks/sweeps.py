"""A sweep that was read from validation folds, or from test folds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import yaml

from marks.words import ARMS
from mil_rbc.markdown import points, table
from mil_rbc.report.tables import percent


def sweep(runs: Path, name: str) -> str:
    """What a sweep read from inner validation folds."""
    found = pd.read_csv(runs / name / "sweep.csv")
    axes = list(found.columns[: list(found.columns).index("pooling")])
    head = ["pooling", *axes, "validation cross-entropy", "validation accuracy",
            "training cross-entropy, last epoch", "λ·L_topo / L_class"]  # fmt: skip
    trained = {}
    for config in (runs / name).glob("*/config.yaml"):
        values = yaml.safe_load(config.read_text())
        for pooling in values["pooling"]:
            last = [pd.read_csv(m)["L_MIL"].iloc[-1]
                    for m in config.parent.glob(f"trials/{pooling}-*/metrics.csv")]  # fmt: skip
            trained[tuple({**values, "pooling": pooling}[a] for a in ["pooling", *axes])] = sum(
                last
            ) / len(last)
    rows = []
    for row in found.sort_values(["pooling", *axes]).to_dict("records"):
        loss = f"{row['L_MIL_validation_mean']:.3f} ± {row['L_MIL_validation_std']:.2f}"
        accuracy = percent(row["accuracy_validation_mean"], row["accuracy_validation_std"])
        axis = [f"{row[a]:g}" if isinstance(row[a], float) else str(row[a]) for a in axes]
        fitted = f"{trained[tuple(row[a] for a in ['pooling', *axes])]:.3f}"
        rows.append([row["pooling"], *axis, loss, accuracy, fitted, ratio(row)])
    if found["pooling"].nunique() > 1:
        for row in found.groupby(axes, sort=False).mean(numeric_only=True).reset_index().iloc:
            axis = [f"{row[a]:g}" if isinstance(row[a], float) else str(row[a]) for a in axes]
            rows.append(["*mean*", *axis, f"{row['L_MIL_validation_mean']:.3f}",
                         percent(row["accuracy_validation_mean"], float("nan")), "",
                         ratio(row)])  # fmt: skip
    return table(head, rows) + "\n"


def ratio(row: Mapping[str, float]) -> str:
    """λ·L_topo / L_class, where there is a term."""
    found = row["topo_to_class"]
    return f"{found:.2g}" if found == found else "–"


def curve(runs: Path, name: str) -> str:
    """Test results along one option, with and without topology."""
    found = pd.read_csv(runs / name / "sweep.csv")
    axis = found.columns[0]
    rows = []
    for (pooling, value), part in found.groupby(["pooling", axis], sort=False):
        arms = part.set_index("topology")
        cells = [percent(arms.loc[a, f"{m}_mean"], arms.loc[a, f"{m}_std"])
                 for m in ("accuracy", "auroc") for a in ARMS]  # fmt: skip
        gain = [points(arms.loc["signature", f"{m}_mean"] - arms.loc["off", f"{m}_mean"])
                for m in ("accuracy", "auroc")]  # fmt: skip
        rows.append([str(pooling), str(value), *cells[:2], gain[0], *cells[2:], gain[1]])
    rows.sort(key=lambda r: (r[0], float(r[1])))
    return table(["pooling", axis.split(".")[-1], "accuracy, without", "with", "difference",
                  "AUROC, without", "with", "difference"], rows) + "\n"  # fmt: skip
