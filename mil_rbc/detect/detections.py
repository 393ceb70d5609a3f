"""What every detector is and returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Detections:
    """Cells found in one image, the surest first.

    Attributes:
        boxes: `(n, 4)` int64 `x0, y0, x1, y1` in pixels, ends excluded.
        scores: `(n,)` float64, larger is surer.
        masks: for each cell a bool patch as large as its box.
    """

    boxes: NDArray[np.int64]
    scores: NDArray[np.float64]
    masks: tuple[NDArray[np.bool_], ...]

    def __len__(self) -> int:
        return len(self.boxes)


class Detector(Protocol):
    """Anything that finds cells in an image."""

    def __call__(self, image: NDArray[np.uint8]) -> Detections:
        """Find the cells in a `(H, W, 3)` uint8 RGB image."""
        ...

    def roi_features(
        self, image: NDArray[np.uint8], boxes: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Features `(n, 256, 14, 14)` of boxes `(n, 4)` in an image."""
        ...
