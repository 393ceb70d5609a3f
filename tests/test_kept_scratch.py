"""Scratch that is kept from call to call: bounded, and no call sees what another left in it."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest
import torch

import torchtopo

RESIDENT = """
import torch, torchtopo
torch.set_num_threads(1)
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * {page} / 2**20
torchtopo.deaths(torch.rand(50, 40))
points = torch.rand({n}, 40)
before = resident()
for _ in range(3):
    torchtopo.vietoris_rips_pairs(points)
print(resident() - before)
"""


def megabytes_kept(n: int) -> float:
    script = RESIDENT.format(page=resource.getpagesize(), n=n)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_is_kept_is_bounded():
    assert megabytes_kept(2000) < 40  # a matrix of 16 MB
    assert megabytes_kept(6000) < 90  # one of 144 MB goes back to the system


def test_calls_of_all_sizes_see_nothing_of_each_other():
    torch.set_num_threads(2)
    clouds = [torch.randn(n, d) for n in (700, 9, 300, 2, 1500) for d in (40, 3)]
    alone = [torchtopo.vietoris_rips_pairs(cloud.double()) for cloud in clouds]
    for _ in range(3):
        for cloud, expected in zip(clouds, alone, strict=True):
            assert torch.equal(torchtopo.vietoris_rips_pairs(cloud.double()), expected)
            torchtopo.deaths(torch.full((3, 50, 8), float("nan")))
    torch.set_num_threads(1)
