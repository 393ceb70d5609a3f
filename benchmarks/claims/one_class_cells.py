"""One-class learning on red cells: the arms of ``one_class``, and a frozen network's neighbours."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from .cells import Source, cells
from .models import draws, in_parts, start
from .one_class import BRANCHES, ETA, WIDTH, Autoencoder, fit, ranked, rescaled, to_eta
from .protocol import Arm, Comparison, Outcome, Part, Plan, Settings

NEIGHBOURS: tuple[Settings, ...] = ({"k": 1}, {"k": 5})
WEIGHTS: tuple[Settings, ...] = ({"weight": 5}, {"weight": 20}, {"weight": 80})


def plan(source: Source, whom: str, data: str) -> Plan:
    """The plan for one source of cells."""
    return Plan(
        name=f"one_class_{source}",
        whom=whom,
        hypothesis=(
            "An autoencoder that is trained with the connectivity loss on unlabelled cells ranks "
            "normal cells above others better, by counting 50 normal samples in balls of radius "
            "η, than the same one trained without; and better than one can do without the loss by "
            "bringing each latent branch to the scale that the radius assumes, by k nearest "
            "neighbours in that latent space, on pixels, or on features of a frozen network."
        ),
        source="Hofer, Kwitt, Dixit, Niethammer 2019; protocol and settings of the authors' code",
        data=(
            f"{data} A seed draws 4000 cells of the pool, of all kinds and without labels, for the "
            "autoencoder, n normal samples of it, and initial weights. Up to 2000 cells of other "
            "patients are ranked. Cells are crops shrunk to 28 × 28 pixels; the frozen network "
            "sees them whole."
        ),
        conditions=("n=10", "n=50", "n=120", "n=500"),
        choose_at=("n=50",),
        arms=(
            Arm("connectivity", "the loss; samples in balls of radius η, summed over branches",
                WEIGHTS),
            Arm("without", "weight 0, the same count: the comparison of the paper"),
            Arm("rescaled", "weight 0, every branch multiplied so that the mean death of batches "
                "of 100 cells is η; the same count"),
            Arm("latent kNN", "weight 0; distance to the k-th nearest sample, branches side by "
                "side", NEIGHBOURS),
            Arm("connectivity kNN", "the loss at weight 20; distance to the k-th nearest sample",
                NEIGHBOURS),
            Arm("pixel kNN", "no autoencoder; Euclid on pixels", NEIGHBOURS),
            Arm("frozen kNN", "no autoencoder; Euclid on EfficientNet-Lite0's 1280 features of the "
                "crops", NEIGHBOURS),
        ),
        outcomes=(Outcome("auroc", "AUROC", 1),),
        without=Comparison("connectivity", "without", "n=50"),
        controls=tuple(
            Comparison("connectivity", against, "n=50")
            for against in ("rescaled", "latent kNN", "pixel kNN", "frozen kNN")
        ),
        margin=0.01,
        seeds=12,
        settings={
            "eta": ETA, "branches": BRANCHES, "width": WIDTH, "metric": "manhattan",
            "reconstruction": "L1, summed over pixels", "batch": 100, "lr": 1e-3, "epochs": 10,
            "network": "784-256-160-256-784, ReLU (the paper's is convolutional, 50 epochs)",
            "to be seen": "with the spread over seeds of one_class, differences of 0.025",
        },
    )  # fmt: skip


@functools.lru_cache(32)
def backbone(source: Source, weight: float, seed: int, part: Part, quick: bool) -> Autoencoder:
    """The trained autoencoder."""
    draw = draws(seed, part)
    x = cells(source, "pool").pixels
    start(seed, part)
    model = Autoencoder()
    fit(model, x[torch.randperm(len(x), generator=draw)[:4000]], weight, 1 if quick else 10, draw)
    return model


@functools.lru_cache(32)
def scale(source: Source, seed: int, part: Part, quick: bool) -> Tensor:
    """What each branch is multiplied by, from batches of the pool."""
    x = cells(source, "pool").pixels
    x = x[torch.randperm(len(x), generator=draws(seed, part))[:2000]]
    return to_eta(in_parts(backbone(source, 0.0, seed, part, quick), x))


def trial(
    source: Source, arm: str, settings: Settings, condition: str, seed: int, part: Part,
    quick: bool,
) -> dict[str, float]:  # fmt: skip
    """AUROC of normal cells against all others."""
    pool, ranks = cells(source, "pool"), cells(source, part)
    order = torch.randperm(len(pool.labels), generator=draws(seed, part))
    normal = order[pool.labels[order] == 0][: int(condition.removeprefix("n="))]
    if arm in ("pixel kNN", "frozen kNN"):
        kind = "pixels" if arm == "pixel kNN" else "features"
        train, test = getattr(pool, kind)[normal], getattr(ranks, kind)
    else:
        weight = settings.get("weight", 20.0) if arm.startswith("connectivity") else 0.0
        model = backbone(source, weight, seed, part, quick)
        train, test = in_parts(model, pool.pixels[normal]), in_parts(model, ranks.pixels)
    if arm == "rescaled":
        train, test = (rescaled(z, scale(source, seed, part, quick)) for z in (train, test))
    return {"auroc": ranked(train, test, ranks.labels == 0, settings)}
