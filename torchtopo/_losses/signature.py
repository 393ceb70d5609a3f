"""The topological signature loss under the names of its published forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from torchtopo import _checks
from torchtopo._lengths import result_dtype
from torchtopo._losses.reduction import PerBag, Reduction, check_reduction, check_scale, reduce
from torchtopo._losses.step import Step, in_one_call
from torchtopo._metric import Metric
from torchtopo._operators import registry

Convention: TypeAlias = Literal["paper", "topoae", "mil", "torch_topological"]


@dataclass(frozen=True)
class Form:
    """What a convention divides distances by, and the squares of a bag (None: it halves norms)."""

    x_by: Literal["nothing", "maximum"]
    z_by: Literal["nothing", "maximum", "learned scale"]
    share: Callable[[PerBag], Tensor | int] | None


FORMS: dict[str, Form] = {
    "paper": Form("nothing", "nothing", lambda _: 2),
    "topoae": Form("maximum", "learned scale", lambda bags: bags.points),
    "mil": Form("nothing", "learned scale", lambda bags: bags.points),
    "torch_topological": Form("maximum", "maximum", None),
}


def form_of(convention: object) -> Form:
    """The form of that name; ValueError where there is none."""
    if not isinstance(convention, str) or convention not in FORMS:
        raise ValueError(f"convention must be one of {', '.join(FORMS)}; got {convention!r}")
    return FORMS[convention]


def signature_loss(
    x: Tensor,
    z: Tensor,
    *,
    metric_x: Metric = "euclidean",
    metric_z: Metric = "euclidean",
    pairs_x: Tensor | None = None,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
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
        lengths, cu_seqlens, max_seqlen: ragged batches, see `vietoris_rips_pairs`.
        convention: one of the four names.
        reduction: `"mean"` or `"sum"` over bags, or `"none"`.
        z_scale: `"topoae"`, `"mil"`: what divides A^Z, a positive number, or a tensor of one
            element or one per bag; 1 if not given. `nn.SignatureLoss` learns it. Of a tensor the
            values are checked on the CPU, and on CUDA and inside transforms under `validate`.
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
        tensor(10., grad_fn=<_StepBackward>)
        >>> loss.backward()
    """
    form = form_of(convention)
    check_reduction(reduction)
    _checks.check_space(x, metric_x, "x", "metric_x")
    _checks.check_space(z, metric_z, "z", "metric_z")
    _checks.check_ragged(lengths, cu_seqlens, max_seqlen)
    if pairs_x is not None:
        _checks.check_tensor(pairs_x, "pairs_x")
    _check_scales(convention, form, z_scale, x_scale, x, z, validate)
    if validate:
        _checks.check_spaces(x, z, metric_x, metric_z, pairs_x, lengths, cu_seqlens)
        _checks.check_values(x, metric_x, lengths, cu_seqlens, "x", max_seqlen)
        _checks.check_values(z, metric_z, lengths, cu_seqlens, "z")
        if pairs_x is not None:
            _checks.check_pairs_in_range(pairs_x, x.shape[-2], lengths, cu_seqlens, "pairs_x")

    x_by_maximum = form.x_by == "maximum" and x_scale is None
    z_by_maximum = form.z_by == "maximum"
    by_maximum = x_by_maximum or z_by_maximum
    edges = None
    if cu_seqlens is not None or not in_one_call(x, z, pairs_x, metric_x, metric_z, by_maximum):
        edges = registry.signature_edges(
            *(x, z, pairs_x, metric_x, metric_z, lengths, cu_seqlens),
            *(x_by_maximum, z_by_maximum, max_seqlen),
        )
    bags = PerBag(z, lengths, cu_seqlens, of=2)
    share = None if form.share is None else form.share(bags)
    step = Step(pairs_x, metric_x, metric_z, lengths, bags, share, x_by_maximum, z_by_maximum)
    of_bags = step if edges is None else step.comparison(*edges)
    return _reduced(of_bags.losses(x, z, x_scale, z_scale), reduction, x, z)


def _reduced(losses: Tensor, reduction: str, x: Tensor, z: Tensor) -> Tensor:
    """The losses of bags as a user gets them."""
    loss, dtype = reduce(losses, reduction), torch.promote_types(result_dtype(x), result_dtype(z))
    return loss if loss.dtype is dtype else loss.to(dtype)


class SignatureLoss(nn.Module):
    """The topological signature loss between an input space and a latent space.

    `torchtopo.signature_loss` with its settings kept, and, for the conventions that divide latent
    distances by a learned scale (`"topoae"`, `"mil"`), with that scale as a parameter: kept as its
    logarithm, so that it stays positive, and 1 at first. Give `parameters()` to the optimizer.

    Args:
        convention: `"paper"`, `"topoae"`, `"mil"` or `"torch_topological"`.
        metric_x, metric_z: see `pair_distances`.
        reduction: `"mean"` or `"sum"` over bags, or `"none"`.

    Raises:
        ValueError: an unknown convention, metric or reduction.

    Examples:
        >>> import torch, torchtopo
        >>> loss = torchtopo.nn.SignatureLoss("topoae")
        >>> x, z = torch.rand(8, 32, 10), torch.rand(8, 32, 2, requires_grad=True)
        >>> loss(x, z).backward()
        >>> loss.z_scale.item()
        1.0
    """

    log_z_scale: nn.Parameter | None

    def __init__(
        self,
        convention: Convention = "paper",
        metric_x: Metric = "euclidean",
        metric_z: Metric = "euclidean",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        learned = form_of(convention).z_by == "learned scale"
        _checks.check_metric(metric_x, "metric_x")
        _checks.check_metric(metric_z, "metric_z")
        check_reduction(reduction)
        self.convention: Convention = convention
        self.metric_x: Metric = metric_x
        self.metric_z: Metric = metric_z
        self.reduction: Reduction = reduction
        self.register_parameter("log_z_scale", nn.Parameter(torch.zeros(())) if learned else None)

    @property
    def z_scale(self) -> Tensor | None:
        """The learned positive scale, or None where the convention has none."""
        return None if self.log_z_scale is None else self.log_z_scale.exp()

    def forward(
        self,
        x: Tensor,
        z: Tensor,
        *,
        pairs_x: Tensor | None = None,
        lengths: Tensor | None = None,
        cu_seqlens: Tensor | None = None,
        max_seqlen: int | None = None,
        x_scale: Tensor | float | None = None,
        validate: bool = False,
    ) -> Tensor:
        """The loss of `z` against `x`; arguments as in `torchtopo.signature_loss`."""
        return signature_loss(
            x,
            z,
            metric_x=self.metric_x,
            metric_z=self.metric_z,
            pairs_x=pairs_x,
            lengths=lengths,
            cu_seqlens=cu_seqlens,
            max_seqlen=max_seqlen,
            convention=self.convention,
            reduction=self.reduction,
            z_scale=self.z_scale,
            x_scale=x_scale,
            validate=validate,
        )

    def extra_repr(self) -> str:
        return (
            f"convention={self.convention!r}, metric_x={self.metric_x!r}, "
            f"metric_z={self.metric_z!r}, reduction={self.reduction!r}"
        )


def _check_scales(
    convention: str,
    form: Form,
    z_scale: Tensor | float | None,
    x_scale: Tensor | float | None,
    x: Tensor,
    z: Tensor,
    validate: bool,
) -> None:
    """Check that scales are given only where the convention divides by them, and are positive."""
    if z_scale is not None:
        if form.z_by != "learned scale":
            having = [name for name, other in FORMS.items() if other.z_by == "learned scale"]
            raise ValueError(f"convention {convention!r} has no z_scale; {_and(having)} have one")
        check_scale(z_scale, "z_scale", z, validate)
    if x_scale is not None:
        if form.x_by != "maximum":
            having = [name for name, other in FORMS.items() if other.x_by == "maximum"]
            raise ValueError(f"convention {convention!r} has no x_scale; {_and(having)} have one")
        check_scale(x_scale, "x_scale", x, validate)


def _and(names: list[str]) -> str:
    return " and ".join(map(repr, names))
