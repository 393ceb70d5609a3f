"""The topological signature loss under the names of its published forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from torchtopo import _bags, _ops  # noqa: F401  (registers the operators)
from torchtopo._bags import Metric
from torchtopo._distances import lengths_of, measure, result_dtype, with_gradient
from torchtopo._pairs import tree

Convention: TypeAlias = Literal["paper", "topoae", "mil", "torch_topological"]
Reduction: TypeAlias = Literal["mean", "sum", "none"]

_diameter = torch.ops.torchtopo.diameter.default
_diameter_packed = torch.ops.torchtopo.diameter_packed.default
_vietoris_rips_diameter = torch.ops.torchtopo.vietoris_rips_diameter.default
_vietoris_rips_diameter_packed = torch.ops.torchtopo.vietoris_rips_diameter_packed.default


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
    form = FORMS.get(convention)
    if form is None:
        raise ValueError(f"convention must be one of {', '.join(FORMS)}; got {convention!r}")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be mean, sum or none; got {reduction!r}")
    if z_scale is not None and form.z_by != "learned scale":
        raise ValueError(f"convention {convention!r} has no z_scale; 'topoae' and 'mil' have one")
    if x_scale is not None and form.x_by != "maximum":
        raise ValueError(
            f"convention {convention!r} has no x_scale; 'topoae' and 'torch_topological' have one"
        )
    _check_spaces(x, z, metric_x, metric_z, pairs_x, lengths, cu_seqlens)
    if validate:
        _bags.check_values(x, metric_x, lengths, cu_seqlens, "x")
        _bags.check_values(z, metric_z, lengths, cu_seqlens, "z")
        if pairs_x is not None:
            _bags.check_pairs_in_range(pairs_x, x.shape[-2], "pairs_x")

    x_by_maximum = form.x_by == "maximum" and x_scale is None
    farthest_x = farthest_z = None
    # A tree comes with the lengths of its own pairs; those of the other space's are measured.
    if form.z_by == "maximum":
        pairs_z, own_z, farthest_z = _tree_and_farthest(z, metric_z, lengths, cu_seqlens)
    else:
        pairs_z, own_z = tree(z, metric_z, lengths, cu_seqlens, "z")
    if pairs_x is None:
        if x_by_maximum:
            pairs_x, own_x, farthest_x = _tree_and_farthest(x, metric_x, lengths, cu_seqlens)
        else:
            pairs_x, own_x = tree(x, metric_x, lengths, cu_seqlens, "x")
        both = torch.cat((pairs_x, pairs_z), -2)
        a = torch.cat((own_x, measure(x, pairs_z, metric_x)), -1)
    else:
        both = torch.cat((pairs_x, pairs_z), -2)
        a = measure(x, both, metric_x)
        if x_by_maximum:
            farthest_x = _farthest(x, metric_x, lengths, cu_seqlens)
    b = torch.cat((measure(z, pairs_x, metric_z), own_z), -1)
    # A pair that is infinitely far apart becomes padding, of length and gradient 0, in both spaces.
    infinite = torch.maximum(a, b) == torch.inf
    both = both.masked_fill(infinite.unsqueeze(-1), -1)
    a = with_gradient(a.masked_fill(infinite, 0.0), x, both, metric_x)
    b = with_gradient(b.masked_fill(infinite, 0.0), z, both, metric_z)

    edges = _Edges(both, z, lengths, cu_seqlens)
    if x_scale is not None:
        a = a / edges.spread(x_scale)
    elif farthest_x is not None:
        a = a / edges.spread(_maximum(x, farthest_x, metric_x, cu_seqlens))
    if z_scale is not None:
        b = b / edges.spread(z_scale)
    elif farthest_z is not None:
        b = b / edges.spread(_maximum(z, farthest_z, metric_z, cu_seqlens))

    if form.bag == "half norms":
        loss = edges.norms(a - b) / 2
    else:
        squares = torch.nn.functional.mse_loss(a, b, reduction="none")
        loss = edges.sums(squares) / (2 if form.bag == "half squares" else edges.points())
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
        if pairs.dtype != torch.int64:
            raise TypeError(f"{name} must be int64, got {pairs.dtype}")
        if pairs.dim() < 2 or pairs.shape[-1] != 2:
            raise ValueError(f"{name} must have the shape (*B, M, 2), got {tuple(pairs.shape)}")
    if pairs_x.shape[:-2] != pairs_z.shape[:-2]:
        raise ValueError(
            f"pairs_x {tuple(pairs_x.shape)} and pairs_z {tuple(pairs_z.shape)} differ in batch"
        )
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
            return scale
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
            halves = values.reshape(*self.shape, 2, half)
            norms: Tensor = torch.linalg.vector_norm(halves, dim=-1)
            return norms.sum(-1)
        bags = self.shape[0]
        part = self.bag + bags * (torch.arange(2 * half, device=values.device) >= half)
        squares = values.new_zeros(2 * bags).index_add(0, part, values.square())
        zero = squares == 0  # where the root has no derivative the norm's is 0
        roots = squares.masked_fill(zero, 1.0).sqrt().masked_fill(zero, 0.0)
        return roots.reshape(2, bags).sum(0)


def _tree_and_farthest(
    points: Tensor, metric: str, lengths: Tensor | None, cu_seqlens: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs, their lengths, and the farthest pair of each bag, from one look at the distances."""
    if metric == "precomputed":
        return *tree(points, metric, lengths, cu_seqlens), _diameter(points, metric, lengths)
    if cu_seqlens is not None:
        pairs, weights, farthest = _vietoris_rips_diameter_packed(points, cu_seqlens, metric)
    else:
        pairs, weights, farthest = _vietoris_rips_diameter(points, metric, lengths)
    return pairs, weights, farthest


def _farthest(
    points: Tensor, metric: str, lengths: Tensor | None, cu_seqlens: Tensor | None
) -> Tensor:
    """The farthest pair `(*B, 2)` of each bag, (-1, -1) where there is none."""
    if cu_seqlens is not None:
        pair: Tensor = _diameter_packed(points, cu_seqlens, metric)
    else:
        pair = _diameter(points, metric, lengths)
    return pair


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


def _check_spaces(
    x: Tensor,
    z: Tensor,
    metric_x: str,
    metric_z: str,
    pairs_x: Tensor | None,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
) -> None:
    if cu_seqlens is None:
        _bags.check_points(x, metric_x, lengths, "x")
        _bags.check_points(z, metric_z, lengths, "z")
    else:
        if lengths is not None:
            raise ValueError("pass lengths (a padded batch) or cu_seqlens (a packed one), not both")
        _bags.check_packed(x, cu_seqlens, metric_x, "x")
        _bags.check_packed(z, cu_seqlens, metric_z, "z")
    if x.shape[:-1] != z.shape[:-1]:
        raise ValueError(
            f"x and z must be the same bags, equal but for the last dimension; "
            f"got {tuple(x.shape)} and {tuple(z.shape)}"
        )
    if x.device != z.device:
        raise ValueError(f"x is on {x.device}, z on {z.device}")
    if pairs_x is not None:
        _bags.check_pairs(x, pairs_x, "pairs_x")
        bags = 1 if cu_seqlens is None else cu_seqlens.shape[0] - 1
        if pairs_x.shape[-2] != x.shape[-2] - bags:
            raise ValueError(
                f"pairs_x must hold the {x.shape[-2] - bags} pairs of each bag of x "
                f"{tuple(x.shape)}, got {tuple(pairs_x.shape)}"
            )
