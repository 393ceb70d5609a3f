"""Draw the figures of the "how it works" pages: ``python docs/drawings.py`` writes docs/how/*.svg.

Every picture is computed, not painted: the trees, orders, deaths and gradients shown are what
torchtopo returns for the points shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from torch import Tensor

import torchtopo

HERE = Path(__file__).resolve().parent / "how"
INK, BLUE, ORANGE, GREY = "#222222", "#0072B2", "#D55E00", "#BBBBBB"

plt.rcParams.update(
    {
        "svg.fonttype": "none",  # text stays text: small files, searchable
        "svg.hashsalt": "torchtopo",  # the same file from the same code
        "font.family": "sans-serif",
        "font.size": 12,
        "axes.titlesize": 12,
        "axes.titlelocation": "left",
    }
)


def seven_points() -> Tensor:
    """Two clusters and a straggler."""
    return torch.tensor(
        [[0.0, 0.0], [0.8, 0.35], [0.45, 1.05], [2.6, 0.2], [3.1, 0.95], [3.7, 0.1], [1.9, 2.3]],
        dtype=torch.float64,
    )


def panel(axes: Any, points: Tensor, title: str) -> None:
    """An empty plane with numbered points."""
    axes.scatter(*points.T, color=INK, s=46, zorder=4)
    for k, (x, y) in enumerate(points.tolist()):
        away = (0, 7) if y > 0.9 else (0, -16)  # above the upper points, below the lower ones
        axes.annotate(str(k), (x, y), away, textcoords="offset points", color=INK, ha="center")
    axes.set(title=title, aspect="equal", xticks=[], yticks=[])
    axes.set_xlim(-1.1, 4.8)
    axes.set_ylim(-1.1, 3.4)
    for spine in axes.spines.values():
        spine.set_visible(False)


def edge(axes: Any, points: Tensor, pair: list[int], **style: Any) -> None:
    """A straight edge between two points."""
    axes.plot(*points[pair].T, zorder=2, **style)


def prim_order(points: Tensor) -> list[list[int]]:
    """The tree's edges in the order in which Prim, started at point 0, adds them."""
    rank = {tuple(p): k for k, p in enumerate(torchtopo.vietoris_rips_pairs(points).tolist())}
    inside, order = {0}, []
    while len(order) < len(rank):
        # The cut property: the smallest edge that leaves the tree so far is an edge of the tree.
        leaving = [p for p in rank if (p[0] in inside) != (p[1] in inside)]
        chosen = min(leaving, key=rank.__getitem__)
        order.append(list(chosen))
        inside |= set(chosen)
    return order


def filtration() -> None:
    """Balls grow, components merge, bars end."""
    points = seven_points()
    pairs, deaths = torchtopo.vietoris_rips_pairs(points), torchtopo.deaths(points)
    figure, panels = plt.subplots(1, 4, figsize=(13, 3.2), width_ratios=[1, 1, 1, 1.1])
    for axes, diameter in zip(panels, (0.5, 0.95, 2.0), strict=False):
        merged = int((deaths <= diameter).sum())
        count = len(points) - merged
        panel(axes, points, f"diameter {diameter:g}: {count} component{'s' * (count > 1)}")
        for x, y in points.tolist():
            axes.add_patch(plt.Circle((x, y), diameter / 2, color=BLUE, alpha=0.15, lw=0))
        for pair in pairs[:merged].tolist():
            edge(axes, points, pair, color=ORANGE, linewidth=2.5)
    axes = panels[-1]
    for k, death in enumerate(deaths.flip(0).tolist()):
        axes.plot([0, death], [k, k], color=ORANGE, linewidth=5, solid_capstyle="butt")
    axes.plot([0, 2.7], [len(deaths)] * 2, color=GREY, linewidth=5, solid_capstyle="butt")
    axes.text(2.7, len(deaths) - 0.75, "never dies", color="#666666", ha="right")
    axes.set(title="6 bars: birth 0, death = edge length", yticks=[], xlabel="diameter")
    axes.spines[["top", "right", "left"]].set_visible(False)
    write(figure, "filtration")


def two_orders() -> None:
    """Kruskal's and Prim's order of adding the same edges."""
    points = seven_points()
    pairs = torchtopo.vietoris_rips_pairs(points).tolist()
    figure, panels = plt.subplots(1, 2, figsize=(9.5, 3.8))
    found = {"Kruskal takes edges from short to long": pairs,
             "Prim grows one tree from point 0": prim_order(points)}  # fmt: skip
    for axes, (title, order) in zip(panels, found.items(), strict=True):
        panel(axes, points, title)
        for step, pair in enumerate(order, start=1):
            edge(axes, points, pair, color=BLUE, linewidth=2.5)
            x, y = points[pair].mean(0).tolist()
            axes.text(
                x, y, str(step), color="white", ha="center", va="center", fontsize=10, zorder=5,
                bbox={"boxstyle": "circle", "facecolor": ORANGE, "edgecolor": "none", "pad": 0.25},
            )  # fmt: skip
    write(figure, "two_orders")


def cut() -> None:
    """The cut property: the shortest edge across a cut belongs to the tree."""
    points = seven_points()
    tree = prim_order(points)
    done, chosen = tree[:3], tree[3]
    inside = {v for pair in done for v in pair}
    figure, axes = plt.subplots(figsize=(6.4, 3.8))
    panel(axes, points, "Prim's tree (blue), the edges that leave it (grey), the smallest (orange)")
    for i in inside:
        for j in set(range(len(points))) - inside:
            edge(axes, points, [i, j], color=GREY, linewidth=1)
    for pair in done:
        edge(axes, points, pair, color=BLUE, linewidth=2.5)
    edge(axes, points, chosen, color=ORANGE, linewidth=3)
    write(figure, "cut")


def gradient() -> None:
    """Which entries of the distance matrix reach the loss, and what they do to the points."""
    points = seven_points().requires_grad_()
    deaths = torchtopo.deaths(points)
    deaths.sum().backward()
    pairs = torchtopo.vietoris_rips_pairs(points)
    n = len(points)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), width_ratios=[1, 1.35])
    shade = torch.full((n, n), 0.12)
    shade[torch.tril_indices(n, n).unbind()] = 0.0
    left.imshow(shade, cmap="Greys", vmin=0, vmax=1)
    for (i, j), death in zip(pairs.tolist(), deaths.tolist(), strict=True):
        left.add_patch(plt.Rectangle((j - 0.5, i - 0.5), 1, 1, color=ORANGE))
        left.text(j, i, f"{death:.2f}", ha="center", va="center", fontsize=9, color="white")
    left.set(
        xticks=range(n), yticks=range(n), xlabel="j", ylabel="i",
        title=f"{n - 1} of {n * (n - 1) // 2} distances matter",
    )  # fmt: skip
    left.spines[["top", "right", "bottom", "left"]].set_visible(False)
    still = points.detach()
    panel(right, still, "their pulls on each point, summed")
    for pair in pairs.tolist():
        edge(right, still, pair, color=ORANGE, linewidth=2.5, alpha=0.6)
    assert points.grad is not None
    for (x, y), (dx, dy) in zip(still.tolist(), (-0.45 * points.grad).tolist(), strict=True):
        right.annotate(
            "", (x + dx, y + dy), (x, y), zorder=6,
            arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 1.8},
        )  # fmt: skip
    write(figure, "gradient")


def write(figure: Any, name: str) -> None:
    """Save one drawing as a small SVG without a date in it."""
    HERE.mkdir(exist_ok=True)
    figure.tight_layout()
    figure.savefig(HERE / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


if __name__ == "__main__":
    for draw in (filtration, two_orders, cut, gradient):
        draw()
        print(f"drew docs/how/{draw.__name__}.svg")
