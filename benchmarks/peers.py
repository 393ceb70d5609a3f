"""Every other way to get 0-dim persistence that we know of, each used as its docs recommend.

A peer turns a batch into a :class:`Job` (untimed: it may convert the data to its own format).
``Job.call`` is what is timed; ``Job.read`` turns its result into ascending deaths, for checking.
A peer whose package is missing raises ``ImportError`` and is named and skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import torchtopo

Deaths = list[NDArray[np.float64]]


@dataclass(frozen=True)
class Job:
    """One peer's work on one batch: what is timed, and how to read deaths from its result."""

    call: Callable[[], Any]
    read: Callable[[Any], Deaths]


Peer = Callable[[Tensor], Job]


def _each(bags: list[Any], one: Callable[[Any], Any], read: Callable[[Any], NDArray[Any]]) -> Job:
    """A peer without batches: a Python loop over the bags."""

    def ascending(results: list[Any]) -> Deaths:
        return [np.sort(np.asarray(read(r), np.float64)) for r in results]

    return Job(lambda: [one(bag) for bag in bags], ascending)


def finite_deaths(diagram: NDArray[Any]) -> NDArray[Any]:
    """Ascending deaths of a diagram, less the one component that lives for ever by definition."""
    deaths = np.sort(np.asarray(diagram)[:, 1])
    return deaths[:-1] if len(deaths) and np.isinf(deaths[-1]) else deaths


def _float32(batch: Tensor) -> list[NDArray[Any]]:
    return [bag.numpy() for bag in batch]


def _float64(batch: Tensor) -> list[NDArray[Any]]:
    return [bag.double().numpy() for bag in batch]


# ---------------------------------------------------------------- from distance matrices (B, N, N)


def ours_matrix(batch: Tensor, symmetric: bool = False) -> Job:
    """torchtopo: pairs and deaths of the whole batch in one call."""
    return Job(
        lambda: torchtopo.minimum_spanning_tree(batch, symmetric=symmetric),
        lambda mst: list(mst.weights.double().numpy()),
    )


def ripser_matrix(batch: Tensor) -> Job:
    """ripser.py, diagrams only."""
    from ripser import ripser

    return _each(
        _float32(batch),
        lambda d: ripser(d, maxdim=0, distance_matrix=True)["dgms"][0],
        finite_deaths,
    )


def giotto_matrix(batch: Tensor) -> Job:
    """giotto-ph, diagrams only, one thread."""
    from gph import ripser_parallel

    return _each(
        _float32(batch),
        lambda d: ripser_parallel(d, maxdim=0, metric="precomputed", n_threads=1)["dgms"][0],
        finite_deaths,
    )


def gudhi_tree_matrix(batch: Tensor) -> Job:
    """GUDHI's RipsComplex and SimplexTree, told to keep zero-length bars."""
    import gudhi

    def one(d: NDArray[Any]) -> Any:
        tree = gudhi.RipsComplex(distance_matrix=d).create_simplex_tree(max_dimension=1)
        tree.compute_persistence(homology_coeff_field=2, min_persistence=-1)
        return tree.persistence_intervals_in_dimension(0)

    return _each(_float64(batch), one, finite_deaths)


def gudhi_rips_matrix(batch: Tensor) -> Job:
    """GUDHI's scikit-learn interface, RipsPersistence."""
    from gudhi.sklearn import RipsPersistence

    rips = RipsPersistence(homology_dimensions=0, input_type="full distance matrix")
    bags = _float32(batch)
    return Job(lambda: rips.fit_transform(bags), lambda out: [finite_deaths(d) for d in out])


def scipy_csgraph_matrix(batch: Tensor) -> Job:
    """scipy.sparse.csgraph.minimum_spanning_tree on the upper triangle."""
    from scipy.sparse.csgraph import minimum_spanning_tree

    return _each(
        [np.triu(d) for d in _float64(batch)],
        minimum_spanning_tree,
        lambda tree: tree.data,
    )


def scipy_linkage_matrix(batch: Tensor) -> Job:
    """scipy single linkage, condensing the matrix included."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    return _each(
        _float64(batch),
        lambda d: linkage(squareform(d, checks=False), "single"),
        lambda merges: merges[:, 2],
    )


def hdbscan_matrix(batch: Tensor) -> Job:
    """hdbscan's inner Prim, float64, its edges left unsorted."""
    from hdbscan._hdbscan_linkage import mst_linkage_core

    return _each(_float64(batch), mst_linkage_core, lambda edges: edges[:, 2])


def torch_topological_matrix(batch: Tensor) -> Job:
    """torch-topological's VietorisRipsComplex with its pairing, one thread."""
    from torch_topological.nn import VietorisRipsComplex

    rips = VietorisRipsComplex(dim=0, n_threads=1)
    return _each(
        list(batch),
        lambda d: rips(d, treat_as_distances=True)[0],
        lambda info: info.diagram[:, 1].numpy(),
    )


MATRIX: dict[str, Peer] = {
    "torchtopo": ours_matrix,
    "ripser.py": ripser_matrix,
    "giotto-ph": giotto_matrix,
    "GUDHI SimplexTree": gudhi_tree_matrix,
    "GUDHI RipsPersistence": gudhi_rips_matrix,
    "scipy csgraph": scipy_csgraph_matrix,
    "scipy linkage": scipy_linkage_matrix,
    "hdbscan core": hdbscan_matrix,
    "torch-topological": torch_topological_matrix,
}


# -------------------------------------------------------------------------- from points (B, N, D)


def ours_points(batch: Tensor) -> Job:
    """torchtopo: deaths of the whole batch in one call."""
    return Job(lambda: torchtopo.deaths(batch), lambda d: list(d.double().numpy()))


def ripser_points(batch: Tensor) -> Job:
    """ripser.py from points."""
    from ripser import ripser

    return _each(_float32(batch), lambda x: ripser(x, maxdim=0)["dgms"][0], finite_deaths)


def giotto_points(batch: Tensor) -> Job:
    """giotto-ph from points, one thread."""
    from gph import ripser_parallel

    return _each(
        _float32(batch),
        lambda x: ripser_parallel(x, maxdim=0, n_threads=1)["dgms"][0],
        finite_deaths,
    )


def gudhi_rips_points(batch: Tensor) -> Job:
    """GUDHI's RipsPersistence from points."""
    from gudhi.sklearn import RipsPersistence

    rips = RipsPersistence(homology_dimensions=0, input_type="point cloud")
    bags = _float32(batch)
    return Job(lambda: rips.fit_transform(bags), lambda out: [finite_deaths(d) for d in out])


def scipy_linkage_points(batch: Tensor) -> Job:
    """scipy single linkage straight from points."""
    from scipy.cluster.hierarchy import linkage

    return _each(_float64(batch), lambda x: linkage(x, "single"), lambda merges: merges[:, 2])


def hdbscan_points(batch: Tensor) -> Job:
    """hdbscan's matrix-free inner Prim: core distances 0, so mutual reachability is distance."""
    from hdbscan._hdbscan_linkage import mst_linkage_core_vector
    from hdbscan.dist_metrics import DistanceMetric

    metric = DistanceMetric.get_metric("euclidean")
    core = np.zeros(batch.shape[-2])
    return _each(
        _float64(batch),
        lambda x: mst_linkage_core_vector(x, core, metric, 1.0),
        lambda edges: edges[:, 2],
    )


def quitefastmst_points(batch: Tensor) -> Job:
    """quitefastmst: kd-tree Boruvka up to 20 dimensions, else its brute-force Prim."""
    import quitefastmst

    return _each(_float32(batch), quitefastmst.mst_euclid, lambda out: out[0])


def scipy_delaunay_points(batch: Tensor) -> Job:
    """scipy's Delaunay edges, which hold the tree, then its csgraph tree: the plane's classic."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree
    from scipy.spatial import Delaunay

    if batch.shape[-1] > 3:
        raise NotImplementedError("the Delaunay complex explodes in higher dimensions")

    def one(x: NDArray[Any]) -> Any:
        corners = Delaunay(x).simplices
        sides = np.triu_indices(corners.shape[1], 1)
        ends = np.sort(corners[:, np.stack(sides, 1)].reshape(-1, 2), axis=1)
        i, j = np.unique(ends, axis=0).T
        lengths = np.linalg.norm(x[i] - x[j], axis=1)
        return minimum_spanning_tree(coo_array((lengths, (i, j)), shape=(len(x), len(x))).tocsr())

    return _each(_float64(batch), one, lambda tree: tree.data)


def torch_topological_points(batch: Tensor) -> Job:
    """torch-topological from points, with its pairing, one thread."""
    from torch_topological.nn import VietorisRipsComplex

    rips = VietorisRipsComplex(dim=0, n_threads=1)
    return _each(
        list(batch), lambda x: rips(x)[0], lambda info: info.diagram[:, 1].detach().numpy()
    )


POINTS: dict[str, Peer] = {
    "torchtopo": ours_points,
    "ripser.py": ripser_points,
    "giotto-ph": giotto_points,
    "GUDHI RipsPersistence": gudhi_rips_points,
    "scipy linkage": scipy_linkage_points,
    "hdbscan core": hdbscan_points,
    "scipy Delaunay": scipy_delaunay_points,
    "quitefastmst": quitefastmst_points,
    "torch-topological": torch_topological_points,
}


# --------------------------------------------------------------------------------------- checking


def exact_deaths(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ascending deaths of one cloud in float64, by scipy's single linkage: the oracle."""
    from scipy.cluster.hierarchy import linkage

    return np.asarray(linkage(np.asarray(points, np.float64), "single")[:, 2])


def disagreement(got: Deaths, expected: Deaths, rtol: float = 1e-5) -> str | None:
    """None if a peer's deaths agree with the expected ones, else a short account of how not."""
    for mine, theirs in zip(expected, got, strict=True):
        if len(mine) != len(theirs):
            return f"returns {len(theirs)} bars where there are {len(mine)}"
        scale = float(mine[-1]) if len(mine) else 1.0
        error = float(np.abs(mine - theirs).max(initial=0.0)) / scale
        if not error <= rtol:
            return f"deaths differ by up to {error:.1e} of the largest"
    return None


def jobs(peers: dict[str, Peer], batch: Tensor) -> tuple[dict[str, Job], dict[str, str]]:
    """The jobs of the installed peers on a batch, and why each of the others is skipped.

    A peer that is not made for the batch says so with ``NotImplementedError`` and is left out.
    """
    ready: dict[str, Job] = {}
    skipped: dict[str, str] = {}
    for name, peer in peers.items():
        try:
            ready[name] = peer(batch)
        except ImportError as error:
            skipped[name] = f"not installed ({error.name})"
        except NotImplementedError:
            continue
    return ready, skipped


def one_thread() -> None:
    """Ask every library for one thread; the environment has been told at start-up."""
    torch.set_num_threads(1)
