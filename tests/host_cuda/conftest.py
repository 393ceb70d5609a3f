"""One build of the kernels on the host for all tests, of all workers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

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
