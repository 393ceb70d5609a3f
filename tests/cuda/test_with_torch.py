"""On the GPU: streams, graphs, autocast, compile, gradients, memory and errors."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import Tensor

import torchtopo
from torchtopo._operators import cuda as _cuda

pytestmark = pytest.mark.cuda

CONVENTIONS = ["paper", "topoae", "mil", "torch_topological"]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_loss_and_its_gradient(device: torch.device, convention: str) -> None:
    x, z = torch.randn(4, 60, 32), torch.randn(4, 60, 8)
    values, gradients = [], []
    for where in (torch.device("cpu"), device):
        there = z.to(where).clone().requires_grad_()
        loss = torchtopo.signature_loss(x.to(where), there, convention=convention)  # type: ignore[arg-type]
        loss.backward()
        assert there.grad is not None
        values.append(loss.detach().cpu())
        gradients.append(there.grad.cpu())
    torch.testing.assert_close(values[1], values[0])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev", "cosine"])
def test_a_step_in_one_launch_has_the_bits_of_several(gpu: torch.device, metric: Any) -> None:
    for bags, n, d, dtype in (
        *((16, 256, 64, torch.float32), (300, 31, 3, torch.float32), (3, 512, 32, torch.float64)),
        *((2, 1024, 8, torch.float64), (2, 1024, 32, torch.float32)),  # all the shared memory
    ):
        x = torch.randint(0, 9, (bags, n, 40), device=gpu).float()
        z = torch.randint(0, 9, (bags, n, d), device=gpu).to(dtype)
        z[:, ::2] += torch.rand_like(z[:, ::2])
        pairs_x = torchtopo.vietoris_rips_pairs(x)
        lengths = torch.randint(1, n + 1, (bags,), device=gpu)
        found = []
        for plan in ("one_block", "many_blocks", "one_block"):
            clouds = x.clone().requires_grad_(), z.clone().requires_grad_()
            settings: Any = {"metric_x": metric, "metric_z": metric, "lengths": lengths}
            with _cuda.plan(plan):
                loss = torchtopo.signature_loss(
                    *clouds, pairs_x=pairs_x, convention="mil", z_scale=1.3, **settings
                )
            found.append([loss.detach(), *torch.autograd.grad(loss, clouds)])
        for one, several, again in zip(*found, strict=True):
            assert torch.equal(one, several)
            assert torch.equal(one, again)


def test_second_derivatives(device: torch.device) -> None:
    points = torch.randn(7, 3, dtype=torch.float64, device=device, requires_grad=True)
    assert torch.autograd.gradcheck(torchtopo.deaths, points)
    assert torch.autograd.gradgradcheck(torchtopo.deaths, points)


def test_vmap_and_forward_mode(device: torch.device) -> None:
    clouds = torch.randn(3, 20, 4, device=device)
    assert torch.equal(torch.func.vmap(torchtopo.deaths)(clouds), torchtopo.deaths(clouds))
    tangents = torch.randn_like(clouds)
    _, moved = torch.func.jvp(torchtopo.deaths, (clouds,), (tangents,))
    assert moved.shape == (3, 19)


def test_opcheck(device: torch.device) -> None:
    ops = torch.ops.torchtopo
    points, lengths = torch.randn(2, 9, 3, device=device), torch.tensor([9, 4], device=device)
    ends = torch.tensor([0, 9, 18], device=device)
    pairs = torchtopo.vietoris_rips_pairs(points)
    torch.library.opcheck(ops.trees, (points, "euclidean", lengths, None))
    torch.library.opcheck(ops.trees, (points.reshape(-1, 3), "cosine", None, ends))
    torch.library.opcheck(
        ops.trees, (torch.rand(2, 9, 9, device=device), "precomputed", lengths, None)
    )
    torch.library.opcheck(ops.elder_rule, (pairs, 9))
    torch.library.opcheck(ops.pair_lengths, (points, pairs, "manhattan"))


def test_compile(device: torch.device) -> None:
    compiled = torch.compile(torchtopo.signature_loss, fullgraph=True, dynamic=True)
    for n in (20, 33):
        x, z = torch.randn(2, n, 8, device=device), torch.randn(2, n, 3, device=device)
        z.requires_grad_()
        torch.testing.assert_close(compiled(x, z), torchtopo.signature_loss(x, z))


def test_autocast_and_half(device: torch.device) -> None:
    clouds = torch.randn(2, 50, 6, device=device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        assert torchtopo.deaths(clouds.bfloat16()).dtype == torch.float32
        assert torchtopo.deaths(clouds).dtype == torch.float32
    half = torchtopo.deaths(clouds.half())
    assert half.dtype == torch.float16
    assert torch.equal(half, torchtopo.deaths(clouds.half().float()).half())


def test_nothing_waits_for_the_device(gpu: torch.device, never_waits: None) -> None:
    x, z = torch.randn(4, 80, 16, device=gpu), torch.randn(4, 80, 4, device=gpu)
    lengths = torch.full((4,), 80, device=gpu)
    ends = torch.arange(0, 321, 80, device=gpu)
    z.requires_grad_()
    for convention in CONVENTIONS:
        torchtopo.signature_loss(x, z, convention=convention, lengths=lengths).backward()  # type: ignore[arg-type]
        flat = z.reshape(-1, 4)
        torchtopo.signature_loss(
            x.reshape(-1, 16),
            flat,
            convention=convention,
            cu_seqlens=ends,  # type: ignore[arg-type]
        ).backward()
    torchtopo.vietoris_rips_generators(torch.randn(20_000, 3, device=gpu))
    torchtopo.minimum_spanning_tree(torch.rand(2, 1500, 1500, device=gpu))
    torchtopo.matched_pairs(torchtopo.vietoris_rips_pairs(x), torchtopo.vietoris_rips_pairs(z))


def test_a_side_stream_orders_the_work(gpu: torch.device) -> None:
    expected = torch.randn(8, 400, 16)
    side = torch.cuda.Stream()
    for _ in range(5):
        clouds = torch.zeros(8, 400, 16, device=gpu)
        with torch.cuda.stream(side):
            side.wait_stream(torch.cuda.default_stream())
            torch.cuda._sleep(20_000_000)
            clouds.copy_(expected, non_blocking=True)  # the pairs must wait for this
            deaths = torchtopo.deaths(clouds)
        side.synchronize()
        torch.testing.assert_close(deaths.cpu(), torchtopo.deaths(expected), rtol=1e-6, atol=0)


def test_two_threads(gpu: torch.device) -> None:
    clouds = [torch.randn(16, 200 + 50 * t, 8, device=gpu) for t in range(2)]
    expected = [torchtopo.vietoris_rips_pairs(c) for c in clouds]
    wrong: list[int] = []

    def work(t: int) -> None:
        with torch.cuda.stream(torch.cuda.Stream()):
            for _ in range(50):
                if not torch.equal(torchtopo.vietoris_rips_pairs(clouds[t]), expected[t]):
                    wrong.append(t)

    torch.cuda.synchronize()
    threads = [threading.Thread(target=work, args=(t,)) for t in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("shape", [(16, 256), (2, 700), (1, 3000)])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_training_step_in_a_cuda_graph(
    gpu: torch.device, shape: tuple[int, int], convention: str
) -> None:
    layer = torch.nn.Linear(64, 8).to(gpu)
    criterion = torchtopo.nn.SignatureLoss(convention=convention).to(gpu)  # type: ignore[arg-type]
    optimizer = torch.optim.SGD([*layer.parameters(), *criterion.parameters()], lr=1e-3)
    x = torch.randn(*shape, 64, device=gpu)

    def step() -> Tensor:
        optimizer.zero_grad(set_to_none=False)
        loss: Tensor = criterion(x, layer(x))
        loss.backward()
        optimizer.step()
        return loss

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()
    for _ in range(3):
        x.copy_(torch.randn(*shape, 64))
        expected = criterion(x, layer(x)).detach().clone()
        graph.replay()
        torch.testing.assert_close(loss.detach(), expected)


def test_every_device(gpu: torch.device) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("one device")
    cloud = torch.randn(4, 100, 5)
    expected = torchtopo.vietoris_rips_pairs(cloud.to("cuda:0")).cpu()
    other = cloud.to("cuda:1")  # while cuda:0 is the current device
    found = torchtopo.vietoris_rips_pairs(other)
    assert found.device == other.device
    assert torch.equal(found.cpu(), expected)
    assert torch.cuda.current_device() == 0


def test_memory_is_linear_and_given_back(gpu: torch.device) -> None:
    n, d = 16384, 64
    cloud = torch.randn(n, d, device=gpu)
    torchtopo.vietoris_rips_pairs(cloud)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    pairs = torchtopo.vietoris_rips_pairs(cloud)
    peak = torch.cuda.max_memory_allocated() - before
    assert peak < 4 * cloud.nbytes + 16 * n * 16  # the matrix would be 256 times the cloud
    del pairs
    assert torch.cuda.memory_allocated() == before


def test_out_of_memory_is_an_exception_and_passes(gpu: torch.device) -> None:
    cloud = torch.randn(20_000, 64, device=gpu)
    torch.cuda.empty_cache()
    _, total = torch.cuda.mem_get_info()
    # Room for what is there and little else: memory that torch kept cannot help.
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 1024) / total)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            torchtopo.deaths(cloud)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert torchtopo.deaths(torch.randn(50, 3, device=gpu)).shape == (49,)


def test_pairs_that_name_no_point(gpu: torch.device) -> None:
    points = torch.randn(10, 3, device=gpu, requires_grad=True)
    pairs = torch.tensor([[0, 1], [-1, -1], [3, 10**6]], device=gpu)
    torchtopo.pair_distances(points, pairs).sum().backward()
    torch.cuda.synchronize()


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_gradients_have_the_same_bits_in_every_run(device: torch.device, convention: str) -> None:
    x, z = torch.randn(8, 200, 40, device=device), torch.randn(8, 200, 9, device=device)
    z.requires_grad_()

    def gradient() -> Tensor:
        loss = torchtopo.signature_loss(x, z, convention=convention)  # type: ignore[arg-type]
        (found,) = torch.autograd.grad(loss, z)
        return found

    torch.use_deterministic_algorithms(True)
    try:
        first = gradient()
        assert all(torch.equal(gradient(), first) for _ in range(20))
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_graph_replayed_a_hundred_times(gpu: torch.device) -> None:
    clouds = torch.randn(8, 300, 16, device=gpu)
    torchtopo.vietoris_rips_pairs(clouds)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        pairs = torchtopo.vietoris_rips_pairs(clouds)
    expected = torchtopo.vietoris_rips_pairs(clouds)
    for _ in range(100):
        pairs.zero_()
        graph.replay()
        assert torch.equal(pairs, expected)


def test_a_pair_of_a_point_and_nothing(device: torch.device) -> None:
    """(3, -1) is no padding: refused on the CPU; on CUDA it reads no row of the bag before."""
    points = torch.randn(2, 10, 3, device=device, requires_grad=True)
    pairs = torch.tensor([[[0, 1]], [[3, -1]]], device=device)
    if device.type == "cpu":
        with pytest.raises(ValueError, match="must name points of their own bag"):
            torchtopo.pair_distances(points, pairs)
        return
    lengths = torchtopo.pair_distances(points, pairs)
    assert lengths[1, 0] == 0
    lengths.sum().backward()
    assert points.grad is not None
    assert (points.grad[0, 2:] == 0).all()


def test_self_check(device: torch.device) -> None:
    from torchtopo.__main__ import self_check

    for what, passed in self_check(str(device)):
        assert passed, what
