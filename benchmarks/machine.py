"""Describe the machine and the software a result was measured with, without naming the host."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

import torch

import torchtopo

PEERS = (
    "torch-topological", "ripser", "giotto-ph", "gudhi", "hdbscan", "quitefastmst",
    "scikit-learn", "scipy", "numpy",
)  # fmt: skip


def describe() -> dict[str, Any]:
    """CPU model, cores, instruction sets, memory and versions, ready for a results file."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "simd": simd(),
        "isa_used": isa_used(),
        "memory_gb": memory_gb(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchtopo": torchtopo.__version__,
        "peers": {name: version(name) for name in PEERS},
    }


def isa_used() -> str:
    """The instruction set that torchtopo's kernels chose, from what it says of itself."""
    for line in torchtopo.show_config().splitlines():
        name, _, value = line.partition(": ")
        if name == "instruction set":
            return value.split(" ")[0]
    return "unknown"


def version(distribution: str) -> str:
    """The installed version of a distribution, or ``"not installed"``."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def cpu_model() -> str:
    """The processor's model name, with family and model number where Linux tells them."""
    fields = _cpuinfo()
    name = fields.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in fields:
        return f"{name} (family {fields['cpu family']}, model {fields.get('model', '?')})"
    return name


def simd() -> str:
    """The widest vector instruction set of the processor that the kernels know."""
    flags = _cpuinfo().get("flags", "").split()
    if "avx512f" in flags:
        return "AVX-512"
    if "avx2" in flags:
        return "AVX2"
    return platform.machine()


def memory_gb() -> int:
    """Physical memory in GB, rounded."""
    if not hasattr(os, "sysconf"):
        return 0
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9)


def sentence(machine: dict[str, Any]) -> str:
    """One line that names the machine and the main versions."""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['simd']} "
        f"(kernels: {machine['isa_used']}), {machine['memory_gb']} GB, {machine['system']}, "
        f"Python {machine['python']}, torch {machine['torch']}, torchtopo {machine['torchtopo']}"
    )


def _cpuinfo() -> dict[str, str]:
    try:
        with open("/proc/cpuinfo") as file:
            first = file.read().split("\n\n")[0]
    except OSError:
        return {}
    return {k.strip(): v.strip() for k, _, v in (x.partition(":") for x in first.splitlines())}
