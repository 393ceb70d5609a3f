"""A forest plot: one line for each cohort, a diamond for their random-effects mean."""

from __future__ import annotations

import io

import pandas as pd
from matplotlib.figure import Figure

from mil_rbc.confirm.effects import pool
from mil_rbc.confirm.plan import Plan
from mil_rbc.confirm.report import as_effects, chosen
from mil_rbc.report.forest import Line, draw_lines


def forest(plan: Plan, table: pd.DataFrame) -> bytes:
    """Draw the primary outcome, in points, as PNG.

    Cohorts that are not pooled are grey; of a plan with regimes those of others are left out.
    """
    pooling, outcome = plan.primary["pooling"], plan.primary["outcome"]
    shown = plan.primary["pooled_over"] if plan.groups else [*plan.cohorts]
    rows = chosen(table, pooling, outcome, shown)
    inside = rows["cohort"].isin(plan.primary["pooled_over"])
    found = None
    if inside.sum() > 1:
        found = pool(as_effects(rows[inside]))
    weights = dict(zip(rows["cohort"][inside], found.weights, strict=True)) if found else {}
    figure = Figure(figsize=(7.5, 1.6 + 0.45 * (len(rows) + 1)), layout="constrained")
    axis = figure.subplots()
    names, lines = [], []
    for r in rows.itertuples():
        weight = weights.get(r.cohort)
        colour = "#888888" if weight is None else "#0072b2"
        lines.append(Line(100 * r.difference, 100 * r.low, 100 * r.high, colour, weight or 0.0))
        share = "not pooled" if weight is None else f"{100 * weight:.0f} %"
        names.append(f"{r.cohort} ({share})")
    if found is not None:
        mean, low, high = (100 * x for x in (found.mean, found.low, found.high))
        lines.append(Line(mean, low, high, "#d55e00", pooled=True))
        names.append(f"random-effects mean\n{mean:+.1f} [{low:+.1f}, {high:+.1f}]")
    draw_lines(axis, lines, names)
    axis.set_xlabel(f"{outcome.upper()}, with minus without topology, points (95 %)")
    regime = f", {plan.primary['regime']}" if plan.groups else ""
    axis.set_title(f"{pooling} pooling{regime}, plan {plan.sha256[:12]}", fontsize=10)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
