"""What came out of a plan: effects of its cohorts, pooled, in words and tables."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from mil_rbc.confirm.effects import Effect, detectable, effect, pool
from mil_rbc.confirm.plan import Plan
from mil_rbc.markdown import interval, points
from mil_rbc.markdown import table as markdown
from mil_rbc.model.variants import ALIASES

OUTCOMES = ("auroc", "accuracy")
COHORTS = ["cohort", "pooling", "outcome", "without", "with", "difference", "95 %", "higher in",
           "λ·L_topo / L_class"]  # fmt: skip
POOLED = ["pooling", "outcome", "cohorts", "difference", "95 %", "p", "τ"]
ALIKE = ["pooling", "without", "with", "every cohort alike", "95 %", "dead units, without", "with"]


def trials(plan: Plan, out: Path) -> pd.DataFrame:
    """Every trial that is finished: rows of the cohorts' results.csv, with the cohort's name."""
    found = [
        pd.read_csv(path).assign(cohort=name)
        for name in plan.cohorts
        if (path := out / name / "results.csv").exists()
    ]
    return pd.concat(found) if found else pd.DataFrame()


def effects(plan: Plan, trials: pd.DataFrame) -> pd.DataFrame:
    """Effect of every cohort, pooling and outcome for which both arms are finished.

    Args:
        plan: what the trials are of.
        trials: rows of `trials`.

    Returns:
        One row each, in the plan's order. `ratio` is λ·L_topo / L_class in the last epoch, `dead`
        and `dead_with` are shares of the bag head's hidden units; all three are means over trials.
    """
    if trials.empty:
        return trials
    rows = []
    arms = [ALIASES.get(arm, arm) for arm in plan.primary["arms"]]
    parts = dict(list(trials.replace({"topology": ALIASES}).groupby(["cohort", "pooling"])))
    for (name, pooling), outcome in product(product(plan.cohorts, plan.poolings), OUTCOMES):
        if (name, pooling) not in parts:
            continue
        part = parts[name, pooling].set_index(["run", "fold"])
        off, term = (part[part["topology"] == arm] for arm in arms)
        d = (term[outcome] - off[outcome]).dropna()
        e = effect(d.tolist(), part["train_bags"].mean(), part["test_bags"].mean())
        low, high = e.interval()
        rows.append({
            "cohort": name, "pooling": pooling, "outcome": outcome, "pairs": e.pairs,
            "without": off[outcome].mean(), "with": term[outcome].mean(), "difference": e.mean,
            "variance": e.variance, "low": low, "high": high, "higher": int((d > 0).sum()),
            "ratio": term["topo_to_class"].mean(), "dead": off["dead_bag_head"].mean(),
            "dead_with": term["dead_bag_head"].mean(), "plan": plan.sha256,
        })  # fmt: skip
    return pd.DataFrame(rows)


def chosen(table: pd.DataFrame, pooling: str, outcome: str, cohorts: list[str]) -> pd.DataFrame:
    """Rows that are pooled: of these cohorts those that have been run."""
    part = table[(table["pooling"] == pooling) & (table["outcome"] == outcome)]
    return part[part["cohort"].isin(cohorts)]


def describe(plan: Plan, table: pd.DataFrame) -> str:
    """The outcome in words and tables, as strong as the plan allows and no stronger.

    Args:
        plan: what was run.
        table: rows of `effects`.
    """
    primary = plan.primary
    rows = chosen(table, primary["pooling"], primary["outcome"], primary["pooled_over"])
    unrun = [c for c in primary["pooled_over"] if c not in set(rows["cohort"])]
    lines = [f"Plan `{plan.sha256[:12]}`. Primary: {primary['pooling']} pooling, "
             f"{primary['outcome'].upper()}, with minus without, in points.", ""]  # fmt: skip
    if len(rows) > 1:
        of = as_effects(rows)
        found = pool(of)
        low, high = found.low, found.high
        if low > 0 and found.mean >= 0.01:
            verdict = "a gain"
        elif high < 0 and found.mean <= -0.01:
            verdict = "a harm"
        else:
            verdict = "no effect was shown"
        partial = f"Partial: {', '.join(unrun)} not run. " if unrun else ""
        heaviest = sorted(zip(found.weights, rows["cohort"], strict=True), reverse=True)
        weights = ", ".join(f"{name} {100 * weight:.0f} %" for weight, name in heaviest)
        lines += [f"**{partial}{verdict[0].upper() + verdict[1:]}: {points(found.mean)} (95 % "
                  f"{interval(low, high)}, p = {found.p:.2f}) over {len(rows)} cohorts**; between "
                  f"cohorts τ = {100 * found.tau:.1f}; an effect of {100 * detectable(of):.1f} "
                  f"would have been found with a power of 0.8. They weigh: {weights}.",
                  ""]  # fmt: skip
    else:
        lines += [f"Not to be pooled yet: {', '.join(unrun)} not run.", ""]
    tables = f"{markdown(COHORTS, cohort_rows(table))}\n\n{pooled(plan, table)}"
    return "\n".join([*lines, tables]).rstrip() + "\n"


def cohort_rows(table: pd.DataFrame) -> list[list[str]]:
    """Rows below `COHORTS`, one for each of `effects`."""
    return [
        [r["cohort"], r["pooling"], r["outcome"], f"{100 * r['without']:.1f}",
         f"{100 * r['with']:.1f}", points(r["difference"]), interval(r["low"], r["high"]),
         f"{r['higher']} of {r['pairs']}", f"{r['ratio']:.2g}"]
        for r in table.to_dict("records")
    ]  # fmt: skip


def pooled(plan: Plan, table: pd.DataFrame) -> str:
    """The primary outcome of every pooling, in every regime, over the cohorts that the plan pools.

    The first table is of the plan's model. A cohort whose pairs are all alike has a variance of 0
    and so all the weight in it, unless cohorts differ; a further row leaves such cohorts out. The
    second, which no plan asks for, has no verdicts: every cohort weighs the same, by Student's t
    over their means.

    Args:
        plan: what was run.
        table: rows of `effects`.
    """
    outcome, modelled, alike = plan.primary["outcome"], [], []
    for name, rows in groups(plan, table):
        modelled.append([name, outcome, *pooled_cells(rows)])
        moved = rows[rows["variance"] > 0]
        if 1 < len(moved) < len(rows):
            left_out = ", ".join(c for c in rows["cohort"] if c not in set(moved["cohort"]))
            modelled.append([f"{name}, without {left_out}", outcome, *pooled_cells(moved)])
        d = rows["difference"]
        half = stats.t.ppf(0.975, len(d) - 1) * d.std() / len(d) ** 0.5
        alike.append([
            name, *(f"{100 * rows[arm].mean():.1f}" for arm in ("without", "with")),
            points(d.mean()), interval(d.mean() - half, d.mean() + half),
            *(f"{100 * rows[arm].mean():.0f} %" for arm in ("dead", "dead_with")),
        ])  # fmt: skip
    return f"{markdown(POOLED, modelled)}\n\n{markdown(ALIKE, alike)}" if modelled else ""


def groups(plan: Plan, table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Name and rows of whatever is pooled: two cohorts at least of each pooling in each regime."""
    regimes = plan.groups or {"": plan.primary["pooled_over"]}
    for (regime, cohorts), pooling in product(regimes.items(), plan.poolings):
        rows = chosen(table, pooling, plan.primary["outcome"], cohorts)
        if len(rows) > 1:
            yield f"{pooling}, {regime}" if regime else pooling, rows


def pooled_cells(rows: pd.DataFrame) -> list[str]:
    """Number of cohorts and what the plan's model says of them."""
    f = pool(as_effects(rows))
    return [str(len(rows)), points(f.mean), interval(f.low, f.high), f"{f.p:.2f}",
            f"{100 * f.tau:.1f}"]  # fmt: skip


def as_effects(rows: pd.DataFrame) -> list[Effect]:
    """Effects from rows of `effects`."""
    names = ["difference", "variance", "pairs"]
    return [Effect(float(d), float(v), int(n)) for d, v, n in np.asarray(rows[names])]
