"""What bad input to the signature loss and its diagnostic gets: a sentence that names the thing."""

from __future__ import annotations

import pytest
import torch

import torchtopo
from tests.inputs import CLOUD, JAGGED, NAN_CLOUD, PACKED, PAIRS, ints

CASES = {
    # shapes
    "bags that differ": (
        lambda: torchtopo.signature_loss(CLOUD, torch.rand(2, 4, 2)),
        ValueError,
        r"\(2, 5, 3\) and \(2, 4, 2\)",
    ),
    "pairs_x too few": (
        lambda: torchtopo.signature_loss(CLOUD, CLOUD, pairs_x=PAIRS),
        ValueError,
        r"pairs_x must hold the 4 pairs.*\(2, 2, 2\)",
    ),
    "both kinds in the loss": (
        lambda: torchtopo.signature_loss(PACKED, PACKED, lengths=ints(9), cu_seqlens=ints(0, 9)),
        ValueError,
        "not both",
    ),
    "matched pairs": (
        lambda: torchtopo.matched_pairs(PAIRS, PAIRS[:1]),
        ValueError,
        r"\(2, 2, 2\).*\(1, 2, 2\)",
    ),
    # dtypes
    "integer x": (lambda: torchtopo.signature_loss(CLOUD.int(), CLOUD), TypeError, "^x must be"),
    "pairs as a list": (
        lambda: torchtopo.signature_loss(CLOUD, CLOUD, pairs_x=[[0, 1]]),
        TypeError,
        "pairs_x",
    ),
    # values
    "negative length": (
        lambda: torchtopo.signature_loss(CLOUD, CLOUD, lengths=ints(-3, 5)),
        ValueError,
        "bag 0 has -3",
    ),
    # names
    "convention": (
        lambda: torchtopo.signature_loss(CLOUD, CLOUD, convention="moor"),
        ValueError,
        "topoae.*moor",
    ),
    "reduction": (
        lambda: torchtopo.signature_loss(CLOUD, CLOUD, reduction="max"),
        ValueError,
        "mean, sum",
    ),
    "z_scale": (
        lambda: torchtopo.signature_loss(CLOUD, CLOUD, z_scale=2.0),
        ValueError,
        "no z_scale",
    ),
    "x_scale": (
        lambda: torchtopo.signature_loss(CLOUD, CLOUD, x_scale=2.0),
        ValueError,
        "no x_scale",
    ),
    "scale per what": (
        lambda: torchtopo.signature_loss(CLOUD, CLOUD, convention="mil", z_scale=torch.ones(5)),
        ValueError,
        r"\(2,\).*\(5,\)",
    ),
    "module convention": (lambda: torchtopo.nn.SignatureLoss("x"), ValueError, "convention"),
    "module metric": (lambda: torchtopo.nn.SignatureLoss(metric_x="x"), ValueError, "metric"),
    "module reduction": (lambda: torchtopo.nn.SignatureLoss(reduction="x"), ValueError, "mean"),
    # remedies
    "a tree for pairs_x": (
        lambda: torchtopo.signature_loss(
            CLOUD, CLOUD, pairs_x=torchtopo.minimum_spanning_tree(torch.rand(3, 3))
        ),
        TypeError,
        r"pairs_x must be a torch.Tensor, got MST; pass its .edges",
    ),
    "metric_z": (
        lambda: torchtopo.signature_loss(CLOUD, CLOUD, metric_z=2),
        ValueError,
        "metric_z must be one of euclidean, .*got 2",
    ),
    "metric_x of the module": (
        lambda: torchtopo.nn.SignatureLoss(metric_x="l2"),
        ValueError,
        "metric_x must be one of euclidean, .*got 'l2'",
    ),
    "jagged z": (
        lambda: torchtopo.signature_loss(CLOUD, JAGGED),
        TypeError,
        r"z must be dense, got a nested tensor",
    ),
    "sparse x": (
        lambda: torchtopo.signature_loss(torch.eye(3).to_sparse(), CLOUD[0]),
        TypeError,
        r"x must be dense, got torch.sparse_coo; use .to_dense\(\)",
    ),
    "pairs on another device": (
        lambda: torchtopo.matched_pairs(PAIRS, PAIRS.to("meta")),
        ValueError,
        "pairs_x are on cpu, pairs_z on meta; they must be on one device",
    ),
    # devices
    "spaces elsewhere": (
        lambda: torchtopo.signature_loss(CLOUD, CLOUD.to("meta")),
        ValueError,
        "x is on cpu",
    ),
    # names of other kinds
    "a list of conventions": (
        lambda: torchtopo.signature_loss(CLOUD, CLOUD, convention=["paper"]),
        ValueError,
        r"got \['paper'\]",
    ),
    "module, a list of conventions": (
        lambda: torchtopo.nn.SignatureLoss(["paper"]),
        ValueError,
        r"got \['paper'\]",
    ),
    # scales
    "a scale of 0": (
        lambda: torchtopo.signature_loss(CLOUD, CLOUD, convention="mil", z_scale=0),
        ValueError,
        "z_scale must be a positive number or a tensor, got 0",
    ),
    "a complex scale": (
        lambda: torchtopo.signature_loss(CLOUD, CLOUD, convention="mil", z_scale=torch.tensor(1j)),
        TypeError,
        "z_scale must be floating, got torch.complex64",
    ),
    "a scale that is an array": (
        lambda: torchtopo.signature_loss(CLOUD, CLOUD, convention="mil", z_scale=[1.0, 2.0]),
        ValueError,
        "z_scale must be a positive number or a tensor",
    ),
    "a tensor of 0 for a scale": (
        lambda: torchtopo.signature_loss(
            CLOUD, CLOUD, convention="mil", z_scale=torch.tensor([1.0, 0.0])
        ),
        ValueError,
        r"z_scale must be positive, one value is 0\.0",
    ),
    "a negative scale of x": (
        lambda: torchtopo.signature_loss(
            CLOUD, CLOUD, convention="topoae", x_scale=torch.tensor(-2.0)
        ),
        ValueError,
        r"x_scale must be positive, one value is -2\.0",
    ),
    "a scale that is NaN, validated": (
        lambda: torchtopo.signature_loss(
            CLOUD, CLOUD, convention="mil", z_scale=torch.tensor(torch.nan), validate=True
        ),
        ValueError,
        "z_scale must be positive, one value is nan",
    ),
    "a scale elsewhere": (
        lambda: torchtopo.signature_loss(
            CLOUD, CLOUD, convention="mil", z_scale=torch.ones((), device="meta")
        ),
        ValueError,
        r"z_scale is on meta, the points on cpu; move it there with \.to\('cpu'\)",
    ),
    # matched_pairs
    "lists of pairs": (
        lambda: torchtopo.matched_pairs([[0, 1]], PAIRS),
        TypeError,
        "pairs_x must be a torch.Tensor, got list",
    ),
    "cu_seqlens that are a list": (
        lambda: torchtopo.matched_pairs(PAIRS[0], PAIRS[0], cu_seqlens=[0, 3]),
        TypeError,
        "cu_seqlens must be a torch.Tensor",
    ),
    "cu_seqlens of one element": (
        lambda: torchtopo.matched_pairs(PAIRS[0], PAIRS[0], cu_seqlens=ints(0)),
        ValueError,
        r"cu_seqlens must have the shape \(B\+1,\)",
    ),
    "packed pairs with a batch": (
        lambda: torchtopo.matched_pairs(PAIRS, PAIRS, cu_seqlens=ints(0, 3)),
        ValueError,
        r"packed pairs have the shape \(M, 2\)",
    ),
    # validate=True
    "bad pairs_x": (
        lambda: torchtopo.signature_loss(CLOUD[:, :3], CLOUD[:, :3], pairs_x=PAIRS, validate=True),
        ValueError,
        r"pairs_x must name points of their own bag, 0\.\.2.*one is \(1, 4\)",
    ),
    "NaN in z": (
        lambda: torchtopo.signature_loss(torch.rand(5, 2), NAN_CLOUD[1, 2], validate=True),
        ValueError,
        "z hold NaN: bag 0, row 4",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case):
    call, error, message = CASES[case]
    with pytest.raises(error, match=message):
        call()


def test_a_scale_that_is_nan_propagates_and_transforms_read_none():
    def loss(scale):
        return torchtopo.signature_loss(CLOUD, CLOUD + 1, convention="mil", z_scale=scale)

    assert loss(torch.tensor(torch.nan)).isnan()
    scales = torch.tensor([1.0, 0.5, -1.0])
    found = torch.func.vmap(loss)(scales)
    torch.testing.assert_close(found[:2], torch.stack([loss(s) for s in scales[:2]]))
    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    assert torch.equal(compiled(scales[1]), found[1])
    assert torch.func.grad(loss)(scales[1]).isfinite()
