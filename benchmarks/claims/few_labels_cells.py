"""Few labels on real red cells: does densification lower the error over eleven classes?"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from . import few_labels
from .cells import cells
from .models import draws, in_parts, probed
from .protocol import Comparison, Outcome, Part, Settings

FEW = "110 labels"

PLAN = replace(
    few_labels.PLAN,
    name="few_labels_cells",
    whom="classes of red cells from few labels (Chula)",
    hypothesis=few_labels.PLAN.hypothesis.replace("100 labels", FEW).replace("images", "cells"),
    data=(
        "Chula RBC-12, the 11 classes that are in each of three parts of the smears: the pool, "
        "development and test, at most 400 cells of a class in each. A seed draws the labelled "
        "cells from the pool, equally many of each class or all there are, initial weights and "
        "batches, of 8 classes with 16 cells each (repeated where there are fewer), moved by up "
        "to 2 pixels. Cells are crops shrunk to 28 × 28 pixels; the frozen network sees them whole."
    ),
    arms=(
        *few_labels.PLAN.arms[:-1],
        replace(
            few_labels.PLAN.arms[-1],
            what="logistic regression on EfficientNet-Lite0's 1280 features of the crops",
        ),
    ),
    conditions=("55 labels", FEW, "550 labels", "990 labels"),
    choose_at=(FEW,),
    outcomes=(Outcome("error", "test error, mean over classes", -1),),
    without=Comparison("densification", "without", FEW),
    controls=tuple(
        Comparison("densification", against, FEW)
        for against in ("weight decay", "label smoothing", "frozen features")
    ),
    margin=0.01,
    settings={
        **few_labels.PLAN.settings,
        "to be seen": "with twice the spread over seeds of few_labels, differences of 0.02",
    },
)


def labelled(count: int, seed: int, part: Part) -> tuple[Tensor, Tensor]:
    """Rows of the pool and their classes, ``count`` / 11 of each, a smaller count's among them."""
    y = cells("chula", "pool").labels
    order, classes = torch.randperm(len(y), generator=draws(seed, part)), int(y.max()) + 1
    rows = torch.cat([order[y[order] == c][: count // classes] for c in range(classes)])
    return rows, y[rows]


def balanced_error(found: Tensor, truth: Tensor) -> float:
    """Share of wrong classes, averaged over the true ones."""
    each = [(found[truth == c] != c).double().mean() for c in truth.unique()]
    return float(torch.stack(each).mean())


def trial(
    arm: str, settings: Settings, condition: str, seed: int, part: Part, quick: bool
) -> dict[str, float]:
    """The error on cells of other smears."""
    pool, unseen = cells("chula", "pool"), cells("chula", part)
    rows, y = labelled(int(condition.removesuffix(" labels")), seed, part)
    if arm == "frozen features":
        known = (pool.features[rows], y)
        return {"error": balanced_error(
            probed(known, unseen.features, settings["penalty"]), unseen.labels
        )}  # fmt: skip
    model = few_labels.train(pool.pixels[rows], y, settings, seed, part, quick)
    logits = model.head(in_parts(model, unseen.pixels))
    return {"error": balanced_error(logits.argmax(1), unseen.labels)}
