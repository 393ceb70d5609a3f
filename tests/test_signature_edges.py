"""The CPU's operator that measures both trees in both spaces does what its parts do."""

from __future__ import annotations

import pytest
import torch

import torchtopo
from tests.contract import CONVENTIONS, METRICS
from torchtopo._operators import generic

op = torch.ops.torchtopo.signature_edges.default


def same(found, expected):
    for f, e in zip(found, expected, strict=True):
        assert f.dtype == e.dtype
        assert torch.equal(f.nan_to_num(-1.0), e.nan_to_num(-1.0))


def clouds(d, dtype):
    """Bags of ties, NaN, infinity, one place, and of values whose squares are 0 in float32."""
    points = torch.randint(-9, 9, (5, 67, d)).to(dtype)
    points[1, 3, 0] = torch.nan
    points[2, 8, 1] = torch.inf
    points[3] = 1.0
    points[4] *= 1e-30 if dtype == torch.float32 else 1.0
    return points


def space(d, dtype, metric):
    return torch.rand(5, 67, 67, dtype=dtype) if metric == "precomputed" else clouds(d, dtype)


LENGTHS = torch.tensor([67, 40, 50, 2, 33])


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("metric_z", METRICS)
@pytest.mark.parametrize("metric_x", METRICS)
def test_padded(metric_x, metric_z, dtype, known):
    x, z = space(9, torch.float32, metric_x), space(2, dtype, metric_z)
    for lengths in (None, LENGTHS, torch.ones_like(LENGTHS)):
        pairs = torchtopo.vietoris_rips_pairs(x, metric=metric_x, lengths=lengths)
        for far in (False, True):
            args = (x, z, pairs if known else None, metric_x, metric_z, lengths, None, far, not far)
            same(op(*args), generic.signature_edges(*args))


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("metric", METRICS[:-1])
def test_packed(metric, known):
    kept = [slice(int(n)) for n in LENGTHS]
    x, ends = torchtopo.pack([p[n] for p, n in zip(clouds(70, torch.float32), kept, strict=True)])
    z, _ = torchtopo.pack([p[n] for p, n in zip(clouds(3, torch.float64), kept, strict=True)])
    pairs = torchtopo.vietoris_rips_pairs(x, metric=metric, cu_seqlens=ends) if known else None
    for far in (False, True):
        args = (x, z, pairs, metric, "euclidean", None, ends, far, far)
        same(op(*args), generic.signature_edges(*args))


def test_one_bag_and_none():
    x, z = torch.rand(12, 3), torch.rand(12, 2)
    for a, b in ((x, z), (x[:1], z[:1]), (x.expand(0, 12, 3), z.expand(0, 12, 2))):
        args = (a, b, None, "euclidean", "euclidean", None, None, True, True)
        same(op(*args), generic.signature_edges(*args))


def test_a_pair_that_names_no_point_is_refused():
    x, z = torch.rand(3, 4, 2), torch.rand(3, 4, 2)
    pairs = torchtopo.vietoris_rips_pairs(x)
    pairs[1, 2] = torch.tensor([0, 4])
    with pytest.raises(ValueError, match=r"own bag \(bag 1 has 0\.\.3\) .* one is \(0, 4\)"):
        torchtopo.signature_loss(x, z, pairs_x=pairs)


@pytest.mark.parametrize("validate", [False, True])
def test_pairs_of_padding_are_refused(validate):
    x, z = torch.rand(2, 6, 3), torch.rand(2, 6, 2)
    pairs = torchtopo.vietoris_rips_pairs(x)  # as if both bags were full
    with pytest.raises(ValueError, match=r"own bag.*0\.\.2"):
        torchtopo.signature_loss(
            x, z, pairs_x=pairs, lengths=torch.tensor([6, 3]), validate=validate
        )


@pytest.mark.parametrize("validate", [False, True])
def test_packed_pairs_in_numbers_of_their_bag_are_refused(validate):
    bags = [torch.rand(6, 3), torch.rand(3, 3)]
    x, ends = torchtopo.pack(bags)
    pairs = torch.cat([torchtopo.vietoris_rips_pairs(bag) for bag in bags])
    with pytest.raises(ValueError, match=r"own bag.*6\.\.8"):
        torchtopo.signature_loss(x, x, pairs_x=pairs, cu_seqlens=ends, validate=validate)
    good = torchtopo.vietoris_rips_pairs(x, cu_seqlens=ends)
    loss = torchtopo.signature_loss(x, x, pairs_x=good, cu_seqlens=ends, validate=validate)
    assert loss == 0


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("metric", METRICS[:-1])
@pytest.mark.parametrize("lengths", [None, torch.tensor([9, 4])])
def test_the_gradient_in_one_step_is_that_of_the_tensor_code(lengths, metric, convention):
    x = torch.randn(2, 9, 5, dtype=torch.float64, requires_grad=True)
    z = torch.randn(2, 9, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(2, dtype=torch.float64)

    def losses(x, z, **scale):
        return torchtopo.signature_loss(
            x,
            z,
            metric_x=metric,
            metric_z=metric,
            lengths=lengths,
            convention=convention,
            reduction="none",
            **scale,
        )

    loss = losses(x, z)
    if convention in ("paper", "mil"):
        assert "Step" in loss.grad_fn.name()  # `.to` of its own dtype adds no step
    found = torch.autograd.grad(loss, (x, z), weights, create_graph=True)
    plain = torch.autograd.grad(losses(x, z), (x, z), weights)
    expected = torch.func.grad(lambda x, z: losses(x, z) @ weights, argnums=(0, 1))(x, z)
    for f, p, e in zip(found, plain, expected, strict=True):
        torch.testing.assert_close(p, e)
        torch.testing.assert_close(f, e)
    torch.autograd.gradgradcheck(losses, (x, z), atol=1e-4)


def test_only_what_asks_for_a_gradient_gets_one():
    x = torch.randn(2, 9, 5)
    z = torch.randn(2, 9, 3, requires_grad=True)
    torchtopo.signature_loss(x, z).backward()
    assert x.grad is None
    assert z.grad.abs().sum() > 0
    before = z.grad.clone()
    torchtopo.signature_loss(z, x).backward()  # and the other way round
    torch.testing.assert_close(z.grad, 2 * before)
    with torch.no_grad():
        assert not torchtopo.signature_loss(x, z).requires_grad
