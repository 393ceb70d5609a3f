"""Reading what users wrote: tables and images, with errors that name the file and the row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mil_rbc.errors import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def need_folder(path: Path | None, cohort: str, holds: str) -> Path:
    """The folder a cohort is read from, or a `DataError` that says what it has to hold."""
    if path is None:
        raise DataError(f"cohort {cohort!r} needs --data: the folder that holds {holds}")
    if not path.is_dir():
        raise DataError(f"--data {path} is no folder: give the one that holds {holds}")
    return path


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a CSV file whose header has at least these columns; every value is text.

    Raises:
        DataError: if the file is missing or empty, lacks a column, or has an empty cell in one.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except FileNotFoundError as error:
        raise DataError(
            f"{path} does not exist: write it with the columns {', '.join(columns)}"
        ) from error
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        said = " ".join(str(error).split())
        raise DataError(f"{path} cannot be read as CSV ({said}): rewrite it as UTF-8") from error
    for column in columns:
        if column not in table.columns:
            raise DataError(
                f"{path} has no column {column!r}: its header needs {', '.join(columns)}"
            )
    if table.empty:
        raise DataError(f"{path} has a header but no rows: add one row for each image or bag")
    return table


def read_image(path: Path, where: str = "") -> NDArray[np.uint8]:
    """Read an image as `(H, W, 3)` uint8 RGB.

    Args:
        path: the file.
        where: what names it, for the error message, such as `"patients.csv, row 3"`.

    Raises:
        DataError: if it is missing, unreadable, or has no pixels that differ.
    """
    named = f"{path} ({where})" if where else f"{path}"
    try:
        with Image.open(path) as image:
            pixels = _eight_bit(image)
    except FileNotFoundError as error:
        raise DataError(f"image {named} does not exist: correct its name or remove it") from error
    except (OSError, SyntaxError, UnidentifiedImageError, ValueError) as error:
        raise DataError(f"image {named} cannot be read: replace it or remove it") from error
    if pixels.size == 0 or pixels.min() == pixels.max():
        raise DataError(f"image {named} is empty, all of one colour: replace it or remove it")
    return pixels


def _eight_bit(image: Image.Image) -> NDArray[np.uint8]:
    """RGB pixels; 16-bit microscope images are scaled by their own range, not cut at 255."""
    if image.mode.startswith(("I", "F")):
        plane = np.asarray(image, dtype=np.float64)
        low, high = plane.min(), plane.max()
        scaled = np.round((plane - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
        return np.repeat(scaled[..., None], 3, axis=2)
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def list_images(folder: Path) -> list[Path]:
    """Image files right in a folder, sorted by name."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )
