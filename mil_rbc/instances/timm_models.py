"""Any model of timm as a frozen encoder: `timm:NAME`, or `timm:NAME@FILE` with its own weights."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mil_rbc.errors import RunError
from mil_rbc.instances.encoder import FrozenEncoder, Preprocessing

SIDE = 112


def make(detail: str) -> FrozenEncoder:
    """Build the model and load its weights.

    Without a file timm looks for the weights it knows by that name, first on this machine; naming a
    model is what allows their download.

    Args:
        detail: `NAME` or `NAME@FILE`; a file of torch or safetensors.

    Raises:
        RunError: if timm is not installed, has no such model, or the weights cannot be had.
    """
    name, at, file = detail.partition("@")
    try:
        import timm
    except ImportError as error:
        raise RunError(
            f"--instances timm:{detail} needs timm, which is not installed: pip install "
            f"'torchtopo[timm]'"
        ) from error
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 3, cutoff=0.4)
        raise RunError(
            f"timm has no model {name!r}: "
            + (f"did you mean {' or '.join(near)}?" if near else "timm.list_models() lists them")
        )
    network = _from_file(timm, name, Path(file)) if at else _by_name(timm, name)
    config = network.pretrained_cfg
    side = int(config["input_size"][-1]) if config.get("fixed_input_size") else SIDE
    return FrozenEncoder(
        f"timm:{detail}", f"{name} of timm {f'with weights {Path(file).name}, ' if at else ''}"
        f"frozen", _Vectors(network), features=_width(network, side), least_side=_stride(network),
        preprocessing=Preprocessing(side, tuple(config["mean"]), tuple(config["std"])),
        architecture=f"timm {name}",
    )  # fmt: skip


class _Vectors(nn.Module):
    """What timm's model gives without its classifier: one vector a picture."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.network(x)
        return features.flatten(1)


@torch.inference_mode()
def _width(network: nn.Module, side: int) -> int:
    return int(network.eval()(torch.zeros(1, 3, side, side)).flatten(1).shape[1])


def _stride(network: Any) -> int:
    """Pixels that one place of the last map stands for."""
    about = getattr(network, "feature_info", None) or [{"reduction": 32}]
    reductions = [level["reduction"] for level in about] if isinstance(about, list) else (
        about.reduction()
    )  # fmt: skip
    return int(reductions[-1])


def _from_file(timm: Any, name: str, file: Path) -> Any:
    if not file.is_file():
        raise RunError(f"--instances timm:{name}@{file}: there is no file {file}; correct the path")
    network = timm.create_model(name, pretrained=False, num_classes=0)
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            weights: Any = load_file(file)
        else:
            weights = torch.load(file, map_location="cpu", weights_only=True)
        weights = weights.get("state_dict", weights)
        missing = network.load_state_dict(weights, strict=False).missing_keys
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise RunError(
            f"{file} cannot be read as weights of {name} ({said}): name another"
        ) from error
    if missing:
        raise RunError(
            f"{file} has no weights for {missing[0]!r} and {len(missing) - 1} more of {name}: name "
            f"a file of that model"
        )
    return network


def _by_name(timm: Any, name: str) -> Any:
    if not timm.get_pretrained_cfg(name) or not timm.is_model_pretrained(name):
        raise RunError(
            f"timm has no weights for {name!r}: give a file of your own, --instances "
            f"timm:{name}@FILE"
        )
    print(f"weights of timm:{name}: from this machine, or downloaded by timm", file=sys.stderr)
    try:
        return timm.create_model(name, pretrained=True, num_classes=0)
    except Exception as error:
        said = " ".join(str(error).split())[:160]
        raise RunError(
            f"the weights of timm:{name} are not on this machine and cannot be downloaded ({said}):"
            f" fetch them elsewhere and give the file, --instances timm:{name}@FILE"
        ) from error
