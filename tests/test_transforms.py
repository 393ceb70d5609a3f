"""torch.func transforms, nested, over every public function."""

from __future__ import annotations

import pytest
import torch
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

import torchtopo
from tests.contract import CONVENTIONS, POINT_METRICS


def energy(points: torch.Tensor) -> torch.Tensor:
    return torchtopo.deaths(points).square().sum()


@pytest.mark.parametrize("metric", POINT_METRICS)
def test_vmap_is_a_batch(metric):
    points = torch.randn(3, 4, 9, 2)
    for function in (
        torchtopo.vietoris_rips_pairs,
        torchtopo.vietoris_rips_generators,
        torchtopo.deaths,
        torchtopo.persistence_diagram,
    ):
        expected = function(points, metric=metric)
        assert torch.equal(vmap(lambda p, f=function: f(p, metric=metric))(points), expected)
        nested = vmap(vmap(lambda p, f=function: f(p, metric=metric)))(points)
        assert torch.equal(nested, expected)
        last = vmap(lambda p, f=function: f(p, metric=metric), in_dims=3)(points.movedim(0, 3))
        assert torch.equal(last, expected)


def test_vmap_over_matrices_pairs_and_losses():
    distances = torch.rand(4, 7, 7)
    expected = torchtopo.minimum_spanning_tree(distances)
    edges, weights = vmap(torchtopo.minimum_spanning_tree)(distances)
    assert torch.equal(edges, expected.edges)
    assert torch.equal(weights, expected.weights)

    x, z = torch.randn(4, 8, 5), torch.randn(4, 8, 2)
    pairs = torchtopo.vietoris_rips_pairs(x)
    assert torch.equal(vmap(torchtopo.pair_distances)(z, pairs), torchtopo.pair_distances(z, pairs))
    assert torch.equal(
        vmap(torchtopo.pair_distances, in_dims=(None, 0))(z[0], pairs),
        torchtopo.pair_distances(z[:1].expand(4, 8, 2), pairs),
    )
    for convention in CONVENTIONS:
        torch.testing.assert_close(
            vmap(lambda a, b, c=convention: torchtopo.signature_loss(a, b, convention=c))(x, z),
            torchtopo.signature_loss(x, z, convention=convention, reduction="none"),
        )
    other = torchtopo.vietoris_rips_pairs(z)
    assert torch.equal(
        vmap(torchtopo.matched_pairs)(pairs, other), torchtopo.matched_pairs(pairs, other)
    )


def test_vmap_over_lengths_alone():
    points, lengths = torch.rand(9, 2), torch.tensor([9, 1, 4])
    found = vmap(lambda n: torchtopo.deaths(points, lengths=n))(lengths)
    assert torch.equal(found, torchtopo.deaths(points.expand(3, 9, 2), lengths=lengths))


def test_vmap_over_packed_batches():
    points = torch.rand(3, 10, 2)
    ends = torch.tensor([[0, 4, 10], [0, 1, 10], [0, 9, 10]])
    found = vmap(lambda p, c: torchtopo.vietoris_rips_pairs(p, cu_seqlens=c))(points, ends)
    died = vmap(lambda p: torchtopo.deaths(p, cu_seqlens=ends[0]))(points)
    losses = vmap(
        lambda p, c: torchtopo.signature_loss(
            p, p.square(), cu_seqlens=c, convention="topoae", reduction="none"
        )
    )(points, ends)
    for k in range(3):
        assert torch.equal(found[k], torchtopo.vietoris_rips_pairs(points[k], cu_seqlens=ends[k]))
        assert torch.equal(died[k], torchtopo.deaths(points[k], cu_seqlens=ends[0]))
        torch.testing.assert_close(
            losses[k],
            torchtopo.signature_loss(
                points[k],
                points[k].square(),
                cu_seqlens=ends[k],
                convention="topoae",
                reduction="none",
            ),
        )


def test_vmap_nests_over_packed_batches():
    points = torch.rand(2, 3, 10, 2)
    ends = torch.tensor([[0, 4, 10], [0, 1, 10], [0, 9, 10]])

    def everything(p, c):
        return (
            torchtopo.vietoris_rips_generators(p, cu_seqlens=c),
            torchtopo.deaths(p, cu_seqlens=c),
            torchtopo.signature_loss(
                p, p.cos(), cu_seqlens=c, convention="torch_topological", reduction="none"
            ),
        )

    found = vmap(vmap(everything), in_dims=(0, None))(points, ends)
    for i in range(2):
        for j in range(3):
            alone = everything(points[i, j], ends[j])
            for f, e in zip(found, alone, strict=True):
                torch.testing.assert_close(f[i, j], e)


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ([[0, 3, 5], [0, 2, 6]], "begins with 0 and ends with 5"),
        ([[0, 3, 6], [2, 4, 6]], "begins with 2 and ends with 6"),
        ([[0, 3, 6], [0, 6, 6]], "bag 1 goes from 6 to 6"),
    ],
)
def test_vmap_checks_the_cu_seqlens_of_every_copy(ends, message):
    points = torch.rand(2, 6, 2)
    for function in (
        torchtopo.vietoris_rips_pairs,
        lambda p, cu_seqlens: torchtopo.signature_loss(p, p, cu_seqlens=cu_seqlens),
    ):
        with pytest.raises(ValueError, match=message):
            vmap(lambda p, c, f=function: f(p, cu_seqlens=c))(points, torch.tensor(ends))


def test_pairs_outside_their_bag_are_refused_in_every_transform():
    x, z, lengths = torch.rand(2, 6, 3), torch.rand(2, 6, 2), torch.tensor([4, 6])
    pairs = torchtopo.vietoris_rips_pairs(x, lengths=lengths)
    pairs[0, 0] = torch.tensor([0, 5])
    packed, ends = torch.rand(10, 3), torch.tensor([0, 4, 10])
    packed_pairs = torchtopo.vietoris_rips_pairs(packed, cu_seqlens=ends)
    packed_pairs[0] = torch.tensor([0, 7])

    def padded_loss(z):
        return torchtopo.signature_loss(x, z, pairs_x=pairs, lengths=lengths)

    def packed_loss(z):
        return torchtopo.signature_loss(packed, z, pairs_x=packed_pairs, cu_seqlens=ends)

    def of_one(x, z, pairs, lengths):
        return torchtopo.signature_loss(x, z, pairs_x=pairs, lengths=lengths)

    for loss, latent in ((padded_loss, z), (packed_loss, torch.rand(10, 2))):
        for call in (
            lambda f=loss, v=latent: grad(f)(v),
            lambda f=loss, v=latent: jvp(f, (v,), (v,)),
            lambda f=loss, v=latent: vmap(f)(v.expand(3, *v.shape)),
        ):
            with pytest.raises(ValueError, match="must name points of their own bag"):
                call()
    with pytest.raises(ValueError, match=r"own bag \(bag 0 has 0\.\.3\)"):
        vmap(of_one)(x, z, pairs, lengths)


def test_grad_agrees_with_autograd():
    points = torch.randn(8, 3)
    leaf = points.clone().requires_grad_()
    energy(leaf).backward()
    torch.testing.assert_close(grad(energy)(points), leaf.grad)
    torch.testing.assert_close(jacrev(energy)(points), leaf.grad)
    torch.testing.assert_close(jacfwd(energy)(points), leaf.grad)
    value, pullback = vjp(torchtopo.deaths, points)
    assert torch.equal(value, torchtopo.deaths(points))
    (pulled,) = pullback(2 * value)
    torch.testing.assert_close(pulled, leaf.grad)
    _, tangent = jvp(energy, (points,), (points,))
    torch.testing.assert_close(tangent, (leaf.grad * points).sum())


def test_grad_and_vmap_nest_in_either_order():
    points = torch.randn(4, 8, 3)
    leaf = points.clone().requires_grad_()
    energy(leaf).backward()
    torch.testing.assert_close(vmap(grad(energy))(points), leaf.grad)
    torch.testing.assert_close(grad(lambda p: vmap(energy)(p).sum())(points), leaf.grad)


def test_the_hessian_is_that_of_the_plain_formula():
    points = torch.randn(6, 2, dtype=torch.float64)
    i, j = torchtopo.vietoris_rips_pairs(points).unbind(-1)

    def plain(p):
        return (p[i] - p[j]).norm(dim=-1).pow(3).sum()

    torch.testing.assert_close(
        hessian(lambda p: torchtopo.deaths(p).pow(3).sum())(points), hessian(plain)(points)
    )


def test_per_sample_gradients_of_the_loss():
    x, z = torch.randn(3, 7, 5), torch.randn(3, 7, 2)
    leaf = z.clone().requires_grad_()
    torchtopo.signature_loss(x, leaf, reduction="sum").backward()
    found = vmap(grad(lambda b, a: torchtopo.signature_loss(a, b)), in_dims=(0, 0))(z, x)
    torch.testing.assert_close(found, leaf.grad)
