"""Read the barcode, not the number: RTD-Lite of three planes that show four clusters.

Data (synthetic): four clusters in twenty dimensions; a plane in which two of them coincide, the
same after descent by RTD-Lite, and a plane that keeps the four apart.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor

import torchtopo

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def clusters(each: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Points (4 · each, 20), the plane that joins two clusters, one that joins none, labels."""
    label = torch.arange(4).repeat_interleave(each)
    places = torch.tensor([[0.0, 0.0], [4.0, 0.0], [2.0, 4.0], [2.0, 4.0]])
    corners = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]])
    noise = 0.4 * torch.randn(len(label), 2)
    x = 4 * torch.eye(20)[label] + 0.1 * torch.randn(len(label), 20)
    return x, places[label] + noise, corners[label] + noise, label


def descended(x: Tensor, z: Tensor, steps: int = 200) -> Tensor:
    """The plane after so many steps down the gradient of RTD-Lite."""
    z = z.clone().requires_grad_()
    optimizer = torch.optim.Adam([z], lr=0.03)
    for _ in range(steps):
        optimizer.zero_grad()
        torchtopo.rtd_lite(x, z).backward()
        optimizer.step()
    return z.detach()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the picture")
    out = parser.parse_args().out
    torch.manual_seed(0)
    x, joined, kept, label = clusters(40)
    planes = {"joined": joined, "descended": descended(x, joined), "kept": kept}
    figure, grid = plt.subplots(2, 3, figsize=(12, 6.4), layout="constrained")
    said = []
    for (name, z), (upper, lower) in zip(planes.items(), grid.T, strict=True):
        value = float(torchtopo.rtd_lite(x, z))
        bars = torchtopo.rtd_lite_barcode(x, z).x  # parts that are one in the plane, not yet in x
        longest = bars.diff(dim=-1).flatten().argmax()
        upper.scatter(*z.T, c=[COLOURS[k] for k in label.tolist()], s=14)
        upper.set(title=f"{name}: RTD-Lite {value:.2f}", aspect="equal", xticks=[], yticks=[])
        for k, ends in enumerate(bars.tolist()):
            first = k == longest
            lower.plot(
                ends, [k, k], color="#D55E00" if first else "#222222", linewidth=1 + 2 * first
            )
        length = float(bars[longest].diff())
        lower.set(title=f"longest bar {length:.2f}", xlabel="distance / its 0.9-quantile")
        lower.set(yticks=[], xlim=(0, 1.05))
        said.append(f"{name} {value:.2f} (longest bar {length:.2f})")
    figure.suptitle("Planes of four clusters in twenty dimensions (synthetic), and RTD-Lite's bars")
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / "two_embeddings.png", dpi=110)
    print(f"RTD-Lite: {', '.join(said)}")
