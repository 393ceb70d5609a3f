"""Poolings: from the latent vectors of a bag to one vector for the bag."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mil_rbc.model.choices import Attention, Preset
from mil_rbc.model.gaussian import ControlGaussian


class Pooled(NamedTuple):
    """What a pooling makes of padded bags; rows past a bag's length are 0.

    Attributes:
        vector: (B, F) the bag.
        weights: (B, N) how much each instance counts; for max the share of features it supplies.
        attention: (B, N) attention, or `None` where there is none.
        anomaly: (B, N) distance from the control cells, or `None` where it is not measured.
    """

    vector: Tensor
    weights: Tensor
    attention: Tensor | None = None
    anomaly: Tensor | None = None


class AveragePooling(nn.Module):
    """Mean over the instances of a bag: latents (B, N, F) and mask (B, N) → `Pooled`."""

    def forward(self, latents: Tensor, mask: Tensor) -> Pooled:
        weights = mask.to(latents.dtype)
        weights = weights / weights.sum(1, keepdim=True)
        return Pooled(torch.einsum("bn,bnf->bf", weights, latents), weights)


class MaxPooling(nn.Module):
    """Maximum over the instances of a bag, feature by feature: (B, N, F), (B, N) → `Pooled`."""

    def forward(self, latents: Tensor, mask: Tensor) -> Pooled:
        # Padding is -inf, not 0: a bag whose features are all negative has a negative maximum.
        vector, winner = latents.masked_fill(~mask[..., None], -torch.inf).max(1)
        share = torch.zeros_like(mask, dtype=latents.dtype)
        ones = torch.full_like(vector, 1 / vector.shape[1], dtype=latents.dtype)
        return Pooled(vector, share.scatter_add(1, winner, ones.detach()))


class AttentionPooling(nn.Module):
    """Mean weighted by learned attention: linear, tanh, linear, softmax over the bag.

    `"gated"` attention multiplies the tanh by the sigmoid of a linear layer of its own.

    Source: Ilse et al. 2018, Eq. 8 and 9, the widths those of Sadafi et al. 2020.
    """

    def __init__(self, latent: int, attention: Attention = "plain", hidden: int = 128) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(latent, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.gate = nn.Linear(latent, hidden) if attention == "gated" else None

    def attention(self, latents: Tensor, mask: Tensor) -> Tensor:
        """Attention of each instance, (B, N); it sums to 1 over a bag."""
        first, tanh, last = self.score
        hidden = tanh(first(latents))
        if self.gate is not None:
            hidden = hidden * self.gate(latents).sigmoid()
        return masked_softmax(last(hidden)[..., 0], mask)

    def forward(self, latents: Tensor, mask: Tensor) -> Pooled:
        weights = self.attention(latents, mask)
        return Pooled(torch.einsum("bn,bnf->bf", weights, latents), weights, weights)


class AnomalyPooling(AttentionPooling):
    """Attention and anomaly together: weights w_a·A_n + w_d·D_n + b, three learned scalars.

    D is the softmax over the bag of each instance's distance d from the control cells; no gradient
    flows through it. With preset `"paper"` b is added as it is, so the pooled vector grows with the
    bag; with `"robust"` b is divided by the bag's size, so that a bag given twice over is pooled to
    the same vector.

    Source: Kazeminia et al., MICCAI 2022.
    """

    def __init__(
        self, latent: int, attention: Attention = "plain", components: int = 1,
        preset: Preset = "paper",
    ) -> None:  # fmt: skip
        super().__init__(latent, attention)
        self.preset = preset
        self.control = ControlGaussian(latent, components, preset)
        self.w_attention = nn.Parameter(torch.tensor(0.5))
        self.w_anomaly = nn.Parameter(torch.tensor(0.5))
        self.bias = nn.Parameter(torch.tensor(0.0))

    def forward(self, latents: Tensor, mask: Tensor) -> Pooled:
        attention = self.attention(latents, mask)
        distance = self.control(latents)
        anomaly = masked_softmax(distance, mask).to(attention.dtype)
        bias: Tensor = self.bias
        if self.preset == "robust":
            bias = bias / mask.sum(1, keepdim=True)
        weights = self.w_attention * attention + self.w_anomaly * anomaly + bias
        weights = weights.masked_fill(~mask, 0)
        vector = torch.einsum("bn,bnf->bf", weights, latents)
        return Pooled(vector, weights, attention, distance.masked_fill(~mask, 0))


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last dimension of `scores` (B, N) where `mask` holds, 0 elsewhere."""
    return scores.masked_fill(~mask, -torch.inf).softmax(-1)
