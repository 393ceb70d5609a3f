"""Tables in Markdown, and differences as they write them."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table.

    Examples:
        >>> print(table(["pooling", "AUROC"], [["max", "96.8"]]))
        | pooling | AUROC |
        | --- | --- |
        | max | 96.8 |
    """
    return "\n".join("| " + " | ".join(r) + " |" for r in [head, ["---"] * len(head), *rows])


def points(share: float) -> str:
    """A difference in percentage points; a dash where there is none."""
    return "–" if share != share else f"{round(100 * share, 1) + 0.0:+.1f}"  # no -0.0


def interval(low: float, high: float) -> str:
    """From where to where, in percentage points."""
    return f"{points(low)} to {points(high)}"
