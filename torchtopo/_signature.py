"""The topological signature loss under the names of its published forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from torchtopo import _bags, _generic, _ops  # noqa: F401  (registers the operators)
from torchtopo._bags import Metric
from torchtopo._distances import (
    gradient_of,
    has_kernels,
    in_a_transform,
    lengths_of,
    result_dtype,
    with_gradient,
)
from torchtopo._metric import norm

Convention: TypeAlias = Literal["paper", "topoae", "mil", "torch_topological"]
Reduction: TypeAlias = Literal["mean", "sum", "none"]

_signature_edges = torch.ops.torchtopo.signature_edges.default


@dataclass(frozen=True)
class Form:
    """What a convention divides by, and how it sums the differences of a bag."""

    x_by: Literal["nothing", "maximum"]
    z_by: Literal["nothing", "maximum", "learned scale"]
    bag: Literal["half squares", "squares per point", "half norms"]


FORMS: dict[str, Form] = {
    "paper": Form("nothing", "nothing", "half squares"),
    "topoae": Form("maximum", "learned scale", "squares per point"),
    "mil": Form("nothing", "learned scale", "squares per point"),
    "torch_topological": Form("maximum", "maximum", "half norms"),
}


def form_of(convention: object) -> Form:
    """The form of that name; ValueError where there is none."""
    if not isinstance(convention, str) or convention not in FORMS:
        raise ValueError(f"convention must be one of {', '.join(FORMS)}; got {convention!r}")
    return FORMS[convention]


def check_reduction(reduction: object) -> None:
    """Raise ValueError unless `reduction` is the name of one."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be mean, sum or none; got {reduction!r}")


def signature_loss(
    x: Tensor,
    z: Tensor,
    *,
    metric_x: Metric = "euclidean",
    metric_z: Metric = "euclidean",
    pairs_x: Tensor | None = None,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    convention: Convention = "paper",
    reduction: Reduction = "mean",
    z_scale: Tensor | float | None = None,
    x_scale: Tensor | float | None = None,
    validate: bool = False,
) -> Tensor:
    """How far the 0-dimensional topology of `z` is from that of `x`, bag by bag.

    Both spaces are measured at the pairs of both: with `a_s = A^X[π^s]` and `b_s = A^Z[π^s]`,
    s in {X, Z}, and N points, a bag's loss is

    - `"paper"` (Kazeminia et al., Eq. 1–3): ½·Σ(a_X-b_X)² + ½·Σ(b_Z-a_Z)²;
    - `"topoae"` (Moor et al. 2020, the authors' code for vector data): A^X is divided by its
      maximum and A^Z by `z_scale`; (Σ(a_X-b_X)² + Σ(b_Z-a_Z)²) / N;
    - `"mil"`: as `"topoae"`, but A^X as it is;
    - `"torch_topological"` (`SignatureLoss` of torch-topological 0.1.9): both are divided by their
      maximum; ½‖a_X-b_X‖₂ + ½‖b_Z-a_Z‖₂, not squared.

    They differ by orders of magnitude, so a weight λ means nothing without the name. The maximum is
    taken over all pairs of the bag at a finite distance and carries a gradient. A pair that is
    infinitely far apart in either space is left out. A bag of one point adds 0, with a live graph.

    Args:
        x: the input space, `(*B, N, D)`, packed `(T, D)`, or distances with
            `metric_x="precomputed"`.
        z: the latent space, `(*B, N, D')` or as `x`; its own dtype and D'.
        metric_x, metric_z: see `pair_distances`.
        pairs_x: `(*B, N-1, 2)` int64, the pairs of `x` where they are known, as
            `vietoris_rips_pairs(x, ...)` gave them: a fixed input space is paired once per bag.
        lengths, cu_seqlens: ragged batches, see `vietoris_rips_pairs`.
        convention: one of the four names.
        reduction: `"mean"` or `"sum"` over bags, or `"none"`.
        z_scale: `"topoae"`, `"mil"`: what divides A^Z, a positive number, or a tensor of one
            element or one per bag; 1 if not given. `nn.SignatureLoss` learns it.
        x_scale: `"topoae"`, `"torch_topological"`: divides A^X in place of its maximum, such as
            the theoretical maximum that Moor et al. take for images, or one known beforehand.
        validate: raise at the first NaN; waits for a CUDA device.

    Returns:
        A scalar, or `(*B)` (packed `(B,)`) with `reduction="none"`, in the wider dtype of x and z
        (float32 for half types under autocast).

    Raises:
        TypeError, ValueError: as `vietoris_rips_pairs`; x and z of different batches; an unknown
            convention or reduction; a scale that the convention does not have.

    Examples:
        >>> import torch, torchtopo
        >>> x = torch.tensor([[0., 0.], [3., 4.], [3., 0.]])
        >>> z = torch.tensor([[0.], [5.], [4.]], requires_grad=True)
        >>> loss = torchtopo.signature_loss(x, z)
        >>> loss
        tensor(10., grad_fn=<MeanBackward0>)
        >>> loss.backward()
    """
    form = form_of(convention)
    check_reduction(reduction)
    if z_scale is not None and form.z_by != "learned scale":
        raise ValueError(f"convention {convention!r} has no z_scale; 'topoae' and 'mil' have one")
    if x_scale is not None and form.x_by != "maximum":
        raise ValueError(
            f"convention {convention!r} has no x_scale; 'topoae' and 'torch_topological' have one"
        )
    _bags.check_spaces(x, z, metric_x, metric_z, pairs_x, lengths, cu_seqlens)
    if validate:
        _bags.check_values(x, metric_x, lengths, cu_seqlens, "x")
        _bags.check_values(z, metric_z, lengths, cu_seqlens, "z")
        if pairs_x is not None:
            _bags.check_pairs_in_range(pairs_x, x.shape[-2], lengths, cu_seqlens, "pairs_x")

    x_by_maximum = form.x_by == "maximum" and x_scale is None
    z_by_maximum = form.z_by == "maximum"
    measure = _generic.signature_edges if in_a_transform() else _signature_edges
    pairs, a, b, farthest_x, farthest_z = measure(
        x, z, pairs_x, metric_x, metric_z, lengths, cu_seqlens, x_by_maximum, z_by_maximum
    )
    edges = _Edges(pairs, z, lengths, cu_seqlens)
    share = 2 if form.bag == "half squares" else edges.points()
    if x_by_maximum:
        x_scale = _maximum(x, farthest_x, metric_x, cu_seqlens)
    if z_by_maximum:
        z_scale = _maximum(z, farthest_z, metric_z, cu_seqlens)
    scaled = x_scale is not None or z_scale is not None
    if not scaled and cu_seqlens is None and _pulls(x, metric_x, z, metric_z):
        loss: Tensor = _squares(share, pairs, a, x, metric_x, b, z, metric_z)
    else:
        a = with_gradient(a, x, pairs, metric_x)
        b = with_gradient(b, z, pairs, metric_z)
        if x_scale is not None:
            a = a / edges.spread(x_scale)
        if z_scale is not None:
            b = b / edges.spread(z_scale)
        halves = form.bag == "half norms"
        loss = edges.norms(a - b) / 2 if halves else edges.sums((a - b).square()) / share
    if reduction != "none":
        loss = loss.mean() if reduction == "mean" else loss.sum()
    return loss.to(torch.promote_types(result_dtype(x), result_dtype(z)))


def matched_pairs(pairs_x: Tensor, pairs_z: Tensor, *, cu_seqlens: Tensor | None = None) -> Tensor:
    """How many pairs of each bag are in both sets: N-1 where the two trees are the same.

    A diagnostic of the signature loss, counted on the device without waiting for it. Padding is
    not counted.

    Args:
        pairs_x, pairs_z: `(*B, M, 2)` and `(*B, M', 2)` int64, either order within a pair.
        cu_seqlens: `(B+1,)`, where both are packed.

    Returns:
        `(*B)` int64; packed `(B,)`.

    Examples:
        >>> import torch, torchtopo
        >>> torchtopo.matched_pairs(torch.tensor([[0, 1], [1, 2]]), torch.tensor([[2, 1], [0, 2]]))
        tensor(1)
    """
    for name, pairs in (("pairs_x", pairs_x), ("pairs_z", pairs_z)):
        if not isinstance(pairs, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(pairs).__name__}")
        if pairs.dtype != torch.int64:
            raise TypeError(f"{name} must be int64, got {pairs.dtype}")
        if pairs.dim() < 2 or pairs.shape[-1] != 2:
            raise ValueError(f"{name} must have the shape (*B, M, 2), got {tuple(pairs.shape)}")
    if pairs_x.shape[:-2] != pairs_z.shape[:-2]:
        raise ValueError(
            f"pairs_x {tuple(pairs_x.shape)} and pairs_z {tuple(pairs_z.shape)} differ in batch"
        )
    if cu_seqlens is not None:
        _bags.check_cu_seqlens(cu_seqlens, pairs_z, "pairs_z")
        if pairs_z.dim() != 2:
            raise ValueError(f"packed pairs have the shape (M, 2), got {tuple(pairs_z.shape)}")
    keys_x, keys_z = _edge_keys(pairs_x).sort(-1).values, _edge_keys(pairs_z)
    if keys_x.shape[-1] == 0:
        found = torch.zeros_like(keys_z, dtype=torch.bool)
    else:
        place = torch.searchsorted(keys_x, keys_z).clamp(max=keys_x.shape[-1] - 1)
        found = (keys_x.gather(-1, place) == keys_z) & (keys_z >= 0)
    if cu_seqlens is None:
        return found.sum(-1)
    bag = _bag_of(pairs_z, cu_seqlens)
    counts = torch.zeros(cu_seqlens.shape[0] - 1, dtype=torch.int64, device=bag.device)
    return counts.index_add(0, bag, found.long())


class _Edges:
    """The measured edges `(*B, M)` of a batch: what sums and spreads over the bags they are of."""

    def __init__(
        self, pairs: Tensor, cloud: Tensor, lengths: Tensor | None, cu_seqlens: Tensor | None
    ) -> None:
        self.cloud = cloud
        self.lengths = lengths if cu_seqlens is None else cu_seqlens.diff()
        self.shape = cloud.shape[:-2] if cu_seqlens is None else self.lengths.shape  # type: ignore[union-attr]
        self.bag = None if cu_seqlens is None else _bag_of(pairs, cu_seqlens)

    def points(self) -> Tensor | int:
        """N of each bag."""
        return self.cloud.shape[-2] if self.lengths is None else self.lengths

    def spread(self, scale: Tensor | float) -> Tensor | float:
        """A number, one for all or one per bag, for each edge."""
        if not isinstance(scale, Tensor):
            if not isinstance(scale, int | float) or not scale > 0:
                raise ValueError(f"a scale is a positive number or a tensor, got {scale!r}")
            return scale
        if not scale.is_floating_point():
            raise TypeError(f"a scale must be floating, got {scale.dtype}")
        if scale.numel() == 1:
            return scale.reshape(())
        if scale.shape != self.shape:
            raise ValueError(
                f"a scale has one element or one per bag {tuple(self.shape)}, "
                f"got {tuple(scale.shape)}"
            )
        return scale.unsqueeze(-1) if self.bag is None else scale.index_select(0, self.bag)

    def sums(self, values: Tensor) -> Tensor:
        """Sum over the edges of each bag."""
        if self.bag is None:
            return values.sum(-1)
        return values.new_zeros(self.shape).index_add(0, self.bag, values)

    def norms(self, values: Tensor) -> Tensor:
        """Norm over the edges of π^X plus norm over those of π^Z, for each bag."""
        half = values.shape[-1] // 2
        if self.bag is None:
            return norm(values.reshape(*self.shape, 2, half)).sum(-1)
        bags = self.shape[0]
        part = self.bag + bags * (torch.arange(2 * half, device=values.device) >= half)
        squares = values.new_zeros(2 * bags).index_add(0, part, values.square())
        zero = squares == 0  # where the root has no derivative the norm's is 0
        roots = squares.masked_fill(zero, 1.0).sqrt().masked_fill(zero, 0.0)
        return roots.reshape(2, bags).sum(0)


def _pulls(x: Tensor, metric_x: str, z: Tensor, metric_z: str) -> bool:
    """Whether reverse mode alone is asked for, of points at which a kernel pulls."""
    if in_a_transform() or not has_kernels(z) or not torch.is_grad_enabled():
        return False
    if (x.requires_grad and metric_x == "precomputed") or metric_z == "precomputed":
        return False
    return x.requires_grad or z.requires_grad


class _Squares(torch.autograd.Function):
    """Σ(a-b)² / share of each bag, in reverse mode a pull instead of a graph of small steps.

    The graph of a second derivative is the tensor code's.
    """

    @staticmethod
    def forward(
        ctx: Any,
        share: Tensor | int,
        pairs: Tensor,
        a: Tensor,
        x: Tensor,
        metric_x: str,
        b: Tensor,
        z: Tensor,
        metric_z: str,
    ) -> Tensor:
        difference = a - b
        # A space without a gradient is not kept alive, and may be a tensor of inference mode.
        ctx.save_for_backward(
            pairs, difference, a, x if x.requires_grad else None, b, z if z.requires_grad else None
        )
        ctx.share, ctx.metric_x, ctx.metric_z = share, metric_x, metric_z
        return difference.square().sum(-1) / share

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        pairs, difference, a, x, b, z = ctx.saved_tensors
        if torch.is_grad_enabled():
            if x is not None:
                a = with_gradient(a, x, pairs, ctx.metric_x)
            if z is not None:
                b = with_gradient(b, z, pairs, ctx.metric_z)
            difference = a - b
        grad_x = grad_z = None
        if ctx.needs_input_grad[3]:
            slope = difference * (2 * grad / ctx.share).unsqueeze(-1)
            grad_x = gradient_of(a, slope, x, pairs, ctx.metric_x)
        if ctx.needs_input_grad[6]:
            slope = difference * (-2 * grad / ctx.share).unsqueeze(-1)
            grad_z = gradient_of(b, slope, z, pairs, ctx.metric_z)
        return None, None, None, grad_x, None, None, grad_z, None


_squares: Any = _Squares.apply


def _maximum(points: Tensor, farthest: Tensor, metric: str, cu_seqlens: Tensor | None) -> Tensor:
    """The largest finite distance of each bag, differentiable; 1 where it is 0 or there is none."""
    if cu_seqlens is None:
        largest = lengths_of(points, farthest.unsqueeze(-2), metric).squeeze(-1)
    else:
        largest = lengths_of(points, farthest, metric)
    return largest.masked_fill(largest == 0, 1.0)


def _bag_of(pairs: Tensor, cu_seqlens: Tensor) -> Tensor:
    """The bag `(M,)` of each packed pair; clamped, since values on a device are not read back."""
    bag = torch.searchsorted(cu_seqlens, pairs[:, 0].contiguous(), right=True) - 1
    return bag.clamp(0, cu_seqlens.shape[0] - 2)


def _edge_keys(pairs: Tensor) -> Tensor:
    """One integer per pair, the same for (i, j) and (j, i), negative for padding."""
    i, j = pairs.unbind(-1)
    return torch.minimum(i, j) * (1 << 32) + torch.maximum(i, j)
