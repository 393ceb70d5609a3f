"""A plain twin of every public function, written to be read: the oracle of the tests.

Textbook Kruskal over all edges, one bag at a time, differentiable through advanced indexing of a
full distance matrix. Slow, and independent of the kernels.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor


class Tree(NamedTuple):
    edges: Tensor
    weights: Tensor


def distance_matrix(points: Tensor, metric: str = "euclidean") -> Tensor:
    """All distances `(N, N)` by direct differences, measured in float64."""
    if metric == "precomputed":
        return points
    points = points.double()
    if metric == "cosine":
        similarity = torch.nn.functional.cosine_similarity(
            points.unsqueeze(1), points.unsqueeze(0), dim=-1, eps=0.0
        )
        norms = points.norm(dim=-1)
        zero = (norms == 0).unsqueeze(0) | (norms == 0).unsqueeze(1)
        return 1 - similarity.masked_fill(zero, 0.0)
    order = {"euclidean": 2.0, "manhattan": 1.0, "chebyshev": math.inf}[metric]
    matrix: Tensor = torch.linalg.vector_norm(points.unsqueeze(1) - points.unsqueeze(0), order, -1)
    return matrix


def kruskal(
    distances: Tensor, among: list[tuple[int, int]] | None = None
) -> tuple[list[tuple[int, int]], list[int]]:
    """Edges of the tree of one matrix in the order (weight, i, j), and the vertex each kills.

    All edges are looked at, or those `among` which the tree is known to be.
    """
    n = distances.shape[0]
    rows = distances.tolist()
    order = sorted(
        (math.isnan(rows[i][j]), 0.0 if math.isnan(rows[i][j]) else rows[i][j], i, j)
        for i, j in (itertools.combinations(range(n), 2) if among is None else among)
    )
    eldest = list(range(n))  # of each vertex, a step towards the eldest of its component

    def find(v: int) -> int:
        while eldest[v] != v:
            v = eldest[v]
        return v

    edges, dying = [], []
    for _, _, i, j in order:
        elder, younger = sorted((find(i), find(j)))
        if elder != younger:
            eldest[younger] = elder
            edges.append((i, j))
            dying.append(younger)
    return edges, dying


def minimum_spanning_tree(distances: Tensor, lengths: Tensor | None = None) -> Tree:
    edges = vietoris_rips_pairs(distances, metric="precomputed", lengths=lengths)
    return Tree(edges, pair_distances(distances, edges, metric="precomputed"))


def vietoris_rips_generators(
    points: Tensor, metric: str = "euclidean", lengths: Tensor | None = None
) -> Tensor:
    if points.dim() > 2:
        sizes = [None] * len(points) if lengths is None else list(lengths)
        bags = [vietoris_rips_generators(p, metric, n) for p, n in zip(points, sizes, strict=True)]
        return torch.stack(bags)
    n = len(points) if lengths is None else int(lengths)
    bag = points[:n, :n] if metric == "precomputed" else points[:n]
    weights = distance_matrix(bag.detach(), metric)
    if metric != "precomputed" and points.dtype != torch.float64:
        # The order is that of lengths as they are returned, rounded to float32. Those that overflow
        # it are all returned as infinity; which of them are in the tree float64 decides.
        exact, weights = weights, weights.float()
        edges, _ = kruskal(torch.where(weights.isinf(), exact, weights.double()))
        edges, dying = kruskal(weights, edges)
    else:
        edges, dying = kruskal(weights)
    rows = [(v, i, j) for v, (i, j) in zip(dying, edges, strict=True)]
    rows += [(-1, -1, -1)] * (len(points) - n)
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)


def vietoris_rips_pairs(
    points: Tensor, metric: str = "euclidean", lengths: Tensor | None = None
) -> Tensor:
    return vietoris_rips_generators(points, metric, lengths)[..., 1:]


def pair_distances(points: Tensor, pairs: Tensor, metric: str = "euclidean") -> Tensor:
    if points.dim() > 2:
        bags = zip(points, pairs, strict=True)
        return torch.stack([pair_distances(p, e, metric) for p, e in bags])
    i, j = pairs.min(-1).values, pairs.max(-1).values
    entries = distance_matrix(points, metric)[i, j]
    return torch.where(i < 0, 0.0, entries).to(points.dtype)


def deaths(points: Tensor, metric: str = "euclidean", lengths: Tensor | None = None) -> Tensor:
    return pair_distances(points, vietoris_rips_pairs(points, metric, lengths), metric)


def persistence_diagram(
    points: Tensor, metric: str = "euclidean", lengths: Tensor | None = None
) -> Tensor:
    died = deaths(points, metric, lengths)
    return torch.stack((torch.zeros_like(died), died), -1)


def signature_loss(
    x: Tensor,
    z: Tensor,
    metric_x: str = "euclidean",
    metric_z: str = "euclidean",
    convention: str = "paper",
    z_scale: Tensor | float = 1.0,
    lengths: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The formulas of the four conventions, a bag at a time, over full distance matrices."""
    if x.dim() == 2:
        x, z = x.unsqueeze(0), z.unsqueeze(0)
    sizes = [x.shape[1]] * len(x) if lengths is None else [int(n) for n in lengths]
    bags = []
    for x_bag, z_bag, n in zip(x, z, sizes, strict=True):
        x_bag = x_bag[:n, :n] if metric_x == "precomputed" else x_bag[:n]
        z_bag = z_bag[:n, :n] if metric_z == "precomputed" else z_bag[:n]
        distances_x, distances_z = (
            distance_matrix(x_bag, metric_x),
            distance_matrix(z_bag, metric_z),
        )
        if convention in ("topoae", "torch_topological") and n > 1:
            distances_x = distances_x / distances_x.max()
        if convention in ("topoae", "mil"):
            distances_z = distances_z / z_scale
        if convention == "torch_topological" and n > 1:
            distances_z = distances_z / distances_z.max()
        i, j = vietoris_rips_pairs(x_bag, metric_x).unbind(-1)
        k, m = vietoris_rips_pairs(z_bag, metric_z).unbind(-1)
        of_x = distances_x[i, j] - distances_z[i, j]
        of_z = distances_z[k, m] - distances_x[k, m]
        if convention == "torch_topological":
            bags.append((of_x.norm() + of_z.norm()) / 2)
        elif convention == "paper":
            bags.append((of_x.square().sum() + of_z.square().sum()) / 2)
        else:
            bags.append((of_x.square().sum() + of_z.square().sum()) / n)
    loss = torch.stack(bags).to(torch.promote_types(x.dtype, z.dtype))
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


def matched_pairs(pairs_x: Tensor, pairs_z: Tensor) -> Tensor:
    if pairs_x.dim() > 2:
        return torch.stack([matched_pairs(a, b) for a, b in zip(pairs_x, pairs_z, strict=True)])
    edges_x, edges_z = (
        {tuple(sorted(e)) for e in pairs.tolist() if e != [-1, -1]} for pairs in (pairs_x, pairs_z)
    )
    return torch.tensor(len(edges_x & edges_z))


def _bags(data: Tensor, lengths: Tensor | None, metric: str = "euclidean") -> list[Tensor]:
    """The clouds, or matrices, of a padded batch, each without its padding."""
    if data.dim() == 2:
        data = data.unsqueeze(0)
    sizes = [data.shape[1]] * len(data) if lengths is None else [int(n) for n in lengths]
    bags = zip(data, sizes, strict=True)
    return [bag[:n, :n] if metric == "precomputed" else bag[:n] for bag, n in bags]


def connectivity_loss(
    z: Tensor,
    eta: float = 2.0,
    branches: int = 1,
    metric: str = "euclidean",
    lengths: Tensor | None = None,
) -> Tensor:
    """Of each bag, as are all that follow."""
    losses = []
    for bag in _bags(z, lengths, metric):
        parts = bag.chunk(branches, -1)
        losses.append(torch.stack([(deaths(p, metric) - eta).abs().sum() for p in parts]).sum())
    return torch.stack(losses)


def densification_loss(
    z: Tensor,
    labels: Tensor,
    beta: float,
    metric: str = "euclidean",
    lengths: Tensor | None = None,
) -> Tensor:
    losses = []
    rows = labels.reshape(-1, labels.shape[-1])
    for bag, label in zip(_bags(z, lengths, metric), rows, strict=True):
        label = label[: len(bag)]
        classes = [bag[label == c] for c in label.unique() if c >= 0]
        parts = [(deaths(points, metric) - beta).abs().sum() for points in classes]
        losses.append(torch.stack(parts).sum() if parts else bag.sum() * 0)
    return torch.stack(losses)


def spread_loss(
    z: Tensor, sphere: float = 1.0, metric: str = "euclidean", lengths: Tensor | None = None
) -> Tensor:
    losses = []
    for bag in _bags(z, lengths, metric):
        died = deaths(bag, metric)
        mean = died.mean() if len(died) else bag.sum() * 0
        losses.append(-mean + sphere * (bag.norm(dim=-1) - 1).square().mean())
    return torch.stack(losses)


def rtd_lite(
    x: Tensor,
    z: Tensor,
    metric_x: str = "euclidean",
    metric_z: str = "euclidean",
    quantile: float | None = 0.9,
    lengths: Tensor | None = None,
) -> Tensor:
    losses = []
    for x_bag, z_bag in zip(_bags(x, lengths, metric_x), _bags(z, lengths, metric_z), strict=True):
        a, b = distance_matrix(x_bag, metric_x), distance_matrix(z_bag, metric_z)
        if quantile is not None and len(x_bag) > 1:
            a, b = a / a.quantile(quantile), b / b.quantile(quantile)
        of_a, of_b, of_m = (
            minimum_spanning_tree(matrix).weights.sum() for matrix in (a, b, torch.minimum(a, b))
        )
        losses.append((of_a - of_m + of_b - of_m) / 2)
    return torch.stack(losses)


def total_persistence(deaths: Tensor, p: float = 1.0) -> Tensor:
    return torch.stack([row[row != math.inf].pow(p).sum() for row in deaths])


def persistent_entropy(deaths: Tensor) -> Tensor:
    entropies = []
    for row in deaths:
        shares = [d / sum(row.tolist()) for d in row.tolist() if d > 0]
        entropies.append(-sum(q * math.log(q) for q in shares))
    return torch.tensor(entropies, dtype=deaths.dtype)


def betti_curve(diagram: Tensor, thresholds: Tensor) -> Tensor:
    birth, death = (side.unsqueeze(-1) for side in diagram.unbind(-1))
    return ((birth <= thresholds) & (thresholds < death)).sum(-2).to(diagram.dtype)


def silhouette(diagram: Tensor, thresholds: Tensor, p: float = 1.0) -> Tensor:
    curves = []
    for bars in diagram:
        tents = [
            [max(0.0, min(t - birth, death - t)) for t in thresholds.tolist()]
            for birth, death in bars.tolist()
        ]
        weights = (bars[:, 1] - bars[:, 0]).clamp(min=0).pow(p)
        total = weights.sum() if weights.sum() > 0 else 1.0
        heights = torch.tensor(tents, dtype=diagram.dtype).reshape(-1, len(thresholds))
        curves.append(weights @ heights / total)
    return torch.stack(curves)


def persistence_image(
    diagram: Tensor,
    birth_range: tuple[float, float],
    persistence_range: tuple[float, float],
    resolution: tuple[int, int],
    sigma: float,
    power: float = 1.0,
) -> Tensor:
    """One diagram, a pixel and a bar at a time."""

    def mass(centre: float, low: float, high: float) -> float:
        ends = ((edge - centre) / sigma / math.sqrt(2) for edge in (low, high))
        below, above = (math.erf(e) / 2 for e in ends)
        return above - below

    def pixels(limits: tuple[float, float], count: int) -> list[tuple[float, float]]:
        width = (limits[1] - limits[0]) / count
        return [(limits[0] + k * width, limits[0] + (k + 1) * width) for k in range(count)]

    image = torch.zeros(resolution, dtype=torch.float64)
    for birth, death in diagram.tolist():
        for r, row in enumerate(pixels(birth_range, resolution[0])):
            for c, column in enumerate(pixels(persistence_range, resolution[1])):
                length = death - birth
                weight = length**power if length > 0 else 0.0
                image[r, c] += weight * mass(birth, *row) * mass(length, *column)
    return image


def wasserstein_distance(deaths_a: Tensor, deaths_b: Tensor, p: float = 1.0) -> float:
    """Of two clouds, by trying every partial matching: the order of deaths is not made use of."""
    a, b = deaths_a.tolist(), deaths_b.tolist()
    combine = max if p == math.inf else sum
    power = 1.0 if p == math.inf else p

    def cheapest(i: int, free: frozenset[int], costs: list[float]) -> float:
        if i == len(a):
            total: float = combine([*costs, *((b[j] / 2) ** power for j in free), 0.0])
            return total
        alone = cheapest(i + 1, free, [*costs, (a[i] / 2) ** power])
        matched = (cheapest(i + 1, free - {j}, [*costs, abs(a[i] - b[j]) ** power]) for j in free)
        return min(alone, *matched, math.inf)

    best = cheapest(0, frozenset(range(len(b))), [])
    return best if p == math.inf else best ** (1 / p)


def single_linkage(
    points: Tensor, metric: str = "euclidean", lengths: Tensor | None = None
) -> list[Tensor]:
    """Rows (cluster, cluster, height, size) of each cloud, clusters being sets of points."""
    linkages = []
    for bag in _bags(points, lengths, metric):
        clusters = {v: {v} for v in range(len(bag))}
        rows = []
        pairs = vietoris_rips_pairs(bag, metric)
        heights = pair_distances(bag, pairs, metric).tolist()
        for k, ((i, j), height) in enumerate(zip(pairs.tolist(), heights, strict=True)):
            a, b = sorted(number for number, c in clusters.items() if i in c or j in c)
            both = clusters.pop(a) | clusters.pop(b)
            clusters[len(bag) + k] = both
            rows.append((a, b, height, len(both)))
        linkages.append(torch.tensor(rows, dtype=points.dtype).reshape(-1, 4))
    return linkages


def cut(linkage: Tensor, merges: int) -> list[int]:
    """Labels of the points of one cloud after so many merges."""
    n = len(linkage) + 1
    clusters = {v: {v} for v in range(n)}
    for k, (a, b) in enumerate(linkage[:merges, :2].long().tolist()):
        clusters[n + k] = clusters.pop(a) | clusters.pop(b)
    order = sorted(clusters.values(), key=min)
    return [next(k for k, c in enumerate(order) if v in c) for v in range(n)]
