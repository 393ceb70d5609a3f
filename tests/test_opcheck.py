"""torch.library.opcheck on every operator: schema, fake kernel, autograd, AOT dispatch."""

from __future__ import annotations

import pytest
import torch

import torchtopo

ops = torch.ops.torchtopo
points = torch.rand(2, 7, 3)
leaf = torch.rand(2, 7, 3, requires_grad=True)
distances = torch.rand(2, 5, 5)
lengths = torch.tensor([7, 3])
packed, cu_seqlens = torch.rand(9, 2), torch.tensor([0, 4, 9], dtype=torch.int32)
pairs = torch.tensor([[[0, 1], [1, 2], [-1, -1]]] * 2)

SAMPLES = [
    (ops.trees, (distances, "precomputed", None, None)),
    (ops.trees, (distances.half(), "precomputed", torch.tensor([5, 1]), None)),
    (ops.trees, (distances, "precomputed", None, None, None, True)),
    (ops.trees, (points, "euclidean", None, None)),
    (ops.trees, (leaf, "cosine", lengths, None)),
    (ops.trees, (points[0].bfloat16(), "manhattan", None, None)),
    (ops.trees, (packed, "euclidean", None, cu_seqlens)),
    (ops.trees, (packed, "euclidean", None, cu_seqlens, 5)),
    # Under vmap packed batches have leading dimensions.
    (ops.trees, (packed.expand(3, 9, 2), "euclidean", None, cu_seqlens.expand(3, 3))),
    (ops.pairs, (leaf, "manhattan", lengths, None)),
    (ops.pairs, (distances, "precomputed", None, None)),
    (ops.pairs, (packed.expand(3, 9, 2), "euclidean", None, cu_seqlens.expand(3, 3))),
    (ops.elder_rule, (pairs, 7)),
    (
        ops.elder_rule,
        (torch.tensor([[0, 1], [2, 3], [1, 3], [4, 5], [5, 6], [6, 7], [7, 8]]), 9, cu_seqlens, 5),
    ),
    (ops.pair_lengths, (leaf, pairs, "euclidean")),
    (ops.pair_lengths, (points.double(), pairs, "chebyshev")),
    (ops.pair_pulls, (torch.rand(2, 3), points, pairs, "euclidean")),
    (
        ops.pair_pulls,
        (torch.rand(2, 3), points, pairs, "cosine", pairs[:, :1], torch.rand(2, 1), torch.rand(2)),
    ),
    (ops.signature_losses, (torch.rand(2, 6), torch.rand(2, 6).double(), None, None, None)),
    (
        ops.signature_losses,
        (
            *(torch.rand(2, 6), torch.rand(2, 6), torch.rand(2), torch.rand(()), torch.rand(2)),
            *(1.0, 1.0, 0.0, True, False, True, True),
        ),
    ),
    (
        ops.signature_losses,
        (
            *(torch.rand(6), torch.rand(6), None, torch.rand(()), None),
            *(2.0, 1.0, 0.0, False, True, True, True),
        ),
    ),
    (
        ops.signature_step,
        (
            *(points, leaf[..., :2].double(), pairs[:, :1].expand(2, 6, 2), "cosine", "euclidean"),
            *(lengths, None, torch.rand(2), torch.rand(2), 1.0, 1.0, 2.0, True, True, False, True),
        ),
    ),
    (
        ops.signature_step,
        (
            points.half(),
            points,
            pairs[:, :1].expand(2, 6, 2),
            "euclidean",
            "manhattan",
            *[None] * 4,
        ),
    ),
    (
        ops.signature_step,
        (
            *(points, leaf[..., :2], None, "manhattan", "cosine", lengths, None, None, None),
            *(1.0, 1.0, 0.0, True, True, False, False, True, True),
        ),
    ),
    (
        ops.signature_edges,
        (points, leaf[..., :2], None, "cosine", "euclidean", lengths, None, True, False),
    ),
    (
        ops.signature_edges,
        (packed, packed.double(), None, "cosine", "manhattan", None, cu_seqlens, False, True, 5),
    ),
    (
        ops.signature_edges,
        (
            packed.expand(3, 9, 2),
            packed.expand(3, 9, 2),
            None,
            "euclidean",
            "euclidean",
            None,
            cu_seqlens.expand(3, 3),
            True,
            True,
        ),
    ),
    (ops.farthest_pairs, (points, "euclidean", lengths, None)),
    (ops.farthest_pairs, (distances, "precomputed", None, None)),
    (ops.farthest_pairs, (packed, "manhattan", None, cu_seqlens)),
    (ops.farthest_pairs, (packed, "manhattan", None, cu_seqlens, 5)),
    (ops.farthest_pairs, (packed.expand(3, 9, 2), "manhattan", None, cu_seqlens.expand(3, 3))),
]


@pytest.mark.parametrize(("op", "args"), SAMPLES, ids=lambda v: getattr(v, "__name__", ""))
def test_opcheck(op, args):
    torch.library.opcheck(op.default, args)


@pytest.mark.parametrize(("op", "args"), SAMPLES, ids=lambda v: getattr(v, "__name__", ""))
def test_the_meta_device_gives_shapes_and_dtypes(op, args):
    found = op(*(a.to("meta") if isinstance(a, torch.Tensor) else a for a in args))
    expected = op(*args)
    found, expected = (torch.utils._pytree.tree_leaves(of) for of in (found, expected))
    for f, e in zip(found, expected, strict=True):
        assert f.device.type == "meta"
        assert (f.shape, f.dtype) == (e.shape, e.dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_public_function_runs_on_the_meta_device(dtype):
    x, z = (torch.empty(2, 5, d, dtype=dtype, device="meta") for d in (3, 5))
    pairs = torchtopo.vietoris_rips_pairs(x)
    assert pairs.shape == (2, 4, 2)
    assert torchtopo.vietoris_rips_generators(x).shape == (2, 4, 3)
    weights = torchtopo.minimum_spanning_tree(z).weights
    for lengths in (torchtopo.deaths(x), torchtopo.pair_distances(x, pairs), weights):
        assert (lengths.shape, lengths.dtype) == ((2, 4), dtype)
    for convention in ("paper", "topoae", "mil", "torch_topological"):
        loss = torchtopo.signature_loss(x, z, convention=convention)
        assert (loss.shape, loss.dtype, loss.device.type) == ((), dtype, "meta")
