"""Every promise of the contract, of every function and loss in tests/contract.py."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import torchtopo
from tests.contract import FUNCTIONS, LOSSES, METRICS, POINT_METRICS

SIZES = (5, 1, 9, 2)
VALUES = [name for name, function in FUNCTIONS.items() if function.values]

of_functions = pytest.mark.parametrize("name", FUNCTIONS)
of_values = pytest.mark.parametrize("name", VALUES)
of_losses = pytest.mark.parametrize("name", LOSSES)
of_metrics = pytest.mark.parametrize("metric", POINT_METRICS)


@pytest.fixture
def _fresh_dynamo():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def ragged(d: int) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """Bags, the same padded with NaN, and their lengths."""
    bags = [torch.randn(n, d) for n in SIZES]
    padded = torch.full((len(SIZES), max(SIZES), d), torch.nan)
    for row, bag in zip(padded, bags, strict=True):
        row[: len(bag)] = bag
    return bags, padded, torch.tensor(SIZES)


def test_every_public_loss_is_among_the_samples():
    tests = Path(__file__).parent
    samples = [tests / "contract.py", tests / "losses" / "samples.py"]
    tried = "".join(path.read_text(encoding="utf-8") for path in samples)
    losses = [
        name
        for name, value in vars(torchtopo).items()
        if inspect.isfunction(value)
        and value.__module__.startswith("torchtopo._losses.")
        and "reduction" in inspect.signature(value).parameters
    ]
    assert len(losses) >= 5
    assert [name for name in losses if f"torchtopo.{name}" not in tried] == []


@of_metrics
@of_functions
def test_a_padded_and_a_packed_bag_are_the_bag_bit_for_bit(name, metric):
    call, values = FUNCTIONS[name]
    bags, padded, lengths = ragged(3)
    points, cu_seqlens = torchtopo.pack(bags)
    rows = call(padded, metric=metric, lengths=lengths)
    packed = call(points, metric=metric, cu_seqlens=cu_seqlens).split([n - 1 for n in SIZES])
    for bag, row, part, start in zip(bags, rows, packed, cu_seqlens.tolist(), strict=False):
        alone = call(bag, metric=metric)
        assert torch.equal(row[: len(alone)], alone)
        assert bool((row[len(alone) :] == (0 if values else -1)).all())
        assert torch.equal(part, alone if values else alone + start)


@pytest.mark.parametrize("metric", METRICS)
@of_functions
def test_vmap_is_a_batch_of_a_function(name, metric):
    points = torch.rand(3, 2, 6, 6)
    call = FUNCTIONS[name].call
    found = torch.func.vmap(lambda p: call(p, metric=metric))(points)
    assert torch.equal(found, call(points, metric=metric))


@of_losses
def test_vmap_is_a_batch_of_a_loss(name):
    points = torch.rand(3, 7, 4)
    found = torch.func.vmap(LOSSES[name])(points)
    torch.testing.assert_close(found, LOSSES[name](points))


@pytest.mark.parametrize("metric", METRICS)
@of_values
def test_lengths_have_derivatives(name, metric):
    points = torch.rand(2, 5, 5, dtype=torch.float64, requires_grad=True)

    def call(p):
        return FUNCTIONS[name].call(p, metric=metric).square()

    assert gradcheck(call, (points,), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(call, (points,))


@of_losses
def test_losses_have_derivatives(name):
    z = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(LOSSES[name], (z,), check_forward_ad=True, fast_mode=True)
    assert gradgradcheck(LOSSES[name], (z,), atol=1e-4, fast_mode=True)


@of_losses
def test_func_grad_is_the_gradient(name):
    z = torch.randn(2, 6, 4, dtype=torch.float64, requires_grad=True)
    (eager,) = torch.autograd.grad(LOSSES[name](z).sum(), z)
    torch.testing.assert_close(torch.func.grad(lambda z: LOSSES[name](z).sum())(z), eager)


@of_functions
@pytest.mark.usefixtures("_fresh_dynamo")
def test_a_function_compiles_to_one_graph_for_every_size(name):
    call = FUNCTIONS[name].call
    compiled = torch.compile(call, backend="eager", fullgraph=True, dynamic=True)
    for n in (5, 8, 13):
        points = torch.rand(2, n, 3)
        assert torch.equal(compiled(points), call(points))


@of_losses
@pytest.mark.usefixtures("_fresh_dynamo")
def test_a_loss_compiles_to_one_graph(name):
    compiled = torch.compile(LOSSES[name], backend="eager", fullgraph=True, dynamic=True)
    z = torch.rand(2, 9, 4, requires_grad=True)
    found, expected = compiled(z), LOSSES[name](z)
    torch.testing.assert_close(found, expected)
    for f, e in zip(
        torch.autograd.grad(found.sum(), z), torch.autograd.grad(expected.sum(), z), strict=True
    ):
        torch.testing.assert_close(f, e)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@of_functions
def test_half_types_are_measured_in_float32(name, dtype):
    call, values = FUNCTIONS[name]
    points = torch.rand(2, 9, 3).to(dtype)
    found = call(points)
    assert found.dtype == (dtype if values else torch.int64)
    assert torch.equal(found, call(points.float()).to(found.dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@of_functions
def test_the_meta_device_gives_shape_and_dtype(name, dtype):
    points = torch.rand(2, 9, 3).to(dtype)
    found, expected = FUNCTIONS[name].call(points.to("meta")), FUNCTIONS[name].call(points)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)


@of_metrics
@of_values
def test_nan_makes_one_length_nan_and_infinity_one_infinite(name, metric):
    call = FUNCTIONS[name].call
    points = torch.rand(7, 3)
    points[4, 1] = torch.nan
    assert int(call(points, metric=metric).isnan().sum()) == 1
    if metric != "cosine":
        points[4, 1] = torch.inf
        assert int(call(points, metric=metric).isinf().sum()) == 1


@of_losses
def test_nan_stays_in_its_bag(name):
    z = torch.rand(3, 7, 4)
    z[1, 2] = torch.nan
    assert LOSSES[name](z).isnan().tolist() == [False, True, False]


@of_functions
def test_bad_input_to_a_function_is_told(name):
    call = FUNCTIONS[name].call
    points = torch.rand(2, 5, 3)
    for wrong, error, words in (
        (lambda: call(points, metric="l2"), ValueError, "metric must be one of .*'l2'"),
        (lambda: call(points[:, :0]), ValueError, "N = 0"),
        (lambda: call(points.long()), TypeError, "torch.int64"),
        (lambda: call(points, lengths=torch.tensor([5, 6])), ValueError, "bag 1 has 6"),
        (lambda: call(points, lengths=torch.tensor([5])), ValueError, "lengths must have"),
        (lambda: call(points[0], cu_seqlens=torch.tensor([0, 4])), ValueError, "ends with 4"),
    ):
        with pytest.raises(error, match=words):
            wrong()
