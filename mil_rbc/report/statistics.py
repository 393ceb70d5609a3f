"""Paired comparison of two arms: corrected resampled t-test and patient-level bootstrap."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from mil_rbc.model.variants import OFF

Floats = NDArray[np.float64]
METRICS = ("accuracy", "f1_weighted", "auroc", "f1_macro", "balanced_accuracy")
"""In the order of tables: those of the paper first."""


class TTest(NamedTuple):
    """A t statistic and its two-sided p-value; nan where there is no spread to judge by."""

    t: float
    p: float


def corrected_t_test(differences: Sequence[float], train: float, test: float) -> TTest:
    """Corrected resampled t-test of paired differences over folds and runs.

    Folds share training data, so their differences are not independent; the variance is inflated
    by test/train. With it the test keeps its level where the plain t-test does not.

    Args:
        differences: one per fold and run, with minus without.
        train, test: bags in training and in test.

    Source: Nadeau and Bengio, Machine Learning 52 (2003), Section 3.

    Examples:
        >>> corrected_t_test([0.02, 0.03, 0.01], train=60, test=30).p < 0.2
        True
    """
    d = np.asarray(differences, dtype=float)
    d = d[np.isfinite(d)]
    k = len(d)
    if k < 2:
        return TTest(float("nan"), float("nan"))
    if np.abs(d).max() < 1e-9:
        return TTest(0.0, 1.0)
    if np.ptp(d) < 1e-9:  # a few folds that differ alike, as small ones do: no sign of certainty
        return TTest(float("nan"), float("nan"))
    t = d.mean() / np.sqrt((1 / k + test / train) * d.var(ddof=1))
    return TTest(float(t), float(2 * stats.t.sf(abs(t), k - 1)))


def weighted_metrics(
    labels: NDArray[Any], probabilities: Floats, weights: Floats
) -> dict[str, Floats]:
    """Metrics of one test fold under many weightings of its bags at once.

    Args:
        labels: (n,) class of each bag.
        probabilities: (n, C).
        weights: (B, n) one weighting a row.

    Returns:
        For each of `METRICS` the values (B,); nan where a weighting leaves nothing to measure.
    """
    classes = np.arange(probabilities.shape[1])
    guess = probabilities.argmax(1)
    is_label = (labels[:, None] == classes).astype(float)
    is_guess = (guess[:, None] == classes).astype(float)
    true, guessed = weights @ is_label, weights @ is_guess
    hit = weights @ (is_label * is_guess)
    with np.errstate(invalid="ignore", divide="ignore"):
        present = true > 0
        f1 = np.nan_to_num(2 * hit / (true + guessed))
        recall = np.nan_to_num(hit / true)
        among = present.sum(1)
        areas = np.stack(
            [_weighted_auc(is_label[:, k], probabilities[:, k], weights) for k in classes], 1
        )
        defined = present & np.isfinite(areas)
        return {
            "accuracy": hit.sum(1) / weights.sum(1),
            "f1_weighted": (true * f1).sum(1) / true.sum(1),
            "f1_macro": (present * f1).sum(1) / among,
            "balanced_accuracy": (present * recall).sum(1) / among,
            "auroc": np.where(defined, areas, 0).sum(1) / defined.sum(1),
        }


def _weighted_auc(positive: Floats, scores: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve for each row of weights; ties count half."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])
    up = np.add.reduceat((weights * positive)[:, order], starts, axis=1)
    down = np.add.reduceat((weights * (1 - positive))[:, order], starts, axis=1)
    below = np.cumsum(down, 1) - down
    return np.asarray((up * (below + down / 2)).sum(1) / (up.sum(1) * down.sum(1)))


def bootstrap_differences(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    arm: str,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Floats]:
    """Differences of an arm minus "off" when the patients are drawn anew.

    Patients are drawn with replacement, each with all bags; a metric is computed in each fold and
    run and averaged, as the table does.

    Args:
        predictions: rows of `predictions.csv` of one pooling.
        classes: class names in order.
        arm: which arm.
        resamples: number of draws.
        seed: of the draws.

    Returns:
        For each metric `(resamples,)` differences.
    """
    patients = np.unique(predictions["patient"].astype(str))
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(patients), np.full(len(patients), 1 / len(patients)), resamples)
    code = {c: k for k, c in enumerate(classes)}
    per_arm: dict[str, dict[str, list[Floats]]] = {}
    both = predictions[predictions["topology"].isin([arm, OFF])]
    for (of, _, _), rows in both.groupby(["topology", "run", "fold"]):
        weights = counts[:, np.searchsorted(patients, rows["patient"].astype(str))].astype(float)
        labels = rows["label"].map(code).to_numpy()
        probabilities = rows[[f"p_{c}" for c in classes]].to_numpy(float)
        for name, values in weighted_metrics(labels, probabilities, weights).items():
            per_arm.setdefault(str(of), {}).setdefault(name, []).append(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a draw of patients of one class has no AUROC: nan
        return {
            name: np.nanmean(per_arm[arm][name], 0) - np.nanmean(per_arm[OFF][name], 0)
            for name in METRICS
        }
