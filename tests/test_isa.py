"""Each instruction set that this processor has gives the contract's answer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

import torchtopo
from tests.contract import NORMS, POINT_METRICS
from torchtopo import _C
from torchtopo import _reference as ref


@pytest.fixture(params=_C.config()["isas"])
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    chosen = _C.config()["isa"]
    _C.set_isa(request.param)
    yield request.param
    _C.set_isa(chosen)


def test_the_baseline_is_always_there():
    assert _C.config()["isas"][0] == "baseline"
    assert _C.config()["isa"] in _C.config()["isas"]
    with pytest.raises(ValueError, match="nonesuch"):
        _C.set_isa("nonesuch")


def test_the_environment_chooses():
    def chosen(name: str) -> subprocess.CompletedProcess[str]:
        code = "import torchtopo; print(torchtopo.show_config())"
        environment = os.environ | {"TORCHTOPO_ISA": name}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )

    assert "instruction set: baseline (of baseline" in chosen("baseline").stdout
    last = _C.config()["isas"][-1]
    assert f"instruction set: {last}" in chosen(last).stdout
    message = chosen("nonesuch").stderr
    assert "TORCHTOPO_ISA names no instruction set of this processor: 'nonesuch' is not one of" in (
        message
    )


def test_import_chooses_nothing():
    """A choice may be a race of several sets, which belongs to the first call of a kernel."""
    environment = os.environ | {"TORCHTOPO_ISA": "nonesuch"}
    subprocess.run([sys.executable, "-c", "import torchtopo"], env=environment, check=True)


def test_a_set_is_timed_only_where_there_is_a_choice():
    config = _C.config()
    wide = config["isas"][1:]
    assert list(config["isa_times"]) == (wide if len(wide) > 1 else [])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 2, 3, 15, 16, 17, 31, 33, 64, 65, 129])
def test_matrices(isa, dtype, n):
    values = torch.tensor([0.0, 1.0, 2.0, 3.0, torch.inf, torch.nan], dtype=dtype)
    distances = values[torch.randint(0, 6, (3, n, n))]
    edges, weights = torchtopo.minimum_spanning_tree(distances)
    expected = ref.minimum_spanning_tree(distances)
    assert torch.equal(edges, expected.edges)
    assert torch.equal(weights.nan_to_num(-1.0), expected.weights.nan_to_num(-1.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [1, 2, 3, 7, 8, 16, 31, 100, 515])
def test_points_on_a_grid(isa, dtype, d):
    points = torch.randint(0, 3, (2, 70, d)).to(dtype)
    for metric in NORMS:
        assert torch.equal(
            torchtopo.vietoris_rips_generators(points, metric=metric),
            ref.vietoris_rips_generators(points, metric=metric),
        )


@pytest.mark.parametrize("metric", POINT_METRICS)
def test_lengths_and_gradients(isa, metric):
    points = torch.randn(2, 40, 23)
    pairs = torch.randint(0, 40, (2, 60, 2)).sort(-1).values
    leaf, other = points.clone().requires_grad_(), points.clone().requires_grad_()
    found = torchtopo.pair_distances(leaf, pairs, metric=metric)
    expected = ref.pair_distances(other, pairs, metric=metric)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    moved = (pairs[..., 0] != pairs[..., 1]).float()
    (found * moved).sum().backward()
    (expected * moved).sum().backward()
    torch.testing.assert_close(leaf.grad, other.grad.nan_to_num(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("metric", [*POINT_METRICS, "precomputed"])
def test_the_farthest_pair(isa, metric):
    points = torch.randn(3, 37, 37)
    lengths = torch.tensor([37, 2, 20])
    pair = torch.ops.torchtopo.farthest_pairs(points, metric, lengths, None)
    for bag, n, found in zip(points, lengths.tolist(), pair.tolist(), strict=True):
        bag = bag[:n, :n] if metric == "precomputed" else bag[:n]
        matrix = ref.distance_matrix(bag, metric).triu(1)
        upper = matrix.masked_fill(torch.ones_like(matrix).tril().bool(), -torch.inf)
        i, j = divmod(int(upper.argmax()), n)
        assert found == [i, j]
