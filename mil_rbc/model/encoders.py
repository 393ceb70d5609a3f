"""Encoders: from one instance to its latent vector."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mil_rbc.registry import Registry


class Standardize(nn.Module):
    """Subtract a mean and divide by a standard deviation measured on the training fold.

    Crops and RoI features share one mean and one deviation, vectors have a mean for each feature
    and, unless it is shared, a deviation. Both are buffers: they belong to the checkpoint.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))

    @torch.no_grad()
    def fit(self, instances: Iterable[Tensor], shared: bool = False) -> None:
        """Measure both on `instances`, (N, ...) tensors from the training fold.

        Args:
            instances: of the training fold.
            shared: divide all features by one deviation. Features of a network that hardly vary
                say little, and a deviation each would make them as loud as the others.
        """
        count = 0
        total = squares = torch.zeros((), dtype=torch.float64)
        for x in instances:
            rows = x.double().reshape(-1, self.mean.numel() if self.mean.numel() > 1 else 1)
            count += len(rows)
            total = total + rows.sum(0)
            squares = squares + rows.square().sum(0)
        mean = total / count
        variance = (squares / count - mean.square()).clamp_min(0)
        std = (variance.mean().expand_as(variance) if shared else variance).sqrt()
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 1e-6, std, 1.0))  # a constant feature stays constant

    def forward(self, x: Tensor) -> Tensor:
        return (x.to(self.mean.dtype) - self.mean) / self.std


class CropEncoder(nn.Module):
    """LeNet for single-cell crops: two 5×5 convolutions with pooling, then a linear layer.

    Args:
        latent: width of the latent vector.
        input_size: side to which the 64×64 crop is averaged down before the first convolution
            (64: not at all). 28, for which LeNet was made, costs a seventh of 64.

    Shape:
        (N, 64, 64) in [0, 1] → (N, latent), not negative.

    Examples:
        >>> CropEncoder(500)(torch.rand(3, 64, 64)).shape
        torch.Size([3, 500])
    """

    def __init__(self, latent: int, input_size: int = 64) -> None:
        super().__init__()
        self.input_size = input_size
        self.standardize = Standardize(1)
        side = ((input_size - 4) // 2 - 4) // 2
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.ReLU(),
            nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.ReLU(),
        )  # fmt: skip
        self.linear = nn.Linear(50 * side * side, latent)
        # Channels last is 1.5 to 2 times as fast on a CPU: 20 and 50 channels suit no block size.
        self.convolutions.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        x = self.standardize(x)[:, None]
        if x.shape[-1] != self.input_size:
            x = F.adaptive_avg_pool2d(x, self.input_size)
        x = self.convolutions(x.to(memory_format=torch.channels_last))
        return F.relu(self.linear(x.flatten(1)))


class RoIEncoder(nn.Module):
    """Encoder of the paper's group for RoI features of a Mask R-CNN.

    Shape:
        (N, 256, 14, 14) → (N, latent), not negative.

    Source: the public code of Sadafi et al. 2020 and Kazeminia et al. 2022.
    """

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.standardize = Standardize(1)
        self.convolutions = nn.Sequential(
            nn.Conv2d(256, 301, 2, stride=2, padding=2), nn.ReLU(),
            nn.Conv2d(301, 500, 2, stride=2), nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(500, 650, 2, stride=2), nn.ReLU(),
        )  # fmt: skip
        self.linear = nn.Linear(650, latent)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.linear(self.convolutions(self.standardize(x)).flatten(1)))


class VectorEncoder(nn.Module):
    """Two-layer perceptron for tabular instances; of its hidden layer a share may be dropped.

    Shape:
        (N, features) → (N, latent), not negative.
    """

    def __init__(self, features: int, latent: int, hidden: int = 256, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.standardize = Standardize(features)
        self.first = nn.Linear(features, hidden)
        self.second = nn.Linear(hidden, latent)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.first(self.standardize(x)))
        if self.dropout > 0:
            hidden = F.dropout(hidden, self.dropout, self.training)
        return F.relu(self.second(hidden))


class Sizes(Protocol):
    """Widths and sides that decide an encoder; `model.mil.Architecture` has them."""

    @property
    def features(self) -> int: ...
    @property
    def latent(self) -> int: ...
    @property
    def hidden(self) -> int: ...
    @property
    def input_size(self) -> int: ...
    @property
    def dropout(self) -> float: ...


@dataclass(frozen=True)
class Encoder:
    """The encoder of a kind of instance.

    Attributes:
        make: the module from the widths and sides that an `Architecture` has.
        words: what it is, for the report.
    """

    make: Callable[[Sizes], nn.Module]
    words: str


ENCODERS = Registry(
    "kind of instance",
    {
        "crop": Encoder(lambda a: CropEncoder(a.latent, a.input_size), "LeNet on crops"),
        "roi": Encoder(
            lambda a: RoIEncoder(a.latent), "convolutions on RoI features of a detector"
        ),
        "vector": Encoder(
            lambda a: VectorEncoder(a.features, a.latent, a.hidden, a.dropout),
            "two-layer perceptron on feature vectors",
        ),
    },
)
