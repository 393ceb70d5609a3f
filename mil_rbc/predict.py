"""Classify new samples with a trained model: `python -m mil_rbc.predict`."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jsonargparse import ArgumentParser
from numpy.typing import NDArray

from mil_rbc.cli import command, parse_arguments
from mil_rbc.detect import Name, make
from mil_rbc.detect.census import Census
from mil_rbc.detect.detections import Detections
from mil_rbc.detect.draw import write_drawing
from mil_rbc.detect.samples import Cells, ImageSet, find_each, find_samples
from mil_rbc.errors import DataError, RunError
from mil_rbc.files import check_writable, write_whole
from mil_rbc.instances import make as make_encoder
from mil_rbc.instances.encoder import FrozenEncoder
from mil_rbc.model.checkpoint import load_model
from mil_rbc.model.mil import MILModel


def predict(
    checkpoint: Path,
    images: Path,
    out: Path = Path("cells.csv"),
    detector: Name = "watershed",
    weights: Path | None = None,
    device: str = "cpu",
    instances: str = "",
    draw: Path | None = None,
) -> pd.DataFrame:
    """Classify the samples in a folder of smear images and write the scores of their cells.

    Args:
        checkpoint: checkpoint.pt of a trial.
        images: one image, a folder with the images of one sample, a folder with one subfolder for
            each sample, or a folder with patients.csv.
        out: CSV file for the cells: sample, image, box, attention, anomaly score, pooling weight.
        detector: watershed, or maskrcnn with weights; a model of RoI features needs maskrcnn.
        weights: file of weights of the detector.
        device: where the model and Mask R-CNN run: cpu, cuda.
        instances: the frozen encoder of the model's cells, where its weights are no longer where
            they were in training, such as timm:NAME@FILE.
        draw: folder for a picture of every image with the boxes that were found.

    Returns:
        One row per sample: sample, prediction, cells and the probability of each class.
    """
    model, stored = load_model(checkpoint, device)
    kind, classes = model.architecture.kind, model.architecture.classes
    encoding = stored.get("encoding")
    if kind == "vector" and encoding is None:
        raise RunError(
            f"{checkpoint} is a model of tabular instances: it cannot classify images; name a "
            f"checkpoint of a crop or RoI cohort"
        )
    if _prepared(stored):
        raise RunError(
            f"{checkpoint} was trained on {stored['cohort']}, whose cells are prepared in a way of "
            f"their own: on crops of smear images its answers would mean nothing; name a "
            f"checkpoint of a cohort rendered, images or bags"
        )
    encoder = None if encoding is None else _encoder(checkpoint, encoding, instances)
    check_writable(out)
    finder = make(detector, weights=weights, device=device)
    census = Census()

    def see(name: str, image: NDArray[np.uint8], detections: Detections) -> None:
        census.see(name, image, detections)
        if draw is not None:
            write_drawing(draw, name, image, detections)

    samples: list[dict[str, Any]] = []
    cells: list[pd.DataFrame] = []
    for sample, found in find_each(_samples(images), finder, roi=kind == "roi", seen=see):
        if not isinstance(found, Cells):
            continue
        cells_of = found.crops if found.roi is None else found.roi
        probabilities, scores = _classify(
            model, found, cells_of if encoder is None else encoder(found.crops), device
        )
        samples.append({
            "sample": sample.name, "prediction": classes[int(probabilities.argmax())],
            "cells": len(found.crops),
            **{f"p_{c}": p for c, p in zip(classes, probabilities, strict=True)},
        })  # fmt: skip
        cells.append(scores.assign(sample=sample.name))
        table = pd.concat(cells, ignore_index=True)  # written now: the next image may be at fault
        ordered = ["sample", *(c for c in table.columns if c != "sample")]
        write_whole(out, table[ordered].to_csv(index=False))
    low, high = stored.get("bag_sizes") or (0, math.inf)  # checkpoints of old do not say
    for row in samples:
        if not low / 2 <= int(row["cells"]) <= high * 2:
            print(
                f"odd: sample {row['sample']!r} has {row['cells']} cells, the bags that the model "
                f"was trained on had {low} to {high}: do not trust its prediction",
                file=sys.stderr,
            )
    for line in census.odd():
        print(f"odd: {line}", file=sys.stderr)
    print(f"Trained on: {stored['provenance']}", file=sys.stderr)
    return pd.DataFrame(samples)


def _prepared(stored: dict[str, Any]) -> bool:
    """Whether a checkpoint's cohort is prepared in a way of its own; older ones do not say."""
    if "prepared" in stored:
        return bool(stored["prepared"])
    from mil_rbc.cohort import COHORTS

    return COHORTS[stored["cohort"]].prepared if stored.get("cohort") in COHORTS else False


def _encoder(checkpoint: Path, encoding: dict[str, Any], instances: str) -> FrozenEncoder:
    """The encoder whose features the model was trained on, or a `RunError` if it is another."""
    encoder = make_encoder(instances or encoding["name"])
    if encoder.encoding.sha256 != encoding["sha256"]:
        raise RunError(
            f"{checkpoint} was trained on features of {encoding['words']} (weights and "
            f"preprocessing {encoding['sha256'][:12]}), but {encoder.encoding.name} here is "
            f"{encoder.encoding.sha256[:12]}: name the encoder of the training with --instances"
        )
    return encoder


def _samples(images: Path) -> list[ImageSet]:
    if images.is_file():
        return [ImageSet(images.stem, images.stem, "", ((images, ""),), images.parent)]
    if not images.exists():
        raise DataError(f"there is no image or folder {images}: check --images")
    return find_samples(images)


@torch.no_grad()
def _classify(
    model: MILModel, found: Cells, instances: NDArray[Any], device: str
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], pd.DataFrame]:
    out = model(torch.from_numpy(instances).to(device)[None])
    pooled = out.pooled
    columns = {"attention": pooled.attention, "anomaly_score": pooled.anomaly,
               "weight": pooled.weights}  # fmt: skip
    frame = pd.DataFrame({"image": found.images, "cell": np.arange(len(found.crops))})
    frame[["x0", "y0", "x1", "y1"]] = found.boxes
    for name, values in columns.items():
        frame[name] = np.nan if values is None else values[0].double().cpu().numpy()
    return out.bag[0].double().softmax(0).cpu().numpy(), frame


def main(argv: list[str]) -> None:
    """Run the command line."""
    parser = ArgumentParser(
        prog="python -m mil_rbc.predict", description=(predict.__doc__ or "").split("\n")[0],
        exit_on_error=False,
    )  # fmt: skip
    parser.add_function_arguments(predict, as_positional=False)
    values = parse_arguments(parser, argv)
    table = predict(**parser.instantiate(values).as_dict())
    print(table.to_string(index=False, float_format=lambda x: f"{x:.3f}"))
    print(f"scores of the cells: {values.out}")


if __name__ == "__main__":
    sys.exit(command(main))
