"""Arms: what each adds, λ as a share or from an accuracy on, early stopping, units that die."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import torchtopo
from mil_rbc.cli import command
from mil_rbc.data.bags import Cohort
from mil_rbc.model import topology
from mil_rbc.model.mil import Architecture, Head, MILModel
from mil_rbc.model.summaries import SUMMARIES, summaries
from mil_rbc.model.terms import Regularizer
from mil_rbc.model.topology import input_space
from mil_rbc.model.variants import ARMS, OFF
from mil_rbc.options import PRESETS, Options, parse
from mil_rbc.run import main
from mil_rbc.training.schedule import stopped, weight
from tests.mil.commands import arguments, bags_folder
from tests.mil.conftest import Make

LOSSES = [name for name, arm in ARMS.items() if arm.term is not None]


def test_all_arms_in_one_run_are_tabled_compared_and_reported(
    tmp_path: Path, vectors: Cohort
) -> None:
    data, out = bags_folder(tmp_path / "data", vectors), tmp_path / "out"
    given = arguments(data, out, "--folds", "2", "--pooling", "attention", "--topology", *ARMS)
    assert command(main, given) == 0
    results = pd.read_csv(out / "results.csv")
    assert list(dict.fromkeys(results["topology"])) == [*ARMS]
    paired = pd.read_csv(out / "paired.csv")
    accuracy = paired[paired["metric"] == "accuracy"].set_index("topology")
    assert list(accuracy.index) == [a for a in ARMS if a != OFF]
    by = results.groupby("topology")["accuracy"].mean()
    for arm in accuracy.index:
        assert accuracy.loc[arm, "difference"] == pytest.approx(by[arm] - by[OFF])
    page = (out / "report.html").read_text()
    for arm in accuracy.index:
        assert f"with {ARMS[arm].noun}" in page
    head = next(line for line in (out / "table1.md").read_text().splitlines() if "without" in line)
    assert all(f"attention, {arm.short}" in head for arm in ARMS.values())


def test_the_controls_against_overfitting_change_the_options_of_their_arm_only(
    tmp_path: Path, vectors: Cohort
) -> None:
    data, out = bags_folder(tmp_path / "data", vectors), tmp_path / "out"
    arms = ["off", "weight_decay", "early_stopping"]
    given = arguments(data, out, "--folds", "2", "--pooling", "max", "--topology", *arms,
                      "--epochs", "30", "--lr", "0.01")  # fmt: skip
    assert command(main, given) == 0
    results = pd.read_csv(out / "results.csv").set_index(["topology", "fold"])
    norms = {}
    for arm in arms:
        stored = torch.load(out / f"trials/max-{arm}-fold0-run0/checkpoint.pt", weights_only=True)
        norms[arm] = float(stored["model"]["encoder.second.weight"].norm())
    assert norms["weight_decay"] < norms["off"]
    stopped = results.loc["early_stopping"]
    assert (stopped["protocol"] == "nested").all()
    assert (results.loc["off", "protocol"] == "paper").all()
    assert (stopped["train_bags"] < results.loc["off", "train_bags"]).all()
    assert (stopped["epochs"] - 1 - stopped["best_epoch"] <= 5).all()
    page = (out / "report.html").read_text()
    assert re.search(
        r"points without topology \(test [\d.]+ %\), by -?[\d.]+ points with weight", page
    )


@pytest.mark.parametrize("arm", LOSSES)
def test_every_loss_has_the_gradient_of_torchtopos_own(arm: str) -> None:
    x, z = torch.randn(9, 5), torch.randn(9, 4, requires_grad=True)
    space = input_space(x, "none")
    loss = Regularizer("paper", arm)(space, z)
    direct = {
        "signature": lambda: torchtopo.signature_loss(x, z, convention="paper"),
        "connectivity": lambda: torchtopo.connectivity_loss(z),
        "spread": lambda: torchtopo.spread_loss(z),
        "rtd_lite": lambda: torchtopo.rtd_lite(x, z),
    }[arm]()
    assert float(loss.detach()) == pytest.approx(float(direct.detach()), rel=1e-4)
    grads = [torch.autograd.grad(value, z)[0] for value in (loss, direct)]
    torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("scale", ["none", "rms", "std"])
@pytest.mark.parametrize(
    ("convention", "arm"),
    [("paper", "signature"), ("mil", "signature"), ("topoae", "signature"), ("paper", "rtd_lite")],
)
def test_a_large_bag_has_the_loss_of_its_matrix_without_one(
    convention: Any, arm: str, scale: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, z = torch.randn(40, 5), torch.randn(40, 4, requires_grad=True)
    whole = input_space(x, scale, 2.0)
    monkeypatch.setattr(topology, "LARGE", 39)
    points = input_space(x, scale, 2.0)
    assert (whole.metric, points.metric) == ("precomputed", "euclidean")
    assert points.x.shape == x.shape
    assert torch.equal(whole.pairs, points.pairs)
    cells = topology.evenly(40)
    assert len(cells) == 39
    assert (int(cells[0]), int(cells[-1])) == (0, 39)
    torch.testing.assert_close(points.distances(cells), whole.distances(cells))
    term = Regularizer(convention, arm)
    found = []
    for space in (whole, points, whole):  # bags of both kinds in turn
        loss = term(space, z)
        found.append((loss.detach(), *torch.autograd.grad(loss, z)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[0], found[2])


def test_summaries_are_of_the_deaths_and_ignore_padding() -> None:
    torch.manual_seed(0)
    bags = [torch.randn(n, 3, dtype=torch.float64) for n in (1, 2, 7, 12)]
    padded = torch.nn.utils.rnn.pad_sequence(bags, batch_first=True, padding_value=99.0)
    found = summaries(padded, torch.tensor([len(b) for b in bags]))
    assert found.shape == (4, SUMMARIES)
    assert not found[0].any()  # one instance: no death
    for bag, row in zip(bags[1:], found[1:], strict=True):
        died = np.log1p(torchtopo.deaths(bag.float()).numpy())
        places = np.round(np.linspace(0, 1, 5) * (len(died) - 1)).astype(int)
        assert np.allclose(row[:5].numpy(), died[places], atol=1e-6)
        assert float(row[5]) == pytest.approx(died.mean(), rel=1e-5)
        assert -1e-6 <= float(row[6]) <= 1 + 1e-6
    bag = bags[2].clone().requires_grad_()
    summaries(bag[None], torch.tensor([7])).sum().backward()
    assert torch.isfinite(bag.grad).all()
    assert bag.grad.abs().sum() > 0


def test_the_features_arm_starts_from_the_same_weights_and_uses_its_columns(
    make_training: Make,
) -> None:
    off, features = make_training("attention", "off"), make_training("attention", "features")
    plain = off.objective.model.state_dict()
    joined = features.objective.model.state_dict()
    assert set(joined) - set(plain) == {"joined.weight"}
    assert all(torch.equal(value, joined[name]) for name, value in plain.items())
    before = joined["joined.weight"].clone()
    history = features.fit().history
    assert np.isnan(history[-1]["L_topo"])  # no loss is added
    assert not torch.equal(before, features.objective.model.state_dict()["joined.weight"])


def test_lambda_as_a_share_of_the_first_epoch(make_training: Make) -> None:
    training = make_training("average", "signature", lam_ratio=0.02, epochs=3)
    history = training.fit().history
    first = history[0]
    assert [row["lam"] for row in history] == pytest.approx(
        [0.0, *[0.02 * first["L_class"] / first["L_topo"]] * 2]
    )
    assert history[1]["topo_to_class"] > 0
    off = make_training("average", "off", epochs=1).fit().history
    assert off[0]["L_class"] == first["L_class"]  # the first epoch is trained without the term


def test_the_term_may_wait_for_an_accuracy() -> None:
    options = Options(topology_from=0.8, lam=0.5)
    rows = [{"accuracy_train": a, "L_class": 2.0, "L_topo": 4.0} for a in (0.5, 0.79, 0.8, 0.6)]
    found = [weight(options, rows[:n]) for n in range(5)]
    assert found == [0, 0, 0, 0.5, 0.5]  # and stays
    shared = Options(topology_from=0.8, lam_ratio=0.01)
    assert weight(shared, rows) == pytest.approx(0.01 * 2.0 / 4.0)


def test_a_trial_with_a_share_resumes_to_the_same_bits(make_training: Make, tmp_path: Any) -> None:
    common: dict[str, Any] = {"lam_ratio": 0.1, "topology_from": 0.1}
    whole = make_training("max", "signature", out=tmp_path / "a", **common)
    whole.finish(whole.fit())
    broken = make_training("max", "signature", out=tmp_path / "b", **common)
    epoch = broken._epoch

    def stop(number: int) -> dict[str, float]:
        if number == 2:
            raise KeyboardInterrupt
        return epoch(number)

    broken._epoch = stop  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        broken.fit()
    resumed = make_training("max", "signature", out=tmp_path / "b", **common)
    resumed.finish(resumed.fit())
    a, b = (t.objective.model.state_dict() for t in (whole, resumed))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert whole.objective.lam == resumed.objective.lam > 0


def test_patience_counts_epochs_since_the_best() -> None:
    options = Options(patience=2, protocol="nested")
    rows = [{"L_MIL_validation": v} for v in (1.0, 0.5, 0.6, 0.55, 0.4)]
    assert [stopped(options, rows[:n]) for n in range(5)] == [False] * 4 + [True]
    assert not stopped(Options(), rows[:4])


def test_an_early_stop_ends_the_trial_and_tests_the_best_epoch(make_training: Make) -> None:
    training = make_training("max", "off", protocol="nested", patience=1, epochs=60, lr=0.05)
    state = training.fit()
    assert state.epoch == len(state.history) < 60
    result = training.finish(state)
    assert result["best_epoch"] == state.epoch - 2
    assert result["epochs"] == state.epoch


def test_dead_units_are_those_that_no_bag_makes_fire(make_training: Make) -> None:
    head = Head(3, 4, 2, "relu")
    with torch.no_grad():
        head[0].weight.zero_()
        head[0].bias.copy_(torch.tensor([1.0, -1.0, 0.0, 2.0]))
    head(torch.randn(1, 3))
    assert head.fired.tolist() == [True, False, False, True]
    head.fired.zero_()
    head.eval()(torch.randn(1, 3))
    assert not head.fired.any()  # looking at a test bag does not count
    training = make_training("average", "off", activation="relu", epochs=1)
    bag_head = training.objective.model.bag_head
    with torch.no_grad():
        bag_head[0].bias[:7] = -1e6  # seven of ten can never fire,
        bag_head[0].bias[7:] = 1e3  # the others always do
    row = training.fit().history[0]
    assert row["dead_bag_head"] == pytest.approx(0.7)
    assert np.isnan(row["dead_instance_head"])  # average pooling does not train it
    elu = make_training("attention", "off", activation="elu", epochs=1).fit().history[0]
    assert (elu["dead_bag_head"], elu["dead_instance_head"]) == (0, 0)


def test_a_head_keeps_the_names_of_its_weights_in_older_checkpoints() -> None:
    names = MILModel(Architecture("vector", 4, ("a", "b"), "average", latent=6)).state_dict()
    assert {"bag_head.0.weight", "bag_head.2.bias", "instance_head.0.bias"} <= set(names)
    assert not any("fired" in name for name in names)


def test_on_is_short_for_signature_and_hyphens_for_underscores() -> None:
    options, _ = parse("x", "", ["--topology", "off", "on", "--lam-ratio=0.01"])
    assert (options.topology, options.lam_ratio) == (["off", "signature"], 0.01)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--lam_ratio", "-1"], "--lam_ratio must not be negative"),
        (["--topology_from", "80"], "--topology_from is an accuracy below 1"),
        (["--patience", "3"], "it needs --protocol nested"),
        (["--topology", "on", "signature"], "must name each variant once"),
    ],
)
def test_bad_schedules_are_one_sentence(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(main, given) == 2
    assert said in capsys.readouterr().err


def test_the_authors_regime() -> None:
    """The lines of the group's public code, one by one."""
    options, _ = parse("x", "", ["--preset", "authors-code"])
    assert (options.lam, options.lr, options.weight_decay) == (5e-4, 5e-4, 0)
    assert (options.convention, options.scale) == ("mil", "std")
    assert (options.epochs, options.protocol, options.patience) == (100, "nested", 10)
    assert options.validation_parts == 5  # 800 of 1000 bags are trained on
    assert (options.initialization, options.activation) == ("xavier_normal", "relu")


def test_std_divides_by_the_spread_of_the_training_bags(make_training: Make) -> None:
    plain, scaled = (make_training("max", "signature", scale=s) for s in ("none", "std"))
    points = np.concatenate([
        scaled.bags._points(int(i), scaled.bags[int(i)].instances).numpy() for i in scaled.train
    ])  # fmt: skip
    index = int(scaled.test[0])
    ratio = plain.bags[index].space.x / scaled.bags[index].space.x
    off = ~torch.eye(len(ratio), dtype=torch.bool)
    assert torch.allclose(ratio[off], torch.tensor(points.std(), dtype=torch.float32), rtol=1e-4)


def test_xavier_normal(make_training: Make) -> None:
    training = make_training("average", "off", initialization="xavier_normal", latent=400)
    layer = training.objective.model.encoder.second
    assert not layer.bias.any()
    expected = (2 / (layer.in_features + layer.out_features)) ** 0.5
    assert float(layer.weight.detach().std()) == pytest.approx(expected, rel=0.02)


def test_every_preset_can_be_read() -> None:
    for path in PRESETS.glob("*.yaml"):
        parse("x", "", ["--preset", path.stem])[0].check()
        assert set(yaml.safe_load(path.read_text())) <= set(Options.__dataclass_fields__)
