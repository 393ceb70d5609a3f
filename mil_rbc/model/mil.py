"""The model: encoder, pooling, bag head and instance head."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mil_rbc.data.bags import Kind
from mil_rbc.model.choices import Activation, Attention, Preset
from mil_rbc.model.encoders import ENCODERS, Standardize
from mil_rbc.model.pooling import Pooled
from mil_rbc.model.summaries import SUMMARIES, summaries
from mil_rbc.model.variants import POOLINGS

HIDDEN = 10  # units of the bag head

ACTIVATIONS: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "elu": nn.ELU, "tanh": nn.Tanh}


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
        attention: of the poolings that learn it, plain or gated.
        dropout: share of the hidden layer of vectors that is dropped while training.
        summaries: whether 0-dimensional summaries of the latents are joined to the pooled vector.
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
    attention: Attention = "plain"
    dropout: float = 0.0
    summaries: bool = False

    def plain(self) -> dict[str, Any]:
        """As plain values, for a checkpoint."""
        return {**asdict(self), "classes": list(self.classes)}


class Output(NamedTuple):
    """What the model says of padded bags.

    Attributes:
        bag: (B, C) logits of the bags.
        latents: (B, N, F).
        pooled: the pooled vectors with their weights.
    """

    bag: Tensor
    latents: Tensor
    pooled: Pooled


class MILModel(nn.Module):
    """Multiple instance classifier with a bag head and an instance head (paper, Fig. 3).

    It sees instances and lengths, never a label. The instance head takes latents to logits; it is
    left to the loss that needs it.

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
        self.bag_head = Head(a.latent, HIDDEN, len(a.classes), a.activation)
        self.instance_head = Head(a.latent, 32, len(a.classes), a.activation)
        self.pooling = POOLINGS[a.pooling].make(a)
        # Further columns of the bag head's first layer, apart and last for the same reason.
        self.joined = nn.Linear(SUMMARIES, HIDDEN, bias=False) if a.summaries else None

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
            lengths = torch.full((bags,), n, device=latents.device)
        mask = torch.arange(n, device=latents.device) < lengths[:, None]
        pooled: Pooled = self.pooling(latents, mask)
        more = None if self.joined is None else self.joined(summaries(latents, lengths))
        logits = self.bag_head(pooled.vector, more)
        return Output(logits, latents, pooled)


class Head(nn.Sequential):
    """A classifier head: linear, activation, linear; it knows which hidden units ever fired.

    `fired`, (hidden,) bool, is no part of a checkpoint: while training a unit is marked there as
    soon as it is not 0 for some row, until `fired` is set to False again.
    """

    fired: Tensor

    def __init__(self, latent: int, hidden: int, classes: int, activation: Activation) -> None:
        super().__init__(
            nn.Linear(latent, hidden), ACTIVATIONS[activation](), nn.Linear(hidden, classes)
        )
        self.register_buffer("fired", torch.zeros(hidden, dtype=torch.bool), persistent=False)

    def forward(self, x: Tensor, more: Tensor | None = None) -> Tensor:
        """Logits (..., classes) of vectors (..., latent); `more` is added before the activation."""
        first, activation, last = self
        before = first(x)
        hidden: Tensor = activation(before if more is None else before + more)
        if self.training:
            self.fired |= (hidden.detach() != 0).flatten(0, -2).any(0)
        logits: Tensor = last(hidden)
        return logits


def to_unit(instances: Tensor) -> Tensor:
    """Crops in [0, 1]; anything else as it is, in float32."""
    if instances.dtype == torch.uint8:
        return instances.float() / 255
    return instances.float()
