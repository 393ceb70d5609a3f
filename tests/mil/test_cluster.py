"""A Dask cluster and a Ray cluster of two workers give what one process gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import torch

from mil_rbc.cli import command
from mil_rbc.data.bags import Cohort
from mil_rbc.files import load_checkpoint
from mil_rbc.run import main
from tests.mil.commands import arguments, bags_folder


@contextmanager
def dask() -> Iterator[str]:
    distributed = pytest.importorskip("dask.distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


@contextmanager
def ray() -> Iterator[str]:
    """A cluster that the run joins by its address, as it would one of many machines."""
    utils = pytest.importorskip("ray.cluster_utils")
    cluster = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    yield cluster.address
    cluster.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("start", [dask, ray])
def test_a_cluster_equals_a_local_run(
    start: Callable[[], AbstractContextManager[str]], tmp_path: Path, vectors: Cohort,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    data = bags_folder(tmp_path / "bags", vectors)
    more = ["--pooling", "anomaly", "max", "--folds", "2"]
    local, remote = tmp_path / "local", tmp_path / "remote"
    assert command(main, arguments(data, local, *more)) == 0
    with start() as address:
        there = ["--backend", start.__name__, "--scheduler", address, "--jobs", "2"]
        assert command(main, arguments(data, remote, *more, *there)) == 0
        diverging = ["--lr", "1e30", "--topology", "off"]
        assert command(main, arguments(data, tmp_path / "bad", *diverging, *there)) == 2
    assert re.search(r"error: trial \w+-off-fold\d-run0 diverged", capsys.readouterr().err)
    for name in ("predictions.csv", "instances.csv", "table1.csv", "paired.csv"):
        assert (local / name).read_bytes() == (remote / name).read_bytes(), name
    for path in local.glob("trials/*/checkpoint.pt"):
        a = load_checkpoint(path)["model"]
        b = load_checkpoint(remote / path.relative_to(local))["model"]
        assert all(torch.equal(v, b[k]) for k, v in a.items()), path


@pytest.mark.slow
def test_ray_starts_a_cluster_of_its_own_and_says_where_it_finds_none(
    tmp_path: Path, vectors: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    data = bags_folder(tmp_path / "bags", vectors)
    given = arguments(data, tmp_path / "out", "--pooling", "max", "--backend", "ray")
    assert command(main, [*given, "--scheduler", "auto"]) == 2
    assert "reaches no cluster at 'auto': start one" in capsys.readouterr().err
    assert command(main, [*given, "--jobs", "2"]) == 0
    assert (tmp_path / "out" / "report.html").exists()
