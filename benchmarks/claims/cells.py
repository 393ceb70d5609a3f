"""Single red cells for claims, their pixels beside the features of a frozen network."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks import data
from mil_rbc.data.bags import Bag

Source = Literal["rendered", "nih", "chula"]
Stock = Literal["pool", "development", "test"]
STOCKS: tuple[Stock, ...] = ("pool", "development", "test")
KEPT = Path("runs/claims/cells")
"""Cells and features are made once and read from here afterwards; delete it to make them anew."""


class Cells(NamedTuple):
    """Cells of one source and stock, in random order.

    Attributes:
        pixels: (n, 784) float32 in [0, 1], the crops inverted and shrunk to 28×28.
        features: (n, 1280) float32, of EfficientNet-Lite0 at 112×112.
        labels: (n,) int64; 0 is a normal cell.
    """

    pixels: Tensor
    features: Tensor
    labels: Tensor


@dataclass(frozen=True)
class _Drawn:
    crops: NDArray[np.uint8]
    labels: NDArray[np.int64]


def _of(bags: list[Bag]) -> _Drawn:
    """Different cells of these bags; the made-up patients of a cohort may share some."""
    crops = np.concatenate([bag.instances for bag in bags])
    labels = np.concatenate([bag.known_labels() for bag in bags])
    _, first = np.unique(crops.reshape(len(crops), -1), axis=0, return_index=True)
    order = np.random.default_rng(0).permutation(np.sort(first))
    return _Drawn(crops[order], labels[order])


def _rendered(stock: Stock) -> _Drawn:
    """A cohort of its own for each stock; labels are morphologies, 0 a discocyte."""
    from mil_rbc.cohort import rendered

    return _of(rendered.load(seed=STOCKS.index(stock)).bags)


def _nih(stock: Stock) -> _Drawn:
    """Patients are divided 100, 40 and 60; label 1 is a cell with a parasite."""
    from mil_rbc.cohort import nih

    bags = nih.load(data.folder("nih_malaria")).bags
    order = np.random.default_rng(0).permutation(len(bags))
    parts = dict(zip(STOCKS, np.split(order, [100, 140]), strict=True))
    return _of([bags[i] for i in parts[stock]])


def _chula(stock: Stock) -> _Drawn:
    """Smears are divided into three; labels are the 11 classes that are in all of them."""
    from mil_rbc.cohort import chula

    cohort = chula.load(data.folder("chula_rbc12"), size="paper")
    assert cohort.test_fold is not None
    fold = STOCKS.index(stock)
    drawn = _of([bag for bag in cohort.bags if cohort.test_fold[bag.patient] == fold])
    classes = np.unique(np.concatenate([bag.known_labels() for bag in cohort.bags]))
    return _Drawn(drawn.crops, np.searchsorted(classes, drawn.labels))


SOURCES: dict[Source, Callable[[Stock], _Drawn]] = {
    "rendered": _rendered, "nih": _nih, "chula": _chula
}  # fmt: skip
MOST = {"rendered": 2000, "nih": 2000, "chula": 400}
"""Cells that are ranked; of Chula, cells of any one class in any stock."""


@functools.cache
def cells(source: Source, stock: Stock) -> Cells:
    """Cells of a stock; no patient, and no smear, has cells in two stocks of a source.

    Raises:
        DataError: if the data are not where ``data.folder`` says.
    """
    from mil_rbc.instances import efficientnet

    path = KEPT / f"{source}-{stock}.npz"
    if not path.exists():
        drawn = _limited(source, stock, SOURCES[source](stock))
        small = nn.functional.interpolate(
            torch.from_numpy(drawn.crops)[:, None].float(), (28, 28), mode="area"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{source}-{stock}.part.npz")
        np.savez(
            part, pixels=(1 - small / 255).flatten(1).numpy(),
            features=efficientnet.make()(drawn.crops), labels=drawn.labels,
        )  # fmt: skip
        part.rename(path)
    with np.load(path) as kept:
        return Cells(*(torch.from_numpy(kept[name]) for name in Cells._fields))


def _limited(source: Source, stock: Stock, drawn: _Drawn) -> _Drawn:
    """Not more cells than a claim uses."""
    rows = np.arange(len(drawn.labels))
    if source == "chula":
        of_class = [np.flatnonzero(drawn.labels == c) for c in np.unique(drawn.labels)]
        rows = np.sort(np.concatenate([own[: MOST[source]] for own in of_class]))
    elif stock != "pool":
        rows = rows[: MOST[source]]
    return _Drawn(drawn.crops[rows], drawn.labels[rows])
