"""A page for a bag of a finished run, cells by weight: `python -m mil_rbc.report.bag RUN BAG`."""

from __future__ import annotations

import base64
import difflib
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from jsonargparse import ArgumentParser
from numpy.typing import NDArray
from PIL import Image

from mil_rbc.cli import command, parse_arguments
from mil_rbc.data.bags import Bag
from mil_rbc.data.store import load_cohort
from mil_rbc.errors import RunError
from mil_rbc.files import write_whole
from mil_rbc.model.variants import ARMS
from mil_rbc.report.tables import TEXT, variants
from mil_rbc.run_folder import RunFolder


def write_page(run: Path, bag: str, out: Path | None = None) -> Path:
    """Write a page for one bag: what each variant makes of it, and its cells sorted by weight.

    Args:
        run: folder of a finished run.
        bag: name of a bag, as in predictions.csv.
        out: the page; by default bags/NAME.html in the run's folder.
    """
    folder = RunFolder(run)
    weights, predictions = (_read(folder, name) for name in ("instances", "predictions"))
    tested = predictions[predictions["bag"] == bag]
    if tested.empty:
        near = difflib.get_close_matches(bag, predictions["bag"].unique().tolist(), 1)
        hint = f"did you mean {near[0]!r}?" if near else "predictions.csv there names them"
        raise RunError(f"no bag {bag!r} was tested in {run}: {hint}")
    cohort = load_cohort(folder.cohort)
    shown = next(b for b in cohort.bags if b.bag == bag)
    environment = Environment(
        loader=PackageLoader("mil_rbc.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    mine = weights[weights["bag"] == bag]
    page = environment.get_template("bag.html.j2").render(
        run=run.name, bag=bag, patient=shown.patient, label=cohort.classes[shown.label],
        right=int((tested["prediction"] == tested["label"]).sum()), tests=len(tested),
        cells=len(shown), runs=len(tested) // len(variants(tested)), classes=cohort.classes,
        odd=bool((mine["anomalous"] == 1).any()), provenance=cohort.provenance,
        variants=[_variant(p, a, mine, tested, cohort.classes, shown)
                  for p, a in variants(tested)],
    )  # fmt: skip
    target = out or run / "bags" / f"{bag.replace('/', '-')}.html"
    write_whole(target, page)
    return target


def _read(folder: RunFolder, name: str) -> pd.DataFrame:
    path = folder.table(name)
    if not path.exists():
        raise RunError(
            f"{path} is not there: name the folder of a run that is finished and was made with "
            f"--cell_scores true"
        )
    return pd.read_csv(path, dtype=dict.fromkeys(TEXT, str), keep_default_na=True)


def _variant(
    pooling: str, arm: str, weights: pd.DataFrame, tested: pd.DataFrame,
    classes: tuple[str, ...], bag: Bag,
) -> dict[str, Any]:  # fmt: skip
    """A row of the page's table, and the cells by falling weight."""
    own, said = (t[(t["pooling"] == pooling) & (t["topology"] == arm)] for t in (weights, tested))
    mean = own.groupby("cell")[["weight", "anomaly_score"]].mean().sort_values(
        "weight", ascending=False, kind="stable"
    )  # fmt: skip
    first = own.drop_duplicates("cell").set_index("cell")
    largest = max(float(mean["weight"].max()), 1e-12)
    pictures = bag.pictures
    cells = [
        {"number": int(k), "weight": row["weight"], "bar": max(0, 100 * row["weight"] / largest),
         "score": row["anomaly_score"] if row["anomaly_score"] == row["anomaly_score"] else None,
         "odd": first["anomalous"][k] == 1, "kind": first["cell_label"].fillna("")[k],
         "picture": "" if pictures is None else _uri(pictures[int(k)])}
        for k, row in mean.iterrows()
    ]  # fmt: skip
    return {
        "name": f"{pooling}-{arm}", "pooling": pooling, "arm": ARMS[arm].short, "cells": cells,
        "alike": mean["weight"].max() - mean["weight"].min() < 1e-6,
        "right": int((said["prediction"] == said["label"]).sum()),
        "probabilities": [float(said[f"p_{c}"].mean()) for c in classes],
        "on_odd": sum(c["weight"] for c in cells if c["odd"]) / sum(c["weight"] for c in cells),
    }  # fmt: skip


def _uri(crop: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(crop).save(buffer, "png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def main(argv: list[str]) -> None:
    """Run the command line."""
    parser = ArgumentParser(
        prog="python -m mil_rbc.report.bag", exit_on_error=False,
        description=(write_page.__doc__ or "").split("\n")[0],
    )  # fmt: skip
    parser.add_function_arguments(write_page, as_positional=True)
    print(write_page(**parser.instantiate(parse_arguments(parser, argv)).as_dict()))


if __name__ == "__main__":
    sys.exit(command(main))
