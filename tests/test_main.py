"""`python -m torchtopo`: prints what it is, checks itself, and says so with its exit code."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
import torch

import torchtopo
from torchtopo import _C
from torchtopo import __main__ as command
from torchtopo._missing import why


def test_it_reports_and_passes():
    done = subprocess.run(
        [sys.executable, "-m", "torchtopo"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    for expected in ("torchtopo: ", torch.__version__, "instruction set: ", "CUDA kernels: "):
        assert expected in done.stdout
    assert "FAILED" not in done.stdout
    assert done.stdout.count("ok ") >= 9


def test_a_wrong_answer_is_told(monkeypatch, capsys):
    monkeypatch.setattr(
        torchtopo, "vietoris_rips_pairs", lambda p, **options: torch.zeros(3, 16, 2).long()
    )
    assert command.main() == 1
    assert "FAILED pairs, euclidean" in capsys.readouterr().out


def test_show_config_names_what_was_chosen():
    assert _C.config()["isa"] in torchtopo.show_config()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the sources in which nothing was built."""
    package = Path(torchtopo.__file__).parent
    shutil.copytree(package, tmp_path / "torchtopo", ignore=shutil.ignore_patterns("_C.*"))
    (tmp_path / "setup.py").touch()
    return tmp_path


def test_a_checkout_that_was_not_built_says_so_in_one_line(checkout):
    done = subprocess.run(
        [sys.executable, "-S", "-m", "torchtopo"], cwd=checkout, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert f"run `pip install -e .` in {checkout}" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_a_checkout_that_hides_an_installed_package_says_so(checkout, tmp_path, monkeypatch):
    installed = tmp_path / "site" / "torchtopo"
    installed.mkdir(parents=True)
    (installed / f"_C{EXTENSION_SUFFIXES[0]}").touch()
    monkeypatch.setattr(sys, "path", [str(checkout), str(tmp_path / "site")])
    said = why(ImportError("cannot import name '_C'"), checkout / "torchtopo")
    assert "hides the torchtopo you have installed" in said
    assert "another folder" in said


def test_an_installed_package_for_another_python_is_told_from_a_checkout(checkout):
    (checkout / "setup.py").unlink()
    said = why(ImportError("cannot import name '_C'"), checkout / "torchtopo")
    assert "no compiled module for Python 3." in said
    assert "checkout" not in said


def test_a_module_that_does_not_load_keeps_the_loader_s_own_words(checkout):
    module = checkout / "torchtopo" / f"_C{EXTENSION_SUFFIXES[0]}"
    module.touch()
    said = why(ImportError("file too short"), checkout / "torchtopo")
    assert str(module) in said
    assert "(file too short)" in said
