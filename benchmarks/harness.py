"""Time several ways of doing one thing in turn, so that all of them see the same machine."""

from __future__ import annotations

import contextlib
import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

try:
    import fcntl
except ImportError:  # Windows has no flock; there a shared machine cannot be asked to keep quiet
    fcntl = None  # type: ignore[assignment]

PATIENCE = 60.0  # seconds to wait for the lock before each race
_lock_file: Path | None = None


@dataclass(frozen=True)
class Timing:
    """Seconds one call takes: median, quartiles and minimum over ``runs`` interleaved runs."""

    median: float
    low: float
    high: float
    best: float
    runs: int

    @classmethod
    def of(cls, seconds: list[float]) -> Timing:
        """Summarise a list of measured times, in seconds."""
        low, median, high = np.percentile(seconds, [25, 50, 75])
        return cls(float(median), float(low), float(high), min(seconds), len(seconds))

    def to_json(self) -> dict[str, float]:
        """The timing in milliseconds, rounded to four digits, for a results file."""
        values = asdict(self)
        runs = values.pop("runs")
        return {f"{k}_ms": digits(v * 1e3, 4) for k, v in values.items()} | {"runs": runs}


def digits(value: float, count: int = 3) -> float:
    """``value`` rounded to ``count`` significant digits."""
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, count - 1 - math.floor(math.log10(abs(value))))


def ratio(value: float) -> str:
    """A ratio with two digits, for a table: ``"1.8"``, ``"47"``, ``"310"``."""
    return f"{digits(value, 2):g}"


def use_lock(path: Path | None) -> None:
    """Hold an exclusive lock on ``path`` during each race, for a machine shared with other jobs."""
    global _lock_file
    _lock_file = path


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the garbage collector, and every job that honours the lock file, still."""
    with contextlib.ExitStack() as stack:
        if _lock_file is not None and fcntl is not None:
            _acquire(stack.enter_context(open(_lock_file, "w")))
        gc.collect()
        gc.disable()
        stack.callback(gc.enable)
        yield


def _acquire(handle: TextIO) -> None:
    """Take the lock, or time beside the others: jobs that overlap would keep us out for ever."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                print(f"  not quiet: {handle.name} was never free for {PATIENCE:g} s")
                return
            time.sleep(0.05)


def race(
    contestants: Mapping[str, Callable[[], Any]],
    *,
    budget: float = 1.0,
    least_runs: int = 5,
    most_runs: int = 101,
    sample: float = 5e-3,
) -> dict[str, Timing]:
    """Time the contestants round by round, in turn, and return a timing for each.

    Rounds go on until a contestant has used ``budget`` seconds or ``most_runs`` rounds; each gets
    at least ``least_runs``, or three if one call takes longer than the budget. A call shorter than
    ``sample`` seconds is repeated to fill them, after as many that do not count: the caches are
    then as in a loop of such calls, not as the other contestants left them.
    """
    with quiet():
        repeats: dict[str, int] = {}
        least: dict[str, int] = {}
        times: dict[str, list[float]] = {name: [] for name in contestants}
        for name, call in contestants.items():
            once = _seconds(call, 1)
            if once < budget:  # that call warmed up; a longer one counts as the first of its three
                once = _seconds(call, 1)
            else:
                times[name].append(once)
            repeats[name] = max(1, math.ceil(sample / max(once, 1e-9)))
            least[name] = least_runs if once < budget else 3
        spent = dict.fromkeys(contestants, 0.0)
        running = set(contestants)
        while running:
            for name, call in contestants.items():
                if name not in running:
                    continue
                if repeats[name] > 1:
                    _seconds(call, repeats[name])
                took = _seconds(call, repeats[name])
                times[name].append(took / repeats[name])
                spent[name] += took
                rounds = len(times[name])
                if rounds >= most_runs or (rounds >= least[name] and spent[name] >= budget):
                    running.remove(name)
    return {name: Timing.of(seconds) for name, seconds in times.items()}


def _seconds(call: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return time.perf_counter() - start


def exponent(sizes: list[float], times: list[float]) -> float:
    """Slope of log(time) over log(size) by least squares: 2 for a quadratic method."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
