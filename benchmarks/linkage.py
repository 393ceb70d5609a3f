"""Single linkage and flat clusters cut from it, against scipy, fastcluster and hdbscan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

import torchtopo

from .data import cloud
from .losses import Case, race_all, sentence
from .speed_table import table

__all__ = ["TABLES", "measure", "sentence"]


def linkages(quick: bool) -> Iterator[Case]:
    """Single linkage of many middle clouds, and of a large one in many dimensions."""
    from scipy.cluster.hierarchy import cut_tree, fcluster

    def ours(points: Tensor) -> Tensor:
        return torchtopo.single_linkage(points)[..., 2].flatten()

    def theirs(one: Callable[[Any], Any], clouds: Tensor) -> Tensor:
        rows = [one(x)[:, 2] for x in clouds.numpy()]
        return torch.from_numpy(np.concatenate(rows))

    peers = {"scipy": _scipy, "fastcluster": _fastcluster}
    clouds = cloud(16, 256, 16, dtype=torch.float64)
    single = clouds.float()
    for points, note in ((clouds, "float64"), (single, "float32 against float64")):
        for name, peer in peers.items():
            yield Case(
                "single linkage, 16×256", name,
                partial(ours, points), partial(theirs, peer, points.double()), note,
            )  # fmt: skip
    made = torchtopo.single_linkage(clouds)
    rows = made.numpy()
    yield Case(
        "cut at a distance, 16×256", "scipy fcluster",
        lambda: torchtopo.cut(made, distance=3.0).amax(-1) + 1,
        lambda: torch.tensor([int(fcluster(z, 3.0, "distance").max()) for z in rows]),
    )  # fmt: skip
    yield Case(
        "cut into 5, 16×256", "scipy cut_tree",
        lambda: torchtopo.cut(made, n_clusters=5),
        lambda: torch.from_numpy(np.stack([cut_tree(z, 5)[:, 0] for z in rows])),
    )  # fmt: skip
    large = cloud(1, 1000 if quick else 20_000, 64)
    for name, peer in {**peers, "hdbscan": _hdbscan}.items():
        part, whole = (
            Case(
                f"single linkage, {points.shape[1]}×64", name,
                partial(ours, points), partial(theirs, peer, points.double()),
                "float32 against float64",
            )
            for points in (large[:, :1000], large)
        )  # fmt: skip
        yield replace(whole, check=part)  # a call takes seconds: compared on 1000 points


def _scipy(points: Any) -> Any:
    from scipy.cluster.hierarchy import linkage

    return linkage(points, "single")


def _fastcluster(points: Any) -> Any:
    """Fastcluster's routine for vectors, which needs no matrix."""
    from fastcluster import linkage_vector

    return linkage_vector(points, "single")


def _hdbscan(points: Any) -> Any:
    """Hdbscan's inner single linkage: its tree without core distances, sorted and labelled."""
    from hdbscan._hdbscan_linkage import label, mst_linkage_core_vector
    from hdbscan.dist_metrics import DistanceMetric

    metric = DistanceMetric.get_metric("euclidean")
    edges = mst_linkage_core_vector(points, np.zeros(len(points)), metric, 1.0)
    return label(edges[np.argsort(edges[:, 2]), :])


def measure(quick: bool) -> dict[str, Any]:
    """Race every case whose peer is installed, once both sides agree."""
    return race_all(linkages(quick), quick)


TABLES = {"linkage": table}
