"""The command line end to end on a tiny cohort."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from threadpoolctl import threadpool_info, threadpool_limits

from mil_rbc import experiment as module
from mil_rbc.cli import command, duration
from mil_rbc.data.bags import Cohort
from mil_rbc.data.store import load_cohort
from mil_rbc.errors import DataError
from mil_rbc.files import load_checkpoint, read_json
from mil_rbc.instances import efficientnet
from mil_rbc.model.variants import POOLINGS
from mil_rbc.options import Options, parse
from mil_rbc.report import explain
from mil_rbc.report.statistics import METRICS
from mil_rbc.run import main
from mil_rbc.run_folder import Record, RunFolder
from mil_rbc.training.trial import deal_runs, grid
from tests.mil.commands import ROOT, arguments, bags_folder

GRADIENTS = ROOT / "tools" / "gradients.py"
VARIANTS = len(POOLINGS) * 2  # without and with topology


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A finished run of all variants."""
    folder = tmp_path_factory.mktemp("run") / "out"
    assert command(main, arguments(data, folder)) == 0
    return folder


def test_everything_is_written(out: Path) -> None:
    for name in ("config.yaml", "predictions.csv", "instances.csv", "results.csv", "table1.csv",
                 "table1.md", "paired.csv", "report.html"):  # fmt: skip
        assert (out / name).stat().st_size > 0, name
    figures = {p.stem for p in (out / "figures").glob("*.png")}
    metrics = pd.concat(map(pd.read_csv, out.glob("trials/*/metrics.csv")))
    some_died = metrics[["dead_bag_head", "dead_instance_head"]].max(axis=None) > 0
    assert figures == {
        "confusion", "fig4_cell_scores", "fig5_heat_maps", "forest", "lambda_ratio", "latent_maps",
        "learning_curves", *(["dead_units"] if some_died else []),
    }  # fmt: skip
    trials = sorted(p.name for p in (out / "trials").iterdir())
    assert len(trials) == 3 * VARIANTS
    assert "attention-signature-fold2-run0" in trials
    for trial in trials:
        files = {p.name for p in (out / "trials" / trial).iterdir()}
        assert files == {"checkpoint.pt", "metrics.csv", "predictions.csv", "instances.csv",
                         "result.json"}  # fmt: skip
    assert not list(out.rglob("*.part"))


def test_a_bag_is_seen_without_the_term_before_it_is_seen_with_it(out: Path, data: Path) -> None:
    options, _ = parse("mil_rbc.run", "", arguments(data, out))
    cohort = load_cohort(RunFolder(out).cohort)
    shown = explain.example(cohort, grid(options), deal_runs(cohort, options), options)
    assert shown is not None
    assert list(shown.views) == ["off", "signature"]


def test_of_a_large_bag_some_cells_are_shown_and_correlated(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mil_rbc.model.topology.LARGE", 5)
    given = ["--pooling", "attention", "--folds", "2"]
    assert command(main, arguments(data, tmp_path / "out", *given)) == 0
    options, _ = parse("mil_rbc.run", "", arguments(data, tmp_path / "out", *given))
    cohort = load_cohort(RunFolder(tmp_path / "out").cohort)
    shown = explain.example(cohort, grid(options), deal_runs(cohort, options), options)
    assert shown is not None
    size = next(len(bag) for bag in cohort.bags if bag.bag == shown.bag.bag)
    assert size > 5
    assert f"of its {size} cells 5 are shown" in (tmp_path / "out" / "report.html").read_text()
    assert len(shown.bag) == len(shown.bag.images) == len(shown.anomalous) == 5
    for seen in shown.views.values():
        assert seen.distances.shape == (5, 5)
        assert len(seen.scores) == 5
        assert len(seen.prediction.weights) == size
    assert pd.read_csv(tmp_path / "out" / "results.csv")["spearman"].between(-1, 1).all()


@pytest.mark.skipif(not GRADIENTS.exists(), reason="tests apart from the sources")
def test_gradients_of_a_run_are_tabled(out: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(GRADIENTS), str(out)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:-1] for line in (out / "gradients.md").read_text().splitlines()[2:]]
    assert len(rows) == VARIANTS
    assert all(float(norm) > 0 for row in rows for norm in row[2:7])


def test_columns(out: Path, vectors: Cohort) -> None:
    predictions = pd.read_csv(out / "predictions.csv")
    assert list(predictions)[:10] == [
        "run", "fold", "pooling", "topology", "patient", "bag", "label", "prediction",
        "p_control", "p_ill",
    ]  # fmt: skip
    assert len(predictions) == VARIANTS * len(vectors.bags)  # each tests every bag once
    assert np.allclose(predictions[["p_control", "p_ill"]].sum(axis=1), 1)
    results = pd.read_csv(out / "results.csv")
    assert list(results)[:9] == ["run", "fold", "pooling", "topology", "accuracy", "f1_weighted",
                                 "auroc", "f1_macro", "balanced_accuracy"]  # fmt: skip
    assert len(results) == 3 * VARIANTS
    instances = pd.read_csv(out / "instances.csv")
    assert {"attention", "anomaly_score", "cell_label"} <= set(instances)
    assert len(instances) == VARIANTS * sum(map(len, vectors.bags))
    scored = instances[instances["pooling"] == "anomaly"]
    assert scored["anomaly_score"].notna().all()
    assert instances[instances["pooling"] == "max"]["attention"].isna().all()
    metrics = pd.read_csv(out / "trials" / "anomaly-signature-fold0-run0" / "metrics.csv")
    assert {"L_MIL", "L_SIC", "L_topo", "topo_to_class", "accuracy_train", "accuracy_test",
            "dead_bag_head"} <= set(metrics)  # fmt: skip
    table = pd.read_csv(out / "table1.csv")
    assert {f"{m}_{s}" for m in METRICS for s in ("mean", "std")} <= set(table)
    paired = pd.read_csv(out / "paired.csv")
    assert {"difference", "t", "p", "bootstrap_low", "bootstrap_high"} <= set(paired)


def test_the_tables_agree_with_the_predictions(out: Path) -> None:
    predictions = pd.read_csv(out / "predictions.csv")
    keys = ["pooling", "topology", "run", "fold"]
    right = (predictions["label"] == predictions["prediction"]).groupby(
        [predictions[k] for k in keys]
    )
    results = pd.read_csv(out / "results.csv").set_index(keys)["accuracy"]
    pd.testing.assert_series_equal(
        right.mean().sort_index(), results.sort_index(), check_names=False
    )
    for page in ("table1.md", "report.html"):  # vectors are no blood cells: no number of the paper
        assert "81.29" not in (out / page).read_text()
        assert "own patients" not in (out / page).read_text()


def test_the_anomaly_scores_of_the_report_are_those_that_were_tested(out: Path) -> None:
    """Recomputed from instances.csv, which testing wrote."""
    cells = pd.read_csv(out / "instances.csv")
    cells = cells[(cells["pooling"] == "anomaly") & (cells["fold"] == 0) & (cells["run"] == 0)]
    said = pd.read_csv(out / "explanations.csv")
    said = said[(said["of"] == "presets") & (said["fit"] == "tested")].set_index("topology")
    assert set(said.index) == {"off", "signature"}
    for arm, part in cells.groupby("topology"):
        effective, top = [], []
        for _, bag in part.groupby("bag"):
            share = np.exp(bag["anomaly_score"] - bag["anomaly_score"].max())
            share = share / share.sum()
            effective.append(1 / (share**2).sum() / len(share))
            top.append(share.max())
        assert said.loc[arm, "effective"] == pytest.approx(np.median(effective), rel=1e-4)
        assert said.loc[arm, "top"] == pytest.approx(np.median(top), rel=1e-4)
        assert said.loc[arm, "largest"] == pytest.approx(part["anomaly_score"].max(), rel=1e-4)


def test_config_says_all_that_a_repetition_needs(out: Path, data: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((out / "config.yaml").read_text())
    record = config["record"]
    assert len(record["data_sha256"]) == 64
    assert len(record["split_sha256"]) == 1
    assert {"torch", "mil_rbc", "lightning"} <= set(record["versions"])
    assert set(record["seeds"]) == {f"fold{f}-run0" for f in range(3)}
    again = tmp_path / "again"
    code = command(main, ["--config", str(out / "config.yaml"), "--pooling", "max",
                          "--out", str(again)])  # fmt: skip
    assert code == 0
    name = "max-signature-fold1-run0"
    first, second = (load_checkpoint(o / "trials" / name / "checkpoint.pt") for o in (out, again))
    assert all(torch.equal(v, second["model"][k]) for k, v in first["model"].items())


def test_the_same_command_again_trains_nothing(out: Path, data: Path) -> None:
    results = sorted((out / "trials").rglob("result.json"))
    before = [(p, p.stat().st_mtime_ns) for p in results]
    assert command(main, arguments(data, out)) == 0
    assert [(p, p.stat().st_mtime_ns) for p in results] == before


def test_more_runs_may_be_added(tmp_path: Path, data: Path) -> None:
    one = arguments(data, tmp_path, "--pooling", "max", "--topology", "off")
    assert command(main, one) == 0
    first = tmp_path / "trials" / "max-off-fold0-run0" / "result.json"
    before = first.stat().st_mtime_ns
    assert command(main, [*one, "--runs", "2"]) == 0
    assert first.stat().st_mtime_ns == before
    assert len(pd.read_csv(tmp_path / "results.csv")) == 6


def test_the_time_of_a_killed_run_counts(tmp_path: Path) -> None:
    sign = tmp_path / "trials" / "max-off-fold0-run0" / "resume.pt"
    sign.parent.mkdir(parents=True)
    sign.write_bytes(b"")
    os.utime(sign, (1060.0, 1060.0))
    folder = RunFolder(tmp_path)
    assert folder.seconds(Record(started=1000.0, seconds_before=5.0)) == 65.0
    assert folder.seconds(Record(seconds=7.0)) == 7.0
    assert folder.seconds(Record()) == 0.0


def test_fewer_variants_later_leave_the_finished_ones_in_the_tables(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = arguments(data, tmp_path, "--pooling", "average", "max")
    assert command(main, wide) == 0
    before = pd.read_csv(tmp_path / "results.csv")
    capsys.readouterr()
    assert command(main, arguments(data, tmp_path, "--pooling", "max", "--topology", "off")) == 0
    assert "holds 9 further trials" in capsys.readouterr().err
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "results.csv"), before)
    assert "--pooling average max" in (tmp_path / "report.html").read_text()


def test_names_that_look_like_numbers_or_nothing_stay_names(
    tmp_path: Path, vectors: Cohort
) -> None:
    tables = []
    for names in (("control", "sick"), ("0", "None")):
        folder = bags_folder(tmp_path / names[0] / "data", vectors)
        table = pd.read_csv(folder / "bags.csv")
        table["label"] = table["label"].map(dict(zip(vectors.classes, names, strict=True)))
        table["patient"] = "00" + table["patient"].str[1:]
        table.to_csv(folder / "bags.csv", index=False)
        given = ["--pooling", "max", "--cohort_options", f"{{control: '{names[0]}'}}"]
        out = tmp_path / names[0] / "out"
        assert command(main, arguments(folder, out, *given)) == 0
        tables.append(pd.read_csv(out / "paired.csv"))
        text = pd.read_csv(out / "predictions.csv", dtype=str, keep_default_na=False)
        assert set(text["label"]) == set(names)
        assert set(text["patient"]) == set(table["patient"])
    pd.testing.assert_frame_equal(*tables)
    assert tables[0]["bootstrap_low"].notna().all()


def test_changed_cell_labels_are_other_data(tmp_path: Path, vectors: Cohort) -> None:
    data = bags_folder(tmp_path / "data", vectors)
    given = arguments(data, tmp_path / "out", "--pooling", "max", "--topology", "off")
    assert command(main, given) == 0
    bag = vectors.bags[0]
    cells = np.array(["odd"] * len(bag))
    np.savez(data / f"{bag.bag}.npz", vectors=bag.instances, images=bag.images, cell_labels=cells)
    assert command(main, given) == 2


def test_some_bags_may_know_their_cells(tmp_path: Path, vectors: Cohort) -> None:
    data = bags_folder(tmp_path / "data", vectors)
    bag = vectors.bags[0]
    np.savez(data / f"{bag.bag}.npz", vectors=bag.instances, images=bag.images)
    given = arguments(data, tmp_path / "out", "--pooling", "attention", "--topology", "off")
    assert command(main, given) == 0
    cells = pd.read_csv(tmp_path / "out" / "instances.csv", keep_default_na=False)
    unknown = cells.loc[cells["cell_label"] == "", "bag"].unique().tolist()
    assert unknown in ([bag.bag], [])  # of run 0's test folds each bag is in one
    assert {"odd", "normal"} <= set(cells["cell_label"])


@pytest.mark.parametrize(("given", "bound"), [(["1"], 1), (["1", "--jobs", "3"], 3), (["9"], 4)])
def test_threads_bind_what_comes_before_the_trials(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], bound: int
) -> None:
    def prepare(*_: object) -> Cohort:
        blas = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
        raise DataError(f"torch {torch.get_num_threads()}, numpy {sorted(blas)}")

    monkeypatch.setattr(module, "prepare", prepare)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    before, said = torch.get_num_threads(), rf"torch {bound}, numpy \[{bound}\]"
    torch.set_num_threads(4)
    with threadpool_limits(4), pytest.raises(DataError, match=said):
        main([*arguments(data, tmp_path / "out"), "--threads", *given])
    torch.set_num_threads(before)


def test_one_class_is_refused(
    tmp_path: Path, vectors: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bags_folder(tmp_path / "data", vectors)
    table = pd.read_csv(data / "bags.csv")
    table[table["label"] == "control"].to_csv(data / "bags.csv", index=False)
    assert command(main, arguments(data, tmp_path / "out")) == 2
    assert "there is nothing to tell apart" in capsys.readouterr().err


def test_without_a_control_class_nothing_is_begun(
    tmp_path: Path, vectors: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bags_folder(tmp_path / "data", vectors)
    table = pd.read_csv(data / "bags.csv")
    table["label"] = table["label"].replace("control", "well")
    table.to_csv(data / "bags.csv", index=False)
    assert command(main, arguments(data, tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert "--cohort_options '{control: NAME}' with one of ill, well" in said
    assert "starting" not in said
    given = ["--cohort_options", "{control: well}", "--pooling", "anomaly", "--topology", "off"]
    assert command(main, arguments(data, tmp_path / "out", *given)) == 0


def test_tensorboard_that_is_not_there_is_named(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mil_rbc.options.find_spec", lambda name: None)
    assert command(main, arguments(data, tmp_path / "out", "--logger", "tensorboard")) == 2
    assert "pip install tensorboard, or take --logger csv" in capsys.readouterr().err


def test_a_run_that_trained_nothing_does_not_bind_its_folder(tmp_path: Path, data: Path) -> None:
    one = arguments(data, tmp_path, "--pooling", "max", "--topology", "off")
    assert command(main, [*one, "--precision", "foo"]) != 0
    assert command(main, one) == 0


def test_a_diverging_trial_says_so(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = arguments(data, tmp_path, "--pooling", "average", "--topology", "off")
    assert command(main, [*one, "--lr", "1e30", "--epochs", "5"]) == 2
    said = capsys.readouterr().err
    assert "average-off-fold0-run0 diverged" in said


def test_other_options_in_the_same_folder_are_refused(
    out: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(main, arguments(data, out, "--lam", "1.0")) == 2
    said = capsys.readouterr().err
    assert "--lam 0.001, not 1.0" in said
    assert "Traceback" not in said


def test_other_data_in_the_same_folder_are_refused(
    tmp_path: Path, vectors: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bags_folder(tmp_path / "data", vectors)
    given = arguments(data, tmp_path / "out", "--pooling", "max", "--topology", "off")
    assert command(main, given) == 0
    bag = vectors.bags[0]
    np.savez(data / f"{bag.bag}.npz", vectors=bag.instances + 1)
    assert command(main, given) == 2


def test_a_refused_run_leaves_the_stored_cohort_alone(tmp_path: Path, vectors: Cohort) -> None:
    data = bags_folder(tmp_path / "data", vectors)
    given = arguments(data, tmp_path / "out", "--pooling", "max", "--topology", "off")
    assert command(main, given) == 0
    before = (tmp_path / "out" / "cohort.npz").read_bytes()
    np.savez(data / f"{vectors.bags[0].bag}.npz", vectors=vectors.bags[0].instances * 2)
    assert command(main, given) == 2
    assert (tmp_path / "out" / "cohort.npz").read_bytes() == before


def test_a_disk_that_fills_up_loses_nothing_that_was_finished(
    tmp_path: Path, data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resource = pytest.importorskip("resource")
    given = arguments(data, tmp_path, "--pooling", "max", "anomaly", "--folds", "2")
    sizes = [p.stat().st_size for p in out.glob("trials/*/checkpoint.pt")]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Large enough for the checkpoints without a Gaussian, too small for those with one.
    resource.setrlimit(resource.RLIMIT_FSIZE, ((min(sizes) + max(sizes)) // 2, hard))
    try:
        assert command(main, given) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    said = capsys.readouterr().err
    assert "error: no space left for" in said
    assert "checkpoint.pt" in said
    finished = {p: p.stat().st_mtime_ns for p in tmp_path.glob("trials/*/result.json")}
    assert {p.parent.name.split("-")[0] for p in finished} == {"max"}
    assert not list(tmp_path.rglob("*.part"))
    assert command(main, given) == 0
    assert all(p.stat().st_mtime_ns == t for p, t in finished.items())
    assert len(pd.read_csv(tmp_path / "results.csv")) == 8


def test_side_by_side_equals_one_after_another(tmp_path: Path, out: Path, data: Path) -> None:
    given = arguments(data, tmp_path, "--jobs", "2", "--pooling", "anomaly")
    assert command(main, given) == 0
    for name in ("anomaly-signature-fold0-run0", "anomaly-off-fold2-run0"):
        a, b = (load_checkpoint(o / "trials" / name / "checkpoint.pt") for o in (out, tmp_path))
        assert all(torch.equal(v, b["model"][k]) for k, v in a["model"].items())


def test_a_file_is_no_folder(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("")
    assert command(main, arguments(data, tmp_path / "out")) == 2
    assert "out is a file: name a folder" in capsys.readouterr().err


def test_a_leak_is_an_error(
    vectors: Cohort, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import dataclasses

    twin = dataclasses.replace(vectors.bags[1], bag="copy", patient="other")
    leaky = dataclasses.replace(vectors, bags=[*vectors.bags, twin])
    monkeypatch.setattr(module, "load", lambda *a, **k: leaky)
    refused = [seed for seed in range(6) if _leaks(leaky, seed)]
    assert refused  # wherever the copy is dealt to another fold than P0
    given = Options(cohort="bags", seed=refused[0], runs=1, epochs=1, out=tmp_path)
    with pytest.raises(DataError, match="keep such bags in one fold"):
        module.run(given)


def _leaks(cohort: Cohort, seed: int) -> bool:
    try:
        module.deal_runs(cohort, Options(seed=seed, runs=1))
    except DataError:
        return True
    return False


def test_smoke_preset_on_the_rendered_cohort(tmp_path: Path) -> None:
    given = f"--preset smoke --out {tmp_path} --folds 2 --jobs 2 --pooling anomaly --epochs 1"
    assert command(main, given.split()) == 0
    assert "Synthetic" in (tmp_path / "report.html").read_text()
    assert "Synthetic" in (tmp_path / "table1.md").read_text()
    result = read_json(tmp_path / "trials" / "anomaly-signature-fold0-run0" / "result.json")
    # With the extra 'pretrained', which the tests install, cells are features.
    assert result["space"] == ("features" if efficientnet.installed() else "images")
    assert result["convention"] == "paper"


def test_durations_read_well() -> None:
    assert duration(59.4) == "59 s"
    assert duration(61) == "1 min 01 s"
    assert duration(7265) == "2 h 01 min"
