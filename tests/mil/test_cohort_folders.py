"""A folder of bags: three ways to write one, and what its faults are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mil_rbc.cohort import load
from mil_rbc.data.folds import deal
from mil_rbc.errors import DataError

HEADER = "bag,patient,label,file\n"
RNG = np.random.default_rng(0)


def crops(count: int) -> np.ndarray:
    return RNG.integers(0, 256, (count, 64, 64), dtype=np.uint8)


def test_crops_with_cell_labels(tmp_path: Path) -> None:
    rows = []
    for number in range(6):
        np.savez(
            tmp_path / f"{number}.npz",
            crops=crops(3),
            images=np.array(["a", "a", "b"]),
            cell_labels=np.array(["normal", "", "sickle"]),
        )
        rows.append(f"b{number},p{number},{'sick' if number % 2 else 'healthy'},{number}.npz")
    (tmp_path / "bags.csv").write_text(HEADER + "\n".join(rows))
    cohort = load("bags", tmp_path)
    assert cohort.classes == ("healthy", "sick")
    assert cohort.control == 0
    assert cohort.cell_classes == ("normal", "sickle")
    assert cohort.anomalous == (False, True)
    assert cohort.bags[0].cell_labels is not None
    assert cohort.bags[0].cell_labels.tolist() == [0, -1, 1]
    assert cohort.bags[0].images.tolist() == ["b0/a", "b0/a", "b0/b"]
    assert len(deal(cohort, 3, 0)) == 3


def test_vectors_and_a_control_of_another_name(tmp_path: Path) -> None:
    for number in range(2):
        np.savez(tmp_path / f"{number}.npz", vectors=RNG.normal(size=(4, 7)))
    (tmp_path / "bags.csv").write_text(HEADER + "a,p,sick,0.npz\nb,q,well,1.npz\n")
    assert load("bags", tmp_path).control is None
    cohort = load("bags", tmp_path, control="well")
    assert cohort.kind == "vector"
    assert cohort.standardize
    assert cohort.classes == ("well", "sick")
    assert cohort.control == 0
    assert cohort.bags[0].instances.dtype == np.float32
    with pytest.raises(DataError, match="control='x' is no label"):
        load("bags", tmp_path, control="x")


def test_roi_features(tmp_path: Path) -> None:
    roi = RNG.normal(size=(2, 256, 14, 14)).astype(np.float16)
    np.savez(tmp_path / "0.npz", crops=crops(2), roi=roi)
    (tmp_path / "bags.csv").write_text(HEADER + "a,p,sick,0.npz\n")
    assert load("bags", tmp_path).kind == "crop"
    cohort = load("bags", tmp_path, instances="roi")
    assert cohort.kind == "roi"
    assert (cohort.bags[0].instances == roi).all()
    with pytest.raises(DataError, match="no array 'vectors'"):
        load("bags", tmp_path, instances="vectors")


def test_a_folder_of_single_cell_images(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    for number in range(3):
        Image.fromarray(crops(1)[0]).resize((40, 50)).save(tmp_path / "one" / f"{number}.png")
    (tmp_path / "bags.csv").write_text(HEADER + "a,p,sick,one\n")
    bag = load("bags", tmp_path).bags[0]
    assert bag.instances.shape == (3, 64, 64)
    assert bag.instances.dtype == np.uint8
    assert bag.images.tolist() == ["a/0.png", "a/1.png", "a/2.png"]


def test_faults_name_the_file_or_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs --data"):
        load("bags")
    with pytest.raises(DataError, match="is no folder"):
        load("bags", tmp_path / "none")
    with pytest.raises(DataError, match=r"bags.csv does not exist"):
        load("bags", tmp_path)

    def fails(rows: str, said: str, header: str = HEADER) -> None:
        (tmp_path / "bags.csv").write_text(header + rows)
        with pytest.raises(DataError, match=said):
            load("bags", tmp_path)

    fails("a,p,0.npz\n", "no column 'label'", "bag,patient,file\n")
    fails("a,p,,0.npz\n", "row 2: label is empty")
    fails("a,p,sick,0.npz\n", r"bag 'a': .*0.npz does not exist")
    (tmp_path / "0.npz").write_bytes(b"bad")
    fails("a,p,sick,0.npz\n", r"bag 'a': .*0.npz is no .npz file")
    (tmp_path / "0.npz").write_bytes(b"PK\x03\x04bad")
    fails("a,p,sick,0.npz\n", r"bag 'a': .*0.npz is no .npz file")
    np.save(tmp_path / "1.npy", crops(1))
    fails("a,p,sick,1.npy\n", r"bag 'a': .*1.npy is no .npz file")
    np.savez(tmp_path / "0.npz", crops=crops(1).astype(float))
    fails("a,p,sick,0.npz\n", "crops are float64")
    np.savez(tmp_path / "0.npz", crops=crops(0))
    fails("a,p,sick,0.npz\n", "bag 'a' of patient 'p' has no cells")
    np.savez(tmp_path / "0.npz", crops=crops(2), images=np.array(["a"]))
    fails("a,p,sick,0.npz\n", "bag 'a': images has shape")
    (tmp_path / "none").mkdir()
    fails("a,p,sick,none\n", "bag 'a' has no cells")
    np.savez(tmp_path / "0.npz", crops=np.array([object()]))
    fails("a,p,sick,0.npz\n", "is no .npz file of plain arrays")
    np.savez(tmp_path / "0.npz", crops=crops(1))
    fails("a,p,sick,0.npz\na,q,sick,0.npz\n", "bag 'a' occurs twice|twice")
    fails("a,p,sick,0.npz\nb,p,well,0.npz\n", "patient 'p' has two labels")


def test_names_and_options_of_cohorts() -> None:
    with pytest.raises(DataError, match="unknown cohort 'x': use one of rendered"):
        load("x")
    with pytest.raises(DataError, match="cohort 'bags' has no option 'train': it has instances"):
        load("bags", Path("."), train=3)
