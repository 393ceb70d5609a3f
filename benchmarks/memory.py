"""Peak memory of one training step, measured in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence


def peak_mb(recipe: str, shape: Sequence[int], dims: Sequence[int] = (512, 64)) -> float:
    """Peak resident memory, in MB over what stood before the step, of ``recipe`` on ``(B, N)``.

    ``recipe`` is a key of :data:`benchmarks.recipes.RECIPES`, or ``"torchtopo deaths"``; ``dims``
    are the dimensions of x and z.
    """
    argument = json.dumps([recipe, list(shape), list(dims)])
    out = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", argument],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return float(out.stdout)


def _measure(recipe: str, shape: Sequence[int], dims: Sequence[int]) -> float:
    from . import recipes
    from .data import cloud

    made = recipes.ours_deaths if recipe == "torchtopo deaths" else recipes.RECIPES[recipe]
    # A small step first, so that what libraries load or allocate once does not count.
    made(cloud(1, 16, dims[0]), cloud(1, 16, dims[1]).requires_grad_())()
    x, z = cloud(*shape, dims[0]), cloud(*shape, dims[1], seed=1).requires_grad_()
    step = made(x, z)
    before = _reset_peak()
    step()
    return (_peak() - before) / 1e6


def _reset_peak() -> float:
    """Forget the peak so far (Linux only) and return the bytes now resident."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass  # then the step's peak must exceed all that came before to be seen
    return _peak()


def _peak() -> float:
    if os.path.exists("/proc/self/status"):
        with open("/proc/self/status") as file:
            fields = dict(line.split(":", 1) for line in file)
        return float(fields["VmHWM"].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    print(_measure(*json.loads(sys.argv[1])))
