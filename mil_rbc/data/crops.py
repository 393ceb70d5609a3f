"""Cutting single cells out of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 64
MARGIN = 0.15


def grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luminance (ITU-R 601) of an `(H, W)` or `(H, W, 3)` uint8 image, as `(H, W)` uint8."""
    if image.ndim == 2:
        return image
    red, green, blue = np.moveaxis(image[..., :3].astype(np.uint32), -1, 0)
    # Whole numbers: one pixel in 1000 lies half way, and floats would let the machine decide it.
    return np.asarray((299 * red + 587 * green + 114 * blue + 500) // 1000, dtype=np.uint8)


def stretch(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Min-max each `(N, H, W)` uint8 crop on its own, so that no cell rescales its neighbours."""
    low = crops.min(axis=(1, 2), keepdims=True).astype(np.float32)
    high = crops.max(axis=(1, 2), keepdims=True).astype(np.float32)
    scaled = (crops - low) / np.maximum(high - low, 1.0) * 255.0
    return np.asarray(np.rint(scaled), dtype=np.uint8)


def inside(boxes: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which `(n, 4)` boxes do not touch the border of an image of `shape` (height, width).

    A cell that the border cuts has a shape it does not have, so it belongs in no bag.
    """
    height, width = shape
    x0, y0, x1, y1 = boxes.T
    return np.asarray((x0 > 0) & (y0 > 0) & (x1 < width) & (y1 < height))


def cut(
    image: NDArray[np.uint8], boxes: NDArray[np.int64], *, margin: float = MARGIN
) -> NDArray[np.uint8]:
    """Cut out cells as grey 64x64 crops, each min-maxed on its own.

    The crop is the square around the box's longer side, widened by `margin` of it on every side;
    what lies beyond the image repeats its border.

    Args:
        image: `(H, W)` or `(H, W, 3)` uint8.
        boxes: `(n, 4)` int64 `x0, y0, x1, y1`, ends excluded.
        margin: share of the box's longer side that is added on each side.

    Returns:
        `(n, 64, 64)` uint8.
    """
    plane = grey(image)
    if len(boxes) == 0:
        return np.zeros((0, SIDE, SIDE), dtype=np.uint8)
    halves = [(0.5 + margin) * max(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes]
    pad = int(np.ceil(max(halves))) + 1
    source = Image.fromarray(np.pad(plane, pad, mode="edge"))
    crops = np.empty((len(boxes), SIDE, SIDE), dtype=np.uint8)
    for crop, half, (x0, y0, x1, y1) in zip(crops, halves, boxes, strict=True):
        cx, cy = (x0 + x1) / 2 + pad, (y0 + y1) / 2 + pad
        window = (cx - half, cy - half, cx + half, cy + half)
        crop[:] = np.asarray(source.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=window))
    return stretch(crops)
