"""Each loss and measure, forward and backward, against the best implementation there is of it.

A case races torchtopo with one peer on the same bags; both sides' values, and gradients where both
have one, agree before a clock starts. Peers are torch-topological's modules, GUDHI and persim,
and, where a paper's code has no package, its recipe with scipy's tree in place of
the authors' Python loop, which is slower. Single linkage is the benchmark ``linkage``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

import torchtopo

from .data import cloud
from .harness import digits, race
from .speed_table import table, verdict

Step = Callable[[], Tensor]


@dataclass(frozen=True)
class Case:
    """One row: what is raced, against whom; steps return what must agree."""

    name: str
    against: str
    ours: Step
    theirs: Step
    note: str = ""
    check: Case | None = None  # compared in its place, where that says more or takes less

    def agrees(self) -> None:
        """Both sides return the same numbers, relative to their norm."""
        case = self.check or self
        ours, theirs = case.ours().double(), case.theirs().double()
        apart = float((ours - theirs).norm() / theirs.norm())
        assert apart < 1e-6, f"{self.name} against {self.against}: off by {apart:.1e}"


def backward(value: Tensor, leaf: Tensor) -> Tensor:
    """Go backwards to a leaf, and return its gradient beside the value."""
    leaf.grad = None
    value.sum().backward()
    assert leaf.grad is not None
    return torch.cat((value.detach().flatten(), leaf.grad.flatten()))


def scipy_deaths(points: Tensor) -> Tensor:
    """Deaths of one cloud by torch.cdist and scipy's csgraph tree, differentiable."""
    from scipy.sparse.csgraph import minimum_spanning_tree

    return _entries(torch.cdist(points, points), minimum_spanning_tree)


def _entries(distances: Tensor, find: Callable[[Any], Any]) -> Tensor:
    tree = find(np.triu(distances.detach().numpy())).tocoo()
    return distances[torch.from_numpy(tree.row).long(), torch.from_numpy(tree.col).long()]


def giotto_deaths(points: Tensor) -> Tensor:
    """Deaths of one cloud by torch-topological's module."""
    from torch_topological.nn import VietorisRipsComplex

    died: Tensor = VietorisRipsComplex(dim=0, n_threads=1)(points)[0].diagram[:, 1]
    return died


def losses(bags: int, n: int) -> Iterator[Case]:
    """Cases of the losses over clouds, each against both ways to get deaths."""
    z = cloud(bags, n, 16).requires_grad_()
    labels = torch.arange(n).remainder(8).expand(bags, n)
    yield from over_deaths(z, labels, "scipy csgraph", scipy_deaths)
    yield from over_deaths(z, labels, "torch-topological", giotto_deaths)
    yield rtd_lite(bags, n)


def over_deaths(
    z: Tensor, labels: Tensor, against: str, deaths: Callable[[Tensor], Tensor]
) -> Iterator[Case]:
    """The losses as a loop over bags and classes writes them, from deaths found one way."""

    def each(loss: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.stack([loss(deaths(bag)) for bag in z])

    def entropy(died: Tensor) -> Tensor:
        share = died / died.sum()
        total: Tensor = -torch.special.xlogy(share, share).sum()
        return total

    def by_class() -> Tensor:
        parts = [
            (deaths(bag[of_bag == c]) - 1).abs().sum()
            for bag, of_bag in zip(z, labels, strict=True)
            for c in range(8)
        ]
        return torch.stack(parts).reshape(-1, 8).sum(-1)

    size = f"{z.shape[0]}×{z.shape[1]}"
    yield Case(
        f"connectivity, {size}", against,
        lambda: backward(torchtopo.connectivity_loss(z, reduction="none"), z),
        lambda: backward(each(lambda d: (d - 2).abs().sum()), z),
    )  # fmt: skip
    yield Case(
        f"densification, 8 classes, {size}", against,
        lambda: backward(torchtopo.densification_loss(z, labels, beta=1.0, reduction="none"), z),
        lambda: backward(by_class(), z),
    )  # fmt: skip
    yield Case(
        f"spread, {size}", against,
        lambda: backward(torchtopo.spread_loss(z, reduction="none"), z),
        lambda: backward(each(lambda d: -d.mean()) + (z.norm(dim=-1) - 1).square().mean(-1), z),
    )  # fmt: skip
    yield Case(
        f"total persistence, {size}", against,
        lambda: backward(torchtopo.total_persistence(torchtopo.deaths(z), 2.0), z),
        lambda: backward(each(lambda d: d.square().sum()), z),
    )  # fmt: skip
    yield Case(
        f"persistent entropy, {size}", against,
        lambda: backward(torchtopo.persistent_entropy(torchtopo.deaths(z)), z),
        lambda: backward(each(entropy), z),
    )  # fmt: skip


def rtd_lite(bags: int, n: int) -> Case:
    """RTD-Lite, compared in float64 only.

    In float32 torch.quantile rounds the place of the quantile, 0.9 (N² - 1), and so weights its two
    neighbours wrongly, by 1.6e-3 at N = 256; the gradients of the two sides are then 3e-3 apart.
    """
    exact = _rtd_lite(bags, n, torch.float64)
    return replace(_rtd_lite(bags, n, torch.float32), check=exact)


def _rtd_lite(bags: int, n: int, dtype: torch.dtype) -> Case:
    """Algorithm 2 of the paper, with scipy's tree for the authors' Prim."""
    from scipy.sparse.csgraph import minimum_spanning_tree

    x = cloud(bags, n, 64, seed=1, dtype=dtype)
    z = cloud(bags, n, 16, dtype=dtype).requires_grad_()

    def length(distances: Tensor) -> Tensor:
        return _entries(distances, minimum_spanning_tree).sum()

    def theirs() -> Tensor:
        values = []
        for x_bag, z_bag in zip(x, z, strict=True):
            a, b = torch.cdist(x_bag, x_bag), torch.cdist(z_bag, z_bag)
            a, b = a / torch.quantile(a, 0.9), b / torch.quantile(b, 0.9)
            values.append((length(a) + length(b)) / 2 - length(torch.minimum(a, b)))
        return backward(torch.stack(values), z)

    return Case(
        f"RTD-Lite, {bags}×{n}", "published recipe on scipy csgraph",
        lambda: backward(torchtopo.rtd_lite(x, z, reduction="none"), z), theirs,
    )  # fmt: skip


def measures(bags: int, n: int) -> Iterator[Case]:
    """Cases of the measures of diagrams."""
    a, b = (torchtopo.deaths(cloud(bags, n, 3, seed=s)) for s in (1, 2))
    leaf = a.clone().requires_grad_()
    thresholds = torch.linspace(0, 2, 64)
    diagram = torch.stack((torch.zeros_like(a), a), -1)
    pictured = diagram.clone().requires_grad_()
    size = f"{bags}×{n - 1}"

    def wasserstein(order: float) -> Tensor:
        return backward(torchtopo.wasserstein_distance(leaf, b, order), leaf)

    def gudhi_wasserstein(order: float) -> Tensor:
        from gudhi.wasserstein import wasserstein_distance

        values = []
        for of_a, of_b in zip(leaf, b, strict=True):
            first, second = (torch.stack((torch.zeros_like(d), d), -1) for d in (of_a, of_b))
            values.append(
                wasserstein_distance(
                    first, second, order=order, internal_p=np.inf, enable_autodiff=True,
                    keep_essential_parts=False,
                )
            )  # fmt: skip
        return backward(torch.stack(values), leaf)

    for order in (1.0, 2.0):
        yield Case(
            f"Wasserstein {order:g}, {size}", "GUDHI with POT",
            partial(wasserstein, order), partial(gudhi_wasserstein, order),
        )  # fmt: skip

    def gudhi_curve(name: str) -> Tensor:
        from gudhi import representations

        options = {"weight": lambda bar: bar[1] - bar[0]} if name == "Silhouette" else {}
        curve = getattr(representations, name)(resolution=64, sample_range=[0, 2], **options)
        scale = 2**0.5 if name == "Silhouette" else 1
        rows = [curve(bars) / scale for bars in diagram.double().numpy()]
        return torch.from_numpy(np.stack(rows))

    yield Case(
        f"Betti curve, {size}", "GUDHI",
        lambda: torchtopo.betti_curve(diagram, thresholds), lambda: gudhi_curve("BettiCurve"),
        "values only",
    )  # fmt: skip
    yield Case(
        f"silhouette, {size}", "GUDHI",
        lambda: torchtopo.silhouette(diagram, thresholds), lambda: gudhi_curve("Silhouette"),
        "values only",
    )  # fmt: skip

    def persim_image() -> Tensor:
        import persim

        imager = persim.PersistenceImager(
            birth_range=(-0.5, 0.5), pers_range=(0.0, 2.0), pixel_size=0.1,
            weight="persistence", weight_params={"n": 1.0},
            kernel_params={"sigma": [[0.01, 0.0], [0.0, 0.01]]},
        )  # fmt: skip
        images = imager.transform(list(diagram.double().numpy()), skew=True)
        return torch.from_numpy(np.stack(images))

    def our_image(source: Tensor) -> Tensor:
        return torchtopo.persistence_image(
            source, birth_range=(-0.5, 0.5), persistence_range=(0.0, 2.0), resolution=(10, 20)
        )

    def image_with_gradient() -> Tensor:
        image = our_image(pictured)
        pictured.grad = None
        image.sum().backward()
        return image.detach()

    yield Case(
        f"persistence image, {size}", "persim", image_with_gradient, persim_image,
        "theirs values only",
    )  # fmt: skip


def cases(quick: bool) -> Iterator[Case]:
    """All rows."""
    bags, n = (2, 32) if quick else (16, 256)
    yield from losses(bags, n)
    yield from measures(bags, n)


def measure(quick: bool) -> dict[str, Any]:
    """Race every case whose peer is installed, once both sides agree."""
    return race_all(cases(quick), quick)


def race_all(these: Iterator[Case], quick: bool) -> dict[str, Any]:
    """Rows of a results file, and what was left out."""
    rows, skipped = [], []
    for case in these:
        try:
            case.agrees()
        except ImportError as error:
            skipped.append(f"{case.name} against {case.against}: not installed ({error.name})")
            continue
        found = race({"ours": case.ours, "theirs": case.theirs}, budget=0.1 if quick else 0.7)
        rows.append({
            "case": case.name, "against": case.against, "note": case.note,
            "ours": found["ours"].to_json(), "theirs": found["theirs"].to_json(),
            "ratio": digits(found["theirs"].median / found["ours"].median),
            "least": 5.0, "aim": 20.0,
        })  # fmt: skip
    return {"rows": rows, "skipped": skipped}


def sentence(result: dict[str, Any]) -> str:
    """What the numbers say."""
    rows = result["rows"]
    verdicts = [verdict(row) for row in rows]
    slow = [
        f"{row['case']} against {row['against']} ({row['ratio']:g}×)"
        for row, said in zip(rows, verdicts, strict=True)
        if said == "MISS"
    ]
    text = (
        f"{len(rows) - len(slow)} of {len(rows)} rows are at least 5× faster, "
        f"{verdicts.count('aim')} of them 20×"
    )
    return text + (f"; less: {'; '.join(slow)}." if slow else ".")


TABLES = {"losses": table}
