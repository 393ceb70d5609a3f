"""The wheel: from the sdist, in isolation; small, not linked to torch, good under two torches.

Marked `install`: makes environments and takes minutes, so `make install-test` runs it and the
ordinary suite does not.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.conftest import Build

pytestmark = pytest.mark.install

ROOT = Path(__file__).resolve().parent.parent
FOREIGN = ("libtorch", "libc10", "libcudart", "libcuda.so", "libgomp", "libomp", "libiomp")
MEGABYTE = 1 << 20
PINNED = "torch==2.13.0"  # and the newest there is


def run(*command: object, cwd: Path | None = None, **environment: str) -> str:
    """Run a command without any compiler flag or path of this process; its output."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("CFLAGS", "CXXFLAGS", "LDFLAGS", "PYTHONPATH")
        and not name.startswith("TORCHTOPO_")
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}"
    return done.stdout


def tracked() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not in a repository, so nothing says which files are sources")
    return run("git", "ls-files", "-z", cwd=ROOT).split("\0")[:-1]


def copy_sources(folder: Path) -> Path:
    """The sources alone: what an earlier build left would hide what the sdist drops."""
    for name in tracked():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, target)
    return folder


def build_wheel(source: Path, folder: Path, **environment: str) -> Path:
    run(
        sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-cache-dir", "-w", folder, source,
        **environment,
    )  # fmt: skip
    (wheel,) = folder.glob("torchtopo-*.whl")
    return wheel


def extension(wheel: Path, folder: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith((".so", ".pyd")))
        return Path(archive.extract(name, folder))


def libraries(module: Path) -> str:
    return run("ldd", module)


def build_sdist(folder: Path) -> Path:
    run(sys.executable, "-m", "build", "--sdist", "-o", folder, copy_sources(folder / "sources"))
    (archive,) = folder.glob("torchtopo-*.tar.gz")
    return archive


@pytest.fixture(scope="session")
def sdist(once: Build) -> Path:
    return once("sdist", build_sdist)


@pytest.fixture(scope="session")
def wheel(once: Build, sdist: Path) -> Path:
    return once("wheel", lambda folder: build_wheel(sdist, folder, TORCHTOPO_CUDA="0"))


def test_sdist_holds_every_source(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    ours = {name for name in tracked() if not name.startswith(".git")}
    assert not sorted(ours - held)


def test_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 4 * MEGABYTE


@pytest.mark.skipif(shutil.which("ldd") is None, reason="no ldd here")
def test_wheel_links_neither_torch_nor_cuda_nor_openmp(wheel: Path, tmp_path: Path) -> None:
    linked = libraries(extension(wheel, tmp_path))
    assert not [name for name in FOREIGN if name in linked], linked


def test_wheel_holds_types_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "torchtopo/py.typed" in names
    assert "torchtopo/_C.pyi" in names
    assert not [n for n in names if n.startswith(("tests/", "benchmarks/", "csrc/"))]


def test_metadata_leads_to_the_project_and_from_any_page(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
        metadata = archive.read(name).decode()
    headers, _, description = metadata.partition("\n\n")
    for label in ("Source", "Documentation", "Issues", "Changelog"):
        assert f"Project-URL: {label}, https://" in headers
    for classifier in ("Python :: 3.10", "Python :: 3.14", "POSIX :: Linux"):
        assert classifier in headers
    targets = re.findall(r"\]\(([^)]*)\)", description)
    assert len(targets) > 10
    assert not [t for t in targets if not t.startswith(("https://", "#"))]


@pytest.mark.skipif(shutil.which("ldd") is None, reason="no ldd here")
def test_wheel_with_kernels_for_every_gpu_loads_without_a_driver(
    sdist: Path, tmp_path: Path
) -> None:
    if not shutil.which("nvcc") and not Path("/usr/local/cuda/bin/nvcc").exists():
        pytest.skip("no nvcc here")
    wheel = build_wheel(sdist, tmp_path, TORCHTOPO_CUDA="1", TORCHTOPO_CUDA_ARCHS="all")
    assert wheel.stat().st_size < 8 * MEGABYTE
    module = extension(wheel, tmp_path / "unpacked")
    linked = libraries(module)
    assert not [name for name in FOREIGN if name in linked], linked
    load = (
        "import importlib.util as u; "
        f"s = u.spec_from_file_location('torchtopo._C', {str(module)!r}); "
        "m = u.module_from_spec(s); s.loader.exec_module(m); print(m.config()['cuda_archs'])"
    )
    built = run(sys.executable, "-c", load)
    for architecture in ("7.5", "8.0", "9.0", "12.0+PTX"):
        assert architecture in built


@pytest.mark.parametrize("torch", [PINNED, "torch"])
def test_wheel_works_in_a_new_environment(wheel: Path, tmp_path: Path, torch: str) -> None:
    folder = tmp_path / "environment"
    run(sys.executable, "-m", "venv", folder)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run(python, "-m", "pip", "install", "-q", torch)
    run(python, "-m", "pip", "install", "-q", wheel)
    out = run(python, "-m", "torchtopo", cwd=tmp_path)
    assert "self-check" in out.lower()
    train = (
        "import torch, torchtopo\n"
        "x = torch.randn(2, 20, 9); z = torch.randn(2, 20, 3, requires_grad=True)\n"
        "torchtopo.signature_loss(x, z).backward()\n"
        "assert torch.isfinite(z.grad).all() and z.grad.abs().sum() > 0\n"
        "print('trained')"
    )
    assert "trained" in run(python, "-c", train, cwd=tmp_path)
    shutil.rmtree(folder)


def blocks() -> list[list[str]]:
    """The commands of each console block of the README, as they stand there."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^```console\n(.*?)^```", text, re.M | re.S)
    return [re.findall(r"^\$ (.*)$", block, re.M) for block in found]


@pytest.mark.readme
@pytest.mark.skipif(sys.platform == "win32", reason="the README's commands are a shell's")
@pytest.mark.parametrize("commands", blocks(), ids=lambda c: c[0].partition("  ")[0])
def test_commands_of_the_readme_do_what_it_says(commands: list[str], tmp_path: Path) -> None:
    """In a copy of the sources and an environment with nothing in it.

    What pip chooses is left to it: torchvision loads beside the torch it was built for, and no
    other. The experiment and the suite are held to their smallest.
    """
    checkout = copy_sources(tmp_path / "torchtopo")
    run(sys.executable, "-m", "venv", tmp_path / "environment")
    environment = {
        "PATH": f"{tmp_path / 'environment' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PRESET": "smoke",
        "PYTEST_ADDOPTS": "-k test_main",
        "TORCHTOPO_CUDA": "0",
    }
    said = [run("sh", "-c", command, cwd=checkout, **environment) for command in commands]
    if commands[0].startswith("make"):
        assert "report.html" in said[0]
        assert (checkout / "runs" / "rendered" / "report.html").exists()
        assert re.search(r"\d passed", said[1]), said[1]
    else:
        assert "FAILED" not in said[1]
        assert "self-check on cpu" in said[1]
        assert "usage: python -m mil_rbc.run" in said[-1]
