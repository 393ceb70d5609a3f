"""Programs of tools/ run, and say what they should."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import torchtopo
from mil_rbc.confirm.plan import Plan
from torchtopo._losses import comparison, step
from torchtopo._operators import cuda, registry

ROOT = Path(__file__).resolve().parents[1]

if Path(torchtopo.__file__).parents[1] != ROOT:
    pytest.skip("tests apart from the sources", allow_module_level=True)


class Called(TorchDispatchMode):
    """The names of the package's operators that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        namespace, _, name = func.name().partition("::")
        if namespace == "torchtopo":
            self.names.add(name)
        return func(*args, **kwargs or {})


def run(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / tool), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_calls_are_compared_with_another_checkout(tmp_path: Path):
    done = run(
        "compare_calls.py", str(ROOT), "--points", "4", "--rounds", "1", "--only", "pair_distances"
    )
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (.+?) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", done.stdout, re.M)
    assert [name for name, *_ in rows] == ["pair_distances", "pair_distances, backward"]
    assert all(float(number) > 0 for _, *numbers in rows for number in numbers)
    done = run("compare_calls.py", str(tmp_path))
    assert done.returncode == 1
    assert f"{tmp_path} has no torchtopo built in place" in done.stderr


@pytest.mark.slow
def test_the_term_is_timed_beside_the_step_without_it():
    done = run("term_of_a_step.py", "--cells", "5", "--features", "8", "--rounds", "2")
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) \| .+% \| .+ \| ([\d.]+) \|$", done.stdout, re.M)
    assert [name for name, *_ in rows] == ["average", "attention", "max"]
    assert all(float(number) > 0 for _, *numbers in rows for number in numbers)


def test_what_the_sanitizer_watches_calls_every_operator(monkeypatch: pytest.MonkeyPatch):
    for module in (comparison, step):
        monkeypatch.setattr(module, "on_a_device", lambda values: True)
    monkeypatch.setattr(cuda, "step_fits_a_block", lambda *spaces: True)
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from exercise_cuda import exercise
    finally:
        sys.path.remove(str(ROOT / "tools"))
    with Called() as called:
        exercise(torch.device("cpu"))
    assert called.names == {operator.name for operator in registry.OPERATORS if operator.cuda}


def test_seconds_of_an_epoch_are_tabled_by_arm(tmp_path: Path):
    folder = tmp_path / "runs" / "a"
    folder.mkdir(parents=True)
    (folder / "results.csv").write_text(
        "pooling,fold,run,topology,epoch_seconds\n"
        "max,0,0,off,2.0\nmax,0,0,signature,3.0\nmax,1,0,off,4.0\nmax,1,0,signature,5.0\n"
    )
    page = tmp_path / "page.md"
    page.write_text("<!-- speed: a -->\nold\n<!-- /table -->\n<!-- run: b -->\n<!-- /table -->\n")
    done = run("results_table.py", str(page), str(tmp_path / "runs"))
    assert done.returncode == 0, done.stderr
    assert "| max | 3.00 s | 4.00 s | 1.38× |" in page.read_text()
    assert "old" not in page.read_text()
    assert "<!-- run: b -->\n<!-- /table -->" in page.read_text()
    assert "runs/b is not there yet" in done.stderr


def test_a_summary_stays_whole_where_one_of_its_runs_is_not_there(tmp_path: Path):
    folder = tmp_path / "runs" / "a"
    folder.mkdir(parents=True)
    rows = [f"max,{metric},0.05,0.2\n" for metric in ("accuracy", "auroc")]
    (folder / "paired.csv").write_text("pooling,metric,difference,p\n" + "".join(rows))
    page = tmp_path / "page.md"
    both = "<!-- summary: a b -->\n| b | of long ago |\n<!-- /table -->\n"
    page.write_text(both + "<!-- summary: a -->\nold\n<!-- /table -->\n")
    done = run("results_table.py", str(page), str(tmp_path / "runs"))
    assert done.returncode == 0, done.stderr
    assert both in page.read_text()
    assert "| a | accuracy | – | – | – | +5.0 (p 0.20) |" in page.read_text()
    assert "runs/b is not there yet" in done.stderr


def test_the_term_is_set_beside_every_other_arm(tmp_path: Path):
    settings = {"a": "lr: 0.0002\nepochs: 15\n", "slow": "lr: 0.0001\nepochs: 15\n"}
    areas = {"a": {"off": (0.7, 0.8), "signature": (0.8, 1.0)}, "slow": {"off": (0.9, 0.9)}}
    for name, arms in areas.items():
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(settings[name])
        rows = [f"max,{fold},0,{arm},{area},60,30\n"
                for arm, of in arms.items() for fold, area in enumerate(of)]  # fmt: skip
        head = "pooling,fold,run,topology,auroc,train_bags,test_bags\n"
        (folder / "results.csv").write_text(head + "".join(rows))
    page = tmp_path / "page.md"
    page.write_text("<!-- beside: a slow -->\nold\n<!-- /table -->\n")
    done = run("results_table.py", str(page), str(tmp_path / "runs"))
    assert done.returncode == 0, done.stderr
    # Gains 0.1 and 0.2: the variance 0.005 times 1/2 + 30/60 gives t = 0.15 / 0.0707, p = 0.28
    assert "| max | off | 75.00 ± 7.1 | +15.0 | 0.280 | 2 of 2 |" in page.read_text()
    assert "| max | signature | 90.00 ± 14.1 | – | – | – |" in page.read_text()
    assert "| max | off, lr 0.0001 | 90.00 ± 0.0 | +0.0 | 1.000 | 1 of 2 |" in page.read_text()


def filled(tmp_path: Path, mark: str) -> str:
    """What a page holds once the runs of that mark are written into it."""
    page = tmp_path / "page.md"
    page.write_text(f"<!-- {mark} -->\nold\n<!-- /table -->\n")
    done = run("results_table.py", str(page), str(tmp_path / "runs"))
    assert done.returncode == 0, done.stderr
    return page.read_text()


def test_gains_are_set_beside_the_units_that_died(tmp_path: Path):
    settings = "activation: {}\nconvention: paper\nlam: 0.1\n"
    trials = {  # AUROC and share of dead units of two seeds
        "relu": {"off": [(0.5, 1.0), (0.7, 0.4)], "signature": [(0.8, 0.2), (0.8, 0.4)]},
        "elu": {"off": [(0.8, 0.0), (0.8, 0.0)], "signature": [(0.8, 0.0), (0.9, 0.0)]},
    }
    for heads, arms in trials.items():
        folder = tmp_path / "runs" / heads
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(settings.format(heads))
        rows = [f"max,0,{seed},{arm},{area},{area},{share}\n"
                for arm, of in arms.items() for seed, (area, share) in enumerate(of)]  # fmt: skip
        head = "pooling,fold,run,topology,auroc,accuracy,dead_bag_head\n"
        (folder / "results.csv").write_text(head + "".join(rows))
    text = filled(tmp_path, "dead: relu elu")
    # Gains 30 and 10, so 20 ± 12.7 · 10
    gain = "+20.0 (-107.1 to +147.1)"
    assert f"| max | relu | 60.0 | 80.0 | {gain} | {gain} | 70 % | 30 % | -40.0 " in text
    assert "| both | relu, minus elu |  |  | +15.0 (-175.6 to +205.6) |" in text
    assert "| max | relu | 1 | 1 | 0 | 0 | 1.00 | -1.00 (-1.00 to -1.00) |" in text
    assert "| max | elu | 1 | " not in text


def test_rows_of_cohorts_that_are_not_at_hand_are_kept_and_pooled(tmp_path: Path):
    folder = tmp_path / "runs" / "confirm"
    folder.mkdir(parents=True)
    head = "cohort,pooling,outcome,without,with,difference,variance,low,high,higher,pairs\n"
    row = "musk1,average,auroc,0.8,0.9,0.1,0.0001,0.077,0.123,9,9\n"
    (folder / "effects.csv").write_text(head + row)
    (folder / "plan.sha256").write_text(Plan.read().sha256 + "\n")
    old = "| musk1 | attention | auroc | 80.0 | 81.0 | +1.0 | -1.0 to +3.0 | 6 of 9 |"
    last = "| musk2 | average | auroc | 80.0 | 90.0 | +10.0 | +7.7 to +12.3 | 9 of 9 |"
    page = tmp_path / "page.md"
    marks = "<!-- confirm: confirm -->\n\n| h |\n| --- |\n{}\n{}\n\n<!-- /table -->\n"
    page.write_text(marks.format(old, last))
    for _ in range(2):
        done = run("results_table.py", str(page), str(tmp_path / "runs"))
        assert done.returncode == 0, done.stderr
        new = "| musk1 | average | auroc | 80.0 | 90.0 | +10.0 | +7.7 to +12.3 | 9 of 9 |"
        assert f"{old}\n{new}\n{last}\n\n" in page.read_text()
        assert "| average | auroc | 2 | +10.0 | +1.0 to +19.0 | 0.04 | 0.0 |" in page.read_text()


def test_the_plan_of_a_confirmatory_experiment_is_the_one_its_folder_names(tmp_path: Path):
    folder = tmp_path / "runs" / "second"
    folder.mkdir(parents=True)
    (folder / "plan.sha256").write_text(Plan.read("regimes").sha256 + "\n")
    head = "cohort,pooling,outcome,without,with,difference,variance,low,high,higher,pairs\n"
    rows = [f"{cohort}-{regime},attention,{outcome},0.8,0.9,{gain},0.0001,0.077,0.123,9,9\n"
            for regime, gain in (("elu-paper", 0.1), ("relu-authors", 0.2))
            for cohort in ("musk2", "musk1") for outcome in ("auroc", "accuracy")]  # fmt: skip
    (folder / "effects.csv").write_text(head + "".join(rows))
    text = filled(tmp_path, "confirm: second")
    order = re.findall(r"^\| (\S+) \| attention \| (\S+) \|", text, re.M)
    regimes = ("relu-authors", "elu-paper")
    assert order == [(f"{c}-{r}", "auroc") for r in regimes for c in ("musk1", "musk2")]
    assert "| attention, relu-authors | auroc | 2 | +20.0 | +11.0 to +29.0 | " in text
    assert "| attention, elu-paper | auroc | 2 | +10.0 | +1.0 to +19.0 | " in text


def test_what_is_gained_is_read_over_replicates(tmp_path: Path):
    areas = {  # off and signature in two replicates
        "epochs=15": {"off": (0.5, 0.6), "signature": (0.7, 0.9)},
        "epochs=60": {"off": (0.7, 0.8), "signature": (0.7, 0.9)},
    }
    for cell, arms in areas.items():
        for replicate in range(2):
            folder = tmp_path / "runs" / "a" / str(replicate + 1) / cell
            folder.mkdir(parents=True)
            epochs = cell.replace("=", ": ")
            (folder / "config.yaml").write_text(f"{epochs}\nlr: 0.0002\nbeta_decay: 0.95\n")
            rows = [f"max,{arm},{of[replicate]},{of[replicate]}\n" for arm, of in arms.items()]
            (folder / "results.csv").write_text("pooling,topology,auroc,accuracy\n" + "".join(rows))
            (folder / "baselines.csv").write_text("baseline,auroc,accuracy\nmean,0.8,0.6\n")
            (folder.parent / "sweep.csv").write_text("")
    text = filled(tmp_path, "replicates: a")
    assert "| max | off, epochs 60 | 75.00 ± 7.1 | 75.00 ± 7.1 | 2 |" in text
    assert "| mean | logistic regression | 80.00 ± 0.0 | 60.00 ± 0.0 | 2 |" in text
    # Gains 20 and 30: 25 ± 12.7 · 5, t = 5
    assert "| max | signature | off | +25.0 | -38.5 to +88.5 | 0.126 | 2 of 2 |" in text
    assert "| max | signature, epochs 60 | off, epochs 60 | +5.0 | " in text
    assert "| max | signature | off, epochs 60 | +5.0 | " in text
    assert "| max | off, epochs 60 | off | +20.0 | +20.0 to +20.0 | < 0.001 | 2 of 2 |" in text


def test_settings_are_set_beside_the_first_within_replicates(tmp_path: Path):
    head = "epochs,dropout,pooling,topology,accuracy_mean,auroc_mean\n"
    for replicate, gain in ((1, 0.01), (2, 0.03)):
        folder = tmp_path / "runs" / "a" / str(replicate)
        folder.mkdir(parents=True)
        settings = (15, 0.0, 0.0), (30, 0.0, 2 * gain), (15, 0.3, -gain)
        rows = [
            f"{epochs},{dropout},{pooling},off,{0.5 + more},0.8\n"
            for epochs, dropout, more in settings
            for pooling in ("max", "average")
        ]
        (folder / "sweep.csv").write_text(head + "".join(rows))
    text = filled(tmp_path, "chosen: a")
    assert "| as it is | 80.00 | 50.00 | 80.0 / 50.0 | 80.0 / 50.0 |  |  |  |" in text
    # Both measures gain 1 and 3 points over two: 2 ± 12.7 · 1
    gained = "+2.0 | -10.7 to +14.7 | 2 of 2 |"
    assert f"| epochs 30 | 80.00 | 54.00 | 80.0 / 54.0 | 80.0 / 54.0 | {gained}" in text
    assert "| dropout 0.3 | 80.00 | 48.00 |" in text
    assert "| 0 of 2 |" in text
