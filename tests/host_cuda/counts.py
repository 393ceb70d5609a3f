"""What the compiler made of the CUDA kernels, counted without a GPU.

    python -m tests.host_cuda.counts            # the table of this machine's nvcc
    python -m tests.host_cuda.counts --write    # keep it: tests/host_cuda/counts.json

Registers and spills are ptxas's own words, spills of the functions that a kernel calls among them.
Loads under way are counted in the machine code: of each innermost loop of the kernel itself with
loads from global memory, the most that are issued before one of their results is waited for. More
of them hide more of the memory's latency; that number, not the instructions, is what a branch in
the wrong place costs. So are loads and stores of local memory within loops: what is spilled outside
of them costs nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TABLE = HERE / "counts.json"
ARCHITECTURE = "sm_90"

Counts = dict[str, int]


def tool(name: str) -> str | None:
    """One of CUDA's programs: beside nvcc, on PATH, or as torch's compiler brings it."""
    sys.path.insert(0, str(ROOT))
    import build_cuda

    nvcc = build_cuda.find_nvcc()
    folders = [Path(nvcc).resolve().parent] if nvcc else []
    for package in ("triton", "nvidia"):
        for site in map(Path, sys.path):
            folders += sorted((site / package).glob("**/bin")) if (site / package).is_dir() else []
    for folder in [*map(str, folders), None]:
        if found := shutil.which(name, path=folder):
            return found
    return None


def count() -> dict[str, Counts]:
    """Every kernel of csrc/cuda by name, with what is counted of it."""
    nvcc, dump = tool("nvcc"), tool("cuobjdump")
    if nvcc is None or dump is None:
        raise SystemExit("counting needs nvcc and cuobjdump; install CUDA, or torch with triton")
    flags = ["-std=c++17", "-O3", "--fmad=false", "--extended-lambda", f"-arch={ARCHITECTURE}"]
    with tempfile.TemporaryDirectory() as folder:

        def one(source: Path) -> tuple[str, str]:
            target = Path(folder) / (source.stem + ".cubin")
            command = [nvcc, *flags, "-Xptxas", "-v", "-cubin", str(source), "-o", str(target)]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
            machine_code = [dump, "-sass", str(target)]
            return said, subprocess.run(machine_code, capture_output=True, text=True).stdout

        with ThreadPoolExecutor(2) as pool:
            outputs = list(pool.map(one, sorted((ROOT / "csrc" / "cuda").glob("*.cu"))))
    table: dict[str, Counts] = {}
    for said, code in outputs:
        table |= {name: dict(counts) for name, counts in _of_ptxas(said)}
        for name, body in _functions(code):
            if name in table:
                table[name]["loads_under_way"] = loads_under_way(body)
                table[name]["local_in_loops"] = local_in_loops(body)
    return dict(sorted((_readable(name), counts) for name, counts in table.items()))


def _of_ptxas(said: str) -> Iterator[tuple[str, Counts]]:
    for part in said.split("Compiling entry function '")[1:]:
        spills = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", part)
        registers = re.search(r"Used (\d+) registers", part)
        assert spills
        assert registers is not None
        spilled = sum(int(stores) + int(loads) for stores, loads in spills)
        yield part.partition("'")[0], {"registers": int(registers[1]), "spilled": spilled}


def _functions(code: str) -> Iterator[tuple[str, list[str]]]:
    for part in code.split("Function : ")[1:]:
        name, _, body = part.partition("\n")
        lines = re.findall(r"/\*([0-9a-f]{4,})\*/\s+(.*?);", body)
        yield name.strip(), [f"{address} {text}" for address, text in lines]


def loads_under_way(body: list[str]) -> int:
    """The most loads in flight in any innermost loop that loads from global memory; 0 if none."""
    loops, most = _loops(body), 0
    for begin, end in loops:
        if any(begin <= b and e <= end and (b, e) != (begin, end) for b, e in loops):
            continue
        waiting: set[str] = set()
        for line in body[begin : end + 1]:
            registers = re.findall(r"\bR\d+\b", line)
            if "LDG" in line and registers:
                sources = set(registers[1:])
                waiting = set() if waiting & sources else waiting
                waiting.add(registers[0])
                most = max(most, len(waiting))
            elif waiting & set(registers[0 if " ST" in line else 1 :]):
                waiting = set()
    return most


def local_in_loops(body: list[str]) -> int:
    """How many loads and stores of a thread's local memory, spills above all, lie within a loop."""
    inside = {k for begin, end in _loops(body) for k in range(begin, end + 1)}
    return sum(bool(re.search(r"\b(LDL|STL)\b", body[k])) for k in inside)


def _loops(body: list[str]) -> list[tuple[int, int]]:
    """The lines from which and to which a branch leads back."""
    places = {int(line.split(" ", 1)[0], 16): k for k, line in enumerate(body)}
    loops = []
    for k, line in enumerate(body):
        target = re.search(r"\bBRA(?:\.\w+)* (?:\w+, )?`?\(?\.?(?:L_x_\d+)?\)?(0x[0-9a-f]+)", line)
        if target and int(target[1], 16) in places and places[int(target[1], 16)] <= k:
            loops.append((places[int(target[1], 16)], k))
    return loops


def _readable(name: str) -> str:
    plain = subprocess.run(["c++filt", name], capture_output=True, text=True).stdout.strip()
    plain = plain.replace("torchtopo::cuda::", "").replace("(anonymous namespace)::", "")
    return re.sub(r"^void ", "", plain.partition("(")[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"replace {TABLE.name}")
    arguments = parser.parse_args()
    table = count()
    for name, counts in table.items():
        print(name, *(f"{key} {value}" for key, value in counts.items()), sep="  ")
    if arguments.write:
        TABLE.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
