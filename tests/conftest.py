"""Settings of the whole suite."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # tests/cuda do without, where there is a GPU and little else
    settings = None  # type: ignore[assignment,misc]

if "PYTEST_XDIST_WORKER" in os.environ:  # a worker a core: what tests start must not take them all
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if settings is not None:
    settings.register_profile(
        "suite",
        max_examples=60,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _one_seed_and_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
