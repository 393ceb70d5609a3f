"""What the experiment compares, by name: poolings and arms; their code is imported when made."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mil_rbc.model.choices import Convention
from mil_rbc.registry import Registry

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Pooling:
    """A pooling by name, and what the rest of the experiment has to know about it.

    Attributes:
        make: from what an `Architecture` says to the module: latents (B, N, F), mask (B, N) →
            `Pooled`.
        words: what it does, for help and report.
        decays_beta: trained with the instance loss too, whose weight β decays with the epochs.
        needs_control: has a `ControlGaussian` called `control`, to be fitted on control cells.
    """

    make: Callable[[Any], nn.Module]
    words: str
    decays_beta: bool = False
    needs_control: bool = False


def _pooling(name: str, *fields: str) -> Callable[[Any], Any]:
    """The class of that name; it takes these fields of an `Architecture`."""

    def make(architecture: Any) -> Any:
        given = [getattr(architecture, field) for field in fields]
        return pkgutil.resolve_name(f"mil_rbc.model.pooling:{name}")(*given)

    return make


POOLINGS = Registry(
    "pooling",
    {  # in the paper's order
        "average": Pooling(_pooling("AveragePooling"), "mean over the cells"),
        "anomaly": Pooling(
            _pooling("AnomalyPooling", "latent", "attention", "components", "anomaly"),
            "attention and distance from control cells",
            decays_beta=True,
            needs_control=True,
        ),
        "attention": Pooling(
            _pooling("AttentionPooling", "latent", "attention"),
            "learned attention",
            decays_beta=True,
        ),
        "max": Pooling(_pooling("MaxPooling"), "maximum over the cells, feature by feature"),
    },
)


@dataclass(frozen=True)
class Arm:
    """What is compared with doing nothing.

    Attributes:
        short: heads a column beside "without".
        noun: what is with or without.
        words: what it is, for help and report.
        term: from the convention of the signature loss to the loss of a bag: image space, latents
            (N, F) → (); `None` where no loss is added.
        summaries: whether 0-dimensional summaries of the bag are joined to the pooled vector.
        changes: options of the run that are otherwise for this arm; a control against overfitting
            is one that other work would have taken.
    """

    short: str
    noun: str
    words: str
    term: Callable[[Convention], nn.Module] | None = None
    summaries: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)


def _term(name: str) -> Callable[[Convention], Any]:
    return lambda convention: pkgutil.resolve_name(f"mil_rbc.model.terms:{name}")(convention)


OFF = "off"
ALIASES = {"on": "signature"}
"""Other names that arms may be given; results of earlier versions have them."""

ARMS = Registry(
    "arm",
    {
        OFF: Arm("without", "nothing", "nothing is added"),
        "signature": Arm(
            "with", "topology", "the signature loss is added", _term("signature")
        ),
        "features": Arm(
            "features", "topological features",
            "summaries of the bag's deaths are joined to the pooled vector", summaries=True,
        ),
        "connectivity": Arm(
            "connectivity", "the connectivity loss",
            "the distance of the latents' deaths from η = 2 is added (Hofer et al. 2019)",
            _term("connectivity"),
        ),
        "spread": Arm(
            "spread", "the spread loss",
            "the length of the latents' tree is rewarded (T-REGS)", _term("spread"),
        ),
        "rtd_lite": Arm(
            "RTD-Lite", "RTD-Lite",
            "the difference of the trees of both spaces and of their minimum is added",
            _term("rtd_lite"),
        ),
        "weight_decay": Arm(
            "weight decay", "weight decay",
            "no topology: an L2 penalty of 0.001 on all weights (Adam's weight_decay)",
            changes={"weight_decay": 1e-3},
        ),
        "early_stopping": Arm(
            "early stopping", "early stopping",
            "no topology: a part of the training patients is validated on instead, training ends 5 "
            "epochs after the lowest loss there, and that epoch is tested, or the mean of the last "
            "weights (--averaged_epochs) where it is better there",
            changes={"protocol": "nested", "patience": 5},
        ),
    },
)  # fmt: skip
