"""Average precision of a detector on images whose cells are known."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mil_rbc.detect.detections import Detections, Detector
from mil_rbc.smears.render import Smear

Masks = Sequence[NDArray[np.bool_]]


@dataclass(frozen=True)
class Precision:
    """How well a detector does: average precision at two overlaps, and how fast.

    Attributes:
        ap50: average precision where a cell counts as found at intersection over union 0.5.
        ap75: the same at 0.75.
        images: number of images.
        cells: number of true cells.
        found: number of detections.
        seconds: time the detector took.
    """

    ap50: float
    ap75: float
    images: int
    cells: int
    found: int
    seconds: float


def mask_iou(
    boxes: NDArray[np.int64], masks: Masks, other_boxes: NDArray[np.int64], other_masks: Masks
) -> NDArray[np.float64]:
    """Intersection over union `(n, m)` of masks that are given as patches in their boxes."""
    overlap = np.zeros((len(boxes), len(other_boxes)))
    for i, ((x0, y0, x1, y1), mask) in enumerate(zip(boxes, masks, strict=True)):
        for j, ((u0, v0, u1, v1), other) in enumerate(zip(other_boxes, other_masks, strict=True)):
            a, b, c, d = max(x0, u0), max(y0, v0), min(x1, u1), min(y1, v1)
            if a < c and b < d:
                here = mask[b - y0 : d - y0, a - x0 : c - x0]
                there = other[b - v0 : d - v0, a - u0 : c - u0]
                shared = np.count_nonzero(here & there)
                overlap[i, j] = shared / (mask.sum() + other.sum() - shared)
    return overlap


def average_precision(
    pairs: Iterable[tuple[Detections, Smear]], thresholds: Sequence[float] = (0.5, 0.75)
) -> list[float]:
    """Area under the precision-recall curve, detections of all images ranked together.

    Within an image the surest detection first takes the free true cell it overlaps most; precision
    is made non-increasing before the area is taken, and who finds a difficult cell or misses it
    neither wins nor loses by it, as in PASCAL VOC since 2010.

    Args:
        pairs: the detections in each image and the truth about it.
        thresholds: least mask intersection over union at which a cell counts as found.

    Returns:
        One value in [0, 1] for each threshold.
    """
    outcomes: list[list[tuple[NDArray[np.float64], NDArray[np.bool_]]]] = [[] for _ in thresholds]
    cells = 0
    for found, truth in pairs:
        overlap = mask_iou(found.boxes, found.masks, truth.boxes, truth.masks)
        difficult = truth.difficult
        if difficult is None:
            difficult = np.zeros(len(truth.boxes), dtype=bool)
        cells += int(np.count_nonzero(~difficult))
        for threshold, of_threshold in zip(thresholds, outcomes, strict=True):
            outcome = _match(overlap, found.scores, threshold, difficult)
            of_threshold.append((found.scores[outcome >= 0], outcome[outcome >= 0] == 1))
    return [_area(of_threshold, cells) for of_threshold in outcomes]


def _match(
    overlap: NDArray[np.float64],
    scores: NDArray[np.float64],
    threshold: float,
    difficult: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """For each detection 1 if it finds a cell, 0 if not, -1 if it found a difficult one."""
    free = overlap.copy()
    outcome = np.zeros(len(scores), dtype=np.int64)
    for i in np.argsort(-scores, kind="stable"):
        if free.shape[1] and free[i].max() >= threshold:
            best = free[i].argmax()
            outcome[i] = -1 if difficult[best] else 1
            free[:, best] = 0.0
    return outcome


def _area(outcomes: list[tuple[NDArray[np.float64], NDArray[np.bool_]]], cells: int) -> float:
    if cells == 0:
        return float("nan")
    scores, hit = (np.concatenate(part) for part in zip(*outcomes, strict=True))
    hit = hit[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hit].sum() / cells)


def evaluate(detector: Detector, smears: Iterable[Smear]) -> Precision:
    """Average precision at 0.5 and 0.75 of a detector on rendered smears."""
    pairs: list[tuple[Detections, Smear]] = []
    seconds = 0.0
    for smear in smears:
        start = time.perf_counter()
        found = detector(smear.image)
        seconds += time.perf_counter() - start
        pairs.append((found, smear))
    ap50, ap75 = average_precision(pairs)
    return Precision(
        ap50=ap50,
        ap75=ap75,
        images=len(pairs),
        cells=sum(len(smear.boxes) for _, smear in pairs),
        found=sum(len(found) for found, _ in pairs),
        seconds=seconds,
    )
