"""The confirmatory experiment: its plan, its statistics, its command."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mil_rbc.cli import command
from mil_rbc.cohort import COHORTS
from mil_rbc.confirm import __main__ as module
from mil_rbc.confirm.effects import Effect, detectable, effect, pool
from mil_rbc.confirm.plan import FOLDER, PLANS, Plan, written_down
from mil_rbc.confirm.report import describe, effects, trials
from mil_rbc.errors import RunError
from mil_rbc.options import FREE, Options
from mil_rbc.report.statistics import corrected_t_test

FIELDS = {f.name for f in dataclasses.fields(Options)}
COHORT = {"cohort", "cohort_options", "cohort_seed"}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_is_complete(name: str, tmp_path: Path) -> None:
    plan = Plan.read(name)
    assert set(plan.primary["pooled_over"]) <= set(plan.cohorts)
    development = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())["development"]
    for cohort, own in plan.cohorts.items():
        options = plan.run_options(cohort, [plan.primary["pooling"]], tmp_path, tmp_path)
        assert options.cohort in COHORTS
        assert options.features_in == tmp_path / "features"  # one for all regimes of a cohort
        assert options.folds * options.runs >= 9
        # Defaults that change later change no result of the plan.
        assert {*plan.options, *written_down(), *FREE, *own} >= FIELDS - COHORT
        if own["cohort"] in development:  # the same source, but another draw of cells and patients
            assert options.cohort_seed > 0
    assert [names for _, names in plan.steps()][: len(plan.cohorts)] == [
        [plan.primary["pooling"]]
    ] * len(plan.cohorts)


def test_a_plan_is_found_by_its_hash() -> None:
    for name in PLANS:
        assert Plan.of(Plan.read(name).sha256) == Plan.read(name)
    with pytest.raises(
        RunError, match="no plan has the hash '0': there are plan, regimes, default"
    ):
        Plan.of("0")


def test_regimes_are_pooled_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan.read("regimes")
    assert plan.run_options("nih-elu-share", ["attention"], tmp_path, tmp_path).lam_ratio == 0.01
    assert len(plan.cohorts) == sum(map(len, plan.groups.values()))
    (tmp_path / module.HASH).write_text(plan.sha256 + "\n")
    for shift, regime in ((0.06, "relu-authors"), (0.0, "elu-authors")):
        for seed, name in enumerate(plan.groups[regime]):
            (tmp_path / name).mkdir()
            results(shift, seed).to_csv(tmp_path / name / "results.csv", index=False)
    given = ["report", "--out", str(tmp_path), "--plan"]
    assert command(module.main, [*given, "regimes"]) == 0
    text = (tmp_path / "confirm.md").read_text()
    assert "**A gain" in text
    assert "| attention, relu-authors | auroc | 6 |" in text
    assert "| attention, elu-authors | auroc | 6 |" in text
    assert "| attention, elu-authors | 7" in text.partition("every cohort alike")[2]
    assert " | 0 % | 25 % |\n" in text  # dead units
    assert command(module.main, [*given, "plan"]) == 2
    assert "another plan than plan.yaml" in capsys.readouterr().err
    assert command(module.main, [*given, "nothing"]) == 2
    assert "there is no plan 'nothing': there are plan, regimes, default" in capsys.readouterr().err


def test_pooling_agrees_with_statsmodels() -> None:
    meta = pytest.importorskip("statsmodels.stats.meta_analysis")
    rng = np.random.default_rng(0)
    for spread in (0.0, 0.05):
        y, v = rng.normal(0.02, 0.03 + spread, 7), rng.uniform(1e-4, 2e-3, 7)
        theirs = meta.combine_effects(y, v, method_re="dl", use_t=True)
        ours = pool([Effect(a, b, 9) for a, b in zip(y, v, strict=True)])
        assert ours.mean == pytest.approx(theirs.mean_effect_re)
        assert ours.tau**2 == pytest.approx(theirs.tau2)
        assert np.allclose(ours.weights, theirs.weights_rel_re)
        if theirs.scale_hksj_re >= 1:  # below, ours stays at the wider interval
            error = theirs.sd_eff_w_re_hksj
            assert (ours.high - ours.mean) == pytest.approx(2.446911851 * error)


def test_the_interval_keeps_its_level() -> None:
    rng = np.random.default_rng(1)
    missed = 0
    for _ in range(400):
        v = rng.uniform(2e-4, 2e-3, 6)
        y = rng.normal(rng.normal(0, 0.03, 6), np.sqrt(v))
        found = pool([Effect(a, b, 9) for a, b in zip(y, v, strict=True)])
        missed += not found.low < 0 < found.high
    assert missed <= 0.08 * 400


def test_power_is_what_is_found() -> None:
    rng = np.random.default_rng(2)
    effects = [Effect(0.0, v, 9) for v in (2e-4, 5e-4, 9e-4, 4e-4, 3e-4, 6e-4)]
    size = detectable(effects)
    found = 0
    for _ in range(400):
        drawn = [e._replace(mean=rng.normal(size, e.variance**0.5)) for e in effects]
        found += pool(drawn).low > 0
    assert 0.65 < found / 400 < 0.9


def test_cohorts_that_differ_leave_less_to_be_found() -> None:
    effects = [Effect(mean, 4e-4, 9) for mean in (-0.06, 0.0, 0.0, 0.01, 0.02, 0.15)]
    alike = [e._replace(mean=0.0) for e in effects]
    found = pool(effects)
    assert found.tau > 0
    assert detectable(effects) > 1.5 * detectable(alike)
    assert detectable(effects) > (found.high - found.low) / 2  # what it leaves out, it cannot find


def test_an_effect_is_the_corrected_t_test() -> None:
    d = [0.02, -0.01, 0.05, 0.03]
    e = effect([*d, float("nan")], train=60, test=30)
    assert e.pairs == 4
    assert e.mean / e.variance**0.5 == pytest.approx(corrected_t_test(d, 60, 30).t)


def results(shift: float, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for run in range(3):
        for fold in range(3):
            base = rng.normal(0.8, 0.03)
            for arm in ("off", "on"):
                value = base + (arm == "on") * rng.normal(shift, 0.01)
                rows.append({"run": run, "fold": fold, "pooling": "attention", "topology": arm,
                             "auroc": value, "accuracy": value - 0.1, "train_bags": 60,
                             "test_bags": 30, "dead_bag_head": 0.25 * (arm == "on"),
                             "topo_to_class": 0.5 if arm == "on" else np.nan})  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("shift", "said"), [(0.06, "A gain"), (-0.06, "A harm"), (0.0, "No effect was shown")]
)
def test_the_report_says_what_came_out(
    tmp_path: Path, shift: float, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan.read()
    (tmp_path / module.HASH).write_text(plan.sha256 + "\n")
    for seed, name in enumerate(plan.primary["pooled_over"]):
        (tmp_path / name).mkdir()
        results(shift, seed).to_csv(tmp_path / name / "results.csv", index=False)
    assert command(module.main, ["report", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "confirm.md").read_text()
    assert f"**{said}" in text
    assert plan.sha256[:12] in text
    assert (tmp_path / "forest.png").stat().st_size > 5000
    assert set(pd.read_csv(tmp_path / "effects.csv")["plan"]) == {plan.sha256}
    renamed = tmp_path / plan.primary["pooled_over"][0] / "results.csv"  # as runs name arms today
    pd.read_csv(renamed).replace("on", "signature").to_csv(renamed, index=False)
    assert command(module.main, ["report", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "confirm.md").read_text() == text
    last = tmp_path / plan.primary["pooled_over"][-1] / "results.csv"
    last.unlink()
    assert command(module.main, ["report", "--out", str(tmp_path)]) == 0
    assert f"Partial: {plan.primary['pooled_over'][-1]} not run" in capsys.readouterr().out


def test_a_cohort_whose_pairs_are_all_alike_does_not_speak_for_all(tmp_path: Path) -> None:
    """Its variance is 0, so that the plan's model gives it all the weight: a row leaves it out."""
    plan = Plan.read()
    first, *others = plan.primary["pooled_over"]
    for seed, name in enumerate(others):
        (tmp_path / name).mkdir()
        results(0.004, seed).to_csv(tmp_path / name / "results.csv", index=False)
    alike = results(0.0, 9).assign(auroc=0.9)
    (tmp_path / first).mkdir()
    alike.to_csv(tmp_path / first / "results.csv", index=False)
    table = effects(plan, trials(plan, tmp_path))
    text = describe(plan, table)
    assert f"They weigh: {first} 100 %" in text
    assert "| attention | auroc | 6 | +0.0 | +0.0 to +0.0 |" in text
    assert f"| attention, without {first} | auroc | 5 | +0." in text
    assert "| attention | 8" in text.partition("every cohort alike")[2]
    row = next(r for r in text.splitlines() if f"| {first} | attention | auroc" in r)
    assert row.endswith("| +0.0 | +0.0 to +0.0 | 0 of 9 | 0.5 |")


def test_results_of_another_plan_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / module.HASH).write_text("0" * 64)
    for given in (["report"], ["run", "--data", str(tmp_path)]):
        assert command(module.main, [*given, "--out", str(tmp_path)]) == 2
        assert "another plan" in capsys.readouterr().err


def test_a_cohort_is_run_and_pooled_with_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command from end to end on the smallest rendered cohort."""
    plan = Plan.read()
    small = dataclasses.replace(
        plan, poolings=["attention"], cohorts={"tiny": {"cohort": "rendered", "size": "smoke"}},
        options={**plan.options, "epochs": 1, "runs": 1, "instances": "crops"},
        primary={**plan.primary, "pooled_over": ["tiny"]},
    )  # fmt: skip
    monkeypatch.setattr(Plan, "read", classmethod(lambda *_: small))
    assert command(module.main, ["run", "--data", str(tmp_path), "--out", str(tmp_path)]) == 0
    assert "Not to be pooled yet" in (tmp_path / "confirm.md").read_text()
    monkeypatch.setattr(
        "mil_rbc.experiment.run", pytest.fail
    )  # nothing is loaded once all is tabled
    assert command(module.main, ["run", "--data", str(tmp_path), "--out", str(tmp_path)]) == 0


def test_poolings_are_run_apart_and_refused_if_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []
    monkeypatch.setattr("mil_rbc.experiment.run", lambda options, **_: asked.append(options))
    monkeypatch.setattr(module, "report", lambda out, plan: "")
    given = ["run", "--data", str(tmp_path), "--out", str(tmp_path)]
    some = [*given, "--only", "[musk1]", "--pooling", "[average, max]"]
    assert command(module.main, some) == 0
    assert [o.pooling for o in asked] == [["average", "max"]]
    assert command(module.main, [*given, "--pooling", "[mean]"]) == 2
    assert "the plan has no pooling 'mean'" in capsys.readouterr().err


def test_what_the_plan_runs_does_not_follow_later_defaults(tmp_path: Path) -> None:
    plan = Plan.read()
    assert not {*plan.options} & {*written_down()}

    run = plan.run_options("musk1", ["attention"], tmp_path, tmp_path)
    for name, value in written_down().items():
        assert getattr(run, name) == value
    # What was run: later defaults are free to differ, these are not.
    assert (run.beta_decay, run.refit_every, run.deviation) == (0.95, 5, "each")
