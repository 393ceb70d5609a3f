"""Sweeps choose on validation folds and show curves on test folds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mil_rbc.cli import command
from mil_rbc.data.bags import Cohort
from mil_rbc.errors import RunError
from mil_rbc.options import Options
from mil_rbc.sweep import _axis, _grid, _one_at_a_time, _share_cohort, main
from tests.mil.commands import arguments, bags_folder


def test_a_sweep_by_validation_never_reads_test_metrics(tmp_path: Path, vectors: Cohort) -> None:
    data = bags_folder(tmp_path / "bags", vectors)
    given = arguments(data, tmp_path / "out", "--pooling", "max", "--folds", "2",
                      "--vary", "lam=0,0.5", "--vary=convention=paper,mil")  # fmt: skip
    assert command(main, [*given, "--topology", "on"]) == 0
    table = pd.read_csv(tmp_path / "out" / "sweep.csv")
    assert len(table) == 4
    assert table["lam"].tolist() == [0, 0, 0.5, 0.5]
    assert "accuracy_validation_mean" in table
    assert "accuracy_mean" not in table
    assert (tmp_path / "out" / "figures" / "sweep.png").stat().st_size > 0
    first = pd.read_csv(tmp_path / "out" / "lam=0_convention=paper" / "results.csv")
    assert set(first["protocol"]) == {"nested"}
    metrics = next((tmp_path / "out").glob("*/trials/*/metrics.csv"))
    assert pd.read_csv(metrics)["accuracy_test"].isna().all()


def test_a_sweep_may_show_test_metrics_along_what_is_not_chosen(
    tmp_path: Path, vectors: Cohort
) -> None:
    data = bags_folder(tmp_path / "bags", vectors)
    given = arguments(data, tmp_path / "out", "--pooling", "max", "--folds", "2",
                      "--vary", "epochs=1,2", "--report", "test")  # fmt: skip
    assert command(main, given) == 0
    table = pd.read_csv(tmp_path / "out" / "sweep.csv")
    assert table["epochs"].tolist() == [1, 1, 2, 2]
    assert set(table["topology"]) == {"off", "signature"}
    assert table["accuracy_mean"].between(0, 1).all()


def test_a_cohort_is_rendered_once_for_all_combinations_that_draw_the_same(tmp_path: Path) -> None:
    first = Options(lam=0, out=tmp_path / "a")
    first.out.mkdir()
    (first.out / "cohort.npz").write_bytes(b"cells")
    _share_cohort([first], Options(lam=1, out=tmp_path / "b"))
    _share_cohort([first], Options(lam=1, cohort_seed=1, out=tmp_path / "c"))
    assert (tmp_path / "b" / "cohort.npz").read_bytes() == b"cells"
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("text", ["nonsense=1", "lam", "lam="])
def test_bad_axes_are_refused(text: str) -> None:
    with pytest.raises(RunError, match="write NAME=VALUE"):
        _axis(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pooling=max,average", "it takes a list already"),
        ("class_weights=foo", "class_weights cannot be 'foo'"),
        ("epochs=2.5", "epochs cannot be 2.5"),
    ],
)
def test_values_that_an_option_cannot_have_are_refused(text: str, said: str) -> None:
    with pytest.raises(RunError, match=said):
        _axis(text)


def test_values_are_of_their_options_type() -> None:
    assert _axis("redeal=false,true") == ("redeal", [False, True])
    assert _axis("lam=0,0.00005,5e-3") == ("lam", [0.0, 5e-5, 5e-3])
    assert _axis("cohort_options.train=20,50") == ("cohort_options.train", [20, 50])


def test_values_are_combined_or_taken_one_at_a_time() -> None:
    axes = [("a", [1, 2]), ("b", [3, 4, 5])]
    assert [(s["a"], s["b"]) for s in _grid(axes)] == [
        (1, 3), (1, 4), (1, 5), (2, 3), (2, 4), (2, 5)
    ]  # fmt: skip
    assert [(s["a"], s["b"]) for s in _one_at_a_time(axes)] == [(1, 3), (2, 3), (1, 4), (1, 5)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "nothing to vary"),
        (["--vary"], "--vary: expected one argument"),
        (["--vary", "lam=1", "--report", "train"], "--report cannot be train: give one of 'valid"),
    ],
)
def test_wrong_options_of_a_sweep_are_one_sentence(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(main, given) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
