"""One build of the kernels on the host for all tests, of all workers; and the launch code on it."""

from __future__ import annotations

import importlib.util
import shutil
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from tests.conftest import Build
from torchtopo._operators import cuda as _cuda

from . import emulator


@pytest.fixture(scope="session")
def compiler() -> str:
    found = shutil.which("g++")
    if found is None:
        pytest.skip("the host emulation is built by g++")
    return found


@pytest.fixture(scope="session")
def library_file(once: Build, compiler: str) -> Path:
    return once("host_cuda", lambda folder: emulator.build(folder, compiler))


@pytest.fixture(scope="session")
def library(library_file: Path) -> emulator.Kernels:
    return emulator.Kernels(library_file)


@pytest.fixture(params=["in_order", "reversed", "random"])
def kernels(library: emulator.Kernels, request: pytest.FixtureRequest) -> emulator.Kernels:
    library.schedule(request.param, seed=1)
    return library


@pytest.fixture
def shuffled(library: emulator.Kernels) -> emulator.Kernels:
    library.schedule("random", seed=2)
    return library


@pytest.fixture(scope="session")
def module(library_file: Path, compiler: str, once: Build) -> ModuleType:
    pytest.importorskip("pybind11")
    file = once("cuda_on_host", lambda folder: emulator.build_module(library_file, compiler))
    spec = importlib.util.spec_from_file_location("cuda_on_host", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["automatic", "many_blocks"])
def cuda(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Any:
    monkeypatch.setattr(_cuda, "_C", module)
    monkeypatch.setattr(_cuda, "_where", lambda tensor: (0, 0))
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    with _cuda.plan(request.param):
        yield _cuda
