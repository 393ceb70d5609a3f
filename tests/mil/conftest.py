"""Tiny cohorts and options for the tests of mil_rbc."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mil_rbc.data.bags import Bag, Cohort
from mil_rbc.options import Options
from mil_rbc.training.execute import make_fabric
from mil_rbc.training.loop import Training
from mil_rbc.training.trial import Trial, deal_runs
from tests.mil.commands import bags_folder

DATA = Path(os.environ.get("TORCHTOPO_DATA", Path(__file__).parents[3] / "shared" / "data"))
Make = Callable[..., Training]


def make_vectors(patients: int = 12, cells: int = 6, width: int = 5, seed: int = 0) -> Cohort:
    """Two classes; an ill patient's first cell lies off along the first feature."""
    rng = np.random.default_rng(seed)
    bags = []
    for number in range(patients):
        label = number % 2
        for sample in range(2):
            n = cells + sample
            x = rng.normal(size=(n, width)).astype(np.float32)
            x[0, 0] += 4.0 * label
            known = np.zeros(n, dtype=np.int64)
            known[0] = label
            name = f"P{number}-S{sample}"
            images = np.array([f"{name}-I0"] * n)
            bags.append(Bag(name, f"P{number}", label, x, images, known))
    return Cohort(
        name="vectors", kind="vector", classes=("control", "ill"), control=0, bags=bags,
        cell_classes=("normal", "odd"), anomalous=(False, True),
        provenance="Synthetic: normal vectors.", standardize=True,
    )  # fmt: skip


@pytest.fixture(scope="session")
def vectors() -> Cohort:
    return make_vectors()


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(
        cohort="vectors", runs=2, epochs=4, latent=16, test_every=2, checkpoint_every=1,
        device="cpu", threads=1, out=tmp_path / "out",
    )  # fmt: skip


@pytest.fixture
def make_training(vectors: Cohort, options: Options) -> Make:
    """Make a `Training` of the vectors: `make_training("attention", "signature", lr=0.1)`."""
    import dataclasses

    def make(
        pooling: Any = "average", topology: Any = "off", fold: int = 0, run: int = 0,
        cohort: Cohort = vectors, **changes: Any,
    ) -> Training:  # fmt: skip
        torch.set_num_threads(1)
        changed = dataclasses.replace(options, **changes)
        trial = Trial(pooling, topology, fold, run)
        split = deal_runs(cohort, changed)[run][fold]
        folder = changed.folder.trial(trial.name)
        fabric = make_fabric(changed, 0, folder)
        fabric.launch()
        return Training(trial, cohort, split, changed, folder, fabric)

    return make


@pytest.fixture(scope="session")
def rendered() -> Cohort:
    """The smallest rendered cohort."""
    from mil_rbc.cohort import load

    return load("rendered", seed=0, size="smoke")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, vectors: Cohort) -> Path:
    return bags_folder(tmp_path_factory.mktemp("data") / "bags", vectors)
