"""CUDA is compiled for the devices at hand, for none where there is none, for all in wheels."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # the build's own module is no part of the package
build_cuda = pytest.importorskip("build_cuda", reason="tests apart from the sources")

KNOWN = ["75", "80", "86", "87", "89", "90", "90a", "100", "120"]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Make a machine with nvcc and the devices named: `machine("9.0", TORCHTOPO_CUDA="1")`."""
    if sys.platform == "win32":
        pytest.skip("stands in for nvcc with a shell script")

    def script(name: str, said: list[str]) -> None:
        path = tmp_path / name
        path.write_text("#!/bin/sh\n" + "".join(f"echo {line}\n" for line in said))
        path.chmod(0o755)

    def make(*devices: str, **environment: str) -> list[str]:
        script("nvcc", [f"compute_{number}" for number in KNOWN])
        script("nvidia-smi", list(devices))
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        for name in ("TORCHTOPO_NVCC", "CUDA_HOME", "CUDA_PATH", "TORCHTOPO_CUDA_ARCHS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TORCHTOPO_CUDA", "auto")
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        nvcc = build_cuda._wanted_nvcc()
        assert nvcc == str(tmp_path / "nvcc")
        return build_cuda._architectures(nvcc)

    return make


def test_only_the_devices_at_hand_are_built_for(machine):
    assert machine("9.0", "9.0", "8.6") == ["8.6", "9.0"]


def test_a_device_newer_than_nvcc_gets_ptx(machine):
    assert machine("12.1") == ["12.0+PTX"]


def test_a_device_too_old_for_nvcc_is_none(machine):
    assert machine("6.1") == []


def test_without_a_device_nothing_is_compiled_and_it_is_said(machine, capsys):
    assert machine("No devices were found") == []
    assert "TORCHTOPO_CUDA=1" in capsys.readouterr().out


def test_whoever_insists_without_a_device_gets_all(machine):
    archs = machine(TORCHTOPO_CUDA="1")
    assert archs == ["7.5", "8.0", "8.6", "9.0", "10.0", "12.0+PTX"]


def test_all_is_all_beside_a_device_too(machine):
    assert len(machine("9.0", TORCHTOPO_CUDA_ARCHS="all")) == 6


def test_a_list_is_taken_as_it_stands(machine):
    assert machine("8.0", TORCHTOPO_CUDA_ARCHS="7.5; 9.0+PTX") == ["7.5", "9.0+PTX"]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"TORCHTOPO_CUDA": "1", "TORCHTOPO_CUDA_ARCHS": "native"}, "there is no CUDA device"),
        ({"TORCHTOPO_CUDA_ARCHS": "sm_90"}, "'sm_90' is not"),
    ],
)
def test_what_cannot_be_is_said(machine, environment, said):
    with pytest.raises(SystemExit, match=said):
        machine(**environment)


def test_further_flags_reach_nvcc(machine, tmp_path):
    machine("9.0", TORCHTOPO_NVCCFLAGS="-lineinfo -O2")
    build_cuda.compile_kernels(str(tmp_path / "nvcc"), ["9.0"], tmp_path, ROOT)
    assert (tmp_path / "cuda" / "command.txt").read_text().endswith(" -lineinfo -O2")
