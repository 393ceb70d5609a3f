"""0-dim persistence is fastest with torchtopo, but for tiny single clouds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from . import peers, style
from .data import cloud, distance_matrix
from .harness import digits, race, ratio

LONGEST = 3.0  # seconds: a peer whose next call is expected to take longer is left out from there
SIZES = tuple(2**k for k in range(5, 15))
POINT_SIZES = (32, 256, 1024, 4096, 16384, 65536)
DIMS = (2, 8, 64, 512, 2048)
MOST_NUMBERS = 2**22  # a cloud of points holds at most this many,
FEW = 8  # and beyond 16384 points it has at most so many dimensions
MATRIX_DIM = 16  # dimension of the points behind the matrices
LARGEST = {"GUDHI SimplexTree": 4096, "GUDHI RipsPersistence": 8192}  # by memory, not by time


def measure(quick: bool = False) -> dict[str, Any]:
    """Time every peer from matrices and from points over N (and D)."""
    sizes, point_sizes = ((32, 128), (32, 128)) if quick else (SIZES, POINT_SIZES)
    skipped: dict[str, str] = {}
    sweeps = {
        "matrix": _sweep(
            peers.MATRIX, sizes, lambda n: distance_matrix(cloud(1, n, MATRIX_DIM)), skipped
        )
    }
    for d in DIMS[::2] if quick else DIMS:
        over = [n for n in point_sizes if n * d <= MOST_NUMBERS and (n <= 16384 or d <= FEW)]
        sweeps[f"points D={d}"] = _sweep(peers.POINTS, over, partial(_points, d), skipped)
    rate = _multiply_add_rate()
    return {
        "sweeps": sweeps,
        "longest_s": LONGEST,
        "rate_gelem_s": digits(rate / 1e9),
        "read_ms": {str(n): digits(_read_ms(n), 4) for n in sizes},
        "skipped": [f"{name}: {why}" for name, why in skipped.items()],
    }


def _points(d: int, n: int) -> Tensor:
    return cloud(1, n, d)


def _sweep(
    registry: dict[str, peers.Peer], sizes: Sequence[int], make: Any, skipped: dict[str, str]
) -> list[dict[str, Any]]:
    """One row for each N: the timing of each peer and, where it has one, its other answer."""
    rows: list[dict[str, Any]] = []
    last: dict[str, tuple[int, float]] = {}
    for n in sizes:
        batch: Tensor = make(n)
        wanted = {
            name: peer
            for name, peer in registry.items()
            if name == "torchtopo"
            or (n <= LARGEST.get(name, n) and _expected(last.get(name), n) <= LONGEST)
        }
        ready, missing = peers.jobs(wanted, batch)
        skipped.update(missing)
        results: dict[str, Any] = {}
        timings = race(
            {name: partial(_keep, results, name, job.call) for name, job in ready.items()},
            budget=0.2,
        )
        mine = ready["torchtopo"].read(results["torchtopo"])
        other: dict[str, str] = {}
        for name, job in ready.items():
            said = peers.disagreement(job.read(results[name]), mine)
            if said:
                other[name] = said
        last.update({name: (n, timing.median) for name, timing in timings.items()})
        rows.append(
            {
                "n": n,
                "times": {name: timing.to_json() for name, timing in timings.items()},
                "other_answers": other,
            }
        )
        print(f"  N={n}: {', '.join(f'{k} {v.median * 1e3:.3g}' for k, v in timings.items())} ms")
    return rows


def _keep(results: dict[str, Any], name: str, call: Callable[[], Any]) -> None:
    results[name] = call()


def _expected(last: tuple[int, float] | None, n: int) -> float:
    """Seconds a call will take if the method is a little worse than quadratic."""
    if last is None:
        return 0.0
    size, seconds = last
    return float(seconds * (n / size) ** 2.2)


def _multiply_add_rate() -> float:
    """Multiply-adds a second of one thread, measured with torch's own matrix product."""
    a = torch.randn(1024, 1024)
    return 1024**3 / race({"mm": lambda: a @ a}, budget=0.3)["mm"].best


def _read_ms(n: int) -> float:
    """Milliseconds to read a float32 matrix once, measured by summing it."""
    matrix = torch.ones(n, n)
    return race({"sum": lambda: matrix.sum()}, budget=0.1)["sum"].best * 1e3


def _fastest_peer(times: dict[str, dict[str, float]]) -> str | None:
    others = [name for name in times if name != "torchtopo"]
    return min(others, key=lambda name: times[name]["median_ms"]) if others else None


def table(result: dict[str, Any], sweep: str = "matrix") -> str:
    """Ratios over N: how many times longer each library takes than torchtopo."""
    rows = result["sweeps"].get(sweep, [])
    names = [n for n in (peers.MATRIX if sweep == "matrix" else peers.POINTS) if n != "torchtopo"]
    names = [name for name in names if any(name in row["times"] for row in rows)]
    lines = [f"| N | torchtopo | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for row in rows:
        ours = row["times"]["torchtopo"]["median_ms"]
        cells = []
        for name in names:
            if name in row["times"]:
                star = "*" if name in row["other_answers"] else ""
                cells.append(f"{ratio(row['times'][name]['median_ms'] / ours)}×{star}")
            else:
                cells.append("–")
        lines.append(f"| {row['n']} | {_time(ours)} | {' | '.join(cells)} |")
    if rows:
        lines += [
            "",
            f'"–": left out, it would take over {result["longest_s"]:g} s or too much memory.',
        ]
    return "\n".join(lines + _notes(rows))


def short_table(result: dict[str, Any]) -> str:
    """A few sizes for the README: our time, and the best-known and the fastest peers' ratios."""
    picked = [("matrix", n) for n in (64, 256, 1024, 4096)]
    picked += [
        ("points D=2", 1024), ("points D=2", 65536), ("points D=8", 4096),
        ("points D=8", 16384),
        ("points D=64", 1024), ("points D=512", 1024), ("points D=512", 4096),
    ]  # fmt: skip
    lines = [
        "| input | torchtopo | ripser.py | giotto-ph | fastest other |",
        "|---|---|---|---|---|",
    ]
    for sweep, n in picked:
        for row in result["sweeps"].get(sweep, []):
            if row["n"] != n:
                continue
            times = row["times"]
            ours = times["torchtopo"]["median_ms"]
            cells = [
                f"{ratio(times[name]['median_ms'] / ours)}×" if name in times else "–"
                for name in ("ripser.py", "giotto-ph")
            ]
            best = _fastest_peer(times)
            if best:
                cells.append(f"{ratio(times[best]['median_ms'] / ours)}× ({best})")
            what = f"matrix {n}×{n}" if sweep == "matrix" else f"{n} points, {sweep[7:]}"
            lines.append(f"| {what} | {_time(ours)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _time(ms: float) -> str:
    return f"{ms * 1e3:.3g} µs" if ms < 1 else f"{ms:.3g} ms"


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    said = {name: text for row in rows for name, text in row["other_answers"].items()}
    if not said:
        return []
    return ["", *(f"\\* {name} {text}." for name, text in sorted(said.items()))]


def sentence(result: dict[str, Any]) -> str:
    """Where torchtopo wins, by how much, and where it loses."""
    wins: list[tuple[float, str, str]] = []
    losses: list[tuple[float, str, str]] = []
    against_ripser: list[float] = []
    for sweep, rows in result["sweeps"].items():
        for row in rows:
            times = row["times"]
            ours = times["torchtopo"]["median_ms"]
            best = _fastest_peer(times)
            if best:
                factor = times[best]["median_ms"] / ours
                (wins if factor >= 1 else losses).append((factor, f"{sweep} N={row['n']}", best))
            if "ripser.py" in times:
                against_ripser.append(times["ripser.py"]["median_ms"] / ours)
    total = len(wins) + len(losses)
    text = f"torchtopo is the fastest in {len(wins)} of {total} cases"
    if wins:
        text += f" (by {ratio(min(wins)[0])}–{ratio(max(wins)[0])}× over the fastest other)"
    if against_ripser:
        mean = math.exp(sum(map(math.log, against_ripser)) / len(against_ripser))
        text += (
            f" and {ratio(min(against_ripser))}–{ratio(max(against_ripser))}× faster than "
            f"ripser.py (geometric mean {ratio(mean)}×)"
        )
    if losses:
        named = "; ".join(f"{case}: {who} {ratio(1 / f)}× faster" for f, case, who in losses)
        return f"{text}; it is not the fastest in {len(losses)}: {named}."
    return f"{text}."


def plot(result: dict[str, Any], out: Path) -> None:
    """Time against N, from matrices and from points of each D, beside what reading all takes."""
    _plot_matrices(result, out / "vs_ripser_matrices.png")
    _plot_points(result, out / "vs_ripser_points.png")


def _points_title(sweeps: dict[str, list[dict[str, Any]]]) -> str:
    """What the panels show, from their numbers: where another library is faster."""
    slower: dict[str, list[int]] = {}
    for name, rows in sweeps.items():
        for row in rows:
            best = _fastest_peer(row["times"])
            if best and row["times"][best]["median_ms"] < row["times"]["torchtopo"]["median_ms"]:
                slower.setdefault(name.removeprefix("points "), []).append(row["n"])
    total = sum(_fastest_peer(row["times"]) is not None for rows in sweeps.values() for row in rows)
    title = f"From points: fastest in {total - sum(map(len, slower.values()))} of {total} cases"
    if slower:
        where = "; ".join(f"{d}, N = {', '.join(map(str, ns))}" for d, ns in slower.items())
        title += f" (not at {where})"
    return title


def _lines(axes: Any, rows: list[dict[str, Any]]) -> None:
    names = dict.fromkeys(name for row in rows for name in row["times"])
    for name in names:
        points = [(r["n"], r["times"][name]["median_ms"]) for r in rows if name in r["times"]]
        axes.plot(*zip(*points, strict=True), **style.line_style(name))
    axes.set(xscale="log", yscale="log", xlabel="points N")
    ticks = [n for n in (32, 128, 512, 2048, 8192, 32768) if n <= rows[-1]["n"]]
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.minorticks_off()


def _plot_matrices(result: dict[str, Any], path: Path) -> None:
    rows = result["sweeps"]["matrix"]
    figure, axes = plt.subplots(figsize=(8.5, 5.2))
    _lines(axes, rows)
    floor = [(r["n"], result["read_ms"][str(r["n"])]) for r in rows]
    axes.plot(*zip(*floor, strict=True), **style.FLOOR, label="floor: reading the matrix")
    last = [r for r in rows if "ripser.py" in r["times"]]
    title = "0-dim persistence of a distance matrix, one thread"
    if last:
        times = last[-1]["times"]
        factor = times["ripser.py"]["median_ms"] / times["torchtopo"]["median_ms"]
        n = last[-1]["n"]
        title = f"From a distance matrix: {ratio(factor)}× faster than ripser.py at N = {n}"
    axes.set(ylabel="time of one call, ms", title=title)
    axes.legend(fontsize=11, loc="center left", bbox_to_anchor=(1, 0.5))
    style.save(figure, path)


def _plot_points(result: dict[str, Any], path: Path) -> None:
    sweeps = {k: v for k, v in result["sweeps"].items() if k.startswith("points")}
    columns = min(3, len(sweeps))
    count = math.ceil((len(sweeps) + 1) / columns)
    figure, grid = plt.subplots(
        count, columns, figsize=(4.6 * columns, 3.9 * count), sharey=True, squeeze=False
    )
    for axes, (name, rows) in zip(grid.flat, sweeps.items(), strict=False):
        d = int(name.split("=")[1])
        _lines(axes, rows)
        sizes = [r["n"] for r in rows]
        floor = [n * n / 2 * d / result["rate_gelem_s"] / 1e6 for n in sizes]
        axes.plot(sizes, floor, **style.FLOOR, label="all pairs: N²/2·D multiply-adds")
        axes.set(title=f"D = {d}", ylabel="time of one call, ms", ylim=(5e-3, None))
    for axes in grid.flat[len(sweeps) :]:
        axes.axis("off")
    # A peer may be missing from the first panel, so the legend gathers them all.
    seen = {
        label: handle
        for axes in grid.flat[: len(sweeps)]
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    grid.flat[-1].legend(seen.values(), seen.keys(), loc="center", fontsize=12)
    figure.suptitle(_points_title(sweeps), fontweight="bold", x=0.01, ha="left")
    figure.tight_layout()
    style.save(figure, path)


TABLES = {
    "vs_ripser": table,
    "vs_ripser.short": short_table,
    **{f"vs_ripser.points{d}": partial(table, sweep=f"points D={d}") for d in DIMS},
}
