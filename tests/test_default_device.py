"""A default device of torch's is not where a kernel of the CPU puts what it finds."""

from __future__ import annotations

import pytest
import torch

import torchtopo

CALLS = {
    "pairs": lambda x, z: torchtopo.vietoris_rips_pairs(z),
    "deaths": lambda x, z: torchtopo.deaths(z),
    "signature": lambda x, z: torchtopo.signature_loss(x, z),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_default_device_is_not_that_of_a_kernel(name):
    x, z = torch.rand(2, 8, 3), torch.rand(2, 8, 2)
    expected = CALLS[name](x, z)
    with torch.device("meta"):
        found = CALLS[name](x, z)
    assert torch.equal(found, expected)
