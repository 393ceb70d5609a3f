"""Tables, sentences and the picture of all claims, from their results files."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from benchmarks import style
from benchmarks.harness import digits

from .protocol import Comparison, Effect, Outcome, Plan, compare, verdict, word

NAMES = (
    "one_class", "one_class_rendered", "one_class_nih", "few_labels", "few_labels_range",
    "few_labels_cells", "autoencoders", "self_supervision", "dimension",
)  # fmt: skip
Results = dict[str, Any]


def plan_of(name: str) -> Plan:
    """The plan of a claim."""
    plan: Plan = importlib.import_module(f"benchmarks.claims.{name}").PLAN
    return plan


def done(results: Results) -> list[str]:
    """Claims that have a result, in their order."""
    return [name for name in NAMES if name in results]


def number(value: float) -> str:
    """Three significant digits."""
    return f"{digits(value, 3):g}"


def span(found: Effect) -> str:
    """A mean with its interval."""
    return f"{found.mean:+.2g} [{found.low:+.2g}, {found.high:+.2g}]"


def strongest(plan: Plan, rows: list[Any]) -> Comparison:
    """The control that the claim does worst against."""
    outcome = plan.outcomes[0]
    return min(plan.controls, key=lambda c: compare(rows, c, outcome)[0].mean)


def short(results: Results) -> str:
    """Whom it helps, by how much, and what does as well: a row a claim."""
    lines = [
        "| for | measured | without → with the loss | best control | verdict |",
        "|---" * 5 + "|",
    ]
    for name in NAMES:
        plan = plan_of(name)
        link = f"[{plan.whom}](docs/claims.md#{name.replace('_', '-')})"
        words = f"{plan.outcomes[0].words}, {arrow(plan.outcomes[0])}"
        if name not in results:
            lines.append(f"| {link} | {words} | – | – | not run yet |")
            continue
        rows = results[name]["rows"]
        _, with_, without = compare(rows, plan.without, plan.outcomes[0])
        control = strongest(plan, rows)
        _, _, other = compare(rows, control, plan.outcomes[0])
        first = "" if plan.without.against == "without" else f"{plan.without.against} "
        lines.append(
            f"| {link} | {words} | {first}{number(without)} → **{number(with_)}** | "
            f"{control.against} {number(other)} | {verdict(plan, rows)} |"
        )
    return "\n".join(lines)


def arrow(outcome: Outcome) -> str:
    """Which way is better."""
    return "↑" if outcome.best > 0 else "↓"


def effects(name: str) -> Any:
    """A renderer of a claim's comparisons."""

    def table(results: Results) -> str:
        plan = plan_of(name)
        if name not in results:
            return "| not run yet |\n|---|"
        rows, primary = results[name]["rows"], plan.outcomes[0]
        lines = [
            "| comparison | where | difference, more is better | in favour | detectable | |",
            "|---" * 6 + "|",
        ]
        for c in (plan.without, *plan.controls):
            found, *_ = compare(rows, c, primary)
            lines.append(
                f"| {c.arm} against {c.against} | {c.condition} | {span(found)} | "
                f"{found.better} of {found.pairs} | {number(found.detectable)} | "
                f"{word(found, plan.margin)} |"
            )
        return "\n".join(lines)

    return table


def means(name: str) -> Any:
    """A renderer of every arm's means: one outcome by condition, or several in one condition."""

    def table(results: Results) -> str:
        plan = plan_of(name)
        if name not in results:
            return "| not run yet |\n|---|"
        rows = results[name]["rows"]
        wide = len(plan.conditions) == 1
        columns = (
            [(o, plan.conditions[0]) for o in plan.outcomes]
            if wide
            else [(o, c) for o in plan.outcomes[: 1 if len(plan.conditions) < 5 else 3]
                  for c in plan.conditions]
        )  # fmt: skip
        down = not wide and len(columns) > 5  # a row a column, or the page is too narrow
        heads = [
            f"{o.words} {arrow(o)}" if wide else c if not down else f"{c}: {o.words}"
            for o, c in columns
        ]
        cells = [[number(mean(rows, arm.name, o, c)) for o, c in columns] for arm in plan.arms]
        names = [f"{arm.name}{settled(results[name], arm.name)}" for arm in plan.arms]
        if down:
            names, heads = heads, names
            cells = [list(column) for column in zip(*cells, strict=True)]
        lines = [f"| {primary_words(plan, wide, down)} | {' | '.join(heads)} |",
                 "|---" * (len(heads) + 1) + "|"]  # fmt: skip
        lines += [f"| {n} | {' | '.join(row)} |" for n, row in zip(names, cells, strict=True)]
        return "\n".join(lines)

    return table


def primary_words(plan: Plan, wide: bool, down: bool) -> str:
    """What stands in the corner of a table of means."""
    return "" if wide or down else f"{plan.outcomes[0].words} {arrow(plan.outcomes[0])}"


def settled(result: Results, arm: str) -> str:
    """The settings that were chosen on development data, in brackets."""
    chosen = result["chosen"][arm]
    return f" ({', '.join(f'{k} {v:g}' for k, v in chosen.items())})" if chosen else ""


def mean(rows: list[Any], arm: str, outcome: Outcome, condition: str) -> float:
    """The mean over seeds."""
    return float(np.mean([
        r[outcome.name] for r in rows if r["arm"] == arm and r["condition"] == condition
    ]))  # fmt: skip


def plans(results: Results) -> str:
    """Hash, seeds and time of every claim."""
    lines = ["| claim | plan | seeds | seconds | measured on |", "|---" * 5 + "|"]
    for name in done(results):
        result = results[name]
        on = result["machine"]
        lines.append(
            f"| {name} | `{result['plan_sha256'][:12]}` | {result['plan']['seeds']} | "
            f"{result['seconds']} | {on['cpu']}, torch {on['torch']}, torchtopo {on['torchtopo']} |"
        )
    return "\n".join(lines)


def sentence(results: Results) -> str:
    """The verdicts in one line."""
    said = [f"{plan_of(n).whom}: {verdict(plan_of(n), results[n]['rows'])}" for n in done(results)]
    left = [plan_of(n).whom for n in NAMES if n not in results]
    unrun = f" Not run yet: {', '.join(left)}." if left else ""
    return f"{'; '.join(said)}.{unrun}"


def plot(results: Results, out: Path) -> None:
    """Every comparison's effect, divided by the margin that matters, with its interval."""
    entries: list[tuple[str, Effect | None, float]] = []
    for name in done(results):
        plan, rows = plan_of(name), results[name]["rows"]
        entries.append((f"{plan.whom} ({plan.outcomes[0].words})", None, 1.0))
        for c in (plan.without, *plan.controls):
            found, *_ = compare(rows, c, plan.outcomes[0])
            entries.append((f"{c.arm} against {c.against}", found, plan.margin))
    figure: Figure
    figure, axes = plt.subplots(figsize=(10, 1.4 + 0.36 * len(entries)))
    axes.axvspan(-1, 1, color="#DDDDDD", zorder=0)
    axes.axvline(0, color="black", linewidth=0.8)
    for y, (_, one, margin) in enumerate(entries):
        if one is None:
            continue
        said = word(one, margin)
        colour = {"better": "#009E73", "worse": "#D55E00"}.get(said, "#777777")
        axes.plot([one.low / margin, one.high / margin], [y, y], color=colour)
        marker = {"better": "o", "worse": "X"}.get(said, "s")
        axes.plot(one.mean / margin, y, marker, color=colour)
    axes.set_yticks(range(len(entries)), [text for text, _, _ in entries], fontsize=10)
    for label, (_, one, _) in zip(axes.get_yticklabels(), entries, strict=True):
        label.set_fontweight("bold" if one is None else "normal")
    axes.set_xscale("symlog", linthresh=2)
    ticks = [-30, -10, -3, -1, 0, 1, 3, 10, 30]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("difference / smallest that matters (95 %); right is better")
    style.save(figure, out / "claims.png")


TABLES = {
    "claims": plans,
    "claims.short": short,
    **{f"claims.{name}": effects(name) for name in NAMES},
    **{f"claims.{name}.means": means(name) for name in NAMES},
}
