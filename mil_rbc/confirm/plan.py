"""The pre-registered plan: what is run, and what its outcome will be called."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mil_rbc.options import Options

FILE = Path(__file__).with_name("plan.yaml")
SETTINGS = Path(__file__).with_name("settings.yaml")


def written_down() -> dict[str, Any]:
    """What the plan leaves to the defaults, as they were when it was written down."""
    values: dict[str, Any] = yaml.safe_load(SETTINGS.read_text())
    return values


@dataclass(frozen=True)
class Plan:
    """What `plan.yaml` says, and its hash, which every result carries."""

    sha256: str
    poolings: list[str]
    primary: dict[str, Any]
    options: dict[str, Any]
    cohorts: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, file: Path = FILE) -> Plan:
        """Read a plan."""
        content = file.read_bytes()
        values = yaml.safe_load(content)
        named = ("poolings", "primary", "options", "cohorts")
        return cls(hashlib.sha256(content).hexdigest(), **{name: values[name] for name in named})

    def run_options(self, name: str, poolings: list[str], data: Path, out: Path) -> Options:
        """Options of the run of one cohort with some of its poolings."""
        own = dict(self.cohorts[name])
        if "data" in own:
            own["data"] = data / own["data"]
        options = Options(**{**written_down(), **self.options, **own}, pooling=poolings,
                          topology=self.primary["arms"], out=out / name, device="cpu",
                          threads=1)  # fmt: skip
        options.check()
        return options

    def steps(self) -> list[tuple[str, list[str]]]:
        """Cohort and poolings of each run, in order: the primary pooling on all cohorts first."""
        first = self.primary["pooling"]
        return [(name, [first]) for name in self.cohorts] + [
            (name, self.poolings) for name in self.cohorts
        ]
