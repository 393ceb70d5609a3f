"""What a trial is: one pooling, with or without topology, on one fold of one run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from mil_rbc.data.bags import Cohort
from mil_rbc.data.folds import Split, deal, split_hash
from mil_rbc.model.variants import ARMS
from mil_rbc.options import FREE, Options, plain


@dataclass(frozen=True)
class Trial:
    """One model to train and test."""

    pooling: str
    topology: str
    fold: int
    run: int

    @property
    def name(self) -> str:
        """Name of the trial's folder."""
        return f"{self.pooling}-{self.topology}-fold{self.fold}-run{self.run}"

    def seed(self, base: int) -> int:
        """Seed of initialisation and bag order: its own for each fold and run.

        It is the same for all poolings and for both arms, so that with and without topology are
        paired: same split, same initial weights, same order of bags.
        """
        return int(np.random.SeedSequence([base, self.fold, self.run]).generate_state(1)[0])


def of_arm(trial: Trial, options: Options) -> Options:
    """The options of a run as the trial's arm has them."""
    return dataclasses.replace(options, **ARMS[trial.topology].changes)


def grid(options: Options) -> list[Trial]:
    """All trials of a run, so ordered that every variant has results early."""
    return [
        Trial(pooling, topology, fold, run)
        for run in range(options.runs)
        for fold in range(options.folds)
        for pooling in options.pooling
        for topology in options.topology
    ]


def deal_runs(cohort: Cohort, options: Options) -> list[list[Split]]:
    """The folds of each run: the same for all, unless `redeal` asks for new ones."""
    first = deal(cohort, options.folds, options.seed)
    if not options.redeal:
        return [first] * options.runs
    seeds = [int(s) for s in np.random.SeedSequence(options.seed).generate_state(options.runs)]
    return [deal(cohort, options.folds, seed) for seed in seeds]


def fingerprint(trial: Trial, cohort: Cohort, split: Split, options: Options) -> str:
    """SHA-256 over all that decides a trial's result; a stored result is valid only for its own."""
    decisive = {k: v for k, v in plain(options).items() if k not in FREE}
    parts: dict[str, Any] = {
        "trial": trial.name,
        "options": decisive,
        "data": cohort.data_hash(),
        "split": split_hash(cohort, [split]),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
