"""Claims: what an effect is called, that plans were not changed after, and the pieces they use."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

# Benchmarks are no part of the package; appended, so that an installed torchtopo wins.
sys.path.append(str(Path(__file__).resolve().parents[1]))
pytest.importorskip("matplotlib")
from scipy import stats

from benchmarks import data, tables
from benchmarks.claims import (
    NAMES,
    cells,
    dimension,
    few_labels,
    few_labels_cells,
    models,
    one_class,
    one_class_cells,
    protocol,
    summary,
)
from benchmarks.claims.__main__ import main
from benchmarks.claims.embedding_measures import measures
from benchmarks.claims.journal import Journal
from benchmarks.claims.protocol import Arm, Comparison, Outcome, compare, effect, verdict, word

ROOT = Path(__file__).resolve().parents[1]
LATENTS = ROOT.parent / "shared" / "data" / "topoae_latents"
RESULTS = tables.results("claims")
OF_CELLS = ("one_class_rendered", "one_class_nih", "few_labels_cells")


def rows(**arms: list[float]) -> list[dict[str, Any]]:
    return [
        {"arm": arm, "condition": "c", "seed": seed, "y": value}
        for arm, values in arms.items()
        for seed, value in enumerate(values)
    ]


def test_an_effect_is_scipys_paired_t() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 12))
    found = effect(list(a - b))
    theirs = stats.ttest_rel(a, b)
    low, high = theirs.confidence_interval(0.95)
    np.testing.assert_allclose([found.mean, found.low, found.high], [(a - b).mean(), low, high])
    assert found.better == (a > b).sum()


def test_detectable_is_found_with_a_power_of_four_fifths() -> None:
    rng = np.random.default_rng(1)
    sizes, hits = [], 0
    for _ in range(400):
        d = rng.normal(size=20)
        sizes.append(effect(list(d)).detectable)
    for _ in range(400):
        hits += effect(list(rng.normal(size=20) + np.mean(sizes))).low > 0
    assert 0.74 < hits / 400 < 0.87


def test_unpaired_and_unknown_values_are_refused() -> None:
    with pytest.raises(ValueError, match="at least two finite numbers"):
        effect([1.0, math.nan])
    with pytest.raises(AssertionError, match="not paired"):
        compare(rows(a=[1, 2, 3], b=[1, 2]), Comparison("a", "b", "c"), Outcome("y", "", 1))


@pytest.mark.parametrize(
    ("differences", "said"),
    [([5, 6, 7], "better"), ([-5, -6, -7], "worse"), ([0.1, 0, -0.1], "no difference"),
     ([-9, 0, 9], "undecided"), ([0.5, 0.51, 0.52], "no difference")],
)  # fmt: skip
def test_words_follow_from_the_interval_and_the_margin(differences: list[float], said: str) -> None:
    assert word(effect(differences), margin=1.0) == said


def test_less_is_better_where_the_outcome_says_so() -> None:
    found, with_, without = compare(
        rows(a=[1, 2, 1], b=[3, 5, 4]), Comparison("a", "b", "c"), Outcome("y", "", -1)
    )
    assert found.mean > 0
    assert with_ < without


@pytest.mark.parametrize(
    ("without", "control", "said"),
    [([0, 1, 2], [0, 1, 2], "helps"), ([0, 1, 2], [9, 9, 9.1], "helps, but not more than control"),
     ([0, 1, 2], [19, 19, 19.1], "helps, but less than control"),
     ([19, 19, 18], [0, 0, 0], "harms"),
     ([9, 9, 9.1], [0, 0, 0], "does not help"), ([0, 9, 30], [0, 0, 0], "undecided")],
)  # fmt: skip
def test_a_claim_has_to_beat_every_control(
    without: list[float], control: list[float], said: str
) -> None:
    plan = dataclasses.replace(
        one_class.PLAN, outcomes=(Outcome("y", "", 1),), margin=0.5,
        without=Comparison("a", "without", "c"), controls=(Comparison("a", "control", "c"),),
    )  # fmt: skip
    assert verdict(plan, rows(a=[9, 9, 9], without=without, control=control)) == said


def test_a_changed_plan_has_another_hash() -> None:
    changed = dataclasses.replace(one_class.PLAN, margin=0.02)
    assert changed.sha256 != one_class.PLAN.sha256


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    plan = dataclasses.replace(
        one_class.PLAN, arms=(Arm("a", "", ({"k": 1}, {"k": 2})), Arm("b", "")), conditions=("c",),
        choose_at=("c",), outcomes=(Outcome("y", "", 1),), seeds=3, development_seeds=2,
    )  # fmt: skip
    calls: list[tuple[Any, ...]] = []

    def trial(*key: Any) -> dict[str, float]:
        if len(calls) == stop:
            raise KeyboardInterrupt
        calls.append(key)
        arm, settings, _, seed, part, _ = key
        return {"y": seed + settings.get("k", 0) / 3 + (arm == "a") + (part == "test") / 7}

    claim: Any = types.SimpleNamespace(PLAN=plan, trial=trial)
    stop = -1
    expected = protocol.run(Journal(claim, tmp_path / "whole.jsonl", False))
    assert expected["chosen"]["a"] == {"k": 2}
    whole, stop = calls.copy(), 6
    calls.clear()
    path = tmp_path / "parts.jsonl"
    with pytest.raises(KeyboardInterrupt):
        protocol.run(Journal(claim, path, False))
    with path.open("a") as file:
        file.write('\n{"plan": "cut off')
    stop = -1
    journal = Journal(claim, path, False)
    assert protocol.run(journal) == expected
    assert calls == whole
    changed: Any = types.SimpleNamespace(PLAN=dataclasses.replace(plan, margin=1.0), trial=trial)
    assert not Journal(changed, path, False).done
    assert not Journal(claim, path, True).done
    journal.close()
    assert not path.exists()


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_results_are_those_of_the_plan(name: str) -> None:
    result, plan = RESULTS[name], summary.plan_of(name)
    assert result["plan_sha256"] == plan.sha256, "the plan was changed after it was run"
    assert not result["quick"]
    assert plan.seeds >= 10
    for arm in plan.arms:
        assert result["chosen"][arm.name] in [dict(o) for o in arm.options]
    seen = {(r["arm"], r["condition"], r["seed"]) for r in result["rows"]}
    assert len(seen) == len(result["rows"]) == len(plan.arms) * len(plan.conditions) * plan.seeds


@pytest.mark.parametrize("name", NAMES)
def test_plans_compare_arms_that_they_have(name: str) -> None:
    plan = summary.plan_of(name)
    arms = [arm.name for arm in plan.arms]
    for c in (plan.without, *plan.controls):
        assert {c.arm, c.against} <= set(arms)
        assert c.condition in plan.conditions
    assert set(plan.choose_at) <= set(plan.conditions)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_claim_runs(name: str, tmp_path: Path) -> None:
    for package in ("sklearn", "lightning", "efficientnet_lite_pytorch"):
        pytest.importorskip(package)
    if name in OF_CELLS:
        pytest.skip("tried on made-up cells below: real ones take minutes to encode")
    if name not in ("dimension", "autoencoders") and data.mnist("t10k", 1) is None:
        pytest.skip("MNIST is not beside the checkout")
    assert main([name, "--quick", "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
    assert result["quick"]
    for table in (summary.effects(name), summary.means(name)):
        assert table({name: result}).startswith("|")


@pytest.mark.parametrize("name", OF_CELLS)
def test_claims_on_cells_run_on_made_up_ones(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn")
    generator = torch.Generator().manual_seed(0)
    for source in cells.SOURCES:
        for stock in cells.STOCKS:
            labels = torch.arange(2200) % 11
            x = torch.rand(2200, 784, generator=generator) / 2 + (labels == 0)[:, None] / 3
            features = torch.nn.functional.one_hot(labels, 1280).float()
            np.savez(tmp_path / f"{source}-{stock}.npz", pixels=x, features=features, labels=labels)
    monkeypatch.setattr(cells, "KEPT", tmp_path)
    claim: Any = importlib.import_module(f"benchmarks.claims.{name}")
    cells.cells.cache_clear()
    one_class_cells.backbone.cache_clear()
    try:
        result = protocol.run(Journal(claim, tmp_path / "journal", True))
    finally:
        cells.cells.cache_clear()
        one_class_cells.backbone.cache_clear()
    primary = claim.PLAN.outcomes[0]
    perfect = "frozen features" if name == "few_labels_cells" else "frozen kNN"
    for row in result["rows"]:
        if row["arm"] == perfect:
            assert row[primary.name] == (1.0 if primary.best == 1 else 0.0)
    for table in (summary.effects(name), summary.means(name)):
        assert table({name: result}).startswith("|")


@pytest.mark.parametrize("source", ["nih", "chula"])
def test_no_patient_has_cells_in_two_stocks(source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mil_rbc.cohort")
    from mil_rbc.cohort import chula, nih
    from mil_rbc.data.bags import Bag, Cohort

    bags = [
        Bag(
            bag=f"b{i}", patient=f"p{i}", label=0, images=np.array(["x"] * 2),
            instances=np.full((2, 64, 64), i, np.uint8) * np.array([1, 1], np.uint8)[:, None, None],
            cell_labels=np.array([12, 12] if i % 2 else [5, 5]),
        )
        for i in range(200)
    ]  # fmt: skip
    fold = {f"p{i}": i % 3 for i in range(200)}
    cohort = Cohort("made up", "crop", ("one",), None, bags, test_fold=fold)
    for module in (chula, nih):
        monkeypatch.setattr(module, "load", lambda *_, **__: cohort)
    drawn = {stock: cells.SOURCES[source](stock) for stock in cells.STOCKS}
    patients = {stock: sorted(found.crops[:, 0, 0].tolist()) for stock, found in drawn.items()}
    everyone = [patient for found in patients.values() for patient in found]
    assert sorted(everyone) == list(range(200))  # each cell once, its copy left out
    assert len(patients["pool"]) == (100 if source == "nih" else 67)
    for found in drawn.values():
        odd = found.crops[:, 0, 0] % 2 == 1
        assert (found.labels == np.where(odd, *((12, 5) if source == "nih" else (1, 0)))).all()


def test_errors_are_averaged_over_classes() -> None:
    truth = torch.tensor([0] * 8 + [1] * 2)
    found = torch.tensor([0] * 8 + [1, 0])
    assert few_labels_cells.balanced_error(found, truth) == pytest.approx(0.25)


def test_rescaled_branches_have_a_mean_death_of_eta() -> None:
    z = data.cloud(200, 160, seed=3) * torch.arange(1, 161)
    again = one_class.rescaled(z, one_class.to_eta(z))
    assert one_class.to_eta(again).flatten().tolist() == pytest.approx([1.0] * 16, rel=1e-5)


def test_measures_of_an_embedding_are_scikit_learns() -> None:
    manifold = pytest.importorskip("sklearn.manifold")
    x = data.cloud(450, 5, seed=1).numpy()
    z = x[:, :2] + 0.3 * data.cloud(450, 2, seed=2).numpy()
    found = measures(x, z)
    for name, (a, b) in {"trustworthiness": (x, z), "continuity": (z, x)}.items():
        theirs = [manifold.trustworthiness(a, b, n_neighbors=k) for k in range(10, 201, 10)]
        assert found[name] == pytest.approx(np.mean(theirs), abs=1e-6)
    same = measures(x, 3 * x)
    assert same["kl_0.1"] == pytest.approx(0, abs=1e-6)  # x is float32
    assert same["overlap"] == pytest.approx(1, abs=1e-3)
    assert same["mrre_zx"] == pytest.approx(0, abs=1e-3)


@pytest.mark.data
@pytest.mark.parametrize(("method", "kl"), [("TopoAE", 0.33), ("Vanilla", 0.75)])
def test_published_embeddings_have_their_published_measures(method: str, kl: float) -> None:
    """Moor et al. 2020, Table 1 (a mean of runs; one is stored), on their spheres drawn again."""
    if not LATENTS.is_dir():
        pytest.skip("the published embeddings are not beside the checkout")
    selection = pytest.importorskip("sklearn.model_selection")
    random = np.random.RandomState(42)
    centres = random.normal(0, 1, (11, 101))

    def sphere(count: int, radius: float) -> np.ndarray:
        x = random.randn(count, 101)
        return np.asarray(radius * x / np.linalg.norm(x, axis=1, keepdims=True))

    parts = [sphere(500, 5.0) + centre for centre in centres[:10]] + [sphere(5000, 25.0)]
    labels = np.repeat(np.arange(11), [500] * 10 + [5000])
    _, x, _, y = selection.train_test_split(
        np.concatenate(parts), labels, test_size=0.1, random_state=42
    )
    stored = np.loadtxt(LATENTS / f"{method}-latents.csv", delimiter=",", skiprows=1)
    assert (stored[:, 2] == y).all()
    assert measures(x, stored[:, :2])["kl_0.1"] == pytest.approx(kl, abs=0.03)


@pytest.mark.parametrize("shape", ["Cantor dust", "Sierpinski triangle"])
def test_fractals_have_the_dimension_that_is_claimed(shape: str) -> None:
    """By counting boxes, an estimate that none of the arms uses."""
    truth, make = dimension.SHAPES[shape]
    x = torch.cat([make(torch.Generator().manual_seed(s)) for s in range(10)])
    base = 3 if shape == "Cantor dust" else 2
    if shape == "Sierpinski triangle":  # sheared to the corner of a square, where boxes fit
        y = x[:, 1] / 0.75**0.5
        x = torch.stack((x[:, 0] - y / 2, y), -1)
    counts = [len((x * base**k).floor().unique(dim=0)) for k in (2, 4)]
    assert math.log(counts[1] / counts[0]) / math.log(base**2) == pytest.approx(truth, abs=0.02)


def test_neighbours_in_balls_are_counted_by_branch() -> None:
    train, test = (3 * data.cloud(n, 160, seed=n) / 10 for n in (7, 5))
    expected = torch.zeros(5)
    for branch in range(16):
        part = slice(10 * branch, 10 * branch + 10)
        for i in range(5):
            for j in range(7):
                expected[i] += float((test[i, part] - train[j, part]).abs().sum() <= 2.0)
    assert expected.max() > 0
    assert one_class.counts(train, test).tolist() == expected.tolist()


def test_images_are_moved_whole() -> None:
    x = torch.zeros(50, 784)
    x[:, 28 * 14 + 14] = 1
    moved = models.shifted(x, torch.Generator().manual_seed(0)).reshape(50, 28, 28)
    assert (moved.sum((1, 2)) == 1).all()
    places = {tuple(p) for p in moved.nonzero()[:, 1:].tolist()}
    assert len(places) > 10
    assert all(12 <= a <= 16 and 12 <= b <= 16 for a, b in places)


def test_batches_hold_sixteen_of_each_of_eight_digits() -> None:
    y = torch.arange(10).repeat(5)
    batch = few_labels.batch_of(y, torch.Generator().manual_seed(0))
    _, counts = y[batch].unique(return_counts=True)
    assert counts.tolist() == [16] * 8


def test_unknown_claims_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert "no claim is called 'nothing'" in capsys.readouterr().err
