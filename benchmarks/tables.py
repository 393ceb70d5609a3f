"""Write the tables of README and docs from the results files: ``python -m benchmarks --tables``.

A table stands between ``<!-- table:NAME -->`` and ``<!-- /table -->``. NAME is a key of a script's
``TABLES`` (made from its results file), or ``NAME.sentence`` or ``NAME.machine``.
"""

from __future__ import annotations

import importlib
import json
import re
import textwrap
from pathlib import Path
from typing import Any

from . import machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
MARKED = re.compile(
    r"^(?P<indent>[ \t]*)<!-- table:(?P<name>[\w.-]+) -->\n.*?^[ \t]*<!-- /table -->",
    re.DOTALL | re.MULTILINE,
)


def documents() -> list[Path]:
    """The Markdown files that may hold tables."""
    return [ROOT / "README.md", *sorted((ROOT / "benchmarks").glob("*.md")),
            *sorted((ROOT / "docs").rglob("*.md"))]  # fmt: skip


def results(script: str) -> dict[str, Any]:
    """What a results file holds, or the files of a folder by name; a missing one is an error."""
    if (RESULTS / script).is_dir():
        files = sorted((RESULTS / script).glob("*.json"))
        return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}
    path = RESULTS / f"{script}.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is missing: run python -m benchmarks {script}")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def render(name: str) -> str:
    """The text that belongs between the markers of a table."""
    script, _, part = name.partition(".")
    result = results(script)
    module = importlib.import_module(f"benchmarks.{script}")
    if part == "sentence":
        return str(module.sentence(result))
    if part == "machine":
        return machine.sentence(result["machine"])
    made = module.TABLES
    if name not in made:
        raise KeyError(f"no table is called {name!r}; benchmarks.{script} has {', '.join(made)}")
    return str(made[name](result))


def filled(text: str, *, keep_missing: bool = False) -> str:
    """``text`` with every marked table made anew, or kept where its results file is missing."""

    def made(match: re.Match[str]) -> str:
        try:
            table = render(match["name"])
        except FileNotFoundError:
            if not keep_missing:
                raise
            return match[0]
        block = f"<!-- table:{match['name']} -->\n\n{table}\n\n<!-- /table -->"
        return textwrap.indent(block, match["indent"])

    return MARKED.sub(made, text)


def rewrite() -> list[Path]:
    """Rewrite every table whose results file exists; returns the documents that changed."""
    changed = []
    for path in documents():
        if not path.is_file():
            continue
        old = path.read_text(encoding="utf-8")
        new = filled(old, keep_missing=True)
        if new != old:
            path.write_text(new, encoding="utf-8")
            changed.append(path.relative_to(ROOT))
    return changed
