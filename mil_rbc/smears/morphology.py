"""Red cells as optical-thickness profiles.

A cell is a function over the plane that says how much haemoglobin the light crosses at each point.
Lengths are in units of the radius of a normal cell, so a normal discocyte ends at distance 1.
Thickness is relative to the rim of a normal discocyte, where it is about 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MORPHOLOGIES = (
    "discocyte",
    "spherocyte",
    "sickle",
    "target",
    "stomatocyte",
    "echinocyte",
    "teardrop",
    "elliptocyte",
    "schistocyte",
)
ANOMALOUS = tuple(name != "discocyte" for name in MORPHOLOGIES)

REACH = 1.75
"""No cell extends farther than this from its centre, before it is scaled to its patient's size."""


def _evans_fung(rho2: Array, pallor: Array | float = 1.0) -> Array:
    """Thickness of the biconcave disc at squared radius `rho2` (Evans & Fung 1972, isotonic).

    `pallor` 1 is the published dimple, 0 fills it up.
    """
    inside = np.clip(1.0 - rho2, 0.0, 1.0)
    full = 0.75 * (1.0 - 0.45 * rho2)
    biconcave = 0.207 + 2.003 * rho2 - 1.123 * rho2**2
    return np.sqrt(inside) * (pallor * biconcave + (1.0 - pallor) * full) / 0.65


def _outline(theta: Array, rng: np.random.Generator, roughness: float) -> Array:
    """Radius of a slightly irregular outline: three low harmonics of random phase."""
    n = len(theta)
    radius = np.ones_like(theta)
    for k in (2, 3, 4):
        amplitude = rng.rayleigh(roughness / k, (n, 1, 1))
        radius += amplitude * np.cos(k * theta + rng.uniform(0, 2 * np.pi, (n, 1, 1)))
    return radius


def _between(rng: np.random.Generator, low: float, high: float, n: int) -> Array:
    return rng.uniform(low, high, (n, 1, 1))


def _discocyte(u: Array, v: Array, rng: np.random.Generator) -> Array:
    n = len(u)
    stretch = 1.0 + np.abs(rng.normal(0.0, 0.06, (n, 1, 1)))
    rho2 = (u / stretch) ** 2 + (v * stretch) ** 2
    rho2 = rho2 / _outline(np.arctan2(v, u), rng, 0.05) ** 2
    return _evans_fung(rho2, _between(rng, 0.35, 1.0, n))


def _spherocyte(u: Array, v: Array, rng: np.random.Generator) -> Array:
    n = len(u)
    radius = _between(rng, 0.70, 0.86, n) * _outline(np.arctan2(v, u), rng, 0.03)
    rho2 = (u**2 + v**2) / radius**2
    sphere = np.sqrt(np.clip(1.0 - rho2, 0.0, 1.0)) * _between(rng, 1.25, 1.6, n)
    dimple = _between(rng, 0.0, 0.25, n)  # some are only on their way to a sphere
    return sphere * (1.0 - dimple * np.exp(-rho2 / 0.12))


def _sickle(u: Array, v: Array, rng: np.random.Generator) -> Array:
    n = len(u)
    length, width = _between(rng, 1.25, 1.6, n), _between(rng, 0.3, 0.52, n)
    bend = _between(rng, 0.05, 0.45, n)
    along = u / length
    across = v - bend * (1.0 - 2.0 * along**2)  # the middle line is a parabola
    half = width * np.clip(1.0 - along**2, 0.0, 1.0) ** _between(rng, 0.6, 1.0, n)
    inside = np.clip(1.0 - (across / np.maximum(half, 1e-6)) ** 2, 0.0, 1.0)
    return np.sqrt(inside) * (half / width) ** 0.5 * _between(rng, 0.95, 1.35, n)


def _target(u: Array, v: Array, rng: np.random.Generator) -> Array:
    n = len(u)
    rho2 = (u**2 + v**2) / (
        _between(rng, 0.95, 1.15, n) * _outline(np.arctan2(v, u), rng, 0.05)
    ) ** 2
    bull = _between(rng, 0.45, 0.8, n) * np.exp(-rho2 / _between(rng, 0.03, 0.08, n))
    return 0.85 * _evans_fung(rho2, 1.0) + np.where(rho2 < 1, bull, 0.0)


def _stomatocyte(u: Array, v: Array, rng: np.random.Generator) -> Array:
    n = len(u)
    rho2 = (u**2 + v**2) / (0.95 * _outline(np.arctan2(v, u), rng, 0.04)) ** 2
    dome = _evans_fung(rho2, 0.0)
    slit = np.exp(-((u / _between(rng, 0.4, 0.65, n)) ** 4) - (v / _between(rng, 0.1, 0.2, n)) ** 2)
    return dome * (1.0 - _between(rng, 0.5, 0.85, n) * slit)


def _echinocyte(u: Array, v: Array, rng: np.random.Generator) -> Array:
    n = len(u)
    theta, radius = np.arctan2(v, u), np.hypot(u, v)
    spikes = rng.integers(9, 16, (n, 1, 1))
    phase = rng.uniform(0, 2 * np.pi, (n, 1, 1))
    crown = _between(rng, 0.04, 0.11, n) * np.cos(spikes * theta + phase)
    rho2 = (radius / (0.9 * (1.0 + crown) * _outline(theta, rng, 0.04))) ** 2
    # The same spicules seen from above: an inner ring of bumps, half a spike further round.
    inner = np.cos(np.round(spikes * 0.6) * theta + phase + np.pi / 2)
    ring = _between(rng, 0.1, 0.3, n) * inner * np.exp(-((np.sqrt(rho2) - 0.5) ** 2) / 0.02)
    return _evans_fung(rho2, _between(rng, 0.1, 0.7, n)) * (1.0 + ring)


def _teardrop(u: Array, v: Array, rng: np.random.Generator) -> Array:
    n = len(u)
    tail = _between(rng, 0.35, 0.7, n)
    theta = np.arctan2(v, u)
    drop = 0.85 * _outline(theta, rng, 0.03)
    drop = drop * (1.0 + tail * np.exp(-((theta / _between(rng, 0.22, 0.4, n)) ** 2)))
    return _evans_fung((u**2 + v**2) / drop**2, _between(rng, 0.3, 0.9, n))


def _elliptocyte(u: Array, v: Array, rng: np.random.Generator) -> Array:
    n = len(u)
    stretch = _between(rng, 1.18, 1.5, n)
    rho2 = (u / stretch) ** 2 + (v * stretch) ** 2
    return _evans_fung(
        rho2 / _outline(np.arctan2(v, u), rng, 0.03) ** 2, _between(rng, 0.2, 0.9, n)
    )


def _schistocyte(u: Array, v: Array, rng: np.random.Generator) -> Array:
    n = len(u)
    rho2 = (u**2 + v**2) / (0.9 * _outline(np.arctan2(v, u), rng, 0.12)) ** 2
    whole = _evans_fung(rho2, _between(rng, 0.0, 0.6, n))
    # One or two straight cuts; the edge is as steep as the light resolves.
    first = _between(rng, 0.0, 0.35, n) - v
    angle = _between(rng, 0.7, 2.2, n)
    second = _between(rng, 0.1, 1.0, n) - (u * np.sin(angle) + v * np.cos(angle))
    keep = np.clip(first / 0.12, 0.0, 1.0) * np.clip(second / 0.12, 0.0, 1.0)
    return whole * np.sqrt(keep) * 1.1


_PROFILE: dict[str, Callable[[Array, Array, np.random.Generator], Array]] = {
    "discocyte": _discocyte,
    "spherocyte": _spherocyte,
    "sickle": _sickle,
    "target": _target,
    "stomatocyte": _stomatocyte,
    "echinocyte": _echinocyte,
    "teardrop": _teardrop,
    "elliptocyte": _elliptocyte,
    "schistocyte": _schistocyte,
}


def thickness(
    morphology: str, radius: Array, rng: np.random.Generator, shift: Array | None = None
) -> Array:
    """Optical thickness of cells of one morphology, each in its own square patch.

    Args:
        morphology: one of `MORPHOLOGIES`.
        radius: `(n,)` radius in pixels that a normal cell of this size would have.
        rng: draws the pose and everything in which two cells of a morphology differ.
        shift: `(n, 2)` sub-pixel offset (row, column) of the centre; none by default.

    Returns:
        `(n, s, s)` float64 thickness, 1 at the rim of a normal cell, 0 outside; the centre of the
        patch is the centre of the cell.

    Examples:
        >>> import numpy as np
        >>> patch = thickness("discocyte", np.array([20.0]), np.random.default_rng(0))
        >>> patch.shape
        (1, 71, 71)
    """
    half = int(np.ceil(REACH * radius.max()))
    grid = np.arange(-half, half + 1, dtype=np.float64)
    offset = np.zeros((len(radius), 2)) if shift is None else shift
    y = (grid[None, :, None] - offset[:, :1, None]) / radius[:, None, None]
    x = (grid[None, None, :] - offset[:, 1:, None]) / radius[:, None, None]
    angle = rng.uniform(0, 2 * np.pi, (len(radius), 1, 1))
    mirror = rng.choice([-1.0, 1.0], (len(radius), 1, 1))
    u = x * np.cos(angle) + y * np.sin(angle)
    v = mirror * (y * np.cos(angle) - x * np.sin(angle))
    return _PROFILE[morphology](u, v, rng)
