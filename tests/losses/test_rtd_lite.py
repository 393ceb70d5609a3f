"""RTD-Lite against the authors' recipe, and its barcode against their algorithm."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import torchtopo
from torchtopo import _reference as ref

from ..strategies import generators


def published(x: torch.Tensor, z: torch.Tensor, quantile: float | None) -> list[torch.Tensor]:
    """Both barcodes by Algorithm 1: for each edge of the smaller graph's tree, the first edge of a
    space's tree after which its ends are connected, edges being added to those merged before."""
    a, b = ref.distance_matrix(x), ref.distance_matrix(z)
    if quantile is not None:
        a, b = a / a.quantile(quantile), b / b.quantile(quantile)
    smaller = torch.minimum(a, b)
    inner, _ = ref.kruskal(smaller)
    barcodes = []
    for matrix in (a, b):
        outer, _ = ref.kruskal(matrix)
        bars = []
        for k, (u, v) in enumerate(inner):
            component = list(range(len(x)))

            def join(i, j, component=component):
                old, new = component[i], component[j]
                component[:] = [new if c == old else c for c in component]

            for i, j in inner[:k]:
                join(i, j)
            for i, j in outer:
                join(i, j)
                if component[u] == component[v]:
                    bars.append((smaller[u, v], matrix[i, j]))
                    break
        barcodes.append(torch.tensor(bars, dtype=torch.float64).reshape(-1, 2))
    return barcodes


@given(n=st.integers(2, 12), generator=generators(), q=st.sampled_from((None, 0.9, 0.5, 1.0)))
def test_bars_are_those_of_algorithm_1(n, generator, q):
    x = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    z = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    found = torchtopo.rtd_lite_barcode(x, z, quantile=q)
    if q is not None and n * n * (1 - q) > n * (n - 1):  # the quantile is a zero of the diagonal
        return
    for ours, theirs in zip(found, published(x, z, q), strict=True):
        torch.testing.assert_close(ours, theirs)
        assert bool((ours[:, 1] >= ours[:, 0]).all())
    value = torchtopo.rtd_lite(x, z, quantile=q)
    lengths = sum((bars[:, 1] - bars[:, 0]).sum() for bars in found)
    torch.testing.assert_close(lengths / 2, value)


def test_bars_of_ragged_bags():
    x, z, lengths = torch.randn(3, 9, 4), torch.randn(3, 9, 2), torch.tensor([9, 1, 5])
    found = torchtopo.rtd_lite_barcode(x, z, lengths=lengths)
    packed = [torchtopo.pack([p[:n] for p, n in zip(s, lengths, strict=True)]) for s in (x, z)]
    again = torchtopo.rtd_lite_barcode(packed[0][0], packed[1][0], cu_seqlens=packed[0][1])
    for k in range(2):
        assert torch.equal(found[k], again[k])
        for b, n in enumerate(lengths.tolist()):
            alone = torchtopo.rtd_lite_barcode(x[b, :n], z[b, :n])[k]
            torch.testing.assert_close(found[k][b, : n - 1], alone)
            assert bool((found[k][b, n - 1 :] == 0).all())


def test_same_spaces_do_not_differ_and_scale_does_not_matter():
    x, z = torch.randn(2, 12, 3).double(), torch.randn(2, 12, 3).double()
    assert torchtopo.rtd_lite(x, x) == 0
    torch.testing.assert_close(torchtopo.rtd_lite(x, 5 * x), torch.zeros(()).double())
    torch.testing.assert_close(torchtopo.rtd_lite(x, 7 * z), torchtopo.rtd_lite(x, z))
    torch.testing.assert_close(torchtopo.rtd_lite(x, z), torchtopo.rtd_lite(z, x))


@pytest.mark.parametrize("quantile", [0.9, 0.5, 0.02, 1.0, None])
def test_ragged_quantiles_are_those_of_torch(quantile):
    x, z = torch.randn(4, 13, 3).double(), torch.randn(4, 13, 2).double()
    lengths = torch.tensor([13, 7, 3, 2])
    found = torchtopo.rtd_lite(x, z, quantile=quantile, lengths=lengths, reduction="none")
    for b, n in enumerate(lengths.tolist()):
        alone = torchtopo.rtd_lite(x[b, :n], z[b, :n], quantile=quantile)
        torch.testing.assert_close(found[b], alone)
    if quantile in (0.9, 1.0):
        torch.testing.assert_close(found, ref.rtd_lite(x, z, quantile=quantile, lengths=lengths))


def test_coincident_points_are_finite():
    z = torch.zeros(2, 5, 3, requires_grad=True)
    loss = torchtopo.rtd_lite(torch.zeros(2, 5, 4), z)
    loss.backward()
    assert loss == 0
    assert bool((z.grad == 0).all())


def test_components_that_never_merge_are_left_out():
    apart = torch.full((4, 4), torch.inf).fill_diagonal_(0)
    apart[0, 1] = apart[1, 0] = 1.0
    options = {"metric_x": "precomputed", "metric_z": "precomputed", "quantile": None}
    near = torch.full((4, 4), 2.0).fill_diagonal_(0)
    assert torchtopo.rtd_lite(apart, near, **options) == (1 + 6) / 2 - (1 + 4)
