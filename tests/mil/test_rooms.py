"""The rooms of the package: who may import whom, and proof that nobody imports back."""

from __future__ import annotations

import ast
from pathlib import Path

import mil_rbc

HOUSE = Path(mil_rbc.__file__).parent

# From the ground up: a room imports from the floors below its own only.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("_extra", "errors"),
    ("", "files", "markdown", "registry"),
    ("__main__", "cli", "run_folder"),
    ("data", "smears"),
    ("detect", "instances"),
    ("cohort", "model"),
    ("options",),
    ("training",),
    ("report",),
    ("experiment", "predict"),
    ("confirm", "run", "sweep"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def imports(path: Path) -> set[str]:
    """Modules of the package that a file imports, also inside functions and for types only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively: write the whole name"
            module = node.module or ""
            if module.split(".")[0] == "mil_rbc":
                inside = module.partition(".")[2]
                for alias in node.names:
                    longer = f"{inside}.{alias.name}".lstrip(".")
                    place = HOUSE / longer.replace(".", "/")
                    is_module = place.with_suffix(".py").exists() or place.is_dir()
                    found.add(longer if is_module else inside)
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names if a.name.split(".")[0] == "mil_rbc"]
            found |= {name.partition(".")[2] for name in names}
    return found


def modules() -> dict[str, Path]:
    """Every module of the package by its name inside it."""
    named = {}
    for path in HOUSE.rglob("*.py"):
        parts = path.relative_to(HOUSE).with_suffix("").parts
        named[".".join(p for p in parts if p != "__init__")] = path
    return named


def room(module: str) -> str:
    return module.partition(".")[0]


def test_every_room_has_its_floor() -> None:
    assert {room(m) for m in modules()} == set(FLOOR)


def test_no_room_imports_from_its_own_floor_or_above() -> None:
    back = [
        f"{module} imports {other}"
        for module, path in modules().items()
        for other in imports(path)
        if room(other) != room(module) and FLOOR[room(other)] >= FLOOR[room(module)]
    ]
    assert back == []


def test_no_cycle_among_the_modules_of_a_room() -> None:
    graph = {module: imports(path) - {module} for module, path in modules().items()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path, module])
        if module in done:
            return
        for other in sorted(graph[module]):
            visit(other, (*path, module))
        done.add(module)

    for module in sorted(graph):
        visit(module, ())


def test_report_and_predict_are_free_of_the_trainer() -> None:
    for module, path in modules().items():
        if room(module) in ("report", "predict"):
            trainer = imports(path) & {"training.loop", "training.execute", "training"}
            assert not trainer, f"{module} imports {trainer}"
