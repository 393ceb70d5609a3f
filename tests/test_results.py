"""Tables of docs/results.md are what runs and kept trials say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import torchtopo
from mil_rbc.confirm.effects import detectable, pool
from mil_rbc.confirm.plan import Plan
from mil_rbc.confirm.report import as_effects, chosen
from mil_rbc.markdown import interval, points

ROOT = Path(__file__).resolve().parents[1]

if Path(torchtopo.__file__).parents[1] != ROOT:
    pytest.skip("tests apart from the sources", allow_module_level=True)

sys.path.append(str(ROOT / "tools"))

from keep_trials import COLUMNS, SETTINGS  # noqa: E402
from marks.confirm import of_plan  # noqa: E402
from marks.several import holm  # noqa: E402
from results_table import main  # noqa: E402


def keep_trials(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "keep_trials.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_seconds_of_an_epoch_are_tabled_by_arm(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "runs" / "a"
    folder.mkdir(parents=True)
    (folder / "results.csv").write_text(
        "pooling,fold,run,topology,epoch_seconds\n"
        "max,0,0,off,2.0\nmax,0,0,signature,3.0\nmax,1,0,off,4.0\nmax,1,0,signature,5.0\n"
    )
    page = tmp_path / "page.md"
    page.write_text("<!-- speed: a -->\nold\n<!-- /table -->\n<!-- run: b -->\n<!-- /table -->\n")
    main(page, tmp_path / "runs")
    assert "| max | 3.00 s | 4.00 s | 1.38× |" in page.read_text()
    assert "old" not in page.read_text()
    assert "<!-- run: b -->\n<!-- /table -->" in page.read_text()
    assert "runs/b is not there yet" in capsys.readouterr().err


def test_a_summary_stays_whole_where_one_of_its_runs_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "runs" / "a"
    folder.mkdir(parents=True)
    rows = [f"max,{metric},0.05,0.2\n" for metric in ("accuracy", "auroc")]
    (folder / "paired.csv").write_text("pooling,metric,difference,p\n" + "".join(rows))
    page = tmp_path / "page.md"
    both = "<!-- summary: a b -->\n| b | of long ago |\n<!-- /table -->\n"
    page.write_text(both + "<!-- summary: a -->\nold\n<!-- /table -->\n")
    main(page, tmp_path / "runs")
    assert both in page.read_text()
    assert "| a | accuracy | – | – | – | +5.0 (p 0.20) |" in page.read_text()
    assert "runs/b is not there yet" in capsys.readouterr().err


def filled(tmp_path: Path, mark: str) -> str:
    """What a page holds once the runs of that mark are written into it."""
    page = tmp_path / "page.md"
    page.write_text(f"<!-- {mark} -->\nold\n<!-- /table -->\n")
    main(page, tmp_path / "runs")
    return page.read_text()


def keep(tmp_path: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """Write trials as tools/keep_trials.py does, columns that do not matter empty."""
    (tmp_path / "runs").mkdir(exist_ok=True)
    common = {"topology": "off", "run": 0, "fold": 0, "train_bags": 60, "test_bags": 30,
              "epochs": 15, "lr": 0.0002, "beta_decay": 0.5, "deviation": "shared",
              "averaged_epochs": 0, "schedule": "constant", "attention": "plain", "dropout": 0.0,
              "cross_entropy": 0.5, "activation": "elu", "convention": "mil",
              "lam": 0.1}  # fmt: skip
    every = pd.DataFrame([{**common, **row} for row in rows])
    every.reindex(columns=COLUMNS).to_csv(tmp_path / "runs" / f"{name}.csv", index=False)


def test_trials_are_kept_with_their_settings(tmp_path: Path):
    settings = dict.fromkeys(SETTINGS, 0)
    for cell, epochs in (("epochs=1", 1), ("epochs=2", 2)):
        folder = tmp_path / "sweep" / "1" / cell
        (folder / "trials" / "max-off-fold0-run0").mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump({**settings, "epochs": epochs}))
        (folder / "trials" / "max-off-fold0-run0" / "metrics.csv").write_text(
            "topo_to_class,dead_bag_head,accuracy_train\n3,0.5,0.1\n1,0.25,0.75\n"
        )
        (folder / "results.csv").write_text(
            "pooling,topology,fold,run,auroc,dead_bag_head,epochs\nmax,off,0,0,0.123456789,0.25,7\n"
        )
        (folder / "baselines.csv").write_text("baseline,fold,run,auroc\nmean,0,0,0.9\n")
    out = tmp_path / "kept" / "sweep.csv"
    done = keep_trials(str(tmp_path / "sweep"), "--out", str(out))
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(out)
    assert list(found["of"].unique()) == ["sweep/1/epochs=1", "sweep/1/epochs=2"]
    assert list(found["topology"]) == ["off", "linear"] * 2
    assert list(found["pooling"]) == ["max", "mean"] * 2
    trial = found.iloc[2]
    assert (trial["auroc"], trial["epochs"], trial["accuracy_train"]) == (0.123457, 2, 0.75)
    assert (trial["topo_to_class_first"], trial["dead_bag_head_first"]) == (3, 0.5)
    (folder / "results.csv").unlink()
    done = keep_trials(str(tmp_path / "sweep"), "--out", str(out))
    assert done.returncode == 1
    assert f"{folder} is not finished: give its command again" in done.stderr
    done = keep_trials(str(tmp_path / "kept"), "--out", str(out))
    assert f"no run lies below {tmp_path / 'kept'}" in done.stderr


def test_the_term_is_set_beside_every_other_arm(tmp_path: Path):
    arms = {("off", 0.0002): (0.7, 0.8), ("signature", 0.0002): (0.8, 1.0),
            ("off", 0.0001): (0.9, 0.9)}  # fmt: skip
    keep(tmp_path, "a", [
        {"pooling": "max", "topology": arm, "fold": fold, "auroc": area, "lr": lr}
        for (arm, lr), of in arms.items() for fold, area in enumerate(of)
    ])  # fmt: skip
    text = filled(tmp_path, "beside: a")
    # Gains 0.1 and 0.2: the variance 0.005 times 1/2 + 30/60 gives t = 0.15 / 0.0707, p = 0.28
    assert "| max | off | 75.00 ± 7.1 | +15.0 | 0.280 | – | 2 of 2 | 0.50 |" in text
    assert "| max | signature | 90.00 ± 14.1 | – | – | – | – | 0.50 |" in text
    assert "| max | off, lr 0.0001 | 90.00 ± 0.0 | +0.0 | 1.000 | 1.000 | 1 of 2 | 0.50 |" in text


def test_many_comparisons_are_corrected_as_statsmodels_does():
    statsmodels = pytest.importorskip("statsmodels.stats.multitest")
    p = {"a": 0.04, "b": 0.01, "c": 0.03, "d": 0.9}
    theirs = statsmodels.multipletests(list(p.values()), method="holm")[1]
    assert list(map(holm(p).get, p)) == pytest.approx(theirs)


def test_gains_are_set_beside_the_units_that_died(tmp_path: Path):
    trials = {  # AUROC and share of dead units of two seeds
        "relu": {"off": [(0.5, 1.0), (0.7, 0.4)], "signature": [(0.8, 0.2), (0.8, 0.4)]},
        "elu": {"off": [(0.8, 0.0), (0.8, 0.0)], "signature": [(0.8, 0.0), (0.9, 0.0)]},
    }
    keep(tmp_path, "heads", [
        {"pooling": "max", "topology": arm, "run": seed, "activation": heads, "auroc": area,
         "accuracy": area, "dead_bag_head": share, "dead_bag_head_first": 0.1}
        for heads, arms in trials.items() for arm, of in arms.items()
        for seed, (area, share) in enumerate(of)
    ])  # fmt: skip
    text = filled(tmp_path, "dead: heads")
    # Gains 30 and 10, so 20 ± 12.7 · 10; by the corrected test t = 0.2 / 0.141, p = 0.39
    gain = "+20.0 (-107.1 to +147.1)"
    dead = "10 % | 70 % | 10 % | 30 % | -40.0 "
    assert f"| max | relu | 60.0 | 80.0 | {gain} | 0.39 | {gain} | {dead}" in text
    assert "| both | relu, minus elu |  |  | +15.0 (-175.6 to +205.6) | 0.61 |" in text
    assert "| both | elu minus relu, without |  |  | +20.0 (-107.1 to +147.1) | 0.39 |" in text
    assert "| max | relu | 1 | 1 | 0 | 0 | 1.00 | -1.00 (-1.00 to -1.00) |" in text
    assert "| max | elu | 1 | " not in text


def test_a_confirmatory_experiment_is_written_as_its_report_says_it(tmp_path: Path):
    plan = Plan.read("regimes")
    regimes = {"relu-authors": 0.2, "elu-paper": 0.1}
    keep(tmp_path, "second", [
        {"plan": plan.sha256[:12], "of": f"second/{cohort}-{regime}", "pooling": "attention",
         "topology": arm, "fold": fold, "auroc": 0.5 + (arm != "off") * (gain + fold / 100),
         "accuracy": 0.5, "dead_bag_head": 0.0, "topo_to_class": 2.0}
        for cohort in ("musk2", "musk1") for regime, gain in regimes.items()
        for arm in ("off", "signature") for fold in range(3)
    ])  # fmt: skip
    text = filled(tmp_path, "confirm: second")
    order = re.findall(r"^\| (\S+) \| attention \| (\S+) \|", text, re.M)
    assert order == [(f"{c}-{r}", "auroc") for r in regimes for c in ("musk1", "musk2")]
    assert "**Partial: elephant-relu-authors, nih-relu-authors" in text
    assert "| attention, relu-authors | auroc | 2 | +21.0 | " in text
    assert "| attention, elu-paper | auroc | 2 | +11.0 | " in text
    assert (tmp_path / "results" / "second.png").stat().st_size > 5000


def test_what_is_gained_is_read_over_replicates(tmp_path: Path):
    areas = {  # off and signature in two replicates
        15: {"off": (0.5, 0.6), "signature": (0.7, 0.9), "linear": (0.8, 0.8)},
        60: {"off": (0.7, 0.8), "signature": (0.7, 0.9)},
    }
    keep(tmp_path, "a", [
        {"of": f"a/{replicate + 1}/epochs={epochs}", "epochs": epochs, "topology": arm,
         "pooling": "mean" if arm == "linear" else "max", "auroc": of[replicate],
         "accuracy": of[replicate], "accuracy_train": 1.0, "topo_to_class_first": 2.0}
        for epochs, arms in areas.items() for arm, of in arms.items() for replicate in range(2)
    ])  # fmt: skip
    text = filled(tmp_path, "replicates: a")
    more = "100.00 | 0.50 | 2.00 | – |"
    assert f"| max | off, epochs 60 | 2 | 75.00 ± 7.1 | 75.00 ± 7.1 | {more}" in text
    assert f"| mean | logistic regression | 2 | 80.00 ± 0.0 | 80.00 ± 0.0 | {more}" in text
    # Gains 20 and 30: 25 ± 12.7 · 5, t = 5
    assert "| max | signature | off | +25.0 | -38.5 to +88.5 | 0.126 | 2 of 2 |" in text
    assert "| max | signature, epochs 60 | off, epochs 60 | +5.0 | " in text
    assert "| max | signature | off, epochs 60 | +5.0 | " in text
    assert "| max | off, epochs 60 | off | +20.0 | +20.0 to +20.0 | < 0.001 | 2 of 2 |" in text


def test_settings_are_set_beside_the_first_within_replicates(tmp_path: Path):
    keep(tmp_path, "a", [
        {"of": f"a/{replicate}/cell", "pooling": pooling, "auroc": 0.8, "accuracy": 0.5 + more,
         "epochs": epochs, "dropout": dropout}
        for replicate, gain in ((1, 0.01), (2, 0.03))
        for epochs, dropout, more in ((15, 0.0, 0.0), (30, 0.0, 2 * gain), (15, 0.3, -gain))
        for pooling in ("max", "average")
    ])  # fmt: skip
    text = filled(tmp_path, "chosen: a")
    assert "| as it is | 80.00 | 50.00 | 80.0 / 50.0 | 80.0 / 50.0 |  |  |  |" in text
    # Both measures gain 1 and 3 points over two: 2 ± 12.7 · 1
    gained = "+2.0 | -10.7 to +14.7 | 2 of 2 |"
    assert f"| epochs 30 | 80.00 | 54.00 | 80.0 / 54.0 | 80.0 / 54.0 | {gained}" in text
    assert "| dropout 0.3 | 80.00 | 48.00 |" in text
    assert "| 0 of 2 |" in text


PAGES = [ROOT / "docs" / "results.md", *sorted((ROOT / "docs" / "results").glob("*.md"))]
TRIALS = ROOT / "docs" / "results" / "trials"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_tables_of_kept_trials_are_written_again_as_they_are(page: Path, tmp_path: Path):
    again = tmp_path / page.name
    again.write_text(page.read_text())
    main(again, TRIALS)
    assert again.read_text() == page.read_text()


def test_every_trial_that_is_kept_is_in_a_table():
    marks = re.findall(r"^<!-- \w+: (.+) -->$", "\n".join(p.read_text() for p in PAGES), re.M)
    assert {p.stem for p in TRIALS.glob("*.csv")} <= {n for names in marks for n in names.split()}


@pytest.mark.parametrize(
    ("name", "file"), [("plan", "confirm"), ("regimes", "regimes"), ("default", "default")]
)
def test_readme_and_page_answer_what_the_plans_found(name: str, file: str):
    plan = Plan.read(name)
    trials = pd.read_csv(TRIALS / f"{file}.csv")
    assert set(trials["plan"]) == {plan.sha256[:12]}
    _, table = of_plan(TRIALS, file)
    primary = plan.primary
    rows = chosen(table, primary["pooling"], primary["outcome"], primary["pooled_over"])
    assert len(rows) == len(primary["pooled_over"])
    of = as_effects(rows)
    found, size = pool(of), f"{100 * detectable(of):.1f}"
    said = f"{points(found.mean)} ({interval(found.low, found.high)})".replace("-", "−")
    for page in ("README.md", "docs/results.md"):
        answer = " ".join((ROOT / page).read_text().split())
        assert said in answer
        assert re.search(rf"gains of [\d., and]*\b{size}\b[\d., and]* would have been", answer)
        assert plan.sha256[:12] in answer
