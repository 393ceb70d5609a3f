"""Where trials run side by side: processes of this machine, a Dask cluster, a Ray cluster."""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import joblib

from mil_rbc.errors import RunError
from mil_rbc.options import Options

T = TypeVar("T")
Call = tuple[Any, ...]


def side_by_side(
    function: Callable[..., T], calls: Sequence[Call], options: Options
) -> Iterator[T]:
    """What a function returns for each of its calls, `options.jobs` at a time, as they end."""
    if options.backend == "ray":
        yield from _on_ray(function, calls, options)
        return
    parent = os.getpid() if options.backend == "loky" else 0
    with _backend(options):
        parallel = joblib.Parallel(n_jobs=options.jobs, return_as="generator_unordered")
        yield from parallel(joblib.delayed(_in_worker)(parent, function, call) for call in calls)


def _in_worker(parent: int, function: Callable[..., T], call: Call) -> T:
    if parent:
        _end_with(parent)
    return function(*call)


@functools.cache
def _end_with(parent: int) -> None:
    """End this process within a second of its parent, also of one that is killed.

    loky's workers would train what is queued, and then wait for more for minutes. Workers of Dask
    and Ray are ended by their own cluster.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    if os.name == "posix":  # elsewhere a process keeps the number of a parent that is gone
        threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _backend(options: Options) -> Iterator[None]:
    if options.backend == "loky":
        with joblib.parallel_config("loky", inner_max_num_threads=options.threads or 1):
            yield
        return
    try:
        from dask import distributed
    except ImportError as error:
        raise RunError("--backend dask needs Dask: pip install 'torchtopo[mil,dask]'") from error
    local = {"n_workers": options.jobs, "threads_per_worker": 1, "dashboard_address": None}
    make: Any = distributed.Client
    client = make(options.scheduler) if options.scheduler else make(**local)
    with client, joblib.parallel_config("dask"):
        yield


def _on_ray(function: Callable[..., T], calls: Sequence[Call], options: Options) -> Iterator[T]:
    """By Ray's own tasks: its backend for joblib gives results only when all of them are there."""
    try:
        import ray
    except ImportError as error:
        raise RunError("--backend ray needs Ray: pip install 'torchtopo[ray]'") from error
    local = {"num_cpus": options.jobs, "include_dashboard": False}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR,
                 **({"address": options.scheduler} if options.scheduler else local))  # fmt: skip
    except (ConnectionError, ValueError) as error:
        raise RunError(
            f"--backend ray reaches no cluster at {options.scheduler!r}: start one there with 'ray "
            f"start --head', or leave --scheduler out for one of this machine"
        ) from error
    try:
        task: Any = ray.remote(num_cpus=1)(function)
        waiting, running = list(calls), list[Any]()
        while waiting or running:
            while waiting and len(running) < options.jobs:
                running.append(task.remote(*waiting.pop(0)))
            done, running = ray.wait(running)
            try:
                yield from ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
    finally:
        ray.shutdown()
