"""Every module can be the first of the package to be imported."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys

import pytest

import mil_rbc

# What the modules import from elsewhere is loaded once; then each has a process of its own.
FIRST = """
import importlib, os, sys
import jsonargparse, lightning.pytorch, matplotlib.pyplot, pandas, skimage, sklearn, torchtopo
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException as error:
            print(f"{name}: {error}", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each import is tried in a fork")
def test_every_module_can_be_imported_first() -> None:
    found = [m.name for m in pkgutil.walk_packages(mil_rbc.__path__, "mil_rbc.")]
    assert "mil_rbc.predict" in found
    done = subprocess.run(
        [sys.executable, "-c", FIRST, *found], capture_output=True, text=True, timeout=600
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
