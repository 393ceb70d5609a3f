"""A user's own data: a folder of bags, or a folder of images."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mil_rbc.data.bags import Bag, Cohort, Kind, Words
from mil_rbc.data.crops import SIDE, grey, stretch
from mil_rbc.data.reading import list_images, need_folder, read_image, read_table
from mil_rbc.detect import Name, make
from mil_rbc.detect.bag_folder import COLUMNS, TABLE
from mil_rbc.detect.samples import Cells, find_each, find_samples
from mil_rbc.errors import DataError

KEYS: dict[str, Kind] = {"crops": "crop", "roi": "roi", "vectors": "vector"}
CONTROLS = ("control", "healthy", "normal")


def load_bags(
    data: Path | None,
    *,
    instances: Literal["auto", "crops", "roi", "vectors"] = "auto",
    control: str | None = None,
    normal: str = "normal",
) -> Cohort:
    """Read a folder of bags: `bags.csv` with the columns `bag, patient, label, file`.

    `file` names a `.npz` file with one of the arrays `crops` `(n, 64, 64)` uint8, `roi`
    `(n, 256, 14, 14)` or `vectors` `(n, features)`, and if there are any `images` `(n,)` and
    `cell_labels` `(n,)`, both text; or it names a folder of single-cell images.

    Args:
        data: the folder.
        instances: which array to read; by default the first that the first bag has.
        control: the control class; by default the one named control, healthy or normal, if any.
        normal: which of `cell_labels` is not anomalous.

    Returns:
        The cohort, its classes in alphabetical order, the control first.

    Raises:
        DataError: if the table, a file or an array is missing or at fault, or a label is empty.
    """
    control = None if control is None else str(control)  # YAML reads a class named 0 as a number
    folder = need_folder(data, "bags", TABLE)
    table = read_table(folder / TABLE, COLUMNS)
    rows = [tuple(str(v).strip() for v in row) for row in table[list(COLUMNS)].to_numpy()]
    for number, row in enumerate(rows, 2):
        for column, value in zip(COLUMNS, row, strict=True):
            if not value:
                raise DataError(f"{folder / TABLE}, row {number}: {column} is empty; fill it in")
    contents = [_contents(folder / row[3], row[0]) for row in rows]
    key = instances if instances != "auto" else next((k for k in KEYS if k in contents[0]), "crops")
    if key not in KEYS:
        raise DataError(f"instances={instances!r}: use one of auto, {', '.join(KEYS)}")
    classes = _classes({row[2] for row in rows}, control)
    named = sorted({str(c) for held in contents for c in held.get("cell_labels", ())} - {""})
    bags = []
    for (name, patient, label, file), held in zip(rows, contents, strict=True):
        if key not in held:
            has = ", ".join(sorted(held)) or "nothing"
            raise DataError(f"{folder / file} has no array {key!r} (it has {has}); add it")
        values = _typed(held[key], key, folder / file)
        images = held.get("images", np.full(len(values), "image"))
        of_bag = np.array([f"{name}/{image}" for image in images])
        cells = held.get("cell_labels")
        known = (
            None
            if cells is None
            else np.array([named.index(str(c)) if str(c) else -1 for c in cells], dtype=np.int64)
        )
        bags.append(Bag(name, patient, classes.index(label), values, of_bag, known))
    return Cohort(
        name="bags",
        kind=KEYS[key],
        classes=classes,
        control=0 if _control(classes, control) else None,
        bags=bags,
        cell_classes=tuple(named),
        anomalous=tuple(cell != normal for cell in named),
        provenance=f"Bags of cells read from the folder {folder.resolve().name!r}.",
        standardize=key == "vectors",
        words=Words() if key == "vectors" else None,
    )


def load_images(
    data: Path | None,
    *,
    detector: Name = "watershed",
    weights: str | None = None,
    device: str = "cpu",
    instances: Literal["crops", "roi"] = "crops",
    control: str | None = None,
) -> Cohort:
    """Read a folder of smear images with `patients.csv`: `image, sample, patient, label`.

    Args:
        data: the folder; `image` is a path inside it.
        detector: what finds the cells.
        weights: its file of weights, for `maskrcnn`.
        device: where it runs.
        instances: 64x64 crops, or the detector's RoI features.
        control: the control class; by default the one named control, healthy or normal, if any.

    Returns:
        The cohort, its classes in alphabetical order, the control first.

    Raises:
        DataError: if the table or an image is at fault, or no cell is found in a sample.
    """
    folder = need_folder(data, "images", "patients.csv")
    if not (folder / "patients.csv").is_file():
        raise DataError(
            f"{folder / 'patients.csv'} does not exist: write it with the columns image, sample, "
            f"patient, label"
        )
    samples = find_samples(folder)
    for sample in samples:
        if not sample.label:
            raise DataError(
                f"{sample.images[0][1]}: label of sample {sample.name!r} is empty; fill it in"
            )
    finder = make(detector, weights=Path(weights) if weights else None, device=device)
    every = find_each(samples, finder, roi=instances == "roi")
    found = [cells for _, cells in every if isinstance(cells, Cells)]
    classes = _classes({sample.label for sample in samples}, control)
    bags = [
        Bag(
            bag=sample.name,
            patient=sample.patient,
            label=classes.index(sample.label),
            instances=cells.crops if cells.roi is None else cells.roi,
            images=np.array([f"{sample.name}/{image}" for image in cells.images]),
        )
        for sample, cells in zip(samples, found, strict=True)
    ]
    return Cohort(
        name="images",
        kind="roi" if instances == "roi" else "crop",
        classes=classes,
        control=0 if _control(classes, control) else None,
        bags=bags,
        provenance=f"Cells found by {detector} in the images of the folder "
        f"{folder.resolve().name!r}.",
    )


def _classes(labels: set[str], control: str | None) -> tuple[str, ...]:
    first = _control(tuple(sorted(labels)), control)
    return tuple(sorted(labels, key=lambda label: (label != first, label)))


def _control(classes: tuple[str, ...], control: str | None) -> str | None:
    if control is not None:
        if control not in classes:
            raise DataError(
                f"control={control!r} is no label of the data; use one of {', '.join(classes)}"
            )
        return control
    return next((name for name in classes if name.lower() in CONTROLS), None)


def _contents(path: Path, bag: str) -> dict[str, NDArray[Any]]:
    if path.is_dir():
        files = list_images(path)
        if not files:
            raise DataError(f"bag {bag!r} has no cells: {path} holds no images; add some")
        return {
            "crops": stretch(np.stack([_resized(file) for file in files])),
            "images": np.array([file.name for file in files]),
        }
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError as error:
        raise DataError(f"bag {bag!r}: {path} does not exist; correct {TABLE}") from error
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(
            f"bag {bag!r}: {path} is no .npz file of plain arrays; write it anew"
        ) from error


def _resized(path: Path) -> NDArray[np.uint8]:
    plane = Image.fromarray(grey(read_image(path)))
    return np.asarray(plane.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.uint8)


def _typed(values: NDArray[Any], key: str, path: Path) -> NDArray[Any]:
    if key == "crops" and values.dtype != np.uint8:
        raise DataError(f"{path}: crops are {values.dtype}; store them as uint8, 0 to 255")
    if key == "vectors":
        return values.astype(np.float32)
    if key == "roi" and values.dtype not in (np.float16, np.float32):
        raise DataError(f"{path}: roi is {values.dtype}; store it as float16 or float32")
    return values
