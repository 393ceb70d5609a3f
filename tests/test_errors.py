"""What bad input gets: the exception, and a sentence that names the thing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchtopo
from tests.inputs import CLOUD, NAN_CLOUD, NESTED, PACKED, PAIRS, ints
from torchtopo._operators import registry

CASES = {
    # shapes
    "no points": (lambda: torchtopo.deaths(torch.rand(2, 0, 3)), ValueError, r"\(2, 0, 3\).*N = 0"),
    "no coordinates": (lambda: torchtopo.deaths(torch.rand(2, 4, 0)), ValueError, "D = 0"),
    "one dimension": (lambda: torchtopo.deaths(torch.rand(4)), ValueError, r"\(4,\)"),
    "not square": (
        lambda: torchtopo.minimum_spanning_tree(torch.rand(2, 4, 5)),
        ValueError,
        r"distances must be square.*\(2, 4, 5\)",
    ),
    "not square, precomputed": (
        lambda: torchtopo.deaths(torch.rand(4, 5), metric="precomputed"),
        ValueError,
        r"\(4, 5\)",
    ),
    "pairs of another batch": (
        lambda: torchtopo.pair_distances(CLOUD, PAIRS[0]),
        ValueError,
        r"\(2, 5, 3\).*\(2, 2\)",
    ),
    "pairs of three": (
        lambda: torchtopo.pair_distances(CLOUD, torch.zeros(2, 4, 3, dtype=torch.int64)),
        ValueError,
        r"\(2, 4, 3\)",
    ),
    "lengths of another batch": (
        lambda: torchtopo.deaths(CLOUD, lengths=ints(5, 5, 5)),
        ValueError,
        r"\(2,\).*\(2, 5, 3\).*\(3,\)",
    ),
    "packed with batch": (
        lambda: torchtopo.deaths(CLOUD, cu_seqlens=ints(0, 5)),
        ValueError,
        r"\(T, D\).*\(2, 5, 3\) and \(2,\)",
    ),
    "more bags than rows": (
        lambda: torchtopo.deaths(PACKED[:1], cu_seqlens=ints(0, 1, 1)),
        ValueError,
        "more bags",
    ),
    "packed distances": (
        lambda: torchtopo.deaths(torch.rand(4, 4), metric="precomputed", cu_seqlens=ints(0, 4)),
        ValueError,
        "not distance matrices",
    ),
    "both kinds of ragged": (
        lambda: torchtopo.deaths(PACKED, lengths=ints(9), cu_seqlens=ints(0, 9)),
        ValueError,
        "not both",
    ),
    # dtypes
    "integer points": (lambda: torchtopo.deaths(CLOUD.long()), TypeError, "torch.int64"),
    "complex points": (lambda: torchtopo.deaths(CLOUD.cfloat()), TypeError, "complex64"),
    "boolean matrix": (
        lambda: torchtopo.minimum_spanning_tree(torch.ones(3, 3, dtype=torch.bool)),
        TypeError,
        "distances must be float16.*torch.bool",
    ),
    "floating pairs": (
        lambda: torchtopo.pair_distances(CLOUD, PAIRS.float()),
        TypeError,
        "pairs must be int64",
    ),
    "floating lengths": (
        lambda: torchtopo.deaths(CLOUD, lengths=torch.tensor([5.0, 5.0])),
        TypeError,
        "int32 or",
    ),
    "short cu_seqlens": (
        lambda: torchtopo.deaths(PACKED, cu_seqlens=ints(0, 9).short()),
        TypeError,
        "cu_seqlens",
    ),
    "lists": (
        lambda: torchtopo.deaths([[0.0, 1.0]]),
        TypeError,
        "must be a torch.Tensor, got list",
    ),
    "lengths as a list": (
        lambda: torchtopo.deaths(CLOUD, lengths=[5, 5]),
        TypeError,
        "lengths must be",
    ),
    "cu_seqlens as a list": (
        lambda: torchtopo.deaths(PACKED, cu_seqlens=[0, 9]),
        TypeError,
        "cu_seqlens must be",
    ),
    # values
    "length zero": (
        lambda: torchtopo.deaths(CLOUD, lengths=ints(5, 0)),
        ValueError,
        r"1\.\.5.*bag 1 has 0",
    ),
    "length too large": (
        lambda: torchtopo.minimum_spanning_tree(
            torch.rand(2, 2, 4, 4), lengths=ints(4, 4, 5, 1).reshape(2, 2)
        ),
        ValueError,
        r"bag \(1, 0\) has 5",
    ),
    "cu_seqlens not from 0": (
        lambda: torchtopo.deaths(PACKED, cu_seqlens=ints(1, 9)),
        ValueError,
        "begins with 1",
    ),
    "cu_seqlens too short": (
        lambda: torchtopo.deaths(PACKED, cu_seqlens=ints(0, 4)),
        ValueError,
        "rows 9.*ends with 4",
    ),
    "cu_seqlens too long": (
        lambda: torchtopo.deaths(PACKED, cu_seqlens=ints(0, 12)),
        ValueError,
        "ends with 12",
    ),
    "cu_seqlens decreasing": (
        lambda: torchtopo.deaths(PACKED, cu_seqlens=ints(0, 6, 4, 9)),
        ValueError,
        "bag 1 goes from 6 to 4",
    ),
    "an empty packed bag": (
        lambda: torchtopo.deaths(PACKED, cu_seqlens=ints(0, 4, 4, 9)),
        ValueError,
        "bag 1",
    ),
    "pairs past the end": (
        lambda: torchtopo.pair_distances(CLOUD, PAIRS + 1),
        ValueError,
        r"0\.\.4.*one is \(2, 5\)",
    ),
    "pairs below -1": (
        lambda: torchtopo.pair_distances(CLOUD, PAIRS - 2),
        ValueError,
        r"one is \(-2, -1\)",
    ),
    "pairs half padding": (
        lambda: torchtopo.pair_distances(CLOUD, PAIRS - 1),
        ValueError,
        r"one is \(-1, 0\)",
    ),
    "matrix pairs past the end": (
        lambda: torchtopo.pair_distances(torch.rand(2, 4, 4), PAIRS, metric="precomputed"),
        ValueError,
        r"0\.\.3",
    ),
    # names
    "metric": (lambda: torchtopo.deaths(CLOUD, metric="l2"), ValueError, "euclidean.*'l2'"),
    # remedies
    "an array": (
        lambda: torchtopo.deaths(np.zeros((4, 2))),
        TypeError,
        r"points must be a torch.Tensor, got ndarray; convert it with torch.as_tensor\(points\)",
    ),
    "a list of clouds": (
        lambda: torchtopo.deaths([CLOUD[0], CLOUD[1, :3]]),
        TypeError,
        r"got list; torch.stack bags of one size, torchtopo.pack bags of several",
    ),
    "a tree for pairs": (
        lambda: torchtopo.pair_distances(CLOUD, torchtopo.minimum_spanning_tree(torch.rand(3, 3))),
        TypeError,
        r"pairs must be a torch.Tensor, got MST; pass its .edges",
    ),
    "numbers on a line": (
        lambda: torchtopo.deaths(torch.rand(4)),
        ValueError,
        r"\(4,\); for numbers on a line pass points.unsqueeze\(-1\)",
    ),
    "int32 pairs": (
        lambda: torchtopo.pair_distances(CLOUD, PAIRS.int()),
        TypeError,
        r"pairs must be int64, got torch.int32; use .long\(\)",
    ),
    "float lengths": (
        lambda: torchtopo.deaths(CLOUD, lengths=torch.tensor([5.0, 5.0])),
        TypeError,
        r"lengths must be int32 or int64, got torch.float32; use .long\(\)",
    ),
    "no points, and why": (
        lambda: torchtopo.deaths(torch.rand(2, 0, 3)),
        ValueError,
        r"no points \(N = 0\); a bag has at least one",
    ),
    "lengths for cu_seqlens": (
        lambda: torchtopo.deaths(PACKED, cu_seqlens=ints(4, 5)),
        ValueError,
        r"begins with 4 and ends with 5; if these are the sizes of the bags, pass "
        r"torch.nn.functional.pad\(sizes.cumsum\(0\), \(1, 0\)\)",
    ),
    "cu_seqlens for lengths": (
        lambda: torchtopo.deaths(CLOUD, lengths=ints(0, 5, 10)),
        ValueError,
        r"got \(3,\); if these are cu_seqlens, their .diff\(\) are lengths",
    ),
    "two dimensions of cu_seqlens": (
        lambda: torchtopo.deaths(CLOUD, cu_seqlens=ints(0, 5, 0, 5).reshape(2, 2)),
        ValueError,
        r"cu_seqlens must have the shape \(B\+1,\), B >= 1, got \(2, 2\)",
    ),
    "a metric that is no string": (
        lambda: torchtopo.pair_distances(CLOUD, PAIRS, metric=np.zeros(2)),
        ValueError,
        r"metric must be one of euclidean, .*got array",
    ),
    "nested": (
        lambda: torchtopo.deaths(NESTED),
        TypeError,
        r"dense, got a nested tensor; torchtopo.pack\(points.unbind\(\)\) gives",
    ),
    # pack
    "a dict of bags": (
        lambda: torchtopo.pack({"a": CLOUD[0]}),
        TypeError,
        r"pack takes a list of tensors, got dict; pass list\(bags.values\(\)\)",
    ),
    "a generator of bags": (
        lambda: torchtopo.pack(bag for bag in CLOUD),
        TypeError,
        r"pack takes a list of tensors, got generator; pass list\(bags\)",
    ),
    "bags of numbers": (
        lambda: torchtopo.pack([torch.rand(4), torch.rand(4)]),
        ValueError,
        r"bag 0 has \(4,\); numbers on a line are a bag after .unsqueeze\(-1\)",
    ),
    "no bags to pack": (lambda: torchtopo.pack([]), ValueError, "at least one bag"),
    "an empty bag": (
        lambda: torchtopo.pack([torch.rand(2, 3), torch.rand(0, 3)]),
        ValueError,
        r"bag 1 has \(0, 3\)",
    ),
    "bags of two widths": (
        lambda: torchtopo.pack([torch.rand(2, 3), torch.rand(2, 4)]),
        ValueError,
        "bag 1",
    ),
    "bags of two dtypes": (
        lambda: torchtopo.pack([torch.rand(2, 3), torch.rand(2, 3).half()]),
        TypeError,
        "bag 1",
    ),
    "no tensors to pack": (lambda: torchtopo.pack([[1.0]]), TypeError, "bag 0"),
    # devices
    "lengths elsewhere": (
        lambda: torchtopo.deaths(CLOUD, lengths=torch.ones(2, dtype=torch.int64, device="meta")),
        ValueError,
        "lengths are on meta, points on cpu",
    ),
    "pairs elsewhere": (
        lambda: torchtopo.pair_distances(CLOUD, PAIRS.to("meta")),
        ValueError,
        "on meta",
    ),
    "sparse": (
        lambda: torchtopo.minimum_spanning_tree(torch.eye(3).to_sparse()),
        TypeError,
        "distances must be dense",
    ),
    "sparse points of pairs": (
        lambda: torchtopo.pair_distances(torch.eye(3).to_sparse(), PAIRS[0]),
        TypeError,
        "points must be dense",
    ),
    # names of other kinds
    "no metric": (lambda: torchtopo.deaths(CLOUD, metric=None), ValueError, "got None"),
    # validate=True
    "NaN": (
        lambda: torchtopo.deaths(NAN_CLOUD, validate=True),
        ValueError,
        r"points hold NaN: bag \(1, 2\), row 4, column 0",
    ),
    "NaN in a matrix": (
        lambda: torchtopo.minimum_spanning_tree(
            torch.full((4, 4), torch.nan).tril().fill_diagonal_(0)
            + torch.eye(4).roll(2, 1) * torch.nan,
            validate=True,
        ),
        ValueError,
        "distances hold NaN: bag 0",
    ),
    "NaN in a packed bag": (
        lambda: torchtopo.vietoris_rips_pairs(
            torch.tensor([[0.0], [1.0], [2.0], [torch.nan]]),
            cu_seqlens=ints(0, 2, 4),
            validate=True,
        ),
        ValueError,
        r"bag 1, row 1 \(packed row 3\)",
    ),
    "bad pairs, validated": (
        lambda: torchtopo.pair_distances(CLOUD, PAIRS + 1, validate=True),
        ValueError,
        r"\(2, 5\)",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case):
    call, error, message = CASES[case]
    with pytest.raises(error, match=message):
        call()


def test_validate_lets_good_input_through():
    clouds = NAN_CLOUD[1].clone()
    lengths = ints(5, 5, 4)  # the NaN is padding
    for function in (
        torchtopo.vietoris_rips_pairs,
        torchtopo.vietoris_rips_generators,
        torchtopo.deaths,
        torchtopo.persistence_diagram,
    ):
        found = function(clouds, lengths=lengths, validate=True)
        assert torch.equal(found, function(clouds, lengths=lengths))
    lower = torch.full((4, 4), torch.nan).tril()  # never read
    torchtopo.minimum_spanning_tree(lower + torch.rand(4, 4).triu(1), validate=True)
    torchtopo.pair_distances(CLOUD, PAIRS, validate=True)


def test_a_cuda_tensor_without_cuda_kernels_says_how_to_get_them():
    # The dispatcher routes by device; what it would call is the same on a machine without one.
    class OnCuda:
        device = torch.device("cuda:0")

    with pytest.raises(RuntimeError, match=r"no CUDA kernels; rebuild.*TORCHTOPO_CUDA=1"):
        registry.missing("trees")(OnCuda(), "euclidean", None, None)
