"""The distribution of control cells: saved, never refitted at test time, and not degenerate."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch

from mil_rbc.files import load_checkpoint, save_checkpoint
from mil_rbc.model.checkpoint import load_model
from mil_rbc.model.gaussian import ControlGaussian
from mil_rbc.model.mil import Architecture, MILModel
from mil_rbc.model.pooling import AnomalyPooling
from mil_rbc.model.variants import POOLINGS
from tests.mil.conftest import Make


def relu_latents(cells: int, width: int, seed: int) -> torch.Tensor:
    """Latents as a ReLU encoder gives them: correlated, sparse, one unit dead on control cells."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(20, width, generator=torch.Generator().manual_seed(0))
    latents = (torch.randn(cells, 20, generator=generator) @ mixing).clamp_min(0)
    latents[:, 0] = 0
    return latents


def architecture(latent: int, preset: str) -> Architecture:
    return Architecture("vector", 4, ("a", "b"), "anomaly", latent, anomaly=preset)  # type: ignore[arg-type]


@pytest.mark.parametrize("components", [1, 2])
@pytest.mark.parametrize("preset", ["paper", "robust"])
def test_round_trip_through_a_checkpoint(tmp_path: Path, preset: str, components: int) -> None:
    model = MILModel(
        Architecture("vector", 4, ("a", "b"), "anomaly", 12, anomaly=preset, components=components)  # type: ignore[arg-type]
    )
    assert isinstance(model.pooling, AnomalyPooling)
    model.pooling.control.fit(torch.randn(60, 12), seed=0)
    save_checkpoint(tmp_path / "c.pt", {
        "architecture": model.architecture.plain(), "model": model.state_dict(),
    })  # fmt: skip
    loaded, _ = load_model(tmp_path / "c.pt")
    x = torch.randn(1, 9, 4)
    assert torch.equal(loaded(x).pooled.anomaly, model.eval()(x).pooled.anomaly)
    assert torch.equal(loaded(x).bag, model(x).bag)


def test_the_gaussian_is_part_of_the_state() -> None:
    names = set(MILModel(Architecture("vector", 4, ("a", "b"), "anomaly", 12)).state_dict())
    assert {f"pooling.control.{n}" for n in ("means", "cholesky", "fitted")} <= names


def test_testing_does_not_refit(make_training: Make) -> None:
    training = make_training("anomaly", "signature")
    state = training.fit()
    control = training.objective.model.pooling.control  # type: ignore[union-attr]
    before = {k: v.clone() for k, v in control.state_dict().items()}  # type: ignore[union-attr]
    training.finish(state)
    assert all(torch.equal(v, before[k]) for k, v in control.state_dict().items())  # type: ignore[union-attr]
    stored = load_checkpoint(training.folder.checkpoint)["model"]
    assert torch.equal(stored["pooling.control.means"], before["means"])
    assert bool(before["fitted"])


@pytest.mark.parametrize(("every", "fits"), [(5, 2), (2, 3), (1, 6)])
def test_it_is_refitted_every_so_many_epochs(
    make_training: Make, monkeypatch: pytest.MonkeyPatch, every: int, fits: int
) -> None:
    training = make_training("anomaly", "off", epochs=6, refit_every=every)
    count = []
    fit = ControlGaussian.fit
    monkeypatch.setattr(ControlGaussian, "fit", lambda *a: (count.append(1), fit(*a)))
    training.fit()
    assert len(count) == fits


def test_it_sees_control_cells_of_the_training_fold_only(make_training: Make) -> None:
    training = make_training("anomaly", "off")
    bags = training.cohort.bags
    assert training.control
    assert all(bags[i].label == training.cohort.control for i in training.control)
    assert not set(training.control) & set(training.test)


def test_robust_survives_a_dead_unit_where_paper_does_not() -> None:
    fitting, cells = relu_latents(900, 500, seed=1), relu_latents(50, 500, seed=2)
    cells[7, 0] = 0.05  # fires a unit that is dead on control cells
    mask = torch.ones(1, 50, dtype=torch.bool)
    share = {}
    for preset in ("paper", "robust"):
        pooling = POOLINGS["anomaly"].make(architecture(500, preset))
        assert isinstance(pooling, AnomalyPooling)
        pooling.control.fit(fitting, seed=0)
        softmax = pooling.control(cells).softmax(0)
        share[preset] = float(softmax[7])
        assert torch.isfinite(pooling(cells[None], mask).vector).all()
    assert share["paper"] > 0.99  # as published: one hair takes all
    assert share["robust"] < 0.1


def test_robust_does_not_tell_fitted_from_held_out_control_cells() -> None:
    fitting, fresh = relu_latents(300, 500, seed=1), relu_latents(300, 500, seed=2)
    ratio = {}
    for preset in ("paper", "robust"):
        control = ControlGaussian(500, preset=preset)  # type: ignore[arg-type]
        control.fit(fitting, seed=0)
        ratio[preset] = float(control(fresh).mean() / control(fitting).mean())
    assert ratio["paper"] > 10
    assert ratio["robust"] < 3


def test_robust_softmax_keeps_many_cells() -> None:
    control = ControlGaussian(500, preset="robust")
    control.fit(relu_latents(900, 500, seed=1), seed=0)
    weights = control(relu_latents(200, 500, seed=2)).softmax(0)
    assert float(1 / weights.square().sum()) > 100  # effective number, of 200


def test_robust_pooling_does_not_grow_with_the_bag() -> None:
    latents = torch.rand(1, 6, 10)
    twice = latents.repeat(1, 2, 1)
    length = {}
    for preset in ("paper", "robust"):
        pooling = POOLINGS["anomaly"].make(architecture(10, preset))
        assert isinstance(pooling, AnomalyPooling)
        pooling.control.fit(torch.rand(50, 10), seed=0)
        torch.nn.init.constant_(pooling.bias, 0.5)
        ones = [torch.ones(x.shape[:2], dtype=torch.bool) for x in (latents, twice)]
        once, doubled = (pooling(x, m).vector for x, m in zip((latents, twice), ones, strict=True))
        length[preset] = float((doubled - once).norm() / once.norm())
    assert length["robust"] < 1e-6
    assert length["paper"] > 0.1


def test_no_gradient_flows_through_the_distance() -> None:
    control = ControlGaussian(5)
    control.fit(torch.randn(40, 5), seed=0)
    assert not control(torch.randn(3, 5, requires_grad=True)).requires_grad


def test_distance_is_mahalanobis() -> None:
    rows = np.random.default_rng(0).normal(size=(200, 4)) @ np.diag([1, 2, 3, 4.0])
    control = ControlGaussian(4, preset="paper")
    control.fit(torch.from_numpy(rows), seed=0)
    covariance = np.cov(rows.T, bias=True) + 1e-6 * np.eye(4)
    offset = np.array([1.0, -2.0, 0.5, 3.0]) - rows.mean(0)
    expected = np.sqrt(offset @ np.linalg.solve(covariance, offset))
    found = control(torch.tensor([[1.0, -2.0, 0.5, 3.0]], dtype=torch.float64))
    assert float(found) == pytest.approx(expected, rel=1e-9)


def test_a_mixture_measures_against_the_nearest_component() -> None:
    rows = torch.cat([torch.randn(100, 3), torch.randn(100, 3) + 20])
    control = ControlGaussian(3, components=2, preset="robust")
    control.fit(rows, seed=0)
    near, between = control(torch.tensor([[20.0, 20, 20], [10, 10, 10]])).tolist()
    assert near < 1
    assert between > 3


def test_a_checkpoint_holds_no_pickled_objects() -> None:
    model = MILModel(Architecture("vector", 4, ("a", "b"), "anomaly", 12))
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    torch.load(buffer, weights_only=True)
