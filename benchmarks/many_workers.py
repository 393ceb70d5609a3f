"""The tree of 10,000,000×64 points on many workers: its parts measured, their sum a model.

Measured, on one core: the tree of two blocks, Kruskal over the edges of four such trees, what a
block takes between two processes, what the scheduler takes for a task. A model adds them up, and is
held against a run of two workers. What a network or a scheduler of a thousand workers would add is
not in it.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch

import torchtopo

from .harness import digits, race

D = 64
POINTS, BLOCK = 10_000_000, 50_000
WORKERS = (10, 100, 1000)


@dataclass(frozen=True)
class Costs:
    """Seconds on one core: of a pair of points, an edge that is merged, a byte moved, a task."""

    pair: float
    edge: float
    byte: float
    task: float


@dataclass(frozen=True)
class Estimate:
    """Seconds of a tree on so many workers, by part, and the tasks and edges there are."""

    trees: float
    moves: float
    merges: float
    scheduler: float
    tasks: int

    @property
    def total(self) -> float:
        """The scheduler works beside the workers; merges wait for trees."""
        return max(self.trees + self.moves, self.scheduler) + self.merges


def squares(blocks: int) -> list[Counter[tuple[int, int]]]:
    """How many forests each merge joins, level by level, as `torchtopo.dask` pairs them."""
    levels, level = [], list(combinations(range(blocks), 2))
    while len(level) > 1:
        levels.append(Counter((a // 2, b // 2) for a, b in level))
        level = list(levels[-1])
    return levels


def estimate(costs: Costs, points: int, block: int, workers: int) -> Estimate:
    """What `torchtopo.dask.minimum_spanning_tree` takes for float32 points in blocks of rows."""
    blocks = math.ceil(points / block)
    pairs = blocks * (blocks - 1) // 2
    tree = costs.pair * (2 * block) ** 2 / 2
    merges, rows = 0.0, 2 * block
    levels = squares(blocks)
    for level in levels:
        one = [joined * rows * costs.edge for joined in level.values() if joined > 1]
        rows = min(2 * rows, points)
        merges += max(sum(one) / workers, max(one, default=0.0))
    moved = pairs * block * D * 4
    tasks = pairs + sum(len(level) for level in levels)
    return Estimate(
        trees=math.ceil(pairs / workers) * tree,
        moves=moved * costs.byte / workers,
        merges=merges,
        scheduler=tasks * costs.task,
        tasks=tasks,
    )


def measure_costs(client: Any, quick: bool) -> Costs:
    """The costs on this machine; `client` has two workers."""
    from torchtopo.dask import forest_of_forests, forest_of_points

    draw = np.random.default_rng(0).standard_normal
    n = 2000 if quick else 20_000
    halves = [(first, draw((n // 2, D), np.float32)) for first in (0, n // 2)]
    four = [
        forest_of_points(
            [(n * k, draw((n // 2, D), np.float32)), (n * m, draw((n // 2, D), np.float32))],
            "euclidean",
        )
        for k in (0, 1)
        for m in (2, 3)
    ]
    first, second = client.scheduler_info()["workers"]
    size = 4_000_000 if quick else 64_000_000

    def move() -> None:
        block = client.submit(np.zeros, size // 8, workers=[first], pure=False)
        client.submit(len, block, workers=[second], pure=False).result()

    count = 200 if quick else 2000
    times = race(
        {
            "tree": lambda: forest_of_points(halves, "euclidean"),
            "merge": lambda: forest_of_forests(four, 4 * n),
            "move": move,
            "empty": lambda: client.submit(int, workers=[second], pure=False).result(),
            "tasks": lambda: client.gather(client.map(_nothing, range(count), pure=False)),
        }
    )
    return Costs(
        pair=times["tree"].median / (n**2 / 2),
        edge=times["merge"].median / (4 * n),
        byte=max(times["move"].median - 2 * times["empty"].median, 0.0) / size,
        task=times["tasks"].median / count,
    )


def _nothing(_: int) -> None:
    """A task that does nothing."""


def measure(quick: bool) -> dict[str, Any]:
    """Measure the costs, hold the model against a run, and say what it foretells."""
    import dask.array as da
    from dask.distributed import Client, LocalCluster

    from torchtopo.dask import minimum_spanning_tree

    points, block = (4000, 500) if quick else (60_000, 10_000)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.gather(client.map(_warm, range(8), pure=False))
        costs = measure_costs(client, quick)
        array = da.random.default_rng(0).standard_normal(
            (points, D), chunks=(block, -1), dtype="f4"
        )
        array = client.persist(array)
        start = time.perf_counter()
        found = client.gather(client.compute(list(minimum_spanning_tree(array))))
        seen = time.perf_counter() - start
        whole = torch.from_numpy(array.compute())
    start = time.perf_counter()
    pairs = torchtopo.vietoris_rips_pairs(whole)
    alone = time.perf_counter() - start
    assert np.array_equal(found[0], pairs.numpy()), "the workers found another tree"
    return {
        "costs": asdict(costs),
        "check": {
            "points": points, "block": block, "seen_s": digits(seen),
            "foretold_s": digits(estimate(costs, points, block, 2).total),
            "one_call_one_thread_s": digits(alone),
        },
        "points": POINTS,
        "block": BLOCK,
        "rows": [_row(costs, workers) for workers in WORKERS],
    }  # fmt: skip


def _warm(_: int) -> None:
    """Import what a worker needs, and find the instruction set."""
    torchtopo.deaths(torch.rand(64, D))


def _row(costs: Costs, workers: int) -> dict[str, Any]:
    foretold = estimate(costs, POINTS, BLOCK, workers)
    parts = {f"{name}_s": digits(value) for name, value in asdict(foretold).items()}
    parts["tasks"] = parts.pop("tasks_s")
    return {"workers": workers, **parts, "total_s": digits(foretold.total)}


def sentence(result: dict[str, Any]) -> str:
    """What the model says, and how far off it was where it could be seen."""
    check = result["check"]
    foretold = ", ".join(f"{_long(r['total_s'])} on {r['workers']:,}" for r in result["rows"])
    return (
        f"The tree of {result['points']:,}×{D} float32 in blocks of {result['block']:,} would take "
        f"{foretold} workers of one core like this one, by a model that foretold "
        f"{check['foretold_s']:g} s for {check['points']:,}×{D} on two, where "
        f"{check['seen_s']:g} s were seen; there one call on one thread takes "
        f"{check['one_call_one_thread_s']:g} s."
    )


def _long(seconds: float) -> str:
    if seconds < 120:
        return f"{digits(seconds, 2):g} s"
    return f"{digits(seconds / 60, 2):g} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def table(result: dict[str, Any]) -> str:
    """What each number of workers takes, by part."""
    lines = [
        "| workers | trees of two blocks | blocks moved | merges | scheduler, beside | in all |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        parts = (row[f"{name}_s"] for name in ("trees", "moves", "merges", "scheduler", "total"))
        lines.append(f"| {row['workers']:,} | " + " | ".join(map(_long, parts)) + " |")
    return "\n".join(lines)


def costs_table(result: dict[str, Any]) -> str:
    """What was measured."""
    costs = result["costs"]
    return "\n".join(
        [
            "| part | cost on one core |",
            "|---|---|",
            f"| a pair of points, {D} dimensions | {digits(costs['pair'] * 1e9):g} ns |",
            f"| an edge that is merged | {digits(costs['edge'] * 1e6):g} µs |",
            f"| a megabyte between two processes | {digits(costs['byte'] * 1e9):g} ms |",
            f"| a task of the scheduler | {digits(costs['task'] * 1e3):g} ms |",
        ]
    )


TABLES = {"many_workers": table, "many_workers.costs": costs_table}
