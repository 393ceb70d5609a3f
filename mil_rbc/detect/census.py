"""How many cells each image shows and how large they are, and which images are odd."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mil_rbc.detect.detections import Detections

FEW, FACTOR, LARGER = 5, 3.0, 1.5
"""Fewer whole cells than this are few anywhere; counts and sizes may differ by these factors."""


@dataclass
class Census:
    """Counts and sizes of the whole cells of every image that a detector has seen.

    Examples:
        >>> census = Census()
        >>> for n in (40, 50, 45, 3):
        ...     census.add(f"{n}.png", n, 30.0)
        >>> census.odd()
        ['3.png: 3 whole cells, where the median image shows 42: look at what was found (--draw)']
    """

    names: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    sides: list[float] = field(default_factory=list)

    def see(self, name: str, image: NDArray[np.uint8], found: Detections) -> None:
        """Count the whole cells of an image."""
        boxes = found.boxes[found.whole(image.shape[:2])]
        sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1) if len(boxes) else np.zeros(0)
        self.add(name, len(boxes), float(np.median(sides)) if len(sides) else 0.0)

    def add(self, name: str, count: int, side: float) -> None:
        """Note an image with its number of cells and the median of their longer sides in pixels."""
        self.names.append(name)
        self.counts.append(count)
        self.sides.append(side)

    def odd(self) -> list[str]:
        """A sentence on each image that shows far fewer, more, smaller or larger cells."""
        if not self.counts:
            return []
        said = []
        usual = float(np.median(self.counts))
        shown = [side for side in self.sides if side > 0]
        size = float(np.median(shown)) if shown else 0.0
        for name, count, side in zip(self.names, self.counts, self.sides, strict=True):
            what = ""
            if not usual / FACTOR <= count <= usual * FACTOR:
                what = f"{count} whole cells, where the median image shows {usual:.0f}"
            elif count < FEW:
                what = f"only {count} whole cells"
            elif not size / LARGER <= side <= size * LARGER:
                what = (
                    f"cells {side:.0f} pixels wide, where those of the median image are {size:.0f}"
                )
            if what:
                said.append(f"{name}: {what}: look at what was found (--draw)")
        return said
