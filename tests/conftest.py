"""Settings of the whole suite."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

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


Build = Callable[[str, Callable[[Path], Path]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Build a thing in a folder of its name; what another worker of xdist has built is taken."""

    def once(name: str, build: Callable[[Path], Path]) -> Path:
        import fcntl

        base = tmp_path_factory.getbasetemp()
        folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
        folder.mkdir(exist_ok=True)
        done = folder / "done.txt"
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                done.write_text(str(build(folder)))
        return Path(done.read_text())

    return once


@pytest.fixture(autouse=True)
def _one_seed_and_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
