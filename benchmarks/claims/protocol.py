"""What a claim is, how it is run, and what its outcome is called: README.md says it in words."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from scipy import stats

from .journal import Journal

Settings = Mapping[str, float]
Part = Literal["development", "test"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Arm:
    """One way to do the task; of several ``options`` the best on development data is taken."""

    name: str
    what: str
    options: tuple[Settings, ...] = field(default=({},))


@dataclass(frozen=True)
class Comparison:
    """``arm`` minus ``against``, in one condition."""

    arm: str
    against: str
    condition: str


@dataclass(frozen=True)
class Outcome:
    """What is measured: ``best`` is 1 where more is better, -1 where less is."""

    name: str
    words: str
    best: Literal[1, -1]


@dataclass(frozen=True)
class Plan:
    """A claim as it was written down; its hash stands in every result.

    Attributes:
        whom: who would use it, in a few words for the first column of a table.
        without, controls: the comparisons that the claim has to win, the first one alone decides
            whether there is an effect at all.
        outcomes: the first is the primary one.
        margin: a smaller difference in the primary outcome does not matter to a user.
        choose_at: conditions at which options are compared on development data.
    """

    name: str
    whom: str
    hypothesis: str
    source: str
    data: str
    conditions: tuple[str, ...]
    choose_at: tuple[str, ...]
    arms: tuple[Arm, ...]
    outcomes: tuple[Outcome, ...]
    without: Comparison
    controls: tuple[Comparison, ...]
    margin: float
    seeds: int
    settings: Mapping[str, float | str]
    development_seeds: int = 3

    @property
    def sha256(self) -> str:
        """The hash of all that the plan says."""
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


class Claim(Protocol):
    """The module of a claim."""

    PLAN: Plan

    def trial(
        self, arm: str, settings: Settings, condition: str, seed: int, part: Part, quick: bool
    ) -> dict[str, float]:
        """Outcomes of one arm in one condition; equal seeds see equal data."""
        ...


class Effect(NamedTuple):
    """A paired difference, signed so that more is better, with its 95 % interval.

    Attributes:
        detectable: the true difference that a test at 5 % finds with a power of 0.8.
    """

    mean: float
    low: float
    high: float
    detectable: float
    better: int
    pairs: int


def effect(differences: Sequence[float]) -> Effect:
    """Student's interval for the mean of paired differences."""
    d = np.asarray(differences, dtype=float)
    if len(d) < 2 or not np.isfinite(d).all():
        raise ValueError(f"paired differences must be at least two finite numbers, got {d}")
    mean, error, degrees = float(d.mean()), float(d.std(ddof=1)) / math.sqrt(len(d)), len(d) - 1
    half = float(stats.t.ppf(0.975, degrees)) * error
    found = float(stats.t.ppf(0.975, degrees) + stats.t.ppf(0.8, degrees)) * error
    return Effect(mean, mean - half, mean + half, found, int((d > 0).sum()), len(d))


def word(found: Effect, margin: float) -> str:
    """``better``, ``worse``, ``no difference`` or ``undecided``."""
    if found.low > 0 and found.mean >= margin:
        return "better"
    if found.high < 0 and found.mean <= -margin:
        return "worse"
    if -margin < found.low and found.high < margin:
        return "no difference"
    return "undecided"


def compare(
    rows: Sequence[Row], comparison: Comparison, outcome: Outcome
) -> tuple[Effect, float, float]:
    """The effect over paired seeds, and both arms' means."""

    def of(arm: str) -> dict[int, float]:
        return {
            r["seed"]: r[outcome.name]
            for r in rows
            if r["arm"] == arm and r["condition"] == comparison.condition
        }

    one, other = of(comparison.arm), of(comparison.against)
    seeds = sorted(one)
    assert seeds == sorted(other), f"{comparison} is not paired"
    a, b = np.array([one[s] for s in seeds]), np.array([other[s] for s in seeds])
    return effect(list(outcome.best * (a - b))), float(a.mean()), float(b.mean())


def verdict(plan: Plan, rows: Sequence[Row]) -> str:
    """What became of the claim, by the rule of README.md."""
    primary = plan.outcomes[0]
    first = word(compare(rows, plan.without, primary)[0], plan.margin)
    if first != "better":
        other = plan.without.against
        if other == "without":
            return {"worse": "harms", "no difference": "does not help"}.get(first, "undecided")
        return {"worse": f"worse than {other}", "no difference": f"as good as {other}"}.get(
            first, "undecided"
        )
    words = {c.against: word(compare(rows, c, primary)[0], plan.margin) for c in plan.controls}
    less = [name for name, said in words.items() if said == "worse"]
    equal = [name for name, said in words.items() if said not in ("better", "worse")]
    said = [f"less than {_listed(less)}"] if less else []
    said += [f"not more than {_listed(equal)}"] if equal else []
    return f"helps, but {' and '.join(said)}" if said else "helps"


def _listed(names: Sequence[str]) -> str:
    return " or ".join(names)


def run(journal: Journal) -> Row:
    """Choose each arm's options on development data, then run every arm on every seed."""
    plan = journal.claim.PLAN
    seeds, first = (2, 1) if journal.quick else (plan.seeds, plan.development_seeds)
    primary = plan.outcomes[0]
    development: list[Row] = []
    chosen: dict[str, Settings] = {}
    for arm in plan.arms:
        scores = []
        for settings in arm.options if len(arm.options) > 1 else ():
            found = [
                journal.trial(arm.name, settings, c, s, "development")[primary.name]
                for c in plan.choose_at
                for s in range(first)
            ]
            scores.append(primary.best * float(np.mean(found)))
            development.append(
                {"arm": arm.name, "settings": dict(settings), primary.name: float(np.mean(found))}
            )
            print(f"  development: {development[-1]}", flush=True)
        chosen[arm.name] = arm.options[int(np.argmax(scores)) if scores else 0]
    rows: list[Row] = []
    for seed in range(seeds):
        for condition in plan.conditions:
            for arm in plan.arms:
                outcomes = journal.trial(arm.name, chosen[arm.name], condition, seed, "test")
                rows.append({"arm": arm.name, "condition": condition, "seed": seed, **outcomes})
        print(f"  seed {seed + 1} of {seeds}", flush=True)
    return {
        "plan": asdict(plan), "plan_sha256": plan.sha256, "development": development,
        "chosen": {name: dict(settings) for name, settings in chosen.items()}, "rows": rows,
        "seconds": round(journal.seconds),
    }  # fmt: skip
