"""The model: encoder, pooling, bag head and instance head."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from mil_rbc.data.bags import Kind
from mil_rbc.model.encoders import ENCODERS, Standardize
from mil_rbc.model.gaussian import Preset
from mil_rbc.model.pooling import POOLINGS, Pooled

Activation = Literal["relu", "elu", "tanh"]


@dataclass(frozen=True)
class Architecture:
    """What is needed to build a model again; saved with every checkpoint.

    Attributes:
        kind: kind of instance.
        features: width of a vector instance; 0 for the other kinds.
        classes: class names, in the order of the logits.
        pooling: which pooling.
        latent: width of the latent vectors.
        hidden: width of the hidden layer between vectors and latents.
        input_size: side at which crops are encoded.
        anomaly: preset of the anomaly-aware pooling.
        components: Gaussians of the anomaly-aware pooling.
        activation: of the two heads' hidden layers. Right after initialisation the pooled vectors
            of all bags nearly agree, and the first epoch's steps push most of the 10 hidden ReLUs
            of the bag head below zero for every bag, where they stay; ELUs come back.
    """

    kind: Kind
    features: int
    classes: tuple[str, ...]
    pooling: str
    latent: int = 500
    hidden: int = 256
    input_size: int = 64
    anomaly: Preset = "robust"
    components: int = 1
    activation: Activation = "elu"

    def plain(self) -> dict[str, Any]:
        """As plain values, for a checkpoint."""
        return {**asdict(self), "classes": list(self.classes)}


class Output(NamedTuple):
    """What the model says of padded bags.

    Attributes:
        bag: (B, C) logits of the bags.
        instance: (B, N, C) logits of the instances.
        latents: (B, N, F).
        pooled: the pooled vectors with their weights.
    """

    bag: Tensor
    instance: Tensor
    latents: Tensor
    pooled: Pooled


class MILModel(nn.Module):
    """Multiple instance classifier with a bag head and an instance head (paper, Fig. 3).

    It sees instances and lengths, never a label.

    Shape:
        instances (B, N, ...) as the cohort has them (uint8 crops are brought to [0, 1]),
        lengths (B,) int or `None` where all bags are full → `Output`.

    Examples:
        >>> architecture = Architecture("vector", 7, ("no", "yes"), "attention")
        >>> MILModel(architecture)(torch.randn(1, 12, 7)).bag.shape
        torch.Size([1, 2])
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        # The encoder and the heads come first: all poolings of a seed start from the same ones.
        self.encoder = ENCODERS[a.kind].make(a)
        self.bag_head = head(a.latent, 10, len(a.classes), a.activation)
        self.instance_head = head(a.latent, 32, len(a.classes), a.activation)
        self.pooling = POOLINGS[a.pooling].make(a.latent, a.components, a.anomaly)

    @property
    def standardize(self) -> Standardize:
        """The encoder's standardisation of its input."""
        assert isinstance(self.encoder.standardize, Standardize)
        return self.encoder.standardize

    def encode(self, instances: Tensor) -> Tensor:
        """Latent vectors (N, F) of instances (N, ...)."""
        latents: Tensor = self.encoder(to_unit(instances))
        return latents

    def forward(self, instances: Tensor, lengths: Tensor | None = None) -> Output:
        bags, n = instances.shape[:2]
        latents = self.encode(instances.flatten(0, 1)).reshape(bags, n, -1)
        if lengths is None:
            mask = torch.ones(bags, n, dtype=torch.bool, device=latents.device)
        else:
            mask = torch.arange(n, device=latents.device) < lengths[:, None]
        pooled: Pooled = self.pooling(latents, mask)
        return Output(self.bag_head(pooled.vector), self.instance_head(latents), latents, pooled)


def head(latent: int, hidden: int, classes: int, activation: Activation) -> nn.Sequential:
    """A classifier head: linear, activation, linear."""
    between: nn.Module = {"relu": nn.ReLU, "elu": nn.ELU, "tanh": nn.Tanh}[activation]()
    return nn.Sequential(nn.Linear(latent, hidden), between, nn.Linear(hidden, classes))


def to_unit(instances: Tensor) -> Tensor:
    """Crops in [0, 1]; anything else as it is, in float32."""
    if instances.dtype == torch.uint8:
        return instances.float() / 255
    return instances.float()
