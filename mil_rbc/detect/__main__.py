"""python -m mil_rbc.detect: find cells, train the detector, measure it."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mil_rbc.cli import call, command
from mil_rbc.detect import Name, make
from mil_rbc.detect.bag_folder import write_bag
from mil_rbc.detect.census import Census
from mil_rbc.detect.detections import Detections
from mil_rbc.detect.draw import write_drawing
from mil_rbc.detect.precision import evaluate as measure
from mil_rbc.detect.samples import NoCells, find_each, find_samples
from mil_rbc.errors import DataError
from mil_rbc.files import check_device, check_writable, write_json, write_whole
from mil_rbc.smears.fields import KINDS, TEST_SEED, fields
from mil_rbc.smears.recipe import RECIPES, Size
from mil_rbc.smears.render import smears


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


def find(
    images: Path,
    out: Path,
    detector: Name = "watershed",
    weights: Path | None = None,
    device: str = "cpu",
    roi: bool = False,
    skip_empty: bool = False,
    draw: Path | None = None,
) -> None:
    """Find the cells in a folder of smear images and write a folder of bags.

    Args:
        images: folder of images.
        out: where the bags go.
        detector: watershed, or maskrcnn with weights.
        weights: file that 'train' wrote.
        device: where maskrcnn runs: cpu, cuda.
        roi: also store the 256x14x14 RoI features (maskrcnn).
        skip_empty: leave samples without a whole cell out and list them in skipped.csv.
        draw: folder for a picture of every image with the boxes that were found.
    """
    samples = find_samples(images)
    finder = make(detector, weights=weights, device=device)
    census = Census()

    def see(name: str, image: NDArray[np.uint8], found: Detections) -> None:
        census.see(name, image, found)
        if draw is not None:
            write_drawing(draw, name, image, found)

    count, skipped = 0, []
    for sample, cells in find_each(samples, finder, roi=roi, skip_empty=skip_empty, seen=see):
        number = samples.index(sample) + 1
        if isinstance(cells, NoCells):
            skipped.append((sample.name, str(cells)))
            say(f"{number}/{len(samples)}  {sample.name}: skipped, no whole cell")
            continue
        write_bag(out, number, sample, cells)  # at once: an interrupted run keeps what it found
        say(f"{number}/{len(samples)}  {sample.name}: {len(cells.crops)} cells")
        count += len(cells.crops)
    for line in census.odd():
        print(f"odd: {line}", file=sys.stderr)
    if skipped:
        table = pd.DataFrame(skipped, columns=["sample", "reason"])
        write_whole(out / "skipped.csv", table.to_csv(index=False))
        say(f"skipped {len(skipped)} samples: {out / 'skipped.csv'}")
    say(f"{count} cells in {len(samples) - len(skipped)} bags: {out}")


def train(
    out: Path,
    backbone: Literal["resnet18", "resnet50", "resnet101"] = "resnet18",
    side: int = 160,
    anchor: int = 12,
    steps: int = 200,
    batch: int = 1,
    learning_rate: float = 3e-4,
    seed: int = 0,
    size: Size = "default",
    device: str = "cpu",
) -> None:
    """Train Mask R-CNN from random weights on rendered smears.

    Args:
        out: file for the weights.
        backbone: resnet18 is small enough for a CPU; the paper has resnet101.
        side: the shorter side of an image is resized to this; the paper has 1024.
        anchor: smallest anchor box, in pixels of the resized image; 32 for side 1024.
        steps: optimizer steps.
        batch: images a step.
        learning_rate: of AdamW at its peak.
        seed: of weights and smears.
        size: recipe of the smears.
        device: where to train: cpu, cuda.
    """
    from mil_rbc.detect import maskrcnn

    for name, value in (("steps", steps), ("batch", batch), ("side", side), ("anchor", anchor)):
        if value < 1:
            raise DataError(f"--{name} must be at least 1, not {value}")
    check_device(device)
    check_writable(out)
    architecture = maskrcnn.Architecture(backbone=backbone, side=side, anchor=anchor)
    detector = maskrcnn.train(
        architecture,
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        seed=seed,
        size=size,
        device=device,
        say=say,
    )
    detector.save(out)
    say(f"trained for {detector.history['seconds']} s: {out}")


def evaluate(
    detector: Name = "watershed",
    weights: Path | None = None,
    device: str = "cpu",
    size: Size = "default",
    images: int = 100,
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """Average precision at 0.5 and 0.75 against the known masks of rendered smears.

    Args:
        detector: watershed, or maskrcnn with weights.
        weights: file that 'train' wrote.
        device: where maskrcnn runs.
        size: recipe of the smears.
        images: how many smears.
        seed: of the smears; training never sees smears of a seed below one million.
        out: file for the numbers as JSON.
    """
    if images < 1:
        raise DataError(f"--images must be at least 1, not {images}")
    finder = make(detector, weights=weights, device=device)
    rendered = (smear for _, sample in smears(RECIPES[size], seed) for smear in sample)
    result = asdict(measure(finder, itertools.islice(rendered, images)))
    result |= {"detector": detector, "size": size, "seed": seed}
    say(json.dumps(result, indent=1))
    if out is not None:
        write_json(out, result)


def evaluate_fields(
    detector: Name = "watershed",
    weights: Path | None = None,
    device: str = "cpu",
    images: int = 10,
    seed: int = TEST_SEED,
    out: Path | None = None,
) -> None:
    """Average precision on each kind of synthetic field: round, with leukocytes, clumps and more.

    Args:
        detector: watershed, or maskrcnn with weights.
        weights: file that 'train' wrote.
        device: where maskrcnn runs.
        images: how many fields of each kind.
        seed: of the fields: 202 to report numbers, 101 to choose a detector's settings by.
        out: file for the numbers as JSON.
    """
    if images < 1:
        raise DataError(f"--images must be at least 1, not {images}")
    finder = make(detector, weights=weights, device=device)
    say("synthetic     AP 0.5  AP 0.75  cells  found")
    results = {}
    for kind in KINDS:
        result = measure(finder, itertools.islice(fields(kind, seed), images))
        results[kind] = asdict(result)
        say(f"{kind:12}{result.ap50:8.3f}{result.ap75:9.3f}{result.cells:7}{result.found:7}")
    if out is not None:
        write_json(out, {"detector": detector, "seed": seed, "kinds": results})


COMMANDS: dict[str, Callable[..., None]] = {
    "train": train,
    "evaluate": evaluate,
    "fields": evaluate_fields,
}


def main(argv: list[str]) -> None:
    """Run one of the commands; without a command's name it is `find`."""
    program = "python -m mil_rbc.detect"
    if argv and argv[0] in COMMANDS:
        call(f"{program} {argv[0]}", COMMANDS[argv[0]], argv[1:])
        return
    images = {"type": Path, "help": "folder of images, with a patients.csv "
              "(image, sample, patient, label) or a subfolder a sample"}  # fmt: skip
    further = "Further commands: 'train', 'evaluate' and 'fields', each with --help."
    call(program, find, argv, positional=(("images", images),), epilog=further)


if __name__ == "__main__":
    sys.exit(command(main))
