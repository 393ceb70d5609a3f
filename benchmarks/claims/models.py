"""The small networks, the draws of images and the scores that claims share."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from benchmarks import data

from .protocol import Part

POOL = 50_000  # training images that may be drawn; the other 10 000 are the development data


@functools.cache
def images(part: Part | str) -> tuple[Tensor, Tensor]:
    """MNIST pixels (n, 784) and labels: ``"pool"`` to draw from, what is scored in either part."""
    found = data.mnist("t10k", 10_000) if part == "test" else data.mnist("train", 60_000)
    if found is None:
        raise FileNotFoundError(
            "MNIST is not there: name the folder that holds mnist/*.gz by TORCHTOPO_DATA"
        )
    if part == "test":
        return found
    x, y = found
    return (x[:POOL], y[:POOL]) if part == "pool" else (x[POOL:], y[POOL:])


def to_score(quick: bool) -> int:
    """How many images of a part are scored."""
    return 200 if quick else 2000


def scored(part: Part, quick: bool) -> tuple[Tensor, Tensor]:
    """The images that a classifier is scored on; no arm is trained on them."""
    x, y = images(part)
    return x[: to_score(quick)], y[: to_score(quick)]


def draws(seed: int, part: Part) -> torch.Generator:
    """The random numbers of a seed; development seeds and test seeds share none."""
    return torch.Generator().manual_seed(1000 * seed + (500 if part == "development" else 0))


def start(seed: int, part: Part) -> None:
    """Seed initial weights, equal for all arms."""
    torch.manual_seed(draws(seed, part).initial_seed())


class ConvNet(nn.Module):
    """Two convolutions and one hidden layer of 64: the features that a loss acts on."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Flatten(), nn.Linear(16 * 49, 64), nn.BatchNorm1d(64), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(64, outputs)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Features (n, 64) and outputs of pixels (n, 784)."""
        z = self.features(pixels.reshape(-1, 1, 28, 28))
        return z, self.head(z)


def shifted(pixels: Tensor, generator: torch.Generator, most: int = 2) -> Tensor:
    """Every image moved by up to ``most`` pixels each way."""
    n = len(pixels)
    square = nn.functional.pad(pixels.reshape(n, 28, 28), (most,) * 4)
    dy, dx = torch.randint(0, 2 * most + 1, (2, n, 1), generator=generator)
    side = torch.arange(28)
    rows, columns = (dy + side).unsqueeze(-1), (dx + side).unsqueeze(-2)
    return square[torch.arange(n)[:, None, None], rows, columns].reshape(n, 784)


@torch.no_grad()
def in_parts(model: nn.Module, x: Tensor, size: int = 1000) -> Tensor:
    """The model's first output, in evaluation, part by part."""
    model.eval()
    return torch.cat([model(rows)[0] for rows in x.split(size)])


def standardised(train: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Every column brought to mean 0 and deviation 1 over ``train``."""
    mean, deviation = train.mean(0), train.std(0).clamp(min=1e-6)
    return tuple((x - mean) / deviation for x in (train, *others))


def probed(train: tuple[Tensor, Tensor], test: Tensor, penalty: float) -> Tensor:
    """Classes of test points by multinomial logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression

    a, b = standardised(train[0], test)
    model = LogisticRegression(C=1 / (penalty * len(a)), max_iter=200)
    model.fit(a.numpy(), train[1].numpy())
    return torch.from_numpy(model.predict(b.numpy()))


def linear_probe(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], penalty: float = 1e-3
) -> float:
    """Test accuracy of that regression."""
    found = probed(train, test[0], penalty)
    return float((found == test[1]).double().mean())
