"""Every public function shows an example; pytest runs it (`--doctest-modules`, both packages)."""

from __future__ import annotations

import pytest

import torchtopo


@pytest.mark.parametrize(
    "name", [n for n in vars(torchtopo) if not n.startswith("_") and n != "nn"]
)
def test_every_public_function_has_an_example_and_opens_with_one_sentence(name):
    public = getattr(torchtopo, name)
    first, *rest = (public.__doc__ or "").split("\n\n")
    assert first.rstrip().endswith("."), f"{name} has no opening sentence"
    of_results = isinstance(public, type) and issubclass(public, tuple)
    assert ">>>" in "".join(rest) or of_results
