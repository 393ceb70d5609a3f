"""One look for every picture: colour-blind-safe, markers as well as colours, small files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# Okabe and Ito's palette, told apart by colour-blind readers; black is ours.
COLOURS = {
    "torchtopo": "#000000",
    "ripser.py": "#D55E00",
    "giotto-ph": "#E69F00",
    "GUDHI SimplexTree": "#56B4E9",
    "GUDHI RipsPersistence": "#0072B2",
    "scipy csgraph": "#A6761D",
    "scipy linkage": "#F0A3C0",
    "hdbscan core": "#009E73",
    "torch-topological": "#CC79A7",
    "quitefastmst": "#7A7A00",
    "scipy Delaunay": "#882255",
}
MARKERS = dict(zip(COLOURS, "oXsvdPp^D*h", strict=True))
FLOOR: dict[str, Any] = {"color": "#888888", "linestyle": "--", "linewidth": 1.6}

plt.rcParams.update(
    {
        "font.size": 13,
        "axes.titlesize": 14,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.grid": True,
        "grid.alpha": 0.3,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "lines.linewidth": 2,
        "lines.markersize": 7,
        "legend.frameon": False,
        "savefig.dpi": 110,
        "savefig.bbox": "tight",
    }
)


def line_style(name: str) -> dict[str, Any]:
    """Keyword arguments that draw one library's line; ours is thick and in front."""
    ours = name == "torchtopo"
    return {
        "color": COLOURS.get(name, "#555555"),
        "marker": MARKERS.get(name, "."),
        "linewidth": 3 if ours else 1.6,
        "zorder": 5 if ours else 3,
        "label": name,
    }


def save(figure: Any, path: Path) -> None:
    """Write a picture with a small palette, which halves the file, and close it."""
    figure.savefig(path, pil_kwargs={"optimize": True})
    plt.close(figure)
    try:
        from PIL import Image
    except ImportError:
        return
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(128)
    small.save(path, optimize=True)
