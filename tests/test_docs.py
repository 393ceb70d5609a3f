"""Every public function has its line on the API page and an example, which pytest runs."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

import torchtopo

PUBLIC = [
    name
    for name, value in vars(torchtopo).items()
    if not name.startswith("_") and not isinstance(value, ModuleType)
]


API = Path(__file__).resolve().parents[1] / "docs" / "api.md"


@pytest.mark.skipif(not API.exists(), reason="tests apart from the sources")
def test_the_api_page_lists_every_public_function_and_module():
    listed = set(re.findall(r"^::: (\S+)$", API.read_text(encoding="utf-8"), re.M))
    functions = {f"torchtopo.{n}" for n in PUBLIC if inspect.isfunction(getattr(torchtopo, n))}
    modules = {f"torchtopo.nn.{name}" for name in torchtopo.nn.__all__}
    assert functions | modules <= listed


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_function_has_an_example_and_opens_with_one_sentence(name):
    public = getattr(torchtopo, name)
    first, *rest = (public.__doc__ or "").split("\n\n")
    assert first.rstrip().endswith("."), f"{name} has no opening sentence"
    of_results = isinstance(public, type) and issubclass(public, tuple)
    assert ">>>" in "".join(rest) or of_results
