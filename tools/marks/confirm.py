"""Confirmatory experiments."""

from __future__ import annotations

from pathlib import Path

from marks.words import kept
from mil_rbc.confirm.plan import Plan
from mil_rbc.confirm.report import describe, effects


def confirm(runs: Path, name: str) -> str:
    """What a plan's report says of the trials that were kept.

    Of a plan with regimes the primary outcome alone has rows, since there are many.
    """
    trials = kept(runs, name)
    plan = Plan.of(trials["plan"].iloc[0])
    found = effects(plan, trials.assign(cohort=trials["of"].str.split("/").str[-1]))
    if plan.groups:
        found = found[found["outcome"] == plan.primary["outcome"]]
    return describe(plan, found)
