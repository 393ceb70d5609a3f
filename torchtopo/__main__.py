"""`python -m torchtopo`: what this build is, and whether it computes what it should."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import torch

import torchtopo
from torchtopo import _C, _reference
from torchtopo._metric import POINT_METRICS


def self_check(device: str = "cpu") -> Iterator[tuple[str, bool]]:
    """Compare small calls with the plain reference; yields what was compared, and the outcome."""
    generator = torch.Generator().manual_seed(0)
    # Small integers: full of ties, and measured exactly.
    grid = torch.randint(0, 4, (3, 17, 2), generator=generator).double()
    distances = torch.randint(0, 9, (2, 20, 20), generator=generator).float()
    lengths = torch.tensor([17, 5, 1])

    found = torchtopo.minimum_spanning_tree(distances.to(device))
    expected = _reference.minimum_spanning_tree(distances)
    yield "spanning tree of distances", torch.equal(found.edges.cpu(), expected.edges)

    for metric in POINT_METRICS:
        cloud = grid if metric != "cosine" else torch.rand(3, 17, 2, generator=generator).double()
        pairs = torchtopo.vietoris_rips_pairs(cloud.to(device), metric=metric)  # type: ignore[arg-type]
        same = torch.equal(pairs.cpu(), _reference.vietoris_rips_pairs(cloud, metric=metric))
        yield f"pairs, {metric}", same

    padded = torchtopo.vietoris_rips_generators(grid.to(device), lengths=lengths.to(device))
    same = torch.equal(padded.cpu(), _reference.vietoris_rips_generators(grid, lengths=lengths))
    yield "generators of a padded batch", same

    bags = [bag[:n] for bag, n in zip(grid, lengths.tolist(), strict=True)]
    points, cu_seqlens = torchtopo.pack(bags)
    packed = torchtopo.deaths(points.to(device), cu_seqlens=cu_seqlens.to(device))
    one_by_one = torch.cat([_reference.deaths(bag) for bag in bags])
    yield "deaths of a packed batch", torch.allclose(packed.cpu(), one_by_one)

    x = torch.rand(2, 12, 5, generator=generator, dtype=torch.float64)
    z = torch.rand(2, 12, 3, generator=generator, dtype=torch.float64)
    z_here, z_there = (z.to(where).clone().requires_grad_() for where in ("cpu", device))
    expected_loss = _reference.signature_loss(x, z_here)
    found_loss = torchtopo.signature_loss(x.to(device), z_there)
    expected_loss.backward()
    found_loss.backward()
    assert z_here.grad is not None
    assert z_there.grad is not None
    yield "signature loss", torch.allclose(found_loss.cpu(), expected_loss)
    yield "its gradient", torch.allclose(z_there.grad.cpu(), z_here.grad)


def main() -> int:
    print(torchtopo.show_config())
    devices = ["cpu"]
    if _C.config()["cuda"] and torch.cuda.is_available():
        devices.append("cuda")
    failed = 0
    for device in devices:
        print(f"\nself-check on {device}")
        for what, passed in self_check(device):
            print(f"  {'ok    ' if passed else 'FAILED'} {what}")
            failed += not passed
    if failed:
        print(f"\n{failed} checks failed: please report them with the lines above", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
