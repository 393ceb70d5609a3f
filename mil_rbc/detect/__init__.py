"""Finding single cells in smear images.

Two detectors behind one interface: `watershed` needs no weights, `maskrcnn` is a trained network
that also gives RoI features.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mil_rbc.detect.detections import Detections, Detector
from mil_rbc.errors import DataError

__all__ = ["Detections", "Detector", "Name", "make"]

Name = Literal["watershed", "maskrcnn"]


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
