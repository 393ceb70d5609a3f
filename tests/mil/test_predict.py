"""Classifying new samples with a trained model."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from mil_rbc.cli import command
from mil_rbc.data.bags import Cohort
from mil_rbc.files import save_checkpoint
from mil_rbc.instances import efficientnet
from mil_rbc.model.mil import Architecture, MILModel
from mil_rbc.model.pooling import AnomalyPooling
from mil_rbc.predict import main
from mil_rbc.smears.recipe import RECIPES
from mil_rbc.smears.render import smears


def checkpoint(folder: Path, kind: str = "crop", cohort: str = "rendered") -> Path:
    torch.manual_seed(0)
    architecture = Architecture(kind, 3, ("well", "ill"), "anomaly", latent=16, input_size=32)  # type: ignore[arg-type]
    model = MILModel(architecture)
    assert isinstance(model.pooling, AnomalyPooling)
    model.pooling.control.fit(torch.rand(50, 16), seed=0)
    save_checkpoint(folder / "checkpoint.pt", {
        "architecture": architecture.plain(), "model": model.state_dict(), "version": "x",
        "cohort": cohort, "provenance": "Synthetic: random weights.",
    })  # fmt: skip
    return folder / "checkpoint.pt"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rendered samples, each a folder of smear images."""
    folder = tmp_path_factory.mktemp("images")
    samples = smears(RECIPES["smoke"], seed=0)
    for _, (sample, pictures) in zip(range(2), samples, strict=False):
        (folder / sample.name).mkdir()
        for number, smear in enumerate(pictures):
            Image.fromarray(smear.image).save(folder / sample.name / f"{number}.png")
    return folder


def test_samples_are_classified_and_cells_scored(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = checkpoint(tmp_path)
    cells = tmp_path / "cells.csv"
    given = ["--checkpoint", str(path), "--images", str(images), "--out", str(cells)]
    assert command(main, given) == 0
    said = capsys.readouterr()
    assert "Synthetic: random weights." in said.err
    table = pd.read_csv(cells)
    assert list(table) == ["sample", "image", "cell", "x0", "y0", "x1", "y1", "attention",
                           "anomaly_score", "weight"]  # fmt: skip
    assert set(table["sample"]) == {p.name for p in images.iterdir()}
    assert np.allclose(table.groupby("sample")["attention"].sum(), 1)
    assert (table["anomaly_score"] > 0).all()
    assert all(name in said.out for name in set(table["sample"]))


def test_one_image_is_a_sample(tmp_path: Path, images: Path) -> None:
    one = next(images.rglob("*.png"))
    cells = tmp_path / "cells.csv"
    given = ["--checkpoint", str(checkpoint(tmp_path)), "--images", str(one), "--out", str(cells)]
    assert command(main, given) == 0
    assert pd.read_csv(cells)["image"].unique().tolist() == [one.name]


def test_bad_input_is_one_sentence(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str], vectors: Cohort
) -> None:
    (tmp_path / "a").mkdir()
    good = checkpoint(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "c").mkdir()
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "empty.png").write_bytes(b"")
    Image.fromarray(np.full((200, 200, 3), 240, np.uint8)).save(tmp_path / "blank.png")
    cases = [
        (tmp_path / "nowhere.pt", images, "nowhere.pt"),
        (tmp_path / "broken.png", images, "is not a checkpoint"),
        (checkpoint(tmp_path / "b", "vector"), images, "cannot classify images"),
        (checkpoint(tmp_path / "c", cohort="chula"), images, "was trained on chula"),
        (good, tmp_path / "nowhere", "there is no image or folder"),
        (good, tmp_path / "broken.png", "broken.png"),
        (good, tmp_path / "empty.png", "empty.png"),
        (good, tmp_path / "blank.png", "blank.png is empty"),
    ]
    for path, where, said in cases:
        out = tmp_path / "cells.csv"
        given = ["--checkpoint", str(path), "--images", str(where), "--out", str(out)]
        assert command(main, given) == 2
        error = capsys.readouterr().err
        assert said in error
        assert "Traceback" not in error
        assert not out.exists()


def test_a_device_that_is_not_there_is_not_the_checkpoints_fault(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--checkpoint", str(checkpoint(tmp_path)), "--images", str(images)]
    assert command(main, [*given, "--device", "banana"]) == 2
    assert "--device banana is not to be had here" in capsys.readouterr().err


def test_samples_before_a_broken_one_are_kept(tmp_path: Path, images: Path) -> None:
    folder = tmp_path / "images"
    shutil.copytree(images, folder)
    (folder / "zzz").mkdir()
    (folder / "zzz" / "0.png").write_bytes(b"no image")
    cells = tmp_path / "cells.csv"
    given = ["--checkpoint", str(checkpoint(tmp_path)), "--images", str(folder)]
    assert command(main, [*given, "--out", str(cells)]) == 2
    assert set(pd.read_csv(cells)["sample"]) == {p.name for p in images.iterdir()}


def encoded_checkpoint(folder: Path, sha256: str) -> Path:
    from mil_rbc.instances import make as make_encoder

    e = make_encoder("efficientnet").encoding
    path = checkpoint(folder)
    architecture = Architecture("vector", e.features, ("well", "ill"), "attention", latent=16)
    torch.manual_seed(0)
    save_checkpoint(path, {
        "architecture": architecture.plain(), "model": MILModel(architecture).state_dict(),
        "version": "x", "cohort": "rendered", "provenance": "Synthetic: random weights.",
        "encoding": {**asdict(e), "sha256": sha256 or e.sha256},
    })  # fmt: skip
    return path


@pytest.mark.skipif(not efficientnet.installed(), reason="extra 'pretrained'")
def test_cells_are_encoded_as_in_training(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--images", str(images), "--out", str(tmp_path / "cells.csv")]
    path = encoded_checkpoint(tmp_path, "")
    assert command(main, ["--checkpoint", str(path), *given]) == 0
    table = pd.read_csv(tmp_path / "cells.csv")
    assert np.allclose(table.groupby("sample")["attention"].sum(), 1)
    capsys.readouterr()
    path = encoded_checkpoint(tmp_path, "0" * 64)
    assert command(main, ["--checkpoint", str(path), *given]) == 2
    said = capsys.readouterr().err
    assert "was trained on features of EfficientNet-Lite0" in said
    assert "000000000000" in said
