"""Effects of several cohorts, pooled by a random-effects model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Effect(NamedTuple):
    """A mean difference with its variance, and the number of pairs it is from."""

    mean: float
    variance: float
    pairs: int

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided interval by Student's t."""
        half = stats.t.ppf((1 + level) / 2, self.pairs - 1) * np.sqrt(self.variance)
        return float(self.mean - half), float(self.mean + half)


class Pooled(NamedTuple):
    """A random-effects mean over cohorts.

    Attributes:
        mean: of the cohorts' true effects.
        low, high: its 95 % interval.
        error: standard error of the mean, with what cohorts differ by.
        tau: standard deviation of true effects between cohorts.
        p: two-sided.
        weights: of each cohort, summing to 1.
    """

    mean: float
    low: float
    high: float
    error: float
    tau: float
    p: float
    weights: tuple[float, ...]


def effect(differences: Sequence[float], train: float, test: float) -> Effect:
    """Mean of paired differences over folds and runs, with the corrected resampled variance.

    Args:
        differences: with minus without, one per fold and run; nan (a fold without AUROC) is left
            out.
        train, test: bags in training and in test.

    Raises:
        ValueError: if fewer than two differences are known.

    Source: Nadeau and Bengio, Machine Learning 52 (2003), Section 3.
    """
    d = np.asarray(differences, dtype=float)
    d = d[np.isfinite(d)]
    if len(d) < 2:
        raise ValueError(f"{len(d)} paired differences have no variance: run more folds or runs")
    return Effect(float(d.mean()), float((1 / len(d) + test / train) * d.var(ddof=1)), len(d))


def pool(effects: Sequence[Effect], level: float = 0.95) -> Pooled:
    """Random-effects mean of at least two effects.

    The variance between cohorts is DerSimonian and Laird's; the interval is Hartung and Knapp's
    with the variance never below the fixed one (Röver et al. 2015), since with few cohorts the
    plain normal interval is far too short.

    Source: DerSimonian and Laird, Controlled Clinical Trials 7 (1986); Knapp and Hartung,
    Statistics in Medicine 22 (2003).

    Examples:
        >>> found = pool([Effect(0.02, 1e-4, 9), Effect(0.03, 1e-4, 9), Effect(0.01, 1e-4, 9)])
        >>> round(found.mean, 4), found.low < 0.02 < found.high
        (0.02, True)
    """
    y = np.array([e.mean for e in effects])
    v = np.maximum([e.variance for e in effects], 1e-12)
    k = len(y)
    if k < 2:
        raise ValueError("pooling needs at least two cohorts")
    w = 1 / v
    fixed = (w * y).sum() / w.sum()
    q = (w * (y - fixed) ** 2).sum()
    tau2 = max(0.0, (q - (k - 1)) / (w.sum() - (w**2).sum() / w.sum()))
    w = 1 / (v + tau2)
    mean = (w * y).sum() / w.sum()
    spread = max(1.0, (w * (y - mean) ** 2).sum() / (k - 1))
    error = np.sqrt(spread / w.sum())
    half = stats.t.ppf((1 + level) / 2, k - 1) * error
    return Pooled(
        float(mean), float(mean - half), float(mean + half), float(error), float(np.sqrt(tau2)),
        float(2 * stats.t.sf(abs(mean) / error, k - 1)), tuple(float(x) for x in w / w.sum()),
    )  # fmt: skip


def detectable(effects: Sequence[Effect], power: float = 0.8, level: float = 0.95) -> float:
    """Size of a true mean effect that `pool` finds with that power, if cohorts differ as here."""
    degrees = len(effects) - 1
    quantiles = stats.t.ppf([(1 + level) / 2, power], degrees)
    return float(quantiles.sum() * pool(effects).error)
