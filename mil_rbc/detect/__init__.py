"""Finding single cells in smear images.

Two detectors behind one interface: `watershed` needs no weights, `maskrcnn` is a trained network
that also gives RoI features.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mil_rbc.bags import DataError

__all__ = ["Detections", "Detector", "Name", "make"]

Name = Literal["watershed", "maskrcnn"]


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


def make(name: Name = "watershed", *, weights: Path | None = None, device: str = "cpu") -> Detector:
    """Make a detector by name.

    Args:
        name: `"watershed"` or `"maskrcnn"`.
        weights: file that `python -m mil_rbc.detect train` wrote; for `maskrcnn` only.
        device: where `maskrcnn` runs, as torch names it.

    Raises:
        DataError: if the name is unknown, or `maskrcnn` lacks its weights or torchvision.
    """
    if name == "watershed":
        from mil_rbc.detect.watershed import Watershed

        return Watershed()
    if name == "maskrcnn":
        if weights is None:
            raise DataError(
                "detector 'maskrcnn' needs weights: give --weights FILE, made by "
                "'python -m mil_rbc.detect train'"
            )
        from mil_rbc.detect.maskrcnn import MaskRCNN

        return MaskRCNN.load(weights, device=device)
    raise DataError(f"unknown detector {name!r}: use 'watershed' or 'maskrcnn'")
