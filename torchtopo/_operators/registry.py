"""The operators `torch.ops.torchtopo.*`, a list: what each is called, and who serves it where.

The operators are discrete or plain measurements, so none has a derivative; `_lengths.py` gives one
to the lengths. Half types are measured in float32, and lengths of half clouds are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from torchtopo._operators import cpu, cuda, fake, generic, measures
from torchtopo._operators.vmap import batched, signature_edges_batched, signature_step_batched

Implementation = Callable[..., Any]


@dataclass(frozen=True)
class Operator:
    """An operator and who serves it: shapes while tracing, the CPU, CUDA, every other device."""

    schema: str
    fake: Implementation
    cpu: Implementation
    generic: Implementation | None = None
    cuda: Implementation | None = None
    vmap: Implementation = batched

    @property
    def name(self) -> str:
        return self.schema.partition("(")[0]

    def define(self, lib: torch.library.Library) -> Any:
        """Define the operator in `lib`; returns what calls it."""
        name = self.name
        lib.define(self.schema, tags=(torch.Tag.pt2_compliant_tag,))
        op = getattr(torch.ops.torchtopo, name).default
        # No derivative: the dispatcher looks straight through the autograd keys.
        lib.impl(name, torch.library.fallthrough_kernel, "Autograd")
        lib.impl(name, self.cpu, "CPU")
        lib.impl(name, self.generic or missing(name), "CompositeExplicitAutograd")
        if self.cuda is not None and cuda.built:
            lib.impl(name, self.cuda, "CUDA")
        torch.library.register_fake(f"torchtopo::{name}", self.fake, lib=lib)

        def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
            return self.vmap(op, info, in_dims, *args)  # type: ignore[no-any-return]

        torch.library.register_vmap(f"torchtopo::{name}", rule, lib=lib)
        return op


def missing(name: str) -> Implementation:
    """What runs where neither a kernel nor tensor code serves a device: one clear error."""

    def refuse(*args: Any) -> Any:
        device = args[0].device
        if device.type == "cuda":
            raise RuntimeError(
                "this build of torchtopo has no CUDA kernels; rebuild it where nvcc is installed "
                "(TORCHTOPO_CUDA=1 pip install . in a checkout) or pass CPU tensors"
            )
        raise RuntimeError(
            f"torchtopo.{name} has kernels for dense CPU and CUDA tensors, not for "
            f"{args[0].layout} tensors on {device}; pass dense CPU or CUDA tensors"
        )

    return refuse


OPERATORS = (
    Operator(
        "trees(Tensor points, str metric, Tensor? lengths, Tensor? cu_seqlens,"
        " SymInt? max_seqlen=None, bool symmetric=False) -> (Tensor, Tensor)",
        fake.trees,
        cpu.trees,
        cuda=cuda.trees,
    ),
    Operator(
        "pairs(Tensor points, str metric, Tensor? lengths, Tensor? cu_seqlens,"
        " SymInt? max_seqlen=None) -> Tensor",
        fake.pairs,
        cpu.pairs,
        cuda=cuda.pairs,
    ),
    Operator(
        "farthest_pairs(Tensor points, str metric, Tensor? lengths, Tensor? cu_seqlens,"
        " SymInt? max_seqlen=None) -> Tensor",
        fake.farthest_pairs,
        cpu.farthest_pairs,
        cuda=cuda.farthest_pairs,
    ),
    Operator(
        "elder_rule(Tensor pairs, SymInt n, Tensor? cu_seqlens=None, SymInt? max_seqlen=None)"
        " -> Tensor",
        fake.elder_rule,
        cpu.elder_rule,
        cuda=cuda.elder_rule,
    ),
    Operator(
        "pair_lengths(Tensor points, Tensor pairs, str metric) -> Tensor",
        fake.pair_lengths,
        cpu.pair_lengths,
        generic.pair_lengths,
        cuda.pair_lengths,
    ),
    Operator(
        "pair_pulls(Tensor grad, Tensor points, Tensor pairs, str metric, Tensor? further=None,"
        " Tensor? further_grad=None, Tensor? weights=None) -> Tensor",
        fake.pair_pulls,
        cpu.pair_pulls,
        cuda=cuda.pair_pulls,
    ),
    Operator(
        "signature_edges(Tensor x, Tensor z, Tensor? pairs_x, str metric_x, str metric_z,"
        " Tensor? lengths, Tensor? cu_seqlens, bool farthest_x, bool farthest_z,"
        " SymInt? max_seqlen=None)"
        " -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
        fake.signature_edges,
        cpu.signature_edges,
        generic.signature_edges,
        cuda.signature_edges,
        signature_edges_batched,
    ),
    Operator(
        "signature_losses(Tensor a, Tensor b, Tensor? scale_x, Tensor? scale_z, Tensor? share,"
        " float x_by=1, float z_by=1, float by=2, bool largest_x=False, bool largest_z=False,"
        " bool slopes_x=False, bool slopes_z=False) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
        fake.signature_losses,
        generic.signature_losses,
        generic.signature_losses,
        cuda.signature_losses,
    ),
    Operator(
        "signature_step(Tensor x, Tensor z, Tensor? pairs_x, str metric_x, str metric_z,"
        " Tensor? lengths, Tensor? scale_x, Tensor? scale_z, Tensor? share, float x_by=1,"
        " float z_by=1, float by=2, bool gradient_x=False, bool gradient_z=False,"
        " bool slope_x=False, bool slope_z=False, bool largest_x=False, bool largest_z=False)"
        " -> (Tensor, Tensor, Tensor, Tensor, Tensor[], Tensor[])",
        fake.signature_step,
        cpu.signature_step,
        generic.signature_step,
        cuda.signature_step,
        signature_step_batched,
    ),
    Operator(
        "single_linkage(Tensor pairs, Tensor heights, Tensor? cu_seqlens) -> Tensor",
        measures.single_linkage_fake,
        measures.single_linkage_cpu,
        measures.single_linkage_generic,
        vmap=measures.single_linkage_vmap,
    ),
    Operator(
        "tree_exchange(Tensor inner, Tensor outer) -> Tensor",
        measures.tree_exchange_fake,
        measures.tree_exchange_cpu,
        measures.tree_exchange_generic,
    ),
    Operator(
        "matching(Tensor a, Tensor b, float p) -> (Tensor, Tensor)",
        measures.matching_fake,
        measures.matching_cpu,
        measures.matching_generic,
    ),
)

_library = torch.library.Library("torchtopo", "DEF")
_defined = {operator.name: operator.define(_library) for operator in OPERATORS}

trees = _defined["trees"]
pairs = _defined["pairs"]
farthest_pairs = _defined["farthest_pairs"]
elder_rule = _defined["elder_rule"]
pair_lengths = _defined["pair_lengths"]
pair_pulls = _defined["pair_pulls"]
signature_edges = _defined["signature_edges"]
signature_losses = _defined["signature_losses"]
signature_step = _defined["signature_step"]
single_linkage = _defined["single_linkage"]
tree_exchange = _defined["tree_exchange"]
matching = _defined["matching"]
