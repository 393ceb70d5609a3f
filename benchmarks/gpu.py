"""The CUDA kernels against `torch.cdist`, peers, our own CPU side and the floor of the hardware.

    python -m benchmarks.gpu                          # on a GPU: checks, times, prints, writes JSON
    python -m benchmarks.gpu --device cpu --quick     # the same code on small inputs without one

Every case is checked before it is timed. Times are medians of warm calls, by device events, over
several input sets in turn, so that no input waits in the cache. The floor of a case is the larger
of the bytes that it must move over the bandwidth of a large copy and the multiply-adds and
subtractions that it must do over the float32 rate of a large matrix product, both measured in this
run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

import torchtopo
from torchtopo._operators import cuda

Call = Callable[[Tensor], Any]
RESULTS = Path(__file__).parent / "results" / "gpu.json"


@dataclass(frozen=True)
class Case:
    """One row: bags of points, or with ``d`` 0 distance matrices."""

    name: str
    bags: int
    n: int
    d: int
    promise: str = ""
    against: str = ""  # the side that the promise compares with
    at_least: float = 0.0  # its time over ours
    aim: float = 0.0

    def inputs(self, sets: int, device: torch.device) -> list[Tensor]:
        """Random, different input sets on the device."""
        shape = (self.bags, self.n, self.d or self.n)
        generator = torch.Generator().manual_seed(self.n)
        return [torch.randn(shape, generator=generator).abs().to(device) for _ in range(sets)]

    def bytes(self) -> float:
        """What must be moved: the points or the upper halves read once, the tree written once."""
        entries = self.n * self.d if self.d else self.n * (self.n - 1) / 2
        return self.bags * (4.0 * entries + 20.0 * (self.n - 1))

    def operations(self) -> float:
        """Subtractions and multiply-adds of every distance, measured once."""
        return self.bags * self.n * (self.n - 1) / 2 * self.d * 2.0


CASES = [
    Case("64 x 512 x 64", 64, 512, 64, "no slower than cdist", "torch.cdist", 1, 2),
    Case("256 x 256 x 64", 256, 256, 64, "no slower than cdist", "torch.cdist", 1, 2),
    Case("16 x 2048 x 512", 16, 2048, 512, "no slower than cdist", "torch.cdist", 1, 2),
    Case("1 x 16384 x 64", 1, 16384, 64, "no slower than cdist", "torch.cdist", 1, 2),
    Case("1 x 100000 x 8", 1, 100_000, 8),
    Case("matrices 64 x 512", 64, 512, 0, "times one reading", "one reading", 1 / 3, 1 / 1.5),
    Case("matrix 1 x 8192", 1, 8192, 0, "times one reading", "one reading", 1 / 3, 1 / 1.5),
]
QUICK = [
    Case("4 x 64 x 16", 4, 64, 16, "no slower than cdist", "torch.cdist", 1, 2),
    Case("1 x 300 x 8", 1, 300, 8, "faster than torch-topological", "torch-topological", 5, 20),
    Case("matrices 4 x 64", 4, 64, 0, "times one reading", "one reading", 1 / 3, 1 / 1.5),
]


@dataclass
class Row:
    """The measured times of a case, in milliseconds."""

    case: str
    ours: float
    others: dict[str, float] = field(default_factory=dict)
    spread: float = 0.0
    peak_mb: float = 0.0
    promise: str = ""


def median_ms(call: Call, inputs: Sequence[Any], device: torch.device, runs: int) -> list[float]:
    """Milliseconds of each of ``runs`` calls, after warming up, taking the inputs in turn."""
    for value in inputs:
        call(value)
    times = []
    if device.type != "cuda":
        for k in range(runs):
            start = time.perf_counter()
            call(inputs[k % len(inputs)])
            times.append((time.perf_counter() - start) * 1e3)
        return times
    torch.cuda.synchronize()
    events = [tuple(torch.cuda.Event(enable_timing=True) for _ in range(2)) for _ in range(runs)]
    for k, (start_event, end_event) in enumerate(events):
        start_event.record()
        call(inputs[k % len(inputs)])
        end_event.record()
    torch.cuda.synchronize()
    return [a.elapsed_time(b) for a, b in events]


def ceilings(device: torch.device, quick: bool) -> tuple[float, float]:
    """Bytes per ms of a large copy (read + written), and float32 operations per ms of a product."""
    size = 1 << (20 if quick else 28)
    source = torch.randn(size, device=device)
    target = torch.empty_like(source)
    copy = statistics.median(median_ms(target.copy_, [source], device, 7))
    side = 512 if quick else 8192
    a = torch.randn(side, side, device=device)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")  # the rate of the ordinary units, not tf32
    product = statistics.median(median_ms(lambda m: m @ m, [a], device, 7))
    torch.set_float32_matmul_precision(before)
    # A multiply-add counts as one: the distances' subtractions take the same units as long.
    return 8.0 * size / copy, float(side) ** 3 / product


def pairs_of(case: Case) -> Call:
    """Our pairs of a case."""
    if case.d == 0:
        return lambda data: torchtopo.minimum_spanning_tree(data)
    return lambda data: torchtopo.vietoris_rips_pairs(data)


def check(case: Case, data: Tensor) -> None:
    """Raise unless the device's trees are the CPU's: edge for edge on matrices, else by length."""
    if case.d == 0:
        found = torchtopo.minimum_spanning_tree(data).edges.cpu()
        same = torch.equal(found, torchtopo.minimum_spanning_tree(data.cpu()).edges)
    else:
        expected = torchtopo.deaths(data.cpu())
        same = torch.allclose(torchtopo.deaths(data).cpu(), expected, rtol=1e-6, atol=0)
    if not same:
        raise AssertionError("the device and the CPU disagree, so it is not timed")


def peers(case: Case) -> dict[str, Call]:
    """Other ways that are installed, each as its documentation has it."""
    found: dict[str, Call] = {}
    if case.d:
        if case.n <= 16384:
            found["torch.cdist"] = lambda data: torch.cdist(data, data)
        try:
            from torch_topological.nn import VietorisRipsComplex

            rips = VietorisRipsComplex(dim=0)
            if case.n <= 16384:
                found["torch-topological"] = lambda data: [rips(bag) for bag in data]
        except ImportError:
            print("torch-topological is not installed: skipped")
        try:
            from cuml.cluster import AgglomerativeClustering  # type: ignore[import-not-found]

            def single_linkage(data: Tensor) -> None:
                for bag in data:
                    AgglomerativeClustering(n_clusters=2, linkage="single").fit(bag)

            found["cuML single linkage"] = single_linkage
        except ImportError:
            print("cuML is not installed: skipped")
    else:
        found["one reading"] = lambda data: data.amax()
    return found


def attempt(what: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call returns; None where it fails, said so: one failure does not end the hour."""
    try:
        return call(*arguments)
    except Exception as error:
        print(f"{what} FAILED: {type(error).__name__}: {error}", flush=True)
        return None


def measure(case: Case, device: torch.device, quick: bool, limits: tuple[float, float]) -> Row:
    """Check a case and time our side of it, beside the floor."""
    inputs = case.inputs(2 if quick else 8, device)
    check(case, inputs[0])
    ours = pairs_of(case)
    peak = 0.0
    if device.type == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        ours(inputs[0])
        peak = (torch.cuda.max_memory_allocated() - before) / 2**20
    times = sorted(median_ms(ours, inputs, device, 9 if quick else 51))
    row = Row(case.name, statistics.median(times), peak_mb=peak)
    row.spread = (times[-len(times) // 4] - times[len(times) // 4]) / 2
    row.others["floor"] = max(case.bytes() / limits[0], case.operations() / limits[1])
    return row


def compare(case: Case, row: Row, device: torch.device, quick: bool) -> None:
    """Time every other side of a case, ours again among them, and set the promise beside them."""
    inputs = case.inputs(2 if quick else 8, device)
    row.ours = statistics.median(median_ms(pairs_of(case), inputs, device, 9 if quick else 51))
    for name, call in peers(case).items():
        slow = name not in ("torch.cdist", "one reading")  # seconds a call: once
        sides, runs = (inputs[:1], 1) if slow else (inputs, 21)

        times = attempt(f"{case.name}, {name}", median_ms, call, sides, device, runs)
        if times:
            row.others[name] = statistics.median(times)
    host = [inputs[0].cpu()]
    row.others["our CPU"] = statistics.median(
        median_ms(pairs_of(case), host, torch.device("cpu"), 3)
    )
    if case.against in row.others:
        row.promise = judged(
            case.promise, case.against, row.others[case.against] / row.ours, case.at_least, case.aim
        )


def judged(promise: str, against: str, factor: float, at_least: float, aim: float) -> str:
    """A promise beside the measured ratio."""
    kept = "aim met" if factor >= aim else "kept" if factor >= at_least else "MISSED"
    goal = f"at least {at_least:.2f}, aim {aim:.2f}"
    return f"{promise}: {against} / ours = {factor:.2f}, {goal}: {kept}"


# A step by each convention, with the pairs of X known or not, against torch-topological's one.
STEPS = {
    "paper": (False, 300, 1000),
    "paper with pairs_x": (True, 600, 2000),
    "paper with pairs_x in several launches": (True, 600, 2000),
    "torch_topological": (False, 200, 700),
}


def training_step(name: str, device: torch.device, quick: bool, with_peers: bool) -> Row:
    """Signature loss forwards and backwards, 16 bags of 256, X 512-d fixed, Z 64-d."""
    if name.endswith("several launches"):
        with mock.patch.object(cuda, "step_fits_a_block", return_value=False):
            return _training_step(name, device, quick, with_peers)
    return _training_step(name, device, quick, with_peers)


def _training_step(name: str, device: torch.device, quick: bool, with_peers: bool) -> Row:
    known, at_least, aim = STEPS[name]
    convention: Any = name.partition(" ")[0]
    bags, n = (2, 32) if quick else (16, 256)
    x = torch.randn(bags, n, 512, device=device)
    z = torch.randn(bags, n, 64, device=device, requires_grad=True)
    z.grad = torch.zeros_like(z)
    pairs_x = torchtopo.vietoris_rips_pairs(x) if known else None

    def step(_: object = None) -> Tensor:
        assert z.grad is not None
        z.grad.zero_()
        loss = torchtopo.signature_loss(
            x, z, pairs_x=pairs_x, convention=convention, reduction="sum"
        )
        loss.backward()
        return loss

    step()
    here = z.grad.cpu().clone()
    z_there = z.detach().cpu().requires_grad_()
    torchtopo.signature_loss(x.cpu(), z_there, convention=convention, reduction="sum").backward()
    assert z_there.grad is not None
    torch.testing.assert_close(here, z_there.grad, rtol=1e-3, atol=1e-5)
    runs = 9 if quick else 51
    row = Row(
        f"step {bags} x {n}, {name}", statistics.median(median_ms(step, [None], device, runs))
    )
    if device.type == "cuda":
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        row.others["ours, eager"] = row.ours
        row.ours = statistics.median(median_ms(lambda _: graph.replay(), [None], device, runs))
    if not with_peers:
        return row
    try:
        from torch_topological.nn import SignatureLoss, VietorisRipsComplex
    except ImportError:
        print("torch-topological is not installed: skipped")
        return row
    rips, loss_of = VietorisRipsComplex(dim=0), SignatureLoss(p=2, normalise=True)

    def peer(_: object) -> None:
        losses = [loss_of([a, rips(a)], [b, rips(b)]) for a, b in zip(x, z, strict=True)]
        torch.stack(losses).sum().backward()

    times = attempt("torch-topological", median_ms, peer, [None], device, 3)
    if times:
        row.others["torch-topological"] = statistics.median(times)
        factor = row.others["torch-topological"] / row.ours
        row.promise = judged("a step", "torch-topological", factor, at_least, aim)
    return row


def table(rows: list[Row]) -> str:
    """All rows as Markdown."""
    names = list(dict.fromkeys(name for row in rows for name in row.others))
    lines = [
        "| ms | ours | ± | " + " | ".join(names) + " | peak MB |",
        "|---|" + "---|" * (len(names) + 3),
    ]
    for row in rows:
        others = [f"{row.others[n]:.3g}" if n in row.others else "" for n in names]
        cells = [row.case, f"{row.ours:.3g}", f"{row.spread:.2g}", *others, f"{row.peak_mb:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="small inputs, to try the script")
    parser.add_argument("--no-peers", action="store_true", help="our side only, beside the floor")
    parser.add_argument("--out", type=Path, help=f"where to write JSON (on CUDA: {RESULTS.name})")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch sees no CUDA device; --device cpu --quick tries the script without")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU (a dry run)"
    print(f"{name}, torch {torch.__version__}, torchtopo {torchtopo.__version__}")

    quick = arguments.quick
    limits = ceilings(device, quick)
    print(f"measured ceilings: {limits[0] / 1e6:.0f} GB/s, {limits[1] / 1e9:.2f} T operations/s")
    out = arguments.out or (RESULTS if device.type == "cuda" and not quick else None)
    rows: dict[str, Row] = {}

    def keep(row: Row) -> None:
        """Results are written as they come: what ends the run loses nothing."""
        rows[row.case] = row
        print(f"{row.case}: {row.ours:.3g} ms", flush=True)
        if out:
            results = {
                "device": name,
                "torch": torch.__version__,
                "torchtopo": torchtopo.__version__,
                "bytes_per_ms": limits[0],
                "operations_per_ms": limits[1],
                "rows": [vars(row) for row in rows.values()],
            }
            out.write_text(json.dumps(results, indent=1) + "\n")

    failed = 0
    cases = QUICK if quick else CASES
    for case in cases:
        row = attempt(case.name, measure, case, device, quick, limits)
        failed += row is None
        if row:
            keep(row)
    for step in STEPS:
        row = attempt(step, training_step, step, device, quick, not arguments.no_peers)
        failed += row is None
        if row:
            keep(row)
    for case in cases:
        row = rows.get(case.name)
        if row and not arguments.no_peers:
            attempt(case.name, compare, case, row, device, quick)
            keep(row)
    print("\n" + table(list(rows.values())) + "\n")
    for row in rows.values():
        if row.promise:
            print(f"{row.case}: {row.promise}")
    if failed:
        raise SystemExit(f"{failed} of {len(cases) + len(STEPS)} cases FAILED; see above")


if __name__ == "__main__":
    main()
