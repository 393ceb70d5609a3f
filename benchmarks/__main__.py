"""``python -m benchmarks [NAME ...]``: measure, print a table, write JSON and pictures."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from . import harness, machine, peers, tables

NAMES = (
    "speed_table", "losses", "linkage", "vs_ripser", "training_step", "accuracy", "robustness",
    "scaling", "many_workers", "regularizer",
)  # fmt: skip


def run(name: str, *, quick: bool, out: Path) -> dict[str, Any]:
    """Run one benchmark, print its table and its sentence, and write its JSON and pictures."""
    script = importlib.import_module(f"benchmarks.{name}")
    claim = (script.__doc__ or "").strip().splitlines()[0]
    print(f"\n## {name}: {claim}\n", flush=True)
    start = time.perf_counter()
    result: dict[str, Any] = {
        "name": name, "claim": claim, "quick": quick, "threads": 1, "machine": machine.describe(),
    }  # fmt: skip
    result |= script.measure(quick)
    result["sentence"] = script.sentence(result)
    result["seconds"] = round(time.perf_counter() - start)
    out.mkdir(parents=True, exist_ok=True)
    kept = {key: value for key, value in result.items() if not key.startswith("_")}
    text = json.dumps(kept, indent=1, ensure_ascii=False, default=float)
    (out / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    if hasattr(script, "plot"):
        script.plot(result, out)
    for render in script.TABLES.values():
        print(render(result), end="\n\n")
    for skipped in result.get("skipped", []):
        print(f"skipped: {skipped}")
    print(f"{machine.sentence(result['machine'])}\n\n**{result['sentence']}**", flush=True)
    return result


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the scripts")
    parser.add_argument(
        "--out",
        type=Path,
        help="where results go (benchmarks/results; with --quick: a folder 'runs')",
    )
    parser.add_argument(
        "--lock", type=Path, help="hold an exclusive lock on this file during each race"
    )
    parser.add_argument(
        "--tables", action="store_true", help="only rewrite the tables in README and docs"
    )
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark is called {unknown[0]!r}; there are {', '.join(NAMES)}")
    if options.tables:
        for path in tables.rewrite():
            print(f"rewrote {path}")
        return 0
    warnings.filterwarnings("ignore", message="The input point cloud has more columns than rows")
    peers.one_thread()
    harness.use_lock(options.lock)
    out = options.out or (Path("runs/benchmarks") if options.quick else tables.RESULTS)
    names = options.names or NAMES
    replaced = sum((out / f"{name}.json").exists() for name in names)
    if replaced:
        print(
            f"{replaced} of {len(names)} results in {out} will be replaced, their pictures and "
            f"tables too; --out FOLDER keeps them",
            flush=True,
        )
    for name in names:
        run(name, quick=options.quick, out=out)
    if out.resolve() == tables.RESULTS:
        tables.rewrite()
    return 0


if __name__ == "__main__":
    sys.exit(main())
