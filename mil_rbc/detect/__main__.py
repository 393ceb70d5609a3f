"""python -m mil_rbc.detect: find cells, train the detector, measure it."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser

from mil_rbc.cli import command
from mil_rbc.detect import Name, make
from mil_rbc.detect.bag_folder import write_bag
from mil_rbc.detect.precision import evaluate as measure
from mil_rbc.detect.samples import find_cells, find_samples
from mil_rbc.errors import DataError
from mil_rbc.files import check_device, check_writable, write_json
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
) -> None:
    """Find the cells in a folder of smear images and write a folder of bags.

    Args:
        images: folder of images.
        out: where the bags go.
        detector: watershed, or maskrcnn with weights.
        weights: file that 'train' wrote.
        device: where maskrcnn runs: cpu, cuda.
        roi: also store the 256x14x14 RoI features (maskrcnn).
    """
    samples = find_samples(images)
    finder = make(detector, weights=weights, device=device)
    count = 0
    for number, sample in enumerate(samples, 1):
        cells = find_cells(sample, finder, roi=roi)
        write_bag(out, number, sample, cells)  # at once: the next image may be at fault
        say(f"{number}/{len(samples)}  {sample.name}: {len(cells.crops)} cells")
        count += len(cells.crops)
    say(f"{count} cells in {len(samples)} bags: {out}")


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


COMMANDS: dict[str, Callable[..., None]] = {"train": train, "evaluate": evaluate}


def main(argv: list[str]) -> None:
    """Run one of the commands; without a command's name it is `find`."""
    name = argv[0] if argv and argv[0] in COMMANDS else ""
    run = COMMANDS.get(name, find)
    parser = ArgumentParser(
        prog=f"python -m mil_rbc.detect {name}".rstrip(),
        description=(run.__doc__ or "").split("\n")[0],
        epilog="" if name else "Further commands: 'train' and 'evaluate', each with --help.",
    )
    if not name:
        parser.add_argument("images", type=Path, help="folder of images, with a patients.csv "
                            "(image, sample, patient, label) or a subfolder a sample")  # fmt: skip
    parser.add_function_arguments(run, as_positional=False, skip={"images"} if not name else set())
    values = parser.instantiate(parser.parse_args(argv[1:] if name else argv))
    run(**values.as_dict())


if __name__ == "__main__":
    sys.exit(command(main))
