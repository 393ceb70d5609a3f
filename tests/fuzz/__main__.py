"""`python -m tests.fuzz SECONDS [SEED]`: draw, check, and print what fails as a test.

The draws of a seed are the same on every machine. Exit code 1 if one failed. Ctrl-C ends it with
the summary of what was drawn so far.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import os
import signal
import sys
import time
import warnings
from collections import Counter

import torch

from tests.fuzz.checks import CHECKS
from tests.fuzz.draws import KINDS, draw
from tests.fuzz.report import HEADER, Arguments, as_test, smaller
from tests.guard_pages import in_a_child

NAMES = [kind.__name__ for kind in KINDS]
DONE, FAILED = 0, 1


class Tally(ctypes.Structure):
    """What parent and child both see: the draw at work, and the draws done of each kind."""

    _fields_ = (
        ("number", ctypes.c_int64),
        ("stop", ctypes.c_bool),
        ("done", ctypes.c_int64 * len(NAMES)),
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("seconds", type=float)
    parser.add_argument("seed", type=int, nargs="?", default=int(time.time()))
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")

    start = time.monotonic()
    tally = Tally.from_buffer(mmap.mmap(-1, ctypes.sizeof(Tally)))
    signal.signal(signal.SIGINT, lambda *_: setattr(tally, "stop", True))
    failed: Counter[str] = Counter()
    print(f"seed {options.seed}, torch {torch.__version__}", flush=True)
    while children_draw(options.seed, tally, start + options.seconds) != DONE:
        kind, _ = draw(options.seed, tally.number)
        failed[kind] += 1
        if failed[kind] == 1:
            in_a_child(lambda say: print(reported(options.seed, tally.number), flush=True))
        else:
            print(f"{kind} fails too as draw {tally.number} of this seed", flush=True)
        tally.number += 1
    for name, done in zip(NAMES, tally.done, strict=True):
        wrong = f", {failed[name]} failed" if failed[name] else ""
        print(f"{name}: {done} draws{wrong}")
    total, seconds = sum(tally.done), time.monotonic() - start
    print(f"{total} draws of seed {options.seed} in {seconds:.0f} s, {failed.total()} failed")
    return FAILED if failed else DONE


def children_draw(seed: int, tally: Tally, until: float) -> int:
    """Draw in a child, which may die of it; DONE when time is up, else a draw failed."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = DONE
        try:
            while not tally.stop and time.monotonic() < until:
                kind, arguments = draw(seed, tally.number)
                CHECKS[kind](**arguments)
                tally.done[NAMES.index(kind)] += 1
                tally.number += 1
        except BaseException:
            code = FAILED
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def reported(seed: int, number: int) -> str:
    """The draw as a test, as small as it fails.

    Called in a child: a process that has used torch's threads must not fork those who use them.
    """
    kind, arguments = draw(seed, number)

    def fault_in_a_child(arguments: Arguments) -> str:
        return in_a_child(lambda say: CHECKS[kind](**arguments))

    def fault_here(arguments: Arguments) -> str:
        try:
            CHECKS[kind](**arguments)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""

    reason = fault_in_a_child(arguments)
    if not reason:
        return f"{kind}, draw {number} of seed {seed}, failed only after the draws before it"
    dies = reason.startswith("SIG")
    fault = fault_in_a_child if dies else fault_here
    name = fault(arguments).split()[0]  # of the signal or the error
    arguments = smaller(arguments, lambda less: fault(less).startswith(name), 40 if dies else 400)
    return "\n".join((HEADER, "", as_test(kind, arguments, seed, number, fault(arguments))))


if __name__ == "__main__":
    sys.exit(main())
