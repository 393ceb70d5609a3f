"""The folder of a run: what lies where in it, and what its `config.yaml` records."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from mil_rbc.errors import RunError
from mil_rbc.files import check_writable, write_whole


@dataclass
class Record:
    """What a run was made from, beside its options.

    Attributes:
        command: gives the same run again.
        versions: of the packages it depends on.
        machine: processor, cores and GPU.
        provenance: what the data are.
        classes: class names in the order of the logits.
        instances: name of the kind of instance; of a frozen encoder, name, words and hash.
        space: what A^X was measured on.
        data_sha256, cells_sha256: of everything a result depends on, and of the known cell labels.
        split_sha256: of the folds of each run.
        seeds: of each fold and run.
        started: when a run that has not ended was started, in seconds of the clock.
        seconds_before: wall time of its earlier goes.
        seconds: wall time of all goes of a run that has ended.
    """

    command: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    machine: str = ""
    provenance: str = ""
    classes: list[str] = field(default_factory=list)
    instances: dict[str, Any] = field(default_factory=dict)
    space: str = ""
    data_sha256: str = ""
    cells_sha256: str = ""
    split_sha256: list[str] = field(default_factory=list)
    seeds: dict[str, int] = field(default_factory=dict)
    started: float | None = None
    seconds_before: float = 0.0
    seconds: float | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Record:
        """The record that `plain` wrote, also by a version with other fields."""
        known = {f.name for f in dataclasses.fields(cls)}
        return cls(**{k: v for k, v in values.items() if k in known})

    def plain(self) -> dict[str, Any]:
        """As plain values; times that are not known are left out."""
        return {k: v for k, v in vars(self).items() if v is not None}

    def check_same(self, now: Record, out: Path) -> None:
        """Raise `RunError` unless a run of `now` may go on in a folder of this one."""
        there, here = (
            f"{r.instances.get('name', '')} {r.instances.get('sha256', '')[:12]}".strip()
            for r in (self, now)
        )
        if there not in ("", here):
            raise RunError(
                f"{out} holds a run on instances {there}, not {here} (the hash is of weights and "
                f"preprocessing): give --instances and the weights of that run, or another --out"
            )
        if self.data_sha256 != now.data_sha256:
            said = "data than are there now"
        elif self.cells_sha256 not in ("", now.cells_sha256):
            said = "cell labels than now"
        elif any(a != b for a, b in zip(self.split_sha256, now.split_sha256, strict=False)):
            said = "folds"
        else:
            return
        raise RunError(f"{out} holds a run on other {said}: choose another --out")


@dataclass(frozen=True)
class TrialFolder:
    """The folder of one trial."""

    path: Path

    @property
    def result(self) -> Path:
        """Metrics as JSON; written last, so it marks a trial as finished."""
        return self.path / "result.json"

    @property
    def checkpoint(self) -> Path:
        """The trained model."""
        return self.path / "checkpoint.pt"

    @property
    def resume(self) -> Path:
        """What an interrupted trial goes on from."""
        return self.path / "resume.pt"

    @property
    def epoch(self) -> Path:
        """Number of epochs done, for the progress line."""
        return self.path / ".epoch"

    def table(self, name: str) -> Path:
        """`metrics`, `predictions` or `instances`."""
        return self.path / f"{name}.csv"


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run."""

    path: Path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out of the folder, and rid it of what a killed one left half-written.

        Raises:
            RunError: if another run is at it, or it is no folder.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"--out {self.path} is a file: name a folder")
        check_writable(self.config)
        lock = FileLock(self.path / ".lock")  # the system lets go of it, however a run ends
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise RunError(
                f"another run is writing to {self.path}: wait until it has ended, or choose "
                f"another --out"
            ) from error
        try:
            for left in self.path.rglob(".*.part"):
                left.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    @property
    def config(self) -> Path:
        """Options and record."""
        return self.path / "config.yaml"

    @property
    def cohort(self) -> Path:
        """The cohort, for the processes that train on it."""
        return self.path / "cohort.npz"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @property
    def figures(self) -> Path:
        """The pictures one by one."""
        return self.path / "figures"

    @property
    def markdown(self) -> Path:
        """Table 1 in the paper's layout."""
        return self.path / "table1.md"

    def table(self, name: str) -> Path:
        """`results`, `predictions`, `instances`, `table1`, `paired` or `explanations`."""
        return self.path / f"{name}.csv"

    def trial(self, name: str) -> TrialFolder:
        """The folder of a trial."""
        return TrialFolder(self.path / "trials" / name)

    def trained(self) -> list[Path]:
        """Whatever any trial has written."""
        return list(self.path.glob("trials/*/*"))

    def write_config(self, options: Mapping[str, Any], record: Record) -> None:
        """Write `config.yaml`, which `--config` reads again."""
        values = {**options, "record": record.plain()}
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)
        write_whole(self.config, text)

    def read_config(self) -> tuple[dict[str, Any], Record] | None:
        """Options and record of the run in this folder; `None` if there is none."""
        if not self.config.exists():
            return None
        stored = yaml.safe_load(self.config.read_text())
        if not isinstance(stored, dict) or "record" not in stored:
            raise RunError(
                f"{self.config} is not what a run wrote: delete it, or choose another --out"
            )
        return stored, Record.of(stored.pop("record"))

    def seconds(self, record: Record) -> float:
        """Wall time of the earlier goes at a run, also of one that was killed."""
        if record.seconds is not None:
            return float(record.seconds)
        last = max((path.stat().st_mtime for path in self.trained()), default=0.0)
        running = 0.0 if record.started is None else max(0.0, last - record.started)
        return record.seconds_before + running
