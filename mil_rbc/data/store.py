"""A cohort in one file without pickles, for the processes that train on it."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mil_rbc.data.bags import Bag, Cohort, Encoding, Words
from mil_rbc.errors import RunError
from mil_rbc.files import write_whole

_FIELDS = ("name", "kind", "classes", "control", "cell_classes", "anomalous", "provenance",
           "group_by", "standardize", "test_fold", "prepared")  # fmt: skip


def save_cohort(path: Path, cohort: Cohort) -> None:
    """Write a cohort to an `.npz` file, whole or not at all.

    Of an encoded cohort the crops are written; its features lie in a file of their own beside it,
    `Encoding.file`.
    """
    encoding, cohort = cohort.encoding, cohort.decoded()
    header: dict[str, Any] = {name: getattr(cohort, name) for name in _FIELDS}
    header["words"] = None if cohort.words is None else asdict(cohort.words)
    header["bags"] = [
        {"bag": b.bag, "patient": b.patient, "label": b.label, "cells": len(b)} for b in cohort.bags
    ]
    header["encoding"] = asdict(encoding) if encoding else None
    arrays = {
        "header": np.array(json.dumps(header)),
        "instances": np.concatenate([b.instances for b in cohort.bags]),
        "images": np.concatenate([b.images for b in cohort.bags]),
    }
    if any(b.cell_labels is not None for b in cohort.bags):
        arrays["cell_labels"] = np.concatenate([b.known_labels() for b in cohort.bags])
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_whole(path, buffer.getbuffer())


def load_cohort(path: Path, *, encoded: bool = True) -> Cohort:
    """Read what `save_cohort` wrote; the last one is kept for the next trial of this process.

    Args:
        path: the file.
        encoded: with the features of the cohort's encoder, if it has one; else its crops.

    Raises:
        RunError: if the file, or that of the features, is not there or damaged.
    """
    try:
        written = path.stat().st_mtime_ns
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}): run again") from error
    return _load(path, written, encoded)


@lru_cache(maxsize=1)
def _load(path: Path, written: int, encoded: bool) -> Cohort:
    """`written`, the time of the last change, keeps an older content from being taken for it."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(str(arrays["header"]))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} cannot be read ({error}): delete it and run again") from error
    bags, start = [], 0
    for entry in header.pop("bags"):
        rows = slice(start, start := start + entry.pop("cells"))
        known = arrays["cell_labels"][rows] if "cell_labels" in arrays else None
        bags.append(Bag(**entry, instances=arrays["instances"][rows], images=arrays["images"][rows],
                        cell_labels=known))  # fmt: skip
    for name in ("classes", "cell_classes", "anomalous"):
        header[name] = tuple(header[name])
    words, encoding = header.pop("words", None), header.pop("encoding", None)
    cohort = Cohort(bags=bags, words=None if words is None else Words(**words), **header)
    if not encoding or not encoded:
        return cohort
    features = read_features(path.parent / encoding["file"], (start, encoding["features"]))
    if features is None:
        raise RunError(f"{path.parent / encoding['file']} is missing or damaged: run again")
    return cohort.encoded(features, Encoding(**encoding))


def read_features(path: Path, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Features of that shape as a memory map, or `None` if the file is not what it should be."""
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return rows if rows.shape == shape and rows.dtype == np.float32 else None
