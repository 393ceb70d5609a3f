"""`python -m torchtopo`: prints what it is, checks itself, and says so with its exit code."""

from __future__ import annotations

import subprocess
import sys

import torch

import torchtopo
from torchtopo import _C
from torchtopo import __main__ as command


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
