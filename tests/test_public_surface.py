"""What a user sees: the public names and their signatures, as `public_surface.txt` holds them.

After a change that is meant: python -m tests.test_public_surface
"""

from __future__ import annotations

import enum
import importlib
import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import torchtopo

FILE = Path(__file__).with_name("public_surface.txt")
MODULES = (
    "torchtopo",
    "torchtopo.nn",
    "torchtopo.compat.torch_topological",
    "torchtopo.dask",
    "torchtopo.sklearn",
)


def surface(modules: Sequence[str] = MODULES) -> Iterator[str]:
    """A line for each public name: `module.name(signature)`; the methods of classes too."""
    for module_name in modules:
        module = importlib.import_module(module_name)
        for name in sorted(getattr(module, "__all__", None) or vars(module)):
            value = getattr(module, name)
            if name.startswith("_") or inspect.ismodule(value) or not callable(value):
                continue
            where = f"{module_name}.{name}"
            yield where + signature_of(value)
            if not inspect.isclass(value) or issubclass(value, enum.Enum):
                continue
            for field in getattr(value, "_fields", ()):
                yield f"{where}.{field}"
            for method in sorted(vars(value)):
                if not method.startswith("_") and method not in getattr(value, "_fields", ()):
                    member = vars(value)[method]
                    text = signature_of(member) if inspect.isfunction(member) else ""
                    yield f"{where}.{method}{text}"


def module_of(line: str) -> str:
    return max((name for name in MODULES if line.startswith(f"{name}.")), key=len)


def signature_of(value: object) -> str:
    text = str(inspect.signature(value))  # type: ignore[arg-type]
    return text.replace("torch.Tensor", "Tensor").replace("'", "")


@pytest.mark.parametrize("module", MODULES)
def test_names_and_signatures_are_those_of_the_file(module: str) -> None:
    if module in ("torchtopo.dask", "torchtopo.sklearn"):
        pytest.importorskip(module.removeprefix("torchtopo."))
    lines = FILE.read_text(encoding="utf-8").splitlines()
    expected = [line for line in lines if module_of(line) == module]
    assert list(surface([module])) == expected, (
        "a user sees this change; if it is meant, see this file"
    )


def test_the_first_functions_are_in_it() -> None:
    listed = FILE.read_text(encoding="utf-8")
    for name in (
        "vietoris_rips_pairs(points: Tensor, *, metric: Metric = euclidean",
        "pack(",
        "MST",
    ):
        assert f"torchtopo.{name}" in listed


@pytest.mark.parametrize("name", ["_operators", "_checks", "_filtrations"])
def test_what_is_private_is_not_exported(name: str) -> None:
    assert name not in getattr(torchtopo, "__all__", [])


if __name__ == "__main__":
    FILE.write_text("\n".join(surface()) + "\n", encoding="utf-8")
