"""A step of the signature loss by one operator is the tensor code's: losses and every gradient."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch

import torchtopo
from tests.contract import CONVENTIONS, METRICS
from torchtopo._losses import signature
from torchtopo._operators import cpu, generic

step = torch.ops.torchtopo.signature_step.default
edges = torch.ops.torchtopo.signature_edges.default
LENGTHS = torch.tensor([9, 1, 4])


@contextmanager
def in_tensor_code():
    """The loss as a graph of small operators, as transforms and second derivatives have it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signature, "in_one_call", lambda *_: False)
        yield


def drawn(*shape, metric="euclidean", dtype=torch.float64):
    """Points with duplicates and near-duplicates, or distances with zeros and ties."""
    *batch, n, _d = shape
    if metric == "precomputed":
        half = torch.randint(0, 5, (*batch, n, n)).to(dtype).triu(1)
        return half + half.mT
    points = torch.randn(shape, dtype=dtype)
    if n > 5:
        points[..., 3, :] = points[..., 2, :]
        points[..., 5, :] = points[..., 4, :] * (1 + 1e-12)
    return points


# The scales that a convention has: none, a number, one tensor for all, one for each bag.
KINDS = [
    (convention, kind)
    for convention in CONVENTIONS
    for kind in ("none", "number", "one", "each")
    if kind == "none" or convention in ("mil", "topoae", "torch_topological")
]


def scales_of(convention, kind, bags, dtype):
    """Scales of a kind, by the names that the convention has for them."""
    made = {
        "none": lambda: {},
        "number": lambda: 1.7,
        "one": lambda: torch.tensor(1.7, dtype=dtype),
        "each": lambda: torch.rand(bags, dtype=dtype) + 0.5,
    }[kind]
    form = signature.FORMS[convention]
    names = ["z_scale"] * (form.z_by == "learned scale") + ["x_scale"] * (form.x_by == "maximum")
    return {name: made() for name in names} if kind != "none" else {}


def found(x, z, moved=(True, True), **settings):
    """The losses of the bags and the gradient of everything that moves, weighted by bag."""
    x, z = x.clone().requires_grad_(moved[0]), z.clone().requires_grad_(moved[1])
    inputs = [of for of in (x, z) if of.requires_grad]
    for name in ("x_scale", "z_scale"):
        if isinstance(settings.get(name), torch.Tensor):
            settings[name] = settings[name].clone().requires_grad_()
            inputs.append(settings[name])
    losses = torchtopo.signature_loss(x, z, reduction="none", **settings)
    if not inputs:
        return [losses]
    weights = torch.linspace(0.5, 2.0, losses.numel(), dtype=losses.dtype).view_as(losses)
    return [losses.detach(), *torch.autograd.grad(losses, inputs, weights)]


def assert_as_in_tensor_code(x, z, **settings):
    here = found(x, z, **settings)
    with in_tensor_code():
        there = found(x, z, **settings)
    for h, t in zip(here, there, strict=True):
        size = t[t.isfinite()].abs().max().item() if t.isfinite().any() else 0.0
        torch.testing.assert_close(h, t, rtol=1e-7, atol=1e-12 * size, equal_nan=True)


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("metric_z", METRICS)
@pytest.mark.parametrize("metric_x", METRICS)
@pytest.mark.parametrize(("convention", "kind"), KINDS)
def test_losses_and_gradients(convention, kind, metric_x, metric_z, lengths):
    x, z = drawn(3, 9, 5, metric=metric_x), drawn(3, 9, 2, metric=metric_z)
    scales = scales_of(convention, kind, 3, torch.float64)
    metrics = {"metric_x": metric_x, "metric_z": metric_z, "lengths": lengths}
    pairs = torchtopo.vietoris_rips_pairs(x, metric=metric_x, lengths=lengths)
    for known in (None, pairs):
        for moved in ((False, False), (False, True), (True, False), (True, True)):
            assert_as_in_tensor_code(
                *(x, z), moved=moved, convention=convention, pairs_x=known, **metrics, **scales
            )


@pytest.mark.parametrize("of_x", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("of_z", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_types(convention, of_x, of_z):
    x, z = drawn(2, 3, 20, 7).to(of_x), drawn(2, 3, 20, 3).to(of_z)
    scales = scales_of(convention, "each", (2, 3), of_z)
    here = found(x, z, convention=convention, **scales)
    with in_tensor_code():
        there = found(x, z, convention=convention, **scales)
        wide = {name: of.double() for name, of in scales.items()}
        exact = found(x.double(), z.double(), convention=convention, **wide)
    for h, t, e in zip(here, there, exact, strict=True):
        assert (h.dtype, h.shape) == (t.dtype, t.shape)
        coarse = max((of_x, of_z, h.dtype), key=lambda dtype: torch.finfo(dtype).eps)
        tolerance = 100 * torch.finfo(coarse).eps
        torch.testing.assert_close(h.double(), e, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("metric", METRICS[:-1])
def test_values_that_are_no_lengths(metric, convention):
    clouds = torch.randint(-9, 9, (6, 20, 3)).double()
    clouds[0, 3, 1] = torch.nan
    clouds[1, 4] = torch.inf
    clouds[1, 5] = -torch.inf
    clouds[2] = 0  # all are one point
    clouds[3] *= 1e-200  # squares that leave the range of double
    clouds[4] *= 1e100
    settings = {"metric_x": metric, "metric_z": metric, "convention": convention}
    assert_as_in_tensor_code(clouds, clouds.flip(0), **settings)
    assert_as_in_tensor_code(clouds, torch.rand(6, 20, 2, dtype=torch.float64), **settings)
    assert_as_in_tensor_code(torch.rand(6, 20, 2, dtype=torch.float64), clouds, **settings)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("shape", [(9,), (1, 9), (2, 3, 9), (0, 9), (2, 1), (1,)])
def test_shapes(shape, convention):
    x, z = torch.rand(*shape, 4, dtype=torch.float64), torch.rand(*shape, 2, dtype=torch.float64)
    for kind in ("none", "one", "each"):
        scales = scales_of(convention, kind, shape[:-1], torch.float64)
        assert_as_in_tensor_code(x, z, convention=convention, **scales)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("shape", [(1, 700, 30), (2, 400, 9), (40, 30, 5)])
def test_the_same_bits_at_any_number_of_threads(shape, convention):
    x, z = torch.randn(shape), torch.randn(*shape[:2], 3)
    lengths = torch.randint(2, shape[1] + 1, shape[:1])
    scales = scales_of(convention, "each", shape[:1], torch.float32)
    seen = []
    for threads in (1, 2, 3, 7):
        torch.set_num_threads(threads)
        seen.append(found(x, z, convention=convention, lengths=lengths, **scales))
    for other in seen[1:]:
        assert all(torch.equal(a, b) for a, b in zip(seen[0], other, strict=True))


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("metric", METRICS[:-1])
def test_the_operator_finds_what_its_parts_find(metric, known):
    x, z = torch.randn(3, 40, 20), drawn(3, 40, 3, dtype=torch.float32)
    lengths = torch.tensor([40, 2, 17])
    pairs = torchtopo.vietoris_rips_pairs(x, metric=metric, lengths=lengths) if known else None
    spaces = (x, z, pairs, metric, metric, lengths)
    share, scale = torch.rand(3) + 1, torch.rand(3) + 1
    for flags in ((True,) * 4, (False, True, True, False), (True, False, False, True)):
        for largest in ((False, False), (True, False), (False, True), (True, True)):
            by = [None if of else scale for of in largest]
            args = (*spaces, *by, share, 1.0, 1.0, 2.0, *flags, *largest)
            losses, *of_edges, farthest, gradients = step(*args)
            expected = edges(*spaces, None, *largest)
            for f, e in zip((*of_edges, *farthest), expected, strict=False):
                assert f.dtype == e.dtype
                assert torch.equal(f, e)
            other, *_edges, _farthest, of_parts = generic.signature_step(*args)
            torch.testing.assert_close(losses, other)
            for f, e in zip(gradients, of_parts, strict=True):
                torch.testing.assert_close(f, e, rtol=1e-4, atol=1e-5)


def test_every_loss_has_one_value():
    """With a gradient and without, in inference mode, of known pairs: bit for bit."""
    x, z = torch.rand(4, 30, 9), torch.rand(4, 30, 2, requires_grad=True)
    for convention in CONVENTIONS:
        loss = torchtopo.signature_loss(x, z, convention=convention)
        with torch.no_grad():
            assert torch.equal(torchtopo.signature_loss(x, z, convention=convention), loss)
        with torch.inference_mode():
            pairs, still = torchtopo.vietoris_rips_pairs(x), x.clone()
            assert torch.equal(torchtopo.signature_loss(x, z, convention=convention), loss)
        # What was made in inference mode may be part of a graph, and of one of second derivatives.
        again = torchtopo.signature_loss(still, z, pairs_x=pairs, convention=convention)
        assert torch.equal(again, loss)
        (gradient,) = torch.autograd.grad(again, z, create_graph=True)
        assert torch.autograd.grad(gradient.sum(), z)[0].isfinite().all()


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_derivatives(convention):
    """Against differences, and the second ones, whose graph is the tensor code's."""
    x, z = torch.randn(2, 5, 3, dtype=torch.float64), torch.randn(2, 5, 2, dtype=torch.float64)
    scales = scales_of(convention, "each", 2, torch.float64)
    names = list(scales)

    def losses(x, z, *given):
        scaled = dict(zip(names, given, strict=True))
        return torchtopo.signature_loss(x, z, convention=convention, reduction="none", **scaled)

    inputs = [of.requires_grad_() for of in (x, z, *scales.values())]
    assert torch.autograd.gradcheck(losses, inputs)
    assert torch.autograd.gradgradcheck(losses, inputs)


def test_hooks_run_once_and_a_graph_is_kept_if_asked():
    x, z = torch.rand(2, 20, 4), torch.rand(2, 20, 3, requires_grad=True)
    runs = []
    z.register_hook(lambda gradient: runs.append(gradient) or 2 * gradient)
    loss = torchtopo.signature_loss(x, z)
    (first,) = torch.autograd.grad(loss, z, retain_graph=True)
    assert len(runs) == 1
    assert torch.equal(first, 2 * runs[0])
    (again,) = torch.autograd.grad(loss, z, create_graph=True)
    torch.testing.assert_close(first, again)
    assert len(runs) == 2
    torch.autograd.grad(loss, z)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, z)


def test_points_that_were_written_into_are_seen():
    x, z = torch.rand(2, 20, 4), torch.rand(2, 20, 3, requires_grad=True)
    loss = torchtopo.signature_loss(x, z)
    with torch.no_grad():
        z.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_vmap_of_the_operator():
    x, z = torch.rand(5, 2, 12, 3), torch.rand(5, 2, 12, 2)

    def mapped(x, z):
        asked = (False, True, False, False, True, True)
        given = (None, "euclidean", "manhattan", None, None, None, None, 1.0, 1.0, 0.0)
        losses, *of_edges, farthest, gradients = step(x, z, *given, *asked)
        return losses, *of_edges, *farthest, *gradients

    together = torch.func.vmap(mapped)(x, z)
    apart = [mapped(a, b) for a, b in zip(x, z, strict=True)]
    for f, e in zip(together, zip(*apart, strict=True), strict=True):
        assert torch.equal(f, torch.stack(e))


def test_the_kernel_serves_the_cpu(monkeypatch):
    """Every convention, in one call; what it does not serve goes through the tensor code."""
    calls = []

    def counted(*args):
        calls.append(args)
        return cpu.signature_step(*args)

    monkeypatch.setattr(signature.registry, "signature_step", counted)
    x, z = torch.rand(2, 9, 4), torch.rand(2, 9, 3, requires_grad=True)
    for convention in CONVENTIONS:
        torchtopo.signature_loss(x, z, convention=convention).backward()
    assert len(calls) == len(CONVENTIONS)
    matrix = torch.cdist(z, z)
    torchtopo.signature_loss(x, matrix, metric_z="precomputed").backward()
    points, ends = torchtopo.pack([z[0], z[1]])
    torchtopo.signature_loss(points, points, cu_seqlens=ends).backward()
    assert len(calls) == len(CONVENTIONS)
