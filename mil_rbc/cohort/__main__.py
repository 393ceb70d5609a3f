"""python -m mil_rbc.cohort: what a cohort holds, and what gives its classes away."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse import ArgumentParser

from mil_rbc.cli import command, parse_arguments
from mil_rbc.cohort import COHORTS, load
from mil_rbc.cohort.control import background_control, intensity_control
from mil_rbc.data.bags import Cohort
from mil_rbc.smears.recipe import Size


def describe(cohort: Cohort) -> dict[str, Any]:
    """Numbers of patients, bags and cells, the data's hash and the background control."""
    sizes = np.array([len(bag) for bag in cohort.bags])
    classes = {
        name: {
            "patients": len({bag.patient for bag in cohort.bags if bag.label == label}),
            "bags": int((cohort.labels == label).sum()),
        }
        for label, name in enumerate(cohort.classes)
    }
    images = {str(image) for bag in cohort.bags for image in bag.images}
    return {
        "cohort": cohort.name,
        "provenance": cohort.provenance,
        "kind": cohort.kind,
        "patients": len({bag.patient for bag in cohort.bags}),
        "bags": len(cohort.bags),
        "images": len(images),
        "instances": int(sizes.sum()),
        "instances_per_bag": [int(sizes.min()), float(np.median(sizes)), int(sizes.max())],
        "classes": classes,
        "data_hash": cohort.data_hash(),
    }


def main(argv: list[str]) -> None:
    """Describe a cohort as JSON."""
    parser = ArgumentParser(
        prog="python -m mil_rbc.cohort", description=__doc__, exit_on_error=False
    )
    parser.add_argument("name", type=str, help=f"one of {', '.join(COHORTS)}")
    parser.add_argument("--data", type=Path | None, default=None, help="folder of its data")
    parser.add_argument("--size", type=Size, default="default", help="smoke, default or paper")
    parser.add_argument("--seed", type=int, default=0, help="of whatever is drawn")
    parser.add_argument("--options", type=dict, default={}, help="further options, as YAML")
    parser.add_argument(
        "--control",
        type=bool,
        default=False,
        help="also test whether background and grey levels tell the class",
    )
    values = parse_arguments(parser, argv)
    cohort = load(
        values.name, values.data, seed=values.seed, size=values.size, **dict(values.options)
    )
    about = describe(cohort)
    if values.control:
        for control in (background_control, intensity_control):
            about[control.__name__] = asdict(control(cohort, seed=values.seed))
    print(json.dumps(about, indent=1))


if __name__ == "__main__":
    sys.exit(command(main))
