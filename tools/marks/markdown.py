"""What the tables share: names of arms, and numbers as they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ARMS = {"off": "without", "signature": "with"}
SHOWN = {"accuracy": "accuracy", "f1_weighted": "F1", "auroc": "AUROC"}


def signed(value: float, digits: int = 1) -> str:
    """A difference in percentage points."""
    return "–" if value != value else f"{round(100 * value, digits) + 0.0:+.{digits}f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(r) + " |" for r in [head, ["---"] * len(head), *rows])


def stored(folder: Path) -> dict[str, Any]:
    """What `config.yaml` of a run says."""
    values: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text())
    return values
