"""What a user sees: the public names and their signatures, as `public_surface.txt` holds them.

After a change that is meant: python -m tests.test_public_surface
"""

from __future__ import annotations

import enum
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import torchtopo

FILE = Path(__file__).with_name("public_surface.txt")
MODULES = ("torchtopo", "torchtopo.nn")


def surface() -> Iterator[str]:
    """A line for each public name: `module.name(signature)`; the methods of classes too."""
    for module_name in MODULES:
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


def signature_of(value: object) -> str:
    text = str(inspect.signature(value))  # type: ignore[arg-type]
    return text.replace("torch.Tensor", "Tensor").replace("'", "")


def test_names_and_signatures_are_those_of_the_file() -> None:
    expected = FILE.read_text(encoding="utf-8").splitlines()
    assert list(surface()) == expected, "a user sees this change; if it is meant, see this file"


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
