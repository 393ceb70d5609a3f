"""The losses of CPU tensors served as a GPU would serve them, and what torch launches besides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

from torchtopo._losses import comparison, step
from torchtopo._operators import registry

OPERATORS = [
    "signature_edges",
    "signature_losses",
    "signature_step",
    "pair_lengths",
    "pair_pulls",
]


@contextmanager
def on_cuda(cuda: Any) -> Iterator[None]:
    """The losses, served as a GPU would serve them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in OPERATORS:
            patch.setattr(registry, name, getattr(cuda, name))
        for module in (comparison, step):
            patch.setattr(module, "on_a_device", lambda values: True)
        yield


class Launches(TorchDispatchMode):
    """Counts what torch would launch: every operator but those that make views or only allocate.

    Sizes (`aminmax`) are looked at on the CPU only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returns = func._schema.returns
        view = any(r.alias_info and not r.alias_info.is_write for r in returns)
        tensor = any("Tensor" in str(r.type) for r in returns)
        elsewhere = "empty" in func.__name__ or "aminmax" in func.__name__
        if tensor and not view and not elsewhere:
            self.names.append(func.__name__)
        return func(*args, **(kwargs or {}))
