"""`python -m mil_rbc` lists the commands; without the extra each ends in one sentence."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from mil_rbc import __main__ as command
from mil_rbc import _extra, cli

# Stands in for an environment without the extra: its packages can be neither found nor imported.
WITHOUT = """
import importlib.metadata as metadata
found = metadata.distribution
def distribution(name):
    if name in ("lightning", "pandas"):
        raise metadata.PackageNotFoundError(name)
    return found(name)
metadata.distribution = distribution
"""


def test_every_command_is_listed_with_what_it_does(capsys):
    assert command.main() == 0
    said = capsys.readouterr().out
    for name in ("run", "sweep", "predict", "cohort", "detect"):
        (line,) = (s for s in said.splitlines() if s.startswith(f"python -m mil_rbc.{name} "))
        assert len(line.split(maxsplit=3)[3]) > 20, line
    assert "pip install" not in said


def test_what_is_listed_can_be_found():
    for name in command.commands():
        assert importlib.util.find_spec(name) is not None


@pytest.mark.parametrize(
    ("name", "argv", "said"),
    [
        ("cohort", "rendered --sise smoke", "no option --sise; did you mean --size?"),
        ("cohort", "rendered --size huge", "--size cannot be huge: give one of 'smoke'"),
        ("cohort", "", "required: name"),
        ("detect", ". --out x --skip-emty true", "did you mean --skip_empty?"),
        ("detect", ". --out x --detector magic", "cannot be magic: give one of 'watershed'"),
        ("detect", "evaluate --images few", "--images cannot be few: give a value of type int"),
        ("confirm", "run --dta x", "no option --dta; did you mean --data?"),
        ("confirm", "ran", "takes a command first, run or report"),
        ("predict", "--imagse x", "no option --imagse; did you mean --images?"),
    ],
)
def test_a_wrong_command_line_is_answered_in_a_sentence(name, argv, said, capsys):
    """And not in the list of all options, which `--help` is for."""
    module = importlib.util.find_spec(f"mil_rbc.{name}")
    assert module is not None
    package = module.submodule_search_locations is not None
    main = importlib.import_module(f"mil_rbc.{name}.__main__" if package else f"mil_rbc.{name}")
    assert cli.command(main.main, argv.split()) == 2
    answer = capsys.readouterr()
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert answer.out == ""


@pytest.mark.parametrize("name", ["mil_rbc.run", "mil_rbc.cohort", "mil_rbc"])
def test_without_the_extra_a_command_ends_in_one_sentence(name, tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)
    done = subprocess.run(
        [sys.executable, "-m", name, "--help"], env={"PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    said = done.stderr or done.stdout.splitlines()[-1]
    assert said.count("\n") <= 1
    assert "needs lightning, pandas, which are missing" in said
    assert "pip install 'torchtopo[mil]'" in said
    assert (done.returncode == 0) == (name == "mil_rbc")


def test_the_extra_is_what_the_package_declares():
    assert _extra.missing() == []
    assert _extra.missing("no such extra") == []


def test_help_waits_for_nothing_that_trains():
    """`--help` imports neither torch nor what is built on it; with them it took 6 s."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "mil_rbc.run", "--help"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    there = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "mil_rbc.options" in there
    assert not there & {"torch", "lightning", "sklearn", "pandas", "matplotlib", "skimage", "scipy"}
    assert "--lam_ratio" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("name", ["mil_rbc.run", "mil_rbc.predict"])
def test_ctrl_c_during_imports_is_one_line(name, tmp_path: Path):
    """Whatever is imported first waits here for the signal, as torch does for its libraries."""
    slow = """
import os, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run behind '&'
os.kill(os.getpid(), signal.SIGINT)
time.sleep(9)
"""
    (tmp_path / "jsonargparse.py").write_text(slow)
    done = subprocess.run(
        [sys.executable, "-m", name, "--help"], capture_output=True, text=True, timeout=120,
        env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.stderr == "stopped before anything was begun\n"
    assert done.returncode in (130, -2)
