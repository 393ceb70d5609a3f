"""Autoencoders: does topology keep the nested spheres nested in two dimensions?"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

import torchtopo
from benchmarks.data import nested_spheres

from .embedding_measures import measures
from .models import draws, start
from .protocol import Arm, Comparison, Outcome, Part, Plan, Settings

WEIGHTS: tuple[Settings, ...] = ({"weight": 0.5}, {"weight": 2.0})

PLAN = Plan(
    name="autoencoders",
    whom="an autoencoder's picture of data",
    hypothesis=(
        "With the signature loss, in the convention of its authors, the density of nested spheres "
        "in a two-dimensional latent space is nearer to that of the input (KL at 0.1) than "
        "without; and nearer than with the same loss on random pairs in place of the pairs of "
        "minimum spanning trees."
    ),
    source="Moor, Horn, Rieck, Borgwardt 2020; RTD-Lite: Tulchinskii et al. 2025",
    data=(
        "Synthetic: ten spheres of 100 dimensions and radius 5 inside one of radius 25; a seed "
        "draws 1000 points to train on and 500 to score, about half of them on the large sphere."
    ),
    conditions=("spheres",),
    choose_at=("spheres",),
    arms=(
        Arm("without", "reconstruction alone"),
        Arm("signature", "convention topoae", WEIGHTS),
        Arm("signature, torch_topological", "that library's convention", WEIGHTS),
        Arm("RTD-Lite", "0.9-quantiles", WEIGHTS),
        Arm("random pairs", "topoae's sum over 2(N-1) random pairs in place of the trees'",
            WEIGHTS),
    ),
    outcomes=(
        Outcome("kl_0.1", "KL, σ = 0.1", -1),
        Outcome("kl_0.01", "KL, σ = 0.01", -1),
        Outcome("kl_1", "KL, σ = 1", -1),
        Outcome("overlap", "kNN overlap", 1),
        Outcome("trustworthiness", "trustworthiness", 1),
        Outcome("continuity", "continuity", 1),
        Outcome("mrre_zx", "MRRE, latent to input", -1),
        Outcome("mrre_xz", "MRRE, input to latent", -1),
        Outcome("reconstruction", "reconstruction error", -1),
    ),
    without=Comparison("signature", "without", "spheres"),
    controls=(Comparison("signature", "random pairs", "spheres"),),
    margin=0.02,
    seeds=10,
    development_seeds=2,
    settings={
        "network": "101-32-32-2-32-32-101, ReLU and batch norm, as the authors'",
        "batch": 64, "epochs": 25, "lr": 1e-3,
        "reconstruction": "mean squared error / variance of the data",
    },
)  # fmt: skip


def layers(*widths: int) -> nn.Sequential:
    """Linear layers, all but the last followed by ReLU and batch norm."""
    made: list[nn.Module] = []
    for a, b in pairwise(widths[:-1]):
        made += [nn.Linear(a, b), nn.ReLU(), nn.BatchNorm1d(b)]
    return nn.Sequential(*made, nn.Linear(widths[-2], widths[-1]))


class RandomPairs(nn.Module):
    """The topoae form of the signature loss over pairs drawn at random."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.generator = generator

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """2(N-1) squared differences of distances, over N."""
        n = len(x)
        i = torch.randint(0, n, (2 * (n - 1),), generator=self.generator)
        j = (i + torch.randint(1, n, i.shape, generator=self.generator)) % n
        pairs = torch.stack((torch.minimum(i, j), torch.maximum(i, j)), -1)
        a = torchtopo.pair_distances(x, pairs) / torch.cdist(x, x).max()
        b = torchtopo.pair_distances(z, pairs) / self.log_scale.exp()
        return (a - b).square().sum() / n


def regularizer(arm: str, generator: torch.Generator) -> nn.Module | None:
    """The loss of an arm."""
    made: dict[str, nn.Module | None] = {
        "without": None,
        "signature": torchtopo.nn.SignatureLoss(convention="topoae"),
        "signature, torch_topological": torchtopo.nn.SignatureLoss(convention="torch_topological"),
        "RTD-Lite": torchtopo.nn.RTDLite(),
        "random pairs": RandomPairs(generator),
    }
    return made[arm]


def trial(
    arm: str, settings: Settings, condition: str, seed: int, part: Part, quick: bool
) -> dict[str, float]:
    """Train on 1000 points, and measure the embedding of 500 others."""
    generator = draws(seed, part)
    points, _ = nested_spheres(75, seed=generator.initial_seed() + 1)
    points = points[torch.randperm(len(points), generator=generator)]
    x, unseen = points[:1000], points[1000:]
    start(seed, part)
    encoder, decoder = layers(101, 32, 32, 2), layers(2, 32, 32, 101)
    loss_of = regularizer(arm, draws(seed, part))
    modules = nn.ModuleList(m for m in (encoder, decoder, loss_of) if m is not None)
    optimizer = torch.optim.Adam(modules.parameters(), lr=1e-3)
    for _ in range(1 if quick else 25):
        for rows in torch.randperm(len(x), generator=generator).split(64):
            if len(rows) < 64:
                continue
            z = encoder(x[rows])
            loss = nn.functional.mse_loss(decoder(z), x[rows]) / x.var()
            if loss_of is not None:
                loss = loss + settings["weight"] * loss_of(x[rows], z)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    modules.eval()
    with torch.no_grad():
        z = encoder(unseen)
        error = float(nn.functional.mse_loss(decoder(z), unseen) / unseen.var())
    return measures(unseen.numpy(), z.numpy()) | {"reconstruction": error}
