"""Straight to the CPU's kernel where torch's dispatcher would do nothing but call it.

The dispatcher boxes each argument and result: microseconds of a call on ten points, and several
times as many in a training loop, which pushes its code out of the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

try:
    from torch._C import (
        DispatchKey,
        DispatchKeySet,
        _dispatch_keys,
        _dispatch_tls_local_include_set,
        _len_torch_function_stack,
    )
    from torch._C._autograd import _profiler_enabled

    def _keys(*names: str) -> int:
        """The dispatch keys of these names, a bit or two each."""
        sets = (DispatchKeySet(getattr(DispatchKey, name)) for name in names)
        keys: int = reduce(lambda a, b: a | b, sets).raw_repr()
        return keys

    # What a dense tensor of the CPU has at most, and what a thread adds at most while nothing is
    # transformed, traced or intercepted. Every other key, also of a lazy negative, a tensor of
    # zeros that are not stored, or a subclass, is the dispatcher's to see to.
    _OF_TENSORS = _keys("CPU", "ADInplaceOrView", "AutogradCPU", "AutocastCPU")
    _OF_THREAD = _keys("BackendSelect", "ADInplaceOrView")
    _can_tell = True
except (ImportError, AttributeError):  # a torch that has other names for its insides
    _can_tell = False

_NUMBERS = frozenset((float, bool, int, str, type(None)))


def straight(op: Callable[..., Any], kernel: Callable[..., Any]) -> Callable[..., Any]:
    """What calls the operator, or its kernel for the CPU where that is all that would happen."""
    if not _can_tell:
        return op

    def call(*args: Any) -> Any:
        if torch.compiler.is_compiling() or not _nothing_between(args):
            return op(*args)
        return kernel(*args)

    return call


def _nothing_between(args: tuple[Any, ...]) -> bool:
    """Whether the dispatcher would look at the arguments and go to the CPU's kernel at once."""
    of_thread: int = _dispatch_tls_local_include_set().raw_repr()
    # A default device is a mode of functions, under which a kernel's own tensors would be there.
    if of_thread | _OF_THREAD != _OF_THREAD or _profiler_enabled() or _len_torch_function_stack():
        return False
    for arg in args:  # no generator, no isinstance: they cost as much as is spared
        kind = arg.__class__
        if kind in _NUMBERS:
            continue
        if kind is not Tensor and kind is not Parameter:
            return False
        if _dispatch_keys(arg).raw_repr() | _OF_TENSORS != _OF_TENSORS:
            return False
    return True
