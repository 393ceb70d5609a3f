"""What must hold of a draw: each check calls the package and raises where it is wrong."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from random import Random
from typing import Any

import torch
from torch import Tensor

import torchtopo
from tests.fuzz import formulas
from tests.fuzz.compare import close, near, same
from tests.fuzz.oracle import FINITE, Cloud, kruskal
from tests.fuzz.views import Batch, laid_out

Bags = list[tuple[Tensor, ...]]

ops = torch.ops.torchtopo


def cloud(values: Tensor, metric: str) -> Cloud:
    return Cloud(values.tolist(), metric)


# Checks


def trees(bags: Bags, metric: str, mode: str, flush: bool, **setting: Any) -> None:
    """Pairs, weights, deaths, generators, diagrams and farthest pairs, in every form of batch."""
    batch = Batch(bags, (metric,), mode, setting)
    points, ragged = batch.spaces[0], batch.ragged
    with batch.chosen():
        pairs, weights = tree_of(points, metric, ragged)
        if flush and metric == "precomputed":
            check_flushed(points, ragged)
        generators = torchtopo.vietoris_rips_generators(points, metric=metric, **ragged)
        deaths = torchtopo.deaths(points, metric=metric, **ragged)
        diagram = torchtopo.persistence_diagram(points, metric=metric, **ragged)
        public = torchtopo.vietoris_rips_pairs(points, metric=metric, **ragged)
        farthest = farthest_of(points, metric, ragged)
        again = torchtopo.pair_distances(points, pairs, metric=metric)
        if metric == "precomputed":
            check_promised(points, ragged)
    same(public, pairs, "vietoris_rips_pairs, the operator's")
    same(generators[..., 1:], pairs, "pairs of the generators")
    same(deaths, weights.to(points.dtype), "deaths, the operator's weights")
    same(diagram, torch.stack((torch.zeros_like(deaths), deaths), -1), "persistence_diagram")
    same(again, deaths, "pair_distances of the pairs")
    parts = (batch.edges(generators), batch.edges(weights), batch.per_bag(farthest))
    of_bags = zip(*parts, strict=True)
    for (values,), (edges, lengths, far) in zip(batch.bags, of_bags, strict=True):
        right = cloud(values, metric)
        check_tree(right, edges, lengths)
        check_farthest(right, torch.finfo(weights.dtype), far)


def check_flushed(distances: Tensor, ragged: dict[str, Tensor]) -> None:
    """Where subnormal numbers are flushed to zero, the lower half still does not matter."""
    upper = distances.triu(1) + torch.ones_like(distances).tril()
    torch.set_flush_denormal(True)
    try:
        found, expected = (tree_of(d, "precomputed", ragged)[0] for d in (distances, upper))
    finally:
        torch.set_flush_denormal(False)
    same(found, expected, "edges without the lower half, flushed")


def check_promised(distances: Tensor, ragged: dict[str, Tensor]) -> None:
    """With the promise that it is symmetric a matrix has the same tree, and no other is unsafe."""
    n = distances.shape[-1]
    upper = torch.ones_like(distances).triu(1).bool()
    mirrored = torch.where(upper, distances, distances.transpose(-1, -2))
    found, expected = (
        torchtopo.minimum_spanning_tree(mirrored, symmetric=promise, **ragged)
        for promise in (True, False)
    )
    same(found.edges, expected.edges, "edges of a matrix that is promised to be symmetric")
    same(found.weights, expected.weights, "weights of a matrix that is promised to be symmetric")
    broken = torchtopo.minimum_spanning_tree(distances, symmetric=True, **ragged).edges
    assert bool(((broken >= -1) & (broken < n)).all()), "a broken promise: edges of no points"


def check_tree(right: Cloud, generators: Tensor, weights: Tensor) -> None:
    edges = [(i, j) for _, i, j in generators.tolist()]
    again, dying = kruskal(right.n, edges)
    assert all(0 <= i < j < right.n for i, j in edges), f"no pairs of points: {edges}"
    assert again == edges, f"the edges do not span: {edges}"
    assert generators[:, 0].tolist() == dying, f"{generators[:, 0].tolist()} die, not {dying}"

    info = torch.finfo(weights.dtype)
    own = [right.length(*edge) for edge in edges]
    close(weights, own, formulas.slack_of_a_length(right, own, info), f"lengths of {edges}")
    close(weights, right.deaths, slack_of_a_tree(right, info), "deaths")

    order = [(math.isnan(w), 0 if math.isnan(w) else w) for w in weights.tolist()]
    merged = list(zip(order, edges, strict=True))
    finite = [entry for entry in merged if entry[0] != (False, math.inf)]
    assert finite == sorted(finite), f"not in the order (weight, i, j): {merged}"
    lengths = [right.length(*e) for e in right.tree[0] if right.edges[e][0] == FINITE]
    overflow = any(abs(w) > info.max for w in lengths)  # in the type, not in truth
    subnormal = any(0 < w < info.tiny for w in own)  # such lengths may tie once they are rounded
    exact = right.metric == "precomputed" or not (overflow or subnormal)
    if exact and right.is_on_a_small_lattice():
        assert edges == right.tree[0], f"edges {edges}, should be {right.tree[0]}"


def check_farthest(right: Cloud, info: torch.finfo, pair: Tensor) -> None:
    """The first of the largest distances that are finite in the type; one at NaN before them.

    Subnormal distances may tie once they are rounded: then one within rounding of the largest.
    """
    lengths = {edge: right.length(*edge) for edge in right.edges}
    unknown = [edge for edge, length in lengths.items() if math.isnan(length)]
    finite = {e: w for e, w in lengths.items() if abs(w) <= info.max}
    i, j = pair.tolist()
    if unknown:
        assert (i, j) == unknown[0], f"farthest {(i, j)}, but {unknown[0]} is at NaN"
    elif not finite:
        assert (i, j) == (-1, -1), f"farthest {(i, j)}, but no pair is at a finite distance"
    elif right.is_on_a_small_lattice() and not 0 < max(finite.values()) < info.tiny:
        best = max(finite, key=lambda e: (right.edges[e], -e[0], -e[1]))
        assert (i, j) == best, f"farthest {(i, j)}, should be {best}"
    else:
        largest = max(finite.values())
        slack = formulas.slack_of_a_length(right, [largest], info, tree=True)[0]
        assert (i, j) in finite, f"farthest {(i, j)} is not finite"
        assert finite[i, j] >= largest - slack, f"{(i, j)} at {finite[i, j]}, not at {largest}"


def lengths(bags: Bags, metric: str, **setting: Any) -> None:
    """Lengths of any pairs, in either order, padding among them."""
    rng = Random(setting["seed"])
    for (values,) in bags:
        n = len(values)
        pairs = [[rng.randrange(n), rng.randrange(n)] for _ in range(rng.randint(0, 12))]
        if metric == "precomputed":
            pairs = [pair for pair in pairs if pair[0] != pair[1]]
        pairs += [[-1, -1]] * rng.randint(0, 2)
        rng.shuffle(pairs)
        batch = Batch([(values,)], (metric,), "alone", setting)
        given = laid_out(torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2), "strided")
        with batch.chosen():
            found = torchtopo.pair_distances(batch.spaces[0], given, metric=metric)
            measured = ops.pair_lengths(batch.spaces[0], given, metric)
        same(found, measured.to(values.dtype), "pair_distances, the operator's")
        right, info = cloud(values, metric), torch.finfo(measured.dtype)
        own = [right.length(i, j) if i >= 0 else 0.0 for i, j in pairs]
        close(measured, own, formulas.slack_of_a_length(right, own, info), f"lengths of {pairs}")


def gradients(bags: Bags, metric: str, mode: str, **setting: Any) -> None:
    """The gradient of deaths under any pull, against float64 autograd of the formula."""
    batch = Batch(bags, (metric,), mode, setting)
    leaf = batch.spaces[0].detach().requires_grad_()
    with batch.chosen():
        deaths = torchtopo.deaths(leaf, metric=metric, **batch.ragged)
        pairs = torchtopo.vietoris_rips_pairs(leaf, metric=metric, **batch.ragged)
        gen = torch.Generator().manual_seed(setting["seed"])
        pull = torch.randn(deaths.shape, generator=gen, dtype=torch.float64).to(deaths.dtype)
        (found,) = torch.autograd.grad(deaths, leaf, pull)
    assert found.dtype == leaf.dtype
    parts = zip(batch.rows(found), batch.edges(pairs), batch.edges(pull, filled=True), strict=True)
    for (values,), (gradient, edges, weight) in zip(batch.bags, parts, strict=True):
        expected, slack = formulas.pulled(values, edges, weight, metric)
        close(gradient, expected.flatten().tolist(), slack.flatten().tolist(), "gradient")
    outside = batch.outside_of_bags(found)
    assert not bool(outside.any()), f"padding has a gradient: {outside}"


def losses(
    bags: Bags,
    metrics: tuple[str, str],
    mode: str,
    convention: str,
    reduction: str,
    z_scale: float | None,
    known: str,
    **setting: Any,
) -> None:
    """The signature loss and its gradients against the formulas over exact lengths."""
    batch = Batch(bags, metrics, mode, setting)
    x, z = (space.detach().requires_grad_() for space in batch.spaces)
    rng = Random(setting["seed"])
    with batch.chosen():
        pairs = [
            torchtopo.vietoris_rips_pairs(space, metric=metric, **batch.ragged)
            for space, metric in zip((x, z), metrics, strict=True)
        ]
        options: dict[str, Any] = {
            "metric_x": metrics[0],
            "metric_z": metrics[1],
            "convention": convention,
            **batch.ragged,
        }
        if known == "any pairs":
            pairs[0] = batch.any_pairs(rng)
        if known != "nothing":
            options["pairs_x"] = pairs[0]
        if z_scale is not None:
            options["z_scale"] = z_scale
        each = torchtopo.signature_loss(x, z, reduction="none", **options)
        reduced = torchtopo.signature_loss(x, z, reduction=reduction, **options)
        found = torch.autograd.grad(each.sum(), (x, z))
    dtype = torch.promote_types(x.dtype, z.dtype)
    assert each.dtype == dtype, f"a loss of {dtype} is {each.dtype}"
    whole = each.double()  # what is reduced is rounded once
    whole = whole if reduction == "none" else getattr(whole, reduction)()
    if not bool(each.isinf().any()):
        torch.testing.assert_close(reduced, whole.to(dtype), equal_nan=True)
    right = [
        formulas.signature(spaces, metrics, (p, q), convention, z_scale or 1.0)
        for spaces, p, q in zip(batch.bags, *map(batch.edges, pairs), strict=True)
    ]
    close(each.flatten(), [r.loss for r in right], [r.slack for r in right], convention)
    for which, gradient in enumerate(found):
        for answer, part in zip(right, batch.rows(gradient, which), strict=True):
            if answer.gradients is None:
                continue
            expected, slack = answer.gradients[which], answer.gradient_slack[which]
            close(part, expected.flatten().tolist(), slack.flatten().tolist(), "xz"[which])
        outside = batch.outside_of_bags(gradient, which)
        assert not bool(outside.any()), f"padding has a gradient: {outside}"


def refusals(
    bags: Bags, metrics: tuple[str, str], mode: str, convention: str, way: str, **setting: Any
) -> None:
    """A pair outside of its own bag is refused in every mode, and good pairs are not."""
    batch = Batch(bags, metrics, mode, setting)
    rng = Random(setting["seed"])
    good = batch.any_pairs(rng)
    bad = batch.spoil(good, rng)
    x, z = batch.spaces
    options: dict[str, Any] = {
        "metric_x": metrics[0],
        "metric_z": metrics[1],
        "convention": convention,
    }

    def loss(z: Tensor, pairs: Tensor, ragged: dict[str, Tensor], x: Tensor = x) -> Tensor:
        validate = way == "validate"
        return torchtopo.signature_loss(x, z, pairs_x=pairs, validate=validate, **options, **ragged)

    def call(pairs: Tensor) -> None:
        of_z = functools.partial(loss, pairs=pairs, ragged=batch.ragged)
        if way == "grad":
            torch.func.grad(of_z)(z)
        elif way == "jvp":
            plain = z.clone(memory_format=torch.contiguous_format)
            torch.func.jvp(of_z, (plain,), (torch.ones_like(plain),))
        elif way == "backward":
            leaf = z.detach().requires_grad_()
            of_z(leaf).backward()
        elif way == "vmap":
            # Twice the same batch: everything has one dimension more.
            twice = [torch.stack((v, v)) for v in (z, pairs, x)]
            twice_ragged = {k: torch.stack((v, v)) for k, v in batch.ragged.items()}
            torch.func.vmap(loss)(twice[0], twice[1], twice_ragged, twice[2])
        else:
            of_z(z)

    with batch.chosen():
        call(good)
        if bad is None:
            return
        try:
            call(bad)
        except ValueError as error:
            if "own bag" in str(error):
                return
            raise
    raise AssertionError(f"{way}: pairs of another bag were taken: {bad.tolist()}")


def transforms(
    bags: Bags,
    metric: str,
    mode: str,
    convention: str,
    function: str,
    transform: str,
    **setting: Any,
) -> None:
    """What torch.func and torch.compile give is what plain calls give."""
    batch = Batch(bags, (metric, metric), mode, setting)
    x, z = batch.spaces
    rng = Random(setting["seed"])
    pairs = batch.any_pairs(rng)

    def values(z: Tensor) -> Tensor:
        if function == "deaths":
            return torchtopo.deaths(z, metric=metric, **batch.ragged)
        if function == "pair_distances":
            return torchtopo.pair_distances(z, pairs, metric=metric)
        return torchtopo.signature_loss(
            x,
            z,
            metric_x=metric,
            metric_z=metric,
            convention=convention,
            reduction="none",
            **batch.ragged,
        )

    def alike(found: Tensor, expected: Tensor, what: str) -> None:
        """To the bit, but for sums that a kernel adds up in double and tensor code does not."""
        if function == "signature_loss":
            near(found, expected)
        else:
            same(found, expected, what)

    def energy(z: Tensor) -> Tensor:
        return values(z).square().sum()

    def gradient(z: Tensor, create_graph: bool = False) -> Tensor:
        leaf = z if create_graph else z.detach().requires_grad_()
        (found,) = torch.autograd.grad(energy(leaf), leaf, create_graph=create_graph)
        return found

    with batch.chosen():
        copies = torch.stack((z, z.flip(-1) if metric != "precomputed" else z.mT, z))
        if transform == "vmap":
            near(torch.func.vmap(values)(copies), torch.stack([values(c) for c in copies]))
        elif transform == "grad":
            near(torch.func.grad(energy)(z), gradient(z), x, z)
        elif transform == "vmap of grad":
            near(
                torch.func.vmap(torch.func.grad(energy))(copies),
                torch.stack([gradient(c) for c in copies]),
                *(x, z),
            )
        elif transform == "jvp":
            z = z.clone(memory_format=torch.contiguous_format)  # torch's own tangents ask for it
            value, tangent = torch.func.jvp(values, (z,), (torch.ones_like(z),))
            alike(value, values(z), "values under jvp")
            leaf = z.detach().requires_grad_()
            pull = torch.ones_like(value).requires_grad_()
            (pulled,) = torch.autograd.grad(values(leaf), leaf, pull, create_graph=True)
            (expected,) = torch.autograd.grad(pulled.sum(), pull)
            near(tangent, expected, x, z)
        elif transform == "gradgrad":
            leaf = z.detach().requires_grad_()
            first = gradient(leaf, create_graph=True)
            near(first.detach(), gradient(z), x, z)
            (second,) = torch.autograd.grad(first.sum(), leaf)
            func = torch.func.grad(lambda p: torch.func.grad(energy)(p).sum())(z)
            near(second, func, x, z, ulps=1 << 14)  # of nearly parallel vectors digits cancel
        else:
            torch._dynamo.reset()
            compiled = torch.compile(values, backend="eager", fullgraph=True, dynamic=True)
            alike(compiled(z), values(z), "values under torch.compile")


def matches(bags: Bags, mode: str, **setting: Any) -> None:
    """matched_pairs counts as sets do."""
    batch = Batch(bags, ("euclidean", "euclidean"), mode, setting)
    ragged = {k: v for k, v in batch.ragged.items() if k == "cu_seqlens"}
    with batch.chosen():
        of_x, of_z = (torchtopo.vietoris_rips_pairs(s, **batch.ragged) for s in batch.spaces)
        found = torchtopo.matched_pairs(of_x, of_z.flip(-1), **ragged)
    both = zip(batch.edges(of_x), batch.edges(of_z), strict=True)
    right = [len(set(map(tuple, a.tolist())) & set(map(tuple, b.tolist()))) for a, b in both]
    assert found.flatten().tolist() == right, f"{found.tolist()} matched, should be {right}"


def many(
    n: int,
    d: int,
    dtype: torch.dtype,
    values: int,
    exponent: int,
    metric: str,
    **setting: Any,
) -> None:
    """One large cloud, by Prim's algorithm over NumPy rows."""
    gen = torch.Generator().manual_seed(setting["seed"])
    if values:
        points = torch.randint(0, values, (n, d), generator=gen).to(dtype)
    else:
        points = torch.randn(n, d, generator=gen, dtype=dtype)
    points = points * 2.0**exponent
    batch = Batch([(points,)], (metric,), "alone", setting)
    with batch.chosen():
        pairs, weights = ops.trees(batch.spaces[0], metric, None, None)
    edges = pairs.tolist()
    assert [list(e) for e in kruskal(n, edges)[0]] == edges, "the edges do not span"
    right = formulas.deaths_of_many(points.double().numpy(), metric)
    slack = (d + 8) * torch.finfo(dtype).eps * right
    close(weights, right.tolist(), slack.tolist(), "deaths")
    keys = [(w, *e) for w, e in zip(weights.tolist(), edges, strict=True)]
    assert keys == sorted(keys), "not in the order (weight, i, j)"
    if values and n <= 1100:  # exact: squares of integers
        order = formulas.order_of_many((points * 2.0**-exponent).double().numpy(), metric)
        assert list(map(list, kruskal(n, order)[0])) == edges, "other edges than Kruskal's"


CHECKS: dict[str, Callable[..., None]] = {
    check.__name__: check
    for check in (trees, lengths, gradients, losses, refusals, transforms, matches, many)
}


# Parts


def tree_of(points: Tensor, metric: str, ragged: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Pairs, and their lengths in the type that they are measured in."""
    pairs, weights = ops.trees(points, metric, ragged.get("lengths"), ragged.get("cu_seqlens"))
    return pairs, weights


def farthest_of(points: Tensor, metric: str, ragged: dict[str, Tensor]) -> Tensor:
    found: Tensor = ops.farthest_pairs(
        points, metric, ragged.get("lengths"), ragged.get("cu_seqlens")
    )
    return found


def slack_of_a_tree(right: Cloud, info: torch.finfo) -> list[float]:
    return formulas.slack_of_a_length(right, right.deaths, info, tree=True)
