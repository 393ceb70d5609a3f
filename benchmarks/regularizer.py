"""The signature loss brings a latent space's 0-dim diagrams closer to the input's, at a price."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from torch import Tensor, nn

import torchtopo

from . import style
from .data import SEED, mnist, nested_spheres
from .harness import digits, quiet

SEEDS = (0, 1, 2)
WEIGHT = 1.0  # of the signature loss beside the reconstruction; fixed beforehand, not tuned
BATCH = 64
NEIGHBOURS = 20


@dataclass(frozen=True)
class Task:
    """Train and test points with labels, and how long to train on them."""

    name: str
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    epochs: int


class Autoencoder(nn.Module):
    """A small multi-layer autoencoder with a two-dimensional latent space."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(*_layers(width, 128, 64, 2))
        self.decoder = nn.Sequential(*_layers(2, 64, 128, width))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latent points ``(N, 2)`` and reconstructions ``(N, width)``."""
        z = self.encoder(x)
        return z, self.decoder(z)


def _layers(*widths: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for a, b in pairwise(widths[:-1]):
        layers += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()]
    return [*layers, nn.Linear(widths[-2], widths[-1])]


def tasks(quick: bool) -> list[Task]:
    """Nested spheres, and MNIST where it is present; test data is never trained on."""
    count = 20 if quick else 150
    spheres = Task(
        "nested spheres", _shuffled(nested_spheres(count, seed=1)),
        _shuffled(nested_spheres(count, seed=2)), 2 if quick else 40,
    )  # fmt: skip
    train, test = mnist("train", 500 if quick else 6000), mnist("t10k", 200 if quick else 2000)
    if train is None or test is None:
        return [spheres]
    return [spheres, Task("MNIST", train, test, 1 if quick else 12)]


def _shuffled(data: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    order = torch.randperm(len(data[0]), generator=torch.Generator().manual_seed(SEED))
    return data[0][order], data[1][order]


def train(task: Task, weight: float, seed: int) -> tuple[Autoencoder, float]:
    """Train on a task with a given weight of the signature loss; also seconds per epoch."""
    torch.manual_seed(seed)
    data = task.train[0]
    model = Autoencoder(data.shape[1])
    topology = torchtopo.nn.SignatureLoss(convention="topoae")
    optimizer = torch.optim.Adam([*model.parameters(), *topology.parameters()], lr=1e-3)
    clock = []
    for _ in range(task.epochs):
        start = time.perf_counter()
        for rows in torch.split(torch.randperm(len(data)), BATCH):
            if len(rows) < BATCH:
                continue  # a batch of a few points would unsettle the batch norm
            x = data[rows]
            z, y = model(x)
            loss = nn.functional.mse_loss(y, x) / data.var()
            if weight:
                loss = loss + weight * topology(x, z)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        clock.append(time.perf_counter() - start)
    return model.eval(), float(np.median(clock))


@torch.no_grad()
def score(model: Autoencoder, x: Tensor) -> tuple[dict[str, float], NDArray[Any]]:
    """How well the latent space keeps the neighbours and the 0-dim diagram of unseen points."""
    from sklearn.manifold import trustworthiness

    z, y = model(x)
    a, b = x.numpy(), z.numpy()
    return {
        "trustworthiness": digits(float(trustworthiness(a, b, n_neighbors=NEIGHBOURS)), 4),
        "continuity": digits(float(trustworthiness(b, a, n_neighbors=NEIGHBOURS)), 4),
        "diagram_distance": digits(diagram_distance(x, z), 4),
        "reconstruction": digits(float(nn.functional.mse_loss(y, x) / x.var()), 4),
    }, b


def diagram_distance(x: Tensor, z: Tensor) -> float:
    """How far the 0-dim diagrams of input and latent space are apart, on clouds of a batch's size.

    The mean difference of ascending deaths, each cloud's divided by their mean so that the latent
    scale does not count. All births are 0 and both diagrams have N-1 bars, so this is the
    1-Wasserstein distance of the two distributions of lifetimes. Averaged over the whole clouds of
    ``BATCH`` points, the size that the loss has seen.
    """
    count = len(x) // BATCH
    a, b = (
        torchtopo.deaths(points[: count * BATCH].reshape(count, BATCH, -1)).double()
        for points in (x, z)
    )
    return float((a / a.mean(-1, keepdim=True) - b / b.mean(-1, keepdim=True)).abs().mean())


def measure(quick: bool = False) -> dict[str, Any]:
    """Train with and without the loss, in turn, and score both on unseen data."""
    rows, latents = [], []
    found = tasks(quick)
    for task in found:
        x, labels = task.test
        for seed in SEEDS[:1] if quick else SEEDS:
            for weight in (0.0, WEIGHT):
                with quiet():
                    model, seconds = train(task, weight, seed)
                scores, z = score(model, x)
                row = {"task": task.name, "seed": seed, "weight": weight, **scores}
                rows.append(row | {"epoch_s": digits(seconds)})
                print(f"  {rows[-1]}")
                if seed == SEEDS[0]:
                    latents.append(
                        {
                            "task": task.name,
                            "weight": weight,
                            "z": np.round(z / np.abs(z).max(), 3).tolist(),
                            "labels": labels.tolist(),
                        }
                    )
    skipped = [] if len(found) == 2 else ["MNIST: its files are not present"]
    settings = {
        "weight": WEIGHT, "convention": "topoae", "batch": BATCH, "neighbours": NEIGHBOURS,
        "epochs": {t.name: t.epochs for t in found},
        "train": {t.name: len(t.train[0]) for t in found},
        "test": {t.name: len(t.test[0]) for t in found},
    }  # fmt: skip
    return {"rows": rows, "_latents": latents, "settings": settings, "skipped": skipped}


MEASURES = {
    "trustworthiness": ("trustworthiness ↑", True),
    "continuity": ("continuity ↑", True),
    "diagram_distance": ("0-dim diagram distance ↓", False),
    "reconstruction": ("reconstruction error ↓", False),
    "epoch_s": ("s per epoch", False),
}


def _values(result: dict[str, Any], task: str, loss: bool, measure: str) -> NDArray[Any]:
    rows = [r for r in result["rows"] if r["task"] == task and bool(r["weight"]) == loss]
    return np.array([r[measure] for r in rows])


def _tasks(result: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(row["task"] for row in result["rows"]))


def table(result: dict[str, Any]) -> str:
    """Mean and range over the seeds, on test data."""
    heads = [head for head, _ in MEASURES.values()]
    lines = [f"| data | signature loss | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
    for task in _tasks(result):
        for loss in (False, True):
            cells = []
            for measure in MEASURES:
                values = _values(result, task, loss, measure)
                half = (values.max() - values.min()) / 2
                cells.append(f"{values.mean():.3g} ± {half:.1g}")
            lines.append(f"| {task} | {'with' if loss else 'without'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def sentence(result: dict[str, Any]) -> str:
    """What changes with the loss, measure by measure, and what it costs."""
    parts = []
    for task in _tasks(result):
        said = []
        for measure in ("diagram_distance", "trustworthiness", "continuity", "reconstruction"):
            before = _values(result, task, False, measure)
            after = _values(result, task, True, measure)
            up = MEASURES[measure][1]
            better, worse = (after - before > 0, after - before < 0)
            if not up:
                better, worse = worse, better
            verdict = "better" if better.all() else "worse" if worse.all() else "undecided"
            name = measure.replace("_", " ")
            said.append(f"{name} {before.mean():.3g} → {after.mean():.3g} ({verdict})")
        cost = _values(result, task, True, "epoch_s").mean()
        cost /= _values(result, task, False, "epoch_s").mean()
        parts.append(f"on {task}, {', '.join(said)}, at {cost:.2g}× the time per epoch")
    count = len({r["seed"] for r in result["rows"]})
    return (
        f"With the loss, on unseen data: {'; '.join(parts)} (better or worse: for each of {count} "
        f"seeds)."
    )


def plot(result: dict[str, Any], out: Path) -> None:
    """Both latent spaces of each task, coloured by label."""
    names = _tasks(result)
    figure, grid = plt.subplots(len(names), 2, figsize=(9.5, 4.6 * len(names)), squeeze=False)
    for axes_row, task in zip(grid, names, strict=True):
        for axes, weight in zip(axes_row, (0.0, WEIGHT), strict=True):
            (found,) = (
                e for e in result["_latents"] if e["task"] == task and e["weight"] == weight
            )
            z, labels = np.array(found["z"]), np.array(found["labels"])
            loss = bool(weight)
            distance = _values(result, task, loss, "diagram_distance").mean()
            small = labels < 10
            axes.scatter(*z[~small].T, c="#AAAAAA", s=7, alpha=0.6, linewidths=0)
            axes.scatter(*z[small].T, c=labels[small], cmap="viridis", s=7, alpha=0.7, linewidths=0)
            for label in range(10):  # numbers, for readers who can't tell the colours apart
                axes.text(
                    *np.median(z[labels == label], axis=0), str(label), ha="center", va="center",
                    path_effects=[withStroke(linewidth=3, foreground="white")], fontsize=12,
                )  # fmt: skip
            word = "with" if loss else "without"
            axes.set(
                title=f"{task}, {word} the loss\ndiagram distance {distance:.2f}",
                xlabel="latent 1 (scaled)", ylabel="latent 2 (scaled)",
            )  # fmt: skip
    closer = all(
        _values(result, task, True, "diagram_distance").mean()
        < _values(result, task, False, "diagram_distance").mean()
        for task in names
    )
    brings = "brings" if closer else "does not bring"
    figure.suptitle(
        f"The signature loss {brings} latent diagrams closer to the input's\n"
        "Unseen data in two latent dimensions; grey: the sphere around the small ones 0–9",
        fontsize=14, x=0.01, ha="left",
    )  # fmt: skip
    figure.tight_layout()
    style.save(figure, out / "regularizer.png")


TABLES = {"regularizer": table}
