"""docs/house.md is true: each room has its line, each path exists, and arrows point one way."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {".py", ".cpp", ".hpp", ".inc", ".cu", ".cuh"}
OUTSIDE = ("csrc", "torchtopo", "mil_rbc", "benchmarks", "tests", "docs", "examples", "tools")

if not (ROOT / "docs" / "house.md").exists():
    pytest.skip("tests apart from the sources", allow_module_level=True)
PAGE = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")


def rooms() -> set[str]:
    """Folders that hold sources."""
    files = [path for top in OUTSIDE for path in (ROOT / top).rglob("*") if path.suffix in SOURCES]
    return {path.parent.relative_to(ROOT).as_posix() for path in files}


def test_every_room_has_its_line_and_every_line_its_room():
    listed = re.findall(r"^\| `([\w./]+)` \|", PAGE, re.M)
    assert len(listed) == len(set(listed))
    assert sorted(rooms()) == sorted(listed)


def test_every_path_named_exists():
    named = {n for n in re.findall(r"`([\w./]+)`", PAGE) if "/" in n or n.endswith(".md")}
    assert len(named) > 30
    assert not sorted(n for n in named if not (ROOT / n).exists())


@pytest.mark.parametrize(
    ("recipe", "least"),
    [("metric", 4), ("loss", 3), ("CPU kernel", 4), ("cohort", 3), ("pooling", 2)],
)
def test_there_is_a_recipe(recipe: str, least: int):
    (steps,) = re.findall(rf"^### … an? {recipe}.*?\n(.*?)(?=^##|\Z)", PAGE, re.M | re.S)
    assert len(re.findall(r"^\d\. ", steps, re.M)) >= least


def imported(folder: Path) -> set[str]:
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_torchtopo_knows_nothing_of_the_experiment():
    assert not [name for name in imported(ROOT / "torchtopo") if name.startswith("mil_rbc")]


@pytest.mark.parametrize("user", ["mil_rbc", "examples"])
def test_whoever_uses_torchtopo_uses_what_is_public(user: str):
    assert not [n for n in imported(ROOT / user) if re.match(r"torchtopo\.(?:\w+\.)*_", n)]


@pytest.mark.parametrize(("room", "stranger"), [("cpu", "cuda/"), ("cuda", "cpu/")])
def test_cpu_and_cuda_do_not_know_each_other(room: str, stranger: str):
    for path in filter(Path.is_file, (ROOT / "csrc" / room).rglob("*")):
        for included in re.findall(r'#include "([^"]+)"', path.read_text(encoding="utf-8")):
            assert stranger not in included, f"{path} includes {included}"
