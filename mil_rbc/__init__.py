"""Topologically regularized multiple instance learning for red blood cell disease classification.

Source: Kazeminia, Sadafi, Makhro, Bogdanova, Marr and Rieck, MICCAI 2023.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("torchtopo")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"

# Python calls the program "-m" as long as it looks for the module to run: a command that cannot be
# imported ends here in a sentence, where a program that imports this package sees an ImportError.
if sys.argv[:1] == ["-m"] and "mil_rbc" not in sys.orig_argv:
    from mil_rbc import _extra

    # Imports take seconds: Ctrl-C may come before `cli.command`.
    sys.excepthook = _extra.interrupted
    if _packages := _extra.missing():
        sys.exit(f"error: {_extra.sentence(_packages)}")
