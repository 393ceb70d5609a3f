"""torchtopo is faster than every peer by at least the factor it promises, on one thread and all."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

import torchtopo
from torchtopo import _C

from . import peers, recipes
from .data import cloud, distance_matrix
from .harness import digits, quiet, race
from .memory import peak_mb

Call = Callable[[], Any]
SIZE = re.compile(r"\d+×\d+")


@dataclass(frozen=True)
class Row:
    """One promise: on ``case``, ours beats ``against`` by ``least`` and hopes for ``aim``.

    ``ran`` says which kernel found ours its tree. ``twice`` is two of theirs at once, where ours is
    theirs on two threads: twice its time over that of ``twice`` is what this machine gives to two
    threads that share nothing.
    """

    case: str
    against: str
    least: float
    aim: float
    ours: Call
    theirs: Call
    note: str = ""
    ran: str = ""
    twice: Call | None = None


def measure(quick: bool = False) -> dict[str, Any]:
    """Measure every row, both sides in turn in the same race."""
    rows: list[dict[str, Any]] = []
    skipped: list[str] = []
    for group in (matrices, clouds, against_cdist, steps, against_cdist_on_all, threads):
        for row in group(quick, skipped):
            rows.append(_timed(row, 0.1 if quick else 1.0))
    rows.append(_overhead(quick))
    rows.append(_memory(quick))
    return {"rows": rows, "skipped": sorted(set(skipped))}


def matrices(quick: bool, skipped: list[str]) -> Iterator[Row]:
    """From distance matrices: pairs and deaths."""
    promises: list[tuple[int, int, dict[str, tuple[float, float]]]] = [
        (16, 64, {"ripser.py": (50, 90), "hdbscan core": (4, 6)}),
        (16, 256, {"ripser.py": (150, 300), "giotto-ph": (60, 110), "hdbscan core": (7, 9)}),
        (4, 1024, {"ripser.py": (150, 250), "hdbscan core": (2, 4)}),
        (1, 4096, {"ripser.py": (350, 450), "giotto-ph": (80, 200), "hdbscan core": (2.4, 3)}),
    ]
    for bags, n, against in promises[: 2 if quick else None]:
        batch = distance_matrix(cloud(bags, n, 64))
        case = f"matrices {bags}×{n}"
        yield from _peer_rows(case, peers.MATRIX, batch, against, skipped, "matrix")
    if not quick:
        promised = peers.MATRIX | {"torchtopo": partial(peers.ours_matrix, symmetric=True)}
        against = {"ripser.py": (650, 800), "hdbscan core": (4, 5)}
        case += ", symmetric=True"
        yield from _peer_rows(case, promised, batch, against, skipped, "matrix")


def clouds(quick: bool, skipped: list[str]) -> Iterator[Row]:
    """From points: pairs and deaths against the fastest tree of points there is."""
    promises = [
        (4096, 2, 1.3, 2.5), (4096, 8, 6, 9), (16384, 8, 6, 9), (1024, 512, 40, 70),
        (4096, 512, 25, 50), (100_000, 8, 5, 9), (1_000_000, 3, 2, 3),
    ]  # fmt: skip
    for n, d, least, aim in promises[: 1 if quick else None]:
        yield from _peer_rows(
            f"points {n}×{d}", peers.POINTS, cloud(1, n, d), {"quitefastmst": (least, aim)},
            skipped, _C.plan(n, d),
        )  # fmt: skip


def against_cdist(quick: bool, skipped: list[str]) -> Iterator[Row]:
    """From points in many dimensions: the whole answer against the distance matrix alone."""
    shapes = [(n, d) for d in (128, 512, 2048) for n in (256, 1024, 4096)]
    for n, d in shapes[: 1 if quick else None]:
        x = cloud(n, d)
        yield Row(
            f"points {n}×{d}", "torch.cdist alone", 2, 3.5,
            partial(torchtopo.deaths, x), partial(torch.cdist, x, x), ran=_C.plan(n, d),
        )  # fmt: skip


def against_cdist_on_all(quick: bool, skipped: list[str]) -> Iterator[Row]:
    """The same, both on all cores."""
    count = cores()
    for n, d in ((1024, 512), (4096, 512))[: 1 if quick else None]:
        x = cloud(n, d)
        yield Row(
            f"points {n}×{d}, {count} threads", f"torch.cdist alone, {count} threads", 2, 3.5,
            _on(count, partial(torchtopo.deaths, x)), _on(count, partial(torch.cdist, x, x)),
            ran=_C.plan(n, d),
        )  # fmt: skip


def steps(quick: bool, skipped: list[str]) -> Iterator[Row]:
    """The signature loss, forward and backward, X 512-d fixed, Z 64-d with gradient."""
    shapes = [(16, 64, 22, 28), (16, 256, 15, 20), (4, 1024, 20, 30)]
    for bags, n, least, aim in shapes[: 1 if quick else None]:
        x, z = cloud(bags, n, 512), cloud(bags, n, 64, seed=1).requires_grad_()
        case = f"training step {bags}×{n}"
        for ours, against, note in (
            (recipes.ours, recipes.torch_topological_plain, "plain"),
            (recipes.ours_normalised, recipes.torch_topological, "normalised"),
        ):
            try:
                theirs = against(x, z)
            except ImportError:
                skipped.append("torch-topological")
                continue
            ran = f"{_C.plan(n, 512)}, {_C.plan(n, 64)}"
            step = ours(x, z)
            yield Row(f"{case}, {note}", "torch-topological", least, aim, step, theirs, ran=ran)
        yield Row(
            f"{case}, pairs_x", "its own kernels alone", 0.6, 0.9,
            recipes.ours_cached(x, z), recipes.ours_kernels_alone(x, z), ran=_C.plan(n, 64),
        )  # fmt: skip


def threads(quick: bool, skipped: list[str]) -> Iterator[Row]:
    """Two threads against one: over a batch, and within one cloud."""
    if cores() < 2:
        skipped.append("two threads: there is one core")
        return
    batch = distance_matrix(cloud(16, 256, 64))
    tree = partial(torchtopo.minimum_spanning_tree, batch)
    case, against = "two threads over 16×256", "own one thread"
    yield Row(
        case, against, 1.4, 1.8, _on(2, tree), _on(1, tree), ran="matrix", twice=_two_at_once(tree)
    )
    shapes = [(1024, 512), (4096, 512), (100_000, 8), (1_000_000, 3)]
    for n, d in shapes[: 1 if quick else None]:
        call = partial(torchtopo.vietoris_rips_pairs, cloud(n, d))
        yield Row(
            f"two threads within {n}×{d}", against, 1.7, 1.9, _on(2, call), _on(1, call),
            ran=_C.plan(n, d), twice=_two_at_once(call),
        )  # fmt: skip


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _on(count: int, call: Call) -> Call:
    """The call on so many threads."""

    def on_threads() -> None:
        torch.set_num_threads(count)
        call()
        torch.set_num_threads(1)

    return on_threads


def _two_at_once(call: Call) -> Call:
    """The call in two threads at once, each on one core."""
    pool = ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,))

    def at_once() -> None:
        for running in [pool.submit(call), pool.submit(call)]:
            running.result()

    return at_once


def _peer_rows(
    case: str,
    registry: dict[str, peers.Peer],
    batch: Tensor,
    against: dict[str, tuple[float, float]],
    skipped: list[str],
    ran: str,
) -> Iterator[Row]:
    wanted = {name: registry[name] for name in ("torchtopo", *against)}
    ready, missing = peers.jobs(wanted, batch)
    skipped.extend(missing)
    expected = ready["torchtopo"].read(ready["torchtopo"].call())
    for name, (least, aim) in against.items():
        if name in ready:
            note = peers.disagreement(ready[name].read(ready[name].call()), expected) or ""
            ours = ready["torchtopo"].call
            yield Row(case, name, least, aim, ours, ready[name].call, note, ran)


def _timed(row: Row, budget: float) -> dict[str, Any]:
    contestants = {"ours": row.ours, "theirs": row.theirs}
    if row.twice is not None:
        contestants["twice"] = row.twice
    timings = race(contestants, budget=budget)
    ours, theirs = timings["ours"], timings["theirs"]
    timed = {
        "case": row.case, "against": row.against, "unit": "ms",
        "ours": ours.to_json(), "theirs": theirs.to_json(),
        "ratio": digits(theirs.median / ours.median), "least": row.least, "aim": row.aim,
        "note": row.note, "ran": row.ran,
    }  # fmt: skip
    if row.twice is not None:
        two = digits(2 * theirs.median / timings["twice"].median)
        timed |= {"two_at_once": two, "note": f"two such calls at once: {two:g}×"}
    return timed


def _overhead(quick: bool) -> dict[str, Any]:
    """What a call on ten points costs beyond an empty registered op, in microseconds."""
    make: Any = torch.library.Library  # without types in some releases of torch
    library = make("torchtopo_benchmark", "FRAGMENT")
    library.define("empty(Tensor points) -> (Tensor, Tensor)")
    library.impl(
        "empty",
        lambda x: (x.new_empty(x.shape[0] - 1, 2, dtype=torch.int64), x.new_empty(x.shape[0] - 1)),
        "CPU",
    )
    x = cloud(10, 3)
    empty = torch.ops.torchtopo_benchmark.empty
    timings = race(
        {"call": lambda: torchtopo.vietoris_rips_pairs(x), "empty": lambda: empty(x)},
        budget=0.2 if quick else 1.0,
    )
    extra = (timings["call"].median - timings["empty"].median) * 1e6
    return {
        "case": "a call on 10 points", "against": "an empty registered op", "unit": "µs beyond",
        "ours": timings["call"].to_json(), "theirs": timings["empty"].to_json(),
        "extra": digits(extra), "most": 10.0,
    }  # fmt: skip


def _memory(quick: bool) -> dict[str, Any]:
    """Peak memory of a training step on one large bag."""
    n = 512 if quick else 4096
    with quiet():
        ours = peak_mb("torchtopo", (1, n))
        try:
            theirs = peak_mb("torch + hdbscan core", (1, n))
        except Exception:  # the child died, most likely of a missing hdbscan
            theirs = float("nan")
    return {
        "case": f"peak memory, step 1×{n}", "against": "torch + hdbscan core", "unit": "MB",
        "ours": {"median_mb": digits(ours)}, "theirs": {"median_mb": digits(theirs)},
        "ratio": digits(theirs / ours), "least": 2.0, "aim": 2.0, "note": "",
    }  # fmt: skip


def verdict(row: dict[str, Any]) -> str:
    """``"aim"``, ``"PASS"`` or ``"MISS"``, from the numbers of a row."""
    if "extra" in row:
        return "PASS" if row["extra"] <= row["most"] else "MISS"
    if row["ratio"] >= row["aim"]:
        return "aim"
    return "PASS" if row["ratio"] >= row["least"] else "MISS"


def _shown(value: dict[str, float]) -> str:
    """A measured side: its median, and half the distance of the quartiles as a percentage."""
    if "median_mb" in value:
        return f"{value['median_mb']:g} MB"
    ms = value["median_ms"]
    spread = (value["high_ms"] - value["low_ms"]) / 2 / ms
    text = f"{ms * 1e3:.3g} µs" if ms < 1 else f"{ms:.3g} ms" if ms < 1e3 else f"{ms / 1e3:.3g} s"
    return f"{text} ± {spread:.0%}"


def table(result: dict[str, Any]) -> str:
    """The table as Markdown; with a column of kernels where a row names one."""
    named = any(row.get("ran") for row in result["rows"])
    lines = [
        "| case | against | ratio | at least | aim | | ours | theirs |" + " kernel |" * named,
        "|---|---|---|---|---|---|---|---|" + "---|" * named,
    ]
    for row in result["rows"]:
        if "extra" in row:
            ratio, least, aim = f"+{row['extra']:g} µs", f"≤ {row['most']:g} µs", ""
        else:
            ratio, least, aim = f"{row['ratio']:g}×", f"{row['least']:g}×", f"{row['aim']:g}×"
        note = f" ({row['note']})" if row.get("note") else ""
        kernel = f" {row.get('ran', '')} |" if named else ""
        lines.append(
            f"| {row['case']} | {row['against']}{note} | {ratio} | {least} | {aim} | "
            f"{verdict(row)} | {_shown(row['ours'])} | {_shown(row['theirs'])} |{kernel}"
        )
    return "\n".join(lines)


def short_table(result: dict[str, Any]) -> str:
    """One line for all sizes of a case against one peer: the span of ratios, how many are kept."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in result["rows"]:
        groups.setdefault((_without_size(row["case"]), row["against"]), []).append(row)
    lines = ["| case | against | ratio | kept |", "|---|---|---|---|"]
    for (case, against), rows in groups.items():
        if len(rows) > 1:
            sizes = [SIZE.findall(row["case"])[0] for row in rows]
            case += f", {sizes[0]} to {sizes[-1]}"
        else:
            case = rows[0]["case"]
        if "extra" in rows[0]:
            span = f"+{rows[0]['extra']:g} µs"
        else:
            ratios = [row["ratio"] for row in rows]
            span = "–".join(f"{r:g}" for r in dict.fromkeys((min(ratios), max(ratios)))) + "×"
        kept = sum(verdict(row) != "MISS" for row in rows)
        lines.append(f"| {case} | {against} | {span} | {kept} of {len(rows)} |")
    return "\n".join(lines)


def _without_size(case: str) -> str:
    return " ".join(SIZE.sub("", case).replace(" ,", ",").split())


def sentence(result: dict[str, Any]) -> str:
    """What the numbers say."""
    verdicts = [verdict(row) for row in result["rows"]]
    held = sum(v != "MISS" for v in verdicts)
    missed = [
        f"{r['case']} against {r['against']}"
        for r, v in zip(result["rows"], verdicts, strict=True)
        if v == "MISS"
    ]
    text = (
        f"{held} of {len(verdicts)} rows reach what is promised at least, "
        f"{verdicts.count('aim')} of them the aim"
    )
    return text + (f"; missed: {'; '.join(missed)}." if missed else ".")


TABLES = {"speed_table": table, "speed_table.short": short_table}
