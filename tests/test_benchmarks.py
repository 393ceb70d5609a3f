"""The benchmarks run, and say only what their numbers say."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

# Benchmarks are no part of the package; appended, so that an installed torchtopo wins.
sys.path.append(str(Path(__file__).resolve().parents[1]))
pytest.importorskip("matplotlib")
from benchmarks import __main__ as command
from benchmarks import data, harness, peers, recipes, scaling, speed_table
from benchmarks.harness import Timing, race


def test_race_interleaves_and_counts() -> None:
    order: list[str] = []
    timings = race(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")},
        budget=0.0, least_runs=4, sample=0.0,
    )  # fmt: skip
    assert timings["a"].runs >= 3
    assert "".join(order).endswith("abab")


def test_race_orders_slow_after_fast() -> None:
    timings = race(
        {"fast": lambda: sum(range(100)), "slow": lambda: sum(range(100_000))}, budget=0.05
    )
    assert timings["slow"].median > 5 * timings["fast"].median
    for timing in timings.values():
        assert timing.best <= timing.low <= timing.median <= timing.high


def test_digits_and_exponent() -> None:
    assert harness.digits(0.00123456) == 0.00123
    assert harness.digits(0) == 0
    assert harness.exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2)


@pytest.mark.parametrize("registry", ["MATRIX", "POINTS"])
def test_every_installed_peer_agrees(registry: str) -> None:
    points = data.cloud(2, 20, 3)
    batch = data.distance_matrix(points) if registry == "MATRIX" else points
    ready, _ = peers.jobs(getattr(peers, registry), batch)
    truth = [peers.exact_deaths(bag.double().numpy()) for bag in points]
    for name, job in ready.items():
        assert peers.disagreement(job.read(job.call()), truth) is None, name


def test_a_wrong_peer_is_reported() -> None:
    truth = [np.array([1.0, 2.0])]
    assert peers.disagreement([np.array([1.0, 2.1])], truth) is not None
    assert "1 bars where there are 2" in str(peers.disagreement([np.array([1.0])], truth))
    assert peers.disagreement([np.array([1.0, np.nan])], truth) is not None


def test_a_missing_peer_is_named() -> None:
    def missing(batch: torch.Tensor) -> peers.Job:
        raise ImportError("no module", name="nowhere")

    ready, skipped = peers.jobs({"gone": missing}, torch.zeros(1, 2, 2))
    assert not ready
    assert skipped == {"gone": "not installed (nowhere)"}


def test_recipes_compute_the_loss_of_their_convention() -> None:
    pytest.importorskip("scipy")
    x, z = data.cloud(2, 12, 5), data.cloud(2, 12, 3, seed=1).requires_grad_()
    recipes.ours(x, z)()
    expected = z.grad.clone()
    for name in ("torchtopo, pairs_x", "torch + scipy csgraph", "torch + Python Kruskal"):
        recipes.RECIPES[name](x, z)()
        torch.testing.assert_close(z.grad, expected, rtol=1e-3, atol=1e-4)


def test_torch_topological_is_compared_with_its_own_convention() -> None:
    pytest.importorskip("torch_topological")
    x, z = data.cloud(2, 12, 5), data.cloud(2, 12, 3, seed=1).requires_grad_()
    theirs = recipes.torch_topological(x, z)()
    torch.testing.assert_close(recipes.ours_normalised(x, z)(), theirs, rtol=1e-4, atol=1e-5)


def test_textbook_kruskal_breaks_ties_by_index() -> None:
    grid = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    pairs = recipes.kruskal(data.distance_matrix(grid).numpy())
    assert pairs.tolist() == [[0, 1], [0, 3], [1, 2]]


def test_verdicts_follow_from_numbers() -> None:
    row = {"ratio": 3.0, "least": 2.0, "aim": 4.0}
    assert speed_table.verdict(row) == "PASS"
    assert speed_table.verdict(row | {"ratio": 4.0}) == "aim"
    assert speed_table.verdict(row | {"ratio": 1.9}) == "MISS"
    assert speed_table.verdict(row | {"ratio": float("nan")}) == "MISS"
    assert speed_table.verdict({"extra": 16.0, "most": 15.0}) == "MISS"
    rows = [{"case": "c", "against": "p", **row, "ratio": 1.0}]
    assert speed_table.sentence({"rows": rows}).endswith("missed: c against p.")


def test_nested_spheres_are_nested() -> None:
    points, labels = data.nested_spheres(10, seed=0)
    assert points.shape == (200, 101)
    radius = points[labels == 10].norm(dim=1)
    torch.testing.assert_close(radius, torch.full_like(radius, 25.0))
    again, _ = data.nested_spheres(10, seed=1)
    assert not torch.equal(points, again)


def test_timing_in_json_is_in_milliseconds() -> None:
    timing = Timing.of([0.001, 0.002, 0.003]).to_json()
    assert timing["median_ms"] == 2
    assert timing["runs"] == 3


def test_the_model_of_threads_is_amdahls_law() -> None:
    model = scaling.Model(one=10.0, two=6.0)  # of which 8 are shared out
    assert [model.ms(k) for k in (1, 2, 4, 8)] == [10.0, 6.0, 4.0, 3.0]
    assert scaling.Model(one=10.0, two=4.9).ms(16) == 10.0 / 16  # no more than all of it
    assert scaling.Model(one=10.0, two=11.0).ms(16) == 10.0
    times = {str(k): {"median_ms": t} for k, t in ((1, 10.0), (2, 6.0), (4, 5.0))}
    table = scaling.threads_table({"threads": [{"what": "points", "times": times}]})
    assert table.splitlines()[-1].endswith("| 1.67× | 80% | 2× | *3.3×* | *4×* |")


# The same runs as `python -m benchmarks NAME --quick`, each a few seconds.
@pytest.mark.slow
@pytest.mark.parametrize("name", command.NAMES)
def test_every_benchmark_runs(name: str, tmp_path: Path) -> None:
    for package in ("scipy", "sklearn", "torch_topological", "ripser", "distributed"):
        pytest.importorskip(package)
    assert command.main([name, "--quick", "--out", str(tmp_path)]) == 0
    result: dict[str, Any] = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
    assert result["quick"]
    script = importlib.import_module(f"benchmarks.{name}")
    assert script.sentence(result) == result["sentence"]
    for render in script.TABLES.values():
        assert render(result).startswith("|")
    for picture in tmp_path.glob("*.png"):
        assert 2_000 < picture.stat().st_size < 150_000


def test_results_are_not_replaced_without_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "run", lambda name, **options: print(f"ran {name}"))
    monkeypatch.setattr(command.harness, "use_lock", lambda lock: None)
    (tmp_path / "accuracy.json").touch()
    command.main(["accuracy", "scaling", "--out", str(tmp_path)])
    said = capsys.readouterr().out
    assert said.startswith(f"1 of 2 results in {tmp_path} will be replaced")
    assert said.index("--out FOLDER keeps them") < said.index("ran accuracy")
    command.main(["scaling", "--out", str(tmp_path)])
    assert "replaced" not in capsys.readouterr().out


def test_unknown_names_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["nothing"])
    assert "no benchmark is called 'nothing'" in capsys.readouterr().err
