"""Every module of torchtopo can be the first to be imported, and imports run one way."""

from __future__ import annotations

import ast
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import torchtopo

ROOT = Path(torchtopo.__file__).parent

# torch is loaded once; then each module has a process of its own.
FIRST = """
import importlib, os, sys
import torch
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException as error:
            print(f"{name}: {error!r}", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


def modules() -> list[str]:
    return [m.name for m in pkgutil.walk_packages(torchtopo.__path__, "torchtopo.")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each import is tried in a fork")
def test_every_module_can_be_imported_first() -> None:
    found = [m for m in modules() if m not in ("torchtopo.dask", "torchtopo.sklearn")]  # of extras
    assert "torchtopo._operators.registry" in found
    done = subprocess.run(
        [sys.executable, "-c", FIRST, *found], capture_output=True, text=True, timeout=600
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def imports() -> dict[str, set[str]]:
    """The modules of torchtopo that each of its private modules names in an import."""
    graph = {}
    for path in sorted(ROOT.rglob("_*.py")) + sorted(ROOT.glob("_*/*.py")):
        name = ".".join(("torchtopo", *path.relative_to(ROOT).with_suffix("").parts))
        named = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torchtopo"):
                named.add(node.module)
                named |= {f"{node.module}.{alias.name}" for alias in node.names}
        if path.name not in ("__init__.py", "__main__.py"):
            graph[name] = named
    return {name: named & graph.keys() - {name} for name, named in graph.items()}


def test_there_is_no_cycle() -> None:
    graph = imports()
    assert graph["torchtopo._filtrations.rips"] >= {"torchtopo._operators.registry"}
    while leaves := [name for name, named in graph.items() if not named]:
        for leaf in leaves:
            del graph[leaf]
        for named in graph.values():
            named.difference_update(leaves)
    assert not graph, f"these import each other: {graph}"


FLOORS = ("_metric", "_checks", "_bags", "_operators", "_lengths", "_filtrations", "_losses")


def test_imports_point_downhill() -> None:
    """A room imports from its own floor and those below, and losses are seen by none of them."""
    for name, named in imports().items():
        room = name.split(".")[1]
        if room not in FLOORS:
            continue
        for other in named:
            below = other.split(".")[1]
            if below in FLOORS:
                assert FLOORS.index(below) <= FLOORS.index(room), f"{name} imports {other}"
