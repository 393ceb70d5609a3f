"""The four conventions of the signature loss: formulas, ragged batches, options, the module."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch

import torchtopo
from tests.contract import CONVENTIONS, POINT_METRICS
from torchtopo import _reference as ref


def spaces(*shape: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(*shape, 6, dtype=dtype), torch.randn(*shape, 2, dtype=dtype)


def test_three_points_by_hand():
    x = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)  # deaths 1 (0,1) and 2 (1,2)
    z = torch.tensor([[0.0], [5.0], [4.0]], dtype=torch.float64)  # deaths 1 (1,2) and 4 (0,2)
    a_x, b_x = torch.tensor([1.0, 2.0]), torch.tensor([5.0, 1.0])
    b_z, a_z = torch.tensor([1.0, 4.0]), torch.tensor([2.0, 3.0])
    squares = (a_x - b_x).square().sum() + (b_z - a_z).square().sum()
    assert torchtopo.signature_loss(x, z).item() == pytest.approx(squares / 2)
    mil = torchtopo.signature_loss(x, z, convention="mil")
    assert mil.item() == pytest.approx(squares / 3)
    topoae = torchtopo.signature_loss(x, z, convention="topoae", z_scale=2.0)
    expected = (a_x / 3 - b_x / 2).square().sum() + (b_z / 2 - a_z / 3).square().sum()
    assert topoae.item() == pytest.approx(expected / 3)
    found = torchtopo.signature_loss(x, z, convention="torch_topological")
    expected = ((a_x / 3 - b_x / 5).norm() + (b_z / 5 - a_z / 3).norm()) / 2
    assert found.item() == pytest.approx(expected)


@pytest.mark.parametrize("metric_z", POINT_METRICS)
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_formulas_and_gradients(convention, metric_z):
    x, z = spaces(3, 12)
    ours, theirs = z.clone().requires_grad_(), z.clone().requires_grad_()
    options = {"metric_x": "manhattan", "metric_z": metric_z, "convention": convention}
    if convention in ("topoae", "mil"):
        options["z_scale"] = torch.tensor(1.5, dtype=torch.float64)
    found = torchtopo.signature_loss(x, ours, reduction="none", **options)
    expected = ref.signature_loss(x, theirs, reduction="none", **options)
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_reductions(convention):
    x, z = spaces(2, 3, 9)
    none = torchtopo.signature_loss(x, z, convention=convention, reduction="none")
    assert none.shape == (2, 3)
    for reduction, expected in (("mean", none.mean()), ("sum", none.sum())):
        found = torchtopo.signature_loss(x, z, convention=convention, reduction=reduction)
        torch.testing.assert_close(found, expected)
    for i in range(2):
        for j in range(3):
            alone = torchtopo.signature_loss(x[i, j], z[i, j], convention=convention)
            torch.testing.assert_close(alone, none[i, j])


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_padded_and_packed_bags_are_single_bags(convention):
    sizes = [9, 1, 4, 2, 12]
    bags = [spaces(n) for n in sizes]
    expected = torch.stack([torchtopo.signature_loss(x, z, convention=convention) for x, z in bags])
    options = {"convention": convention, "reduction": "none"}
    x, cu_seqlens = torchtopo.pack([bag[0] for bag in bags])
    z = torchtopo.pack([bag[1] for bag in bags])[0].requires_grad_()
    packed = torchtopo.signature_loss(x, z, cu_seqlens=cu_seqlens, **options)
    torch.testing.assert_close(packed, expected)
    packed.sum().backward()

    padded = [torch.full((5, 12, d), torch.nan, dtype=torch.float64) for d in (6, 2)]
    for b, bag in enumerate(bags):
        for space, values in zip(padded, bag, strict=True):
            space[b, : sizes[b]] = values
    padded[1].requires_grad_()
    lengths = torch.tensor(sizes)
    found = torchtopo.signature_loss(*padded, lengths=lengths, **options)
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    for b, gradient in enumerate(z.grad.split(sizes)):
        torch.testing.assert_close(padded[1].grad[b, : sizes[b]], gradient)
        assert bool((padded[1].grad[b, sizes[b] :] == 0).all())

    pairs = torchtopo.vietoris_rips_pairs(x, cu_seqlens=cu_seqlens)
    again = torchtopo.signature_loss(x, z, cu_seqlens=cu_seqlens, pairs_x=pairs, **options)
    torch.testing.assert_close(again, expected)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_known_pairs_give_the_same_loss_bit_for_bit(convention):
    x, z = spaces(4, 15, dtype=torch.float32)
    lengths = torch.tensor([15, 3, 1, 8])
    pairs = torchtopo.vietoris_rips_pairs(x, lengths=lengths)
    options = {"lengths": lengths, "convention": convention}
    assert torch.equal(
        torchtopo.signature_loss(x, z, pairs_x=pairs, **options),
        torchtopo.signature_loss(x, z, **options),
    )


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_bag_of_one_point_adds_zero_with_a_live_graph(convention):
    x, z = spaces(1)
    z.requires_grad_()
    loss = torchtopo.signature_loss(x, z, convention=convention)
    assert loss.item() == 0
    loss.backward()
    assert bool((z.grad == 0).all())
    module = torchtopo.nn.SignatureLoss(convention)
    loss = module(x.requires_grad_(), z)
    loss.backward()
    assert all(p.grad is not None and p.grad == 0 for p in module.parameters())


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_same_cloud_and_coincident_points_cost_nothing(convention):
    x, _ = spaces(3, 8)
    z = x.clone().requires_grad_()
    loss = torchtopo.signature_loss(x, z, convention=convention, x_scale=None)
    if convention != "topoae":  # divides the two spaces by different things
        assert loss.item() == 0
    loss.backward()
    assert bool(z.grad.isfinite().all())
    nothing = torch.zeros(2, 5, 3, requires_grad=True)
    loss = torchtopo.signature_loss(torch.zeros(2, 5, 4), nothing, convention=convention)
    assert loss.item() == 0
    loss.backward()
    assert bool((nothing.grad == 0).all())


def test_distance_matrices_in_both_spaces():
    x, z = spaces(2, 10)
    matrices = [torch.cdist(s, s) for s in (x, z)]
    for convention in CONVENTIONS:
        torch.testing.assert_close(
            torchtopo.signature_loss(
                *matrices,
                metric_x="precomputed",
                metric_z="precomputed",
                convention=convention,
            ),
            torchtopo.signature_loss(x, z, convention=convention),
        )


def test_x_scale_stands_in_for_the_maximum():
    x, z = spaces(3, 10)
    maxima = torch.cdist(x, x).amax((1, 2))
    for convention in ("topoae", "torch_topological"):
        torch.testing.assert_close(
            torchtopo.signature_loss(x, z, convention=convention, x_scale=maxima),
            torchtopo.signature_loss(x, z, convention=convention),
        )
    points, cu_seqlens = torchtopo.pack(list(x))
    torch.testing.assert_close(
        torchtopo.signature_loss(
            points, z.flatten(0, 1), cu_seqlens=cu_seqlens, convention="topoae", x_scale=maxima
        ),
        torchtopo.signature_loss(x, z, convention="topoae"),
    )


def test_conventions_differ_by_orders_of_magnitude():
    x, z = torch.randn(64, 512) * 5, torch.randn(64, 16)
    values = [torchtopo.signature_loss(x, z, convention=c).item() for c in CONVENTIONS]
    assert math.log10(max(values) / min(values)) > 3


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_descent_lowers_the_loss(convention):
    torch.manual_seed(3)
    x = torch.rand(2, 20, 5)
    z = torch.rand(2, 20, 2, requires_grad=True)
    loss = torchtopo.nn.SignatureLoss(convention)
    optimizer = torch.optim.Adam([z, *loss.parameters()], lr=0.02)
    pairs_x = torchtopo.vietoris_rips_pairs(x)
    values = []
    for _ in range(80):
        optimizer.zero_grad()
        value = loss(x, z, pairs_x=pairs_x)
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.7 * values[0]


def test_the_module_owns_a_positive_scale_where_the_convention_has_one():
    for convention in CONVENTIONS:
        module = torchtopo.nn.SignatureLoss(convention, metric_z="manhattan")
        learned = convention in ("topoae", "mil")
        assert len(list(module.parameters())) == learned
        assert convention in repr(module)
        if learned:
            assert module.z_scale.item() == 1.0
            torch.optim.SGD(module.parameters(), lr=100.0).step()
            module.log_z_scale.data.fill_(-50.0)
            assert module.z_scale > 0
            other = torchtopo.nn.SignatureLoss(convention)
            other.load_state_dict(module.state_dict())
            assert other.z_scale == module.z_scale
        else:
            assert module.z_scale is None
            assert module.state_dict() == {}


def test_matched_pairs():
    x, z = spaces(5, 20)
    pairs_x, pairs_z = (torchtopo.vietoris_rips_pairs(s) for s in (x, z))
    counts = torchtopo.matched_pairs(pairs_x, pairs_z)
    assert torch.equal(counts, ref.matched_pairs(pairs_x, pairs_z))
    assert torchtopo.matched_pairs(pairs_x, pairs_x).tolist() == [19] * 5
    assert torchtopo.matched_pairs(pairs_x, pairs_x.flip(-1)).tolist() == [19] * 5

    lengths = torch.tensor([20, 1, 7, 2, 13])
    ragged = [torchtopo.vietoris_rips_pairs(s, lengths=lengths) for s in (x, z)]
    found = torchtopo.matched_pairs(*ragged)
    assert torch.equal(found, ref.matched_pairs(*ragged))
    assert torch.equal(torchtopo.matched_pairs(ragged[0], ragged[0]), lengths - 1)

    packs = [torchtopo.pack([b[:n] for b, n in zip(s, lengths, strict=True)]) for s in (x, z)]
    packed = [torchtopo.vietoris_rips_pairs(p, cu_seqlens=c) for p, c in packs]
    assert torch.equal(torchtopo.matched_pairs(*packed, cu_seqlens=packs[0][1]), found)
    assert torchtopo.matched_pairs(*packed) == found.sum()

    alone = torchtopo.vietoris_rips_pairs(x[0, :1])
    assert torchtopo.matched_pairs(alone, alone) == 0


def test_matched_pairs_takes_strided_cu_seqlens():
    """In a process of its own, since torch.searchsorted warns of strides once."""
    code = "import torch, torchtopo; torchtopo.matched_pairs(*2 * [torch.tensor([[0, 1], [2, 3]])],"
    code += "cu_seqlens=torch.tensor([0, 9, 2, 9, 4])[::2])"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_matched_pairs_counts_a_pair_once():
    twice = torch.tensor([[[0, 1], [1, 0], [-1, -1], [4, 5]], [[2, 3], [2, 3], [3, 2], [2, 3]]])
    once = torch.tensor([[[0, 1], [-1, -1]], [[3, 2], [-1, -1]]])
    for a, b in ((twice, once), (once, twice), (twice, twice[:, :3])):
        assert torchtopo.matched_pairs(a, b).tolist() == [1, 1]
        assert torch.equal(torchtopo.matched_pairs(a, b), ref.matched_pairs(a, b))
        assert torch.equal(torch.func.vmap(torchtopo.matched_pairs)(a, b), ref.matched_pairs(a, b))
    packed = torch.tensor([[3, 4], [0, 1], [4, 3], [1, 0], [-1, -1]])
    ends = torch.tensor([0, 3, 5])
    assert torchtopo.matched_pairs(packed[:2], packed, cu_seqlens=ends).tolist() == [1, 1]
    assert torchtopo.matched_pairs(packed, packed[:1], cu_seqlens=ends).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("pairs", "ends", "message"),
    [
        ([[0, 1]], [5, 3], "cu_seqlens must begin with 0; it begins with 5"),
        ([[0, 1]], [0, 4, 3], "cu_seqlens must rise.*bag 1 goes from 4 to 3"),
        ([[0, 1], [1, 4]], [0, 4, 6], r"pairs_x must name two rows of one bag.*one is \(1, 4\)"),
        ([[0, 6]], [0, 4, 6], r"cu_seqlens, which ends with 6.*one is \(0, 6\)"),
        ([[0, -1]], [0, 4, 6], r"padding \(-1, -1\); one is \(0, -1\)"),
    ],
)
def test_matched_pairs_reads_packed_pairs_where_it_can(pairs, ends, message):
    pairs, ends = torch.tensor(pairs), torch.tensor(ends)
    with pytest.raises(ValueError, match=message):
        torchtopo.matched_pairs(pairs, pairs, cu_seqlens=ends)
    # Under vmap and compile no value is read; the count is of something, and nothing breaks.
    counts = torch.func.vmap(lambda p: torchtopo.matched_pairs(p, p, cu_seqlens=ends))(pairs[None])
    assert counts.shape == (1, len(ends) - 1)
