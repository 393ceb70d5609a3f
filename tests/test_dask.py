"""The tree of a Dask array is that of one call, however it is cut, and whoever dies on the way."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("dask.array")
import dask
import dask.array as da

import torchtopo
from torchtopo.dask import minimum_spanning_tree


def computed(points, **options):
    with dask.config.set(scheduler="synchronous"):
        return dask.compute(*minimum_spanning_tree(points, **options))


def assert_tree(found, points: np.ndarray, metric: str = "euclidean") -> None:
    """Edges and weights are those of one call."""
    cloud = torch.from_numpy(points)
    pairs = torchtopo.vietoris_rips_pairs(cloud, metric=metric)
    np.testing.assert_array_equal(found[0], pairs.numpy())
    np.testing.assert_array_equal(found[1], torchtopo.deaths(cloud, metric=metric).numpy())
    assert found[1].dtype == points.dtype


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(sum),
    scale=st.sampled_from((1, 3, 1000)),
    dtype=st.sampled_from(("f4", "f8")),
    metric=st.sampled_from(("euclidean", "manhattan", "chebyshev")),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_blocks_give_the_tree_of_one_call(sizes, scale, dtype, metric, seed):
    """Points on grids: many lengths tie, and the order among them is by (i, j)."""
    points = np.random.default_rng(seed).integers(0, scale, (sum(sizes), 2), endpoint=True)
    array = da.from_array(points.astype(dtype), chunks=(tuple(sizes), -1))
    assert_tree(computed(array, metric=metric), points.astype(dtype), metric)


@pytest.mark.parametrize("block", [1000, 300, 127, 90])
def test_more_points_and_columns_in_blocks(block):
    points = np.random.default_rng(0).standard_normal((1000, 40), dtype=np.float32)
    assert_tree(computed(da.from_array(points, chunks=(block, 7))), points)


def test_half_types_are_measured_in_float32():
    points = np.random.default_rng(0).random((50, 3)).astype(np.float16)
    assert_tree(computed(da.from_array(points, chunks=(20, -1))), points)


def test_nan_and_infinity_order_last():
    points = np.array([[0.0], [np.nan], [1.0], [np.inf], [5.0]])
    edges, weights = computed(da.from_array(points, chunks=(2, -1)))
    pairs = torchtopo.vietoris_rips_pairs(torch.from_numpy(points)).numpy()
    np.testing.assert_array_equal(edges, pairs)
    np.testing.assert_array_equal(weights, [1, 4, np.inf, np.nan])


def test_one_point_has_no_edges():
    edges, weights = computed(da.ones((1, 3), chunks=(1, -1)))
    assert (edges.shape, edges.dtype, weights.shape) == ((0, 2), np.int64, (0,))


def test_nothing_is_computed_before_it_is_asked_for():
    def never(block):
        raise AssertionError("computed")

    points = da.ones((8, 2), chunks=(2, -1)).map_blocks(never, dtype="f8", meta=np.ones((0, 0)))
    edges, weights = minimum_spanning_tree(points)
    assert (edges.shape, edges.dtype, weights.shape, weights.dtype) == ((7, 2), "i8", (7,), "f8")
    with pytest.raises(AssertionError, match="computed"):
        edges.compute(scheduler="synchronous")


ONES = da.ones((4, 2), chunks=2)


@pytest.mark.parametrize(
    ("points", "options", "error", "message"),
    [
        (np.ones((4, 2)), {}, TypeError, "must be a Dask array, got ndarray; convert them"),
        (ONES.astype(int), {}, TypeError, "got int64; convert them, for instance with .astype"),
        (ONES[:, 0], {}, ValueError, r"shape \(N, D\), D >= 1, got \(4,\)"),
        (ONES[:, :0], {}, ValueError, r"D >= 1, got \(4, 0\)"),
        (ONES[:0], {}, ValueError, r"have no points \(N = 0\)"),
        (ONES[ONES[:, 0] > 0], {}, ValueError, "unknown size; points.compute_chunk_sizes()"),
        (ONES, {"metric": "l2"}, ValueError, "metric must be one of euclidean"),
        (ONES, {"metric": "precomputed"}, ValueError, "takes distances"),
    ],
)
def test_errors_name_what_to_do(points, options, error, message):
    with pytest.raises(error, match=message):
        minimum_spanning_tree(points, **options)


@pytest.mark.slow
def test_a_worker_that_dies_in_the_middle_is_replaced(tmp_path):
    """Two workers; one is killed when some trees are done; Dask starts it anew and goes on."""
    distributed = pytest.importorskip("dask.distributed")
    array = da.random.default_rng(0).standard_normal((12_000, 512), chunks=(1000, -1), dtype="f4")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=tmp_path
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        future = client.compute(list(minimum_spanning_tree(array)))
        first, deadline = client.run(os.getpid), time.monotonic() + 120
        while sum(map(len, client.has_what().values())) < 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not any(f.done() for f in future), "no time was left to die in"
        os.kill(next(iter(first.values())), signal.SIGKILL)
        found = client.gather(future)
        assert set(client.run(os.getpid).values()) != set(first.values())
    assert_tree(found, array.compute(scheduler="synchronous"))
