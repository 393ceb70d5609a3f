"""The same bits at every number of threads, and from several Python threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import torchtopo

SHAPES = [(64, 40, 5), (3, 300, 40), (2, 700, 600), (1, 900, 3), (1, 8500, 12), (1, 9000, 3)]


@pytest.mark.parametrize("shape", SHAPES)
def test_results_do_not_depend_on_the_number_of_threads(shape):
    points = torch.randn(shape)
    lengths = torch.randint(1, shape[1] + 1, shape[:1])
    pull = torch.randn(shape[0], shape[1] - 1)
    found = []
    for threads in (1, 2, 3, 7):
        torch.set_num_threads(threads)
        leaf = points.clone().requires_grad_()
        died = torchtopo.deaths(leaf, lengths=lengths)
        died.backward(pull)
        generators = torchtopo.vietoris_rips_generators(points, lengths=lengths)
        found.append((generators, died.detach(), leaf.grad))
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_large_matrix_does_not_depend_on_the_number_of_threads(symmetric):
    matrix = torch.rand(1500, 1500)
    matrix = matrix.triu(1) + matrix.triu(1).T if symmetric else matrix
    found = []
    for threads in (1, 2, 3, 7):
        torch.set_num_threads(threads)
        found.append(torchtopo.minimum_spanning_tree(matrix))
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_calls_from_many_python_threads_at_once():
    torch.set_num_threads(2)
    clouds = [torch.randn(12, 60, 6) for _ in range(24)]
    expected = [torchtopo.vietoris_rips_generators(c) for c in clouds]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(torchtopo.vietoris_rips_generators, clouds))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
