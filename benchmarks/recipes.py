"""The signature loss, forward and backward, in every way people write it today.

A recipe is made from bags ``x (B, N, D)`` without gradient and ``z (B, N, d)``, and returns a step:
a function that fills ``z.grad`` and returns the summed loss. Recipes whose name ends in the name of
a convention compute that convention; the value of each is checked against ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import torchtopo
from torchtopo import _C
from torchtopo._operators.arguments import bags_of, space_of

Step = Callable[[], Tensor]
Recipe = Callable[[Tensor, Tensor], Step]


def ours(x: Tensor, z: Tensor, convention: Any = "paper") -> Step:
    """torchtopo's signature loss on the whole batch."""

    def step() -> Tensor:
        loss = torchtopo.signature_loss(x, z, convention=convention, reduction="sum")
        return _backward(loss, z)

    return step


def ours_deaths(x: Tensor, z: Tensor) -> Step:
    """torchtopo's deaths of ``x`` alone, without a gradient: the op by itself."""
    return lambda: torchtopo.deaths(x)


def ours_normalised(x: Tensor, z: Tensor) -> Step:
    """torchtopo's signature loss in torch-topological's own convention."""
    return ours(x, z, "torch_topological")


def ours_cached(x: Tensor, z: Tensor) -> Step:
    """torchtopo's signature loss with the input space's pairs computed once, before the clock."""
    pairs_x = torchtopo.vietoris_rips_pairs(x)

    def step() -> Tensor:
        return _backward(torchtopo.signature_loss(x, z, pairs_x=pairs_x, reduction="sum"), z)

    return step


def ours_kernels_alone(x: Tensor, z: Tensor) -> Callable[[], None]:
    """The kernel of :func:`ours_cached` and nothing else: no operator, no autograd, no sum."""
    pairs_x = torchtopo.vietoris_rips_pairs(x)
    bags, m = x.shape[0], 2 * (x.shape[1] - 1)
    pairs, losses = torch.empty(bags, m, 2, dtype=torch.int64), torch.empty(bags)
    in_x, in_z, gradient = torch.empty(bags, m), torch.empty(bags, m), torch.empty(z.shape)

    def kernel() -> None:
        space_x, space_z = space_of(x, "euclidean")[1], space_of(z, "euclidean")[1]
        undivided = (0, 0, 0, 0, 0)  # by no scale and no largest length
        of_x = (*undivided, in_x.data_ptr(), 0, 0)
        of_z = (*undivided, in_z.data_ptr(), gradient.data_ptr(), 0)
        _C.signature_step(
            *(space_x, of_x, 1.0, space_z, of_z, 1.0, bags_of(x)[1], pairs_x.data_ptr()),
            *((0, 0, 0), 2.0, (pairs.data_ptr(), losses.data_ptr()), torch.get_num_threads()),
        )

    return kernel


def torch_topological(x: Tensor, z: Tensor, normalise: bool = True) -> Step:
    """torch-topological's VietorisRipsComplex and SignatureLoss, bag by bag, as in its examples."""
    from torch_topological.nn import SignatureLoss, VietorisRipsComplex

    rips = VietorisRipsComplex(dim=0, n_threads=1)
    loss_of = SignatureLoss(p=2, normalise=normalise)

    def step() -> Tensor:
        losses = [loss_of([a, rips(a)], [b, rips(b)]) for a, b in zip(x, z, strict=True)]
        return _backward(torch.stack(losses).sum(), z)

    return step


def torch_topological_plain(x: Tensor, z: Tensor) -> Step:
    """torch-topological without its normalisation: the closest it has to the paper's loss."""
    return torch_topological(x, z, normalise=False)


def scipy_tree(x: Tensor, z: Tensor) -> Step:
    """torch.cdist, scipy's csgraph tree, and gathered distances."""
    from scipy.sparse.csgraph import minimum_spanning_tree

    def pairs(distances: NDArray[Any]) -> NDArray[Any]:
        tree = minimum_spanning_tree(np.triu(distances)).tocoo()
        return np.stack([tree.row, tree.col], axis=1)

    return _cdist_recipe(x, z, pairs)


def hdbscan_core(x: Tensor, z: Tensor) -> Step:
    """torch.cdist, hdbscan's inner Prim, and gathered distances: the fastest recipe we found."""
    from hdbscan._hdbscan_linkage import mst_linkage_core

    def pairs(distances: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(mst_linkage_core(distances.astype(np.float64))[:, :2], dtype=np.int64)

    return _cdist_recipe(x, z, pairs)


def python_kruskal(x: Tensor, z: Tensor) -> Step:
    """Kruskal written in Python over all sorted edges, the way topological autoencoders began."""
    return _cdist_recipe(x, z, kruskal)


def kruskal(distances: NDArray[Any]) -> NDArray[Any]:
    """Textbook Kruskal in Python: sort all edges of a distance matrix, join with union-find."""
    n = len(distances)
    rows, columns = np.triu_indices(n, 1)
    parent = list(range(n))

    def find(v: int) -> int:
        while parent[v] != v:
            parent[v] = parent[parent[v]]
            v = parent[v]
        return v

    pairs = []
    for edge in np.argsort(distances[rows, columns], kind="stable"):
        u, v = int(rows[edge]), int(columns[edge])
        a, b = find(u), find(v)
        if a != b:
            parent[max(a, b)] = min(a, b)
            pairs.append((u, v))
    return np.asarray(pairs)


def _cdist_recipe(x: Tensor, z: Tensor, pairs: Callable[[NDArray[Any]], NDArray[Any]]) -> Step:
    """The paper's loss from full distance matrices, with gradients through ``torch.cdist``."""

    def one(a: Tensor, b: Tensor) -> Tensor:
        da, db = torch.cdist(a, a), torch.cdist(b, b)
        loss = torch.zeros(())
        for distances in (da, db):
            i, j = torch.from_numpy(pairs(distances.detach().numpy())).long().T
            loss = loss + 0.5 * (da[i, j] - db[i, j]).square().sum()
        return loss

    def step() -> Tensor:
        return _backward(torch.stack([one(a, b) for a, b in zip(x, z, strict=True)]).sum(), z)

    return step


def _backward(loss: Tensor, z: Tensor) -> Tensor:
    z.grad = None
    torch.autograd.backward(loss)
    return loss.detach()


RECIPES: dict[str, Recipe] = {
    "torchtopo": ours,
    "torchtopo, pairs_x": ours_cached,
    "torchtopo, tt convention": ours_normalised,
    "torch-topological": torch_topological,
    "torch-topological, plain": torch_topological_plain,
    "torch + hdbscan core": hdbscan_core,
    "torch + scipy csgraph": scipy_tree,
    "torch + Python Kruskal": python_kruskal,
}
