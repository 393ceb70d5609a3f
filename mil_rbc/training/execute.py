"""Training many trials side by side, with progress over all of them."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import torch

from mil_rbc.cli import duration
from mil_rbc.data.folds import Split
from mil_rbc.data.store import load_cohort
from mil_rbc.errors import RunError
from mil_rbc.files import read_json
from mil_rbc.options import Options
from mil_rbc.run_folder import TrialFolder
from mil_rbc.training import threads
from mil_rbc.training.backends import side_by_side
from mil_rbc.training.loop import Training
from mil_rbc.training.resume import finished
from mil_rbc.training.trial import Trial

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from lightning.fabric.loggers.logger import Logger


def run_trial(trial: Trial, number: int, split: Split, options: Options) -> dict[str, Any]:
    """Train and test one trial in this process, or return its result if it is finished.

    Args:
        trial: which one.
        number: its place in the grid; spreads trials over several GPUs.
        split: indices of training and test bags.
        options: of the run.
    """
    threads.bind(threads.of_a_trial(options))
    cohort = load_cohort(options.folder.cohort)
    folder = options.folder.trial(trial.name)
    if finished(trial, cohort, split, options, folder):
        result: dict[str, Any] = read_json(folder.result)
        return result
    fabric = make_fabric(options, number, folder)
    fabric.launch()
    training = Training(trial, cohort, split, options, folder, fabric)
    return training.finish(training.fit())


def make_fabric(options: Options, number: int, folder: TrialFolder) -> Fabric:
    """Make the Fabric of one trial: device, precision, strategy and logger.

    Fabric, Lightning's engine without its trainer, leaves the loop to us: the order of bags, the
    refit of the Gaussian and the resume are in sight, and a trial of a small model starts in
    milliseconds. It is imported here: importing it takes seconds, and a process that leaves all
    trials to its workers has no use for it.
    """
    from lightning.fabric import Fabric

    kind, _, index = options.device.partition(":")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "cuda" and not torch.cuda.is_available():
        raise RunError("there is no CUDA device here: use --device cpu")
    devices: int | list[int] = options.devices
    if kind == "cuda" and options.devices == 1:
        devices = [int(index) if index else number % torch.cuda.device_count()]
    try:
        return Fabric(
            accelerator=kind, devices=devices, strategy=options.strategy,
            precision=options.precision,  # type: ignore[arg-type]
            loggers=_loggers(options, folder),
        )  # fmt: skip
    except (ValueError, RuntimeError, ModuleNotFoundError) as error:
        raise RunError(
            f"Lightning does not accept device {options.device!r}, strategy {options.strategy!r} "
            f"or precision {options.precision!r}: {' '.join(str(error).split())}"
        ) from error


def _loggers(options: Options, folder: TrialFolder) -> list[Logger]:
    if options.logger == "none":
        return []
    from lightning.fabric.loggers.csv_logs import CSVLogger
    from lightning.fabric.loggers.tensorboard import TensorBoardLogger

    kind = CSVLogger if options.logger == "csv" else TensorBoardLogger
    return [kind(root_dir=folder.path, name="logs", version="")]


def run_trials(
    trials: list[Trial], splits: list[list[Split]], options: Options
) -> list[dict[str, Any]]:
    """Train all trials that are not finished, `options.jobs` at a time; results in grid order."""
    calls = [
        (trial, number, splits[trial.run][trial.fold], options)
        for number, trial in enumerate(trials)
    ]
    results: dict[str, dict[str, Any]] = {}
    with Progress(trials, options) as progress:
        if options.devices > 1 or (options.jobs == 1 and options.backend == "loky"):
            for call in calls:
                results[call[0].name] = run_trial(*call)
                progress.done(call[0])
        else:
            for trial, result in side_by_side(_named, calls, options):
                results[trial.name] = result
                progress.done(trial)
    return [results[trial.name] for trial in trials]


def _named(trial: Trial, *rest: Any) -> tuple[Trial, dict[str, Any]]:
    return trial, run_trial(trial, *rest)


class Progress:
    """One line on stderr: trials done, epochs done over all trials, time left."""

    def __init__(self, trials: list[Trial], options: Options) -> None:
        self.folder, self.epochs = options.folder, options.epochs
        self.names = {t.name for t in trials}
        self.complete = {n for n in self.names if self.folder.trial(n).result.exists()}
        self.start, self.before = time.monotonic(), self._epochs_done()
        self.live, self.stop = sys.stderr.isatty(), threading.Event()
        self.silent = int(os.environ.get("LOCAL_RANK", "0")) > 0  # one process speaks for all
        self.said = 0.0
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Progress:
        if self.complete and not self.silent:
            print(f"{len(self.complete)} of {len(self.names)} trials were finished before",
                  file=sys.stderr)  # fmt: skip
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()
        if self.live:
            print(file=sys.stderr)

    def done(self, trial: Trial) -> None:
        """Note that a trial is finished."""
        self.complete.add(trial.name)
        self._say(force=len(self.complete) == len(self.names))

    def _watch(self) -> None:
        while not self.stop.wait(1.0):
            self._say()

    def _epochs_done(self) -> int:
        running = 0
        for name in self.names - self.complete:
            try:
                running += int(self.folder.trial(name).epoch.read_text() or 0)
            except (OSError, ValueError):
                continue
        return len(self.complete) * self.epochs + running

    def _say(self, force: bool = False) -> None:
        now = time.monotonic()
        if self.silent:
            return
        if not force and now - self.said < (1.0 if self.live else 30.0):
            return
        self.said = now
        # A resumed trial is back at its last checkpoint, which may be before its last epoch.
        self.before = min(self.before, self._epochs_done())
        done, total = self._epochs_done(), len(self.names) * self.epochs
        rate = (done - self.before) / max(now - self.start, 1e-9)
        left = duration((total - done) / rate) + " left" if rate > 0 else "starting"
        line = (f"{len(self.complete)}/{len(self.names)} trials · {done}/{total} epochs · "
                f"{duration(now - self.start)} · {left}")  # fmt: skip
        print(f"\r\x1b[K{line}" if self.live else line, end="" if self.live else "\n",
              file=sys.stderr, flush=True)  # fmt: skip
