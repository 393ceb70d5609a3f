"""torch.compile: whole graphs, dynamic shapes, the same values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

import torchtopo


@pytest.fixture(autouse=True)
def _fresh_dynamo():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compiled(function, dynamic: bool | None = True):
    return torch.compile(function, backend="aot_eager", fullgraph=True, dynamic=dynamic)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "precomputed"])
def test_every_function_is_one_graph(metric):
    def everything(points):
        pairs = torchtopo.vietoris_rips_pairs(points, metric=metric)
        return (
            pairs,
            torchtopo.vietoris_rips_generators(points, metric=metric),
            torchtopo.pair_distances(points, pairs, metric=metric),
            torchtopo.persistence_diagram(points, metric=metric),
            torchtopo.matched_pairs(pairs, pairs),
        )

    points = torch.rand(2, 9, 9)
    for found, expected in zip(compiled(everything)(points), everything(points), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("convention", ["paper", "torch_topological"])
def test_the_loss_is_one_graph_forwards_and_backwards(convention):
    def loss(x, z, lengths):
        return torchtopo.signature_loss(x, z, lengths=lengths, convention=convention)

    x, lengths = torch.rand(3, 8, 5), torch.tensor([8, 1, 5])
    z = torch.rand(3, 8, 2)
    gradients = []
    for function in (loss, compiled(loss)):
        leaf = z.clone().requires_grad_()
        value = function(x, leaf, lengths)
        value.backward()
        gradients.append((value.detach(), leaf.grad))
    torch.testing.assert_close(gradients[1], gradients[0])


def test_the_packed_loss_is_one_graph():
    def loss(x, z, cu_seqlens):
        return torchtopo.signature_loss(x, z, cu_seqlens=cu_seqlens, convention="topoae")

    x, z, cu_seqlens = torch.rand(9, 5), torch.rand(9, 2), torch.tensor([0, 3, 9])
    torch.testing.assert_close(compiled(loss)(x, z, cu_seqlens), loss(x, z, cu_seqlens))


def lengths_and_gradient(points):
    pairs = torchtopo.vietoris_rips_pairs(points)
    gradient = torch.func.grad(lambda p: torchtopo.deaths(p).sum())(points)
    return torchtopo.pair_distances(points, pairs), gradient


@pytest.mark.parametrize(
    "function", [torchtopo.deaths, torchtopo.vietoris_rips_generators, lengths_and_gradient]
)
def test_a_dynamic_graph_serves_every_size(function):
    counter = CompileCounterWithBackend("aot_eager")
    served = torch.compile(function, backend=counter, fullgraph=True, dynamic=True)
    for bags, n in ((2, 5), (3, 8), (4, 17)):
        points = torch.rand(bags, n, 3)
        torch.testing.assert_close(served(points), function(points))
    assert counter.frame_count == 1


def test_the_module_trains_under_compile():
    torch.manual_seed(1)
    loss = torchtopo.nn.SignatureLoss("topoae")
    encoder = torch.nn.Linear(6, 2)
    x = torch.rand(4, 12, 6)
    step = compiled(lambda x: loss(x, encoder(x)), dynamic=None)
    optimizer = torch.optim.Adam([*encoder.parameters(), *loss.parameters()], lr=0.02)
    values = []
    for _ in range(15):
        optimizer.zero_grad()
        value = step(x)
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.7 * values[0]


@pytest.mark.parametrize("transform", ["vmap", "grad"])
def test_transforms_inside_a_compiled_function(transform):
    def energy(points):
        return torchtopo.deaths(points).square().sum()

    points = torch.rand(3, 7, 2)
    if transform == "vmap":
        function = torch.func.vmap(energy)
    else:
        function = torch.func.grad(energy)
    torch.testing.assert_close(compiled(lambda p: function(p))(points), function(points))


@pytest.mark.slow
def test_inductor():
    def loss(x, z):
        return torchtopo.signature_loss(x, z, convention="topoae")

    x, z = torch.rand(2, 8, 5), torch.rand(2, 8, 2)
    gradients = []
    for function in (loss, torch.compile(loss, fullgraph=True, dynamic=True)):
        leaf = z.clone().requires_grad_()
        function(x, leaf).backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(gradients[1], gradients[0])


def test_shape_faults_are_reported_under_compile():
    with pytest.raises(Exception, match="no points"):
        compiled(torchtopo.deaths)(torch.rand(2, 0, 3))
    with pytest.raises(Exception, match="x and z must be the same bags"):
        compiled(torchtopo.signature_loss)(torch.rand(2, 5, 3), torch.rand(3, 5, 2))


def test_lengths_are_checked_when_a_compiled_graph_runs():
    function = compiled(lambda p, n: torchtopo.deaths(p, lengths=n))
    with pytest.raises(ValueError, match=r"bag 1 has 9"):
        function(torch.rand(2, 5, 3), torch.tensor([5, 9]))


def test_export():
    class Deaths(torch.nn.Module):
        def forward(self, points):
            return torchtopo.deaths(points)

    points = torch.rand(2, 6, 3)
    batch = torch.export.Dim("batch")
    program = torch.export.export(Deaths(), (points,), dynamic_shapes=({0: batch},))
    other = torch.rand(5, 6, 3)
    assert torch.equal(program.module()(other), torchtopo.deaths(other))


@pytest.mark.parametrize("convention", ["paper", "torch_topological"])
def test_export_with_any_number_of_points(convention):
    class Both(torch.nn.Module):
        def forward(self, x, z):
            loss = torchtopo.signature_loss(x, z, convention=convention)
            return torchtopo.vietoris_rips_generators(x), loss

    def spaces(bags, n):
        return torch.rand(bags, n, 4), torch.rand(bags, n, 2, requires_grad=True)

    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("n", min=3)}
    program = torch.export.export(Both(), spaces(2, 9), dynamic_shapes=(sizes, sizes)).module()
    for bags, n in ((3, 5), (1, 40)):
        x, z = spaces(bags, n)
        gradients = []
        for function in (program, Both()):
            generators, loss = function(x, z)
            gradients += torch.autograd.grad(loss, z)
            assert torch.equal(generators, torchtopo.vietoris_rips_generators(x))
        torch.testing.assert_close(*gradients)
