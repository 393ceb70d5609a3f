"""Confirmatory experiments."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from marks.words import kept
from mil_rbc.confirm.forest import forest
from mil_rbc.confirm.plan import Plan
from mil_rbc.confirm.report import describe, effects


def confirm(runs: Path, name: str) -> str:
    """What a plan's report says of the trials that were kept.

    Of a plan with regimes the primary outcome alone has rows, since there are many.
    """
    plan, found = of_plan(runs, name)
    if plan.groups:
        found = found[found["outcome"] == plan.primary["outcome"]]
    return describe(plan, found)


def picture(runs: Path, name: str) -> bytes:
    """The forest plot of the plan's primary outcome, PNG."""
    return forest(*of_plan(runs, name))


def of_plan(runs: Path, name: str) -> tuple[Plan, pd.DataFrame]:
    """The plan that trials are of, and its effects."""
    trials = kept(runs, name)
    plan = Plan.of(trials["plan"].iloc[0])
    return plan, effects(plan, trials.assign(cohort=trials["of"].str.split("/").str[-1]))
