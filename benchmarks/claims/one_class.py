"""One-class learning: does the connectivity loss make counting neighbours in latent balls work?"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

import torchtopo

from .models import draws, images, in_parts, start, to_score
from .protocol import Arm, Comparison, Outcome, Part, Plan, Settings

BRANCHES, WIDTH, ETA = 16, 10, 2.0

PLAN = Plan(
    name="one_class",
    whom="one-class learning from few samples",
    hypothesis=(
        "An autoencoder that is trained with the connectivity loss on unlabelled images of other "
        "classes ranks normal images above others better, by counting training samples in balls "
        "of radius η, than the same one trained without; and better than one can do without the "
        "loss by bringing each latent branch to the scale that the radius assumes, by k nearest "
        "neighbours in that latent space, or by k nearest neighbours on pixels."
    ),
    source="Hofer, Kwitt, Dixit, Niethammer 2019; protocol and settings of the authors' code",
    data=(
        "MNIST. A seed draws five digits and 5000 of their training images for the autoencoder; "
        "each other digit in turn is the normal class: n training images of it, and 2000 test "
        "images of all ten digits to rank. The outcome is averaged over these five digits."
    ),
    conditions=("n=10", "n=50", "n=120", "n=500"),
    choose_at=("n=50",),
    arms=(
        Arm("connectivity", "the loss at weight 20; samples in balls of radius η, summed over "
            "branches"),
        Arm("without", "weight 0, the same count: the comparison of the paper"),
        Arm("rescaled", "weight 0, every branch multiplied so that the mean death of batches of "
            "100 training images is η; the same count"),
        Arm("latent kNN", "weight 0; distance to the k-th nearest sample, branches side by side",
            ({"k": 1}, {"k": 5})),
        Arm("connectivity kNN", "the loss at weight 20; distance to the k-th nearest sample",
            ({"k": 1}, {"k": 5})),
        Arm("pixel kNN", "no autoencoder; distance to the k-th nearest sample, Euclid on pixels",
            ({"k": 1}, {"k": 5})),
    ),
    outcomes=(Outcome("auroc", "AUROC", 1),),
    without=Comparison("connectivity", "without", "n=50"),
    controls=(
        Comparison("connectivity", "rescaled", "n=50"),
        Comparison("connectivity", "latent kNN", "n=50"),
        Comparison("connectivity", "pixel kNN", "n=50"),
    ),
    margin=0.01,
    seeds=10,
    settings={
        "weight": 20.0, "eta": ETA, "branches": BRANCHES, "width": WIDTH, "metric": "manhattan",
        "reconstruction": "L1, summed over pixels", "batch": 100, "lr": 1e-3, "epochs": 8,
        "network": "784-256-160-256-784, ReLU (the paper's is convolutional, 50 epochs)",
    },
)  # fmt: skip


class Autoencoder(nn.Module):
    """Pixels to 16 branches of 10 latent coordinates, and back."""

    def __init__(self) -> None:
        super().__init__()
        d = BRANCHES * WIDTH
        self.encoder = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, d))
        self.decoder = nn.Sequential(
            nn.Linear(d, 256), nn.ReLU(), nn.Linear(256, 784), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latent points and reconstructions."""
        z = self.encoder(x)
        return z, self.decoder(z)


def connectivity(z: Tensor) -> Tensor:
    """The loss as the authors' code sums it: deaths in the 1-norm, over branches divided by 16."""
    found = torchtopo.connectivity_loss(z, eta=ETA, branches=BRANCHES, metric="manhattan")
    return found / BRANCHES


def fit(model: Autoencoder, x: Tensor, weight: float, epochs: int, draw: torch.Generator) -> None:
    """Train to reconstruct pixels, with ``weight`` times the loss."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=draw).split(100):
            z, found = model(x[batch])
            loss = (found - x[batch]).abs().sum(1).mean()
            if weight:
                loss = loss + weight * connectivity(z)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()


@functools.lru_cache(8)
def backbone(weight: float, seed: int, part: Part, quick: bool) -> tuple[Autoencoder, Tensor]:
    """The trained autoencoder and the digits that it has not seen."""
    x, y = images("pool")
    generator = draws(seed, part)
    digits = torch.randperm(10, generator=generator)
    rows = torch.isin(y, digits[:5]).nonzero().flatten()
    x = x[rows[torch.randperm(len(rows), generator=generator)[:5000]]]
    start(seed, part)
    model = Autoencoder()
    fit(model, x, weight, 1 if quick else 8, generator)
    return model, digits


@functools.lru_cache(8)
def scale(seed: int, part: Part, quick: bool) -> Tensor:
    """What each branch is multiplied by, from batches of training images."""
    model, digits = backbone(0.0, seed, part, quick)
    x, y = images("pool")
    rows = torch.isin(y, digits[:5]).nonzero().flatten()
    rows = rows[torch.randperm(len(rows), generator=draws(seed, part))[:2000]]
    return to_eta(in_parts(model, x[rows]))


def to_eta(z: Tensor) -> Tensor:
    """What brings each branch's mean death in batches of 100 latent points to η, (16, 1)."""
    batches = z.reshape(-1, 100, BRANCHES, WIDTH).movedim(2, 1)
    died = torchtopo.deaths(batches, metric="manhattan").mean((0, 2))
    return (ETA / died).unsqueeze(-1)


def rescaled(z: Tensor, scale: Tensor) -> Tensor:
    """Latent points, every branch multiplied by its entry of ``scale``."""
    return (z.reshape(-1, BRANCHES, WIDTH) * scale).flatten(1)


def counts(train: Tensor, test: Tensor) -> Tensor:
    """Training samples within η of each test point, summed over branches."""
    a, b = (z.reshape(-1, BRANCHES, WIDTH).movedim(1, 0) for z in (test, train))
    return (torch.cdist(a, b, p=1.0) <= ETA).sum((0, 2)).double()


def nearness(train: Tensor, test: Tensor, k: int) -> Tensor:
    """Minus the distance to the k-th nearest training sample."""
    return -torch.cdist(test, train).kthvalue(k, dim=1).values


def ranked(train: Tensor, test: Tensor, normal: Tensor, settings: Settings) -> float:
    """AUROC of the normal test points, by nearness where the settings say k, else by counts."""
    from sklearn.metrics import roc_auc_score

    score = nearness(train, test, int(settings["k"])) if "k" in settings else counts(train, test)
    return float(roc_auc_score(normal.numpy(), score.numpy()))


def trial(
    arm: str, settings: Settings, condition: str, seed: int, part: Part, quick: bool
) -> dict[str, float]:
    """AUROC of normal against all others, averaged over the five unseen digits."""
    n = int(condition.removeprefix("n="))
    weight = 20.0 if arm.startswith("connectivity") else 0.0
    model, digits = backbone(weight, seed, part, quick)
    pool, labels = images("pool")
    generator = draws(seed, part)
    x, y = images(part)
    rows = torch.randperm(len(x), generator=generator)[: to_score(quick)]
    x, y = x[rows], y[rows]

    def encoded(pixels: Tensor) -> Tensor:
        if arm == "pixel kNN":
            return pixels
        z = in_parts(model, pixels)
        if arm == "rescaled":
            z = rescaled(z, scale(seed, part, quick))
        return z

    z = encoded(x)
    found = []
    for digit in digits[5:].tolist():
        normal = (labels == digit).nonzero().flatten()
        normal = normal[torch.randperm(len(normal), generator=generator)[:n]]
        train = encoded(pool[normal])
        found.append(ranked(train, z, y == digit, settings))
    return {"auroc": sum(found) / len(found)}
