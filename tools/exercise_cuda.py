"""A short run of every CUDA kernel, for compute-sanitizer: small bags, both paths, all metrics."""

from __future__ import annotations

import sys
from typing import get_args

import torch
from torch import Tensor

import torchtopo
from torchtopo._losses.signature import Convention
from torchtopo._metric import POINT_METRICS, Metric


def exercise(device: torch.device) -> None:
    """Call every operator of the package on `device`, with its gradients."""
    generator = torch.Generator().manual_seed(0)
    for dtype in (torch.float32, torch.float64):
        for n, d in ((1, 3), (33, 3), (70, 20), (70, 70)):
            clouds = torch.randn(3, n, d, generator=generator, dtype=dtype).to(device)
            lengths = torch.tensor([n, 1, max(1, n // 2)], device=device)
            latents = clouds[..., :2].clone().requires_grad_()
            moving = clouds.clone().requires_grad_()
            for metric in POINT_METRICS:
                pairs = torchtopo.vietoris_rips_pairs(clouds, metric=metric, lengths=lengths)
                torchtopo.pair_distances(latents, pairs, metric=metric).sum().backward()
                train(moving, latents, metric, lengths, pairs)
            matrices = torch.rand(3, n, n, generator=generator, dtype=dtype).to(device)
            torchtopo.minimum_spanning_tree(matrices, lengths=lengths)
            torch.ops.torchtopo.farthest_pairs(clouds, "euclidean", lengths, None)
            for convention in ("paper", "torch_topological"):
                torchtopo.signature_loss(clouds[..., :1], moving, convention=convention).backward()  # type: ignore[arg-type]
            points, cu_seqlens = torchtopo.pack(list(clouds))
            torchtopo.vietoris_rips_generators(points, cu_seqlens=cu_seqlens, max_seqlen=n)
        tiny = (1e-30 if dtype == torch.float32 else 1e-200) * clouds
        torchtopo.vietoris_rips_pairs(tiny)
        torchtopo.vietoris_rips_pairs(torch.randn(2100, 2, dtype=dtype).to(device))
        torchtopo.minimum_spanning_tree(torch.rand(1100, 1100, dtype=dtype).to(device))


def train(x: Tensor, z: Tensor, metric: Metric, lengths: Tensor, pairs: Tensor) -> None:
    """A training step of both spaces in every convention, the pairs of `x` sought and given."""
    for convention in get_args(Convention):
        for known in (None, pairs):
            torchtopo.signature_loss(
                *(x, z),
                metric_x=metric,
                metric_z=metric,
                lengths=lengths,
                pairs_x=known,
                convention=convention,
            ).backward()


def main() -> None:
    device = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cuda")
    if torchtopo._C.config()["cuda"] and device.type == "cuda":
        from torchtopo._operators import cuda as _cuda

        for plan in ("one_block", "many_blocks"):
            with _cuda.plan(plan if plan == "many_blocks" else "automatic"):
                exercise(device)
        torch.cuda.synchronize()
    else:
        exercise(device)
    print("exercised every kernel on", device)


if __name__ == "__main__":
    main()
