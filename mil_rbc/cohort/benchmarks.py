"""The classical MIL benchmarks MUSK1, MUSK2, Elephant, Fox and Tiger as vector bags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mil_rbc.data.bags import Bag, Cohort
from mil_rbc.data.reading import need_folder
from mil_rbc.errors import DataError

WIDTHS = {"musk1": 166, "musk2": 166, "elephant": 230, "fox": 230, "tiger": 230}
CLASSES = {
    "musk1": ("non-musk", "musk"),
    "musk2": ("non-musk", "musk"),
    "elephant": ("no elephant", "elephant"),
    "fox": ("no fox", "fox"),
    "tiger": ("no tiger", "tiger"),
}
SOURCES = {"musk1": "Dietterich et al. 1997", "musk2": "Dietterich et al. 1997"}


def load(name: str, data: Path | None) -> Cohort:
    """Read a benchmark from `<name>.csv` or `<name>.csv.gz`: bag label, bag id, features.

    There is no header. The number of features is asserted (166 for MUSK, 230 for the images): in a
    widely copied set of these files a further last column is the label itself.

    Args:
        name: `"musk1"`, `"musk2"`, `"elephant"`, `"fox"` or `"tiger"`.
        data: the folder the file lies in.

    Returns:
        A cohort of float32 vectors, in which every bag is its own patient.

    Raises:
        DataError: if the file is missing, has another width or a bag with two labels.
    """
    folder = need_folder(data, name, f"{name}.csv or {name}.csv.gz")
    found = [
        path for suffix in ("csv", "csv.gz") if (path := folder / f"{name}.{suffix}").is_file()
    ]
    if not found:
        raise DataError(f"{folder} has neither {name}.csv nor {name}.csv.gz: see docs/cohorts.md")
    table = _numbers(found[0])
    expected = WIDTHS[name] + 2
    if table.shape[1] != expected:
        leaks = " (the last column repeats the label)" if _last_is_label(table) else ""
        raise DataError(
            f"{found[0]} has {table.shape[1]} columns{leaks}, but {name} has {expected}: bag "
            f"label, bag id and {WIDTHS[name]} features; remove the others"
        )
    if _last_is_label(table):
        raise DataError(f"{found[0]}: the last feature column is the label; use a file without it")
    bags = []
    ids = table[:, 1].astype(np.int64)
    for number in dict.fromkeys(ids.tolist()):
        rows = table[ids == number]
        labels = set((rows[:, 0] > 0).astype(int).tolist())
        if len(labels) > 1:
            raise DataError(f"{found[0]}: bag {number} has two labels; give all its rows one")
        bag = f"{name}-{number}"
        bags.append(
            Bag(bag, bag, labels.pop(), rows[:, 2:].astype(np.float32), np.full(len(rows), bag))
        )
    return Cohort(
        name=name,
        kind="vector",
        classes=CLASSES[name],
        control=0,
        bags=bags,
        provenance=f"Real data: the {name} benchmark of multiple instance learning "
        f"({SOURCES.get(name, 'Andrews et al. 2002')}); not blood cells.",
        group_by="bag",
        standardize=True,
    )


def _numbers(path: Path) -> NDArray[np.float64]:
    try:
        table = pd.read_csv(path, header=None).to_numpy()
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        said = " ".join(str(error).split())
        raise DataError(f"{path} cannot be read ({said}): download it again") from error
    try:
        numbers = np.asarray(table, dtype=np.float64)
    except ValueError as error:
        raise DataError(
            f"{path} has values that are no numbers: it must have no header and only numbers"
        ) from error
    bad = ~np.isfinite(numbers).all(axis=1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0]) + 1
        raise DataError(f"{path}, row {row}: a value is missing; remove the row or complete it")
    return numbers


def _last_is_label(table: NDArray[np.float64]) -> bool:
    last, label = table[:, -1], table[:, 0] > 0
    if np.ptp(last) == 0 or table.shape[1] < 3:
        return False
    return bool(((last > last.mean()) == label).all() and len(np.unique(last)) == 2)
