"""Sizes that lie, given to the kernels under AddressSanitizer: `python -m ...hostile LIBRARY`.

Whatever `lengths` and `cu_seqlens` say, nothing is read or written out of bounds, every call ends,
and every pair that comes back names points or is padding.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from .emulator import Kernels

EXTREME = [-(2**63), 2**63 - 1, -1, 2**31, 2**32 + 5]


def main(library: str) -> None:
    kernels = Kernels(Path(library))
    rng = np.random.default_rng(0)
    for trial in range(16):
        kernels.schedule("random", seed=trial)
        plan = ("one_block", "many_blocks")[trial % 2]
        metric = ("euclidean", "cosine", "precomputed", "chebyshev")[trial // 2 % 4]
        bags, n = int(rng.integers(1, 5)), int(rng.integers(1, 41))
        data = rng.random((bags, n, n if metric == "precomputed" else 3)).astype(np.float32)
        lengths = rng.integers(-2, 2 * n, bags)
        lengths[0] = rng.choice([*EXTREME, 0, n + 1])
        edges, _ = kernels.trees(data, metric, lengths=lengths, plan=plan)
        assert ((edges >= -1) & (edges < n)).all()
        kernels.elder_rule(edges, n)
        if metric != "precomputed":
            kernels.pair_lengths(data, rng.integers(-3, n + 3, (bags, 7, 2)), metric)

            if n > 1:
                given = rng.integers(-3, n + 3, (bags, n - 1, 2))
                given[0, 0] = rng.choice(EXTREME, 2)
                wide = data.astype(np.float64)
                for x, z in ((data, data), (wide, data), (data, wide)):
                    pairs, *_ = kernels.signature_step(x, z, given, metric, metric, lengths)
                    assert ((pairs >= -1) & (pairs < n)).all()

            packed = data.reshape(-1, 3)
            total = len(packed)
            ends = np.sort(rng.integers(0, total + 1, bags + 1))
            if trial % 3 == 0:
                rng.shuffle(ends)
            if trial % 3 == 1:
                ends[rng.integers(bags + 1)] = rng.choice(EXTREME)
            edges, _ = kernels.trees(packed, metric, cu_seqlens=ends, plan=plan)
            assert ((edges >= -1) & (edges < total)).all()
    # All the shared memory that a step can take.
    points = rng.random((1, 1024, 8))
    kernels.signature_step(points, points, rng.integers(0, 1024, (1, 1023, 2)))
    # Bags so large that many blocks sort them.
    points = rng.random((2060, 1)).astype(np.float32)
    for ends in ([2000, 3], [0, 5]):
        edges, _ = kernels.trees(points, cu_seqlens=np.array(ends))
        assert ((edges >= -1) & (edges < 2060)).all()
    print("sound")


if __name__ == "__main__":
    main(sys.argv[1])
