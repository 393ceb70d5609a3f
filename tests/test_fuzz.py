"""The fuzzer finds what is wrong, says it as a test that can be pasted, and its oracle is right."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given

import torchtopo
from tests.fuzz import formulas, report
from tests.fuzz.checks import CHECKS
from tests.fuzz.compare import close
from tests.fuzz.draws import KINDS, draw
from tests.fuzz.oracle import Cloud
from tests.strategies import collinear_points, planted_trees, ultrametrics

ROOT = Path(__file__).parent.parent
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork beside threads


@given(planted_trees())
def test_the_oracle_finds_planted_trees(problem):
    right = Cloud(problem.data.tolist(), "precomputed")
    assert right.tree[0] == list(map(tuple, problem.pairs.tolist()))
    assert right.deaths == problem.deaths.tolist()


@given(ultrametrics())
def test_the_oracle_knows_the_heights_of_an_ultrametric(problem):
    assert Cloud(problem.data.tolist(), "precomputed").deaths == problem.deaths.tolist()


@given(collinear_points())
def test_the_oracle_knows_the_gaps_of_a_line(problem):
    for metric in ("euclidean", "manhattan", "chebyshev"):
        for scale in (1.0, 2.0**900, 2.0**-1000):  # whose squares are not in range
            rows = (problem.data * scale).tolist()
            assert Cloud(rows, metric).deaths == (problem.deaths * scale).tolist()


def test_the_oracle_orders_ties_and_what_is_not_finite():
    inf, nan = torch.inf, torch.nan
    square = [[0, 0], [1, 0], [1, 1], [0, 1]]
    assert Cloud(square, "euclidean").tree == ([(0, 1), (0, 3), (1, 2)], [1, 3, 2])
    odd = [[nan, 0], [inf, 0], [0.0, 0], [3.0, 4.0]]
    assert Cloud(odd, "euclidean").tree[0] == [(2, 3), (1, 2), (0, 1)]
    assert Cloud(odd, "euclidean").deaths[:2] == [5.0, inf]
    angle = Cloud([[1.0, 0.0], [1.0, 1e-9], [0.0, 0.0]], "cosine")
    assert angle.deaths == [pytest.approx(5e-19, rel=1e-12), 1.0]


def test_a_seed_is_the_same_draws_every_time():
    for number in range(60):
        assert repr(draw(3, number)) == repr(draw(3, number))
    assert {draw(3, number)[0] for number in range(600)} == {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize("kind", [kind.__name__ for kind in KINDS])
def test_a_few_draws_of_each_kind(kind):
    numbers = (number for number in range(10_000) if draw(0, number)[0] == kind)
    for _ in range(2 if kind == "many" else 12):
        CHECKS[kind](**draw(0, next(numbers))[1])


def test_the_check_of_the_farthest_pair_allows_lengths_that_tie_once_rounded():
    """√2 times the least subnormal number is that number: 5648 of seed 1 on one processor."""
    least = 2.0**-1074
    cloud = torch.tensor([[0.0, 0.0], [least, 0.0], [0.0, least]], dtype=torch.float64)
    setting = {"layout": "plain", "threads": 1, "isa": "best", "seed": 0}
    CHECKS["trees"](bags=[(cloud,)], metric="euclidean", mode="alone", flush=False, **setting)


def test_the_check_of_a_gradient_allows_a_slope_that_is_subnormal_before_it_is_pulled():
    """1e-16 / 1e297 keeps eleven digits, and a pull of 1000 carries their rounding along."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        few, pull = torch.rand(2, dtype=torch.float64, generator=generator).tolist()
        cloud = torch.tensor([[0.0, 0.0], [1e297, few * 1e-16]], dtype=torch.float64)
        leaf = cloud.clone().requires_grad_()
        pulls = torch.tensor([1000 * pull], dtype=torch.float64)
        (found,) = torch.autograd.grad(torchtopo.deaths(leaf), leaf, pulls)
        edges = torch.tensor([[0, 1]])
        expected, slack = formulas.pulled(cloud, edges, pulls, "euclidean")
        close(found, expected.flatten().tolist(), slack.flatten().tolist(), "gradient")


def fuzzed(fault: str) -> str:
    """The first test that the command prints of a package with that fault."""
    program = f"""
import ctypes, sys, torchtopo
from tests.fuzz import checks, draws
from tests.fuzz.__main__ import main
right = torchtopo.deaths
{fault}
draws.KINDS = {{draws.trees: 1}}
sys.argv[1:] = ["600", "0"]
sys.exit(main())
"""
    child = started([sys.executable, "-c", program])
    lines = [child.stdout.readline()]
    while lines[-1] not in ("    )\n", ""):
        lines.append(child.stdout.readline())
    child.send_signal(signal.SIGINT)
    summary, _ = child.communicate(timeout=300)
    assert re.search(r"trees: \d+ draws, \d+ failed", summary)
    assert child.returncode == 1
    return "".join(lines[1:])


def started(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@needs_fork
def test_a_fault_is_found_made_small_and_pasted(monkeypatch):
    text = fuzzed("torchtopo.deaths = lambda *a, **k: right(*a, **k) * 1.001")
    assert "mode='alone'" in text
    assert len(text) < 1500
    pasted: dict = {}
    exec(text, pasted)
    (test,) = (value for name, value in pasted.items() if name.startswith("test_"))
    test()  # this package has no such fault
    right = torchtopo.deaths
    monkeypatch.setattr(torchtopo, "deaths", lambda *a, **k: right(*a, **k) * 1.001)
    with pytest.raises(AssertionError):
        test()


@needs_fork
def test_a_draw_that_kills_the_process_is_reported():
    text = fuzzed("checks.CHECKS['trees'] = lambda **arguments: ctypes.string_at(1, 1)")
    assert "# SIGSEGV" in text
    assert "def test_trees_drawn_as_0_of_seed_0" in text


def test_numbers_are_read_back_as_they_were():
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        info = torch.finfo(dtype)
        odd = [1 / 3, info.tiny * info.eps, info.max, -0.0, torch.inf, torch.nan]
        values = torch.tensor([odd], dtype=torch.float64).to(dtype)
        names = {"torch": torch, "inf": torch.inf, "nan": torch.nan}
        back = eval(report._literal(values), names)
        assert back.dtype == dtype
        assert torch.equal(back.view(torch.int8)[..., :-2], values.view(torch.int8)[..., :-2])


@needs_fork
def test_the_command_ends_on_time_or_by_ctrl_c_with_a_summary():
    command = [sys.executable, "-m", "tests.fuzz", "600", "0"]
    child = started(command)
    assert child.stdout.readline().startswith("seed 0")
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    said, _ = child.communicate(timeout=300)
    assert "draws of seed 0" in said
    command[-2] = "0.5"
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert "0 failed" in ended.stdout
    assert ended.returncode == 0
