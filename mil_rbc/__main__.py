"""`python -m mil_rbc`: which commands there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from mil_rbc import _extra

HERE = Path(__file__).resolve().parent


def commands() -> dict[str, str]:
    """Every module that can be run, and what its first line says; none is imported."""
    found = {}
    for path in sorted(HERE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if path == Path(__file__).resolve() or '\nif __name__ == "__main__":' not in source:
            continue
        name = ".".join(path.relative_to(HERE.parent).with_suffix("").parts)
        first = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
        says = re.sub(r":? ?`?python -m [\w.]+`?(: )?", "", first)
        found[name.removesuffix(".__main__")] = says[:1].upper() + says[1:].rstrip(".")
    return found


def main() -> int:
    print("Topologically regularized multiple instance learning for red blood cells.\n")
    for name, says in commands().items():
        print(f"python -m {name:<16} {says}")
    print("\n--help after any of them lists its options.")
    if packages := _extra.missing():
        print(f"\n{_extra.sentence(packages)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
