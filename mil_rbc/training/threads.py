"""How many threads of the CPU a process keeps busy."""

from __future__ import annotations

import os

import torch
from threadpoolctl import threadpool_limits

from mil_rbc.options import Options


def of_a_trial(options: Options) -> int:
    """Threads of one trial."""
    return options.threads or (1 if options.jobs > 1 else _all())


def of_a_run(options: Options) -> int:
    """Threads of what is done once for all trials: as many as those of this machine have."""
    jobs = options.jobs if options.backend == "loky" else 1
    return min(options.threads * jobs, _all()) or _all()


def bind(threads: int) -> None:
    """Let torch and the linear algebra of numpy keep so many threads busy, and no more."""
    torch.set_num_threads(threads)
    threadpool_limits(threads, user_api="blas")


def _all() -> int:
    return os.cpu_count() or 1
