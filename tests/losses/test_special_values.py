"""Single points, coincident points, infinities, NaN and half types in every loss."""

from __future__ import annotations

import pytest
import torch

import torchtopo

from .samples import LOSSES


@pytest.mark.parametrize("name", LOSSES)
def test_one_point_has_a_live_graph(name):
    z = torch.randn(2, 1, 4, requires_grad=True)
    value = LOSSES[name].loss(z, reduction="sum")
    if name != "spread":
        assert value == 0
    value.backward()
    assert bool(z.grad.isfinite().all())


@pytest.mark.parametrize("name", LOSSES)
def test_coincident_points_have_finite_gradients(name):
    z = torch.zeros(2, 6, 4, requires_grad=True)
    LOSSES[name].loss(z, reduction="sum").backward()
    assert bool((z.grad == 0).all())


@pytest.mark.parametrize("name", LOSSES)
def test_nan_propagates(name):
    z = torch.randn(2, 8, 4)
    z[1, 2] = torch.nan  # of a class: the labels count from -1
    value = LOSSES[name].loss(z)
    assert value[0].isfinite()
    assert value[1].isnan()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", LOSSES)
def test_dtypes_come_back_and_half_types_are_summed_in_float32(name, dtype):
    z = torch.randn(2, 8, 4).to(dtype)
    value = LOSSES[name].loss(z)
    assert value.dtype == dtype
    if name != "RTD-Lite":  # its second space is made in the half type
        exact = LOSSES[name].loss(z.double())
        tolerance = {torch.float16: 2e-3, torch.bfloat16: 2e-2}.get(dtype, 1e-5)
        torch.testing.assert_close(value.double(), exact, rtol=tolerance, atol=tolerance)


def test_half_sums_do_not_overflow_on_the_way():
    deaths = torch.full((2, 40), 60_000.0, dtype=torch.float16)
    assert torchtopo.persistent_entropy(deaths).isfinite().all()
    loss = torchtopo.spread_loss(torch.eye(40).half() * 200, sphere=0.0)
    assert loss.isfinite()


def test_components_that_never_merge_are_left_out():
    distances = torch.full((4, 4), torch.inf).fill_diagonal_(0)
    distances[0, 1] = 3.0
    distances.requires_grad_()
    options = {"metric": "precomputed"}
    labels = torch.zeros(4, dtype=torch.int64)
    for value, expected in (
        (torchtopo.connectivity_loss(distances, eta=2.0, **options), 1.0),
        (torchtopo.densification_loss(distances, labels, beta=2.0, **options), 1.0),
        (torchtopo.spread_loss(distances, sphere=0.0, **options), -3.0),
    ):
        assert value == expected
        (gradient,) = torch.autograd.grad(value, distances)
        assert gradient[0, 1].abs() == 1
        assert gradient.abs().sum() == 1
    died = torchtopo.deaths(distances, **options)
    assert torchtopo.total_persistence(died) == 3
    assert torchtopo.persistent_entropy(died) == 0


def test_deaths_of_zero_have_no_gradient_for_any_power():
    for p in (0.5, 1.0, 2.0):
        deaths = torch.tensor([0.0, 4.0], requires_grad=True)
        torchtopo.total_persistence(deaths, p).backward()
        assert deaths.grad[0] == 0
        assert deaths.grad[1] == p * 4 ** (p - 1)


def test_no_loss_forms_a_matrix():
    # 30,000 points: a float32 distance matrix would be 3.6 GB.
    resource = pytest.importorskip("resource")
    z = torch.rand(30_000, 2, requires_grad=True)
    labels = torch.arange(30_000) % 7
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for loss in (
        torchtopo.connectivity_loss(z),
        torchtopo.densification_loss(z, labels, beta=0.1),
        torchtopo.spread_loss(z),
        torchtopo.single_linkage(z)[:, 2].sum(),
    ):
        loss.backward()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 500, f"{grown:.0f} MB"
