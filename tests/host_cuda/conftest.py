"""One build of the kernels on the host for all tests, of all workers; and the launch code on it."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from torchtopo._operators import cuda as _cuda

from . import emulator


@pytest.fixture(scope="session")
def compiler() -> str:
    found = shutil.which("g++")
    if found is None:
        pytest.skip("the host emulation is built by g++")
    return found


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


@pytest.fixture(scope="session")
def library_file(once: Build, compiler: str) -> Path:
    return once("host_cuda", lambda folder: emulator.build(folder, compiler))


@pytest.fixture(scope="session")
def library(library_file: Path) -> emulator.Kernels:
    return emulator.Kernels(library_file)


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
