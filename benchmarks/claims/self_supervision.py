"""Self-supervision: does the spread loss keep embeddings from collapsing as well as VICReg does?"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import torchtopo

from .models import ConvNet, draws, images, in_parts, linear_probe, scored, shifted, start
from .protocol import Arm, Comparison, Outcome, Part, Plan, Settings

STEPS, BATCH, WIDTH = 200, 64, 64

INVARIANCE: tuple[Settings, ...] = ({"invariance": 1.0}, {"invariance": 5.0}, {"invariance": 25.0})

PLAN = Plan(
    name="self_supervision",
    whom="an embedding learned without labels",
    hypothesis=(
        "A small network that is trained to embed two views of an image alike, with the spread "
        "loss on the embeddings, gives features from which a linear probe reads digits better "
        "than without any such loss; better than with VICReg's variance and covariance terms; "
        "better than with the uniformity loss; and better than an untrained network and pixels."
    ),
    source=(
        "T-REGS: Mordacq et al. 2025; VICReg: Bardes, Ponce, LeCun 2022; uniformity: Wang and "
        "Isola 2020"
    ),
    data=(
        "MNIST. A seed draws 10 000 training images without labels; views are moved by up to 3 "
        "pixels, and a square of 10 × 10 pixels erased. The "
        "probe is trained on 100 or 1000 labelled images of the same draw, and scored on the first "
        "2000 test images."
    ),
    conditions=("100 labels", "1000 labels"),
    choose_at=("1000 labels",),
    arms=(
        Arm("spread", "invariance · mean squared difference + the loss of both views, sphere 1",
            INVARIANCE),
        Arm("without", "only the difference of the views"),
        Arm("VICReg", "invariance, variance at 25, covariance at 1",
            INVARIANCE),
        Arm("uniformity", "log mean exp(-2 ‖z_i - z_j‖²) on the unit sphere", INVARIANCE),
        Arm("untrained", "the network as it was initialised"),
        Arm("pixels", "no network"),
    ),
    outcomes=(Outcome("accuracy", "accuracy of the linear probe", 1),),
    without=Comparison("spread", "without", "1000 labels"),
    controls=(
        Comparison("spread", "untrained", "1000 labels"),
        Comparison("spread", "pixels", "1000 labels"),
        Comparison("spread", "VICReg", "1000 labels"),
        Comparison("spread", "uniformity", "1000 labels"),
    ),
    margin=0.005,
    seeds=10,
    settings={
        "network": "two convolutions, features 64; projector 64-128-64 with batch norm",
        "steps": STEPS, "batch": BATCH, "optimizer": "Adam, learning rate 1e-3",
    },
    development_seeds=2,
)  # fmt: skip


def view(x: Tensor, generator: torch.Generator) -> Tensor:
    """A random view of each image."""
    n, side = len(x), torch.arange(28)
    square = shifted(x, generator, 3).reshape(n, 28, 28)
    top, left = torch.randint(0, 19, (2, n, 1), generator=generator)
    rows, columns = ((side >= t) & (side < t + 10) for t in (top, left))
    return square.masked_fill(rows.unsqueeze(-1) & columns.unsqueeze(-2), 0.0).reshape(n, 784)


def vicreg(z: Tensor) -> Tensor:
    """25 · variance + covariance of one view's embeddings."""
    z = z - z.mean(0)
    spread = (1 - (z.var(0) + 1e-4).sqrt()).relu().mean()
    covariance = z.T @ z / (len(z) - 1)
    off = covariance.square().sum() - covariance.diagonal().square().sum()
    return 25 * spread + off / z.shape[1]


def uniformity(z: Tensor) -> Tensor:
    """The logarithm of the mean Gaussian potential of pairs."""
    return (-2 * torch.pdist(z).square()).exp().mean().log()


def objective(arm: str, settings: Settings, a: Tensor, b: Tensor) -> Tensor:
    """What an arm minimises, from the embeddings of two views."""
    if arm == "without":
        return (a - b).square().mean()
    weight = settings["invariance"]
    if arm == "VICReg":
        return weight * (a - b).square().mean() + vicreg(a) + vicreg(b)
    if arm == "spread":
        both = torchtopo.spread_loss(torch.stack((a, b)), reduction="sum")
        return weight * (a - b).square().sum(1).mean() + both
    a, b = (nn.functional.normalize(z, dim=1) for z in (a, b))
    return weight * (a - b).square().sum(1).mean() + uniformity(a) + uniformity(b)


def trial(
    arm: str, settings: Settings, condition: str, seed: int, part: Part, quick: bool
) -> dict[str, float]:
    """Accuracy of the probe on unseen images."""
    key = (arm, tuple(settings.items()), seed, part, quick)
    if key not in _features:
        _features.clear()
        _features[key] = features(arm, settings, seed, part, quick)
    train, labels, unseen = _features[key]
    count = int(condition.removesuffix(" labels"))
    truth = scored(part, quick)[1]
    return {"accuracy": linear_probe((train[:count], labels[:count]), (unseen, truth), 1e-2)}


_features: dict[object, tuple[Tensor, Tensor, Tensor]] = {}


def features(
    arm: str, settings: Settings, seed: int, part: Part, quick: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Features and labels of the probe's images, and features of the unseen ones."""
    pool, labels = images("pool")
    generator = draws(seed, part)
    rows = torch.randperm(len(pool), generator=generator)[:10_000]
    x, known = pool[rows], labels[rows[:1000]]
    unseen = scored(part, quick)[0]
    if arm == "pixels":
        return x[:1000], known, unseen
    start(seed, part)
    model = ConvNet(1)
    projector = nn.Sequential(
        nn.Linear(64, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, WIDTH)
    )
    optimizer = torch.optim.Adam([*model.features.parameters(), *projector.parameters()], lr=1e-3)
    for _ in range(0 if arm == "untrained" else 3 if quick else STEPS):
        batch = x[torch.randint(0, len(x), (BATCH,), generator=generator)]
        both = torch.cat((view(batch, generator), view(batch, generator)))
        a, b = projector(model(both)[0]).chunk(2)
        loss = objective(arm, settings, a, b)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return in_parts(model, x[:1000]), known, in_parts(model, unseen)
