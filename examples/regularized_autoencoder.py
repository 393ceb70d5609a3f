"""Train a small autoencoder on ten spheres inside a large one, and watch its topology improve.

    python examples/regularized_autoencoder.py [--epochs 40] [--weight 1.0] [--out runs/example]

Prints the loss as it falls, and draws it beside the latent spaces with and without the signature
loss. The data is synthetic: the nested spheres of Moor et al. 2020, "Topological Autoencoders".
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

import torchtopo


def nested_spheres(per_sphere: int, dim: int = 100) -> tuple[Tensor, Tensor]:
    """Points on ten spheres of radius 5 and on one of radius 25 around them, with labels."""

    def sphere(count: int, radius: float) -> Tensor:
        return radius * nn.functional.normalize(torch.randn(count, dim + 1))

    centres = torch.randn(10, dim + 1) * 10 / dim**0.5
    parts = [sphere(per_sphere, 5.0) + centre for centre in centres]
    parts.append(sphere(10 * per_sphere, 25.0))
    labels = torch.repeat_interleave(torch.arange(11), torch.tensor([len(p) for p in parts]))
    return torch.cat(parts), labels


def train(x: Tensor, weight: float, epochs: int, batch: int = 64) -> tuple[Tensor, list[float]]:
    """Train an autoencoder; returns the latent points ``(N, 2)`` and the loss of each epoch."""
    torch.manual_seed(0)
    width = x.shape[1]
    encoder = nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, 2))
    decoder = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, width))
    topology = torchtopo.nn.SignatureLoss(convention="topoae")
    parameters = [*encoder.parameters(), *decoder.parameters(), *topology.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    history = []

    for epoch in range(epochs):
        sums = torch.zeros(2)
        for rows in torch.randperm(len(x)).split(batch):
            z = encoder(x[rows])
            reconstruction = nn.functional.mse_loss(decoder(z), x[rows]) / x.var()
            signature = topology(x[rows], z)  # one line: the whole regularizer
            optimizer.zero_grad()
            (reconstruction + weight * signature).backward()
            optimizer.step()
            sums += torch.stack([reconstruction, signature]).detach() * len(rows)
        a, b = (sums / len(x)).tolist()
        history.append(a + weight * b)
        if epoch % max(1, epochs // 8) == 0 or epoch == epochs - 1:
            said = f"  signature loss {b:.4f}" if weight else ""
            print(f"epoch {epoch + 1:3d}  loss {history[-1]:.4f}  reconstruction {a:.4f}{said}")
    with torch.no_grad():
        return encoder(x), history


def draw(runs: dict[str, tuple[Tensor, list[float]]], labels: Tensor, path: Path) -> None:
    """Draw the latent spaces side by side, and the losses as they fell."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(runs) + 1, figsize=(14, 4.6))
    small = labels < 10
    for axes, (title, (z, history)) in zip(panels, runs.items(), strict=False):
        axes.scatter(*z[~small].T.numpy(), c="#AAAAAA", s=7, label="the sphere around")
        axes.scatter(*z[small].T.numpy(), c=labels[small].numpy(), cmap="viridis", s=7)
        axes.set(title=f"latent space, {title}", xlabel="latent 1", ylabel="latent 2")
        axes.legend(loc="upper right")
        panels[-1].plot(range(1, len(history) + 1), history, label=title, linewidth=2)
    panels[-1].set(title="loss", xlabel="epoch", ylabel="reconstruction + weight · signature")
    panels[-1].legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--weight", type=float, default=1.0, help="of the signature loss")
    parser.add_argument("--out", type=Path, default=Path("runs/example"))
    options = parser.parse_args()

    torch.manual_seed(0)
    x, labels = nested_spheres(100)
    runs = {}
    for weight in (0.0, options.weight):
        print(f"\nweight of the signature loss: {weight:g}")
        runs[f"weight {weight:g}"] = train(x, weight, options.epochs)
    path = options.out / "regularized_autoencoder.png"
    draw(runs, labels, path)
    print(f"\ndrew {path}")


if __name__ == "__main__":
    main()
