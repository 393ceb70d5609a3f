"""Smear images: rendered cells under a rendered microscope.

Light that crosses thickness t is dimmed by exp(-absorbance * t) (Beer-Lambert), so cells that
overlap add up. What is not disease (stain, cell size, illumination, blur, noise, dust) is drawn per
patient or per image from streams of random numbers that do not know the class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from mil_rbc.smears.morphology import thickness
from mil_rbc.smears.recipe import Recipe, Sample, plan

RADIUS = 18.0
"""Radius of a normal cell in pixels, before patients differ."""

MASK_LEVEL = 0.15
"""A pixel belongs to a cell where its thickness is above this."""


@dataclass(frozen=True)
class Smear:
    """A smear image with the truth about its cells.

    Attributes:
        name: unique in its cohort.
        image: `(height, width, 3)` uint8 RGB.
        boxes: `(n, 4)` int64 `x0, y0, x1, y1` (ends excluded), cut at the image's border.
        masks: for each cell a bool patch as large as its box.
        morphologies: `(n,)` names.
        difficult: `(n,)` bool, cells that are hidden in part: a detector may find them or not.
            `None`: there are none.
    """

    name: str
    image: NDArray[np.uint8]
    boxes: NDArray[np.int64]
    masks: tuple[NDArray[np.bool_], ...]
    morphologies: NDArray[np.str_]
    difficult: NDArray[np.bool_] | None = None

    def full_masks(self) -> NDArray[np.bool_]:
        """`(n, height, width)` bool: every cell's mask in the whole image; masks may overlap."""
        full = np.zeros((len(self.boxes), *self.image.shape[:2]), dtype=bool)
        for canvas, (x0, y0, x1, y1), mask in zip(full, self.boxes, self.masks, strict=True):
            canvas[y0:y1, x0:x1] = mask
        return full


@dataclass(frozen=True)
class Appearance:
    """How one patient's blood looks whatever the disease: stain, light source and cell size."""

    light: NDArray[np.float64]  # (3,) background colour, 0 to 255
    absorbance: NDArray[np.float64]  # (3,) per unit of thickness
    radius: float  # pixels

    @staticmethod
    def draw(rng: np.random.Generator) -> Appearance:
        """Draw a patient's appearance."""
        return Appearance(
            light=np.array([224.0, 218.0, 214.0]) + rng.normal(0.0, 8.0, 3),
            absorbance=np.array([0.16, 0.52, 0.42]) * rng.uniform(0.75, 1.3)
            + rng.normal(0.0, 0.02, 3),
            radius=RADIUS * rng.uniform(0.9, 1.1),
        )


def render(
    name: str,
    morphologies: tuple[str, ...],
    shape: tuple[int, int],
    appearance: Appearance,
    rng: np.random.Generator,
) -> Smear:
    """Render one smear image.

    Args:
        name: name of the image.
        morphologies: one entry per cell.
        shape: height and width in pixels.
        appearance: the patient's.
        rng: draws positions, sizes, poses, light, focus, noise and dust of this image.

    Returns:
        The image with box, mask and morphology of every cell.
    """
    n = len(morphologies)
    radii = appearance.radius * np.exp(rng.normal(0.0, 0.06, n))
    centres = _place(radii, shape, rng)
    canvas, boxes, masks = paint(morphologies, radii, centres, shape, rng)
    image = photograph(canvas, appearance, rng)
    return Smear(name, image, boxes, masks, np.array(morphologies))


def paint(
    morphologies: tuple[str, ...],
    radii: NDArray[np.float64],
    centres: NDArray[np.float64],
    shape: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.int64], tuple[NDArray[np.bool_], ...]]:
    """Paint cells of `(n,)` radii at `(n, 2)` centres (row, column) on an empty canvas.

    Returns:
        The `(height, width)` thickness, the cells' `(n, 4)` boxes, and their masks in these.
    """
    canvas = np.zeros(shape)
    boxes = np.zeros((len(radii), 4), dtype=np.int64)
    masks: list[NDArray[np.bool_] | None] = [None] * len(radii)
    kinds = np.array(morphologies)
    for kind in dict.fromkeys(morphologies):  # in order of appearance: the same on every machine
        members = np.flatnonzero(kinds == kind)
        whole = np.round(centres[members]).astype(np.int64)
        patches = thickness(kind, radii[members], rng, centres[members] - whole)
        patches *= np.exp(rng.normal(0.0, 0.08, (len(members), 1, 1)))  # haemoglobin of a cell
        half = patches.shape[1] // 2
        for i, (row, column), patch in zip(members, whole, patches, strict=True):
            boxes[i], masks[i] = _paint_one(canvas, patch, int(row) - half, int(column) - half)
    return canvas, boxes, tuple(mask for mask in masks if mask is not None)


def _place(
    radii: NDArray[np.float64], shape: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Centres (row, column) of cells: some touch or overlap a neighbour, most lie free."""
    size = np.array(shape, dtype=np.float64)
    centres = np.zeros((len(radii), 2))
    for i, radius in enumerate(radii):
        # One cell in six may overlap a neighbour by up to a quarter of a diameter.
        gap = rng.choice([1.12, 0.75], p=[5 / 6, 1 / 6])
        margin = min(0.9 * radius, size.min() / 3)
        best, best_room = centres[i], -np.inf
        for candidate in rng.uniform(margin, size - margin, (200, 2)):
            distance = np.hypot(*(centres[:i] - candidate).T)
            room = (distance - gap * (radii[:i] + radius)).min(initial=np.inf)
            if room > best_room:
                best, best_room = candidate, room
            if room >= 0:
                break
        centres[i] = best
    return centres


def _paint_one(
    canvas: NDArray[np.float64], patch: NDArray[np.float64], top: int, left: int
) -> tuple[tuple[int, int, int, int], NDArray[np.bool_]]:
    """Add a patch to the canvas; return the box and mask of the part that lies inside."""
    height, width = canvas.shape
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + patch.shape[0], height), min(left + patch.shape[1], width)
    part = patch[y0 - top : y1 - top, x0 - left : x1 - left]
    canvas[y0:y1, x0:x1] += part
    mask = part > MASK_LEVEL
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    a, b, c, d = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    return (int(x0 + c), int(y0 + a), int(x0 + d), int(y0 + b)), mask[a:b, c:d]


def photograph(
    canvas: NDArray[np.float64],
    appearance: Appearance,
    rng: np.random.Generator,
    *,
    stained: NDArray[np.float64] | None = None,
    shade: NDArray[np.float64] | None = None,
) -> NDArray[np.uint8]:
    """Shine light through the canvas: stain, uneven illumination, dust, defocus and noise.

    All of it is in float64. The last bits of `exp` differ with the processor's instruction set; in
    float32 that moved one pixel in 100,000 by a grey level, in float64 none in 10 billion.

    Args:
        canvas: `(height, width)` thickness of red cells.
        appearance: the patient's.
        rng: draws light, focus, noise and dust.
        stained: `(height, width, 3)` absorbance of whatever else lies in the smear.
        shade: `(height, width)` share of the light that reaches the camera, never blurred.

    Returns:
        `(height, width, 3)` uint8 RGB.
    """
    height, width = canvas.shape
    for _ in range(rng.poisson(0.7)):  # platelets and dust, much smaller than a cell
        cy, cx, r = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(1.0, 3.0)
        row = np.exp(-((np.arange(height) - cy) ** 2) / (2 * r**2))
        column = np.exp(-((np.arange(width) - cx) ** 2) / (2 * r**2))
        canvas = canvas + rng.uniform(0.5, 1.2) * np.outer(row, column)
    blur = rng.uniform(0.6, 1.3)
    canvas = gaussian_filter(canvas, blur, mode="nearest")
    slope, fall = rng.normal(0.0, 0.03, 2), rng.uniform(0.0, 0.08)
    y = np.linspace(-1, 1, height)[:, None]
    x = np.linspace(-1, 1, width)[None, :]
    light = 1.0 + (slope[0] * y - fall / 2 * y**2) + (slope[1] * x - fall / 2 * x**2)
    clear = appearance.light * rng.uniform(0.94, 1.04)
    noise = rng.uniform(1.0, 3.0)
    image = np.empty((height, width, 3), dtype=np.uint8)
    for channel, absorbance in enumerate(appearance.absorbance):
        taken = absorbance * canvas
        if stained is not None:
            taken = taken + gaussian_filter(stained[..., channel], blur, mode="nearest")
        plane = clear[channel] * light * np.exp(-taken)
        if shade is not None:
            plane = plane * shade
        shot = rng.standard_normal(canvas.shape, dtype=np.float32) * np.sqrt(plane / 200)
        image[..., channel] = np.clip(np.rint(plane + noise * shot), 0, 255)
    return image


def render_image(sample: Sample, number: int, recipe: Recipe, seed: int) -> Smear:
    """Render one smear image of a planned sample, the same whatever else is rendered."""
    appearance = Appearance.draw(np.random.default_rng([seed, 1, sample.patient_index]))
    key = [ord(letter) for letter in sample.name]
    return render(
        f"{sample.name}-I{number + 1}",
        sample.cells[number],
        recipe.shape,
        appearance,
        np.random.default_rng([seed, 2, number, *key]),
    )


def smears(recipe: Recipe, seed: int) -> Iterator[tuple[Sample, list[Smear]]]:
    """Every sample of a recipe with its rendered smear images."""
    for sample in plan(recipe, seed):
        yield sample, [render_image(sample, i, recipe, seed) for i in range(len(sample.cells))]
