"""The rendered cohort: synthetic smears of synthetic patients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mil_rbc.data.bags import Bag, Cohort
from mil_rbc.data.crops import cut, inside
from mil_rbc.errors import DataError
from mil_rbc.smears.morphology import ANOMALOUS, MORPHOLOGIES
from mil_rbc.smears.recipe import RECIPES, Recipe, Sample, Size
from mil_rbc.smears.render import Smear, smears

Detect = Callable[[NDArray[np.uint8]], NDArray[np.int64]]
"""Finds cells: `(H, W, 3)` uint8 image -> `(n, 4)` int64 boxes."""

PROVENANCE = (
    "Synthetic: red cells rendered from optical-thickness profiles, patients drawn from a recipe "
    "that mirrors the paper's cohort; no image shows a real cell."
)


def load(
    *,
    seed: int = 0,
    size: Size = "default",
    detect: Detect | None = None,
    recipe: Recipe | None = None,
) -> Cohort:
    """Render a cohort of five classes that mirrors the paper's.

    Args:
        seed: the draw of patients, cells and nuisance.
        size: `"smoke"` (15 patients), `"default"` (40 patients, 100 samples) or `"paper"`
            (71 patients, 521 samples, 3,630 images).
        recipe: a recipe of one's own instead of the one of that size.
        detect: finds the cells; by default they are cut out by their known boxes, which agrees
            with a good detector and is faster.

    Returns:
        A cohort of 64x64 crops with the morphology of every cell.

    Raises:
        DataError: if the detector finds no cell in a sample.

    Examples:
        >>> load(seed=0, size="smoke").classes[0]
        'control'
    """
    recipe = recipe or RECIPES[size]
    bags = [_bag(sample, images, detect) for sample, images in smears(recipe, seed)]
    return Cohort(
        name="rendered",
        kind="crop",
        classes=tuple(disease.name for disease in recipe.diseases),
        control=0,
        bags=bags,
        cell_classes=MORPHOLOGIES,
        anomalous=ANOMALOUS,
        provenance=PROVENANCE,
    )


def _bag(sample: Sample, images: list[Smear], detect: Detect | None) -> Bag:
    crops, names, labels = [], [], []
    for smear in images:
        if detect is None:
            boxes, of_box = smear.boxes, np.arange(len(smear.boxes))
        else:
            boxes = detect(smear.image)
            of_box = match(boxes, smear.boxes)
        whole = inside(boxes, smear.image.shape[:2])
        crops.append(cut(smear.image, boxes[whole]))
        names += [smear.name] * int(whole.sum())
        labels += [
            MORPHOLOGIES.index(smear.morphologies[i]) if i >= 0 else -1 for i in of_box[whole]
        ]
    instances = np.concatenate(crops)
    if len(instances) == 0:
        raise DataError(
            f"no cell was found in the {len(images)} images of sample {sample.name!r}: check the "
            f"detector's settings"
        )
    return Bag(
        bag=sample.name,
        patient=sample.patient,
        label=sample.label,
        instances=instances,
        images=np.array(names),
        cell_labels=np.array(labels, dtype=np.int64),
    )


def match(
    boxes: NDArray[np.int64], truth: NDArray[np.int64], *, iou: float = 0.5
) -> NDArray[np.int64]:
    """For each of `(n, 4)` boxes the true box it overlaps most, or -1 below `iou`."""
    if len(truth) == 0 or len(boxes) == 0:
        return np.full(len(boxes), -1, dtype=np.int64)
    low = np.maximum(boxes[:, None, :2], truth[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], truth[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (boxes, truth)]
    overlap = shared / (areas[0][:, None] + areas[1][None, :] - shared)
    best = overlap.argmax(axis=1)
    return np.where(overlap[np.arange(len(boxes)), best] >= iou, best, -1).astype(np.int64)
