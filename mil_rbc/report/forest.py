"""Effects with their intervals, a line each, and a diamond for what they come to together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl


class Line(NamedTuple):
    """One effect, in the units of the axis.

    Attributes:
        mean: the effect.
        low, high: its interval.
        colour: of line and mark.
        share: of the weight in what is pooled, which the mark's size shows; 0: not pooled.
        pooled: whether this is what the others come to together.
    """

    mean: float
    low: float
    high: float
    colour: str
    share: float = 0.0
    pooled: bool = False


def draw_lines(axis: Any, lines: Sequence[Line], names: Sequence[str]) -> None:
    """Draw effects from top to bottom, with a line at no effect."""
    axis.axvline(0, color=mpl.rcParams["axes.edgecolor"], lw=0.8)
    for y, line in enumerate(lines):
        if line.pooled:
            corners = [(line.low, y), (line.mean, y - 0.25), (line.high, y), (line.mean, y + 0.25)]
            axis.fill(*zip(*corners, strict=True), color=line.colour, zorder=3)
            continue
        axis.plot([line.low, line.high], [y, y], color=line.colour, lw=2)
        axis.plot(line.mean, y, "s", color=line.colour, ms=5 + 10 * line.share, zorder=3)
    axis.set_yticks(range(len(lines)), names)
    axis.set_ylim(len(lines) - 0.5, -0.5)
