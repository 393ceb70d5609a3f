"""Deaths from float32 points are right to rounding, where matrix-product distances lose digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import torchtopo

from . import peers, style
from .data import cloud
from .harness import digits

N = 256


def _cdist(x: Tensor) -> NDArray[Any]:
    """Deaths of the matrix that ``torch.cdist`` gives by default (a matrix product for N > 25)."""
    wide = x if x.dtype in (torch.float32, torch.float64) else x.float()
    weights = torchtopo.minimum_spanning_tree(torch.cdist(wide, wide)).weights
    return np.asarray(weights.to(x.dtype).double())


def _ripser(x: Tensor) -> NDArray[Any]:
    """ripser.py on numpy's copy of the points; it measures in float64 and reduces in float32."""
    from ripser import ripser

    return peers.finite_deaths(ripser(_numpy(x), maxdim=0)["dgms"][0])


def _quitefastmst(x: Tensor) -> NDArray[Any]:
    from quitefastmst import mst_euclid

    return np.asarray(mst_euclid(_numpy(x))[0], np.float64)


def _numpy(x: Tensor) -> NDArray[Any]:
    """For libraries without half types: the same numbers in float32 (float64 stays)."""
    return np.asarray((x if x.dtype == torch.float64 else x.float()).numpy())


METHODS: dict[str, Callable[[Tensor], NDArray[Any]]] = {
    "torchtopo": lambda x: np.asarray(torchtopo.deaths(x).double()),
    "torch.cdist + exact tree": _cdist,
    "ripser.py": _ripser,
    "quitefastmst": _quitefastmst,
}


def cases() -> dict[str, Tensor]:
    """Clouds that are hard on arithmetic; the truth is float64 on the very same numbers."""
    unit = cloud(N, 16, dtype=torch.float64)
    near = cloud(N // 2, 16, dtype=torch.float64)
    twins = torch.cat([near, near + 1e-4 * cloud(N // 2, 16, seed=1, dtype=torch.float64)])
    return {
        "N(0, 1), D=16": unit.float(),
        "scale 1e-3 at offset 1": (1e-3 * unit + 1).float(),
        "scale 1e-3 at offset 100": (1e-3 * unit + 100).float(),
        "near-duplicates, 1e-4 apart": twins.float(),
        "D=2048": cloud(N, 2048),
        "D=50176": cloud(64, 50176),
        "float16": unit.half(),
        "bfloat16": unit.bfloat16(),
        "float64 at offset 1e6": 1e-3 * unit + 1e6,
    }


def measure(quick: bool = False) -> dict[str, Any]:
    """The largest relative error of a death, for each cloud and method."""
    rows: list[dict[str, Any]] = []
    skipped: set[str] = set()
    chosen = dict(list(cases().items())[:4]) if quick else cases()
    for case, x in chosen.items():
        errors, other = _errors(x, skipped)
        rows.append({"case": case, "dtype": str(x.dtype)[6:], "errors": errors, "other": other})
    offsets = [0.0, *(10.0**k for k in range(-3, 4))]
    sweep = []
    for offset in offsets[:: 3 if quick else 1]:
        x = (1e-3 * cloud(N, 16, dtype=torch.float64) + offset).float()
        sweep.append({"offset": offset, "errors": _errors(x, skipped)[0]})
    return {"rows": rows, "offsets": sweep, "skipped": sorted(skipped)}


def _errors(x: Tensor, skipped: set[str]) -> tuple[dict[str, float], dict[str, str]]:
    truth = peers.exact_deaths(x.double().numpy())
    errors: dict[str, float] = {}
    other: dict[str, str] = {}
    for name, method in METHODS.items():
        try:
            deaths = method(x)
        except ImportError as error:
            skipped.add(f"{name}: not installed ({error.name})")
            continue
        if len(deaths) != len(truth):
            other[name] = f"{len(deaths)} of {len(truth)} bars"
            continue
        errors[name] = digits(float(np.max(np.abs(deaths - truth) / truth)), 2)
    return errors, other


def table(result: dict[str, Any]) -> str:
    """Errors by cloud and method; only torchtopo answers half types in half types."""
    names = list(METHODS)
    lines = [
        f"| cloud | rounding unit | {' | '.join(names)} |",
        "|---" * (len(names) + 2) + "|",
    ]
    for row in result["rows"]:
        cells = [
            f"{row['errors'][name]:.1e}" if name in row["errors"] else row["other"].get(name, "–")
            for name in names
        ]
        unit = torch.finfo(getattr(torch, row["dtype"])).eps / 2
        lines.append(f"| {row['case']} ({row['dtype']}) | {unit:.0e} | {' | '.join(cells)} |")
    return "\n".join(lines)


def sentence(result: dict[str, Any]) -> str:
    """The worst errors in float32, ours and of torch.cdist."""
    rows = [r for r in result["rows"] if r["dtype"] == "float32"]
    rows += [{"case": f"offset {r['offset']:g}", **r} for r in result["offsets"]]

    def worst(name: str) -> tuple[float, str]:
        return max((r["errors"][name], r["case"]) for r in rows if name in r["errors"])

    ours, where = worst("torchtopo")
    cdist, there = worst("torch.cdist + exact tree")
    return (
        f"From float32 points the worst relative error of a death is {ours:.1e} with torchtopo "
        f"({where}) and {cdist:.1e} with torch.cdist's default ({there})."
    )


def plot(result: dict[str, Any], out: Path) -> None:
    """Error against the offset of the cloud."""
    figure, axes = plt.subplots(figsize=(8.5, 4.6))
    looks: dict[str, dict[str, Any]] = {
        "torchtopo": {"color": "black", "marker": "o", "linewidth": 3, "zorder": 5},
        "torch.cdist + exact tree": {"color": "#D55E00", "marker": "X"},
        "ripser.py": {"color": "#0072B2", "marker": "s", "linestyle": "--"},
        "quitefastmst": {"color": "#009E73", "marker": "^", "linestyle": ":"},
    }
    sweep = result["offsets"]
    for name in METHODS:
        points = [(r["offset"], r["errors"][name]) for r in sweep if name in r["errors"]]
        if points:
            axes.plot(*zip(*points, strict=True), label=name, **looks[name])
    axes.set_xscale("symlog", linthresh=1e-3)
    axes.set_yscale("symlog", linthresh=1e-8)
    axes.set(
        xlabel="offset of the cloud (its scale is 0.001)",
        ylabel="largest relative error of a death",
        title="Direct differences keep their digits far from the origin",
    )
    axes.legend()
    style.save(figure, out / "accuracy.png")


TABLES = {"accuracy": table}
