"""Red cells by threshold, distance transform and watershed (scikit-image)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.measure import regionprops
from skimage.morphology import disk, h_maxima
from skimage.segmentation import watershed

from mil_rbc.detect.detections import Detections, Rejected
from mil_rbc.detect.field import Field, develop
from mil_rbc.errors import DataError

Array = NDArray[np.float64]
Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Watershed:
    """Separate dark cells from a bright background, and touching cells from each other.

    Attributes:
        edge: a cell ends where less is absorbed than this share of Otsu's threshold, which lies
            half way up the cell's slope.
        smallest: a region smaller than this share of the typical cell's area is a platelet or dust.
        largest: a region larger than this share is no single red cell.
        waist: how much shallower, in radii of the typical cell, the waist between two cells has
            to be than the cells for them to be taken for two.
        crowded: a region larger than this share is parted at its overlaps too, where it absorbs
        doubled: more than this many times its own median.
        opaque: what absorbs more than this many times as much as the usual red cell is a nucleus,
            a pointer or a scale bar.
        purple: the same in red light, where red cells absorb little.
        hidden: a region with more than this share of its outline along such a thing is dropped.
        stained: a small region that absorbs more in red, against green, than this many times the
            usual share is a platelet.
    """

    edge: float = 0.6
    smallest: float = 0.15
    largest: float = 2.2
    waist: float = 0.08
    crowded: float = 1.5
    doubled: float = 1.4
    opaque: float = 3.5
    purple: float = 3.5
    hidden: float = 0.25
    stained: float = 1.6

    def __call__(self, image: NDArray[np.uint8]) -> Detections:
        """Find the cells in an `(H, W)` or `(H, W, 3)` uint8 image with a bright background."""
        field = develop(image)
        seen = field.inside & (field.green > max(6.0 * field.noise, 0.02))
        if seen.sum() < 20:  # an empty field
            return _NONE
        usual = float(np.median(field.green[seen]))
        obstacles = self._obstacles(field, seen, usual)
        level = self._level(field, usual)
        mask = ndimage.binary_opening(field.inside & (field.green > level)) & ~obstacles
        radius = _radius(mask)
        if radius < 2.0:
            return _NONE
        mask = _fill(mask, field, level, radius)
        regions = self._split(mask, field.green, radius)
        return _sort(self, regions, field, obstacles, usual, radius)

    def _level(self, field: Field, usual: float) -> float:
        """Where cells end. What is darker than two cells one on another has no say."""
        values = np.minimum(field.green[field.inside], 2.0 * usual)
        return max(self.edge * float(threshold_otsu(values)), 4.0 * field.noise)

    def _obstacles(self, field: Field, seen: Mask, usual: float) -> Mask:
        """Nuclei, pointers, scale bars: far darker than red cells, or dark in red as well."""
        dark = field.green > self.opaque * usual
        if field.coloured:
            usual_red = max(float(np.median(field.red[seen])), 2 * field.noise, 0.03)
            dark |= (field.red > self.purple * usual_red) & (field.green > usual)
        dark = ndimage.binary_opening(dark & field.inside, disk(1))
        return np.asarray(ndimage.binary_dilation(dark, disk(2)))

    def _split(self, mask: Mask, depth: Array, radius: float) -> Labels:
        """Part cells at their waists, and what stays too large for one at its overlaps as well."""
        regions = self._part(mask, mask, radius)
        sizes = np.bincount(regions.ravel())
        large = np.flatnonzero(sizes[1:] > self.crowded * np.pi * radius**2) + 1
        for label, place in enumerate(ndimage.find_objects(regions), 1):
            if label not in large or place is None:
                continue
            clump = np.pad(regions[place] == label, 1)
            dark = np.pad(depth[place], 1)
            overlap = dark > self.doubled * np.median(dark[clump])
            parts = self._part(clump, clump & ~overlap, radius)[1:-1, 1:-1]
            inside = (parts > 1) & (regions[place] == label)
            regions[place][inside] = regions.max() + parts[inside]
        return regions

    def _part(self, mask: Mask, open_: Mask, radius: float) -> Labels:
        distance = gaussian(ndimage.distance_transform_edt(open_), 0.05 * radius)
        markers, _ = ndimage.label(
            h_maxima(distance, self.waist * radius), structure=np.ones((3, 3))
        )
        return np.asarray(watershed(-distance, markers, mask=mask), dtype=np.int32)

    def roi_features(
        self, image: NDArray[np.uint8], boxes: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Always an error: only Mask R-CNN has features."""
        raise DataError(
            "detector 'watershed' has no RoI features: use --detector maskrcnn --weights FILE, or "
            "ask for crops only"
        )


def _radius(mask: Mask) -> float:
    """Radius of the typical cell: the depth at which the median cell's middle lies.

    Clumps have a middle for each of their cells, so they do not count as large ones; each middle
    weighs as much as its disc, so that dust does not count.
    """
    distance = ndimage.distance_transform_edt(mask)
    middles = peak_local_max(gaussian(distance, 1.0), min_distance=3, exclude_border=False)
    depths = np.sort(distance[tuple(middles.T)])
    if len(depths) == 0:
        return 0.0
    weight = np.cumsum(depths**2)
    return float(depths[np.searchsorted(weight, weight[-1] / 2)])


def _fill(mask: Mask, field: Field, level: float, radius: float) -> Mask:
    """Fill the pale middles of cells, not the gaps between cells that touch."""
    holes, count = ndimage.label(ndimage.binary_fill_holes(mask) & ~mask & field.inside)
    if count == 0:
        return mask
    cell = np.pi * radius**2
    filled: Mask = mask.copy()
    for hole in regionprops(holes, intensity_image=field.green):
        round_ = hole.solidity > 0.88 and hole.eccentricity < 0.8 and hole.area > 0.06 * cell
        if hole.area < 0.7 * cell and (round_ or hole.intensity_mean > 0.7 * level):
            filled[hole.slice] |= hole.image
    return filled


def _sort(
    rule: Watershed, regions: Labels, field: Field, obstacles: Mask, usual: float, radius: float
) -> Detections:
    """Tell cells from what is none, with the reason."""
    cell = np.pi * radius**2
    rim = ndimage.binary_dilation(~field.inside, disk(2))
    touch = ndimage.binary_dilation(obstacles, disk(2))
    both = np.stack([field.green, field.red], axis=-1)
    found = regionprops(regions, intensity_image=both)
    tints = np.array([region.intensity_mean[1] / region.intensity_mean[0] for region in found])
    tint = float(np.median(tints)) if len(tints) else 1.0
    cells, scores, cut, rejected = [], [], [], []
    for region, own in zip(found, tints, strict=True):
        edge = region.image & ~ndimage.binary_erosion(region.image)
        reason = ""
        if touch[region.slice][edge].mean() > rule.hidden:
            reason = "hidden in part"
        elif region.area < rule.smallest * cell:
            reason = "too small"
        elif own > max(rule.stained * tint, 0.1) and region.area < 0.5 * cell:
            reason = "stained like a platelet"
        elif region.area > rule.largest * cell:
            reason = "too large"
        if reason:
            rejected.append(Rejected(_box(region.bbox), reason))
            continue
        cells.append(region)
        cut.append(bool(rim[region.slice][edge].any()))
        scores.append(region.solidity * min(1.0, region.intensity_mean[0] / usual))
    for place in ndimage.find_objects(ndimage.label(obstacles)[0]):
        y, x = place
        rejected.append(Rejected((x.start, y.start, x.stop, y.stop), "nucleus, pointer or bar"))
    order = np.argsort(-np.array(scores), kind="stable")
    return Detections(
        boxes=np.array([_box(cells[i].bbox) for i in order], dtype=np.int64).reshape(-1, 4),
        scores=np.array([scores[i] for i in order], dtype=np.float64),
        masks=tuple(np.asarray(cells[i].image, dtype=bool) for i in order),
        cut=np.array([cut[i] for i in order], dtype=bool),
        rejected=tuple(rejected),
    )


def _box(bbox: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    y0, x0, y1, x1 = bbox
    return x0, y0, x1, y1


_NONE = Detections(np.zeros((0, 4), dtype=np.int64), np.zeros(0), ())
