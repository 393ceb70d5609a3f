"""``python -m benchmarks.claims [NAME ...]``: run claims and write results, tables and picture."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

from benchmarks import machine, peers, tables

from . import NAMES, plot, protocol
from .journal import Journal


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claims", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="two seeds, to try the scripts")
    parser.add_argument(
        "--out", type=Path,
        help="where results go (benchmarks/results/claims; with --quick: runs/claims)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"no claim is called {unknown[0]!r}; there are {', '.join(NAMES)}")
    peers.one_thread()
    out = options.out or (Path("runs/claims") if options.quick else tables.RESULTS / "claims")
    out.mkdir(parents=True, exist_ok=True)
    for name in options.names or NAMES:
        claim = importlib.import_module(f"benchmarks.claims.{name}")
        print(f"\n## {name}: {claim.PLAN.hypothesis}\n", flush=True)
        journal = Journal(claim, out / f"{name}.jsonl", options.quick)
        result = {"name": name, "quick": options.quick, "machine": machine.describe()}
        result |= protocol.run(journal)
        text = json.dumps(result, indent=1, ensure_ascii=False, default=float)
        (out / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        journal.close()
        print(f"**{protocol.verdict(claim.PLAN, result['rows'])}**", flush=True)
    if out.resolve() == tables.RESULTS / "claims":
        plot(tables.results("claims"), tables.RESULTS)
        tables.rewrite()
    return 0


if __name__ == "__main__":
    sys.exit(main())
