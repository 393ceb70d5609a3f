"""Clouds, pairs and nested tensors that tests of bad input begin from."""

from __future__ import annotations

import warnings

import torch

CLOUD = torch.rand(2, 5, 3)
PACKED = torch.rand(9, 3)
PAIRS = torch.tensor([[[0, 1], [1, 4]]] * 2)
NAN_CLOUD = torch.rand(2, 3, 5, 3)
NAN_CLOUD[1, 2, 4, 0] = torch.nan


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch calls them a prototype
    NESTED = torch.nested.nested_tensor([CLOUD[0], CLOUD[1, :3]])
    JAGGED = torch.nested.nested_tensor([CLOUD[0], CLOUD[1, :3]], layout=torch.jagged)


def ints(*values: int) -> torch.Tensor:
    return torch.tensor(values)
