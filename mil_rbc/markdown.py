"""Tables as Markdown writes them."""

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
