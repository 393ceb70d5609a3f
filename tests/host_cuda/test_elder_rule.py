"""The elder rule's kernel, run on the host by fibres, against Kruskal's union-find."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from . import emulator
from .textbook import kruskal

Array = NDArray[Any]


def test_generators(kernels: emulator.Kernels) -> None:
    rng = np.random.default_rng(16)
    for n in (1, 2, 33, 100):
        matrices = rng.integers(0, 9, (3, n, n)).astype(np.float32)
        edges, _ = kernels.trees(matrices, "precomputed")
        dying = kernels.elder_rule(edges, n)
        for matrix, d in zip(matrices, dying, strict=True):
            np.testing.assert_array_equal(d, kruskal(matrix)[1])
    padding = np.array([[[0, 1], [-1, -1], [5, 9999], [1, 2]]])
    np.testing.assert_array_equal(kernels.elder_rule(padding, 3), [[1, -1, -1, 2]])


def elders(edges: Array, n: int) -> Array:
    """What each edge kills, by the textbook; edges that close a loop kill nobody."""
    name, dying = list(range(n)), []

    def find(v: int) -> int:
        while name[v] != v:
            v = name[v]
        return v

    for i, j in edges.tolist():
        elder, younger = sorted((find(i), find(j)))
        dying.append(younger if elder != younger else -1)
        name[younger] = elder
    return np.array(dying)


@pytest.mark.parametrize("n", [2, 33, 65, 400, 1100])
def test_elders_of_trees_of_any_form(kernels: emulator.Kernels, n: int) -> None:
    """Chains, stars and trees whose names rise, fall or are in no order; and no trees at all."""
    rng = np.random.default_rng(n)
    later = np.arange(1, n)
    rising = np.stack((later - 1, later), -1)
    star = np.stack((0 * later, later), -1)
    anything = np.stack((rng.integers(0, later), later), -1)
    names = rng.permutation(n)
    trees = [rising, rising[::-1], star, anything, names[star], names[anything], names[rising]]
    trees += [rng.permutation(tree) for tree in trees]
    forests = np.stack([*trees, rng.integers(0, n, (n - 1, 2))])
    dying = kernels.elder_rule(forests, n)
    for edges, found in zip(forests, dying, strict=True):
        np.testing.assert_array_equal(found, elders(edges, n))


def test_elders_have_a_block_a_bag(library: emulator.Kernels) -> None:
    """Threads, of which there was a warp a bag; and components are halved, not taken one by one."""
    library.schedule("in_order")
    rng = np.random.default_rng(27)
    for n, threads in ((50, 32), (1000, 256), (3000, 1024)):
        names = rng.permutation(n)
        later = np.arange(1, n)
        edges = rng.permutation(names[np.stack((rng.integers(0, later), later), -1)])[None]
        library.elder_rule(edges, n)
        assert library.last_threads() == threads
        # Barriers that a thread waits at: a few a round and a few for each doubling in it.
        assert library.last_switches() / threads < 12 * np.log2(n) + 20


@pytest.mark.parametrize("n", [8000, 9000])  # in shared memory, and beyond it
def test_generators_of_a_large_bag(shuffled: emulator.Kernels, n: int) -> None:
    vertices = np.random.default_rng(17).permutation(n)
    chain = np.sort(np.stack((vertices[:-1], vertices[1:]), -1), -1)[None]
    alive = np.minimum.accumulate(vertices)
    expected = np.maximum(alive[:-1], vertices[1:])
    np.testing.assert_array_equal(shuffled.elder_rule(chain, n)[0], expected)
