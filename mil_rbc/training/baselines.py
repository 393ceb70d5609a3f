"""What a pooling must beat: mean or maximum of a bag's vectors, and logistic regression."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from mil_rbc.data.bags import Cohort
from mil_rbc.data.folds import Split
from mil_rbc.training.evaluation import Prediction, score

Floats = NDArray[np.float64]
BASELINES: dict[str, Callable[..., Floats]] = {"mean": np.mean, "maximum": np.max}
STRENGTHS = tuple(float(c) for c in np.logspace(-4, 2, 7))
"""Values of C, scikit-learn's inverse regularisation, to choose from."""


def baselines(cohort: Cohort, splits: list[list[Split]], shared: bool = False) -> pd.DataFrame:
    """Train and test both baselines on every fold of every run; empty unless cells are vectors.

    C is the one with the lowest cross-entropy over inner folds of the training bags, which keep a
    patient's bags together (and a fixed fold's, where the cohort fixes them). Nothing is random.

    Args:
        cohort: the bags.
        splits: the folds of each run.
        shared: whether features are divided by one deviation instead of each by its own.

    Returns:
        One row per baseline, run and fold: `baseline`, `C` and the metrics of `evaluation.score`.
    """
    if cohort.kind != "vector":
        return pd.DataFrame()
    with threadpool_limits(1):  # of matrices this small threads only wait for each other
        return _baselines(cohort, splits, shared)


def _baselines(cohort: Cohort, splits: list[list[Split]], shared: bool) -> pd.DataFrame:
    patients = [bag.patient for bag in cohort.bags]
    rows, known = list[dict[str, Any]](), dict[tuple[str, bytes], dict[str, Any]]()
    for name, statistic in BASELINES.items():
        features = np.stack([statistic(bag.instances.astype(np.float64), axis=0)
                             for bag in cohort.bags])  # fmt: skip
        for run, folds in enumerate(splits):
            for fold, (train, test) in enumerate(folds):
                key = (name, train.tobytes() + test.tobytes())
                if key not in known:  # runs share their folds unless they are dealt anew
                    strength = choose(cohort, features, train, shared)
                    predicted = _probabilities(cohort, features, train, test, strength, shared)
                    found = [_prediction(cohort, int(i), p)
                             for i, p in zip(test, predicted, strict=True)]  # fmt: skip
                    known[key] = {
                        "C": strength, **score(found, cohort.classes),
                        **score(found, cohort.classes, patients),
                    }  # fmt: skip
                rows.append({"baseline": name, "run": run, "fold": fold, **known[key]})
    return pd.DataFrame(rows)


def choose(
    cohort: Cohort, features: Floats, train: NDArray[np.int64], shared: bool = False
) -> float:
    """C of the lowest cross-entropy over inner folds of the training bags."""
    losses = dict.fromkeys(STRENGTHS, 0.0)
    labels = cohort.labels
    for inner, held in _inner(cohort, train):
        for strength in STRENGTHS:
            p = _probabilities(cohort, features, inner, held, strength, shared)
            # A class that the inner training bags lack costs every C alike.
            likelihood = np.maximum(p[np.arange(len(held)), labels[held]], 1e-12)
            losses[strength] -= float(np.log(likelihood).sum())
    return min(losses, key=lambda c: losses[c])  # of equals the strongest regularisation


def _inner(cohort: Cohort, train: NDArray[np.int64]) -> Iterable[Split]:
    labels = cohort.labels[train]
    names = [cohort.bags[i].patient for i in train]
    if cohort.test_fold is not None:
        groups = np.array([cohort.test_fold[name] for name in names])
        if len(np.unique(groups)) > 1:
            for a, b in LeaveOneGroupOut().split(train, labels, groups):
                yield train[a], train[b]
            return
    groups = np.unique(names, return_inverse=True)[1]
    patients = [len(np.unique(groups[labels == k])) for k in np.unique(labels)]
    parts = max(2, min(5, *patients))
    dealt = StratifiedGroupKFold(parts, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class of one training patient cannot be in every part
        parted = list(dealt.split(train, labels, groups))
    for a, b in parted:
        if len(np.unique(labels[a])) > 1:
            yield train[a], train[b]


def _probabilities(
    cohort: Cohort, features: Floats, train: NDArray[np.int64], test: NDArray[np.int64], c: float,
    shared: bool = False,
) -> Floats:  # fmt: skip
    scaler = StandardScaler().fit(features[train])
    if shared:
        scaler.scale_ = np.full_like(scaler.scale_, np.sqrt(scaler.var_.mean()) or 1.0)
    rows = scaler.transform(features[train])
    # With an L2 penalty the weights lie in the span of the training rows, so nothing is lost there,
    # and far fewer weights are sought than a frozen network has features.
    span = np.linalg.svd(rows, full_matrices=False)[2].T
    model = LogisticRegression(C=c, max_iter=1000)
    model.fit(rows @ span, cohort.labels[train])
    p = np.zeros((len(test), len(cohort.classes)))
    p[:, model.classes_] = model.predict_proba(scaler.transform(features[test]) @ span)
    return p


def _prediction(cohort: Cohort, index: int, probabilities: Floats) -> Prediction:
    nothing = np.zeros(0)
    return Prediction(index, cohort.bags[index].label, probabilities, nothing, None, None,
                      float("nan"), float("nan"))  # fmt: skip
