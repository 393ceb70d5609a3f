"""The operators `torch.ops.torchtopo.*`: schemas, shapes for tracing, and rules for vmap.

The operators are discrete or plain measurements, so none has a derivative; `_distances.py` gives
one to the lengths. Half types are measured in float32, and lengths of half clouds are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchtopo import _C, _bags, _cpu, _generic

lib = torch.library.Library("torchtopo", "DEF")

SCHEMAS = (
    "minimum_spanning_tree(Tensor distances, Tensor? lengths) -> (Tensor, Tensor)",
    "vietoris_rips(Tensor points, str metric, Tensor? lengths) -> (Tensor, Tensor)",
    "vietoris_rips_packed(Tensor points, Tensor cu_seqlens, str metric) -> (Tensor, Tensor)",
    "elder_rule(Tensor pairs, SymInt n) -> Tensor",
    "pair_distances(Tensor points, Tensor pairs, str metric) -> Tensor",
    "pair_distances_backward(Tensor grad, Tensor points, Tensor pairs, str metric) -> Tensor",
    "diameter(Tensor points, str metric, Tensor? lengths) -> Tensor",
    "diameter_packed(Tensor points, Tensor cu_seqlens, str metric) -> Tensor",
    "signature_edges(Tensor x, Tensor z, Tensor? pairs_x, str metric_x, str metric_z,"
    " Tensor? lengths, Tensor? cu_seqlens, bool farthest_x, bool farthest_z)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)


def _missing(name: str) -> Callable[..., Any]:
    """What runs where neither a kernel nor tensor code serves a device: one clear error."""

    def missing(*args: Any) -> Any:
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

    return missing


# Shapes and dtypes, for FakeTensor, torch.compile and the meta device.


def _measured_in(points: Tensor) -> torch.dtype:
    return torch.float64 if points.dtype == torch.float64 else torch.float32


def _fake_minimum_spanning_tree(distances: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    _bags.check_points(distances, "precomputed", lengths, "distances")
    return _fake_tree(distances)


def _fake_vietoris_rips(
    points: Tensor, metric: str, lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    _bags.check_points(points, metric, lengths)
    return _fake_tree(points)


def _fake_tree(points: Tensor) -> tuple[Tensor, Tensor]:
    edges = (*points.shape[:-2], points.shape[-2] - 1)
    return (
        points.new_empty((*edges, 2), dtype=torch.int64),
        points.new_empty(edges, dtype=_measured_in(points)),
    )


def _fake_vietoris_rips_packed(
    points: Tensor, cu_seqlens: Tensor, metric: str
) -> tuple[Tensor, Tensor]:
    _bags.check_packed(points, cu_seqlens, metric)
    edges = (*points.shape[:-2], points.shape[-2] - cu_seqlens.shape[-1] + 1)
    return (
        points.new_empty((*edges, 2), dtype=torch.int64),
        points.new_empty(edges, dtype=_measured_in(points)),
    )


def _fake_elder_rule(pairs: Tensor, n: int) -> Tensor:
    return pairs.new_empty(pairs.shape[:-1])


def _fake_pair_distances(points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    _bags.check_points(points, metric)
    _bags.check_pairs(points, pairs)
    return points.new_empty(pairs.shape[:-1], dtype=_measured_in(points))


def _fake_pair_distances_backward(
    grad: Tensor, points: Tensor, pairs: Tensor, metric: str
) -> Tensor:
    return points.new_empty(points.shape)


def _fake_diameter(points: Tensor, metric: str, lengths: Tensor | None) -> Tensor:
    _bags.check_points(points, metric, lengths)
    return points.new_empty((*points.shape[:-2], 2), dtype=torch.int64)


def _fake_diameter_packed(points: Tensor, cu_seqlens: Tensor, metric: str) -> Tensor:
    _bags.check_packed(points, cu_seqlens, metric)
    bags = (*cu_seqlens.shape[:-1], cu_seqlens.shape[-1] - 1)
    return points.new_empty((*bags, 2), dtype=torch.int64)


def _fake_signature_edges(
    x: Tensor,
    z: Tensor,
    pairs_x: Tensor | None,
    metric_x: str,
    metric_z: str,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    farthest_x: bool,
    farthest_z: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    _bags.check_spaces(x, z, metric_x, metric_z, pairs_x, lengths, cu_seqlens)
    *batch, n, _ = x.shape
    bags = [] if cu_seqlens is None else [cu_seqlens.shape[-1] - 1]
    edges = (*batch, 2 * (n - (bags[0] if bags else 1)))
    return (
        x.new_empty((*edges, 2), dtype=torch.int64),
        x.new_empty(edges, dtype=_measured_in(x)),
        z.new_empty(edges, dtype=_measured_in(z)),
        x.new_empty((*batch, *bags, 2) if farthest_x else 0, dtype=torch.int64),
        x.new_empty((*batch, *bags, 2) if farthest_z else 0, dtype=torch.int64),
    )


# The rule for vmap: the mapped dimension becomes the first batch dimension.


def _vmap(name: str) -> Callable[..., Any]:
    op = getattr(torch.ops.torchtopo, name).default

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        mapped = zip(args, in_dims, strict=True)
        out = op(*(_leading(value, dim, info.batch_size) for value, dim in mapped))
        return out, (0,) * len(out) if isinstance(out, tuple) else 0

    return rule


def _leading(value: Any, dim: int | None, size: int) -> Any:
    if not isinstance(value, Tensor):
        return value
    if dim is None:
        return value.expand(size, *value.shape)
    return value.movedim(dim, 0)


def _register() -> None:
    for schema in SCHEMAS:
        name = schema.partition("(")[0]
        lib.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
        # No derivative: the dispatcher looks straight through the autograd keys.
        lib.impl(name, torch.library.fallthrough_kernel, "Autograd")
        lib.impl(name, getattr(_cpu, name), "CPU")
        anywhere = getattr(_generic, name, None)
        lib.impl(name, anywhere or _missing(name), "CompositeExplicitAutograd")
        torch.library.register_fake(f"torchtopo::{name}", globals()[f"_fake_{name}"], lib=lib)
        torch.library.register_vmap(f"torchtopo::{name}", _vmap(name), lib=lib)
    if _C.config()["cuda"]:
        from torchtopo import _cuda

        _cuda.register(lib)


_register()
