"""What the term does to a step: its gradients and its seconds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mil_rbc.markdown import table


def gradients(runs: Path, name: str) -> str:
    """The table of `tools/gradients.py`."""
    return (runs / name / "gradients.md").read_text()


def speed(runs: Path, name: str) -> str:
    """Median seconds of an epoch, and the median ratio over pairs of trials."""
    found = pd.read_csv(runs / name / "results.csv")
    pairs = found.pivot(index=["pooling", "fold", "run"], columns="topology",
                        values="epoch_seconds")  # fmt: skip
    pairs["ratio"] = pairs["signature"] / pairs["off"]
    by = pairs.groupby("pooling", sort=False).median()
    by.loc["all"] = pairs.median()
    rows = [[str(pooling), f"{r['off']:.2f} s", f"{r['signature']:.2f} s", f"{r['ratio']:.2f}×"]
            for pooling, r in by.iterrows()]  # fmt: skip
    return table(["pooling", "an epoch without", "with", "ratio"], rows) + "\n"
