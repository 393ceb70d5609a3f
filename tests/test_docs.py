"""The examples of the public docstrings run and give what they show."""

from __future__ import annotations

import doctest

import pytest

import torchtopo
from torchtopo import _bags, _config, _distances, _matched, _pairs
from torchtopo._losses import signature

MODULES = (_bags, _config, _distances, _matched, _pairs, signature)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_examples(module):
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize(
    "name", [n for n in vars(torchtopo) if not n.startswith("_") and n != "nn"]
)
def test_every_public_function_has_an_example_and_opens_with_one_sentence(name):
    public = getattr(torchtopo, name)
    first, *rest = (public.__doc__ or "").split("\n\n")
    assert first.rstrip().endswith("."), f"{name} has no opening sentence"
    assert ">>>" in "".join(rest) or name == "MST"
