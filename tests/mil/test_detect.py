"""Detectors find rendered cells, and the command line turns images into bags."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mil_rbc.cohort import load
from mil_rbc.cohort.rendered import match
from mil_rbc.detect import Detections, make
from mil_rbc.detect.__main__ import main
from mil_rbc.detect.draw import CELL
from mil_rbc.detect.field import develop
from mil_rbc.detect.precision import average_precision, evaluate, mask_iou
from mil_rbc.detect.samples import find_cells, find_samples
from mil_rbc.errors import DataError, RunError
from mil_rbc.smears.fields import DEVELOPMENT_SEED, KINDS, Kind, fields, render_field
from mil_rbc.smears.light import absorbance
from mil_rbc.smears.recipe import DEFAULT, SMOKE
from mil_rbc.smears.render import Smear, smears


def take(count: int, seed: int = 0) -> list[Smear]:
    every = (smear for _, sample in smears(DEFAULT, seed) for smear in sample)
    return list(itertools.islice(every, count))


def squares(*corners: tuple[int, int], side: int = 10) -> Smear:
    boxes = np.array([(x, y, x + side, y + side) for x, y in corners], np.int64).reshape(-1, 4)
    masks = tuple(np.ones((side, side), bool) for _ in corners)
    image = np.zeros((100, 100, 3), np.uint8)
    return Smear("s", image, boxes, masks, np.array(["discocyte"] * len(corners)))


def detected(truth: Smear, scores: list[float]) -> Detections:
    return Detections(truth.boxes, np.array(scores), truth.masks)


def test_watershed_reaches_090_on_default_smears() -> None:
    result = evaluate(make("watershed"), take(40, seed=17))
    assert result.ap50 >= 0.9
    assert result.ap75 >= 0.9
    assert result.cells > 400


@pytest.mark.parametrize("kind", KINDS)
def test_watershed_reaches_085_on_every_kind_of_field(kind: Kind) -> None:
    result = evaluate(make(), itertools.islice(fields(kind, DEVELOPMENT_SEED), 2))
    assert result.ap50 >= 0.85
    assert result.cells > 100


def test_a_round_field_is_found_and_its_rim_cuts_cells() -> None:
    truth = render_field("round", DEVELOPMENT_SEED, 0)
    field = develop(truth.image)
    assert not field.inside[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert 0.3 < field.inside.mean() < 0.7
    found = make()(truth.image)
    assert found.cut is not None
    assert 0 < found.cut.sum() < 0.4 * len(found)
    assert (found.whole(truth.image.shape[:2]) <= ~found.cut).all()


def test_what_is_no_cell_has_a_reason() -> None:
    for kind, reason in (
        ("platelets", "too small"),
        ("leukocytes", "nucleus, pointer or bar"),
        ("pointer", "nucleus, pointer or bar"),
    ):
        found = make()(render_field(kind, DEVELOPMENT_SEED, 1).image)  # type: ignore[arg-type]
        assert reason in {rejected.reason for rejected in found.rejected}, kind
        assert len(found) > 50


def test_difficult_cells_neither_win_nor_lose() -> None:
    truth = squares((0, 0), (30, 30))
    truth = replace(truth, difficult=np.array([False, True]))
    one, both = squares((0, 0)), squares((30, 30), (0, 0))
    assert average_precision([(detected(one, [0.9]), truth)]) == [1.0, 1.0]
    assert average_precision([(detected(both, [0.9, 0.8]), truth)]) == [1.0, 1.0]
    wrong = squares((60, 60), (0, 0))
    assert average_precision([(detected(wrong, [0.9, 0.8]), truth)]) == [0.5, 0.5]


def test_fields_are_measured_by_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mil_rbc.detect.__main__.KINDS", ("plain",))
    main(["fields", "--images", "1", "--seed", "101", "--out", str(tmp_path / "ap.json")])
    assert "plain" in capsys.readouterr().out
    assert json.loads((tmp_path / "ap.json").read_text())["kinds"]["plain"]["ap50"] > 0.9


def test_watershed_separates_touching_cells_and_ignores_dust() -> None:
    y, x = np.mgrid[:120, :160]
    cells = [(60, 40), (60, 74), (60, 120)]  # the first two overlap
    depth = sum(0.6 * ((y - r) ** 2 + (x - c) ** 2 < 18**2) for r, c in cells)
    depth = depth + 0.8 * ((y - 15) ** 2 + (x - 15) ** 2 < 3**2)
    image = np.repeat((210 * np.exp(-depth))[..., None], 3, axis=2).astype(np.uint8)
    found = make("watershed")(image)
    centres = sorted(((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in found.boxes)
    assert len(centres) == 3
    assert np.allclose(centres, [(40, 60), (74, 60), (120, 60)], atol=2.5)


def test_watershed_finds_nothing_in_an_empty_field() -> None:
    rng = np.random.default_rng(0)
    empty = np.clip(rng.normal(210, 1, (80, 90, 3)), 0, 255).astype(np.uint8)
    assert len(make("watershed")(empty)) == 0
    assert len(make("watershed")(np.full((80, 90, 3), 210, np.uint8))) == 0


def test_uneven_light_is_divided_out() -> None:
    light = np.linspace(120, 240, 200)[None, :, None] * np.ones((150, 1, 3))
    light[60:90, 90:120] *= 0.5
    depth = absorbance(light.astype(np.uint8))
    assert depth[70:80, 100:110].mean() == pytest.approx(np.log(2), rel=0.1)
    assert depth[:40].max() < 0.1


def test_precision_of_a_perfect_detector_is_one() -> None:
    truth = squares((0, 0), (30, 30), (60, 60))
    assert average_precision([(detected(truth, [0.9, 0.8, 0.7]), truth)]) == [1.0, 1.0]


def test_precision_by_hand() -> None:
    truth = squares((0, 0), (30, 30))
    # By score: hit, miss, hit: precision 1 at recall 1/2, and 2/3 at recall 1.
    found = detected(squares((0, 0), (80, 80), (30, 30)), [0.9, 0.8, 0.7])
    assert average_precision([(found, truth)]) == pytest.approx([0.5 + 0.5 * 2 / 3] * 2)


def test_a_cell_is_found_only_once() -> None:
    truth = squares((0, 0))
    twice = detected(squares((0, 0), (0, 0)), [0.5, 0.9])
    assert average_precision([(twice, truth)]) == [1.0, 1.0]
    later = detected(squares((50, 50), (0, 0)), [0.9, 0.5])
    assert average_precision([(later, truth)]) == [0.5, 0.5]


def test_missed_cells_cost() -> None:
    truth = squares((0, 0), (30, 30))
    assert average_precision([(detected(squares((0, 0)), [0.9]), truth)]) == [0.5, 0.5]
    nothing = Detections(np.zeros((0, 4), np.int64), np.zeros(0), ())
    assert average_precision([(nothing, truth)]) == [0.0, 0.0]


def test_thresholds_differ() -> None:
    truth, shifted = squares((0, 0)), squares((3, 0))  # overlap 70 of 130
    assert mask_iou(truth.boxes, truth.masks, shifted.boxes, shifted.masks)[0, 0] == 70 / 130
    assert average_precision([(detected(shifted, [1.0]), truth)]) == [1.0, 0.0]


def write_images(folder: Path, table: bool = True) -> Path:
    rows = []
    for sample, images in itertools.islice(smears(SMOKE, 0), 3):
        for smear in images:
            place = folder if table else folder / sample.name
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(smear.image).save(place / f"{smear.name}.png")
            rows.append((f"{smear.name}.png", sample.name, sample.patient, f"d{sample.label}"))
    if table:
        pd.DataFrame(rows, columns=["image", "sample", "patient", "label"]).to_csv(
            folder / "patients.csv", index=False
        )
    return folder


def test_images_to_bags_to_cohort(tmp_path: Path) -> None:
    main([str(write_images(tmp_path / "images")), "--out", str(tmp_path / "bags")])
    read = load("bags", tmp_path / "bags")
    direct = load("images", tmp_path / "images")
    assert read.kind == direct.kind == "crop"
    assert len(read.bags) == 3
    for one, other in zip(read.bags, direct.bags, strict=True):
        assert (one.bag, one.patient, one.label) == (other.bag, other.patient, other.label)
        assert (one.instances == other.instances).all()
        assert (one.images == other.images).all()


def test_labels_filled_in_by_hand_stay(tmp_path: Path) -> None:
    images, bags = write_images(tmp_path / "images", table=False), tmp_path / "bags"
    main([str(images), "--out", str(bags)])
    table = pd.read_csv(bags / "bags.csv", dtype=str, keep_default_na=False)
    table["patient"], table["label"] = ["P1", "P2", "P3"], ["a", "b", "a"]
    table.to_csv(bags / "bags.csv", index=False)
    main([str(images), "--out", str(bags)])
    again = pd.read_csv(bags / "bags.csv", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(again, table)


def test_a_broken_image_leaves_the_bags_before_it(tmp_path: Path) -> None:
    images, bags = write_images(tmp_path / "images", table=False), tmp_path / "bags"
    (images / "zzz").mkdir()
    (images / "zzz" / "0.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="zzz"):
        main([str(images), "--out", str(bags)])
    assert len(pd.read_csv(bags / "bags.csv")) == 3


def test_every_sample_at_fault_is_named_at_once(tmp_path: Path) -> None:
    images, bags = write_images(tmp_path / "images", table=False), tmp_path / "bags"
    empty = np.full((60, 60, 3), 220, np.uint8)
    empty[20:40, :15] = 120  # cut by the border
    for name in ("AAA", "QQQ"):
        (images / name).mkdir()
        Image.fromarray(empty).save(images / name / "0.png")
    with pytest.raises(DataError, match=r"2 of 5 samples are at fault:\n.*AAA.*\n.*QQQ"):
        main([str(images), "--out", str(bags)])
    assert len(pd.read_csv(bags / "bags.csv")) == len(list(bags.glob("*.npz"))) == 3
    main([str(images), "--out", str(bags), "--skip_empty", "true"])
    assert pd.read_csv(bags / "skipped.csv")["sample"].tolist() == ["AAA", "QQQ"]
    assert len(pd.read_csv(bags / "bags.csv")) == 3


def test_images_of_one_name_are_told_apart(tmp_path: Path) -> None:
    smear = take(1)[0]
    rows = []
    for name in ("a/field1.png", "b/field1.png"):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(smear.image).save(tmp_path / name)
        rows.append((name, "S", "P", "x"))
    pd.DataFrame(rows, columns=["image", "sample", "patient", "label"]).to_csv(
        tmp_path / "patients.csv", index=False
    )
    cells = find_cells(find_samples(tmp_path)[0], make())
    assert set(cells.images) == {"a/field1.png", "b/field1.png"}


def test_every_image_is_drawn_and_odd_ones_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = write_images(tmp_path / "images", table=False)
    few = take(1)[0]
    x0, y0, x1, y1 = few.boxes[few.boxes[:, 0].argmax()]
    (images / "ZZZ").mkdir()
    alone = np.full((256, 320, 3), np.median(few.image, axis=(0, 1)), np.uint8)
    alone[100 : 100 + y1 - y0, 100 : 100 + x1 - x0] = few.image[y0:y1, x0:x1]
    Image.fromarray(alone).save(images / "ZZZ" / "0.png")
    main([str(images), "--out", str(tmp_path / "bags"), "--draw", str(tmp_path / "seen")])
    assert "odd: ZZZ/0.png: 1 whole cells, where the median" in capsys.readouterr().err
    drawn = sorted(p.relative_to(tmp_path / "seen") for p in (tmp_path / "seen").rglob("*.png"))
    assert len(drawn) == 7
    pixels = np.asarray(Image.open(tmp_path / "seen" / "ZZZ" / "0.png.png"))
    assert (pixels == CELL).all(axis=2).any()


def test_subfolders_are_samples(tmp_path: Path) -> None:
    found = find_samples(write_images(tmp_path, table=False))
    assert [len(sample.images) for sample in found] == [2, 2, 2]
    assert {sample.label for sample in found} == {""}
    cells = find_cells(found[0], make())
    assert cells.crops.shape[1:] == (64, 64)
    assert len(cells.boxes) == len(cells.images) == len(cells.crops)


def test_no_whole_cell_is_an_error(tmp_path: Path) -> None:
    image = np.full((60, 60, 3), 220, np.uint8)
    image[20:40, :15] = 120  # cut by the border
    Image.fromarray(image).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="no whole cell"):
        find_cells(find_samples(tmp_path)[0], make())


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("image,sample,patient\na.png,s,p", "no column 'label'"),
        (
            "image,sample,patient,label\na.png,s,p,x\na.png,s,p,x",
            r"row 3: image 'a.png' is already",
        ),
        ("image,sample,patient,label\na.png,s,p,x\nb.png,t,p,y", r"row 3: patient 'p' has two"),
        ("image,sample,patient,label\na.png,s,p,x\nb.png,s,q,x", r"row 3: sample 's' belongs to"),
        ("image,sample,patient,label\na.png,s,,x", r"row 2: patient is empty"),
        ("image,sample,patient,label\n", "no rows"),
        (
            "image,sample,patient,label\nnone.png,s,p,x",
            r"none.png \(patients.csv, row 2\) does not",
        ),
        ("", "cannot be read as CSV"),
    ],
)
def test_faults_of_patients_csv(tmp_path: Path, rows: str, said: str) -> None:
    (tmp_path / "patients.csv").write_text(rows)
    with pytest.raises(DataError, match=said):
        load("images", tmp_path)


def test_unreadable_and_empty_images(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a.png cannot be read"):
        find_cells(find_samples(tmp_path)[0], make())
    good = tmp_path / "a.png"
    Image.fromarray(take(1)[0].image).save(good)
    good.write_bytes(good.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"a.png cannot be read"):
        find_cells(find_samples(tmp_path)[0], make())
    Image.fromarray(np.full((9, 9), 7, np.uint8)).save(good)
    with pytest.raises(DataError, match="empty, all of one colour"):
        find_cells(find_samples(tmp_path)[0], make())


def test_the_command_line_says_one_sentence(tmp_path: Path) -> None:
    call = [sys.executable, "-m", "mil_rbc.detect", str(tmp_path), "--out", str(tmp_path / "b")]
    result = subprocess.run(call, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.strip().count("\n") == 0
    assert "holds no images" in result.stderr
    assert not (tmp_path / "b").exists()


def test_evaluate_writes_numbers(tmp_path: Path) -> None:
    main(["evaluate", "--images", "4", "--size", "smoke", "--out", str(tmp_path / "ap.json")])
    numbers = json.loads((tmp_path / "ap.json").read_text())
    assert numbers["images"] == 4
    assert 0.8 < numbers["ap50"] <= 1.0
    with pytest.raises(DataError, match="at least 1"):
        main(["evaluate", "--images", "0"])


@pytest.mark.parametrize("name", ["maskrcnn", "other"])
def test_a_detector_that_cannot_be_made(name: str) -> None:
    with pytest.raises(DataError, match=r"weights|unknown detector"):
        make(name)  # type: ignore[arg-type]


def test_watershed_has_no_roi_features() -> None:
    with pytest.raises(DataError, match="no RoI features"):
        make("watershed").roi_features(np.zeros((9, 9, 3), np.uint8), np.zeros((0, 4), np.int64))


def test_torchvision_is_imported_only_when_asked_for() -> None:
    code = (
        "import sys, mil_rbc.detect.__main__, mil_rbc.cohort; mil_rbc.detect.make('watershed');"
        "assert not any(name.startswith('torchvision') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class TestMaskRCNN:
    @pytest.fixture(autouse=True)
    def _torchvision(self) -> None:
        pytest.importorskip("torchvision")

    def test_training_learns_and_the_file_brings_it_back(self, tmp_path: Path) -> None:
        from mil_rbc.detect import maskrcnn

        lines: list[str] = []
        small = maskrcnn.Architecture(side=64, anchor=6, score=0.3)
        trained = maskrcnn.train(small, steps=8, size="smoke", seed=1, say=lines.append)
        losses = [float(line.split("loss ")[1].split()[0]) for line in lines]
        assert np.mean(losses[-3:]) < np.mean(losses[:3])
        trained.save(tmp_path / "w.pt")
        again = make("maskrcnn", weights=tmp_path / "w.pt")
        image = take(1)[0].image
        first, second = trained(image), again(image)
        assert (first.boxes == second.boxes).all()
        assert (first.scores == second.scores).all()
        assert again.history["steps"] == 8  # type: ignore[attr-defined]
        boxes = take(1)[0].boxes
        roi = again.roi_features(image, boxes)
        assert roi.shape == (len(boxes), 256, 14, 14)
        assert np.isfinite(roi).all()
        assert roi.std(axis=0).max() > 0

        images = write_images(tmp_path / "images")
        cells = find_cells(find_samples(images)[0], make())
        with_roi = _WithRoi(again)
        found = find_cells(find_samples(images)[0], with_roi, roi=True)
        assert found.roi is not None
        assert found.roi.shape == (len(cells.crops), 256, 14, 14)

    def test_roi_features_are_in_resized_coordinates(self) -> None:
        """Doubling an image and its boxes must leave the features as they were."""
        import torch

        from mil_rbc.detect import maskrcnn

        torch.manual_seed(0)
        small = maskrcnn.Architecture(side=96, anchor=8)
        detector = maskrcnn.MaskRCNN(maskrcnn.build(small), small, {})
        smear = take(1)[0]
        large = np.asarray(
            Image.fromarray(smear.image).resize((640, 512), Image.Resampling.BILINEAR)
        )
        once = detector.roi_features(smear.image, smear.boxes)
        twice = detector.roi_features(large, 2 * smear.boxes)
        other = detector.roi_features(large, smear.boxes)
        assert np.abs(once - twice).mean() < 0.1 * np.abs(once - other).mean()

    def test_faulty_weights(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="there are no weights"):
            make("maskrcnn", weights=tmp_path / "none.pt")
        (tmp_path / "bad.pt").write_bytes(b"bad")
        with pytest.raises(RunError, match=r"bad\.pt"):
            make("maskrcnn", weights=tmp_path / "bad.pt")

    def test_the_papers_settings(self) -> None:
        from mil_rbc.detect import maskrcnn

        paper = maskrcnn.PAPER
        assert (paper.backbone, paper.score, paper.nms, paper.most) == ("resnet101", 0.7, 0.3, 100)
        network = maskrcnn.build(paper)
        assert network.roi_heads.score_thresh == 0.7
        assert network.roi_heads.nms_thresh == 0.3
        assert network.roi_heads.detections_per_img == 100
        assert len(network.backbone.body.layer3) == 23  # ResNet-101


class _WithRoi:
    """Boxes by watershed, features by the network."""

    def __init__(self, network: object) -> None:
        self._network, self._finder = network, make()

    def __call__(self, image: np.ndarray) -> Detections:
        return self._finder(image)

    def roi_features(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        return np.asarray(self._network.roi_features(image, boxes))  # type: ignore[attr-defined]


def test_detections_match_the_truth() -> None:
    smear = take(1)[0]
    found = make()(smear.image)
    assert (match(found.boxes, smear.boxes) >= 0).all()
    assert (np.diff(found.scores) <= 0).all()
