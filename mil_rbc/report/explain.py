"""Fig. 4 and Fig. 5 as numbers, and the one bag that the pictures show."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from mil_rbc.data.bags import Bag, Cohort
from mil_rbc.data.folds import Split
from mil_rbc.model.checkpoint import load_model
from mil_rbc.model.choices import Preset
from mil_rbc.model.gaussian import ControlGaussian
from mil_rbc.model.mil import MILModel
from mil_rbc.model.objective import BagData
from mil_rbc.model.topology import evenly, input_space, points_of, resolve_space
from mil_rbc.model.variants import ARMS, POOLINGS
from mil_rbc.options import Options
from mil_rbc.run_folder import RunFolder
from mil_rbc.training.evaluation import Prediction, evaluate, mean_known
from mil_rbc.training.trial import Trial

Floats = NDArray[np.float64]
Edges = NDArray[np.int64]
SPACE_NAMES = {"images": "image space", "roi": "RoI features", "features": "feature space"}


@dataclass
class View:
    """What one model makes of the bag that is shown.

    Attributes:
        prediction: its prediction.
        latents: (N, F).
        distances: A^Z, (N, N).
        pairs: π^Z, (N-1, 2).
        scores: (N,) anomaly score, else attention, else pooling weight.
        score_name: which of them.
    """

    prediction: Prediction
    latents: Floats
    distances: Floats
    pairs: Edges
    scores: Floats
    score_name: str


@dataclass
class Example:
    """One test bag, seen by the models with and without topology.

    Attributes:
        bag: the bag, of a large one some cells.
        pooling: of the models.
        anomalous: (N,) 1, 0, or -1 where the cell's label is not known.
        points: (N, D) the points A^X is measured on.
        distances, pairs: A^X and π^X.
        order: (N,) one order of the cells for all heat maps.
        views: by arm, in the order of tables.
        rule: how the bag was chosen.
        space: what the space of A^X is called.
    """

    bag: Bag
    pooling: str
    anomalous: NDArray[np.int64]
    points: Floats
    distances: Floats
    pairs: Edges
    order: NDArray[np.int64]
    views: dict[str, View]
    rule: str
    space: str


def anomaly_numbers(instances: pd.DataFrame) -> pd.DataFrame:
    """Fig. 4 as numbers: do scores find the anomalous cells, and are they uniform among them?

    Args:
        instances: rows of `instances.csv`.

    Returns:
        One row per pooling, arm and score: `auroc`, of scores against cell labels within a bag,
        averaged over the bags that have both kinds; `spread`, the coefficient of variation of the
        scores of anomalous cells within a bag, averaged likewise; and the number of `bags`. Empty
        where no cell label is known.
    """
    known = instances[instances["anomalous"].isin([0, 1])]
    rows = []
    for (pooling, arm), part in known.groupby(["pooling", "topology"], sort=False):
        for name in ("anomaly_score", "attention"):
            scored = part[part[name].notna()]
            areas, spreads = [], []
            for _, bag in scored.groupby(["run", "fold", "bag"]):
                bad = bag["anomalous"].to_numpy() == 1
                values = bag[name].to_numpy(float)
                if 0 < bad.sum() < len(bad):
                    areas.append(roc_auc_score(bad, values))
                if bad.sum() > 1 and values[bad].mean() > 0:
                    spreads.append(values[bad].std() / values[bad].mean())
            if areas:
                rows.append({
                    "pooling": pooling, "topology": arm, "score": name,
                    "auroc": mean_known(areas), "spread": mean_known(spreads),
                    "bags": len(areas),
                })  # fmt: skip
    return pd.DataFrame(rows)


@torch.no_grad()
def preset_numbers(
    cohort: Cohort, trials: list[Trial], splits: list[list[Split]], options: Options
) -> pd.DataFrame:
    """What the scores of the anomaly-aware pooling are like, as tested and with either preset.

    The models are those of fold 0, run 0. Each is scored by the Gaussian it was tested with, which
    is the one in its checkpoint; and, for comparison only, by both presets fitted once more on the
    control cells of the training fold with the final weights.

    Returns:
        One row per arm and Gaussian; `fit` is "tested" or "anew". `effective`: median over test
        bags of the share of cells that the softmax of scores really weighs, 1/Σw²/N. `top`: median
        over test bags of the largest weight in that softmax. `largest`: the largest score of a cell
        of the test fold. `held_out`: mean score of control cells of the test fold over that of the
        training fold. `auroc`: of scores against cell labels within a bag, nan where none is known.
    """
    rows = []
    train, test = splits[0][0]
    for trial in trials:
        path = options.folder.trial(trial.name).checkpoint
        wanted = POOLINGS[trial.pooling].needs_control and (trial.fold, trial.run) == (0, 0)
        if not wanted or not path.exists():
            continue
        model, _ = load_model(path)
        latents = {
            int(i): model.encode(torch.from_numpy(np.array(cohort.bags[i].instances)))
            for i in [*train, *test]
            if cohort.bags[i].label == cohort.control or i in test
        }
        healthy = [[i for i in side if cohort.bags[i].label == cohort.control]
                   for side in (train, test)]  # fmt: skip
        tested = model.pooling.control
        assert isinstance(tested, ControlGaussian)
        gaussians = [("tested", tested)]
        for preset in get_args(Preset):
            control = ControlGaussian(options.latent, options.components, preset)
            control.fit(torch.cat([latents[int(i)] for i in healthy[0]]), seed=0)
            gaussians.append(("anew", control))
        for fit, control in gaussians:
            known, fresh = (torch.cat([control(latents[int(i)]) for i in side]).mean()
                            for side in healthy)  # fmt: skip
            effective, top, largest, areas = [], [], [], []
            for i in test:
                scores = control(latents[int(i)])
                share = scores.softmax(0)
                effective.append(float(1 / share.square().sum()) / len(scores))
                top.append(float(share.max()))
                largest.append(float(scores.max()))
                bad = _anomalous(cohort, cohort.bags[i])
                if {0, 1} <= set(bad.tolist()):
                    areas.append(float(roc_auc_score(bad[bad >= 0], scores.numpy()[bad >= 0])))
            rows.append({
                "topology": trial.topology, "preset": control.preset, "fit": fit,
                "effective": float(np.median(effective)), "top": float(np.median(top)),
                "largest": max(largest),
                "held_out": float(fresh / known.clamp_min(1e-12)), "auroc": mean_known(areas),
            })  # fmt: skip
    return pd.DataFrame(rows)


def choose(cohort: Cohort, test: NDArray[np.int64]) -> tuple[int, str]:
    """Choose the bag to show by what is known before any model is trained.

    Returns:
        Index of the bag, and the rule in words.
    """
    ill = [int(i) for i in test if cohort.bags[i].label != cohort.control] or [int(test[0])]
    ill = [i for i in ill if len(cohort.bags[i]) > 2] or ill
    if cohort.anomalous and all(cohort.bags[i].cell_labels is not None for i in ill):
        shares = [float((_anomalous(cohort, cohort.bags[i]) == 1).mean()) for i in ill]
        best = ill[int(np.argmin(np.abs(np.array(shares) - 0.5)))]
        return best, ("the test sample of fold 0 that is no control and whose share of anomalous "
                      "cells is nearest to one half")  # fmt: skip
    if cohort.bags[ill[0]].label == cohort.control:
        return ill[0], "the first test sample of fold 0, which has controls only"
    return ill[0], "the first test sample of fold 0 that is not a control"


def _anomalous(cohort: Cohort, bag: Bag) -> NDArray[np.int64]:
    if bag.cell_labels is None or not cohort.anomalous:
        return np.full(len(bag), -1)
    table = np.array([*cohort.anomalous, -1], dtype=np.int64)  # label -1 picks the last
    return table[bag.cell_labels]


def example(
    cohort: Cohort, trials: list[Trial], splits: list[list[Split]], options: Options
) -> Example | None:
    """Look at one test bag with the models of fold 0, run 0; `None` if no weights were kept."""
    # One that measures cells rather than one that learns weights, rather than one that does not.
    pooling = max(
        POOLINGS.ordered(options.pooling),
        key=lambda p: (POOLINGS[p].needs_control, POOLINGS[p].decays_beta),
    )
    paths = {
        t.topology: options.folder.trial(t.name).checkpoint
        for t in trials
        if (t.pooling, t.fold, t.run) == (pooling, 0, 0)
    }
    if not all(p.exists() for p in paths.values()):
        return None
    index, rule = choose(cohort, splits[0][0][1])
    bag = cohort.bags[index]
    models = {arm: load_model(paths[arm])[0] for arm in ARMS.ordered(paths)}
    first = next(iter(models.values()))
    instances = torch.from_numpy(np.array(bag.instances))
    space = resolve_space(options.space, cohort.kind, crops=bag.crops is not None)
    points = points_of(instances, cohort.kind, space, first.standardize, bag.crops)
    scale = "none" if options.scale == "std" else options.scale
    measured = input_space(points, scale)
    data = BagData(instances, torch.tensor(bag.label), measured)
    cells = evenly(len(bag))
    if len(cells) < len(bag):
        rule += f"; of its {len(bag)} cells {len(cells)} are shown, taken evenly"
        bag, measured = _some(bag, cells.numpy()), input_space(points[cells], scale)
    return Example(
        bag=bag,
        pooling=pooling,
        anomalous=_anomalous(cohort, bag),
        points=points[cells].double().numpy(),
        distances=measured.x.double().numpy(),
        pairs=measured.pairs.numpy(),
        order=_order(measured.x.double().numpy(), _anomalous(cohort, bag)),
        views={arm: view(model, data, index, cells) for arm, model in models.items()},
        rule=rule,
        space=SPACE_NAMES[space],
    )


def _some(bag: Bag, cells: NDArray[np.int64]) -> Bag:
    """Some cells of a bag."""
    arrays = {name: getattr(bag, name) for name in ("instances", "images", "cell_labels", "crops")}
    there = {name: array[cells] for name, array in arrays.items() if array is not None}
    return dataclasses.replace(bag, **there)


@torch.no_grad()
def view(model: MILModel, data: BagData, index: int, cells: torch.Tensor) -> View:
    """What a model makes of a bag, of which these cells are shown."""
    prediction = evaluate(model, data, index)
    latents = model.encode(data.instances)[cells]
    measured = input_space(latents, "none")
    named = {
        "anomaly score": prediction.anomaly,
        "attention": prediction.attention,
        "pooling weight": prediction.weights,
    }
    name, scores = next((k, v) for k, v in named.items() if v is not None)
    return View(
        prediction, latents.double().numpy(), measured.x.double().numpy(),
        measured.pairs.numpy(), scores[cells.numpy()], name,
    )  # fmt: skip


def _order(distances: Floats, anomalous: NDArray[np.int64]) -> NDArray[np.int64]:
    """Anomalous cells first, then by average-linkage leaf order in the image space."""
    from scipy.cluster.hierarchy import average, leaves_list, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    if len(distances) < 3:
        return np.arange(len(distances))
    condensed = squareform(distances, checks=False)
    leaves: NDArray[np.int64] = leaves_list(optimal_leaf_ordering(average(condensed), condensed))
    return np.asarray(leaves[np.argsort(-anomalous[leaves], kind="stable")], dtype=np.int64)


def latent_numbers(results: pd.DataFrame) -> pd.DataFrame:
    """Fig. 5 as numbers: how alike image space and latents are over all test bags."""
    names = ["spearman", "matched"]
    table = results.groupby(["pooling", "topology"], sort=False)[names].agg(["mean", "std"])
    table.columns = [f"{name}_{what}" for name, what in table.columns]
    return table.reset_index()


def read_metrics(folder: RunFolder, trials: list[Trial]) -> pd.DataFrame:
    """Metrics per epoch of all trials in one table."""
    frames = []
    for t in trials:
        frame = pd.read_csv(folder.trial(t.name).table("metrics"))
        frames.append(frame.assign(pooling=t.pooling, topology=t.topology, fold=t.fold, run=t.run))
    return pd.concat(frames, ignore_index=True)
