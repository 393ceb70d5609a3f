"""Options: where they come from, and the sentence that a wrong one gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mil_rbc.cli import command
from mil_rbc.errors import RunError
from mil_rbc.model.variants import POOLINGS
from mil_rbc.options import Options, make_parser, parse
from mil_rbc.run import main


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--preset", "nonsense"], "there is no preset 'nonsense'"),
        (["--config", "nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["--folds", "0"], "--folds must be at least 1"),
        (["--seed", "-1"], "--seed must not be negative"),
        (["--threads", "-2"], "--threads must not be negative"),
        (["--lr", "0"], "--lr must be positive"),
        (["--lam", "-1"], "--lam must not be negative"),
        (["--dropout", "1"], "--dropout is a share below 1"),
        (["--averaged_epochs", "-1"], "--averaged_epochs must not be negative"),
        (["--pooling", "max", "max"], "must name each variant once"),
        (["--lam-rato", "1"], "there is no option --lam_rato; did you mean --lam_ratio?"),
        (["--epochs", "many"], "--epochs cannot be many: give a value of type int"),
        (["--pooling", "median"], "--pooling cannot be median: give one of 'average', 'anomaly'"),
        (["--cohort", "nonsense"], "unknown cohort 'nonsense'"),
        (["--cohort", "bags", "--data", "nowhere"], "nowhere"),
        (["--cohort_options", "{nonsense: 1}"], "no option 'nonsense'"),
    ],
)
def test_bad_options_are_one_sentence(
    given: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(main, ["--out", str(tmp_path / "o"), *given]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


@pytest.mark.parametrize("given", [["--pooling", "median"], ["--epochs", "many"], ["--nonsense"]])
def test_unknown_values_name_the_option(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(main, given) == 2
    said = capsys.readouterr().err
    assert given[0] in said
    assert said.count("\n") == 1


def test_a_config_with_an_unknown_option_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("epoch: 3\n")
    with pytest.raises(RunError, match=r"c\.yaml has an unknown option 'epoch'"):
        parse("x", "", ["--config", str(tmp_path / "c.yaml")])


@pytest.mark.parametrize(
    "line", ["class_weights: balancd", "anomaly: robst", "protocol: nestd", "epochs: abc",
             "epochs: 2.5", "pooling: median", "topology: [perhaps]"],
)  # fmt: skip
def test_a_config_with_a_wrong_value_names_it(tmp_path: Path, line: str) -> None:
    (tmp_path / "c.yaml").write_text(line + "\n")
    name, value = line.split(": ")
    with pytest.raises(RunError, match=rf"c\.yaml: {name} cannot be .*{value.strip('[]')}"):
        parse("x", "", ["--config", str(tmp_path / "c.yaml")])


def test_one_value_serves_for_a_list_of_one(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("pooling: max\ntopology: on\n")
    options, _ = parse("x", "", ["--config", str(tmp_path / "c.yaml")])
    assert (options.pooling, options.topology) == (["max"], ["signature"])


def test_command_line_before_config_before_preset(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("epochs: 3\ntopology: [off]\nseed: 7\n")
    options, _ = parse("x", "", ["--config", str(tmp_path / "c.yaml"), "--preset", "smoke",
                                 "--seed", "8"])  # fmt: skip
    assert (options.seed, options.epochs, options.topology) == (8, 3, ["off"])
    assert options.size == "smoke"


def test_presets() -> None:
    paper, _ = parse("x", "", ["--preset", "paper"])
    assert (paper.folds, paper.runs, paper.size, paper.lam, paper.lr) == (3, 3, "paper", 5e-3, 5e-4)
    assert (paper.input_size, paper.anomaly, paper.latent) == (64, "paper", 500)
    default, _ = parse("x", "", [])
    assert (default.pooling, default.topology) == (list(POOLINGS), ["off", "signature"])
    assert (default.folds, default.runs) == (3, 3)
    # Chosen on validation folds, see docs/results/preset.md
    assert (default.lr, default.epochs, default.latent, default.hidden) == (4e-4, 15, 128, 128)
    assert default.averaged_epochs == 5
    former, _ = parse("x", "", ["--preset", "former"])
    assert replace(default, lr=2e-4, averaged_epochs=0) == former
    assert (default.instances, default.convention, default.lam) == ("auto", "mil", 1e-3)
    crops, _ = parse("x", "", ["--preset", "crops"])
    assert (crops.instances, crops.lam, crops.latent, crops.epochs) == ("crops", 5e-5, 500, 20)
    smoke, _ = parse("x", "", ["--preset", "smoke"])
    assert (smoke.pooling, smoke.topology) == (list(POOLINGS), ["off", "signature"])


def test_every_option_has_help() -> None:
    helps = {action.dest: action.help for action in make_parser("x", "")._actions}
    assert not [name for name in Options.__dataclass_fields__ if len(helps[name] or "") < 10]


def test_a_value_is_not_taken_for_an_option() -> None:
    options, further = parse("x", "", ["--scheduler=--preset=nonsense", "--preset=smoke"])
    assert (options.scheduler, further["preset"]) == ("--preset=nonsense", "smoke")
