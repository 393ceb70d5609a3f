"""Presence bags of MNIST digits: the class says which of 8 and 9 are in the bag."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mil_rbc.data.bags import Bag, Cohort
from mil_rbc.data.crops import SIDE
from mil_rbc.data.reading import need_folder
from mil_rbc.errors import DataError
from mil_rbc.smears.recipe import Size

CLASSES = ("neither", "8", "9", "8 and 9")
WITNESSES = ((), (8,), (9,), (8, 9))
TRAIN: dict[Size, int] = {"smoke": 20, "default": 200, "paper": 1000}
TEST: dict[Size, int] = {"smoke": 20, "default": 200, "paper": 400}


def load(
    data: Path | None,
    *,
    seed: int = 0,
    size: Size = "default",
    train: int | None = None,
    test: int | None = None,
    mean: float = 14.0,
    spread: float = 3.0,
) -> Cohort:
    """Bags of handwritten digits of four classes: no 8 and no 9, an 8, a 9, or both.

    Training bags are drawn from MNIST's 60,000 training digits and test bags from its 10,000 test
    digits; there is one fixed fold. A bag with witnesses has one to three of each. Digits are drawn
    without replacement as long as there are any.

    Args:
        data: folder with the four original idx files, gzipped or not.
        seed: which digits are drawn.
        size: `"smoke"`, `"default"` or `"paper"`: 20, 200 or 1,000 training bags.
        train: number of training bags instead (20 to 1,000 make the scarce-data curve).
        test: number of test bags instead.
        mean: mean number of digits a bag.
        spread: standard deviation of that number; no bag has fewer than 6.

    Returns:
        A cohort of 64x64 crops with every digit as cell label; 8 and 9 are the anomalous ones.

    Raises:
        DataError: if a file is missing, damaged, or too small for the number of bags.
    """
    folder = need_folder(data, "mnist", "the four MNIST idx files")
    numbers = {"train": TRAIN[size] if train is None else train,
               "t10k": TEST[size] if test is None else test}  # fmt: skip
    bags: list[Bag] = []
    fold: dict[str, int] = {}
    for stream, (part, count) in enumerate(numbers.items()):
        if count < len(CLASSES):
            raise DataError(
                f"cohort 'mnist': {count} bags cannot show 4 classes; ask for 4 or more"
            )
        digits = _idx(folder, f"{part}-images-idx3-ubyte")
        labels = _idx(folder, f"{part}-labels-idx1-ubyte")
        if len(digits) != len(labels):
            raise DataError(f"{folder}: {part} has {len(digits)} digits but {len(labels)} labels")
        rng = np.random.default_rng([seed, stream])
        for bag in _draw(part, digits, labels, count, mean, spread, rng):
            bags.append(bag)
            fold[bag.patient] = -1 if part == "train" else 0
    return Cohort(
        name="mnist",
        kind="crop",
        classes=CLASSES,
        control=0,
        bags=bags,
        cell_classes=tuple(str(digit) for digit in range(10)),
        anomalous=tuple(digit >= 8 for digit in range(10)),
        provenance=f"Real digits, made-up bags: MNIST (LeCun et al. 1998), {numbers['train']} "
        f"training bags of about {mean:.0f} digits.",
        group_by="bag",
        test_fold=fold,
    )


def _draw(
    part: str,
    digits: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    count: int,
    mean: float,
    spread: float,
    rng: np.random.Generator,
) -> list[Bag]:
    stock = {digit: _Stock(np.flatnonzero(labels == digit), rng) for digit in (8, 9)}
    others = _Stock(np.flatnonzero(labels < 8), rng)
    bags = []
    for number in range(count):
        label = number % len(CLASSES)
        chosen: list[int] = []
        for digit in WITNESSES[label]:
            chosen += stock[digit].take(int(rng.integers(1, 4)))
        length = max(6, round(rng.normal(mean, spread)))
        drawn = rng.permutation(chosen + others.take(length - len(chosen)))
        name = f"{part}-{number + 1:04d}"
        crops = np.stack([_enlarge(digits[i]) for i in drawn])
        names = np.array([f"{part}-digit-{i}" for i in drawn])
        bags.append(Bag(name, name, label, crops, names, labels[drawn].astype(np.int64)))
    return bags


class _Stock:
    """Indices in random order, dealt out without replacement, and shuffled again when used up."""

    def __init__(self, indices: NDArray[np.int64], rng: np.random.Generator) -> None:
        if len(indices) < 10:
            raise DataError("cohort 'mnist': a digit occurs fewer than 10 times; download it again")
        self._order, self._rng, self._next = rng.permutation(indices), rng, 0

    def take(self, count: int) -> list[int]:
        if self._next + count > len(self._order):
            self._order, self._next = self._rng.permutation(self._order), 0
        taken = self._order[self._next : self._next + count]
        self._next += int(count)
        return [int(index) for index in taken]


def _enlarge(digit: NDArray[np.uint8]) -> NDArray[np.uint8]:
    large = Image.fromarray(digit).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(large, dtype=np.uint8)


def _idx(folder: Path, name: str) -> NDArray[np.uint8]:
    """Read an idx file of bytes (http://yann.lecun.com/exdb/mnist), gzipped or not."""
    for path in (folder / f"{name}.gz", folder / name, folder / name.replace("-idx", ".idx")):
        if path.is_file():
            break
    else:
        raise DataError(f"{folder} has no {name}.gz: see docs/cohorts.md for where to get it")
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if raw[:3] != b"\x00\x00\x08":
            raise ValueError("not an idx file of bytes")
        shape = np.frombuffer(raw, dtype=">i4", count=raw[3], offset=4)
        return np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * raw[3]).reshape(shape)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}): download it again") from error
