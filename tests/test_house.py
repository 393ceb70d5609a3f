"""docs/house.md is true: each room has its line, each path exists, and arrows point one way."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {".py", ".cpp", ".hpp", ".cu", ".cuh"}
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


def test_what_kernels_include_comes_before_the_target_region():
    """It would be compiled for AVX-512 in one file, and the linker might keep that copy."""
    cpu = ROOT / "csrc" / "cpu"
    for file in cpu.glob("isa_*.cpp"):
        includes = re.findall(r"^#include (.+)$", file.read_text(encoding="utf-8"), re.M)
        assert includes == ['"any_isa.hpp"', '"each_isa/kernels.hpp"']
    before = re.findall(r"^#include (.+)$", (cpu / "any_isa.hpp").read_text("utf-8"), re.M)
    folder = {f'"{p.name}"' for p in (cpu / "each_isa").glob("*.hpp")}
    for file in (cpu / "each_isa").glob("*.hpp"):
        text = file.read_text(encoding="utf-8")
        for name in set(re.findall(r"^ *#include (.+)$", text, re.M)) - folder:
            outside = re.sub(r'^"\.\./(\.\./)?', lambda up: '"../' if up[1] else '"', name)
            assert outside in before, f"{file.name} includes {name}"


# What a stranger asks; the words of the map that answer, in the line of one room alone; a file of
# that room, and what stands in it.
QUESTIONS = {
    "Which of two edges of one length comes first?": (
        "the order of edges",
        "csrc/order.hpp",
        "struct Order",
    ),
    "Where is the elder rule?": ("the elder rule", "csrc/elder_rule.hpp", "elder"),
    "What number has a metric?": ("the metrics' names", "csrc/metric.hpp", "enum class Metric"),
    "Which kernel takes 5000 points in 3 dimensions?": (
        "which kernel takes which bag",
        "csrc/cpu/plan.hpp",
        "plans[]",
    ),
    "Who starts threads?": ("the thread pool", "csrc/cpu/pool.cpp", "std::thread"),
    "Who chooses AVX2?": (
        "choice of an instruction set",
        "csrc/cpu/chosen_isa.cpp",
        "instruction_set()",
    ),
    "Where is Boruvka for AVX2?": (
        "compiled once per instruction set",
        "csrc/cpu/each_isa/boruvka.hpp",
        "boruvka(",
    ),
    "How is a call of Python unpacked?": (
        "the Python module",
        "csrc/python/arguments.hpp",
        "type_caster",
    ),
    "How does a tensor become an address?": (
        "what crosses into the kernels",
        "torchtopo/_operators/arguments.py",
        "data_ptr",
    ),
    "Which operators are there?": (
        "lists the operators",
        "torchtopo/_operators/registry.py",
        "OPERATORS",
    ),
    "Who says that lengths are out of range?": (
        "what is said of bad ones",
        "torchtopo/_checks.py",
        "lengths must lie in",
    ),
    "Where do second derivatives come from?": (
        "with every derivative",
        "torchtopo/_lengths.py",
        "create_graph",
    ),
    "What are results compared with?": (
        "the oracle of the tests",
        "torchtopo/_reference.py",
        "def kruskal",
    ),
    "Where would persistence of graphs go?": (
        "a file a filtration",
        "torchtopo/_filtrations/rips.py",
        "def deaths",
    ),
    "What does topoae divide by?": (
        "a file a loss, its function",
        "torchtopo/_losses/signature.py",
        '"topoae": Form',
    ),
    "How is a packed batch summed bag by bag?": (
        "what adds up over bags",
        "torchtopo/_losses/reduction.py",
        "class PerBag",
    ),
    "Where is the Wasserstein distance?": (
        "distances of diagrams",
        "torchtopo/_measures/wasserstein.py",
        "def wasserstein_distance",
    ),
    "I come from torch-topological: what do I import?": (
        "other libraries' interfaces",
        "torchtopo/compat/torch_topological.py",
        "VietorisRipsComplex",
    ),
    "Does a patient stay in one fold?": ("dealt to folds", "mil_rbc/data/folds.py", "patient"),
    "How is a cell found in an image?": (
        "finding single cells",
        "mil_rbc/detect/watershed.py",
        "watershed",
    ),
    "What does the anomaly pooling weigh by?": (
        "encoders, poolings",
        "mil_rbc/model/pooling.py",
        "class AnomalyPooling",
    ),
    "Where does a p-value come from?": (
        "statistics, tables",
        "mil_rbc/report/statistics.py",
        "def ",
    ),
    "How was 'faster than ripser' measured?": (
        "measured, drawn, and said",
        "benchmarks/vs_ripser.py",
        "ripser",
    ),
    "Which program shows two moons?": (
        "a script an idea",
        "examples/two_moons.py",
        "single_linkage",
    ),
    "What must hold of every new function?": (
        "under every promise",
        "tests/contract.py",
        "FUNCTIONS",
    ),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_map_answers(question: str):
    words, file, found_there = QUESTIONS[question]
    lines = dict(re.findall(r"^\| `([\w./]+)` \| (.*) \|$", PAGE, re.M))
    (room,) = [room for room, line in lines.items() if words in line]
    assert Path(file).parent.as_posix() == room
    assert found_there in (ROOT / file).read_text(encoding="utf-8")


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
