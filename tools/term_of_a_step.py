"""What the topology term adds to a step of training: `python tools/term_of_a_step.py`.

A bag of random vectors, of the size that the default run has of a frozen network, is trained on
under the preset `default` on one thread: for each pooling with the term and without, in turn, so
both see the same machine. Printed are the medians of a step's time on the processor, what the term
adds, its share, and how much of it the compiled operator is.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mil_rbc.model.mil import Architecture, MILModel
from mil_rbc.model.objective import BagData, Objective
from mil_rbc.model.terms import Regularizer
from mil_rbc.model.topology import InputSpace, input_space
from mil_rbc.options import parse
from torchtopo._operators import registry


class Least(nn.Module):
    """A term of two operations, with a learned scale as the signature loss has it."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, _: InputSpace, latents: Tensor) -> Tensor:
        return latents.mean() / self.log_scale.exp()


def steps(pooling: str, cells: int, features: int) -> list[Callable[[], object]]:
    """A step without a term, with ours, with the least one, and the operator of ours."""
    options, _ = parse("step", "", ["--pooling", pooling])
    instances = torch.randn(cells, features)
    space = input_space(instances, options.scale)
    bag, made = BagData(instances, torch.tensor(1), space), []
    for term in (None, Regularizer(options.convention), Least()):
        torch.manual_seed(0)
        architecture = Architecture(
            "vector", features, ("a", "b", "c", "d"), pooling, options.latent, options.hidden
        )
        objective = Objective(MILModel(architecture), term, options.lam)
        optimizer = torch.optim.Adam(objective.parameters(), options.lr, fused=True)

        def step(objective: Objective = objective, optimizer: torch.optim.Adam = optimizer) -> None:
            optimizer.zero_grad()
            loss, _ = objective(bag, 0.5 if pooling == "attention" else 0.0)
            loss.backward()
            optimizer.step()

        made.append(step)
    latents, one = torch.randn(cells, options.latent), torch.tensor(1.0)
    metrics, scales = ("precomputed", "euclidean"), (None, None, one, None, 1.0, 1.0, float(cells))
    asked = (False, True, False, True)
    known = (space.x, latents, space.pairs, *metrics, *scales, *asked)
    return [*made, lambda: registry.signature_step(*known)]


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Of the processor, a call."""
    start = time.process_time()
    for _ in range(repeats):
        call()
    return (time.process_time() - start) / repeats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--cells", type=int, default=50, help="of the bag (default: 50)")
    parser.add_argument("--features", type=int, default=1280, help="of a cell (default: 1280)")
    parser.add_argument("--rounds", type=int, default=101, help="of 20 steps each (default: 101)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| pooling | a step without, ms | the term adds | share | the least adds | operator |")
    print("|---|---|---|---|---|---|")
    for pooling in ("average", "attention", "max"):
        calls = steps(pooling, options.cells, options.features)
        times: list[list[float]] = [[] for _ in calls]
        for _ in range(options.rounds):
            for call, of in zip(calls, times, strict=True):
                of.append(seconds(call, 20) * 1e3)
        medians = map(statistics.median, times)
        without, _with, _least, operator = medians
        term, least = (
            statistics.median(b - a for a, b in zip(times[0], of, strict=True)) for of in times[1:3]
        )
        print(
            f"| {pooling} | {without:.3f} | {term:.3f} | {term / without:.0%} | {least:.3f} | "
            f"{operator:.3f} |"
        )


if __name__ == "__main__":
    main()
