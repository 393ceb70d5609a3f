"""A training step with torchtopo's signature loss is faster and leaner than every other recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from . import style
from .data import cloud
from .harness import digits, quiet, race, ratio
from .memory import peak_mb
from .recipes import RECIPES

SHAPES = [(16, 64), (16, 256), (4, 1024), (1, 4096)]
LONGEST = 8.0  # seconds a step; a recipe is left out of the shapes where it would take longer
BASE = "torchtopo"
# Which other recipe computes the same number, so that its loss can be checked.
TWINS = {
    "torchtopo, pairs_x": BASE,
    "torch + hdbscan core": BASE,
    "torch + scipy csgraph": BASE,
    "torch + Python Kruskal": BASE,
    "torch-topological": "torchtopo, tt convention",
}


def measure(quick: bool = False) -> dict[str, Any]:
    """Forward and backward of the loss, X 512-d without and Z 64-d with gradient."""
    rows, skipped = [], set()
    left_out: set[str] = set()
    for bags, n in SHAPES[:1] if quick else SHAPES:
        x, z = cloud(bags, n, 512), cloud(bags, n, 64, seed=1).requires_grad_()
        steps, losses = {}, {}
        for name, recipe in RECIPES.items():
            if name in left_out:
                continue
            try:
                steps[name] = recipe(x, z)
            except ImportError as error:
                skipped.add(f"{name}: not installed ({error.name})")
                continue
            losses[name] = float(steps[name]())
        timings = race(steps, budget=0.1 if quick else 1.0)
        # The next shape has at least four times the pairs.
        left_out |= {name for name, t in timings.items() if t.median * 5 > LONGEST}
        memory = {}
        with quiet():
            for name in _weighed(steps, n, quick):
                memory[name] = digits(peak_mb(name, (bags, n)))
        rows.append(
            {
                "bags": bags,
                "n": n,
                "times": {name: t.to_json() for name, t in timings.items()},
                "losses": losses,
                "peak_mb": memory,
                "other_answers": _other_answers(losses),
            }
        )
        print(
            f"  {bags}×{n}: " + ", ".join(f"{k} {t.median * 1e3:.3g}" for k, t in timings.items())
        )
    return {"rows": rows, "skipped": sorted(skipped)}


def _weighed(steps: dict[str, Any], n: int, quick: bool) -> list[str]:
    """The recipes whose memory is measured: small steps would only show the allocator's grain."""
    if quick:
        return [name for name in (BASE, "torch + hdbscan core") if name in steps]
    return list(steps) if n >= 1024 else []


def _other_answers(losses: dict[str, float]) -> dict[str, str]:
    said = {}
    for name, twin in TWINS.items():
        if name in losses and twin in losses:
            error = abs(losses[name] / losses[twin] - 1)
            if not error < 1e-3:
                said[name] = f"its loss differs from ours by {error:.0%}"
    return said


def table(result: dict[str, Any]) -> str:
    """Milliseconds of ours, and how many times longer every other recipe takes."""
    rows = result["rows"]
    names = [name for name in RECIPES if any(name in row["times"] for row in rows)]
    lines = [f"| recipe | {' | '.join(_shape(r) for r in rows)} |", "|---" * (len(rows) + 1) + "|"]
    for name in names:
        cells = []
        for row in rows:
            ours = row["times"][BASE]["median_ms"]
            if name not in row["times"]:
                cells.append("–")
            elif name == BASE:
                cells.append(f"**{ours:.3g} ms**")
            else:
                star = "*" if name in row["other_answers"] else ""
                cells.append(f"{ratio(row['times'][name]['median_ms'] / ours)}×{star}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    said = {name: text for row in rows for name, text in row["other_answers"].items()}
    if said:
        lines += ["", *(f"\\* {name}: {text}." for name, text in sorted(said.items()))]
    return "\n".join(lines)


def memory_table(result: dict[str, Any]) -> str:
    """Peak memory of one step over what stood before it."""
    rows = [row for row in result["rows"] if row["peak_mb"]]
    names = [name for name in RECIPES if any(name in row["peak_mb"] for row in rows)]
    lines = [f"| peak MB | {' | '.join(_shape(r) for r in rows)} |", "|---" * (len(rows) + 1) + "|"]
    for name in names:
        peaks = [r["peak_mb"].get(name) for r in rows]
        cells = ["–" if mb is None else f"{mb:.3g}" if mb >= 1 else "under 1" for mb in peaks]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _shape(row: dict[str, Any]) -> str:
    return f"{row['bags']}×{row['n']}"


COMPARISONS = (
    ("torch-topological, plain", BASE, "in the paper's convention"),
    ("torch-topological", "torchtopo, tt convention", "in torch-topological's own"),
    ("torch + hdbscan core", BASE, "in the paper's convention"),
)


def _span(result: dict[str, Any], name: str, base: str) -> str | None:
    """Smallest and largest ratio over the shapes in which both were timed."""
    ratios = [
        r["times"][name]["median_ms"] / r["times"][base]["median_ms"]
        for r in result["rows"]
        if name in r["times"] and base in r["times"]
    ]
    return f"{ratio(min(ratios))}–{ratio(max(ratios))}×" if ratios else None


def sentence(result: dict[str, Any]) -> str:
    """How much faster than torch-topological and than the best recipe, and how much leaner."""

    parts = []
    for name, base, in_words in COMPARISONS:
        span = _span(result, name, base)
        if span:
            parts.append(f"{name} takes {span} as long as torchtopo {in_words}")
    cached = _span(result, BASE, "torchtopo, pairs_x")
    parts.append(f"caching pairs_x makes torchtopo's own step {cached} faster")
    last = result["rows"][-1]
    if last["peak_mb"]:
        ours = last["peak_mb"][BASE]
        others = {k: v for k, v in last["peak_mb"].items() if not k.startswith("torchtopo")}
        if others:
            name = min(others, key=lambda k: others[k])
            parts.append(
                f"at {_shape(last)} torchtopo peaks at {ours:g} MB, the leanest other recipe "
                f"({name}) at {others[name]:g} MB"
            )
    return "; ".join(parts) + "."


def plot(result: dict[str, Any], out: Path) -> None:
    """Time of a step by batch shape, one mark for each recipe."""
    rows = [r for r in result["rows"] if r["times"]]
    names = [n for n in RECIPES if any(n in r["times"] for r in rows)]
    colours = {
        "torchtopo": "#000000", "torchtopo, pairs_x": "#777777",
        "torchtopo, tt convention": "#BBBBBB", "torch-topological": "#CC79A7",
        "torch-topological, plain": "#E8C0D8", "torch + hdbscan core": "#009E73",
        "torch + scipy csgraph": "#E69F00", "torch + Python Kruskal": "#56B4E9",
    }  # fmt: skip
    figure, axes = plt.subplots(figsize=(10, 4.8))
    for k, name in enumerate(names):
        at = [i for i, r in enumerate(rows) if name in r["times"]]
        axes.plot(
            [i + 0.09 * (k - len(names) / 2 + 0.5) for i in at],
            [rows[i]["times"][name]["median_ms"] for i in at],
            linestyle="none", marker="osDXvP^*"[k % 8], color=colours[name], label=name,
            markersize=11, markeredgecolor="white",
        )  # fmt: skip
    for i in range(len(rows) - 1):
        axes.axvline(i + 0.5, color="#CCCCCC", linewidth=1)
    axes.grid(axis="x", visible=False)
    axes.set(
        yscale="log", ylabel="forward + backward, ms",
        xlabel="bags × points (X 512-d, Z 64-d)",
    )  # fmt: skip
    axes.set_xticks(range(len(rows)), [_shape(r) for r in rows])
    title = "A training step with the signature loss"
    span = _span(result, *COMPARISONS[0][:2])
    if span:
        title += f": {span} faster than torch-topological"
    axes.set_title(title)
    axes.legend(fontsize=11, loc="center left", bbox_to_anchor=(1, 0.5))
    style.save(figure, out / "training_step.png")


TABLES = {"training_step": table, "training_step.memory": memory_table}
