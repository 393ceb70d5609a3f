"""A forest plot: one line for each cohort, a diamond for their random-effects mean."""

from __future__ import annotations

import io

import pandas as pd
from matplotlib.figure import Figure

from mil_rbc.confirm.effects import Effect, pool
from mil_rbc.confirm.plan import Plan


def forest(plan: Plan, table: pd.DataFrame) -> bytes:
    """Draw the primary outcome, in points, as PNG; cohorts that are not pooled are grey."""
    pooling, outcome = plan.primary["pooling"], plan.primary["outcome"]
    rows = table[(table["pooling"] == pooling) & (table["outcome"] == outcome)]
    inside = rows["cohort"].isin(plan.primary["pooled_over"])
    found = None
    if inside.sum() > 1:
        effects = [Effect(r.difference, r.variance, r.pairs) for r in rows[inside].itertuples()]
        found = pool(effects)
    weights = dict(zip(rows["cohort"][inside], found.weights, strict=True)) if found else {}
    figure = Figure(figsize=(7.5, 1.6 + 0.45 * (len(rows) + 1)), layout="constrained")
    axis = figure.subplots()
    axis.axvline(0, color="black", linewidth=0.8)
    names = []
    for y, r in enumerate(rows.itertuples()):
        weight = weights.get(r.cohort)
        colour = "#888888" if weight is None else "#0072b2"
        axis.plot([100 * r.low, 100 * r.high], [y, y], color=colour, linewidth=1.5)
        axis.plot(100 * r.difference, y, "s", color=colour, markersize=4 + 10 * (weight or 0))
        share = "not pooled" if weight is None else f"{100 * weight:.0f} %"
        names.append(f"{r.cohort} ({share})")
    if found is not None:
        y, m = len(rows), 100 * found.mean
        diamond = [(100 * found.low, y), (m, y - 0.25), (100 * found.high, y), (m, y + 0.25)]
        axis.fill(*zip(*diamond, strict=True), color="#d55e00")
        names.append(f"random-effects mean\n{m:+.1f} [{100 * found.low:+.1f}, "
                     f"{100 * found.high:+.1f}]")  # fmt: skip
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set_xlabel(f"{outcome.upper()}, with minus without topology, points (95 %)")
    axis.set_title(f"{pooling} pooling, plan {plan.sha256[:12]}", fontsize=10)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
