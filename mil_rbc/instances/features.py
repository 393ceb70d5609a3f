"""Features of a cohort's cells: computed once, kept beside the cohort."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import shutil
import sys
import time
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
    crops = np.concatenate([bag.instances for bag in cohort.bags])
    name = file_name(cohort, encoder)
    path = folder / name
    shape = (len(crops), encoder.encoding.features)
    if shared is not None:
        check_writable(shared / name)
        if not path.exists() and read_features(shared / name, shape) is not None:
            write_again(shared / name, path)
    if not path.exists():
        _write(path, _compute(crops, encoder, folder / f".{name}"))
        shutil.rmtree(folder / f".{name}", ignore_errors=True)
    features = read_features(path, shape)
    if features is None:
        raise RunError(f"{path} is damaged: delete it and run again")
    if not np.isfinite(features).all():
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


def _compute(crops: NDArray[np.uint8], encoder: FrozenEncoder, parts: Path) -> NDArray[np.float32]:
    """Encode part by part, with progress; whatever parts are there already are read."""
    progress, found = _Progress(encoder.encoding.words, len(crops)), []
    try:
        for start in range(0, len(crops), PART):
            cells = crops[start : start + PART]
            path = parts / f"{start:08d}.npy"
            rows = read_features(path, (len(cells), encoder.encoding.features))
            if rows is None:
                rows = encoder(cells, lambda n, start=start: progress.say(start + n))  # type: ignore[misc]
                _write(path, rows)
            else:
                progress.skip(len(cells))
            found.append(rows)
    finally:
        progress.end()
    return np.concatenate(found)


def _write(path: Path, rows: NDArray[np.float32]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, rows)
    write_whole(path, buffer.getbuffer())


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
