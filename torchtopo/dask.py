"""The minimum spanning tree of a Dask array of points, larger than one machine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate, combinations
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from torchtopo._checks import check_metric
from torchtopo._filtrations.rips import tree
from torchtopo._metric import Metric

try:
    import dask.array as da
    from dask.delayed import delayed
    from scipy.sparse import csgraph, csr_array
except ImportError as error:
    raise ImportError(
        "torchtopo.dask needs Dask and scipy: pip install 'torchtopo[dask]'"
    ) from error

__all__ = ["MST", "minimum_spanning_tree"]

Array = NDArray[Any]
FLOATS = ("float16", "float32", "float64")


class MST(NamedTuple):
    """A minimum spanning tree, not computed yet: `edges (N-1, 2)` int64, and `weights (N-1,)`."""

    edges: Any
    weights: Any


class Forest(NamedTuple):
    """Edges `(M, 2)`, i < j, and their weights `(M,)`, in Kruskal order; what travels."""

    edges: Array
    weights: Array


def minimum_spanning_tree(points: Any, *, metric: Metric = "euclidean") -> MST:
    """The minimum spanning tree of the rows of a Dask array, exact, a block or two at a time.

    An edge of the tree of all points is in the tree of any part of them that has both its ends: a
    longer edge of a cycle stays longer where there are fewer points. So each two blocks of rows
    make a tree, and Kruskal's algorithm over the edges of four such trees makes one, and so on; a
    worker holds two blocks at most, and then only edges travel. That is twice the arithmetic of one
    call. Where the points fit one machine, `torchtopo.vietoris_rips_pairs` is the better choice
    below some ten dimensions: boxes skip most pairs there, and pairs of blocks undo that.

    Args:
        points: `(N, D)`, a Dask array of float16, float32 or float64; rows in blocks, some 10,000
            to 100,000 each (`points.rechunk((50_000, -1))`). Columns are joined to one block.
        metric: see `torchtopo.pair_distances`; not `"precomputed"`.

    Returns:
        Dask arrays `edges (N-1, 2)` int64, i < j, in the order in which Kruskal finds them, and
        `weights (N-1,)`, ascending, in the dtype of the points. `dask.compute(*tree)` runs them, on
        whatever scheduler there is, with Dask's own progress and recovery. They are those of one
        call on all points; lengths that tie only by rounding may count either way.

    Raises:
        TypeError: not a Dask array, or not floating.
        ValueError: not `(N, D)`, no points, blocks of unknown size, an unknown metric.

    Examples:
        >>> import dask, dask.array as da
        >>> from torchtopo.dask import minimum_spanning_tree
        >>> points = da.from_array([[0.0, 0.0], [3.0, 0.0], [9.0, 0.0], [4.0, 0.0]], chunks=(2, 2))
        >>> edges, weights = dask.compute(*minimum_spanning_tree(points))
        >>> edges.tolist(), weights.tolist()
        ([[1, 3], [0, 1], [2, 3]], [1.0, 3.0, 5.0])
    """
    _check(points, metric)
    (n, _), dtype = points.shape, points.dtype
    points = points.rechunk({1: -1})
    firsts = accumulate(points.chunks[0], initial=0)
    blocks = [
        (first, block)
        for first, size, block in zip(
            firsts, points.chunks[0], points.to_delayed()[:, 0], strict=False
        )
        if size
    ]
    pairs = list(combinations(range(len(blocks)), 2)) or [(0, 0)]
    forests = {
        (a, b): delayed(forest_of_points, pure=True)([blocks[k] for k in sorted({a, b})], metric)
        for a, b in pairs
    }
    while len(forests) > 1:
        squares = defaultdict(list)
        for (a, b), forest in forests.items():
            squares[a // 2, b // 2].append(forest)
        forests = {
            square: delayed(forest_of_forests, pure=True)(part, n) if len(part) > 1 else part[0]
            for square, part in squares.items()
        }
    (whole,) = forests.values()
    edges = da.from_delayed(whole.edges, (n - 1, 2), np.int64)
    weights = da.from_delayed(whole.weights, (n - 1,), np.result_type(dtype, np.float32))
    return MST(edges, weights.astype(dtype))


def forest_of_points(blocks: Sequence[tuple[int, Array]], metric: str) -> Forest:
    """The tree of blocks of rows, each with the number of its first row, in ascending order."""
    rows = np.concatenate([block for _, block in blocks])
    names = np.concatenate([first + np.arange(len(block)) for first, block in blocks])
    rows = rows.astype(np.result_type(rows.dtype, np.float32), copy=False)
    pairs, weights = tree(torch.from_numpy(rows), metric, None, None)
    return Forest(names[pairs.numpy()], weights.numpy())


def forest_of_forests(forests: Sequence[Forest], n: int) -> Forest:
    """The minimum spanning forest of the edges of forests on `n` vertices, by (weight, i, j)."""
    edges, weights = map(np.concatenate, zip(*forests, strict=True))
    _, once = np.unique(edges[:, 0] * n + edges[:, 1], return_index=True)
    order = once[np.argsort(weights[once], kind="stable")]
    vertices, ends = np.unique(edges[order], return_inverse=True)
    # scipy neither breaks ties nor keeps zeros; ranks from 1 have neither, and stay exact
    ranks = np.arange(1.0, len(order) + 1)
    graph = csr_array((ranks, tuple(ends.reshape(-1, 2).T)), (len(vertices),) * 2)
    kept = order[np.sort(csgraph.minimum_spanning_tree(graph).data).astype(np.int64) - 1]
    return Forest(edges[kept], weights[kept])


def _check(points: Any, metric: str) -> None:
    check_metric(metric)
    if metric == "precomputed":
        raise ValueError("metric='precomputed' takes distances; a Dask array is one of points")
    if not isinstance(points, da.Array):
        raise TypeError(
            f"points must be a Dask array, got {type(points).__name__}; convert them, for "
            f"instance with dask.array.from_array(points, chunks=(50_000, -1))"
        )
    if points.dtype not in FLOATS:
        raise TypeError(
            f"points must be {', '.join(FLOATS[:-1])} or {FLOATS[-1]}, got {points.dtype}; "
            f"convert them, for instance with .astype('float32')"
        )
    if np.isnan(points.shape).any():
        raise ValueError(
            "points have blocks of unknown size; points.compute_chunk_sizes() finds it"
        )
    if points.ndim != 2 or not points.shape[1]:
        raise ValueError(f"points must have the shape (N, D), D >= 1, got {points.shape}")
    if not points.shape[0]:
        raise ValueError(f"points of shape {points.shape} have no points (N = 0)")
