"""What the tables share: names of arms, what was kept or stored of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ARMS = {"off": "without", "signature": "with"}
SHOWN = {"accuracy": "accuracy", "f1_weighted": "F1", "auroc": "AUROC"}

VARIED = ("epochs", "averaged_epochs", "lr", "schedule", "beta_decay", "deviation", "attention",
          "dropout")  # fmt: skip


def stored(folder: Path) -> dict[str, Any]:
    """What `config.yaml` of a run says."""
    values: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text())
    return values


def kept(runs: Path, names: str) -> pd.DataFrame:
    """Trials that `tools/keep_trials.py` wrote to RUNS/NAME.csv, of several names in their order.

    Other settings than the first row's stand in `other`, as ", lr 0.0001".
    """
    every = pd.concat([pd.read_csv(runs / f"{name}.csv") for name in names.split()])
    first = every.iloc[0]
    other = pd.Series("", index=range(len(every)))
    for name in VARIED:
        shown = every[name].map("{:g}".format if every[name].dtype.kind in "if" else str)
        other += [f", {name} {s}" if v != first[name] else ""
                  for v, s in zip(every[name], shown, strict=True)]  # fmt: skip
    return every.assign(other=other.to_numpy())
