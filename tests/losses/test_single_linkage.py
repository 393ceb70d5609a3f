"""Single linkage and flat clusters against scipy and fastcluster."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import torchtopo
from torchtopo import _reference as ref
from torchtopo._operators import measures, registry

from ..strategies import generators, integer_grids, ultrametrics

hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
METRICS = {
    "euclidean": "euclidean",
    "manhattan": "cityblock",
    "chebyshev": "chebyshev",
    "cosine": "cosine",
}


@pytest.mark.parametrize("metric", METRICS)
@given(n=st.integers(2, 30), generator=generators())
def test_rows_are_scipys(metric, n, generator):
    points = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    found = torchtopo.single_linkage(points, metric=metric)
    expected = hierarchy.linkage(points.numpy(), "single", METRICS[metric])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-12)


@given(n=st.integers(2, 30), generator=generators())
def test_rows_are_fastclusters(n, generator):
    fastcluster = pytest.importorskip("fastcluster")
    points = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    expected = fastcluster.linkage(points.numpy(), "single")
    np.testing.assert_allclose(torchtopo.single_linkage(points).numpy(), expected, rtol=1e-9)


@given(points=integer_grids())
def test_ties_keep_heights_and_clusters(points):
    if len(points) < 2:
        return
    points = points.double()
    found = torchtopo.single_linkage(points)
    assert hierarchy.is_valid_linkage(found.numpy())
    expected = hierarchy.linkage(points.numpy(), "single")
    np.testing.assert_allclose(found[:, 2].numpy(), expected[:, 2])
    for height in {*found[:, 2].tolist(), 0.5}:
        ours = torchtopo.cut(found, distance=height).tolist()
        theirs = hierarchy.fcluster(expected, height, "distance").tolist()
        assert len({*zip(ours, theirs, strict=True)}) == len({*ours}) == len({*theirs})
    torch.testing.assert_close(found, ref.single_linkage(points)[0])


@given(problem=ultrametrics())
def test_ultrametrics_are_their_own_cophenetic_distances(problem):
    linkage = torchtopo.single_linkage(problem.data, metric="precomputed")
    cophenetic = hierarchy.cophenet(linkage.numpy())
    upper = problem.data[np.triu_indices(len(problem.data), 1)].numpy()
    np.testing.assert_allclose(cophenetic, upper)


@pytest.mark.parametrize("method", ["single", "average", "complete", "ward"])
@given(n=st.integers(2, 25), generator=generators())
def test_cuts_are_scipys_for_every_method(method, n, generator):
    points = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    linkage = hierarchy.linkage(points.numpy(), method)
    ours = torch.from_numpy(linkage)
    for k in {1, 2, n // 2, n} - {0}:
        expected = hierarchy.cut_tree(linkage, n_clusters=k)[:, 0].tolist()
        assert torchtopo.cut(ours, n_clusters=k).tolist() == expected == ref.cut(ours, n - k)
    for height in (-1.0, float(linkage[n // 2 - 1, 2]), 1e9):
        merges = int((ours[:, 2] <= height).sum())
        assert torchtopo.cut(ours, distance=height).tolist() == ref.cut(ours, merges)


def test_ragged_bags_are_numbered_alone():
    sizes = [12, 1, 2, 7]
    bags = [torch.randn(n, 3, dtype=torch.float64) for n in sizes]
    points, cu_seqlens = torchtopo.pack(bags)
    packed = torchtopo.single_linkage(points, cu_seqlens=cu_seqlens)
    padded = torch.nn.utils.rnn.pad_sequence(bags, batch_first=True, padding_value=torch.nan)
    linkages = torchtopo.single_linkage(padded, lengths=torch.tensor(sizes))
    labels = torchtopo.cut(linkages, n_clusters=1)
    assert packed.shape == (sum(sizes) - len(sizes), 4)
    for b, (n, bag) in enumerate(zip(sizes, bags, strict=True)):
        alone = torchtopo.single_linkage(bag)
        assert torch.equal(linkages[b, : n - 1], alone)
        assert torch.equal(packed.split([s - 1 for s in sizes])[b], alone)
        assert linkages[b, n - 1 :].tolist() == [[-1, -1, 0, 0]] * (12 - n)
        assert labels[b].tolist() == [0] * n + [-1] * (12 - n)
        pairs = torchtopo.cut(linkages, n_clusters=2)[b, :n]
        if n >= 2:
            assert torch.equal(pairs, torchtopo.cut(alone, n_clusters=2))


def test_the_code_for_other_devices_agrees():
    points, lengths = torch.randint(0, 4, (3, 15, 2)).float(), torch.tensor([15, 1, 6])
    tree = registry.trees(points, "euclidean", lengths, None)
    found = measures.single_linkage_generic(*tree, None)
    assert torch.equal(found, registry.single_linkage(*tree, None))
    packed, ends = torchtopo.pack([p[:n] for p, n in zip(points, lengths, strict=True)])
    tree = registry.trees(packed.double(), "euclidean", None, ends)
    found = measures.single_linkage_generic(*tree, ends)
    assert torch.equal(found, registry.single_linkage(*tree, ends))


def test_half_types_number_exactly():
    points = torch.rand(3000, 2).bfloat16()
    linkage = torchtopo.single_linkage(points)
    assert linkage.dtype == torch.float32
    assert linkage[-1, 3] == 3000
    assert hierarchy.is_valid_linkage(linkage.double().numpy())


def test_one_point_and_infinite_heights():
    assert torchtopo.single_linkage(torch.rand(1, 2)).shape == (0, 4)
    assert torchtopo.cut(torchtopo.single_linkage(torch.rand(1, 2)), n_clusters=1).tolist() == [0]
    apart = torch.tensor([[0.0, 1.0, torch.inf], [1.0, 0.0, torch.inf], [torch.inf, torch.inf, 0]])
    linkage = torchtopo.single_linkage(apart, metric="precomputed")
    assert torchtopo.cut(linkage, distance=1e300).tolist() == [0, 0, 1]
