"""The command line end to end on a tiny cohort."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from mil_rbc import experiment as module
from mil_rbc.cli import command, duration
from mil_rbc.data.bags import Cohort
from mil_rbc.errors import DataError, RunError
from mil_rbc.files import load_checkpoint, read_json
from mil_rbc.instances import efficientnet
from mil_rbc.options import Options, parse
from mil_rbc.report.statistics import METRICS
from mil_rbc.run import main
from mil_rbc.run_folder import Record, RunFolder

ROOT = Path(__file__).parents[2]


def bags_folder(folder: Path, cohort: Cohort) -> Path:
    """Write a cohort of vectors as a user's folder of bags."""
    folder.mkdir(parents=True)
    rows = []
    for bag in cohort.bags:
        assert bag.cell_labels is not None
        cells = np.array(["odd" if k else "normal" for k in bag.cell_labels])
        file = folder / f"{bag.bag}.npz"
        np.savez(file, vectors=bag.instances, images=bag.images, cell_labels=cells)
        rows.append((bag.bag, bag.patient, cohort.classes[bag.label], f"{bag.bag}.npz"))
    frame = pd.DataFrame(rows, columns=["bag", "patient", "label", "file"])
    frame.to_csv(folder / "bags.csv", index=False)
    return folder


def arguments(data: Path, out: Path, *more: str) -> list[str]:
    given = f"--cohort bags --data {data} --out {out} --runs 1 --epochs 2 --latent 16"
    return [*given.split(), "--device", "cpu", "--threads", "1", *more]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, vectors: Cohort) -> Path:
    return bags_folder(tmp_path_factory.mktemp("data") / "bags", vectors)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A finished run of all eight variants."""
    folder = tmp_path_factory.mktemp("run") / "out"
    assert command(main, arguments(data, folder)) == 0
    return folder


def test_everything_is_written(out: Path) -> None:
    for name in ("config.yaml", "predictions.csv", "instances.csv", "results.csv", "table1.csv",
                 "table1.md", "paired.csv", "report.html"):  # fmt: skip
        assert (out / name).stat().st_size > 0, name
    figures = {p.stem for p in (out / "figures").glob("*.png")}
    assert figures == {
        "confusion", "dead_units", "differences", "fig4_cell_scores", "fig5_heat_maps",
        "lambda_ratio", "latent_maps", "learning_curves",
    }  # fmt: skip
    trials = sorted(p.name for p in (out / "trials").iterdir())
    assert len(trials) == 24
    assert "attention-signature-fold2-run0" in trials
    for trial in trials:
        files = {p.name for p in (out / "trials" / trial).iterdir()}
        assert files == {"checkpoint.pt", "metrics.csv", "predictions.csv", "instances.csv",
                         "result.json"}  # fmt: skip
    assert not list(out.rglob("*.part"))


def test_columns(out: Path, vectors: Cohort) -> None:
    predictions = pd.read_csv(out / "predictions.csv")
    assert list(predictions)[:10] == [
        "run", "fold", "pooling", "topology", "patient", "bag", "label", "prediction",
        "p_control", "p_ill",
    ]  # fmt: skip
    assert len(predictions) == 8 * len(vectors.bags)  # every bag is tested once by each variant
    assert np.allclose(predictions[["p_control", "p_ill"]].sum(axis=1), 1)
    results = pd.read_csv(out / "results.csv")
    assert list(results)[:9] == ["run", "fold", "pooling", "topology", "accuracy", "f1_weighted",
                                 "f1_macro", "balanced_accuracy", "auroc"]  # fmt: skip
    assert len(results) == 24
    instances = pd.read_csv(out / "instances.csv")
    assert {"attention", "anomaly_score", "cell_label"} <= set(instances)
    assert len(instances) == 8 * sum(map(len, vectors.bags))
    scored = instances[instances["pooling"] == "anomaly"]
    assert scored["anomaly_score"].notna().all()
    assert instances[instances["pooling"] == "max"]["attention"].isna().all()
    metrics = pd.read_csv(out / "trials" / "anomaly-signature-fold0-run0" / "metrics.csv")
    assert {"L_MIL", "L_SIC", "L_topo", "topo_to_class", "matched", "accuracy_train",
            "accuracy_test"} <= set(metrics)  # fmt: skip
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


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_a_run_outlives_the_shell_that_started_it(tmp_path: Path, data: Path) -> None:
    """The shell exits in the middle of the first trial."""
    run, log = tmp_path / "run", tmp_path / "log"
    more = ["--pooling", "average", "--topology", "on", "--checkpoint_every", "1", "--epochs", "15"]
    given = shlex.join([sys.executable, "-m", "mil_rbc.run", *arguments(data, run, *more)])
    started = f"while ! ls {run}/trials/*/resume.pt; do kill -0 $! || exit; sleep 0.01; done"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run(["sh", "-c", f"{given} > {log} 2>&1 & {started}"], env=environment, cwd=ROOT,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)  # fmt: skip
    deadline = time.monotonic() + 120
    while not (run / "report.html").exists():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def descendants(pid: int) -> set[int]:
    """Processes below one, and below those."""
    done = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    parent = {int(a): int(b) for a, b in (line.split() for line in done.stdout.splitlines())}
    found = {pid}
    while more := {p for p, above in parent.items() if above in found} - found:
        found |= more
    return found - {pid}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_no_worker_and_no_litter(
    tmp_path: Path, data: Path, sent: signal.Signals
) -> None:
    """Two jobs in the middle of long trials; meanwhile a second run is kept out of the folder."""
    out, log = tmp_path / "out", tmp_path / "log"
    more = ["--jobs", "2", "--epochs", "100000", "--checkpoint_every", "1", "--pooling", "average"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    given = [sys.executable, "-m", "mil_rbc.run", *arguments(data, out, *more)]
    with open(log, "w") as file:
        process = subprocess.Popen(given, env=environment, stderr=file, stdout=file, cwd=ROOT)
    deadline = time.monotonic() + 180
    while len([*out.glob("trials/*/resume.pt")]) < 2:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    workers = descendants(process.pid)
    assert len(workers) >= 2
    with pytest.raises(RunError, match="another run is writing to"):
        RunFolder(out).held().__enter__()
    process.send_signal(sent)
    process.wait()
    end = time.monotonic() + 20
    while any(map(alive, workers)):
        assert time.monotonic() < end, [p for p in workers if alive(p)]
        time.sleep(0.05)
    (out / "trials" / "average-off-fold0-run0" / ".metrics.csv.1.part").write_text("half")
    with RunFolder(out).held():
        assert not [*out.rglob("*.part")]


def test_a_file_is_no_folder(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("")
    assert command(main, arguments(data, tmp_path / "out")) == 2
    assert "out is a file: name a folder" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_bits(
    tmp_path: Path, out: Path, data: Path
) -> None:
    """`kill -9` in the middle of the second trial, then the same command again."""
    more = ["--pooling", "anomaly", "--topology", "on", "--checkpoint_every", "1", "--epochs", "15"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert command(main, arguments(data, whole, *more)) == 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    given = [sys.executable, "-m", "mil_rbc.run", *arguments(data, broken, *more)]
    process = subprocess.Popen(given, env=environment, stderr=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, cwd=ROOT)  # fmt: skip
    deadline = time.monotonic() + 120
    middle = broken / "trials" / "anomaly-signature-fold1-run0" / "resume.pt"
    while not middle.exists():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {p: p.stat().st_mtime_ns for p in broken.glob("trials/*/result.json")}
    assert len(finished) == 1
    run = subprocess.run(given, env=environment, capture_output=True, text=True, cwd=ROOT,
                         check=True)  # fmt: skip
    assert "1 of 3 trials were finished before" in run.stderr
    assert all(p.stat().st_mtime_ns == t for p, t in finished.items())
    for path in sorted(whole.glob("trials/*/checkpoint.pt")):
        a = load_checkpoint(path)["model"]
        b = load_checkpoint(broken / path.relative_to(whole))["model"]
        assert all(torch.equal(v, b[k]) for k, v in a.items()), path


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
    assert len(default.pooling) * len(default.topology) * default.folds * default.runs == 72
    # Chosen on validation folds, see docs/results.md
    assert (default.lr, default.epochs, default.latent, default.hidden) == (2e-4, 15, 128, 128)
    assert (default.instances, default.convention, default.lam) == ("auto", "mil", 1e-3)
    crops, _ = parse("x", "", ["--preset", "crops"])
    assert (crops.instances, crops.lam, crops.latent, crops.epochs) == ("crops", 5e-5, 500, 20)
    smoke, _ = parse("x", "", ["--preset", "smoke"])
    assert len(smoke.pooling) * len(smoke.topology) == 8


def test_every_option_has_help() -> None:
    from mil_rbc.options import _attribute_help

    assert set(_attribute_help()) == set(Options.__dataclass_fields__)


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
