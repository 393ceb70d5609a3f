"""From the smear images of a sample to its cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mil_rbc.data.crops import cut
from mil_rbc.data.reading import list_images, read_image, read_table
from mil_rbc.detect.detections import Detections, Detector
from mil_rbc.errors import DataError

COLUMNS = ("image", "sample", "patient", "label")


class NoCells(DataError):
    """A sample whose images show no whole cell."""


@dataclass(frozen=True)
class ImageSet:
    """The images of one sample, and what `patients.csv` says about it.

    Attributes:
        name: the sample.
        patient: whom it is from.
        label: the class, empty where it is not known.
        images: file and where it was named, for error messages.
        folder: what the images' names are relative to.
    """

    name: str
    patient: str
    label: str
    images: tuple[tuple[Path, str], ...]
    folder: Path

    def image_name(self, path: Path) -> str:
        """Path of an image in the folder, so that `a/1.png` and `b/1.png` are two."""
        inside = path.is_relative_to(self.folder)
        return (path.relative_to(self.folder) if inside else path).as_posix()


@dataclass(frozen=True)
class Cells:
    """The cells of one sample.

    Attributes:
        crops: `(n, 64, 64)` uint8, grey, each min-maxed on its own.
        images: `(n,)` path of the image each is from, in the folder of images.
        boxes: `(n, 4)` int64 `x0, y0, x1, y1` in that image.
        roi: `(n, 256, 14, 14)` float16 features, if asked for.
    """

    crops: NDArray[np.uint8]
    images: NDArray[np.str_]
    boxes: NDArray[np.int64]
    roi: NDArray[np.float16] | None = None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name, as a bag file holds them."""
        named = {"crops": self.crops, "images": self.images, "boxes": self.boxes}
        return named if self.roi is None else {**named, "roi": self.roi}


def find_samples(folder: Path) -> list[ImageSet]:
    """Read which images make up which sample.

    With a `patients.csv` (columns `image, sample, patient, label`) it says so. Without one, every
    subfolder that has images is a sample, and so is the folder itself; patient and label are then
    the sample's name and empty.

    Raises:
        DataError: if there is no image, or the table is at fault.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: give the one that holds the images")
    if (folder / "patients.csv").is_file():
        return _from_table(folder)
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    sets = [
        ImageSet(
            place.name, place.name, "", tuple((path, "") for path in list_images(place)), folder
        )
        for place in places
    ]
    sets = [found for found in sets if found.images]
    if not sets:
        raise DataError(f"{folder} holds no images (png, jpg, tif, bmp): give another folder")
    return sets


def _from_table(folder: Path) -> list[ImageSet]:
    path = folder / "patients.csv"
    table = read_table(path, COLUMNS)
    about: dict[str, tuple[str, str]] = {}
    label_of: dict[str, str] = {}
    images: dict[str, list[tuple[Path, str]]] = {}
    seen: dict[str, int] = {}
    for number, row in enumerate(table[list(COLUMNS)].itertuples(index=False), 2):
        image, sample, patient, label = (str(value).strip() for value in row)
        for column, value in zip(COLUMNS[:3], (image, sample, patient), strict=True):
            if not value:
                raise DataError(f"{path}, row {number}: {column} is empty; fill it in")
        if image in seen:
            raise DataError(
                f"{path}, row {number}: image {image!r} is already in row {seen[image]}; remove one"
            )
        seen[image] = number
        if label_of.setdefault(patient, label) != label:
            raise DataError(
                f"{path}, row {number}: patient {patient!r} has two labels, {label_of[patient]!r} "
                f"and {label!r}; give all rows of a patient one label"
            )
        if about.setdefault(sample, (patient, label))[0] != patient:
            raise DataError(
                f"{path}, row {number}: sample {sample!r} belongs to two patients, "
                f"{about[sample][0]!r} and {patient!r}; rename one of the samples"
            )
        images.setdefault(sample, []).append((folder / image, f"{path.name}, row {number}"))
    return [ImageSet(name, *about[name], tuple(images[name]), folder) for name in about]


def find_cells(
    sample: ImageSet,
    detector: Detector,
    *,
    roi: bool = False,
    seen: Callable[[str, NDArray[np.uint8], Detections], None] | None = None,
) -> Cells:
    """Find the cells in the images of a sample.

    A cell that the border of its image or the rim of a round field cuts is left out: its shape is
    not its own.

    Args:
        sample: the images.
        detector: finds the cells.
        roi: whether to compute RoI features too; only Mask R-CNN can.
        seen: gets name, pixels and detections of each image.

    Raises:
        NoCells: if none of the images shows a whole cell.
        DataError: if an image cannot be read or is empty.
    """
    crops, boxes, names, features = [], [], [], []
    for path, where in sample.images:
        image = read_image(path, where)
        every = detector(image)
        found = every.boxes[every.whole(image.shape[:2])]
        if seen is not None:
            seen(sample.image_name(path), image, every)
        crops.append(cut(image, found))
        boxes.append(found)
        names += [sample.image_name(path)] * len(found)
        if roi and len(found):
            features.append(detector.roi_features(image, found).astype(np.float16))
    if not names:
        raise NoCells(
            f"sample {sample.name!r}: no whole cell was found in {len(sample.images)} image(s), "
            f"such as {sample.images[0][0]}; remove the sample or replace its images"
        )
    return Cells(
        crops=np.concatenate(crops),
        images=np.array(names),
        boxes=np.concatenate(boxes),
        roi=np.concatenate(features) if roi else None,
    )


def find_each(
    samples: Sequence[ImageSet],
    detector: Detector,
    *,
    roi: bool = False,
    skip_empty: bool = False,
    seen: Callable[[str, NDArray[np.uint8], Detections], None] | None = None,
) -> Iterator[tuple[ImageSet, Cells | NoCells]]:
    """Find the cells of several samples; a fault waits until all the others have been seen.

    Args:
        samples: the samples.
        detector: finds the cells.
        roi: whether to compute RoI features too.
        skip_empty: a sample without a whole cell is no fault but gives its `NoCells`.
        seen: as for `find_cells`.

    Raises:
        DataError: at the end, naming every sample at fault.
    """
    faults: list[str] = []
    for sample in samples:
        try:
            yield sample, find_cells(sample, detector, roi=roi, seen=seen)
        except NoCells as error:
            if skip_empty:
                yield sample, error
            else:
                faults.append(str(error))
        except DataError as error:
            faults.append(str(error))
    if len(faults) == 1:
        raise DataError(faults[0])
    if faults:
        listed = "".join(f"\n  {fault}" for fault in faults)
        raise DataError(f"{len(faults)} of {len(samples)} samples are at fault:{listed}")
