"""Confirmatory experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from scipy import stats

from mil_rbc.confirm.__main__ import HASH, HEAD, OUTCOMES, POOLED, pooled, rows_by_name
from mil_rbc.confirm.plan import Plan


def confirm(runs: Path, name: str, before: str) -> str:
    """A confirmatory experiment in its plan's order, with the rows of `before` that were not run.

    What is pooled is read from the rows, so of rows that are kept from their rounded numbers. Of a
    plan with regimes the primary outcome alone has rows, since it is all that such a plan reports.
    """
    plan = Plan.of((runs / name / HASH).read_text().strip())
    outcomes = [plan.primary["outcome"]] if plan.groups else OUTCOMES
    rows = {}
    for row in before.partition(POOLED)[0].splitlines()[len(HEAD.splitlines()) :]:
        if row.startswith("| "):
            cohort, pooling, outcome = row[2:].split(" | ")[:3]
            rows[cohort, pooling, outcome] = row
    found = pd.read_csv(runs / name / "effects.csv")
    rows |= rows_by_name(found)
    kept = pd.DataFrame([shown(row) for key, row in rows.items() if key not in rows_by_name(found)])
    order = [(c, p, o) for c in plan.cohorts for p in plan.poolings for o in outcomes]
    table = "\n".join([HEAD, *(rows[key] for key in order if key in rows)])
    return f"{table}\n\n{pooled(plan, pd.concat([kept, found]))}\n"


def shown(row: str) -> dict[str, Any]:
    """What a row below `HEAD` shows, with the variance that its interval is from."""
    cohort, pooling, outcome, _, _, difference, interval, higher = row.strip("| ").split(" | ")
    low, high = (float(x) / 100 for x in interval.split(" to "))
    pairs = int(higher.split(" of ")[1])
    error = (high - low) / 2 / stats.t.ppf(0.975, pairs - 1)
    return {"cohort": cohort, "pooling": pooling, "outcome": outcome,
            "difference": float(difference) / 100, "variance": error**2,
            "pairs": pairs}  # fmt: skip
