"""Cells by threshold, distance transform and watershed (scikit-image)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import gaussian, threshold_otsu
from skimage.measure import regionprops
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from mil_rbc.detect.detections import Detections
from mil_rbc.errors import DataError
from mil_rbc.smears.light import absorbance


@dataclass(frozen=True)
class Watershed:
    """Separate dark cells from a bright background, and touching cells from each other.

    Attributes:
        edge: a cell ends where less is absorbed than this share of Otsu's threshold, which lies
            half way up the cell's slope.
        smallest: a region smaller than this share of the typical cell's area is dust.
        waist: how much shallower, in radii of the typical cell, the waist between two cells has
            to be than the cells for them to be taken for two.
    """

    edge: float = 0.6
    smallest: float = 0.15
    waist: float = 0.08

    def __call__(self, image: NDArray[np.uint8]) -> Detections:
        """Find the cells in an `(H, W)` or `(H, W, 3)` uint8 image with a bright background."""
        depth = absorbance(image)
        if np.ptp(depth) < 0.02:  # an empty field
            return _collect(np.zeros(depth.shape, dtype=np.int32), depth)
        mask = ndimage.binary_fill_holes(depth > self.edge * threshold_otsu(depth))
        components, count = ndimage.label(ndimage.binary_opening(mask, iterations=1))
        if count == 0:
            return _collect(components, depth)
        typical = _typical_area(components)
        sizes = np.bincount(components.ravel())
        components[(sizes < self.smallest * typical)[components]] = 0
        radius = np.sqrt(typical / np.pi)
        distance = gaussian(ndimage.distance_transform_edt(components > 0), 0.05 * radius)
        markers, _ = ndimage.label(
            h_maxima(distance, self.waist * radius), structure=np.ones((3, 3))
        )
        regions = watershed(-distance, markers, mask=components > 0)
        sizes = np.bincount(regions.ravel())
        regions[(sizes < self.smallest * typical)[regions]] = 0
        return _collect(regions, depth)

    def roi_features(
        self, image: NDArray[np.uint8], boxes: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Always an error: only Mask R-CNN has features."""
        raise DataError(
            "detector 'watershed' has no RoI features: use --detector maskrcnn --weights FILE, or "
            "ask for crops only"
        )


def _typical_area(components: NDArray[np.int32]) -> float:
    """Area of the component in which the median foreground pixel lies, clumps counted by parts."""
    sizes = np.sort(np.bincount(components.ravel())[1:])
    middle = np.searchsorted(np.cumsum(sizes), sizes.sum() / 2)
    large = sizes[sizes > 0.1 * sizes[middle]]
    return float(np.median(large))


def _collect(regions: NDArray[np.int32], depth: NDArray[np.float32]) -> Detections:
    found = regionprops(regions, intensity_image=depth)
    # A whole cell is convex or nearly so and stands out from the background.
    scores = np.array([cell.solidity * min(1.0, 5 * cell.intensity_mean) for cell in found])
    order = np.argsort(-scores, kind="stable")
    boxes = np.array(
        [(x0, y0, x1, y1) for y0, x0, y1, x1 in (found[i].bbox for i in order)], dtype=np.int64
    ).reshape(-1, 4)
    masks = tuple(np.asarray(found[i].image, dtype=bool) for i in order)
    return Detections(boxes, scores[order].astype(np.float64).reshape(-1), masks)
