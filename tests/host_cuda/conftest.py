"""One build of the kernels on the host for all tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from . import emulator


@pytest.fixture(scope="session")
def compiler() -> str:
    found = shutil.which("g++")
    if found is None:
        pytest.skip("the host emulation is built by g++")
    return found


@pytest.fixture(scope="session")
def library_file(tmp_path_factory: pytest.TempPathFactory, compiler: str) -> Path:
    return emulator.build(tmp_path_factory.mktemp("host_cuda"), compiler)


@pytest.fixture(scope="session")
def library(library_file: Path) -> emulator.Kernels:
    return emulator.Kernels(library_file)
