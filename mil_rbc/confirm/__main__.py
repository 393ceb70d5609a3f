"""The confirmatory experiment: `python -m mil_rbc.confirm run --data DATA`, then `... report`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import astuple
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from jsonargparse import ArgumentParser

from mil_rbc.cli import call, command, parse_arguments
from mil_rbc.confirm.effects import Effect, detectable, effect, pool
from mil_rbc.confirm.plan import Plan
from mil_rbc.errors import RunError
from mil_rbc.files import write_whole
from mil_rbc.model.variants import ALIASES
from mil_rbc.options import Options
from mil_rbc.training.trial import grid

OUTCOMES = ("auroc", "accuracy")
HASH = "plan.sha256"
HEAD = """| cohort | pooling | outcome | without | with | difference | 95 % | higher in |
| --- | --- | --- | --- | --- | --- | --- | --- |"""
POOLED = """| pooling | outcome | cohorts | difference | 95 % | p | τ |
| --- | --- | --- | --- | --- | --- | --- |"""


def run(
    data: Path,
    out: Path = Path("runs/confirm"),
    only: list[str] | None = None,
    pooling: list[str] | None = None,
    plan: str = "plan",
) -> None:
    """Run what is not run yet, in the plan's order; stop it when you like and start it again.

    Args:
        data: folder with the folders chula_rbc12, nih_malaria, mil_benchmarks and mnist.
        out: where to; one folder for each cohort.
        only: cohorts to run, if not all.
        pooling: poolings to run, if not all.
        plan: which one: plan, or regimes, of the papers' losses and heads.
    """
    from mil_rbc.experiment import run as run_cohort

    read = Plan.read(plan)
    stamp = out / HASH
    if stamp.exists() and stamp.read_text().strip() != read.sha256:
        raise RunError(
            f"{out} holds results of another plan than {plan}.yaml: choose another --out"
        )
    write_whole(stamp, read.sha256 + "\n")
    for kind, names, known in (("cohort", only, read.cohorts), ("pooling", pooling, read.poolings)):
        for name in names or ():
            if name not in known:
                raise RunError(f"the plan has no {kind} {name!r}: it has {', '.join(known)}")
    for name, planned in read.steps():
        poolings = [p for p in planned if not pooling or p in pooling]
        if (only and name not in only) or not poolings:
            continue
        options = read.run_options(name, poolings, data, out)
        if tabled(options):
            continue
        print(f"== {name}: {', '.join(poolings)}", file=sys.stderr)
        run_cohort(options, preset="default", report=False)
    report(out, plan)


def tabled(options: Options) -> bool:
    """Whether results.csv holds every trial, so that a command given again need load nothing."""
    path = options.folder.table("results")
    if not path.exists():
        return False
    there = pd.read_csv(path)[["pooling", "topology", "fold", "run"]]
    return {astuple(t) for t in grid(options)} <= {*there.itertuples(index=False, name=None)}


def report(out: Path = Path("runs/confirm"), plan: str = "plan") -> str:
    """Pool what has been run: effects.csv, confirm.md and forest.png.

    Args:
        out: where the results of `run` lie.
        plan: which one they are of.
    """
    read = Plan.read(plan)
    stamp = out / HASH
    if not stamp.exists():
        raise RunError(f"{out} holds no results: python -m mil_rbc.confirm run --out {out}")
    if stamp.read_text().strip() != read.sha256:
        raise RunError(f"{out} holds results of another plan than {plan}.yaml: see --plan")
    table = effects(read, out)
    if table.empty:
        raise RunError(f"{out} holds no finished cohort yet: run on")
    write_whole(out / "effects.csv", table.to_csv(index=False))
    text = describe(read, table)
    write_whole(out / "confirm.md", text)
    from mil_rbc.confirm.forest import forest

    write_whole(out / "forest.png", forest(read, table))
    print(text)
    return text


def effects(plan: Plan, out: Path) -> pd.DataFrame:
    """Effect of every cohort, pooling and outcome for which both arms are finished."""
    rows = []
    arms = [ALIASES.get(arm, arm) for arm in plan.primary["arms"]]
    for name in plan.cohorts:
        path = out / name / "results.csv"
        if not path.exists():
            continue
        results = pd.read_csv(path).replace({"topology": ALIASES})
        for pooling in [p for p in plan.poolings if p in set(results["pooling"])]:
            part = results[results["pooling"] == pooling].set_index(["run", "fold", "topology"])
            for outcome in OUTCOMES:
                without, with_ = (part[outcome].xs(a, level="topology")
                                  for a in arms)  # fmt: skip
                d = (with_ - without).dropna()
                e = effect(d.tolist(), part["train_bags"].mean(), part["test_bags"].mean())
                low, high = e.interval()
                rows.append({
                    "cohort": name, "pooling": pooling, "outcome": outcome, "pairs": e.pairs,
                    "without": without.mean(), "with": with_.mean(), "difference": e.mean,
                    "variance": e.variance, "low": low, "high": high,
                    "higher": int((d > 0).sum()), "plan": plan.sha256,
                })  # fmt: skip
    return pd.DataFrame(rows)


def chosen(table: pd.DataFrame, pooling: str, outcome: str, cohorts: list[str]) -> pd.DataFrame:
    """Rows that are pooled: of these cohorts those that have been run."""
    part = table[(table["pooling"] == pooling) & (table["outcome"] == outcome)]
    return part[part["cohort"].isin(cohorts)]


def describe(plan: Plan, table: pd.DataFrame) -> str:
    """The outcome in words and tables, as strong as the plan allows and no stronger."""
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
        lines += [f"**{partial}{verdict[0].upper() + verdict[1:]}: {100 * found.mean:+.1f} (95 % "
                  f"{100 * low:+.1f} to {100 * high:+.1f}, p = {found.p:.2f}) over {len(rows)} "
                  f"cohorts**; between cohorts τ = {100 * found.tau:.1f}; an effect of "
                  f"{100 * detectable(of):.1f} would have been found with a power of 0.8.",
                  ""]  # fmt: skip
    else:
        lines += [f"Not to be pooled yet: {', '.join(unrun)} not run.", ""]
    over = pooled(plan, table)
    return "\n".join([*lines, HEAD, *rows_by_name(table).values(), "", over]).rstrip() + "\n"


def pooled(plan: Plan, table: pd.DataFrame) -> str:
    """The primary outcome of every pooling, in every regime, over the cohorts that the plan pools.

    Where fewer than two are run there is no row.

    Args:
        table: rows of `effects`.
    """
    outcome, lines = plan.primary["outcome"], []
    groups = plan.groups or {"": plan.primary["pooled_over"]}
    for (regime, cohorts), pooling in product(groups.items(), plan.poolings):
        rows = chosen(table, pooling, outcome, cohorts)
        if len(rows) > 1:
            f = pool(as_effects(rows))
            name = f"{pooling}, {regime}" if regime else pooling
            lines.append(
                f"| {name} | {outcome} | {len(rows)} | {100 * f.mean:+.1f} | "
                f"{100 * f.low:+.1f} to {100 * f.high:+.1f} | {f.p:.2f} | {100 * f.tau:.1f} |"
            )
    return "\n".join([POOLED, *lines]) if lines else ""


def rows_by_name(table: pd.DataFrame) -> dict[tuple[str, str, str], str]:
    """Rows below `HEAD` by cohort, pooling and outcome."""
    return {
        (r["cohort"], r["pooling"], r["outcome"]): (
            f"| {r['cohort']} | {r['pooling']} | {r['outcome']} | {100 * r['without']:.1f} | "
            f"{100 * r['with']:.1f} | {100 * r['difference']:+.1f} | {100 * r['low']:+.1f} to "
            f"{100 * r['high']:+.1f} | {r['higher']} of {r['pairs']} |"
        )
        for r in table.to_dict("records")
    }


def as_effects(rows: pd.DataFrame) -> list[Effect]:
    """Effects from rows of `effects`."""
    names = ["difference", "variance", "pairs"]
    return [Effect(float(d), float(v), int(n)) for d, v, n in np.asarray(rows[names])]


COMMANDS: dict[str, Callable[..., object]] = {"run": run, "report": report}


def main(argv: list[str]) -> None:
    """Run one of the commands."""
    program = "python -m mil_rbc.confirm"
    name = argv[0] if argv else ""
    if name not in COMMANDS:
        top = ArgumentParser(prog=f"{program} {{{','.join(COMMANDS)}}}", exit_on_error=False,
                             description=(__doc__ or "").strip())  # fmt: skip
        parse_arguments(top, [a for a in argv if a.startswith("-")])  # --help ends here
        raise RunError(
            f"{program} takes a command first, {' or '.join(COMMANDS)}, each with --help"
        )
    call(f"{program} {name}", COMMANDS[name], argv[1:])


if __name__ == "__main__":
    sys.exit(command(main))
