"""What this build is and what it found."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from torchtopo import _C

try:
    __version__ = version("torchtopo")
except PackageNotFoundError:  # used from a checkout that was never installed
    __version__ = "0+unknown"


def show_config() -> str:
    """What to paste into a bug report: versions, instruction set, CUDA support.

    Returns:
        Lines `name: value`; `python -m torchtopo` prints them before its self-check.

    Examples:
        >>> import torchtopo
        >>> print(torchtopo.show_config())  # doctest: +ELLIPSIS
        torchtopo: ...
    """
    config = _C.config()
    lines = {
        "torchtopo": __version__,
        "compiler": config["compiler"],
        "instruction set": f"{config['isa']} (of {', '.join(_timed(config))})",
        "threads": str(torch.get_num_threads()),
        "CUDA kernels": _cuda_support(config),
        "CUDA device": _cuda_device(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    return "\n".join(f"{name}: {value}" for name, value in lines.items())


def _timed(config: dict[str, Any]) -> list[str]:
    """The instruction sets there are, with the time of those that were tried against each other."""
    times = {name: f" {seconds * 1e6:.0f} µs" for name, seconds in config["isa_times"].items()}
    return [name + times.get(name, "") for name in config["isas"]]


def _cuda_support(config: dict[str, object]) -> str:
    if not config["cuda"]:
        return "not built (rebuild where nvcc is installed, with TORCHTOPO_CUDA=1)"
    archs = config["cuda_archs"]
    listed = ", ".join(str(a) for a in archs) if isinstance(archs, list | tuple) else str(archs)
    return f"built with CUDA {config['cuda_version']} for {listed}"


def _cuda_device() -> str:
    if not torch.cuda.is_available():
        return "none that torch can use"
    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
