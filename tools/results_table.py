"""Write the numbers of runs into a Markdown page: `python tools/results_table.py PAGE RUNS`.

A page marks where they go, and everything between the two marks is written anew:

    <!-- run: rendered -->       command, settings and table of the run in RUNS/rendered
    <!-- sweep: sweep-lam -->    table of the sweep in RUNS/sweep-lam
    <!-- curve: mnist -->        differences along a sweep that was read from test folds
    <!-- gradients: rendered -->  what tools/gradients.py printed into RUNS/rendered/gradients.md
    <!-- cells: rendered -->      scores of single cells against their labels (Fig. 4 as numbers)
    <!-- presets: rendered -->   scores of the anomaly-aware pooling, as tested and fitted anew
    <!-- speed: rendered -->      seconds of an epoch with and without topology
    <!-- summary: a b c -->      differences of several runs side by side
    <!-- /table -->

Others are of trials that `tools/keep_trials.py` has kept, in RUNS/NAME.csv:

    <!-- beside: a -->           the term beside every other arm
    <!-- dead: a -->             what the term does to heads that die, and to those that cannot
    <!-- confirm: a -->          a confirmatory experiment, as its report says it; its forest plot
                             is results/a.png beside the page
    <!-- replicates: a b -->     what is gained in replicates, a/1, a/2, ..., each a sweep
    <!-- chosen: a b -->         settings beside the first, in replicates
    <!-- /table -->

Functions of `tools/marks` make them. A mark is left as it is where a run it names is not there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from marks.cells import cells, presets
from marks.confirm import confirm, picture
from marks.dead import dead
from marks.replicates import chosen, replicates
from marks.run import run
from marks.several import beside, summary
from marks.step import gradients, speed
from marks.sweeps import curve, sweep

# What makes a kind of table, and the file of a run that it reads; "" where trials were kept.
KINDS: dict[str, tuple[Callable[..., str], str]] = {
    "run": (run, "paired.csv"),
    "sweep": (sweep, "sweep.csv"),
    "curve": (curve, "sweep.csv"),
    "gradients": (gradients, "gradients.md"),
    "cells": (cells, "explanations.csv"),
    "presets": (presets, "explanations.csv"),
    "speed": (speed, "results.csv"),
    "summary": (summary, "paired.csv"),
    "beside": (beside, ""),
    "dead": (dead, ""),
    "confirm": (confirm, ""),
    "replicates": (replicates, ""),
    "chosen": (chosen, ""),
}
MARK = re.compile(rf"(<!-- ({'|'.join(KINDS)}): ([^>]*?) -->\n)(.*?)(<!-- /table -->)", re.S)


def main(page: Path, runs: Path) -> None:
    """Fill in every mark of `page` whose run lies in `runs`."""

    def fill(found: re.Match[str]) -> str:
        kind, names = found[2], found[3]
        make, needed = KINDS[kind]
        for name in names.split():
            there = (runs / name).glob(needed) if needed else runs.glob(f"{name}.csv")
            if not any(there):
                print(f"{runs / name} is not there yet", file=sys.stderr)
                return found[0]
        if kind == "confirm":
            drawn = page.parent / "results" / f"{names}.png"
            drawn.parent.mkdir(exist_ok=True)
            drawn.write_bytes(picture(runs, names))
        return f"{found[1]}\n{make(runs, names)}\n{found[5]}"

    page.write_text(MARK.sub(fill, page.read_text()))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python tools/results_table.py PAGE RUNS")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
