"""The device of these tests: CUDA, or, to try the tests themselves, TORCHTOPO_TEST_DEVICE=cpu."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch

from torchtopo import _C


@pytest.fixture(scope="session")
def device() -> torch.device:
    name = os.environ.get("TORCHTOPO_TEST_DEVICE", "cuda")
    if name == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("torch sees no CUDA device")
        assert _C.config()["cuda"], "this build has no CUDA kernels; rebuild with TORCHTOPO_CUDA=1"
    return torch.device(name)


@pytest.fixture
def gpu(device: torch.device) -> torch.device:
    """For what only a GPU has: streams, graphs, its own memory."""
    if device.type != "cuda":
        pytest.skip("needs a GPU")
    return device


@pytest.fixture(params=["automatic", "one_block", "many_blocks"])
def plan(request: pytest.FixtureRequest, device: torch.device) -> Iterator[str]:
    """Every way to find a tree; where one cannot hold a bag the kernels say so."""
    context: AbstractContextManager[None] = nullcontext()
    if _C.config()["cuda"]:
        from torchtopo._operators import cuda as _cuda

        context = _cuda.plan(request.param)
    elif request.param != "automatic":
        pytest.skip("one plan on the CPU")
    with context:
        yield request.param


@pytest.fixture(autouse=True)
def _context_survives() -> Iterator[None]:
    """A fault on the device fails its own test, and ends the run: nothing after it could pass."""
    yield
    if not torch.cuda.is_initialized():
        return
    try:
        torch.cuda.synchronize()
    except Exception as error:
        sys.stderr.write(
            f"\nthe CUDA context is lost ({error}); the tests after this did not run\n"
        )
        sys.stderr.flush()
        os._exit(3)


@pytest.fixture
def never_waits(gpu: torch.device) -> Iterator[None]:
    """Any synchronisation with the device is an error."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
