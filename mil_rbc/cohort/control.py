"""Controls: what must not be able to tell the class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import PredefinedSplit, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mil_rbc.data.bags import Cohort
from mil_rbc.errors import DataError

Features = Callable[[NDArray[np.uint8]], NDArray[np.float64]]


@dataclass(frozen=True)
class Control:
    """How well something that must know nothing tells the class.

    Attributes:
        balanced_accuracy: of a cross-validated classifier, one vote a patient.
        chance: its mean when the patients' labels are shuffled.
        p: share of shuffles that do at least as well.
    """

    balanced_accuracy: float
    chance: float
    p: float


def background_control(
    cohort: Cohort, *, folds: int = 3, seed: int = 0, shuffles: int = 200
) -> Control:
    """Classify patients by the background pixels of their crops alone.

    The crops have to show dark cells on a bright background, so this is not for NIH's, which are
    cut out; there `intensity_control` of `nih-control` is the control.

    Args:
        cohort: of crops.
        folds: of the cross-validation, unless the cohort fixes them.
        seed: of the folds and shuffles.
        shuffles: how often labels are shuffled to see what chance does.

    Raises:
        DataError: if the instances are no crops.
    """
    return _control(cohort, background_features, folds, seed, shuffles)


def intensity_control(
    cohort: Cohort, *, folds: int = 3, seed: int = 0, shuffles: int = 200
) -> Control:
    """Classify patients by grey levels alone: histogram, spread between cells, grain.

    Arguments and errors are those of `background_control`.
    """
    return _control(cohort, intensity_features, folds, seed, shuffles)


def _control(
    cohort: Cohort, features_of: Features, folds: int, seed: int, shuffles: int
) -> Control:
    if cohort.kind != "crop":
        raise DataError(f"cohort {cohort.name!r} has no crops: this control needs grey levels")
    rows: dict[str, list[NDArray[np.float64]]] = {}
    label_of: dict[str, int] = {}
    for bag in cohort.bags:
        rows.setdefault(bag.patient, []).append(features_of(bag.instances))
        label_of[bag.patient] = bag.label
    features = np.stack([np.mean(row, axis=0) for row in rows.values()])
    labels = np.array([label_of[patient] for patient in rows])
    fixed = cohort.test_fold
    fold = None if fixed is None else np.array([fixed[patient] for patient in rows])
    return chance_test(features, labels, folds=folds, seed=seed, shuffles=shuffles, fold=fold)


def intensity_features(crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Grey levels of a bag without regard to where they are: `(n, 64, 64)` -> `(15,)`."""
    levels = crops.astype(np.float64)
    each = levels.reshape(len(crops), -1)
    grain = np.abs(np.diff(levels, axis=2))
    return np.concatenate(
        [
            np.percentile(levels, (1, 5, 10, 25, 50, 75, 90, 95, 99)),
            each.mean(axis=1).std(keepdims=True),
            each.std(axis=1).std(keepdims=True),
            each.std(axis=1).mean(keepdims=True),
            each.mean(keepdims=True)[0],
            [grain.mean(), grain.std()],
        ]
    )


def background_features(crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Level, spread and grain of the bright surroundings of cells: `(n, 64, 64)` -> `(5,)`.

    How much background there is says how large the cell is, so it is left out.
    """
    found = []
    for crop in crops.astype(np.float64):
        bright = crop > (crop.min() + crop.max()) / 2
        surround = binary_erosion(bright, iterations=4, border_value=1)
        if not surround.any():
            continue
        pixels = crop[surround]
        pairs = surround[:, 1:] & surround[:, :-1]
        grain = np.abs(np.diff(crop, axis=1))[pairs]
        low, middle, high = np.percentile(pixels, (10, 50, 90))
        found.append((low, middle, high, pixels.std(), grain.mean() if pairs.any() else 0.0))
    return np.mean(found, axis=0) if found else np.zeros(5)


def chance_test(
    features: NDArray[np.float64],
    labels: NDArray[np.int64],
    *,
    folds: int = 3,
    seed: int = 0,
    shuffles: int = 200,
    fold: NDArray[np.int64] | None = None,
) -> Control:
    """Compare a classifier (ridge regression) with itself on shuffled labels.

    Args:
        features: `(patients, features)`.
        labels: `(patients,)`.
        folds: of a stratified cross-validation.
        seed: of folds and shuffles.
        shuffles: how many.
        fold: `(patients,)` fold each is tested in, instead of a stratified one.
    """
    classifier = make_pipeline(StandardScaler(), RidgeClassifier(class_weight="balanced"))
    split = (
        StratifiedKFold(folds, shuffle=True, random_state=seed)
        if fold is None
        else PredefinedSplit(fold)
    )

    def score(given: NDArray[np.int64]) -> float:
        predicted = cross_val_predict(classifier, features, given, cv=split)
        return float(np.mean([(predicted[given == c] == c).mean() for c in np.unique(given)]))

    rng = np.random.default_rng(seed)
    reached = score(labels)
    shuffled = np.array([score(rng.permutation(labels)) for _ in range(shuffles)])
    p = (1 + np.count_nonzero(shuffled >= reached)) / (1 + shuffles)
    return Control(reached, float(shuffled.mean()), float(p))
