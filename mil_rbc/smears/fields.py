"""Fields of view with what cohorts leave out: leukocytes, platelets, clumps, pointers, dark rims.

They measure detectors; no model is trained on them. The truth is the red cells: whatever else lies
in a field is none, and a cell that a rim, a pointer or a leukocyte hides in part is difficult.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mil_rbc.smears.morphology import MORPHOLOGIES
from mil_rbc.smears.render import Appearance, Smear, paint, photograph

Kind = Literal[
    "plain", "round", "leukocytes", "platelets", "clumps", "pointer", "pale", "uneven", "all"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""`all` has every trouble at once."""

DEVELOPMENT_SEED, TEST_SEED = 101, 202
"""Settings of a detector are chosen on fields of the first seed, numbers are told of the second."""

SHAPE = (480, 640)
CELLS = (65, 85)
HIDDEN = 0.1
"""A cell of which more than this share is hidden is difficult."""

Array = NDArray[np.float64]


def fields(kind: Kind, seed: int) -> Iterator[Smear]:
    """Fields of one kind without end, each the same however many are drawn.

    Examples:
        >>> field = next(fields("round", DEVELOPMENT_SEED))
        >>> field.image.shape, int(field.image[0, 0].max()) < 60
        ((480, 640, 3), True)
    """
    number = 0
    while True:
        yield render_field(kind, seed, number)
        number += 1


def render_field(kind: Kind, seed: int, number: int) -> Smear:
    """Render one field of a kind with 65 to 85 red cells."""
    rng = np.random.default_rng([seed, 3, KINDS.index(kind), number])
    has = {name: kind in (name, "all") for name in KINDS}
    look = Appearance.draw(rng)
    rim = _rim(rng) if has["round"] else np.full(SHAPE, np.inf)
    taken: list[tuple[float, float, float]] = []  # row, column, radius
    stained = np.zeros((*SHAPE, 3))
    nuclei = np.zeros(SHAPE)
    if has["leukocytes"]:
        for _ in range(rng.integers(1, 4)):
            spot = _free(taken, look.radius * rng.uniform(1.6, 2.1), 1.1, rim, rng)
            taken.append(spot)
            _leukocyte(stained, nuclei, spot, look.radius, rng)
    cells = _clumps(look.radius, taken, rim, rng) if has["clumps"] else []
    wanted = int(rng.integers(*CELLS))
    while len(cells) < wanted:
        radius = look.radius * np.exp(rng.normal(0.0, 0.06))
        gap = rng.choice([1.12, 0.8], p=[5 / 6, 1 / 6])
        spot = _free([*taken, *cells], radius, gap, rim, rng)
        if spot[2] == 0.0:  # the field is full
            break
        cells.append(spot)
    if has["platelets"]:
        for _ in range(rng.integers(10, 25)):
            spot = _free([*taken, *cells], look.radius * rng.uniform(0.15, 0.4), 1.1, rim, rng)
            taken.append(spot)
            _stain(stained, spot, rng.uniform(0.6, 1.2), PLATELET)
    if has["pale"]:
        look = replace(look, absorbance=look.absorbance * rng.uniform(0.3, 0.45))
    odd = rng.random(len(cells)) < 0.25
    names = tuple(str(rng.choice(MORPHOLOGIES[1:])) if o else "discocyte" for o in odd)
    table = np.array(cells)
    canvas, boxes, masks = paint(names, table[:, 2], table[:, :2], SHAPE, rng)
    shade = np.clip(rim, 0.0, 1.0) if has["round"] else np.ones(SHAPE)
    if has["pointer"]:
        shade = np.minimum(shade, _pointer(rng))
    if has["uneven"]:
        shade = shade * _falling(rng)
    shade = np.maximum(shade, rng.uniform(0.02, 0.08))
    image = photograph(canvas, look, rng, stained=stained, shade=shade)
    opaque = (np.clip(rim, 0, 1) < 0.5) | (shade < 0.2) | (nuclei > 0)
    hidden = np.array([
        (opaque[y0:y1, x0:x1] & mask).sum() / mask.sum()
        for (x0, y0, x1, y1), mask in zip(boxes, masks, strict=True)
    ])  # fmt: skip
    return Smear(f"{kind}-{number}", image, boxes, masks, np.array(names), hidden > HIDDEN)


PLATELET = np.array([0.35, 0.55, 0.25])
NUCLEUS = np.array([0.9, 1.0, 0.45])
CYTOPLASM = np.array([0.10, 0.14, 0.05])
"""Absorbance of what Giemsa stains blue or purple, red to blue: haemoglobin takes little red."""


def _rim(rng: np.random.Generator) -> Array:
    """Distance in pixels from the edge of a round field, positive inside."""
    height, width = SHAPE
    y, x = np.mgrid[:height, :width].astype(np.float64)
    row, column = height / 2 + rng.normal(0, 12), width / 2 + rng.normal(0, 25)
    radius = height * rng.uniform(0.44, 0.56)
    return np.asarray((radius - np.hypot(y - row, x - column)) / rng.uniform(1.0, 4.0) + 0.5)


def _free(
    taken: list[tuple[float, float, float]], radius: float, gap: float, rim: Array,
    rng: np.random.Generator,
) -> tuple[float, float, float]:  # fmt: skip
    """A free place for a disc: row, column, radius; radius 0 where none was found."""
    others = np.array(taken).reshape(-1, 3)
    for row, column in rng.uniform(0.9 * radius, np.array(SHAPE) - 0.9 * radius, (2000, 2)):
        if rim[int(row), int(column)] < 0.9 * radius / 4:
            continue
        distance = np.hypot(others[:, 0] - row, others[:, 1] - column)
        if (distance >= gap * (others[:, 2] + radius)).all():
            return float(row), float(column), float(radius)
    return 0.0, 0.0, 0.0


def _clumps(
    radius: float, taken: list[tuple[float, float, float]], rim: Array, rng: np.random.Generator
) -> list[tuple[float, float, float]]:
    """Four to six clumps of 3 to 10 cells that touch or overlap by up to a fifth of a diameter."""
    cells: list[tuple[float, float, float]] = []
    for _ in range(rng.integers(4, 7)):
        start = _free([*taken, *cells], 2.0 * radius, 1.3, rim, rng)
        if start[2] == 0.0:
            continue
        clump = [(start[0], start[1], radius * float(np.exp(rng.normal(0.0, 0.06))))]
        size = int(rng.integers(3, 11))
        for _ in range(200):
            if len(clump) == size:
                break
            row, column, r = clump[rng.integers(len(clump))]
            own = radius * float(np.exp(rng.normal(0.0, 0.06)))
            angle, apart = rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 0.98) * (r + own)
            spot = (row + apart * np.sin(angle), column + apart * np.cos(angle), own)
            if _fits(spot, clump, 0.8, rim) and _fits(spot, [*taken, *cells], 1.1, rim):
                clump.append(spot)
        cells += clump
    return cells


def _fits(
    spot: tuple[float, float, float], others: list[tuple[float, float, float]], gap: float,
    rim: Array,
) -> bool:  # fmt: skip
    row, column, radius = spot
    inside = all(0.9 * radius < a < n - 0.9 * radius for a, n in zip(spot, SHAPE, strict=False))
    return (
        inside
        and bool(rim[int(row), int(column)] > 0)
        and all(np.hypot(row - a, column - b) >= gap * (radius + r) for a, b, r in others)
    )


def _stain(stained: Array, spot: tuple[float, float, float], depth: float, colour: Array) -> Array:
    """Add a disc with a soft edge to `(height, width, 3)` absorbance; return the disc."""
    row, column, radius = spot
    y, x = np.ogrid[: SHAPE[0], : SHAPE[1]]
    disc = np.clip((radius - np.hypot(y - row, x - column)) / (0.15 * radius) + 0.5, 0.0, 1.0)
    stained += depth * disc[..., None] * colour
    return np.asarray(disc)


def _leukocyte(
    stained: Array, nuclei: Array, spot: tuple[float, float, float], radius: float,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Pale cytoplasm and a nucleus of one to four lobes, 4 to 10 times as dark as red cells."""
    row, column, size = spot
    nuclei += _stain(stained, spot, 1.0, CYTOPLASM) > 0.5
    lobes = int(rng.integers(1, 5))
    own = size * (0.75 if lobes == 1 else 0.42)
    union = np.zeros_like(stained)
    for lobe in range(lobes):
        angle = 2 * np.pi * (lobe + rng.uniform(-0.2, 0.2)) / max(lobes, 3)
        off = 0.0 if lobes == 1 else 0.45 * size
        part = np.zeros_like(stained)
        place = (row + off * np.sin(angle), column + off * np.cos(angle), own)
        _stain(part, place, rng.uniform(2.0, 5.0), NUCLEUS)
        np.maximum(union, part, out=union)
    stained += union


def _pointer(rng: np.random.Generator) -> Array:
    """Light past an opaque needle from a border inwards, and past a scale bar with its figures."""
    height, width = SHAPE
    y, x = np.mgrid[:height, :width].astype(np.float64)
    angle = rng.uniform(0, 2 * np.pi)
    tip = np.array([height / 2, width / 2]) + rng.normal(0, 40, 2)
    along = (y - tip[0]) * np.sin(angle) + (x - tip[1]) * np.cos(angle)
    across = np.abs((x - tip[1]) * np.sin(angle) - (y - tip[0]) * np.cos(angle))
    half = rng.uniform(2.0, 5.0) * np.clip(along / 25.0, 0.0, 1.0)  # pointed
    dark = (along > 0) & (across < half)
    length, thick = int(rng.integers(60, 140)), int(rng.integers(4, 8))
    bottom = height - int(rng.integers(15, 25))
    left = int(rng.choice([15, width - 15 - length]))
    dark[bottom - thick : bottom, left : left + length] = True
    for figure in range(4):  # blocks as large as figures and letters
        start = left + 10 + 11 * figure
        dark[bottom - thick - 16 : bottom - thick - 5, start : start + 7] = True
        dark[bottom - thick - 13 : bottom - thick - 8, start + 2 : start + 5] = False
    return np.where(dark, 0.0, 1.0)


def _falling(rng: np.random.Generator) -> Array:
    """Light that falls to a quarter or half of its best, to one side and to the corners."""
    height, width = SHAPE
    y = np.linspace(-1, 1, height)[:, None]
    x = np.linspace(-1, 1, width)[None, :]
    angle, slope, fall = rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 0.4), rng.uniform(0.2, 0.35)
    log = -slope * (np.sin(angle) * y + np.cos(angle) * x) - fall * (x**2 + y**2)
    return np.asarray(np.exp(log - log.max()))
