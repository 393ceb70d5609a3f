"""A frozen network that turns crops of cells into vectors, and what names it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mil_rbc.data.bags import Encoding
from mil_rbc.errors import DataError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_BATCH = 16  # cells at once: more fall out of the caches of a CPU


@dataclass(frozen=True)
class Preprocessing:
    """From grey crops to what the network was trained on.

    Attributes:
        side: height and width that crops are brought to, bilinearly.
        mean, std: of each of the three channels of a picture in [0, 1]; the grey crop is each.

    Shape:
        (N, H, W) uint8 → (N, 3, side, side) float32.
    """

    side: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __call__(self, crops: Tensor) -> Tensor:
        x = crops[:, None].float() / 255
        if x.shape[-2:] != (self.side, self.side):
            x = F.interpolate(x, (self.side, self.side), mode="bilinear", align_corners=False)
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (self.mean, self.std))
        return (x - mean) / std


class FrozenEncoder:
    """Crops in, one vector a cell out; the weights are not trained.

    Args:
        name: as `--instances` names it.
        words: what the report calls it, such as `"EfficientNet-Lite0, trained on ImageNet"`.
        network: (N, 3, side, side) → (N, features).
        features: width of a vector.
        least_side: of a crop; below it the network's last map would show less than it has places.
        preprocessing: what is done to the crops first.
        architecture: name of the network, part of the hash.

    Examples:
        >>> mean = FrozenEncoder("mean", "the mean of each channel", nn.Sequential(
        ...     nn.AdaptiveAvgPool2d(1), nn.Flatten()), 3, 8, Preprocessing(8), "mean")
        >>> mean(np.zeros((5, 64, 64), np.uint8)).shape
        (5, 3)
    """

    def __init__(
        self, name: str, words: str, network: nn.Module, features: int, least_side: int,
        preprocessing: Preprocessing, architecture: str,
    ) -> None:  # fmt: skip
        self.network = network.eval().requires_grad_(False)
        self.preprocessing = preprocessing
        self.encoding = Encoding(
            name, words, features, least_side,
            weights_sha256(network, f"{architecture}; {preprocessing}"),
        )  # fmt: skip

    @torch.inference_mode()
    def __call__(
        self, crops: NDArray[np.uint8], done: Callable[[int], None] = lambda _: None
    ) -> NDArray[np.float32]:
        """Encode crops (N, H, W) uint8 as (N, features) float32; `done` is told how many are.

        Raises:
            DataError: if the crops are too small for the network.
        """
        e = self.encoding
        if min(crops.shape[1:]) < e.least_side:
            raise DataError(
                f"crops of {crops.shape[1]}×{crops.shape[2]} pixels are too small for the encoder "
                f"{e.name!r}, which needs sides of {e.least_side}: use --instances crops"
            )
        self.network.to(memory_format=torch.channels_last)
        rows = np.empty((len(crops), e.features), dtype=np.float32)
        for start in range(0, len(crops), _BATCH):
            part = slice(start, start + _BATCH)
            x = self.preprocessing(torch.from_numpy(np.array(crops[part])))
            rows[part] = self.network(x.contiguous(memory_format=torch.channels_last)).numpy()
            done(min(start + _BATCH, len(crops)))
        return rows


def weights_sha256(network: nn.Module, header: str) -> str:
    """SHA-256 over a header and every weight by name; the file they came in does not matter."""
    digest = hashlib.sha256(header.encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
