"""Runs that are ended from outside: what they leave behind, and how they go on."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mil_rbc.cli import command
from mil_rbc.errors import RunError
from mil_rbc.files import load_checkpoint
from mil_rbc.run import main
from mil_rbc.run_folder import RunFolder
from tests.mil.commands import ROOT, arguments

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_a_run_outlives_the_shell_that_started_it(tmp_path: Path, data: Path) -> None:
    """The shell exits in the middle of the first trial."""
    run, log = tmp_path / "run", tmp_path / "log"
    more = ["--pooling", "average", "--topology", "on", "--checkpoint_every", "1", "--epochs", "15"]
    given = shlex.join([sys.executable, "-m", "mil_rbc.run", *arguments(data, run, *more)])
    started = f"while ! ls {run}/trials/*/resume.pt; do kill -0 $! || exit; sleep 0.01; done"
    subprocess.run(["sh", "-c", f"{given} > {log} 2>&1 & {started}"], env=ENVIRONMENT, cwd=ROOT,
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
    given = [sys.executable, "-m", "mil_rbc.run", *arguments(data, out, *more)]
    with open(log, "w") as file:
        process = subprocess.Popen(given, env=ENVIRONMENT, stderr=file, stdout=file, cwd=ROOT)
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


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_bits(tmp_path: Path, data: Path) -> None:
    """`kill -9` in the middle of the second trial, then the same command again."""
    more = ["--pooling", "anomaly", "--topology", "on", "--checkpoint_every", "1", "--epochs", "15"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert command(main, arguments(data, whole, *more)) == 0
    given = [sys.executable, "-m", "mil_rbc.run", *arguments(data, broken, *more)]
    process = subprocess.Popen(given, env=ENVIRONMENT, stderr=subprocess.DEVNULL,
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
    run = subprocess.run(given, env=ENVIRONMENT, capture_output=True, text=True, cwd=ROOT,
                         check=True)  # fmt: skip
    assert "1 of 3 trials were finished before" in run.stderr
    assert all(p.stat().st_mtime_ns == t for p, t in finished.items())
    for path in sorted(whole.glob("trials/*/checkpoint.pt")):
        a = load_checkpoint(path)["model"]
        b = load_checkpoint(broken / path.relative_to(whole))["model"]
        assert all(torch.equal(v, b[k]) for k, v in a.items()), path
