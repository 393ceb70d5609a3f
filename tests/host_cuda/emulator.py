"""The CUDA kernels, compiled as C++ and run on the host; arrays are numpy's."""

from __future__ import annotations

import ctypes
import subprocess
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
CUDA = HERE.parents[1] / "csrc" / "cuda"
METRICS = {"euclidean": 0, "manhattan": 1, "chebyshev": 2, "cosine": 3, "precomputed": 4}
PLANS = {"automatic": 0, "one_block": 1, "many_blocks": 2}
SCHEDULES = {"in_order": 0, "reversed": 1, "random": 2}

Array = NDArray[Any]


def build(folder: Path, compiler: str, *flags: str) -> Path:
    """Compile every kernel into one shared library."""
    library = folder / "libkernels.so"
    objects = _compile([*sorted(CUDA.glob("*.cu")), HERE / "library.cpp"], folder, compiler, *flags)
    _run([compiler, "-shared", *flags, *map(str, objects), "-o", str(library)])
    return library


def build_module(library: Path, compiler: str) -> Path:
    """Compile the Python bindings over a library that `build` made."""
    import pybind11

    folder = library.parent
    includes = [f"-I{pybind11.get_include()}", f"-I{sysconfig.get_path('include')}"]
    objects = _compile([HERE / "module.cpp"], folder, compiler, *includes)
    module = folder / "cuda_on_host.so"
    _run([compiler, "-shared", *map(str, objects), str(library), "-o", str(module)])
    return module


def _compile(sources: list[Path], folder: Path, compiler: str, *flags: str) -> list[Path]:
    common = [compiler, "-std=c++17", "-O1", "-g1", "-fPIC", "-ffp-contract=off", "-Wall"]
    common += ["-Wno-unknown-pragmas", "-Wno-unused-local-typedefs", "-U_FORTIFY_SOURCE"]
    common += ["-DTORCHTOPO_CUDA_ON_HOST"]
    common += [f"-I{CUDA}", f"-I{HERE}", *flags]

    def compile_one(source: Path) -> Path:
        target = folder / (source.name + ".o")
        _run([*common, "-x", "c++", "-c", str(source), "-o", str(target)])
        return target

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(compile_one, sources))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")


class Kernels:
    """What `batch.hpp` declares, on numpy arrays; outputs begin as garbage."""

    def __init__(self, library: Path) -> None:
        self.library = ctypes.CDLL(str(library))
        self.library.last_error.restype = ctypes.c_char_p
        self.library.launches.restype = ctypes.c_int64
        self.library.switches.restype = ctypes.c_int64
        self.library.last_switches.restype = ctypes.c_int64
        self.library.last_threads.restype = ctypes.c_int64

    def schedule(self, name: str, seed: int = 0) -> None:
        self.library.set_schedule(SCHEDULES[name], ctypes.c_uint(seed))

    def launches(self) -> int:
        return int(self.library.launches())

    def switches(self) -> int:
        """How often a thread has been resumed: what the work so far came to."""
        return int(self.library.switches())

    def last_threads(self) -> int:
        """How many threads the latest launch had."""
        return int(self.library.last_threads())

    def last_switches(self) -> int:
        """Resumed threads of the latest launch alone."""
        return int(self.library.last_switches())

    @contextmanager
    def segment_bytes(self, most: int) -> Iterator[None]:
        """How much memory a scan may fill: less of it makes segments wider, then leaves none."""
        self.library.set_most_segment_bytes(ctypes.c_int64(most))
        try:
            yield
        finally:
            self.library.set_most_segment_bytes(ctypes.c_int64(512 << 20))

    @contextmanager
    def overwriting(self, data: Array) -> Iterator[None]:
        """Float32 data that somebody else writes to while kernels read it."""
        assert data.dtype == np.float32
        self.library.overwrite(_argument(data), ctypes.c_int64(data.size))
        try:
            yield
        finally:
            self.library.overwrite(_argument(None), ctypes.c_int64(0))

    def check(self, error: int) -> None:
        self._call("host_check", error)

    def set_device(self, device: int) -> None:
        self._call("host_set_device", device)

    def trees(
        self,
        data: Array,  # (B, N, D) or (B, N, N); packed (T, D)
        metric: str = "euclidean",
        lengths: Array | None = None,
        cu_seqlens: Array | None = None,
        plan: str = "automatic",
    ) -> tuple[Array, Array]:
        data = np.ascontiguousarray(data)
        if cu_seqlens is None:
            bags, n, d = data.shape
            rows, shape = bags * n, (bags, n - 1)
        else:
            rows, d = data.shape
            bags = len(cu_seqlens) - 1
            n, shape = rows - bags + 1, (rows - bags,)
        edges = np.full((*shape, 2), -7, np.int64)
        weights = np.full(shape, -7, data.dtype)
        if cu_seqlens is not None:  # the caller fills what wrong cu_seqlens leave out
            edges[:], weights[:] = -1, 0
        self._call(
            "host_trees",
            data,
            int(data.dtype == np.float64),
            METRICS[metric],
            bags,
            n,
            rows,
            d,
            lengths,
            cu_seqlens,
            PLANS[plan],
            edges,
            weights,
        )
        return edges, weights

    def elder_rule(self, edges: Array, n: int) -> Array:
        edges = np.ascontiguousarray(edges)
        bags, m, _ = edges.shape
        dying = np.full((bags, m), -7, np.int64)
        self._call("host_elder_rule", edges, bags, m, n, dying)
        return dying

    def pair_lengths(self, points: Array, pairs: Array, metric: str = "euclidean") -> Array:
        bags, n, d = points.shape
        m = pairs.shape[1]
        out = np.full((bags, m), -7, points.dtype)
        wide = int(points.dtype == np.float64)
        code = METRICS[metric]
        self._call("host_pair_lengths", points, wide, code, bags, n, d, pairs, m, out)
        return out

    def farthest_pairs(self, points: Array, metric: str = "euclidean") -> Array:
        bags, n, d = points.shape
        pairs = np.full((bags, 2), -7, np.int64)
        wide = int(points.dtype == np.float64)
        self._call("host_farthest_pairs", points, wide, METRICS[metric], bags, n, d, pairs)
        return pairs

    def signature_step(
        self,
        x: Array,
        z: Array,
        pairs_x: Array,
        metric_x: str = "euclidean",
        metric_z: str = "euclidean",
        lengths: Array | None = None,
    ) -> tuple[Array, ...]:
        """The pairs, lengths, losses and gradients of the form "paper", in one launch."""
        bags, n, d = z.shape
        pairs = np.full((bags, 2 * n - 2, 2), -7, np.int64)
        a, b = (np.full((bags, 2 * n - 2), -7, points.dtype) for points in (x, z))
        out = pairs, a, b, np.full(bags, -7, np.promote_types(x.dtype, z.dtype))
        gradients = np.full(x.shape, -7, x.dtype), np.full(z.shape, -7, z.dtype)
        self._call(
            "host_signature_step",
            *(x, int(x.dtype == np.float64), METRICS[metric_x], x.shape[-1]),
            *(z, int(z.dtype == np.float64), METRICS[metric_z], d),
            *(bags, n, lengths, pairs_x, *out, *gradients),
        )
        return *out, *gradients

    def _call(self, name: str, *arguments: Any) -> None:
        converted = [_argument(a) for a in arguments]
        if getattr(self.library, name)(*converted):
            raise RuntimeError(self.library.last_error().decode())


def _argument(value: Any) -> Any:
    if value is None:
        return ctypes.c_void_p()
    if isinstance(value, np.ndarray):
        assert value.flags.c_contiguous
        return ctypes.c_void_p(value.ctypes.data)
    return ctypes.c_int64(value)
