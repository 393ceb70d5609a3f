"""From what a camera saw to how much light a cell took away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.filters import gaussian, threshold_otsu


def absorbance(image: NDArray[np.uint8], *, blur: float = 1.0) -> NDArray[np.float32]:
    """Negative log of the light that comes through, with uneven illumination divided out.

    It is measured in green, where haemoglobin and eosin absorb most. The illumination is a
    quadratic surface fitted to the bright pixels.

    Args:
        image: `(H, W)` grey or `(H, W, 3)` RGB, uint8, cells darker than the background.
        blur: standard deviation in pixels of the smoothing against noise.

    Returns:
        `(H, W)` float32, 0 where nothing absorbs.
    """
    plane = image[..., 1] if image.ndim == 3 else image
    smooth = gaussian(plane.astype(np.float32), blur, preserve_range=True)
    log = -np.log(np.maximum(smooth, 1.0) / np.float32(255.0))
    y = np.linspace(-1, 1, log.shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, log.shape[1], dtype=np.float32)[None, :]
    terms = (np.ones_like(x * y), x + 0 * y, y + 0 * x, x * y, x * x + 0 * y, y * y + 0 * x)
    step = max(1, min(log.shape) // 100)
    values = log[::step, ::step].ravel()
    samples = np.stack([term[::step, ::step].ravel() for term in terms], axis=1)
    bright = values <= threshold_otsu(values) if np.ptp(values) > 0 else np.full(len(values), True)
    weights = np.linalg.lstsq(samples[bright], values[bright], rcond=None)[0]
    surface = sum(weight * term for weight, term in zip(weights, terms, strict=True))
    return np.asarray(np.clip(log - surface, 0.0, None), dtype=np.float32)
