"""Chula RBC-12: real red cells, of which bags of made-up patients are drawn."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from mil_rbc.data.bags import Bag, Cohort
from mil_rbc.data.crops import SIDE
from mil_rbc.data.reading import list_images, need_folder, read_image
from mil_rbc.errors import DataError
from mil_rbc.smears.light import absorbance
from mil_rbc.smears.recipe import RECIPES, Disease, Recipe, Sample, Size, plan

CELL_CLASSES = (
    "normal", "macrocyte", "microcyte", "spherocyte", "target", "stomatocyte", "ovalocyte",
    "teardrop", "burr", "schistocyte", "other", "hypochromia", "elliptocyte",
)  # fmt: skip

SHOWS: tuple[tuple[str, dict[str, float], float], ...] = (
    ("control", {"ovalocyte": 2, "macrocyte": 1, "burr": 1, "stomatocyte": 1, "target": 1}, 0.08),
    ("target-cell mix", {"target": 5, "microcyte": 1, "schistocyte": 1}, 0.25),
    ("hypochromic mix", {"hypochromia": 4, "teardrop": 3, "schistocyte": 2}, 0.25),
    ("stomatocytic mix", {"stomatocyte": 4, "ovalocyte": 1, "burr": 1}, 0.25),
    ("spherocytic mix", {"spherocyte": 5, "microcyte": 2}, 0.25),
)
"""Class, its anomalous cells and their mean share. `other` is left out, and so are elliptocytes,
which are all from one smear: no split could tell such cells from their smear."""

JUMP = 6.0
"""A change of background colour by more than this, of 255, starts a new smear."""

DEPTH = 110.0
"""Grey levels by which the median cell of a normalised image is darker than white. What is more
than twice as dark (platelets, nuclei, scale bars) is no red cell."""

Key = tuple[int, str]  # (fold, cell class)
Cell = tuple[int, int]  # (image, row of its label file)


@dataclass(frozen=True)
class _Field:
    """One labelled image."""

    path: Path
    centres: NDArray[np.int64]  # (n, 2) x, y
    classes: NDArray[np.int64]  # (n,)
    usable: NDArray[np.bool_]  # (n,) whether the border leaves the cell whole
    light: NDArray[np.float64]  # (3,) background colour


def load(
    data: Path | None,
    *,
    seed: int = 0,
    size: Size = "default",
    folds: int = 3,
    background: Literal["masked", "kept"] = "masked",
) -> Cohort:
    """Draw bags of made-up patients from labelled cells of 12 kinds.

    Consecutive images of one background colour are a smear; smears are divided into folds first,
    and each patient's cells all come from the smears of one fold. Copies of an image are dropped.
    Illumination and stain are divided out image by image, and what is not the cell is made white,
    so that the background cannot tell the smear.

    Args:
        data: folder with `Dataset/N.jpg` and `Label/N.txt` (lines `x y class`) as published.
        seed: which patients and cells are drawn.
        size: `"smoke"`, `"default"` or `"paper"` patients and samples, as for rendered ones.
        folds: the number of folds of the cross-validation.
        background: `"kept"` leaves the surroundings of a cell in its crop: only to see what the
            mask is for.

    Returns:
        A cohort of 64x64 crops whose folds are fixed, with every cell's class.

    Raises:
        DataError: if an image or a label file is missing, empty or malformed, or a class of cells
            is not in every fold.
    """
    folder = need_folder(data, "chula", "Dataset/ and Label/")
    fields = _fields(folder)
    recipe = _recipe(size)
    wanted = {recipe.normal, *(name for d in recipe.diseases for name in d.anomalies)}
    fold_of = _divide(fields, sorted(wanted), folds)
    stock = _Stock(fields, fold_of, seed)
    dealt = [0] * len(recipe.diseases)
    test_fold: dict[str, int] = {}
    drawn: list[tuple[Sample, list[str], list[Cell]]] = []
    for sample in plan(recipe, seed):
        if sample.patient not in test_fold:
            # Shifted from class to class, so that the folds come out even.
            test_fold[sample.patient] = (dealt[sample.label] + sample.label) % folds
            dealt[sample.label] += 1
        kinds = [name for image in sample.cells for name in image]
        fold = test_fold[sample.patient]
        drawn.append((sample, kinds, [stock.take((fold, name)) for name in kinds]))
    for disease, patients in zip(recipe.diseases, dealt, strict=True):
        if patients < folds:
            raise DataError(
                f"class {disease.name!r} of cohort 'chula' has {patients} patients for {folds} "
                f"folds: ask for fewer folds"
            )
    crops = _cut(fields, {cell for _, _, cells in drawn for cell in cells}, background)
    bags = [
        Bag(
            bag=sample.name,
            patient=sample.patient,
            label=sample.label,
            instances=np.stack([crops[cell] for cell in cells]),
            images=np.array([fields[image].path.stem for image, _ in cells]),
            cell_labels=np.array([CELL_CLASSES.index(name) for name in kinds]),
        )
        for sample, kinds, cells in drawn
    ]
    return Cohort(
        name="chula",
        kind="crop",
        classes=tuple(disease.name for disease in recipe.diseases),
        control=0,
        bags=bags,
        cell_classes=CELL_CLASSES,
        anomalous=tuple(name != "normal" for name in CELL_CLASSES),
        provenance="Real cells, synthetic patients: cells of Chula RBC-12 (Naruenatthanaset et "
        "al. 2021), bags and diagnoses made up from a recipe.",
        test_fold=test_fold,
    )


def _recipe(size: Size) -> Recipe:
    rendered = RECIPES[size]
    diseases = tuple(
        Disease(name, old.patients, old.samples, anomalies, rate)
        for (name, anomalies, rate), old in zip(SHOWS, rendered.diseases, strict=True)
    )
    recipe = replace(rendered, diseases=diseases, normal="normal")
    if size == "paper":  # as many cells as there are, not 30 times as many
        samples = sum(disease.samples for disease in diseases)
        recipe = replace(
            recipe, images=4 * samples, images_per_sample=(4, 4), cells_per_image=(8, 12)
        )
    return recipe


def _fields(folder: Path) -> list[_Field]:
    for sub in ("Dataset", "Label"):
        if not (folder / sub).is_dir():
            raise DataError(f"{folder} has no folder {sub}: give the folder that holds both")
    paths = list_images(folder / "Dataset")
    odd = [path for path in paths if not path.stem.isdigit()]
    if odd or not paths:
        what = f"{odd[0].name} is not named by a number" if odd else "it holds no images"
        raise DataError(f"{folder / 'Dataset'}: {what}; restore the published names")
    seen: set[bytes] = set()
    fields = []
    for path in sorted(paths, key=lambda path: int(path.stem)):
        image = read_image(path)
        digest = hashlib.sha256(image.tobytes()).digest()
        if digest in seen:
            continue
        seen.add(digest)
        centres, classes = _labels(folder / "Label" / f"{path.stem}.txt", image.shape[:2])
        light = np.percentile(image[::4, ::4].reshape(-1, 3), 80, axis=0)
        half = SIDE // 2
        low, high = centres - half, centres + half
        size = (image.shape[1], image.shape[0])
        usable = np.asarray(((low >= 0) & (high <= size)).all(axis=1))
        fields.append(_Field(path, centres, classes, usable, light))
    return fields


def _labels(path: Path, shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: restore it, or remove its image") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        parts = line.split()
        try:
            x, y, kind = (int(part) for part in parts)
        except ValueError as error:
            raise DataError(
                f"{path}, line {number}: expected three whole numbers 'x y class', found "
                f"{line.strip()!r}; correct the line"
            ) from error
        if not 0 <= kind < len(CELL_CLASSES) or not (0 <= x < shape[1] and 0 <= y < shape[0]):
            raise DataError(
                f"{path}, line {number}: {line.strip()!r} lies outside the image or names no class "
                f"from 0 to {len(CELL_CLASSES) - 1}; correct the line"
            )
        rows.append((x, y, kind))
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return table[:, :2], table[:, 2]


def _cut(fields: list[_Field], wanted: set[Cell], background: str) -> dict[Cell, NDArray[np.uint8]]:
    """Cut cells out of their images, with illumination, stain and background normalised."""
    rows: dict[int, list[int]] = defaultdict(list)
    for image, row in sorted(wanted):
        rows[image].append(row)
    crops = {}
    half = SIDE // 2
    for image, members in rows.items():
        field = fields[image]
        depth = absorbance(read_image(field.path))
        dark = depth > threshold_otsu(depth[::2, ::2])
        scaled = depth / max(float(np.median(depth[dark])), 1e-3) * DEPTH
        cells = ndimage.binary_fill_holes(dark & (scaled < 2 * DEPTH))
        grey = 255 - np.clip(np.rint(scaled), 0, 2 * DEPTH).astype(np.uint8)
        for row in members:
            x, y = field.centres[row]
            window = np.s_[y - half : y + half, x - half : x + half]
            crop = grey[window]
            if background == "masked":
                others = np.delete(field.centres, row, 0) - (x - half, y - half)
                crop = np.where(_own(cells[window], others), crop, np.uint8(255))
            crops[image, row] = crop
    return crops


_ROWS, _COLUMNS = np.mgrid[:SIDE, :SIDE]


def _own(cells: NDArray[np.bool_], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The part of a crop's foreground that belongs to the cell at its centre.

    It is connected to the centre and nearer to it than to any other labelled cell. Where the
    threshold has missed the cell, it is a disc of a usual cell's size.
    """
    half = SIDE // 2
    own = (_ROWS - half) ** 2 + (_COLUMNS - half) ** 2
    mask = cells.copy()
    for x, y in others[(np.abs(others - half) < SIDE).all(axis=1)]:
        mask &= own <= (_ROWS - y) ** 2 + (_COLUMNS - x) ** 2
    parts, _ = ndimage.label(mask)
    middle = np.bincount(parts[half - 4 : half + 4, half - 4 : half + 4].ravel())
    middle[0] = 0
    if middle.max() == 0:
        return np.asarray(own <= (SIDE / 3) ** 2)
    return np.asarray(ndimage.binary_dilation(parts == middle.argmax()))


def _smears(fields: list[_Field]) -> NDArray[np.int64]:
    """Smear number of every image: a new one begins where the background colour jumps."""
    light = np.stack([field.light for field in fields])
    jumps = np.abs(np.diff(light, axis=0)).max(axis=1) > JUMP
    return np.concatenate([[0], np.cumsum(jumps)]).astype(np.int64)


def _divide(fields: list[_Field], wanted: list[str], folds: int) -> NDArray[np.int64]:
    """Fold of every image: whole smears, so that each fold has a like share of each class."""
    smear = _smears(fields)
    counts = np.zeros((smear.max() + 1, len(wanted)))
    for field, s in zip(fields, smear, strict=True):
        for j, name in enumerate(wanted):
            of_class = field.classes == CELL_CLASSES.index(name)
            counts[s, j] += np.count_nonzero(of_class & field.usable)
    share = counts / np.maximum(counts.sum(axis=0), 1)
    held = np.zeros((folds, len(wanted)))
    fold_of = np.zeros(len(counts), dtype=np.int64)
    for s in np.argsort(-share.max(axis=1), kind="stable"):
        # The fold that most lacks what this smear has.
        fold_of[s] = int(np.argmin((held + share[s]) @ share[s]))
        held[fold_of[s]] += share[s]
    for fold, row in enumerate(held):
        if (row == 0).any():
            name = wanted[int(np.argmin(row))]
            raise DataError(
                f"cohort 'chula': cells of class {name!r} come from too few smears for {folds} "
                f"folds (none in fold {fold}); ask for fewer folds"
            )
    return np.asarray(fold_of[smear])


class _Stock:
    """Cells by fold and class in random order, used again only when all have been drawn."""

    def __init__(self, fields: list[_Field], fold_of: NDArray[np.int64], seed: int) -> None:
        self._rng = np.random.default_rng([seed, 1])
        self._cells: dict[Key, list[Cell]] = defaultdict(list)
        for image, (field, fold) in enumerate(zip(fields, fold_of, strict=True)):
            for row in np.flatnonzero(field.usable):
                kind = CELL_CLASSES[field.classes[row]]
                self._cells[int(fold), kind].append((image, int(row)))
        self._next: dict[Key, int] = {}

    def take(self, key: Key) -> Cell:
        cells = self._cells[key]
        position = self._next.get(key, 0)
        if position % len(cells) == 0:
            self._rng.shuffle(cells)
        self._next[key] = position + 1
        return cells[position % len(cells)]
