"""What a cohort is made of: patients, samples, images and mixtures of cells.

A recipe says how many patients and samples each disease has and which cells they show; `plan`
draws every patient's own mixture and every sample's cells from it. The plan knows nothing of
pixels, so one recipe serves every source of cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mil_rbc.errors import DataError

Size = Literal["smoke", "default", "paper"]


@dataclass(frozen=True)
class Disease:
    """A class of the cohort.

    Attributes:
        name: what results call it.
        patients: number of patients.
        samples: number of samples of all of them together.
        anomalies: cell class -> weight among the anomalous cells.
        witness_rate: mean share of anomalous cells in a sample.
    """

    name: str
    patients: int
    samples: int
    anomalies: dict[str, float]
    witness_rate: float


@dataclass(frozen=True)
class Recipe:
    """A whole cohort.

    Attributes:
        diseases: the classes; the first is the control.
        normal: the cell class of an unremarkable cell.
        images: number of images of all samples together.
        images_per_sample: fewest and most images a sample has.
        cells_per_image: fewest and most cells an image shows.
        shape: height and width of an image in pixels.
        patient_spread: how much witness rate and mixture differ between patients (0: not at all).
        sample_spread: the same between the samples of one patient.
    """

    diseases: tuple[Disease, ...]
    normal: str
    images: int
    images_per_sample: tuple[int, int]
    cells_per_image: tuple[int, int]
    shape: tuple[int, int]
    patient_spread: float = 0.5
    sample_spread: float = 0.25


@dataclass(frozen=True)
class Sample:
    """One planned sample: for each of its images the cell class of every cell."""

    name: str
    patient: str
    patient_index: int
    label: int
    cells: tuple[tuple[str, ...], ...]


def plan(recipe: Recipe, seed: int) -> list[Sample]:
    """Draw a cohort from a recipe.

    Every patient has an own witness rate (logit-normal around the disease's) and an own mixture of
    anomalies (Dirichlet), every sample varies them once more, and each cell is drawn from its
    sample's mixture.

    Args:
        recipe: what to draw from.
        seed: the draw; equal seeds give equal plans.

    Returns:
        The samples, patient by patient.

    Raises:
        DataError: if the numbers of the recipe contradict each other.
    """
    rng = np.random.default_rng([seed, 0])
    owners: list[tuple[int, int]] = []  # (label, patient index) of every sample
    patient_index = 0
    for label, disease in enumerate(recipe.diseases):
        if disease.samples < disease.patients or disease.patients < 1:
            raise DataError(
                f"recipe: {disease.name!r} has {disease.samples} samples for {disease.patients} "
                f"patients; give every patient at least one sample"
            )
        extra = rng.multinomial(
            disease.samples - disease.patients, np.full(disease.patients, 1 / disease.patients)
        )
        for count in 1 + extra:
            owners += [(label, patient_index)] * int(count)
            patient_index += 1
    images = _share(recipe.images, len(owners), *recipe.images_per_sample, rng)
    samples, number_of, habit = [], dict.fromkeys(range(patient_index), 0), {}
    for (label, patient), n_images in zip(owners, images, strict=True):
        disease = recipe.diseases[label]
        if patient not in habit:
            habit[patient] = _vary(
                disease.witness_rate, _weights(disease), recipe.patient_spread, rng
            )
        rate, weights = _vary(*habit[patient], recipe.sample_spread, rng)
        names = np.array([recipe.normal, *disease.anomalies])
        mixture = np.concatenate([[1.0 - rate], rate * weights])
        low, high = recipe.cells_per_image
        cells = tuple(
            tuple(rng.choice(names, size=rng.integers(low, high + 1), p=mixture).tolist())
            for _ in range(n_images)
        )
        name = f"P{patient + 1:03d}"
        sample_name = f"{name}-S{number_of[patient] + 1}"
        samples.append(Sample(sample_name, name, patient, label, cells))
        number_of[patient] += 1
    return samples


def _weights(disease: Disease) -> NDArray[np.float64]:
    weights = np.array(list(disease.anomalies.values()), dtype=np.float64)
    return np.asarray(weights / weights.sum())


def _vary(
    rate: float, weights: NDArray[np.float64], spread: float, rng: np.random.Generator
) -> tuple[float, NDArray[np.float64]]:
    if spread == 0:
        return rate, weights
    logit = np.log(rate / (1 - rate)) + rng.normal(0.0, spread)
    varied = rng.dirichlet(weights * len(weights) * 2.0 / spread**2 + 1e-3)
    return float(1 / (1 + np.exp(-logit))), varied


def _share(total: int, n: int, low: int, high: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Share `total` among `n`, each at least `low` and at most `high`."""
    if not n * low <= total <= n * high:
        raise DataError(
            f"recipe: {total} images cannot be shared among {n} samples of {low} to {high} images; "
            f"ask for {n * low} to {n * high} images"
        )
    counts = np.full(n, low, dtype=np.int64)
    for _ in range(total - n * low):
        counts[rng.choice(np.flatnonzero(counts < high))] += 1
    return counts


def _five(patients: tuple[int, ...], samples: tuple[int, ...]) -> tuple[Disease, ...]:
    """The paper's five classes; which cells they show follows textbook haematology."""
    shows: list[tuple[str, dict[str, float], float]] = [
        ("control", {"echinocyte": 3, "elliptocyte": 2, "stomatocyte": 1, "target": 1}, 0.06),
        (
            "sickle cell disease",
            {"sickle": 5, "target": 3, "elliptocyte": 2, "schistocyte": 1},
            0.20,
        ),
        ("thalassemia", {"target": 4, "teardrop": 3, "schistocyte": 3, "elliptocyte": 1}, 0.25),
        ("hereditary xerocytosis", {"stomatocyte": 4, "echinocyte": 3, "target": 3}, 0.20),
        ("hereditary spherocytosis", {"spherocyte": 6, "stomatocyte": 2, "schistocyte": 1}, 0.20),
    ]
    return tuple(
        Disease(name, p, s, anomalies, rate)
        for (name, anomalies, rate), p, s in zip(shows, patients, samples, strict=True)
    )


PAPER = Recipe(
    diseases=_five((33, 13, 3, 9, 13), (181, 170, 25, 56, 89)),
    normal="discocyte",
    images=3630,
    images_per_sample=(4, 12),
    cells_per_image=(12, 45),
    shape=(480, 480),
)
"""The paper's cohort: 71 patients, 521 samples, 3,630 images (Kazeminia et al., section 4)."""

DEFAULT = Recipe(
    diseases=_five((18, 7, 3, 5, 7), (35, 28, 7, 12, 18)),
    normal="discocyte",
    images=400,
    images_per_sample=(4, 4),
    cells_per_image=(11, 15),
    shape=(256, 320),
)
"""40 patients and 100 samples in the paper's proportions, small enough for two cores."""

SMOKE = Recipe(
    diseases=_five((3, 3, 3, 3, 3), (4, 3, 3, 3, 3)),
    normal="discocyte",
    images=32,
    images_per_sample=(2, 2),
    cells_per_image=(5, 7),
    shape=(192, 224),
)
"""Just enough to try every part."""

RECIPES: dict[Size, Recipe] = {"smoke": SMOKE, "default": DEFAULT, "paper": PAPER}
