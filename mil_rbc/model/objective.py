"""The loss of one bag: L = (1-β)·L_MIL + β·L_SIC + λ·L_topo."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mil_rbc.model.mil import MILModel
from mil_rbc.model.terms import Regularizer
from mil_rbc.model.topology import InputSpace

PARTS = ("L_MIL", "L_SIC", "L_class", "L_topo", "correct", "correct_instances")


class BagData(NamedTuple):
    """What training knows of a bag: instances (N, ...), label () int64, image space or `None`."""

    instances: Tensor
    label: Tensor
    space: InputSpace | None


class Objective(nn.Module):
    """Everything that is trained, and the loss it is trained by.

    Args:
        model: the classifier.
        regularizer: the topology term, or `None`.
        lam: its weight λ; may be changed between epochs.
        class_weights: (C,) weights of the classes in both cross-entropies, or `None`.

    Shape:
        bag, β → loss (), and its parts (6,) in the order of `PARTS`, without gradient.

    Source: paper, Eq. 4 and 5.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        model: MILModel,
        regularizer: Regularizer | None,
        lam: float,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.regularizer = regularizer
        self.lam = lam
        self.register_buffer("class_weights", class_weights)

    def forward(self, bag: BagData, beta: float) -> tuple[Tensor, Tensor]:
        out = self.model(bag.instances[None])
        latents = out.latents.squeeze(0)  # the way back of [0] would write zeros first
        label = bag.label[None]
        mil = weigh(F.cross_entropy(out.bag.float(), label), self.class_weights, bag.label)
        loss = (1 - beta) * mil
        nothing = mil.new_zeros(())
        sic = correct_instances = topo = nothing
        if beta > 0:  # every cell carries its bag's label
            logits = self.model.instance_head(latents).float()
            each = label.expand(len(logits))
            sic = weigh(F.cross_entropy(logits, each), self.class_weights, bag.label)
            loss = loss + beta * sic
            correct_instances = (logits.detach().argmax(1) == each).float().mean()
        classification = loss
        if self.regularizer is not None:
            assert bag.space is not None
            if self.lam > 0:
                topo = self.regularizer(bag.space, latents)
                loss = torch.add(loss, topo, alpha=self.lam)
            else:
                with torch.no_grad():
                    topo = self.regularizer(bag.space, latents)
        correct = (out.bag.detach().argmax(1) == label).float().sum()
        parts = [mil, sic, classification, topo, correct, correct_instances]
        return loss, torch.stack([p.detach().float() for p in parts])


def weigh(loss: Tensor, weights: Tensor | None, label: Tensor) -> Tensor:
    """Weigh a bag's loss; `cross_entropy(weight=...)` would divide the weight out again."""
    return loss if weights is None else loss * weights[label]
