"""Testing a model on bags: probabilities, cell scores, metrics per bag and per patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import f1_score, roc_auc_score

from mil_rbc.data.bags import Cohort
from mil_rbc.model.mil import MILModel, Output
from mil_rbc.model.topology import InputSpace, evenly, matched

if TYPE_CHECKING:
    from mil_rbc.model.objective import BagData
    from mil_rbc.training.trial import Trial

Floats = NDArray[np.float64]


@dataclass
class Prediction:
    """What a model says of one bag of N cells.

    Attributes:
        index: which bag of the cohort.
        label: its class.
        probabilities: (C,).
        weights: (N,) how much each cell counts in the pooling.
        attention, anomaly: (N,) or `None`.
        matched: share of the N-1 pairs that image space and latents have in common.
        spearman: rank correlation of A^X and A^Z over all pairs of cells, of a large bag's over
            those of some of its cells; nan below three cells.
    """

    index: int
    label: int
    probabilities: Floats
    weights: Floats
    attention: Floats | None
    anomaly: Floats | None
    matched: float
    spearman: float


@torch.no_grad()
def _output(model: MILModel, bag: BagData) -> Output:
    training = model.training
    model.eval()
    out: Output = model(bag.instances[None])
    model.train(training)
    return out


def _probabilities(out: Output) -> Floats:
    return _numpy(out.bag[0].double().softmax(0))


def glance(model: MILModel, bags: Sequence[BagData]) -> tuple[float, float]:
    """Accuracy and cross-entropy on bags: what an epoch is watched by, and nothing further."""
    labels = np.array([int(bag.label) for bag in bags])
    probabilities = np.stack([_probabilities(_output(model, bag)) for bag in bags])
    return _accuracy(labels, probabilities), _cross_entropy(labels, probabilities)


def evaluate(model: MILModel, bag: BagData, index: int) -> Prediction:
    """Test a model on one bag."""
    out = _output(model, bag)
    assert bag.space is not None
    n, latents = len(bag.instances), out.latents[0].float()
    pooled = out.pooled
    return Prediction(
        index=index,
        label=int(bag.label),
        probabilities=_probabilities(out),
        weights=_numpy(pooled.weights[0]),
        attention=None if pooled.attention is None else _numpy(pooled.attention[0]),
        anomaly=None if pooled.anomaly is None else _numpy(pooled.anomaly[0]),
        matched=float(matched(bag.space, latents)) / max(n - 1, 1),
        spearman=_rank_correlation(bag.space, latents),
    )


def _numpy(x: torch.Tensor) -> Floats:
    return x.double().cpu().numpy()


def _rank_correlation(space: InputSpace, latents: torch.Tensor) -> float:
    cells = evenly(len(latents)).to(latents.device)
    upper = tuple(torch.triu_indices(len(cells), len(cells), offset=1))
    a = space.distances(cells)[upper].cpu().numpy()
    b = torch.pdist(latents[cells]).cpu().numpy()
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(spearmanr(a, b).statistic)


def mean_known(values: list[float]) -> float:
    """Mean of the values that are not nan; nan if none is."""
    known = [v for v in values if v == v]
    return float(np.mean(known)) if known else float("nan")


def score(
    predictions: list[Prediction], classes: tuple[str, ...], patients: list[str] | None = None
) -> dict[str, Any]:
    """Metrics of a test fold, per bag or (with each bag's patient given) per patient.

    Accuracy, F1 weighted by class size (the paper's "F1"), F1 averaged over classes, balanced
    accuracy, AUROC one-vs-rest averaged over classes, and cross-entropy. A patient's probability
    is the mean over the patient's bags. Classes that the fold lacks are left out of averages and
    named in `missing`. Names start with `patient_` where patients are given.
    """
    labels = np.array([p.label for p in predictions])
    probabilities = np.stack([p.probabilities for p in predictions])
    if patients is not None:
        who = np.array([patients[p.index] for p in predictions])
        names = np.unique(who)
        probabilities = np.stack([probabilities[who == name].mean(0) for name in names])
        labels = np.array([labels[who == name][0] for name in names])
    guess = probabilities.argmax(1)
    present = np.unique(labels)
    values: dict[str, Any] = {
        "accuracy": _accuracy(labels, probabilities),
        "f1_weighted": float(f1_score(labels, guess, average="weighted", zero_division=0)),
        "f1_macro": float(
            f1_score(labels, guess, labels=present, average="macro", zero_division=0)
        ),
        "balanced_accuracy": _balanced(labels, guess),
        "auroc": auroc(labels, probabilities),
        "cross_entropy": _cross_entropy(labels, probabilities),
        "missing": " ".join(c for k, c in enumerate(classes) if k not in present),
    }
    prefix = "" if patients is None else "patient_"
    return {prefix + name: value for name, value in values.items()}


def _accuracy(labels: NDArray[Any], probabilities: Floats) -> float:
    return float((probabilities.argmax(1) == labels).mean())


def _cross_entropy(labels: NDArray[Any], probabilities: Floats) -> float:
    likelihood = np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)
    return float(-np.log(likelihood).mean())


def _balanced(labels: NDArray[Any], guess: NDArray[Any]) -> float:
    hits = [float((guess[labels == k] == k).mean()) for k in np.unique(labels)]
    return float(np.mean(hits))


def auroc(labels: NDArray[Any], probabilities: Floats) -> float:
    """Area under the ROC curve, one class against the rest, averaged over the classes present.

    nan where only one class is present, since then there is nothing to tell apart.
    """
    present = np.unique(labels)
    if len(present) < 2:
        return float("nan")
    return float(np.mean([roc_auc_score(labels == k, probabilities[:, k]) for k in present]))


def prediction_rows(trial: Trial, cohort: Cohort, predictions: list[Prediction]) -> pd.DataFrame:
    """One row per test bag, as in `predictions.csv`."""
    rows = []
    for p in predictions:
        bag = cohort.bags[p.index]
        rows.append({
            "run": trial.run, "fold": trial.fold,
            "pooling": trial.pooling, "topology": trial.topology,
            "patient": bag.patient, "bag": bag.bag, "label": cohort.classes[bag.label],
            "prediction": cohort.classes[int(p.probabilities.argmax())],
            **{f"p_{c}": v for c, v in zip(cohort.classes, p.probabilities, strict=True)},
            "cells": len(bag), "matched": p.matched, "spearman": p.spearman,
        })  # fmt: skip
    return pd.DataFrame(rows)


def instance_rows(trial: Trial, cohort: Cohort, predictions: list[Prediction]) -> pd.DataFrame:
    """One row per cell of the test bags, as in `instances.csv`; empty where there is no score."""
    frames = []
    for p in predictions:
        bag = cohort.bags[p.index]
        n = len(bag)
        known = bag.known_labels()
        frames.append(pd.DataFrame({
            "run": trial.run, "fold": trial.fold,
            "pooling": trial.pooling, "topology": trial.topology,
            "patient": bag.patient, "bag": bag.bag, "image": bag.images, "cell": np.arange(n),
            "weight": p.weights,
            "attention": np.full(n, np.nan) if p.attention is None else p.attention,
            "anomaly_score": np.full(n, np.nan) if p.anomaly is None else p.anomaly,
            "cell_label": [cohort.cell_classes[k] if k >= 0 else "" for k in known],
            "anomalous": [int(cohort.anomalous[k]) if k >= 0 and cohort.anomalous else ""
                          for k in known],
        }))  # fmt: skip
    return pd.concat(frames, ignore_index=True)
