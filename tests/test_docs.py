"""Every public function shows an example; pytest runs it (`--doctest-modules`, both packages)."""

from __future__ import annotations

from types import ModuleType

import pytest

import torchtopo

PUBLIC = [
    name
    for name, value in vars(torchtopo).items()
    if not name.startswith("_") and not isinstance(value, ModuleType)
]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_function_has_an_example_and_opens_with_one_sentence(name):
    public = getattr(torchtopo, name)
    first, *rest = (public.__doc__ or "").split("\n\n")
    assert first.rstrip().endswith("."), f"{name} has no opening sentence"
    of_results = isinstance(public, type) and issubclass(public, tuple)
    assert ">>>" in "".join(rest) or of_results
