"""A Dask cluster of two workers gives what one process gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mil_rbc.cli import command
from mil_rbc.data.bags import Cohort
from mil_rbc.files import load_checkpoint
from mil_rbc.run import main
from tests.mil.test_run import arguments, bags_folder


@pytest.mark.slow
def test_a_dask_cluster_equals_a_local_run(tmp_path: Path, vectors: Cohort) -> None:
    distributed = pytest.importorskip("dask.distributed")
    data = bags_folder(tmp_path / "bags", vectors)
    more = ["--pooling", "anomaly", "max", "--folds", "2"]
    local, remote = tmp_path / "local", tmp_path / "remote"
    assert command(main, arguments(data, local, *more)) == 0
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        on_dask = ["--backend", "dask", "--scheduler", cluster.scheduler_address, "--jobs", "2"]
        assert command(main, arguments(data, remote, *more, *on_dask)) == 0
    for name in ("predictions.csv", "instances.csv", "table1.csv", "paired.csv"):
        assert (local / name).read_bytes() == (remote / name).read_bytes(), name
    for path in local.glob("trials/*/checkpoint.pt"):
        a = load_checkpoint(path)["model"]
        b = load_checkpoint(remote / path.relative_to(local))["model"]
        assert all(torch.equal(v, b[k]) for k, v in a.items()), path
