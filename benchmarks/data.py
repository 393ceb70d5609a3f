"""The data of the benchmarks: seeded clouds, nested spheres, and MNIST where it is present."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SEED = 20260101


def cloud(*shape: int, seed: int = SEED, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal points of a given shape ``(*B, N, D)``."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def distance_matrix(points: Tensor) -> Tensor:
    """Symmetric Euclidean distances ``(*B, N, N)`` in the points' dtype, by direct differences."""
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    return torch.maximum(distances, distances.mT)


def nested_spheres(
    per_sphere: int, *, seed: int, dim: int = 100, inner: int = 10, radius: float = 5.0
) -> tuple[Tensor, Tensor]:
    """Ten small spheres inside a large one, each a sphere in ``dim + 1`` dimensions.

    Returns float32 points and int64 labels; the large sphere has the last label and as many points
    as the small ones together. Source: Moor et al. 2020, "Topological Autoencoders", section 5.1.
    """
    rng = np.random.default_rng(seed)
    # The centres are the same for every seed, so that two seeds give two samples of one shape.
    centres = np.random.default_rng(SEED).normal(0, 10 / np.sqrt(dim), (inner, dim + 1))

    def sphere(count: int, r: float) -> np.ndarray:
        x = rng.normal(size=(count, dim + 1))
        return np.asarray(r * x / np.linalg.norm(x, axis=1, keepdims=True))

    parts = [sphere(per_sphere, radius) + centre for centre in centres]
    parts.append(sphere(per_sphere * inner, 5 * radius))
    labels = np.repeat(np.arange(inner + 1), [per_sphere] * inner + [per_sphere * inner])
    return torch.from_numpy(np.concatenate(parts)).float(), torch.from_numpy(labels)


def folder(name: str) -> Path:
    """Where real data of that name lie: in the folder that ``TORCHTOPO_DATA`` names.

    Without it, in ``../shared/data`` beside the checkout.
    """
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("TORCHTOPO_DATA", default)) / name


def mnist(part: str, count: int) -> tuple[Tensor, Tensor] | None:
    """The first ``count`` images of MNIST's ``"train"`` or ``"t10k"`` part, or None if absent.

    Returns float32 pixels ``(count, 784)`` in [0, 1] and int64 labels, read from the four gzipped
    idx files of ``folder("mnist")``.
    """
    images = folder("mnist") / f"{part}-images-idx3-ubyte.gz"
    labels = folder("mnist") / f"{part}-labels-idx1-ubyte.gz"
    if not images.is_file() or not labels.is_file():
        return None
    with gzip.open(images) as file:
        pixels = np.frombuffer(file.read(16 + count * 784), np.uint8, offset=16)
    with gzip.open(labels) as file:
        digits = np.frombuffer(file.read(8 + count), np.uint8, offset=8)
    x = torch.from_numpy(pixels.reshape(-1, 784).astype(np.float32) / 255)
    return x, torch.from_numpy(digits.astype(np.int64))
