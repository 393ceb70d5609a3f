"""What the detector writes: a folder of bags."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd

from mil_rbc.data.reading import read_table
from mil_rbc.detect.samples import Cells, ImageSet
from mil_rbc.files import write_whole

TABLE = "bags.csv"
COLUMNS = ("bag", "patient", "label", "file")


def write_bag(folder: Path, number: int, sample: ImageSet, cells: Cells) -> None:
    """Write the cells of a sample into a folder of bags: a `.npz` file and its row of `bags.csv`.

    A row of that sample that is there already, its patient and label perhaps filled in by hand,
    stays as it is.

    Args:
        folder: where to; made if it is not there.
        number: of the sample in its folder, from 1; the file's name.
        sample: name, patient and label of the bag.
        cells: its cells.

    Raises:
        RunError: if a file cannot be written.
    """
    file = f"{number:04d}.npz"  # the sample's own name may be no file name
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **cells.arrays())  # type: ignore[arg-type]
    write_whole(folder / file, buffer.getvalue())
    path = folder / TABLE
    rows = read_table(path, COLUMNS)[list(COLUMNS)].values.tolist() if path.exists() else []
    row = next(
        (row for row in rows if row[0] == sample.name),
        [sample.name, sample.patient, sample.label, file],
    )
    row[3] = file
    rows = [other for other in rows if other is not row and other[3] != file]
    rows.append(row)
    write_whole(path, pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(index=False))
