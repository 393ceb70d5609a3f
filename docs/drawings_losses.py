"""Draw the figures of the loss and measure pages: ``python docs/drawings_losses.py``.

Every picture is computed: the arrows are gradients, the curves are what torchtopo returns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import drawings
import matplotlib.pyplot as plt
import torch
from drawings import BLUE, GREY, INK, ORANGE, seven_points
from torch import Tensor

import torchtopo

drawings.HERE = Path(__file__).resolve().parent / "losses"


def arrows(axes: Any, points: Tensor, loss: Tensor, title: str, colours: Any = INK) -> None:
    """Points, their tree, and where a step against the gradient moves them."""
    (gradient,) = torch.autograd.grad(loss, points)
    still = points.detach()
    drawings.panel(axes, still, title)
    axes.scatter(*still.T, c=colours, s=46, zorder=5)
    for (x, y), (dx, dy) in zip(still.tolist(), (-0.4 * gradient).tolist(), strict=True):
        if abs(dx) + abs(dy) > 1e-6:
            axes.annotate(
                "", (x + dx, y + dy), (x, y), zorder=6,
                arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 1.8},
            )  # fmt: skip


def pulls() -> None:
    """What connectivity, densification and spread do to the same seven points."""
    points = seven_points().requires_grad_()
    labels = torch.tensor([0, 0, 0, 1, 1, 1, -1])
    figure, panels = plt.subplots(1, 3, figsize=(13, 3.6))
    pairs = torchtopo.vietoris_rips_pairs(points).tolist()
    for axes in (panels[0], panels[2]):
        for pair in pairs:
            drawings.edge(axes, points.detach(), pair, color=ORANGE, linewidth=2.5, alpha=0.6)
    for group in (0, 1):
        rows = (labels == group).nonzero().flatten()
        for pair in rows[torchtopo.vietoris_rips_pairs(points.detach()[rows])].tolist():
            drawings.edge(panels[1], points.detach(), pair, color=ORANGE, linewidth=2.5, alpha=0.6)
    arrows(
        panels[0], points, torchtopo.connectivity_loss(points, eta=1.2),
        "connectivity, η = 1.2: every edge to one length",
    )  # fmt: skip
    arrows(
        panels[1], points, torchtopo.densification_loss(points, labels, beta=0.5),
        "densification, β = 0.5: the same within classes",
        [{0: BLUE, 1: ORANGE, -1: GREY}[k] for k in labels.tolist()],
    )  # fmt: skip
    arrows(
        panels[2], points, 6 * torchtopo.spread_loss(points, sphere=0.0),
        "spread: every edge of the tree grows",
    )  # fmt: skip
    drawings.write(figure, "pulls")


def measures() -> None:
    """A diagram as a curve, a silhouette and an image."""
    points = torch.rand(60, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    diagram = torchtopo.persistence_diagram(points)
    at = torch.linspace(0, float(diagram[:, 1].max()) * 1.15, 200, dtype=torch.float64)
    figure, panels = plt.subplots(1, 4, figsize=(13, 3))
    for k, death in enumerate(diagram[:, 1].flip(0).tolist()):
        panels[0].plot([0, death], [k, k], color=ORANGE, linewidth=1.6)
    panels[0].set(title=f"{len(diagram)} bars", yticks=[])
    panels[1].plot(at, torchtopo.betti_curve(diagram, at), color=BLUE)
    panels[1].set(title="Betti curve")
    for p, colour in ((1.0, BLUE), (4.0, ORANGE)):
        panels[2].plot(at, torchtopo.silhouette(diagram, at, p), color=colour, label=f"p = {p:g}")
    panels[2].legend(frameon=False)
    panels[2].set(title="silhouette")
    image = torchtopo.persistence_image(
        diagram, birth_range=(-0.1, 0.1), persistence_range=(0.0, float(at[-1])),
        resolution=(20, 20), sigma=0.02,
    )  # fmt: skip
    panels[3].imshow(image.T, origin="lower", cmap="Greys")
    panels[3].set(title="persistence image", xticks=[], yticks=[], xlabel="birth")
    for axes in panels[:3]:
        axes.set(xlabel="diameter")
        axes.spines[["top", "right"]].set_visible(False)
    drawings.write(figure, "measures")


def dimension() -> None:
    """The slope that a dimension is read from, for clouds of known dimension."""
    generator = torch.Generator().manual_seed(0)
    sizes = [62, 125, 250, 500, 1000, 2000]
    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    for d, colour in ((1, GREY), (2, BLUE), (3, ORANGE)):
        points = torch.rand(4000, d, generator=generator, dtype=torch.float64)
        found, error = torchtopo.ph_dimension(points, sizes=sizes, generator=generator)
        lengths = [
            torchtopo.deaths(points[torch.randperm(4000, generator=generator)[:n]]).sum()
            for n in sizes
        ]
        label = f"cube of dimension {d}: {found:.2f} ± {error:.2f}"
        axes.loglog(sizes, lengths, "o-", color=colour, label=label)
    axes.set(xlabel="points n", ylabel="length of the tree", title="growing as n^((dim - 1)/dim)")
    axes.legend(frameon=False, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    drawings.write(figure, "dimension")


if __name__ == "__main__":
    for draw in (pulls, measures, dimension):
        draw()
        print(f"drew docs/losses/{draw.__name__}.svg")
