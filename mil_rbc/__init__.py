"""Topologically regularized multiple instance learning for red blood cell disease classification.

Source: Kazeminia, Sadafi, Makhro, Bogdanova, Marr and Rieck, MICCAI 2023.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("torchtopo")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"
