"""Training: paired arms, seeds, schedules, resume to the bit, and nothing chosen on a test fold."""

from __future__ import annotations

import dataclasses
import shutil
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mil_rbc.data.bags import Cohort, Encoding
from mil_rbc.errors import DataError, RunError
from mil_rbc.files import load_checkpoint, read_json
from mil_rbc.model.checkpoint import load_model
from mil_rbc.model.objective import BagData, Objective
from mil_rbc.model.topology import input_space, matched, points_of, resolve_space
from mil_rbc.model.variants import POOLINGS
from mil_rbc.options import Options
from mil_rbc.training.evaluation import score
from mil_rbc.training.loop import Training
from mil_rbc.training.resume import State, finished
from mil_rbc.training.trial import Trial, deal_runs, fingerprint, grid
from tests.mil.conftest import Make


class Stop(Exception):
    """Stands for whatever ends a process."""


def interrupt(training: Training, after: int) -> None:
    """Make a training stop after so many epochs."""
    epoch = training._epoch

    def stopping(number: int) -> dict[str, float]:
        if number == after:
            raise Stop
        return epoch(number)

    training._epoch = stopping  # type: ignore[method-assign]


def weights(training: Training) -> dict[str, torch.Tensor]:
    return load_checkpoint(training.folder.checkpoint)["model"]  # type: ignore[no-any-return]


def test_every_fold_and_run_has_its_own_seed() -> None:
    trials = grid(Options(folds=5, runs=4))
    seeds = {(t.fold, t.run): t.seed(0) for t in trials}
    assert len(set(seeds.values())) == 20  # fold × run as a product would make fold 0 always 0


def test_arms_are_paired(make_training: Make) -> None:
    off, on = make_training("attention", "off"), make_training("attention", "signature")
    assert off.seed == on.seed
    for (name, a), b in zip(
        off.objective.model.state_dict().items(),
        on.objective.model.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(a, b), name
    for epoch in range(3):
        assert np.array_equal(off._order(epoch), on._order(epoch))
    assert not np.array_equal(off._order(0), off._order(1))
    assert np.array_equal(off.test, on.test)


def test_with_lambda_zero_both_arms_train_the_same(make_training: Make) -> None:
    off, on = make_training("average", "off"), make_training("average", "signature", lam=0.0)
    off.finish(off.fit())
    on.finish(on.fit())
    a, b = weights(off), weights(on)
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_topology_changes_the_weights_and_lowers_its_loss(make_training: Make) -> None:
    training = make_training("average", "signature", epochs=8, lr=1e-2, lam=1.0)
    losses = [row["L_topo"] for row in training.fit().history]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_beta(make_training: Make, pooling: str) -> None:
    history = make_training(pooling, "off", epochs=3).fit().history
    expected = [1, 0.95, 0.95**2] if pooling in ("attention", "anomaly") else [0, 0, 0]
    assert [row["beta"] for row in history] == pytest.approx(expected)


def test_loss_is_the_papers(vectors: Cohort, make_training: Make) -> None:
    objective = make_training("attention", "signature").objective
    x = torch.from_numpy(vectors.bags[0].instances)
    bag = BagData(x, torch.tensor(1), input_space(x, "none"))
    loss, parts = objective(bag, 0.3)
    mil, sic, classification, topo = parts[:4].tolist()
    assert classification == pytest.approx(0.7 * mil + 0.3 * sic, rel=1e-5)
    assert float(loss.detach()) == pytest.approx(classification + 5e-3 * topo, rel=1e-5)


def test_a_class_weight_scales_the_loss(vectors: Cohort, make_training: Make) -> None:
    model = make_training("average", "off").objective.model
    bag = BagData(torch.from_numpy(vectors.bags[0].instances), torch.tensor(1), None)
    plain, _ = Objective(model, None, 0.0)(bag, 0.0)
    weighed, _ = Objective(model, None, 0.0, torch.tensor([1.0, 3.0]))(bag, 0.0)
    assert float(weighed.detach()) == pytest.approx(3 * float(plain.detach()))


AVERAGED = {"averaged_epochs": 3, "schedule": "cosine", "dropout": 0.3}
STOPPED = {"averaged_epochs": 2, "protocol": "nested", "patience": 3, "epochs": 30, "lr": 0.1}


@pytest.mark.parametrize(
    "changes", [{}, {"convention": "mil"}, {"protocol": "nested"}, AVERAGED, STOPPED]
)
@pytest.mark.parametrize(("pooling", "topology"), [("anomaly", "signature"), ("max", "off")])
@pytest.mark.parametrize("after", [1, 3])
def test_a_resumed_trial_ends_with_the_same_bits(
    make_training: Make, tmp_path: Any, pooling: str, topology: str, after: int,
    changes: dict[str, Any],
) -> None:  # fmt: skip
    # refit_every=2 and after=3: the Gaussian in use comes from the checkpoint, not from a refit
    common: dict[str, Any] = {"refit_every": 2, **changes}
    whole = make_training(pooling, topology, out=tmp_path / "whole", **common)
    expected = whole.finish(whole.fit())
    broken = make_training(pooling, topology, out=tmp_path / "broken", **common)
    interrupt(broken, after)
    with pytest.raises(Stop):
        broken.fit()
    torch.manual_seed(123)  # a new process has another state
    resumed = make_training(pooling, topology, out=tmp_path / "broken", **common)
    found = resumed.finish(resumed.fit())
    a, b = weights(whole), weights(resumed)
    assert all(torch.equal(a[k], b[k]) for k in a)
    timing = {"seconds", "epoch_seconds"}
    same = {k for k in expected if k not in timing and expected[k] == expected[k]}
    assert {k: found[k] for k in same} == {k: expected[k] for k in same}
    tables = [pd.read_csv(t.folder.table("metrics")) for t in (whole, resumed)]
    pd.testing.assert_frame_equal(*(t.drop(columns="seconds") for t in tables))
    assert not (resumed.folder.resume).exists()


def test_the_mean_of_the_last_epochs_weights_is_tested(make_training: Make, tmp_path: Any) -> None:
    plain = make_training("anomaly", "signature", convention="mil", out=tmp_path / "plain")
    epoch, seen = plain._epoch, list[dict[str, torch.Tensor]]()

    def watched(number: int) -> dict[str, float]:
        row = epoch(number)
        seen.append({k: v.detach().clone() for k, v in plain.objective.named_parameters()})
        return row

    plain._epoch = watched  # type: ignore[method-assign]
    plain.fit()
    mean = make_training("anomaly", "signature", convention="mil", averaged_epochs=3,
                         out=tmp_path / "mean")  # fmt: skip
    row = mean.fit().history[-1]
    for name, found in mean.objective.named_parameters():
        expected = torch.stack([weights[name] for weights in seen[-3:]]).mean(0)
        torch.testing.assert_close(found.detach(), expected, msg=name)
    fitted = {k: v.clone() for k, v in mean.objective.model.pooling.control.state_dict().items()}
    mean._refit()
    for name, again in mean.objective.model.pooling.control.state_dict().items():
        assert torch.equal(fitted[name], again), f"{name} is not of the weights that are tested"
    assert row["accuracy_test"] == mean._glance(mean.test)[0]


@pytest.mark.parametrize("better", [True, False])
def test_a_trial_that_stops_early_has_the_mean_of_the_epochs_before_its_end(
    make_training: Make, better: bool
) -> None:
    changes = {"epochs": 9, "protocol": "nested", "patience": 2, "averaged_epochs": 3}
    training = make_training("anomaly", "off", **changes)
    epoch, glance, seen = training._epoch, training._glance, list[dict[str, torch.Tensor]]()
    losses = [0.5, 0.3, 0.4, 0.4, 0.2 if better else 0.3]  # the fifth is the mean's

    def watched(number: int) -> dict[str, float]:
        row = epoch(number)
        seen.append({k: v.detach().clone() for k, v in training.objective.named_parameters()})
        return row

    def told(bags: Any) -> tuple[float, float]:
        looked = bags is training.validation
        return (0.5, losses.pop(0)) if looked else glance(bags)

    training._epoch, training._glance = watched, told  # type: ignore[method-assign]
    state = training.fit()
    assert (state.epoch, losses) == (4, [])
    assert state.history[-1]["L_MIL_validation"] == (0.2 if better else 0.4)
    for name, found in training.objective.named_parameters():
        mean = torch.stack([weights[name] for weights in seen[-3:]]).mean(0)
        torch.testing.assert_close(found.detach(), mean if better else seen[1][name], msg=name)
    losses.append(state.best_loss)
    assert training.finish(state)["best_epoch"] == (3 if better else 1)


def test_the_learning_rate_falls_along_its_schedule(make_training: Make) -> None:
    for schedule, last in (("constant", 0.01), ("cosine", 0.01 * (1 + np.cos(np.pi * 3 / 4)) / 2)):
        training = make_training("max", "off", schedule=schedule, lr=0.01)
        training.fit()
        assert training.optimizer.param_groups[0]["lr"] == pytest.approx(last)
        shutil.rmtree(training.folder.path, ignore_errors=True)


def test_the_gaussian_is_fitted_on_whole_latents(make_training: Make) -> None:
    training = make_training("anomaly", "off", dropout=0.5)
    training.objective.train()
    training._refit()
    fitted = training.objective.model.pooling.control.means.clone()
    training._refit()
    assert torch.equal(fitted, training.objective.model.pooling.control.means)
    assert training.objective.model.encoder.training


def test_epochs_before_the_interruption_are_not_trained_again(make_training: Make) -> None:
    broken = make_training("average", "off")
    interrupt(broken, 2)
    with pytest.raises(Stop):
        broken.fit()
    resumed = make_training("average", "off")
    trained: list[int] = []
    epoch = resumed._epoch
    resumed._epoch = lambda n: (trained.append(n), epoch(n))[1]  # type: ignore[method-assign]
    resumed.fit()
    assert trained == [2, 3]


def test_a_result_of_other_options_is_refused(
    make_training: Make, vectors: Cohort, options: Options
) -> None:
    training = make_training("average", "off")
    training.finish(training.fit())
    trial, split = training.trial, deal_runs(vectors, options)[0][0]
    assert finished(trial, vectors, split, options, training.folder)
    with pytest.raises(RunError, match="other data or options"):
        finished(trial, vectors, split, dataclasses.replace(options, lr=1.0), training.folder)


def test_a_half_trained_trial_of_other_options_is_refused(make_training: Make) -> None:
    broken = make_training("average", "off")
    interrupt(broken, 2)
    with pytest.raises(Stop):
        broken.fit()
    with pytest.raises(RunError, match="other data or options"):
        make_training("average", "off", lr=1.0).fit()


def test_fingerprint_sees_what_decides_and_ignores_what_does_not(
    vectors: Cohort, options: Options
) -> None:
    trial, split = Trial("max", "signature", 0, 0), deal_runs(vectors, options)[0][0]

    def key(**changes: Any) -> str:
        return fingerprint(trial, vectors, split, dataclasses.replace(options, **changes))

    assert key() == key(jobs=8, backend="dask", out=options.out / "elsewhere")
    for change in ({"lam": 1.0}, {"epochs": 5}, {"convention": "mil"}, {"seed": 1}):
        assert key() != key(**change)


def test_looking_at_the_test_fold_changes_nothing(make_training: Make, tmp_path: Any) -> None:
    often = make_training("anomaly", "signature", test_every=1, out=tmp_path / "often")
    never = make_training("anomaly", "signature", test_every=0, out=tmp_path / "never")
    first, second = often.finish(often.fit()), never.finish(never.fit())
    assert first["accuracy"] == second["accuracy"]
    a, b = weights(often), weights(never)
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_protocol_paper_reports_the_last_epoch_even_if_another_was_better(
    make_training: Make,
) -> None:
    training = make_training("max", "off", epochs=10, lr=3e-2, test_every=1)
    state = training.fit()
    result = training.finish(state)
    assert result["accuracy"] == pytest.approx(state.history[-1]["accuracy_test"])


def test_protocol_nested_chooses_on_validation_and_keeps_patients_apart(
    make_training: Make,
) -> None:
    training = make_training("average", "off", protocol="nested", epochs=6, lr=1e-2)
    who = training.cohort.patients
    sides = [set(who[i]) for i in (training.train, training.validation, training.test)]
    assert not sides[0] & sides[1]
    assert not (sides[0] | sides[1]) & sides[2]
    state = training.fit()
    result = training.finish(state)
    losses = [row["L_MIL_validation"] for row in state.history]
    assert result["best_epoch"] == int(np.argmin(losses))


def test_folds_may_be_dealt_anew_in_each_run(vectors: Cohort, options: Options) -> None:
    same = deal_runs(vectors, options)
    assert np.array_equal(same[0][0][1], same[1][0][1])
    anew = deal_runs(vectors, dataclasses.replace(options, redeal=True))
    assert not np.array_equal(anew[0][0][1], anew[1][0][1])


def test_standardisation_is_of_the_training_fold(make_training: Make) -> None:
    training = make_training("average", "off")
    bags = training.cohort.bags
    rows = np.concatenate([bags[i].instances for i in training.train])
    encoder = training.objective.model.standardize
    assert np.allclose(encoder.mean, rows.mean(0), atol=1e-5)
    assert np.allclose(encoder.std, rows.std(0), atol=1e-5)


def test_image_space_is_measured_once_and_kept(
    make_training: Make, monkeypatch: pytest.MonkeyPatch, rendered: Cohort
) -> None:
    import mil_rbc.training.material as module

    module._spaces.cache_clear()
    make_training("average", "signature", cohort=rendered, cohort_seed=0)
    monkeypatch.setattr(module, "input_space", None)  # may not be called again
    make_training("max", "off", fold=1, cohort=rendered, cohort_seed=0)


def test_image_space_of_vectors_is_kept_for_its_training_fold(
    make_training: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mil_rbc.training.material as module

    module._spaces.cache_clear()
    first = make_training("average", "signature").bags
    other = make_training("average", "signature", fold=1).bags
    bag = int(first.cohort.labels.argmax())
    assert not torch.equal(first.spaces[bag].x, other.spaces[bag].x)
    monkeypatch.setattr(module, "input_space", None)
    make_training("max", "off", fold=1)


@pytest.mark.parametrize("space", ["images", "features"])
def test_spaces_of_crops(space: Any) -> None:
    crops = torch.randint(0, 256, (4, 64, 64), dtype=torch.uint8)
    points = points_of(crops, "crop", resolve_space(space, "crop"), torch.nn.Identity())
    assert points.dtype == torch.float32
    assert points.shape[0] == 4
    if space == "images":
        assert torch.equal(points, crops.flatten(1).float() / 255)


def test_rms_scale_does_not_grow_with_the_number_of_pixels() -> None:
    x = torch.rand(5, 100)
    tiled = input_space(x.repeat(1, 16), "rms").x
    torch.testing.assert_close(tiled, input_space(x, "rms").x)


def test_a_space_the_instances_do_not_have_is_an_error() -> None:
    with pytest.raises(RunError, match="kind 'vector'"):
        resolve_space("images", "vector")
    assert resolve_space("auto", "roi") == "roi"


@pytest.mark.parametrize("convention", ["paper", "topoae", "mil", "torch_topological"])
def test_every_convention_trains(make_training: Make, convention: str) -> None:
    training = make_training("average", "signature", convention=convention, epochs=2)
    history = training.fit().history
    assert all(np.isfinite(row["L_topo"]) and row["topo_to_class"] > 0 for row in history)
    assert any("regularizer" in n for n, _ in training.objective.named_parameters()) == (
        convention in ("topoae", "mil")
    )


def test_matched_pairs_are_a_share(vectors: Cohort) -> None:
    x = torch.from_numpy(vectors.bags[0].instances)
    count = matched(input_space(x, "none"), x.clone())
    assert int(count) == len(x) - 1  # the same points have the same tree


def test_anomaly_pooling_without_a_control_class_is_an_error(
    make_training: Make, vectors: Cohort
) -> None:
    without = dataclasses.replace(vectors, control=None)
    with pytest.raises(DataError, match="no training bag of fold 0 is a control"):
        make_training("anomaly", "off", cohort=without)


def test_the_checkpoint_predicts_what_the_trial_wrote(make_training: Make) -> None:
    training = make_training("anomaly", "signature")
    training.finish(training.fit())
    model, _ = load_model(training.folder.checkpoint)
    table = pd.read_csv(training.folder.table("predictions")).set_index("bag")
    for i in training.test:
        bag = training.cohort.bags[i]
        with torch.no_grad():
            logits = model(torch.from_numpy(bag.instances)[None]).bag[0]
        found = logits.double().softmax(0).numpy()
        assert np.allclose(found, table.loc[bag.bag, ["p_control", "p_ill"]].to_numpy(float))


def test_an_epoch_is_watched_by_the_numbers_of_a_test(make_training: Make) -> None:
    training = make_training("attention", "off", protocol="nested")
    training.fit()
    for bags in (training.validation, training.test):
        tested = score(training._predict(bags), training.cohort.classes)
        assert training._glance(bags) == (tested["accuracy"], tested["cross_entropy"])


def test_precision_and_logger_are_lightnings(make_training: Make) -> None:
    training = make_training("anomaly", "signature", precision="bf16-mixed", logger="csv", epochs=2)
    training.finish(training.fit())
    assert read_json(training.folder.result)["epochs"] == 2
    logged = list(training.folder.path.glob("logs/**/metrics.csv"))
    assert logged


def test_a_half_trained_trial_of_another_version_is_refused(make_training: Make) -> None:
    training = make_training("max", "off")
    training._save(State(epoch=1, history=[training._epoch(0)]))
    path = training.folder.resume
    stored = torch.load(path, weights_only=True)
    torch.save({**stored, "version": "9.9.9"}, path)
    with pytest.raises(RunError, match=r"written by mil_rbc 9\.9\.9"):
        make_training("max", "off").fit()


def test_the_final_gaussian_is_fitted_on_the_weights_that_are_tested(make_training: Make) -> None:
    fits = []
    for when in ("last", "final"):
        training = make_training("anomaly", "off", protocol="nested", gaussian_at_test=when)
        training.fit()
        fits.append(training.objective.model.pooling.control.state_dict())
        shutil.rmtree(training.folder.path, ignore_errors=True)
    assert any(
        not torch.equal(a, b) for a, b in zip(fits[0].values(), fits[1].values(), strict=True)
    )


def test_shared_deviations_are_for_features_of_a_network_only(
    make_training: Make, vectors: Cohort
) -> None:
    plain = make_training("average", "off", deviation="shared")
    assert plain.objective.model.standardize.std.unique().numel() > 1
    encoding = Encoding("net", "a network", vectors.bags[0].instances.shape[1], 1, "0" * 64)
    rng = np.random.default_rng(0)
    bags = [
        dataclasses.replace(b, crops=rng.integers(0, 255, (len(b), 64, 64), np.uint8))
        for b in vectors.bags
    ]
    frozen = dataclasses.replace(vectors, bags=bags, encoding=encoding)
    for deviation, count in (("shared", 1), ("each", vectors.bags[0].instances.shape[1])):
        made = make_training("average", "off", cohort=frozen, deviation=deviation, space="features")
        assert made.objective.model.standardize.std.unique().numel() == count
