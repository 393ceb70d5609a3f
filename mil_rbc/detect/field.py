"""What a camera saw, made into what the smear took away: the lit field and its absorbance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import gaussian
from skimage.morphology import disk

DARK = 0.2
"""Where even the brightest channel has less than this share of the field's light is no field."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Field:
    """A field of view with the light divided out.

    Attributes:
        inside: `(H, W)` bool, what is lit: all of it, or the round field of an eyepiece.
        green: `(H, W)` absorbance in green, where haemoglobin and eosin absorb most; 0 outside.
        red: the same in red, where nuclei and platelets absorb and red cells hardly do; the same
            array as `green` if the image is grey.
        noise: standard deviation of the background's absorbance in green.
    """

    inside: NDArray[np.bool_]
    green: Array
    red: Array
    noise: float

    @property
    def coloured(self) -> bool:
        """Whether red tells anything that green does not."""
        return self.red is not self.green


def develop(image: NDArray[np.uint8], *, blur: float = 1.0) -> Field:
    """Find the lit field of an image and divide its uneven light out.

    Args:
        image: `(H, W)` grey or `(H, W, 3)` RGB uint8, cells darker than their background.
        blur: standard deviation in pixels of the smoothing against noise.
    """
    channels = image[..., None] if image.ndim == 2 else image[..., :3]
    inside = _lit(channels.max(axis=2))
    grey = channels.shape[2] == 1 or not np.any(channels[..., 0] != channels[..., 1])
    green, noise = _absorbance(channels[..., 0 if grey else 1], inside, blur)
    red = green if grey else _absorbance(channels[..., 0], inside, blur)[0]
    return Field(inside, green, red, noise)


def _lit(brightest: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """All but a wide dark surround that takes in a corner of the image."""
    light = np.percentile(brightest, 95)
    dark = brightest < DARK * light
    reach = max(3, min(dark.shape) // 40)  # wider than pointers and figures
    framed = np.pad(dark, reach, mode="edge")
    wide = ndimage.binary_opening(framed, disk(reach))[reach:-reach, reach:-reach]
    parts, _ = ndimage.label(wide)
    corners = {int(parts[i, j]) for i in (0, -1) for j in (0, -1)} - {0}
    if not corners:
        return np.ones(dark.shape, dtype=bool)
    surround = ndimage.binary_dilation(np.isin(parts, list(corners)), disk(3))
    lit, count = ndimage.label(~surround)
    if count == 0:
        return np.ones(dark.shape, dtype=bool)
    largest = np.bincount(lit.ravel())[1:].argmax() + 1
    return np.asarray(ndimage.binary_fill_holes(lit == largest))


def _absorbance(
    plane: NDArray[np.uint8], inside: NDArray[np.bool_], blur: float
) -> tuple[Array, float]:
    smooth = gaussian(plane.astype(np.float64), blur, preserve_range=True)
    log = -np.log(np.maximum(smooth, 1.0) / 255.0)
    surface, noise = _background(log, inside)
    return np.where(inside, log - surface, 0.0), noise


def _background(log: Array, inside: NDArray[np.bool_], degree: int = 4) -> tuple[Array, float]:
    """A polynomial surface through the background, and the noise about it.

    It starts from the bright end of each tile of a coarse grid, so that no dark thing can take it,
    and then is fitted to the pixels that are no darker than it by more than twice the noise.
    """
    height, width = log.shape
    y = np.linspace(-1, 1, height)[:, None]
    x = np.linspace(-1, 1, width)[None, :]
    step = max(1, int(np.sqrt(log.size / 20_000)))
    sampled = np.s_[step // 2 :: step, step // 2 :: step]
    rows, columns = np.nonzero(inside[sampled])
    values = log[sampled][rows, columns]
    at = y[sampled[0], 0][rows], x[0, sampled[1]][columns]
    tile = (rows * 10 // (rows.max() + 1)) * 10 + columns * 10 // (columns.max() + 1)
    order = np.lexsort((values, tile))
    start = np.flatnonzero(np.diff(tile[order], prepend=-1))
    counts = np.diff(np.append(start, len(order)))
    bright = order[start + counts // 10][counts >= 20]
    if len(bright) < 12:
        bright = np.argsort(values)[: max(1, len(values) // 2)]
    kept, terms = bright, _terms(*at, degree=2)
    weights: Array = np.zeros(terms.shape[1])
    for _ in range(4):  # tiles without any background fall out
        weights = np.asarray(np.linalg.lstsq(terms[kept], values[kept], rcond=None)[0], float)
        residual = values[bright] - terms[bright] @ weights
        spread = max(1.5 * float(np.median(np.abs(residual))), 0.005)
        kept = bright[residual < 2.5 * spread]
    residual = values - terms @ weights
    terms = _terms(*at, degree=degree)
    noise = 0.0
    for _ in range(6):
        centre = _mode(residual)
        below = residual[residual < centre] - centre
        noise = max(float(np.sqrt(np.mean(below**2))) if len(below) else 0.0, 0.003)
        near = np.abs(residual - centre) < 2.5 * noise
        if near.sum() < 10 * terms.shape[1]:
            break
        weights = np.asarray(np.linalg.lstsq(terms[near], values[near], rcond=None)[0], float)
        residual = values - terms @ weights
    return _surface(weights, y[:, 0], x[0]), noise


def _powers(terms: int) -> list[tuple[int, int]]:
    """Exponents of y and x of so many terms, the lower degrees first."""
    every = [(i, total - i) for total in range(5) for i in range(total + 1)]
    return every[:terms]


def _surface(weights: Array, y: Array, x: Array) -> Array:
    """The polynomial at every row and column."""
    table = np.zeros((5, 5))
    for (i, j), weight in zip(_powers(len(weights)), weights, strict=True):
        table[i, j] = weight
    return np.asarray(np.vander(y, 5, increasing=True) @ table @ np.vander(x, 5, increasing=True).T)


def _terms(y: Array, x: Array, *, degree: int) -> Array:
    """Products of powers `(n, terms)`, the lower degrees first."""
    powers = _powers((degree + 1) * (degree + 2) // 2)
    rows, columns = (np.vander(v, degree + 1, increasing=True) for v in (y, x))
    return np.stack([rows[:, i] * columns[:, j] for i, j in powers], axis=-1)


def _mode(values: Array) -> float:
    """The most frequent value: that of the background, if it is the largest part of one grey."""
    low, high = np.percentile(values, [0.5, 60.0])
    counts, edges = np.histogram(values, bins=64, range=(low, max(high, low + 1e-3)))
    smooth = np.convolve(counts, np.ones(5), mode="same")
    peak = int(smooth.argmax())
    return float((edges[peak] + edges[peak + 1]) / 2)
