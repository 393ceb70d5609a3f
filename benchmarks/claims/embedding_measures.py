"""How well an embedding keeps densities and neighbours: the measures of Moor et al. 2020.

Moor, Horn, Rieck, Borgwardt 2020, "Topological Autoencoders", Section 5 and Supplement; averaged
over neighbourhoods of 10, 20, …, 200 points as in the authors' experiments. On the embeddings that
the authors published, these measures give the numbers of their Table 1 (tests/test_claims.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Array = NDArray[Any]
NEIGHBOURS = range(10, 201, 10)


def measures(x: Array, z: Array) -> dict[str, float]:
    """All measures of an embedding ``z`` (N, d) of points ``x`` (N, D), N above 400."""
    a, b = cdist(x, x), cdist(z, z)
    found = {f"kl_{sigma:g}": density_kl(a, b, sigma) for sigma in (0.01, 0.1, 1.0)}
    order_x, order_z = (d.argsort(1, kind="stable") for d in (a, b))
    rank_x, rank_z = (order.argsort(1, kind="stable") for order in (order_x, order_z))
    by_k = []
    for k in NEIGHBOURS:
        near_x, near_z = order_x[:, 1 : k + 1], order_z[:, 1 : k + 1]
        x_of_z, z_of_x = (np.take_along_axis(r, near, 1) for r, near in
                          ((rank_x, near_z), (rank_z, near_x)))  # fmt: skip
        own = np.arange(1, k + 1)
        n = len(x)
        worst = n * np.sum(np.abs(2 * own - n - 1) / own)
        by_k.append({
            "overlap": float((x_of_z <= k).mean()),
            "trustworthiness": _kept(x_of_z, n, k), "continuity": _kept(z_of_x, n, k),
            "mrre_zx": float((np.abs(x_of_z - own) / own).sum() / worst),
            "mrre_xz": float((np.abs(z_of_x - own) / own).sum() / worst),
        })  # fmt: skip
    return found | {name: float(np.mean([row[name] for row in by_k])) for name in by_k[0]}


def density_kl(a: Array, b: Array, sigma: float) -> float:
    """Divergence of the density over points in one space from that in the other."""
    p, q = (np.exp(-((d / d.max()) ** 2) / sigma).sum(1) for d in (a, b))
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


def _kept(ranks: Array, n: int, k: int) -> float:
    """1 minus the normalised excess of ranks over k (Venna and Kaski 2006)."""
    excess = np.maximum(ranks - k, 0).sum()
    return float(1 - 2 * excess / (n * k * (2 * n - 3 * k - 1)))
