"""What every detector is and returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mil_rbc.data.crops import inside


@dataclass(frozen=True)
class Rejected:
    """Something in an image that is no whole red cell, and why not.

    Attributes:
        box: `x0, y0, x1, y1` in pixels, ends excluded.
        reason: a few words.
    """

    box: tuple[int, int, int, int]
    reason: str


@dataclass(frozen=True)
class Detections:
    """Cells found in one image, the surest first.

    Attributes:
        boxes: `(n, 4)` int64 `x0, y0, x1, y1` in pixels, ends excluded.
        scores: `(n,)` float64, larger is surer.
        masks: for each cell a bool patch as large as its box.
        cut: `(n,)` bool, cells that the rim of a round field cuts; `None`: none of them.
        rejected: what else was seen.
    """

    boxes: NDArray[np.int64]
    scores: NDArray[np.float64]
    masks: tuple[NDArray[np.bool_], ...]
    cut: NDArray[np.bool_] | None = None
    rejected: tuple[Rejected, ...] = ()

    def __len__(self) -> int:
        return len(self.boxes)

    def whole(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """`(n,)` bool: which cells neither the image's border nor the field's rim cuts.

        Args:
            shape: height and width of the image.
        """
        whole = inside(self.boxes, shape)
        return whole if self.cut is None else whole & ~self.cut


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
