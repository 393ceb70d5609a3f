"""The examples of the public docstrings run and give what they show."""

from __future__ import annotations

import doctest
import importlib

import pytest

import torchtopo
from torchtopo import _bags, _config, _distances, _matched, _pairs
from torchtopo._losses import connectivity, densification, rtd_lite, signature, spread
from torchtopo._measures import (
    curves,
    persistence_image,
    ph_dimension,
    single_linkage,
    summaries,
    wasserstein,
)

MODULES = (_bags, _config, _distances, _matched, _pairs)
MODULES += (connectivity, densification, rtd_lite, signature, spread)
MODULES += (curves, persistence_image, ph_dimension, single_linkage, summaries, wasserstein)


@pytest.mark.parametrize("name", ["torchtopo.sklearn", "torchtopo.compat.torch_topological"])
def test_examples_of_other_interfaces(name):
    if name == "torchtopo.sklearn":
        pytest.importorskip("sklearn", minversion="1.6")
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried > 0
    assert failed == 0


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
    of_results = isinstance(public, type) and issubclass(public, tuple)
    assert ">>>" in "".join(rest) or of_results
