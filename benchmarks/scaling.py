"""Time grows like N², in few dimensions nearly like N; ragged bags cost what they hold."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import Tensor

import torchtopo

from . import style
from .data import cloud, distance_matrix
from .harness import Timing, digits, exponent, quiet, race
from .memory import peak_mb

Call = Callable[[], Any]


def measure(quick: bool = False) -> dict[str, Any]:
    """Threads, batch size, ragged batches, N, and memory."""
    return {
        "threads": threads(quick),
        "batch": batch(quick),
        "ragged": ragged(quick),
        "size": size(quick),
        "skipped": [],
    }


def threads(quick: bool) -> list[dict[str, Any]]:
    """The same bags, and one large one, on one to all cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    matrices = distance_matrix(cloud(16, 256, 64))
    cases: list[tuple[str, Call]] = [
        ("matrices 16×256", lambda: torchtopo.minimum_spanning_tree(matrices)),
    ]
    clouds = ((16, 256, 512), (1, 1024, 512), (1, 4096, 512), (1, 100_000, 8), (1, 1_000_000, 3))
    for bags, n, d in ((16, 256, 512), (1, 1024, 8)) if quick else clouds:
        points = cloud(bags, n, d)
        name = f"points {bags}×{n}×{d}" if bags > 1 else f"points {n}×{d}"
        cases.append((name, partial(torchtopo.deaths, points)))
    rows = []
    for what, call in cases:
        counts = sorted({1, 2, cores or 1})
        timings = race({str(k): _on(k, call) for k in counts}, budget=0.1 if quick else 1.0)
        rows.append({"what": what, "times": {k: t.to_json() for k, t in timings.items()}})
    return rows


def _on(count: int, call: Call) -> Call:
    def run() -> None:
        torch.set_num_threads(count)
        call()
        torch.set_num_threads(1)

    return run


def batch(quick: bool) -> list[dict[str, Any]]:
    """Bags of 64 points: one call on the batch against a Python loop of calls."""
    rows = []
    for bags in (1, 16) if quick else (1, 4, 16, 64, 256):
        points = cloud(bags, 64, 64)
        timings = race(
            {
                "batch": partial(torchtopo.deaths, points),
                "loop": _loop(list(points)),
            },
            budget=0.1 if quick else 0.5,
        )
        rows.append({"bags": bags, "times": _json(timings)})
    return rows


def _loop(bags: list[Tensor]) -> Call:
    return lambda: [torchtopo.deaths(bag) for bag in bags]


def ragged(quick: bool) -> list[dict[str, Any]]:
    """64 bags whose sizes differ more and more: packed, padded, and a loop over the bags."""
    rng = torch.Generator().manual_seed(0)
    rows = []
    for smallest in (256,) if quick else (256, 128, 32, 8):
        sizes = torch.randint(smallest, 257, (8 if quick else 64,), generator=rng)
        bags = [cloud(int(n), 64, seed=k) for k, n in enumerate(sizes)]
        packed, cu_seqlens = torchtopo.pack(bags)
        padded = torch.zeros(len(bags), int(sizes.max()), 64)
        for k, bag in enumerate(bags):
            padded[k, : len(bag)] = bag
        timings = race(
            {
                "packed": partial(torchtopo.deaths, packed, cu_seqlens=cu_seqlens),
                "padded": partial(torchtopo.deaths, padded, lengths=sizes),
                "loop": _loop(bags),
            },
            budget=0.1 if quick else 0.5,
        )
        held = digits(len(packed) / padded.shape[:2].numel(), 2)
        rows.append(
            {"bags": len(bags), "sizes": f"{smallest}–256", "held": held, "times": _json(timings)}
        )
    return rows


def size(quick: bool) -> list[dict[str, Any]]:
    """Time and peak memory of one cloud of growing N."""
    rows = []
    for d in (3,) if quick else (3, 64):
        sizes = [512, 2048] if quick else [1024, 4096, 16384, 32768]
        sizes += [131072, 1048576] if d == 3 and not quick else []
        for n in sizes:
            points = cloud(n, d)
            timing = race({"ours": partial(torchtopo.deaths, points)}, budget=0.3)["ours"]
            with quiet():
                peak = peak_mb("torchtopo deaths", (1, n), (d, 1))
            rows.append({"d": d, "n": n, "time": timing.to_json(), "peak_mb": digits(peak)})
    return rows


def _json(timings: dict[str, Timing]) -> dict[str, dict[str, float]]:
    return {name: timing.to_json() for name, timing in timings.items()}


def _exponent(rows: list[dict[str, Any]]) -> float:
    return exponent([r["n"] for r in rows], [r["time"]["median_ms"] for r in rows])


def threads_table(result: dict[str, Any]) -> str:
    """Speed-up by threads: measured up to the cores at hand, by `Model` beyond."""
    lines = [
        "| points | one thread | two | times faster | shared out (model) | 4 threads | 8 | 16 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in result["threads"]:
        one, two = (row["times"][k]["median_ms"] for k in ("1", "2"))
        model = Model(one, two)
        cells = [_times(row, k) or f"*{one / model.ms(k):.2g}×*" for k in (4, 8, 16)]
        lines.append(
            f"| {row['what']} | {_span(one)} | {_span(two)} | {one / two:.2f}× "
            f"| {model.shared / one:.0%} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def _times(row: dict[str, Any], threads: int) -> str:
    """How many times faster, if that many threads were tried."""
    times = row["times"]
    if str(threads) not in times:
        return ""
    return f"{times['1']['median_ms'] / times[str(threads)]['median_ms']:.2g}×"


@dataclass(frozen=True)
class Model:
    """Amdahl's law through the times on one thread and on two.

    A part is shared out evenly and the rest is not. Memory that all cores read at once, and cores
    that share their units, are not in it beyond what two of them show.
    """

    one: float
    two: float

    @property
    def shared(self) -> float:
        """The part of one thread's time that is shared out."""
        return min(max(2 * (self.one - self.two), 0.0), self.one)

    def ms(self, threads: int) -> float:
        """The time on so many threads."""
        return self.one - self.shared + self.shared / threads


def batch_table(result: dict[str, Any]) -> str:
    """One call against a loop of calls."""
    lines = ["| bags of 64 points | one call | per bag | a loop takes |", "|---|---|---|---|"]
    for row in result["batch"]:
        call, loop = row["times"]["batch"]["median_ms"], row["times"]["loop"]["median_ms"]
        lines.append(
            f"| {row['bags']} | {call:.3g} ms | {call / row['bags'] * 1e3:.3g} µs "
            f"| {loop / call:.2g}× |"
        )
    return "\n".join(lines)


def ragged_table(result: dict[str, Any]) -> str:
    """Packed against padded against a loop."""
    lines = [
        "| bags | sizes | share of padded rows in use | packed | padded | loop |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["ragged"]:
        packed = row["times"]["packed"]["median_ms"]
        cells = [f"{row['times'][k]['median_ms'] / packed:.2f}×" for k in ("padded", "loop")]
        lines.append(
            f"| {row['bags']} | {row['sizes']} | {row['held']:.0%} | {packed:.3g} ms "
            f"| {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def size_table(result: dict[str, Any]) -> str:
    """Time and memory against N."""
    lines = [
        "| N | D | time | peak memory | the matrix alone would take |",
        "|---|---|---|---|---|",
    ]
    for row in result["size"]:
        matrix = row["n"] ** 2 * 4 / 1e6
        lines.append(
            f"| {row['n']} | {row['d']} | {_span(row['time']['median_ms'])} "
            f"| {_megabytes(row['peak_mb'])} | {_megabytes(matrix)} |"
        )
    return "\n".join(lines)


def _span(ms: float) -> str:
    return f"{ms / 1e3:.3g} s" if ms >= 1000 else f"{ms:.3g} ms"


def _megabytes(mb: float) -> str:
    if mb < 1:
        return "under 1 MB"
    return f"{mb / 1e3:.3g} GB" if mb >= 1000 else f"{mb:.3g} MB"


def sentence(result: dict[str, Any]) -> str:
    """The fitted exponents, the thread speed-up and the cost of ragged bags."""
    by_dim = {
        d: [r for r in result["size"] if r["d"] == d] for d in {r["d"] for r in result["size"]}
    }
    slopes = " and ".join(f"N^{_exponent(rows):.2f} (D={d})" for d, rows in sorted(by_dim.items()))
    two = [r["times"]["1"]["median_ms"] / r["times"]["2"]["median_ms"] for r in result["threads"]]
    largest = max(result["size"], key=lambda r: r["n"])
    raggedest = result["ragged"][-1]["times"]
    padded = raggedest["padded"]["median_ms"] / raggedest["packed"]["median_ms"]
    loop = raggedest["loop"]["median_ms"] / raggedest["packed"]["median_ms"]
    return (
        f"Time grows as {slopes}; {largest['n']} points in {largest['d']} dimensions peak at "
        f"{largest['peak_mb']:.3g} MB; two threads are {min(two):.2g}–{max(two):.2g}× faster than "
        f"one; on the most ragged batch padded bags take {padded:.2f}× and a loop {loop:.2f}× the "
        f"time of packed ones."
    )


def plot(result: dict[str, Any], out: Path) -> None:
    """Time and memory against N, with fitted slopes."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4))
    looks: dict[int, dict[str, Any]] = {
        3: {"color": "#0072B2", "marker": "o"},
        64: {"color": "#D55E00", "marker": "s"},
    }
    for d in sorted({r["d"] for r in result["size"]}):
        look = looks[d]
        rows = [r for r in result["size"] if r["d"] == d]
        n = [r["n"] for r in rows]
        label = f"D = {d}: N^{_exponent(rows):.2f}"
        left.plot(n, [r["time"]["median_ms"] for r in rows], label=label, **look)
        right.plot(n, [max(r["peak_mb"], 0.01) for r in rows], label=f"D = {d}", **look)
    n = sorted({r["n"] for r in result["size"]})
    right.plot(n, [k * k * 4 / 1e6 for k in n], **style.FLOOR, label="a distance matrix")
    left.set(ylabel="time of one call, ms", title="Time grows like N², for few D nearly like N")
    right.set(ylabel="peak memory, MB", title="A matrix is made only where it pays")
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="points N")
        axes.legend()
    figure.tight_layout()
    style.save(figure, out / "scaling.png")


TABLES = {
    "scaling.threads": threads_table,
    "scaling.batch": batch_table,
    "scaling.ragged": ragged_table,
    "scaling.size": size_table,
}
