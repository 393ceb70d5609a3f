"""The command line as tests give it, and the folder of bags that it is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from mil_rbc.data.bags import Cohort

ROOT = Path(__file__).parents[2]


def bags_folder(folder: Path, cohort: Cohort) -> Path:
    """Write a cohort of vectors as a user's folder of bags."""
    folder.mkdir(parents=True)
    rows = []
    for bag in cohort.bags:
        assert bag.cell_labels is not None
        cells = np.array(["odd" if k else "normal" for k in bag.cell_labels])
        file = folder / f"{bag.bag}.npz"
        np.savez(file, vectors=bag.instances, images=bag.images, cell_labels=cells)
        rows.append((bag.bag, bag.patient, cohort.classes[bag.label], f"{bag.bag}.npz"))
    frame = pd.DataFrame(rows, columns=["bag", "patient", "label", "file"])
    frame.to_csv(folder / "bags.csv", index=False)
    return folder


def arguments(data: Path, out: Path, *more: str) -> list[str]:
    given = f"--cohort bags --data {data} --out {out} --runs 1 --epochs 2 --latent 16"
    return [*given.split(), "--device", "cpu", "--threads", "1", *more]
