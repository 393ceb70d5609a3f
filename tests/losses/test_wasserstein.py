"""The Wasserstein distance against GUDHI's optimal transport and against all matchings."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import torchtopo
from torchtopo import _reference as ref
from torchtopo._operators import measures, registry

from ..strategies import generators

POWERS = (1.0, 1.5, 2.0, 4.0, math.inf)


def draw(data, most: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Deaths of two clouds: generic, tied, of different scales, with zeros."""
    generator = data.draw(generators())
    sides = []
    for _ in range(2):
        n = data.draw(st.integers(0, most))
        side = torch.rand(n, generator=generator, dtype=torch.float64)
        if data.draw(st.booleans()):
            side = (side * 5).round()
        sides.append(side * data.draw(st.sampled_from((0.2, 1.0, 3.0))))
    return sides[0], sides[1]


@pytest.mark.parametrize("p", POWERS)
@given(data=st.data())
def test_gudhi_agrees(p, data):
    gudhi = pytest.importorskip("gudhi")
    transport = pytest.importorskip("gudhi.wasserstein")
    pytest.importorskip("ot")
    a, b = draw(data, 14)
    first, second = (np.stack((np.zeros(len(d)), d.numpy()), 1) for d in (a, b))
    if p == math.inf:
        expected = gudhi.bottleneck_distance(first, second)
    else:
        expected = transport.wasserstein_distance(first, second, order=p, internal_p=np.inf)
    assert torchtopo.wasserstein_distance(a, b, p).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("p", POWERS)
@given(data=st.data())
def test_no_matching_is_cheaper(p, data):
    a, b = draw(data, 5)
    expected = ref.wasserstein_distance(a, b, p)
    assert torchtopo.wasserstein_distance(a, b, p).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("p", POWERS)
@given(data=st.data())
def test_the_code_for_other_devices_finds_matchings_that_cost_the_same(p, data):
    a, b = (d.sort().values for d in draw(data, 9))
    costs = []
    for of_a, of_b in (registry.matching(a, b, p), measures.matching_generic(a, b, p)):
        for i, j in enumerate(of_a.tolist()):
            assert j < 0 or of_b[j] == i
        matched = of_a >= 0
        cost = torch.cat(((a[matched] - b[of_a[matched]]).abs(), a[~matched] / 2, b[of_b < 0] / 2))
        costs.append(cost.max().item() if p == math.inf and len(cost) else cost.pow(p).sum().item())
        assert (of_a[matched].diff() > 0).all()  # the order is kept
    assert costs[0] == pytest.approx(costs[1], abs=1e-9) or math.isnan(costs[0])


def test_large_tables_are_split_and_stay_exact():
    # 1500 × 1300 cells are more than one table holds; transport on a line is exact for p = 1.
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(1500, generator=generator, dtype=torch.float64)
    b = torch.rand(1300, generator=generator, dtype=torch.float64)
    for p in (1.0, 2.0, math.inf):
        whole = torchtopo.wasserstein_distance(a, b, p)
        of_a, of_b = measures.matching_generic(a.sort().values, b.sort().values, p)
        sides = a.sort().values, b.sort().values
        kept = of_a >= 0
        costs = torch.cat(
            (
                (sides[0][kept] - sides[1][of_a[kept]]).abs(),
                sides[0][~kept] / 2,
                sides[1][of_b < 0] / 2,
            )
        )
        expected = costs.max() if p == math.inf else costs.pow(p).sum().pow(1 / p)
        torch.testing.assert_close(whole, expected)


@given(generator=generators())
def test_it_is_a_distance(generator):
    a, b, c = torch.rand(3, 7, generator=generator, dtype=torch.float64)
    for p in POWERS:
        ab, ba, bc, ac = (
            torchtopo.wasserstein_distance(*pair, p) for pair in ((a, b), (b, a), (b, c), (a, c))
        )
        torch.testing.assert_close(ab, ba)
        assert ac <= ab + bc + 1e-12
        assert torchtopo.wasserstein_distance(a, a[torch.randperm(7)], p) == 0


def test_zeros_pad():
    a, b = torch.rand(3, 6), torch.rand(3, 4)
    padded = torch.cat((torch.zeros(3, 2), a, torch.zeros(3, 5)), -1)
    torch.testing.assert_close(
        torchtopo.wasserstein_distance(padded, b, 2.0), torchtopo.wasserstein_distance(a, b, 2.0)
    )
    nothing = torch.zeros(3, 0)
    torch.testing.assert_close(torchtopo.wasserstein_distance(nothing, b), b.sum(-1) / 2)
    assert torchtopo.wasserstein_distance(nothing, nothing, 2.0).tolist() == [0, 0, 0]


def test_infinite_deaths_match_each_other():
    a, b = torch.tensor([1.0, torch.inf]), torch.tensor([2.0, torch.inf])
    assert torchtopo.wasserstein_distance(a, b) == 1
    assert torchtopo.wasserstein_distance(a, b[:1]) == torch.inf
    assert torchtopo.wasserstein_distance(a * torch.nan, b[:1]).isnan()


def test_gradients_point_at_the_partner():
    a = torch.tensor([1.0, 4.0, 9.0], requires_grad=True)
    torchtopo.wasserstein_distance(a, torch.tensor([5.0, 8.0])).backward()
    assert a.grad.tolist() == [0.5, -1.0, 1.0]
    same = torch.tensor([1.0, 2.0], requires_grad=True)
    for p in POWERS:
        (gradient,) = torch.autograd.grad(
            torchtopo.wasserstein_distance(same, same.detach(), p), same
        )
        assert gradient.tolist() == [0, 0]


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_do_not_matter(threads):
    a, b = torch.rand(8, 60), torch.rand(8, 50)
    expected = torchtopo.wasserstein_distance(a, b, 2.0)
    torch.set_num_threads(threads)
    assert torch.equal(torchtopo.wasserstein_distance(a, b, 2.0), expected)
