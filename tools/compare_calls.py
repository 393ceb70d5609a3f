"""What a call costs in this checkout and in another: `python tools/compare_calls.py CHECKOUT`.

Both were built in place. Each has a process of its own on one thread, and they are timed in turn,
so both see the same machine; of every call the medians are printed, in µs, and their ratio. Small
bags tell what Python and the bindings cost, before any kernel does.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]


def calls(n: int) -> dict[str, Callable[[], Any]]:
    """What is timed, each of a bag of `n` points in two dimensions and of its latent space."""
    import torch

    import torchtopo

    torch.manual_seed(0)
    points, z = torch.rand(n, 2), torch.rand(n, 2, requires_grad=True)
    distances, pairs = torch.cdist(points, points), torchtopo.vietoris_rips_pairs(points)
    fit = torchtopo.nn.SignatureLoss("topoae")
    padded, lengths = torch.rand(4, n, 2), torch.tensor([n, n - 1, n - 2, 1])
    packed, ends = torchtopo.pack([p[:k] for p, k in zip(padded, lengths.tolist(), strict=True)])

    def backwards(call: Callable[[], torch.Tensor]) -> Callable[[], Any]:
        return lambda: torch.autograd.grad(call().sum(), z)

    return {
        "vietoris_rips_pairs": lambda: torchtopo.vietoris_rips_pairs(points),
        "vietoris_rips_pairs, padded": lambda: torchtopo.vietoris_rips_pairs(
            padded, lengths=lengths
        ),
        "vietoris_rips_pairs, packed": lambda: torchtopo.vietoris_rips_pairs(
            packed, cu_seqlens=ends
        ),
        "vietoris_rips_generators": lambda: torchtopo.vietoris_rips_generators(points),
        "minimum_spanning_tree": lambda: torchtopo.minimum_spanning_tree(distances),
        "deaths": lambda: torchtopo.deaths(points),
        "deaths, backward": backwards(lambda: torchtopo.deaths(z)),
        "pair_distances": lambda: torchtopo.pair_distances(points, pairs),
        "pair_distances, backward": backwards(lambda: torchtopo.pair_distances(z, pairs)),
        "signature_loss": lambda: torchtopo.signature_loss(points, z.detach()),
        "signature_loss, backward": backwards(lambda: torchtopo.signature_loss(points, z)),
        "SignatureLoss('topoae'), backward": backwards(lambda: fit(points, z)),
    }


def serve(checkout: Path, n: int) -> None:
    """Time on request: a line `NAME<tab>REPEATS` in, seconds a call out."""
    sys.path.insert(0, str(checkout))
    import torch

    import torchtopo

    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):  # both on one core, at one clock, one at a time
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    timed = calls(n)
    home = str(Path(torchtopo.__file__).parents[1])
    print(json.dumps({"home": home, "calls": list(timed)}), flush=True)
    for line in sys.stdin:
        name, repeats = line.rstrip("\n").split("\t")
        call, runs = timed[name], range(int(repeats))
        for _ in runs:  # the caches as in a loop of such calls
            call()
        start = time.process_time()
        for _ in runs:
            call()
        print((time.process_time() - start) / len(runs), flush=True)


class Side:
    """A checkout's process."""

    def __init__(self, checkout: Path, n: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(checkout), "--points", str(n)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        about = json.loads(self.answer() or "{}")
        if about.get("home") != str(checkout):
            raise SystemExit(f"{checkout} has no torchtopo built in place: pip install -e . there")
        self.calls: list[str] = about["calls"]

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def time(self, name: str, repeats: int) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{name}\t{repeats}\n")
        self.process.stdin.flush()
        return float(self.answer())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("checkout", nargs="?", type=Path, help="the other checkout")
    parser.add_argument("--points", type=int, default=10, help="of a bag (default: 10)")
    parser.add_argument("--rounds", type=int, default=201, help="of each call (default: 201)")
    parser.add_argument("--only", default="", help="of the calls, those with this in their name")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve, options.points)
        return
    if options.checkout is None:
        parser.error("name the other checkout")
    sides = [Side(path.resolve(), options.points) for path in (HERE, options.checkout)]
    print("| call | here, µs | there, µs | here / there |\n|---|---|---|---|")
    for name in (name for name in sides[0].calls if options.only in name):
        repeats = max(1, round(1e-3 / max(side.time(name, 1) for side in sides)))
        times: tuple[list[float], list[float]] = ([], [])
        ratios = []
        for turn in range(options.rounds):
            for side in (0, 1) if turn % 2 else (1, 0):
                times[side].append(sides[side].time(name, repeats))
            ratios.append(times[0][-1] / times[1][-1])
        here, there = (statistics.median(of) * 1e6 for of in times)
        print(f"| {name} | {here:.1f} | {there:.1f} | {statistics.median(ratios):.3f} |")


if __name__ == "__main__":
    main()
