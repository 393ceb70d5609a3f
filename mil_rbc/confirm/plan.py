"""A pre-registered plan: what is run, and what its outcome will be called."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mil_rbc.errors import RunError
from mil_rbc.options import Options

FOLDER = Path(__file__).parent
SETTINGS = FOLDER / "settings.yaml"
PLANS = ("plan", "regimes", "default")
"""Files of this folder, in the order in which they were written down."""


def written_down() -> dict[str, Any]:
    """What plans leave to the defaults, as they were when the first was written down."""
    values: dict[str, Any] = yaml.safe_load(SETTINGS.read_text())
    return values


@dataclass(frozen=True)
class Plan:
    """What a plan's file says, and its hash, which every result carries.

    Attributes:
        cohorts: options of each; where there are regimes, of each cohort under each regime.
        groups: cohorts that are pooled, by their regime; of a plan without regimes there is none.
    """

    sha256: str
    poolings: list[str]
    primary: dict[str, Any]
    options: dict[str, Any]
    cohorts: dict[str, dict[str, Any]]
    groups: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str = "plan") -> Plan:
        """Read the plan of that name."""
        if name not in PLANS:
            raise RunError(f"there is no plan {name!r}: there are {', '.join(PLANS)}")
        content = (FOLDER / f"{name}.yaml").read_bytes()
        values = yaml.safe_load(content)
        primary, cohorts, groups = values["primary"], values["cohorts"], {}
        if "regimes" in values:
            groups = {regime: [f"{c}-{regime}" for c in cohorts] for regime in values["regimes"]}
            primary = {**primary, "pooled_over": groups[primary["regime"]]}
            cohorts = {
                f"{name}-{regime}": {**own, **options}
                for regime, options in values["regimes"].items()
                for name, own in cohorts.items()
            }
        sha256 = hashlib.sha256(content).hexdigest()
        return cls(sha256, values["poolings"], primary, values["options"], cohorts, groups)

    @classmethod
    def of(cls, sha256: str) -> Plan:
        """Read the plan whose file has that hash, or one that begins so, as results name it."""
        for name in PLANS:
            plan = cls.read(name)
            if sha256 and plan.sha256.startswith(sha256):
                return plan
        raise RunError(f"no plan has the hash {sha256!r}: there are {', '.join(PLANS)}")

    def run_options(self, name: str, poolings: list[str], data: Path, out: Path) -> Options:
        """Options of the run of one cohort with some of its poolings."""
        own = dict(self.cohorts[name])
        if "data" in own:
            own["data"] = data / own["data"]
        options = Options(**{**written_down(), **self.options, **own}, pooling=poolings,
                          topology=self.primary["arms"], out=out / name, device="cpu",
                          threads=1, features_in=out / "features")  # fmt: skip
        options.check()
        return options

    def steps(self) -> list[tuple[str, list[str]]]:
        """Cohort and poolings of each run, in order: the primary pooling on all cohorts first."""
        first = self.primary["pooling"]
        return [(name, [first]) for name in self.cohorts] + [
            (name, self.poolings) for name in self.cohorts
        ]
