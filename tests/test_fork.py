"""After a fork the pool of the parent is gone; the child makes its own, and neither hangs."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable

import pytest
import torch

import torchtopo

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def in_a_child(work: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Run `work` in a forked child; False if it fails, hangs or dies."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if work() else 1)
        except BaseException:
            os._exit(2)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_parent_and_child_both_go_on():
    torch.set_num_threads(2)
    points = torch.randn(64, 60, 8)
    expected = torchtopo.vietoris_rips_pairs(points)  # the pool's threads are running now

    def work() -> bool:
        again = [torchtopo.vietoris_rips_pairs(points) for _ in range(3)]
        return all(torch.equal(pairs, expected) for pairs in again)

    for _ in range(3):
        assert in_a_child(work)
        assert torch.equal(torchtopo.vietoris_rips_pairs(points), expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_of_a_child():
    torch.set_num_threads(2)
    points = torch.randn(64, 60, 8)
    expected = torchtopo.vietoris_rips_pairs(points)

    def work() -> bool:
        return torch.equal(torchtopo.vietoris_rips_pairs(points), expected)

    assert in_a_child(lambda: work() and in_a_child(work))


class Bags(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        return torchtopo.deaths(torch.full((3, 2), float(index)).cumsum(0))


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_workers_of_a_data_loader():
    torchtopo.deaths(torch.randn(64, 60, 8))
    loader = torch.utils.data.DataLoader(
        Bags(), batch_size=2, num_workers=2, timeout=60, multiprocessing_context="fork"
    )
    found = torch.cat(list(loader))
    assert torch.equal(found, torch.stack([Bags()[i] for i in range(4)]))
