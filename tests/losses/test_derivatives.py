"""Derivatives and transforms of every loss and measure."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, jacfwd, jacrev, vmap

import torchtopo

from .samples import LOSSES

PACKED = torch.tensor([0, 4, 5, 11])


@pytest.fixture(autouse=True)
def _fresh_dynamo():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("name", LOSSES)
def test_first_second_and_forward_derivatives(name):
    z = torch.randn(2, 7, 4, dtype=torch.float64, requires_grad=True)
    loss = LOSSES[name].loss
    assert gradcheck(loss, (z,), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(loss, (z,), atol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_derivatives_of_packed_bags(name):
    z = torch.randn(11, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda p: LOSSES[name].loss(p, cu_seqlens=PACKED), (z,))


@pytest.mark.parametrize("name", LOSSES)
def test_func_transforms(name):
    z, loss = torch.randn(3, 8, 4, dtype=torch.float64), LOSSES[name].loss
    each = loss(z)
    torch.testing.assert_close(vmap(loss)(z), each)
    torch.testing.assert_close(vmap(loss, in_dims=2)(z.movedim(0, 2)), each)
    leaf = z.clone().requires_grad_()
    loss(leaf).sum().backward()
    torch.testing.assert_close(grad(lambda p: loss(p).sum())(z), leaf.grad)
    torch.testing.assert_close(vmap(grad(loss))(z), leaf.grad)
    torch.testing.assert_close(jacrev(loss)(z[0]), leaf.grad[0])
    torch.testing.assert_close(jacfwd(loss)(z[0]), leaf.grad[0])


@pytest.mark.slow
@pytest.mark.parametrize("ragged", ["no", "padded", "packed"])
@pytest.mark.parametrize("name", LOSSES)
def test_one_graph_forwards_and_backwards(name, ragged):
    if ragged == "packed" and name in ("RTD-Lite", "densification"):
        # RTD-Lite pads what is packed, which reads sizes; the labels of this sample are made so.
        pytest.skip("reads cu_seqlens, as its docstring says")
    z = torch.randn(11, 4) if ragged == "packed" else torch.randn(3, 8, 4)
    options = {
        "no": {},
        "padded": {"lengths": torch.tensor([8, 1, 5])},
        "packed": {"cu_seqlens": PACKED},
    }[ragged]
    loss = LOSSES[name].loss
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True, dynamic=True)
    found = []
    for function in (loss, compiled):
        leaf = z.clone().requires_grad_()
        value = function(leaf, "mean", **options)
        value.backward()
        found.append((value.detach(), leaf.grad))
    torch.testing.assert_close(found[1], found[0])


def test_packed_densification_is_one_graph():
    z, labels = torch.randn(11, 4), torch.randint(0, 3, (11,))
    compiled = torch.compile(
        lambda z, c: torchtopo.densification_loss(z, labels, beta=0.5, cu_seqlens=c),
        backend="aot_eager",
        fullgraph=True,
        dynamic=True,
    )
    expected = torchtopo.densification_loss(z, labels, beta=0.5, cu_seqlens=PACKED)
    torch.testing.assert_close(compiled(z, PACKED), expected)


MEASURES = {
    "Wasserstein 1": lambda d: torchtopo.wasserstein_distance(d, d.flip(0) * 1.3),
    "Wasserstein 2": lambda d: torchtopo.wasserstein_distance(d[..., :4], d * 0.7, p=2.0),
    "bottleneck": lambda d: torchtopo.wasserstein_distance(d, d.flip(0) * 1.3, p=torch.inf),
    "silhouette": lambda d: torchtopo.silhouette(
        torch.stack((d / 3, d), -1), torch.linspace(0.05, 0.95, 7, dtype=d.dtype), p=2.0
    ),
    "persistence image": lambda d: torchtopo.persistence_image(
        torch.stack((d / 3, d), -1), resolution=(3, 4), sigma=0.2, power=1.5
    ),
    "Betti curve": lambda d: torchtopo.betti_curve(
        torch.stack((d / 3, d), -1), torch.linspace(0.05, 0.95, 7, dtype=d.dtype)
    ),
}


@pytest.mark.parametrize("name", [n for n in MEASURES if n != "Betti curve"])
def test_measures_have_first_second_and_forward_derivatives(name):
    deaths = torch.rand(2, 6, dtype=torch.float64) * 0.9 + 0.1
    deaths.requires_grad_()
    assert gradcheck(MEASURES[name], (deaths,), check_forward_ad=True)
    assert gradgradcheck(MEASURES[name], (deaths,), atol=1e-4)


@pytest.mark.parametrize("name", MEASURES)
def test_measures_under_transforms(name):
    deaths = torch.rand(3, 2, 6)
    measure = MEASURES[name]
    expected = torch.stack([measure(d) for d in deaths])
    torch.testing.assert_close(vmap(measure)(deaths), expected)
    compiled = torch.compile(measure, backend="aot_eager", fullgraph=True, dynamic=True)
    torch.testing.assert_close(compiled(deaths[0]), expected[0])


def test_linkage_and_cut_under_transforms():
    points = torch.randn(3, 9, 2)
    expected = torchtopo.single_linkage(points)
    assert torch.equal(vmap(torchtopo.single_linkage)(points), expected)

    def flat(p):
        return torchtopo.cut(torchtopo.single_linkage(p), n_clusters=3)

    assert torch.equal(vmap(flat)(points), flat(points))
    compiled = torch.compile(flat, backend="aot_eager", fullgraph=True, dynamic=True)
    assert torch.equal(compiled(points), flat(points))
    ends = torch.tensor([[0, 4, 9], [0, 1, 9], [0, 8, 9]])
    packed = vmap(lambda p, c: torchtopo.single_linkage(p, cu_seqlens=c))(points, ends)
    for k in range(3):
        assert torch.equal(packed[k], torchtopo.single_linkage(points[k], cu_seqlens=ends[k]))


def test_heights_are_differentiable():
    points = torch.randn(7, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda p: torchtopo.single_linkage(p)[:, 2], (points,))


def test_barcodes_are_differentiable_and_mapped():
    x, z = torch.randn(2, 6, 3).double(), torch.randn(2, 6, 2).double().requires_grad_()

    def bars(z):
        return torch.cat(torchtopo.rtd_lite_barcode(x, z), -1)

    assert gradcheck(bars, (z,))
    mapped = vmap(torchtopo.rtd_lite_barcode)(x, z.detach())
    for found, expected in zip(mapped, torchtopo.rtd_lite_barcode(x, z), strict=True):
        torch.testing.assert_close(found, expected)


def test_dimension_is_differentiable():
    points = torch.rand(120, 2, dtype=torch.float64, requires_grad=True)

    def dimension(p):
        generator = torch.Generator().manual_seed(3)
        return torchtopo.ph_dimension(p, sizes=[20, 40, 60], repeats=2, generator=generator)

    value, error = dimension(points)
    (gradient,) = torch.autograd.grad(value, points)
    direction = torch.randn_like(points)
    step = 1e-6 * direction
    slope = (dimension(points + step).dimension - dimension(points - step).dimension) / 2e-6
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-4, atol=1e-6)
    assert error > 0


ops = torch.ops.torchtopo
pairs = torchtopo.vietoris_rips_pairs(torch.rand(2, 7, 3), lengths=torch.tensor([7, 3]))
packed_pairs = torchtopo.vietoris_rips_pairs(torch.rand(11, 2), cu_seqlens=PACKED)
other = torchtopo.vietoris_rips_pairs(torch.rand(2, 7, 3))


@pytest.mark.parametrize(
    ("op", "args"),
    [
        (ops.single_linkage, (pairs, torch.rand(2, 6), None)),
        (ops.single_linkage, (packed_pairs, torch.rand(packed_pairs.shape[0]).double(), PACKED)),
        (ops.tree_exchange, (other, pairs)),
        (ops.matching, (torch.rand(2, 5).sort(-1).values, torch.rand(2, 3).sort(-1).values, 2.0)),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_opcheck(op, args):
    torch.library.opcheck(op.default, args)
