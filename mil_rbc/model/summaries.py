"""What the 0-dimensional topology of a bag says, as a few numbers."""

from __future__ import annotations

import torch
from torch import Tensor

import torchtopo

SUMMARIES = 7
"""How many numbers."""


def summaries(latents: Tensor, lengths: Tensor) -> Tensor:
    """0-dimensional summaries of each bag, differentiable: (B, N, F) and lengths (B,) → (B, 7).

    The five quartiles and the mean of log(1 + death), and the entropy of the deaths over its
    largest value; 0 for a bag of one instance.
    """
    bags, n = latents.shape[:2]
    if n < 2:
        return latents.new_zeros(bags, SUMMARIES)
    died = torchtopo.deaths(latents.float(), lengths=lengths)  # ascending, 0 past a bag's length
    last = (lengths - 2).clamp_min(0)
    quarters = torch.linspace(0, 1, 5, device=latents.device)
    places = (quarters * last[:, None]).round().long()
    logs = died.log1p()
    mean = logs.sum(1, keepdim=True) / (last + 1)[:, None]
    most = (last + 1).to(died.dtype).log().clamp_min(1e-12)
    entropy = torchtopo.persistent_entropy(died) / most
    found = torch.cat([logs.gather(1, places), mean, entropy[:, None]], 1)
    return torch.where((lengths > 1)[:, None], found, 0.0)
