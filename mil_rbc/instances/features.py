"""Features of a cohort's cells: computed once, kept beside the cohort."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import shutil
import sys
import time
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mil_rbc.cli import duration
from mil_rbc.data.bags import Cohort
from mil_rbc.data.store import read_features
from mil_rbc.errors import DataError, RunError
from mil_rbc.files import check_writable, write_again, write_whole
from mil_rbc.instances.encoder import FrozenEncoder

PART = 512  # cells between two files that an interrupted run goes on from


def encode(
    cohort: Cohort, encoder: FrozenEncoder, folder: Path, shared: Path | None = None
) -> Cohort:
    """Replace a cohort's crops by their features, which are read from `folder` or computed into it.

    The file is named by a hash of the crops, the weights and the preprocessing, so features of
    others are never taken for these. It is written whole or not at all; parts of an interrupted run
    are kept and used.

    Args:
        cohort: of crops.
        encoder: of the crops.
        folder: of the run.
        shared: where other runs look for the same features, and leave them.

    Returns:
        A cohort of vectors, of which `Bag.crops` are the crops and `Cohort.encoding` says what they
        were made by.

    Raises:
        DataError: if a feature is not finite, or the crops are too small.
        RunError: if a file cannot be read or written; before anything is computed.
    """
    name = file_name(cohort, encoder)
    path = folder / name
    shape = (sum(map(len, cohort.bags)), encoder.encoding.features)
    if shared is not None:
        check_writable(shared / name)
        if not path.exists() and read_features(shared / name, shape) is not None:
            write_again(shared / name, path)
    if not path.exists():
        _write(path, shape, _compute(cohort, encoder, folder / f".{name}"))
        shutil.rmtree(folder / f".{name}", ignore_errors=True)
    features = read_features(path, shape)
    if features is None:
        raise RunError(f"{path} is damaged: delete it and run again")
    if not all(np.isfinite(features[k : k + PART]).all() for k in range(0, len(features), PART)):
        raise DataError(
            f"encoder {encoder.encoding.name!r} gives features that are not finite: its weights "
            f"are at fault, name others"
        )
    if shared is not None and read_features(shared / name, shape) is None:
        write_again(path, shared / name)
    encoding = dataclasses.replace(encoder.encoding, file=name)
    return cohort.encoded(features, encoding)


def file_name(cohort: Cohort, encoder: FrozenEncoder) -> str:
    """Name of the file with the features of that cohort by that encoder."""
    both = f"{cohort.data_hash()} {encoder.encoding.sha256}"
    return f"features-{hashlib.sha256(both.encode()).hexdigest()[:16]}.npy"


def _compute(cohort: Cohort, encoder: FrozenEncoder, folder: Path) -> list[Path]:
    """Encode part by part, with progress, into files of `PART` cells; those there are are kept.

    Never are all cells or features in memory besides the cohort: there may be millions.
    """
    ends = np.cumsum([len(bag) for bag in cohort.bags])
    cells, width = int(ends[-1]), encoder.encoding.features
    progress, parts = _Progress(encoder.encoding.words, cells), []
    try:
        for start in range(0, cells, PART):
            count = min(PART, cells - start)
            path = folder / f"{start:08d}.npy"
            if read_features(path, (count, width)) is None:
                crops = _cells(cohort, ends, start, count)
                rows = encoder(crops, lambda n, start=start: progress.say(start + n))  # type: ignore[misc]
                _write(path, rows.shape, [rows])
            else:
                progress.skip(count)
            parts.append(path)
    finally:
        progress.end()
    return parts


def _cells(cohort: Cohort, ends: NDArray[np.int64], start: int, count: int) -> NDArray[np.uint8]:
    """The crops from `start` on of all bags in a row, each bag's last at `ends` minus 1."""
    found = []
    for k in range(int(np.searchsorted(ends, start, side="right")), len(ends)):
        begin = int(ends[k - 1]) if k else 0
        if begin >= start + count:
            break
        found.append(cohort.bags[k].instances[max(start - begin, 0) : start + count - begin])
    return np.concatenate(found)


def _write(path: Path, shape: tuple[int, ...], parts: Iterable[Path | NDArray[np.float32]]) -> None:
    """Write one array of these parts."""
    header = io.BytesIO()
    described = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    rows = (np.load(part, mmap_mode="r") if isinstance(part, Path) else part for part in parts)
    write_whole(path, chain([header.getvalue()], (part.tobytes() for part in rows)))


class _Progress:
    """One line on stderr: cells done, time gone, time left."""

    def __init__(self, words: str, total: int) -> None:
        self.words, self.total = words, total
        self.start, self.said, self.skipped, self.done = time.monotonic(), 0.0, 0, 0
        self.live = sys.stderr.isatty()

    def skip(self, cells: int) -> None:
        """Count cells that were encoded before."""
        self.skipped += cells
        self.say(self.done + cells)

    def say(self, done: int) -> None:
        """Tell how many cells are done, not too often."""
        self.done = done
        now = time.monotonic()
        if now - self.said < (0.5 if self.live else 15.0) and done < self.total:
            return
        self.said = now
        fresh = done - self.skipped
        left = (now - self.start) / fresh * (self.total - done) if fresh else 0.0
        line = f"features of {self.words}: {done}/{self.total} cells · {duration(now - self.start)}"
        line += f" · {duration(left)} left" if done < self.total else ""
        print(f"\r\x1b[K{line}" if self.live else line, end="" if self.live else "\n",
              file=sys.stderr, flush=True)  # fmt: skip

    def end(self) -> None:
        """Leave the line."""
        if self.live:
            print(file=sys.stderr)
