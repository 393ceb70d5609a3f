"""The CUDA kernels' own source, run on the host by fibres, against Kruskal."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from . import emulator
from .textbook import distances, kruskal

Array = NDArray[Any]

METRICS = ["euclidean", "manhattan", "chebyshev", "cosine"]
PLANS = ["one_block", "many_blocks"]


def grid(rng: np.random.Generator, *shape: int, dtype: Any = np.float32) -> Array:
    """Small integers: full of ties and duplicates, and every length is exact."""
    return rng.integers(0, 4, shape).astype(dtype)


def assert_tree(edges: Array, weights: Array, bag: Array, metric: str = "euclidean") -> None:
    """Edge for edge Kruskal's; the weights are the lengths rounded to the dtype."""
    exact = distances(bag, metric)
    expected, _ = kruskal(exact.astype(weights.dtype))
    np.testing.assert_array_equal(edges, expected)
    rounded = exact[expected[:, 0], expected[:, 1]].astype(weights.dtype)
    np.testing.assert_allclose(
        weights, rounded, rtol=1e-6 if weights.dtype == np.float32 else 1e-14
    )


@pytest.mark.parametrize("n", [1, 2, 3, 31, 32, 33, 64, 65, 200])
@pytest.mark.parametrize("plan", PLANS)
def test_ties_of_points(kernels: emulator.Kernels, n: int, plan: str) -> None:
    rng = np.random.default_rng(n)
    for metric, dtype in (("euclidean", np.float32), ("manhattan", np.float64)):
        clouds = grid(rng, 2, n, 3, dtype=dtype)
        edges, weights = kernels.trees(clouds, metric, plan=plan)
        for bag, e, w in zip(clouds, edges, weights, strict=True):
            assert_tree(e, w, bag, metric)


@pytest.mark.parametrize("n", [1, 2, 3, 31, 32, 33, 64, 65, 200])
@pytest.mark.parametrize("plan", PLANS)
def test_ties_of_matrices(kernels: emulator.Kernels, n: int, plan: str) -> None:
    rng = np.random.default_rng(n)
    for dtype in (np.float32, np.float64):
        matrices = rng.integers(-2, 6, (3, n, n)).astype(dtype)  # no symmetry: i < j is read
        edges, weights = kernels.trees(matrices, "precomputed", plan=plan)
        for matrix, e, w in zip(matrices, edges, weights, strict=True):
            expected, _ = kruskal(matrix)
            np.testing.assert_array_equal(e, expected)
            np.testing.assert_array_equal(w, matrix[expected[:, 0], expected[:, 1]])


@pytest.mark.parametrize("n", [1023, 1024, 1025])
@pytest.mark.parametrize("plan", PLANS)
def test_about_a_block(shuffled: emulator.Kernels, n: int, plan: str) -> None:
    rng = np.random.default_rng(n)
    cloud = rng.integers(0, 40, (1, n, 2)).astype(np.float32)
    assert_tree(*(out[0] for out in shuffled.trees(cloud, plan=plan)), cloud[0])
    if n <= 1024 or plan == "many_blocks":
        matrix = rng.integers(0, 50, (1, n, n)).astype(np.float32)
        edges, _ = shuffled.trees(matrix, "precomputed", plan=plan)
        np.testing.assert_array_equal(edges[0], kruskal(matrix[0])[0])


def test_a_bag_that_is_sorted_by_many_blocks(shuffled: emulator.Kernels) -> None:
    rng = np.random.default_rng(5)
    cloud = rng.integers(0, 60, (1, 2051, 2)).astype(np.float32)
    assert_tree(*(out[0] for out in shuffled.trees(cloud)), cloud[0])
    matrix = rng.integers(0, 50, (1, 2051, 2051)).astype(np.float32)
    edges, _ = shuffled.trees(matrix, "precomputed")
    np.testing.assert_array_equal(edges[0], kruskal(matrix[0])[0])


@pytest.mark.parametrize("width", [64, 128, 256, None])
def test_segments_of_any_width(kernels: emulator.Kernels, width: int | None) -> None:
    """Whatever memory a scan may fill, the edges are the same; None: not even the widest fits."""
    rng = np.random.default_rng(22)
    sizes = np.array([270, 1, 40, 321])
    packed = grid(rng, sizes.sum(), 3)
    packed[:270:2, 0] += 50  # two clusters in mixed order: segments are read again
    ends = np.concatenate([[0], np.cumsum(sizes)])
    n = len(packed) - len(sizes) + 1
    most = 0 if width is None else ((n - 1 + width - 1) // width + 1) * len(packed) * 8
    with kernels.segment_bytes(most):
        edges, weights = kernels.trees(packed, cu_seqlens=ends, plan="many_blocks")
    for b, (first, last) in enumerate(itertools.pairwise(ends)):
        own = slice(first - b, last - b - 1)
        assert_tree(edges[own] - first, weights[own], packed[first:last])


def test_rounds_over_many_blocks(kernels: emulator.Kernels) -> None:
    """Bags too large for a block to do the rounds of, full of ties and of what is read again."""
    rng = np.random.default_rng(23)
    cloud = grid(rng, 1, 1100, 3)
    cloud[0, ::3, 0] += 40
    before = kernels.launches()
    edges, weights = kernels.trees(cloud, "manhattan", plan="many_blocks")
    assert_tree(edges[0], weights[0], cloud[0], "manhattan")
    # Two that prepare, a scan, eleven rounds (in the first nothing is read again), the order.
    assert kernels.launches() == before + 2 + 1 + 5 * 11 - 1 + 1
    matrix = rng.integers(0, 9, (1, 1100, 1100)).astype(np.float64)
    edges, _ = kernels.trees(matrix, "precomputed", plan="many_blocks")
    np.testing.assert_array_equal(edges[0], kruskal(matrix[0])[0])


def test_components_that_hook_in_one_long_chain(kernels: emulator.Kernels) -> None:
    """Each vertex is nearest to the one before it: roots are as far as can be from their root."""
    rng = np.random.default_rng(25)
    place = np.cumsum(np.arange(500)).astype(np.float32)
    clouds = np.stack([place, rng.permutation(place), place[::-1]])[..., None].copy()
    with kernels.segment_bytes(0):  # no bag's rounds are one block's
        edges, weights = kernels.trees(clouds, plan="many_blocks")
    for bag, e, w in zip(clouds, edges, weights, strict=True):
        assert_tree(e, w, bag)


@pytest.mark.parametrize(("metric", "most"), [("euclidean", 5), ("precomputed", 2)])
def test_a_warp_measures_several_edges_at_once(
    library: emulator.Kernels, metric: str, most: int
) -> None:
    """The last launch measures and sorts a bag's edges, in so many operations of a warp an edge."""
    library.schedule("in_order")
    rng = np.random.default_rng(26)
    data = rng.random((1, 256, 256)).astype(np.float32)
    library.trees(data, metric, plan="many_blocks")
    assert library.last_switches() / (255 * 32) < most


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev"])
def test_the_farthest_are_measured_four_at_once(library: emulator.Kernels, metric: str) -> None:
    """In fewer operations of a warp than the five that a length alone takes."""
    library.schedule("in_order")
    rng = np.random.default_rng(27)
    for n in (2, 3, 5, 6, 90):
        points = rng.random((2, n, 40)).astype(np.float32)
        before = library.switches()
        pairs = library.farthest_pairs(points, metric)
        taken = library.switches() - before
        for found, bag in zip(pairs, points, strict=True):
            exact = np.triu(distances(bag, metric), 1)
            assert tuple(found) == np.unravel_index(exact.argmax(), exact.shape)
    assert taken / (2 * 32 * n * (n - 1) / 2) < 4


def test_a_small_bag_takes_five_launches(library: emulator.Kernels) -> None:
    """Two that prepare, a scan, all rounds, and the edges in order."""
    rng = np.random.default_rng(24)
    for data, metric in (
        (grid(rng, 2, 200, 3), "euclidean"),
        (grid(rng, 2, 70, 70), "precomputed"),
    ):
        before = library.launches()
        library.trees(data, metric, plan="many_blocks")
        assert library.launches() == before + 5


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("d", [1, 5, 8, 9, 16, 17, 32, 33, 63, 64, 100])
def test_metrics_and_dimensions(shuffled: emulator.Kernels, metric: str, d: int) -> None:
    rng = np.random.default_rng(d)
    for dtype in (np.float32, np.float64):
        clouds = rng.standard_normal((2, 50, d)).astype(dtype)
        if metric == "cosine" and d == 1:
            clouds = np.abs(clouds)  # one direction: all distances are exactly 0
        found = {
            plan: shuffled.trees(clouds, metric, plan=plan) for plan in ("automatic", PLANS[1])
        }
        for edges, weights in found.values():
            for bag, e, w in zip(clouds, edges, weights, strict=True):
                exact = distances(bag, metric)
                expected, _ = kruskal(exact)
                np.testing.assert_array_equal(
                    np.sort(e.view("i8,i8"), 0), np.sort(expected.view("i8,i8"), 0)
                )
                assert (np.diff(w) >= 0).all()
                np.testing.assert_allclose(
                    w,
                    exact[e[:, 0], e[:, 1]],
                    rtol=3e-7 if dtype == np.float32 else 1e-13,
                    atol=1e-30,
                )
        np.testing.assert_array_equal(found["automatic"][1], found[PLANS[1]][1])


@pytest.mark.parametrize("plan", PLANS)
def test_ragged_equals_one_by_one(kernels: emulator.Kernels, plan: str) -> None:
    rng = np.random.default_rng(7)
    sizes = np.array([1, 130, 2, 33, 64, 3, 97])
    bags = [rng.standard_normal((n, 6)).astype(np.float32) for n in sizes]
    alone = [kernels.trees(bag[None], plan=plan) for bag in bags]
    n = sizes.max()
    padded = np.full((len(bags), n, 6), np.nan, np.float32)
    for b, bag in enumerate(bags):
        padded[b, : len(bag)] = bag
    edges, weights = kernels.trees(padded, lengths=sizes, plan=plan)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    packed_edges, packed_weights = kernels.trees(np.concatenate(bags), cu_seqlens=ends, plan=plan)
    for b, ((e,), (w,)) in enumerate(alone):
        m = sizes[b] - 1
        np.testing.assert_array_equal(edges[b, :m], e)
        np.testing.assert_array_equal(weights[b, :m], w)
        assert (edges[b, m:] == -1).all()
        assert (weights[b, m:] == 0).all()
        own = slice(ends[b] - b, ends[b] - b + m)
        np.testing.assert_array_equal(packed_edges[own] - ends[b], e)
        np.testing.assert_array_equal(packed_weights[own], w)


@pytest.mark.parametrize("plan", PLANS)
def test_ragged_matrices(kernels: emulator.Kernels, plan: str) -> None:
    rng = np.random.default_rng(8)
    matrices = rng.integers(0, 9, (4, 70, 70)).astype(np.float64)
    sizes = np.array([70, 1, 33, 2])
    edges, weights = kernels.trees(matrices, "precomputed", lengths=sizes, plan=plan)
    for b, n in enumerate(sizes):
        expected, _ = kruskal(matrices[b, :n, :n])
        np.testing.assert_array_equal(edges[b, : n - 1], expected)
        assert (edges[b, n - 1 :] == -1).all()
        assert (weights[b, n - 1 :] == 0).all()


def test_very_different_sizes_in_one_launch(shuffled: emulator.Kernels) -> None:
    rng = np.random.default_rng(9)
    sizes = np.array([2, 900, 1, 17, 300])
    bags = [rng.integers(0, 30, (n, 2)).astype(np.float32) for n in sizes]
    ends = np.concatenate([[0], np.cumsum(sizes)])
    before = shuffled.launches()
    edges, weights = shuffled.trees(np.concatenate(bags), cu_seqlens=ends, plan="one_block")
    assert shuffled.launches() == before + 1
    for b, bag in enumerate(bags):
        own = slice(ends[b] - b, ends[b] - b + sizes[b] - 1)
        assert_tree(edges[own] - ends[b], weights[own], bag)


def test_merging_runs_of_a_ragged_batch(shuffled: emulator.Kernels) -> None:
    """A packed batch that may hold a bag too large for a block is sorted by many."""
    rng = np.random.default_rng(10)
    sizes = np.array([700, 1, 900, 2, 600])
    bags = [rng.integers(0, 30, (n, 2)).astype(np.float64) for n in sizes]
    ends = np.concatenate([[0], np.cumsum(sizes)])
    edges, weights = shuffled.trees(np.concatenate(bags), cu_seqlens=ends)
    for b, bag in enumerate(bags):
        own = slice(ends[b] - b, ends[b] - b + sizes[b] - 1)
        assert_tree(edges[own] - ends[b], weights[own], bag)
    padded = np.zeros((1, 2100, 2))
    padded[0, :900] = bags[2]
    edges, weights = shuffled.trees(padded, lengths=np.array([900]))
    assert_tree(edges[0, :899], weights[0, :899], bags[2])
    assert (edges[0, 899:] == -1).all()


@pytest.mark.parametrize("plan", PLANS)
def test_nan_infinity_and_signed_zero(kernels: emulator.Kernels, plan: str) -> None:
    rng = np.random.default_rng(11)
    values = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, -np.nan])
    for dtype in (np.float32, np.float64):
        matrices = rng.choice(values, (4, 40, 40)).astype(dtype)
        edges, weights = kernels.trees(matrices, "precomputed", plan=plan)
        for matrix, e, w in zip(matrices, edges, weights, strict=True):
            expected, _ = kruskal(matrix)
            np.testing.assert_array_equal(e, expected)
            np.testing.assert_array_equal(w, matrix[expected[:, 0], expected[:, 1]])
        clouds = grid(rng, 3, 40, 2, dtype=dtype)
        clouds[0, 3, 1] = clouds[1, 0, 0] = np.nan
        clouds[2, 7, 0] = np.inf
        for metric in ("euclidean", "manhattan", "chebyshev"):
            edges, weights = kernels.trees(clouds, metric, plan=plan)
            for bag, e, w in zip(clouds, edges, weights, strict=True):
                with np.errstate(invalid="ignore"):
                    assert_tree(e, w, bag, metric)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize(
    ("dtype", "scales"),
    [(np.float32, [1e-30, 1e25, 1e-42]), (np.float64, [1e-200, 1e200, 1e-310])],
)
def test_squares_out_of_range(
    shuffled: emulator.Kernels, plan: str, dtype: Any, scales: list[float]
) -> None:
    rng = np.random.default_rng(12)
    for scale in scales:
        clouds = (rng.integers(0, 90, (2, 30, 3)) * scale).astype(dtype)
        clouds[1, 0] *= 3
        edges, weights = shuffled.trees(clouds, plan=plan)
        for bag, e, w in zip(clouds, edges, weights, strict=True):
            expected = np.sort(
                distances(bag, "euclidean")[tuple(kruskal(distances(bag, "euclidean"))[0].T)]
            )
            assert (np.diff(w) >= 0).all()
            np.testing.assert_allclose(w, expected.astype(dtype), rtol=1e-6)
            measured = distances(bag, "euclidean")[e[:, 0], e[:, 1]]
            np.testing.assert_allclose(w, measured.astype(dtype), rtol=1e-6)


def test_squares_out_of_range_in_a_bag_sorted_by_many_blocks(shuffled: emulator.Kernels) -> None:
    rng = np.random.default_rng(13)
    clouds = rng.integers(0, 9, (1, 2060, 1)).astype(np.float32)
    edges, _ = shuffled.trees(clouds * np.float32(1e-30), lengths=np.array([60]))
    expected, _ = kruskal(distances(clouds[0, :60], "euclidean"))
    np.testing.assert_array_equal(edges[0, :59], expected)
    assert (edges[0, 59:] == -1).all()


def test_far_from_the_origin(shuffled: emulator.Kernels) -> None:
    """Direct differences: a cloud of scale 1e-3 at offset 100."""
    rng = np.random.default_rng(14)
    cloud = (100 + 1e-3 * rng.standard_normal((1, 120, 20))).astype(np.float32)
    exact = distances(cloud[0], "euclidean")
    expected = exact[tuple(kruskal(exact)[0].T)]
    for plan in PLANS:
        np.testing.assert_allclose(shuffled.trees(cloud, plan=plan)[1][0], expected, rtol=1e-5)


@pytest.mark.parametrize("plan", PLANS)
def test_cosine_of_a_zero_vector(kernels: emulator.Kernels, plan: str) -> None:
    rng = np.random.default_rng(15)
    clouds = rng.standard_normal((2, 20, 4)).astype(np.float32)
    clouds[1, 4] = clouds[1, 9] = 0
    edges, weights = kernels.trees(clouds, "cosine", plan=plan)
    for bag, e, w in zip(clouds, edges, weights, strict=True):
        exact = distances(bag, "cosine")
        np.testing.assert_allclose(w, np.sort(exact[tuple(kruskal(exact)[0].T)]), rtol=1e-6)
        np.testing.assert_allclose(w, exact[e[:, 0], e[:, 1]], rtol=1e-6)


@pytest.mark.parametrize("plan", PLANS)
def test_a_zero_vector_costs_nothing(shuffled: emulator.Kernels, plan: str) -> None:
    """Features after a ReLU have rows of zeros: at distance 1 from everything, and no exception."""
    rng = np.random.default_rng(20)
    axes = np.concatenate((np.eye(5), -np.eye(5)))
    clouds = (axes[rng.integers(0, 10, (2, 90))] * [[[3.0]], [[0.5]]]).astype(np.float32)
    work = []
    for zeros in ((), (0, 7, 8, 60, 89)):
        clouds[:, list(zeros)] = 0
        before = shuffled.switches()
        edges, weights = shuffled.trees(clouds, "cosine", plan=plan)
        work.append(shuffled.switches() - before)
        for bag, e, w in zip(clouds, edges, weights, strict=True):
            expected, _ = kruskal(distances(bag, "cosine"))  # 0, 1 or 2, each exact
            np.testing.assert_array_equal(e, expected)
            np.testing.assert_array_equal(w, distances(bag, "cosine")[tuple(expected.T)])
    assert work[1] < 1.3 * work[0]


@pytest.mark.parametrize("plan", PLANS)
def test_an_infinite_edge_hides_no_finite_one(shuffled: emulator.Kernels, plan: str) -> None:
    """Squares overflow, and tie with an edge that is infinite in truth."""
    for dtype, scale in ((np.float32, 1e25), (np.float64, 1e200)):
        cloud = np.array([[np.inf, 0], [1, 0], [2, 0], [4, 0]]) * scale
        cloud[0, 0] = np.inf
        edges, weights = shuffled.trees(cloud[None].astype(dtype), plan=plan)
        np.testing.assert_array_equal(edges[0], [[1, 2], [2, 3], [0, 1]])
        np.testing.assert_allclose(weights[0], np.array([1, 2, np.inf]) * scale, rtol=1e-6)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("metric", ["euclidean", "precomputed"])
def test_input_that_changes_during_the_call(
    kernels: emulator.Kernels, plan: str, metric: str
) -> None:
    """Then the result means nothing, but the kernels end and name points of the bag."""
    rng = np.random.default_rng(21)
    for n in (2, 33, 65, 129):
        data = rng.random((2, n, n if metric == "precomputed" else 2)).astype(np.float32)
        for most in (0, 512 << 20):  # without a scan of points all blocks merge
            with kernels.segment_bytes(most), kernels.overwriting(data):
                edges, _ = kernels.trees(data, metric, plan=plan)
            assert ((edges >= 0) & (edges < n)).all()


@pytest.mark.parametrize("metric", METRICS)
def test_lengths_of_pairs_have_the_bits_of_the_weights(
    shuffled: emulator.Kernels, metric: str
) -> None:
    rng = np.random.default_rng(18)
    for dtype in (np.float32, np.float64):
        clouds = rng.standard_normal((2, 40, 37)).astype(dtype)
        edges, weights = shuffled.trees(clouds, metric)
        np.testing.assert_array_equal(shuffled.pair_lengths(clouds, edges, metric), weights)
        flipped = np.ascontiguousarray(edges[..., ::-1])
        np.testing.assert_array_equal(shuffled.pair_lengths(clouds, flipped, metric), weights)
    padding = np.array([[[-1, -1], [0, 40], [3, -1], [0, 3]]] * 2)
    lengths = shuffled.pair_lengths(clouds, padding, metric)
    assert (lengths[:, :3] == 0).all()
    assert (lengths[:, 3] > 0).all()


def test_the_number_of_launches_does_not_depend_on_the_data(library: emulator.Kernels) -> None:
    library.schedule("in_order")
    rng = np.random.default_rng(19)
    counts = set()
    chain = np.cumsum(2.0 ** np.arange(100))[:, None]
    for cloud in (np.zeros((100, 1)), chain, rng.standard_normal((100, 1))):
        before = library.launches()
        library.trees(cloud[None], plan="many_blocks")
        counts.add(library.launches() - before)
    assert len(counts) == 1


def test_every_kernel_says_how_large_its_blocks_are() -> None:
    """Without `__launch_bounds__` a kernel may take too many registers for a block to start."""
    for source in emulator.CUDA.glob("*.cu"):
        for head in source.read_text().split("__global__ void")[1:]:
            assert head.lstrip().startswith("__launch_bounds__("), (source.name, head[:60])


def test_errors_are_exceptions(library: emulator.Kernels) -> None:
    with pytest.raises(RuntimeError, match="a block holds at most"):
        library.trees(np.zeros((1, 3000, 2), np.float32), plan="one_block")
    with pytest.raises(RuntimeError, match="no such device"):
        library.set_device(99)
    library.check(0)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [(719, "an earlier kernel"), (900, "a CUDA graph"), (901, "a CUDA graph"), (2, "fewer or")],
)
def test_an_error_names_its_cause(library: emulator.Kernels, error: int, remedy: str) -> None:
    with pytest.raises(RuntimeError, match=f"while launching a kernel: .*{remedy}"):
        library.check(error)
