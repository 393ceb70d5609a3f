"""What the package promises of every function and loss: the lists that the tests run over.

One line here brings a new function or loss under every promise of test_contract.py: batches,
vmap, derivatives, torch.compile, half types, the meta device, NaN and errors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torchtopo
from tests.losses.samples import LOSSES as OF_ONE_SPACE
from tests.losses.samples import other_space
from torchtopo._losses.signature import FORMS
from torchtopo._metric import METRICS as METRICS
from torchtopo._metric import POINT_METRICS as POINT_METRICS

NORMS = POINT_METRICS[:3]  # metrics that are norms of differences
CONVENTIONS = tuple(FORMS)


class Function(NamedTuple):
    """`call(points, metric=..., lengths=..., cu_seqlens=...)`, a row for each edge of the tree."""

    call: Callable[..., Any]
    values: bool = True  # differentiable lengths in the points' dtype; else int64


def weights_of_the_tree(points: Any, metric: str = "euclidean", **ragged: Any) -> Any:
    """Lengths of the pairs, measured by a call of their own."""
    pairs = torchtopo.vietoris_rips_pairs(points, metric=metric, **ragged)
    return torchtopo.pair_distances(points, pairs, metric=metric)


FUNCTIONS = {
    "vietoris_rips_pairs": Function(torchtopo.vietoris_rips_pairs, values=False),
    "vietoris_rips_generators": Function(torchtopo.vietoris_rips_generators, values=False),
    "deaths": Function(torchtopo.deaths),
    "persistence_diagram": Function(torchtopo.persistence_diagram),
    "pair_distances": Function(weights_of_the_tree),
}


def signature(z: Any, convention: str, **options: Any) -> Any:
    options.setdefault("reduction", "none")
    return torchtopo.signature_loss(other_space(z), z, convention=convention, **options)


# `loss(z, reduction=..., lengths=..., cu_seqlens=...)`, per bag with reduction "none".
LOSSES: dict[str, Callable[..., Any]] = {
    **{name: sample.loss for name, sample in OF_ONE_SPACE.items()},
    **{f"signature, {name}": partial(signature, convention=name) for name in CONVENTIONS},
}
