"""Why the compiled module cannot be imported, in one sentence that says what to do."""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path


def why(error: ImportError, package: Path = Path(__file__).parent) -> str:
    """Tell a checkout that was never built from one that hides what is installed.

    Args:
        error: what importing `torchtopo._C` raised.
        package: the folder that torchtopo was imported from.
    """
    built = [f for f in (package / f"_C{suffix}" for suffix in EXTENSION_SUFFIXES) if f.exists()]
    if built:
        return (
            f"torchtopo's compiled module {built[0]} does not load ({error}): install it anew, "
            f"`pip install --force-reinstall --no-cache-dir --no-deps` and what you gave before"
        )
    here = f"torchtopo is imported from {package}"
    if not (package.parent / "setup.py").exists():
        return (
            f"{here}, which holds no compiled module for Python "
            f"{sys.version_info.major}.{sys.version_info.minor}: install it with this very "
            f"Python, `{sys.executable} -m pip install --force-reinstall --no-deps torchtopo`"
        )
    if _installed_elsewhere(package):
        return (
            f"{here}, a checkout that was not built and hides the torchtopo you have installed: "
            f"start Python in another folder, or run `pip install -e .` in {package.parent}"
        )
    return (
        f"{here}, a checkout that was not built for this Python: run `pip install -e .` in "
        f"{package.parent}"
    )


def _installed_elsewhere(package: Path) -> bool:
    for folder in sys.path:
        other = Path(folder or ".").resolve() / "torchtopo"
        if other != package.resolve() and any(
            (other / f"_C{suffix}").exists() for suffix in EXTENSION_SUFFIXES
        ):
            return True
    return False
