"""NIH malaria thin smears: single-cell crops of 150 infected and 50 healthy patients."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mil_rbc.data.bags import Bag, Cohort
from mil_rbc.data.crops import SIDE, grey
from mil_rbc.data.reading import list_images, need_folder, read_image
from mil_rbc.errors import DataError
from mil_rbc.smears.recipe import Size

CELLS = 60
FOLDERS = ("Uninfected", "Parasitized")
_PATIENT = re.compile(r"C(\d+)")
_IMAGE = re.compile(r"(.*)_cell_\d+$")
PATIENTS: dict[Size, int | None] = {"smoke": 6, "default": 30, "paper": None}


def load(
    data: Path | None,
    *,
    seed: int = 0,
    size: Size = "paper",
    cells: int = CELLS,
    control: bool = False,
) -> Cohort:
    """Bags of single cells of malaria patients and healthy people.

    Every bag has the same number of cells, because the number alone would tell the class. The
    pixels of a patient are brought to one mean and spread, because the colour of the stain alone
    nearly would.

    Args:
        data: folder with `Parasitized/*.png` and `Uninfected/*.png` as published; the patient is
            the number after the leading `C`.
        seed: which cells of a patient are drawn, and which patients in a smaller size.
        size: `"paper"` takes every patient; `"default"` 30 of each class, `"smoke"` 6.
        cells: cells a bag; patients with fewer are left out.
        control: the negative control: only uninfected cells of the same patients, so that
            anything above chance comes from something other than parasites.

    Returns:
        One bag of 64x64 crops a patient, with every cell's label.

    Raises:
        DataError: if a folder or a name is not as published, or too few patients are left.
    """
    name = "nih-control" if control else "nih"
    folder = need_folder(data, name, "Parasitized/ and Uninfected/")
    files = _files(folder)
    infected = {patient for patient, kinds in files.items() if kinds[1]}
    rng = np.random.default_rng([seed, 0])
    usable: list[list[int]] = [[], []]
    for patient in sorted(files):
        available = len(files[patient][0]) + (0 if control else len(files[patient][1]))
        if available >= cells:
            usable[patient in infected].append(patient)
    if not all(usable):
        raise DataError(
            f"{folder}: no {'infected' if usable[0] else 'healthy'} patient has {cells} cells; ask "
            f"for fewer with cells={max(1, cells // 2)}"
        )
    limit = PATIENTS[size]
    chosen = [p if limit is None else rng.permutation(p)[:limit].tolist() for p in usable]
    bags = [
        _bag(patient, label, files[patient], cells, control, seed)
        for label, patients in enumerate(chosen)
        for patient in sorted(patients)
    ]
    of = "uninfected cells only (negative control)" if control else "cells"
    left_out = len(files) - sum(map(len, usable))
    return Cohort(
        name=name,
        kind="crop",
        classes=("healthy", "malaria"),
        control=0,
        bags=bags,
        cell_classes=("uninfected", "parasitized"),
        anomalous=(False, True),
        provenance=f"Real cells and patients: NIH malaria thin smears (Rajaraman et al. 2018), "
        f"bags of {cells} {of}, {left_out} of {len(files)} patients left out for having fewer.",
    )


def _files(folder: Path) -> dict[int, tuple[list[Path], list[Path]]]:
    """Patient -> (uninfected files, parasitized files)."""
    files: dict[int, tuple[list[Path], list[Path]]] = defaultdict(lambda: ([], []))
    for kind, sub in enumerate(FOLDERS):
        if not (folder / sub).is_dir():
            raise DataError(f"{folder} has no folder {sub}: give the folder that holds both kinds")
        for path in list_images(folder / sub):
            found = _PATIENT.match(path.name)
            if not found:
                raise DataError(
                    f"{path}: the name does not start with C and the patient's number; restore the "
                    f"published name or remove the file"
                )
            files[int(found[1])][kind].append(path)
    if not files:
        raise DataError(f"{folder}: Parasitized/ and Uninfected/ hold no images; download again")
    return files


def _bag(
    patient: int,
    label: int,
    files: tuple[list[Path], list[Path]],
    cells: int,
    control: bool,
    seed: int,
) -> Bag:
    paths = files[0] if control else files[0] + files[1]
    drawn = np.random.default_rng([seed, 1, patient]).permutation(len(paths))[:cells]
    chosen = [paths[i] for i in sorted(drawn.tolist())]
    pixels = [read_image(path) for path in chosen]
    return Bag(
        bag=f"C{patient}",
        patient=f"C{patient}",
        label=label,
        instances=normalise(pixels),
        images=np.array([_image_name(path) for path in chosen]),
        cell_labels=np.array([int(path.parent.name == FOLDERS[1]) for path in chosen]),
    )


def _image_name(path: Path) -> str:
    found = _IMAGE.match(path.stem)
    return found[1] if found else path.stem


def normalise(pixels: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Grey 64x64 crops of one patient, whose foreground has mean 128 and spread 32.

    The crops lie on black; there they get the foreground's mean, so that neither the outline's
    contrast nor the patient's stain is left.
    """
    crops, inside = [], []
    for image in pixels:
        whole = image.max(axis=2) > 8
        small = Image.fromarray(grey(image)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        outline = Image.fromarray(whole.astype(np.uint8) * 255).resize((SIDE, SIDE))
        crops.append(np.asarray(small, dtype=np.float32))
        inside.append(np.asarray(outline) > 250)
    stack, mask = np.stack(crops), np.stack(inside)
    if not mask.any():
        return np.full(stack.shape, 128, dtype=np.uint8)
    mean, spread = stack[mask].mean(), max(float(stack[mask].std()), 1e-6)
    scaled = np.where(mask, 128 + 32 * (stack - mean) / spread, 128)
    return np.asarray(np.clip(np.rint(scaled), 0, 255), dtype=np.uint8)
