"""What a well-formed cloud, batch or ragged batch is, and what is said of one that is not."""

from __future__ import annotations

import torch
from torch import Tensor

from torchtopo._metric import METRICS

FLOATS = frozenset((torch.float16, torch.bfloat16, torch.float32, torch.float64))
_STRIDED = torch.strided
INTEGERS = frozenset((torch.int32, torch.int64))


def check_metric(metric: object, name: str = "metric") -> None:
    """Raise ValueError unless `metric` is the name of one."""
    if not isinstance(metric, str) or metric not in METRICS:
        raise ValueError(f"{name} must be one of {', '.join(METRICS)}; got {metric!r}")


def check_tensor(value: object, name: str) -> None:
    """Raise TypeError unless `value` is a tensor; says how to make it one."""
    if isinstance(value, Tensor):
        return
    if isinstance(getattr(value, "edges", None), Tensor):
        remedy = "pass its .edges"
    elif isinstance(value, list | tuple) and value and all(isinstance(v, Tensor) for v in value):
        remedy = "torch.stack bags of one size, torchtopo.pack bags of several"
    else:
        remedy = f"convert it with torch.as_tensor({name})"
    raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}; {remedy}")


def check_dense(values: object, name: str) -> None:
    """Raise TypeError unless `values` is a dense tensor."""
    check_tensor(values, name)
    assert isinstance(values, Tensor)
    if values.is_nested:
        raise TypeError(
            f"{name} must be dense, got a nested tensor; torchtopo.pack({name}.unbind()) gives "
            f"points and cu_seqlens"
        )
    if values.layout != torch.strided:
        raise TypeError(f"{name} must be dense, got {values.layout}; use .to_dense()")


def check_space(
    points: Tensor, metric: str, name: str = "points", metric_name: str = "metric"
) -> None:
    """Check what torch's dispatcher would refuse in its own words; operators check the rest."""
    if (  # said in one breath, as this is part of every call
        isinstance(points, Tensor)
        and points.layout is _STRIDED
        and not points.is_nested
        and metric.__class__ is str
        and metric in METRICS
    ):
        return
    check_dense(points, name)
    check_metric(metric, metric_name)


def check_points(
    points: Tensor,
    metric: str,
    lengths: Tensor | None = None,
    name: str = "points",
    metric_name: str = "metric",
) -> None:
    """Check the shape and dtype of clouds `(*B, N, D)` or distances `(*B, N, N)`; no value is read.

    Raises:
        TypeError: not of a floating dtype.
        ValueError: an unknown metric, a shape that is no cloud, or `lengths` that don't fit it.
    """
    if metric not in METRICS:
        check_metric(metric, metric_name)
    if points.dtype not in FLOATS:
        raise TypeError(
            f"{name} must be float16, bfloat16, float32 or float64, got {points.dtype}; "
            f"convert it, for instance with .float()"
        )
    shape = points.shape
    if metric == "precomputed":
        if len(shape) < 2 or shape[-2] != shape[-1]:
            raise ValueError(
                f"{name} must be square distance matrices (*B, N, N), got {tuple(shape)}"
            )
    elif len(shape) < 2:
        remedy = f"; for numbers on a line pass {name}.unsqueeze(-1)" if len(shape) else ""
        raise ValueError(f"{name} must have the shape (*B, N, D), got {tuple(shape)}{remedy}")
    elif shape[-1] == 0:
        raise ValueError(f"{name} of shape {tuple(shape)} have no coordinates (D = 0)")
    if shape[-2] == 0:
        raise ValueError(
            f"{name} of shape {tuple(shape)} have no points (N = 0); a bag has at least one"
        )
    if lengths is not None:
        _check_integers(lengths, "lengths", points, name)
        if lengths.shape != shape[:-2]:
            ends = lengths.dim() == 1 and len(shape) == 3 and lengths.shape[0] == shape[0] + 1
            remedy = "; if these are cu_seqlens, their .diff() are lengths" if ends else ""
            raise ValueError(
                f"lengths must have the batch shape {tuple(shape[:-2])} of {name} "
                f"{tuple(shape)}, got {tuple(lengths.shape)}{remedy}"
            )


def check_ragged(
    lengths: Tensor | None, cu_seqlens: Tensor | None, max_seqlen: object = None
) -> None:
    """Check that a ragged batch is said to be padded or packed, and packed once; reads no value."""
    if lengths is None and cu_seqlens is None and max_seqlen is None:  # most calls
        return
    for name, sizes in (("lengths", lengths), ("cu_seqlens", cu_seqlens)):
        if sizes is not None:
            check_tensor(sizes, name)
    if lengths is not None and cu_seqlens is not None:
        raise ValueError("pass lengths (a padded batch) or cu_seqlens (a packed one), not both")
    if cu_seqlens is not None and cu_seqlens.dim() != 1:
        raise ValueError(
            f"cu_seqlens must have the shape (B+1,), B >= 1, got {tuple(cu_seqlens.shape)}"
        )
    if max_seqlen is None:
        return
    if isinstance(max_seqlen, bool) or not isinstance(max_seqlen, int | torch.SymInt):
        raise TypeError(
            f"max_seqlen must be an int, the most points of a bag, got {type(max_seqlen).__name__}"
            + ("; .item() makes one of a tensor" if isinstance(max_seqlen, Tensor) else "")
        )
    if cu_seqlens is None:
        raise ValueError("max_seqlen goes with cu_seqlens (a packed batch); pass both or neither")
    if max_seqlen < 1:
        raise ValueError(f"max_seqlen must be at least 1, got {max_seqlen}")


def check_no_longer(cu_seqlens: Tensor, max_seqlen: int) -> None:
    """Raise ValueError if a packed bag has more than `max_seqlen` points; reads the values."""
    sizes = cu_seqlens.diff().flatten()
    if bool((sizes > max_seqlen).any()):
        bag = int(sizes.argmax())
        raise ValueError(
            f"max_seqlen is {max_seqlen}, but bag {bag} has {int(sizes[bag])} points; "
            "pass cu_seqlens.diff().max().item()"
        )


def check_packed(
    points: Tensor,
    cu_seqlens: Tensor,
    metric: str,
    name: str = "points",
    metric_name: str = "metric",
) -> None:
    """Check the shapes and dtypes of a packed batch `(T, D)`, `(B+1,)`; no value is read.

    Under vmap both have the same leading dimensions, those of the copies.
    """
    check_points(points, metric, None, name, metric_name)
    if metric == "precomputed":
        raise ValueError(
            "cu_seqlens packs points, not distance matrices; "
            f"with {metric_name}='precomputed' pass (*B, N, N) and lengths"
        )
    check_cu_seqlens(cu_seqlens, points, name)
    if points.shape[:-2] != cu_seqlens.shape[:-1]:
        raise ValueError(
            f"a packed batch is {name} (T, D) with cu_seqlens (B+1,), B >= 1; "
            f"got {tuple(points.shape)} and {tuple(cu_seqlens.shape)}"
        )
    if cu_seqlens.shape[-1] > points.shape[-2] + 1:
        raise ValueError(
            f"cu_seqlens {tuple(cu_seqlens.shape)} names more bags than {name} "
            f"{tuple(points.shape)} has rows, and a bag has at least one"
        )


def check_batch(
    points: Tensor,
    metric: str,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    name: str | None = None,
    metric_name: str = "metric",
) -> None:
    """Check the shapes and dtypes of a batch, padded or packed; no value is read."""
    if name is None:
        name = "distances" if metric == "precomputed" else "points"
    if cu_seqlens is None:
        check_points(points, metric, lengths, name, metric_name)
    else:
        check_packed(points, cu_seqlens, metric, name, metric_name)


def check_cu_seqlens(cu_seqlens: Tensor, rows: Tensor, name: str) -> None:
    """Check that cu_seqlens is `(B+1,)`, integer and where its `rows` are; no value is read."""
    _check_integers(cu_seqlens, "cu_seqlens", rows, name)
    if cu_seqlens.dim() < 1 or cu_seqlens.shape[-1] < 2:
        raise ValueError(
            f"cu_seqlens must have the shape (B+1,), B >= 1, got {tuple(cu_seqlens.shape)}"
        )


def check_int64_pairs(pairs: Tensor, name: str) -> None:
    """Check that `pairs` is `(*B, M, 2)` and int64, the dtype in which pairs come."""
    check_tensor(pairs, name)
    if pairs.dtype != torch.int64:
        raise TypeError(f"{name} must be int64, got {pairs.dtype}; use .long()")
    if pairs.dim() < 2 or pairs.shape[-1] != 2:
        raise ValueError(f"{name} must have the shape (*B, M, 2), got {tuple(pairs.shape)}")


def check_pairs(points: Tensor, pairs: Tensor, name: str = "pairs") -> None:
    """Check that `pairs (*B, M, 2)` is int64 and belongs to `points (*B, N, D)`; reads no value."""
    if (  # said in one breath, as this is part of every call
        pairs.dtype is torch.int64
        and pairs.dim() == points.dim()
        and pairs.shape[-1] == 2
        and pairs.shape[:-2] == points.shape[:-2]
        and pairs.device == points.device
    ):
        return
    check_int64_pairs(pairs, name)
    if pairs.shape[:-2] != points.shape[:-2]:
        raise ValueError(
            f"{name} must have the shape (*B, M, 2) with the batch shape of the points "
            f"{tuple(points.shape)}, got {tuple(pairs.shape)}"
        )
    if pairs.device != points.device:
        raise ValueError(
            f"{name} are on {pairs.device}, the points on {points.device}; "
            f"move them there with .to({str(points.device)!r})"
        )


def check_spaces(
    x: Tensor,
    z: Tensor,
    metric_x: str,
    metric_z: str,
    pairs_x: Tensor | None,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
) -> None:
    """Check that x and z are the same bags in two spaces, and that pairs_x fits; reads no value."""
    check_batch(x, metric_x, lengths, cu_seqlens, "x", "metric_x")
    check_batch(z, metric_z, lengths, cu_seqlens, "z", "metric_z")
    if x.shape[:-1] != z.shape[:-1]:
        raise ValueError(
            f"x and z must be the same bags, equal but for the last dimension; "
            f"got {tuple(x.shape)} and {tuple(z.shape)}"
        )
    if x.device != z.device:
        raise ValueError(f"x is on {x.device}, z on {z.device}; they must be on one device")
    if pairs_x is not None:
        check_pairs(x, pairs_x, "pairs_x")
        bags = 1 if cu_seqlens is None else cu_seqlens.shape[-1] - 1
        if pairs_x.shape[-2] != x.shape[-2] - bags:
            raise ValueError(
                f"pairs_x must hold the {x.shape[-2] - bags} pairs of each bag of x "
                f"{tuple(x.shape)}, got {tuple(pairs_x.shape)}"
            )


def check_lengths_in_range(lengths: Tensor, n: int) -> None:
    """Raise ValueError unless every bag has 1 to `n` points; reads the values."""
    if lengths.numel() == 0:
        return
    low, high = (int(v) for v in lengths.aminmax())
    if low < 1 or high > n:
        flat = lengths.flatten()
        first = int(((flat < 1) | (flat > n)).nonzero()[0, 0])
        raise ValueError(
            f"lengths must lie in 1..{n}, the padded size of a bag; "
            f"bag {_bag_name(first, lengths.shape)} has {int(flat[first])}"
        )


def readable(*tensors: Tensor) -> bool:
    """Whether values may be read here and now: on the CPU, and nothing is traced or transformed."""
    return (
        all(tensor.is_cpu for tensor in tensors)
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and torch._C._len_torch_dispatch_stack() == 0
    )


def check_cu_seqlens_in_order(cu_seqlens: Tensor, total: int | None = None) -> None:
    """Raise ValueError unless cu_seqlens rises strictly from 0 to `total`; reads the values."""
    if cu_seqlens.dim() > 1:
        for copy in cu_seqlens.flatten(0, -2):
            check_cu_seqlens_in_order(copy, total)
        return
    first, last = int(cu_seqlens[0]), int(cu_seqlens[-1])
    if first != 0 or total not in (None, last):
        end = "" if total is None else f" and end with the number of rows {total}"
        remedy = ""
        if first != 0 and total in (None, int(cu_seqlens.sum())):
            remedy = (
                "; if these are the sizes of the bags, pass "
                "torch.nn.functional.pad(sizes.cumsum(0), (1, 0))"
            )
        raise ValueError(
            f"cu_seqlens must begin with 0{end}; it begins with {first} and ends with {last}"
            f"{remedy}"
        )
    falls = cu_seqlens[1:] <= cu_seqlens[:-1]
    if bool(falls.any()):
        bag = int(falls.nonzero()[0, 0])
        raise ValueError(
            f"cu_seqlens must rise: a bag has at least one row, but bag {bag} goes from "
            f"{int(cu_seqlens[bag])} to {int(cu_seqlens[bag + 1])}"
        )


def check_pairs_in_range(
    pairs: Tensor,
    n: int,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    name: str = "pairs",
) -> None:
    """Raise ValueError unless pairs name points of their own bag or are (-1, -1); reads the values.

    Padded bags have the points 0..n-1, or as many as `lengths` says; packed ones, whose pairs come
    bag by bag, those between their `cu_seqlens`. The CPU kernels check the same as they read pairs.
    """
    if cu_seqlens is not None:
        rows = torch.arange(cu_seqlens.shape[0] - 1, device=pairs.device)
        bag = rows.repeat_interleave(cu_seqlens.diff() - 1)
        first, last = cu_seqlens[:-1].index_select(0, bag), cu_seqlens[1:].index_select(0, bag) - 1
    else:
        first = torch.zeros((), dtype=torch.int64, device=pairs.device)
        last = first + (n - 1) if lengths is None else (lengths - 1).unsqueeze(-1)
    inside = (pairs >= first.unsqueeze(-1)) & (pairs <= last.unsqueeze(-1))
    wrong = ~inside.all(-1) & (pairs != -1).any(-1)
    if bool(wrong.any()):
        i, j = pairs[wrong][0].tolist()
        low, high = (int(limit.expand(wrong.shape)[wrong][0]) for limit in (first, last))
        raise ValueError(
            f"{name} must name points of their own bag, {low}..{high}, or be the padding "
            f"(-1, -1); one is ({i}, {j})"
        )


def check_values(
    points: Tensor,
    metric: str,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    name: str = "points",
    max_seqlen: int | None = None,
) -> None:
    """Raise ValueError at the first NaN, naming bag and row, or at lengths out of range.

    This is what `validate=True` does. It reads values, so it waits for a CUDA device, and it has
    no place inside `torch.compile(fullgraph=True)`, `torch.func` transforms or a CUDA graph.
    """
    check_space(points, metric, name)
    check_ragged(lengths, cu_seqlens, max_seqlen)
    check_batch(points, metric, lengths, cu_seqlens, name)
    if cu_seqlens is not None:
        check_cu_seqlens_in_order(cu_seqlens, points.shape[0])
        if max_seqlen is not None:
            check_no_longer(cu_seqlens, max_seqlen)
    nan = points.detach().isnan()
    if metric == "precomputed":
        nan = nan.triu(1)
    if lengths is not None:
        check_lengths_in_range(lengths, points.shape[-2])
        inside = torch.arange(points.shape[-2], device=points.device) < lengths.unsqueeze(-1)
        nan = nan & inside.unsqueeze(-1)
        if metric == "precomputed":
            nan = nan & inside.unsqueeze(-2)
    if not bool(nan.any()):
        return
    *bag, row, column = nan.nonzero()[0].tolist()
    if cu_seqlens is not None:
        number = int(torch.searchsorted(cu_seqlens, row, right=True)) - 1
        where = f"bag {number}, row {row - int(cu_seqlens[number])} (packed row {row})"
    else:
        label = tuple(bag) if len(bag) > 1 else (bag[0] if bag else 0)
        where = f"bag {label}, row {row}"
    raise ValueError(f"{name} hold NaN: {where}, column {column}")


def _check_integers(values: Tensor, name: str, points: Tensor, points_name: str) -> None:
    check_tensor(values, name)
    if values.dtype not in INTEGERS:
        raise TypeError(f"{name} must be int32 or int64, got {values.dtype}; use .long()")
    if values.device != points.device:
        raise ValueError(
            f"{name} are on {values.device}, {points_name} on {points.device}; "
            f"move them there with .to({points_name}.device)"
        )


def _bag_name(flat: int, shape: torch.Size) -> str:
    """The number of a bag, or its index where there are several batch dimensions."""
    if len(shape) < 2:
        return str(flat)
    index: list[int] = []
    for size in reversed(shape):
        flat, i = divmod(flat, size)
        index.append(i)
    return str(tuple(reversed(index)))
