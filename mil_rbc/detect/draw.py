"""An image with what a detector saw in it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mil_rbc.detect.detections import Detections
from mil_rbc.files import write_whole

CELL, CUT, REJECTED = (0, 130, 60), (40, 90, 220), (215, 70, 0)
"""Colours of boxes: whole cells, cells that a border cuts, and what is no cell."""


def draw(image: NDArray[np.uint8], found: Detections) -> Image.Image:
    """Draw boxes on a copy of an image: cells green, cut ones blue, the rest orange, with why.

    Args:
        image: `(H, W)` or `(H, W, 3)` uint8.
        found: what was seen in it.
    """
    picture = Image.fromarray(image).convert("RGB")
    pen = ImageDraw.Draw(picture)
    for rejected in found.rejected:
        x0, y0, x1, y1 = rejected.box
        pen.rectangle((x0, y0, x1 - 1, y1 - 1), outline=REJECTED)
        pen.text((x0 + 2, y1), rejected.reason, fill=REJECTED)
    whole = found.whole(image.shape[:2])
    for (x0, y0, x1, y1), complete in zip(found.boxes.tolist(), whole, strict=True):
        pen.rectangle((x0, y0, x1 - 1, y1 - 1), outline=CELL if complete else CUT, width=2)
    return picture


def write_drawing(folder: Path, name: str, image: NDArray[np.uint8], found: Detections) -> None:
    """Write the drawing of an image as a PNG file at its own path in a folder.

    Args:
        folder: where to.
        name: path of the image in its folder, such as `a/field1.tif`.
        image: its pixels.
        found: what was seen in it.

    Raises:
        RunError: if the file cannot be written.
    """
    buffer = io.BytesIO()
    draw(image, found).save(buffer, "PNG")
    write_whole(folder / f"{name}.png", buffer.getvalue())
