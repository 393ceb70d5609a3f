"""Rules for vmap."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def batched(op: Any, info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
    """The rule for vmap: the mapped dimension becomes the first batch dimension."""
    mapped = zip(args, in_dims, strict=True)
    out = op(*(leading(value, dim, info.batch_size) for value, dim in mapped))
    return out, (0,) * len(out) if isinstance(out, tuple) else 0


def signature_edges_batched(
    op: Any, info: Any, in_dims: tuple[int | None, ...], *args: Any
) -> tuple[Any, Any]:
    """The same, but that the farthest pairs and their lengths come by space first."""
    out, _dims = batched(op, info, in_dims, *args)
    of_spaces = 1 if out[3].dim() > 1 else 0
    return out, (0, 0, 0, of_spaces, of_spaces)


def signature_step_batched(
    op: Any, info: Any, in_dims: tuple[int | None, ...], *args: Any
) -> tuple[Any, Any]:
    """The same of lists, each empty where nobody asks."""
    out, _dims = batched(op, info, in_dims, *args)
    return out, (0, 0, 0, 0, [1] * len(out[4]), [0] * len(out[5]))


def leading(value: Any, dim: int | None, size: int) -> Any:
    """A tensor with its mapped dimension first, one of `size` equal copies if it has none."""
    if not isinstance(value, Tensor):
        return value
    return value.expand(size, *value.shape) if dim is None else value.movedim(dim, 0)
