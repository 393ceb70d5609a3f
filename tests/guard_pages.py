"""Tensors that lie flush against memory which may not be touched, and children that may die of it.

AddressSanitizer does not see a kernel read past a tensor, since torch's allocator pads; a page
without permissions does.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import math
import mmap
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor

Side = Literal["after", "before"]
PAGE = mmap.PAGESIZE


class Guard:
    """Places tensors so that the byte before their first or after their last is unmapped."""

    def __init__(self, side: Side, pages: int = 40) -> None:
        self.side, self.room = side, pages * PAGE
        self.places: list[Any] = []  # between the guards, used again after `free`
        self.used = 0

    def __call__(self, values: Tensor) -> Tensor:
        """A copy of `values`, contiguous, that lies flush against the forbidden page."""
        return self.empty(values.shape, dtype=values.dtype).copy_(values)

    def empty(self, *shape: Any, dtype: torch.dtype = torch.float32) -> Tensor:
        """`torch.empty` of CPU memory, flush against the forbidden page."""
        sizes = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        count = math.prod(sizes)
        size = count * dtype.itemsize
        if size == 0:
            return torch.zeros(sizes, dtype=dtype)
        if size > self.room:
            raise ValueError(f"{size} bytes do not fit the {self.room} between two guard pages")
        start = 0 if self.side == "before" else self.room - size
        return torch.frombuffer(self._next(), dtype=dtype, count=count, offset=start).view(sizes)

    def free(self) -> None:
        """Let what was placed so far be overwritten."""
        self.used = 0

    @contextlib.contextmanager
    def outputs(self) -> Iterator[None]:
        """Within, what the operators allocate with `torch.empty` is guarded too."""
        empty = torch.empty
        torch.empty = self.empty  # type: ignore[assignment]
        try:
            yield
        finally:
            torch.empty = empty

    def _next(self) -> Any:
        if self.used == len(self.places):
            pages = mmap.mmap(-1, PAGE + self.room + PAGE)
            place = (ctypes.c_char * self.room).from_buffer(pages, PAGE)  # keeps the pages mapped
            start = ctypes.addressof(place)
            for forbidden in (start - PAGE, start + self.room):
                if ctypes.CDLL(None).mprotect(ctypes.c_void_p(forbidden), PAGE, 0) != 0:
                    raise OSError("mprotect refused to make a guard page")
            self.places.append(place)
        self.used += 1
        return self.places[self.used - 1]


def in_a_child(work: Callable[[Callable[[str], None]], None]) -> str:
    """Run `work(say)` in a forked child; "" if it returns, else what it died of.

    What `work` said last is part of the answer, so a fault can be told by the case it came in.
    """
    said = mmap.mmap(-1, 1 << 16)

    def say(words: str) -> None:
        said.seek(0)
        said.write(words.encode()[: len(said) - 1] + b"\0")

    child = os.fork()
    if child == 0:
        faulthandler.disable()  # pytest's would print the traceback of a fault that is told anyway
        try:
            work(say)
            os._exit(0)
        except BaseException:
            case = bytes(said).partition(b"\0")[0].decode()
            say(f"{case}\n{traceback.format_exc()[-4000:]}")
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 0:
        return ""
    name = f"{signal.Signals(-code).name} in " if code < 0 else ""
    return name + bytes(said).partition(b"\0")[0].decode()
