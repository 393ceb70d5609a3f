"""Mask R-CNN (torchvision), as in the paper's front end, with its RoI features."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mil_rbc.detect.detections import Detections
from mil_rbc.errors import DataError
from mil_rbc.files import check_device, load_checkpoint, save_checkpoint
from mil_rbc.smears.recipe import RECIPES, Size, plan
from mil_rbc.smears.render import Smear, render_image

try:
    from torchvision.models.detection import MaskRCNN as Network
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
except ImportError as error:  # pragma: no cover - depends on the installation
    raise DataError(
        "detector 'maskrcnn' needs torchvision: pip install 'torchtopo[detect]'"
    ) from error

TRAINING_SEEDS = 1_000_000
"""Training smears are drawn with seeds from here on, so no cohort shows one of them."""


@dataclass(frozen=True)
class Architecture:
    """What is needed to build the network again.

    The defaults are small enough to train without a GPU; `PAPER` is the paper's.

    Attributes:
        backbone: ResNet with a feature pyramid.
        side: the shorter side of an image is resized to this many pixels.
        anchor: side of the smallest anchor box in pixels of the resized image.
        score: detections less sure than this are dropped.
        nms: of two boxes with a larger intersection over union the less sure one is dropped.
        most: at most so many detections an image.
    """

    backbone: Literal["resnet18", "resnet50", "resnet101"] = "resnet18"
    side: int = 160
    anchor: int = 12
    score: float = 0.7
    nms: float = 0.3
    most: int = 100


PAPER = Architecture(backbone="resnet101", side=1024, anchor=32)
"""ResNet-101 FPN, score 0.7, NMS 0.3, at most 100 cells (Sadafi et al. 2020)."""


def _norm(channels: int) -> nn.Module:
    """Group normalisation: unlike batch statistics it can be trained one image at a time."""
    return nn.GroupNorm(32, channels)


def build(architecture: Architecture) -> Network:
    """Build an untrained network with one cell class."""
    backbone = resnet_fpn_backbone(
        backbone_name=architecture.backbone,
        weights=None,
        norm_layer=_norm,
        trainable_layers=5,
    )
    sizes = tuple((architecture.anchor * 2**level,) for level in range(5))
    return Network(
        backbone,
        num_classes=2,
        min_size=architecture.side,
        max_size=4 * architecture.side,
        image_mean=[0.8, 0.8, 0.8],
        image_std=[0.15, 0.15, 0.15],
        rpn_anchor_generator=AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 5),
        rpn_pre_nms_top_n_train=500,
        rpn_post_nms_top_n_train=200,
        rpn_pre_nms_top_n_test=500,
        rpn_post_nms_top_n_test=200,
        box_batch_size_per_image=32,
        box_score_thresh=architecture.score,
        box_nms_thresh=architecture.nms,
        box_detections_per_img=architecture.most,
    )


@dataclass
class MaskRCNN:
    """A trained Mask R-CNN as a detector.

    Attributes:
        network: the torchvision model.
        architecture: how it was built.
        history: how it was trained: steps, seed, seconds, device.
    """

    network: Network
    architecture: Architecture
    history: dict[str, Any]

    @staticmethod
    def load(path: Path, *, device: str = "cpu") -> MaskRCNN:
        """Read a detector from a file that `save` wrote.

        Raises:
            RunError: if the file is damaged or of another version.
            DataError: if it is missing or holds something else.
        """
        remedy = "make one with 'python -m mil_rbc.detect train --out FILE'"
        if not path.is_file():
            raise DataError(f"there are no weights {path}: {remedy}")
        check_device(device)
        state = load_checkpoint(path)
        if not {"architecture", "network", "history"} <= set(state):
            raise DataError(f"{path} holds no detector: {remedy}")
        architecture = Architecture(**state["architecture"])
        network = build(architecture)
        network.load_state_dict(state["network"])
        return MaskRCNN(network.to(device), architecture, state["history"])

    def save(self, path: Path) -> None:
        """Write the detector to a file, whole or not at all."""
        state = {
            "architecture": asdict(self.architecture),
            "history": self.history,
            "network": self.network.state_dict(),
        }
        save_checkpoint(path, state)

    def _tensor(self, image: NDArray[np.uint8]) -> Tensor:
        rgb = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        device = next(self.network.parameters()).device
        return torch.from_numpy(rgb[..., :3].copy()).to(device).permute(2, 0, 1).float() / 255.0

    @torch.no_grad()
    def __call__(self, image: NDArray[np.uint8]) -> Detections:
        """Find the cells in an `(H, W)` or `(H, W, 3)` uint8 image."""
        self.network.eval()
        (result,) = self.network([self._tensor(image)])
        height, width = image.shape[:2]
        probable = (result["masks"][:, 0] > 0.5).cpu().numpy()
        boxes, masks, scores = [], [], []
        for whole, score in zip(probable, result["scores"].cpu().tolist(), strict=True):
            rows, columns = np.flatnonzero(whole.any(1)), np.flatnonzero(whole.any(0))
            if len(rows) == 0:
                continue
            y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
            boxes.append((x0, y0, min(x1, width), min(y1, height)))
            masks.append(whole[y0:y1, x0:x1])
            scores.append(score)
        found = np.array(boxes, dtype=np.int64).reshape(-1, 4)
        return Detections(found, np.array(scores, dtype=np.float64), tuple(masks))

    @torch.no_grad()
    def roi_features(
        self, image: NDArray[np.uint8], boxes: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """RoIAlign over the pyramid's levels: `(n, 256, 14, 14)` float32 for `(n, 4)` boxes.

        The network sees the image resized, so the boxes are brought to its coordinates first.
        """
        self.network.eval()
        images, _ = self.network.transform([self._tensor(image)])
        pyramid = self.network.backbone(images.tensors)
        new_height, new_width = images.image_sizes[0]
        height, width = image.shape[:2]
        scale = torch.tensor([new_width / width, new_height / height] * 2)
        resized = (torch.from_numpy(boxes).float() * scale).to(images.tensors.device)
        features = self.network.roi_heads.mask_roi_pool(pyramid, [resized], images.image_sizes)
        return np.asarray(features.float().cpu().numpy(), dtype=np.float32)


def _target(smear: Smear, device: str) -> dict[str, Tensor]:
    return {
        "boxes": torch.from_numpy(smear.boxes).float().to(device),
        "labels": torch.ones(len(smear.boxes), dtype=torch.int64, device=device),
        "masks": torch.from_numpy(smear.full_masks()).to(torch.uint8).to(device),
    }


def _training_smears(size: Size, seed: int) -> Iterator[Smear]:
    recipe = RECIPES[size]
    for number in itertools.count():
        draw = TRAINING_SEEDS * (seed + 1) + number
        samples = plan(recipe, draw)
        for i in np.random.default_rng(draw).permutation(len(samples)):
            yield render_image(samples[i], 0, recipe, draw)


def train(
    architecture: Architecture,
    *,
    steps: int = 600,
    batch: int = 1,
    learning_rate: float = 3e-4,
    seed: int = 0,
    size: Size = "default",
    device: str = "cpu",
    say: Callable[[str], None] = print,
) -> MaskRCNN:
    """Train a Mask R-CNN from random weights on rendered smears, no two alike.

    Args:
        architecture: what to train.
        steps: number of optimizer steps.
        batch: images a step.
        learning_rate: of AdamW at its peak; it warms up for a twentieth of the steps and then
            falls as a cosine.
        seed: of the weights and of the smears.
        size: recipe the smears are drawn from.
        device: where to train, as torch names it.
        say: gets a line on progress now and then.

    Returns:
        The trained detector.

    Raises:
        DataError: if training diverges.
    """
    torch.manual_seed(seed)
    network = build(architecture).to(device).train()
    detector = MaskRCNN(network, architecture, {})
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=1e-4)

    def share(step: int) -> float:
        return min((step + 1) / max(1, steps // 20), 0.5 + 0.5 * math.cos(math.pi * step / steps))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    stream = _training_smears(size, seed)
    start = time.perf_counter()
    recent: list[float] = []
    for step in range(1, steps + 1):
        images = list(itertools.islice(stream, batch))
        losses = network(
            [detector._tensor(smear.image) for smear in images],
            [_target(smear, device) for smear in images],
        )
        loss = sum(losses.values())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        recent.append(float(loss.detach()))
        if step % max(1, steps // 20) == 0:
            mean = float(np.mean(recent))
            if not np.isfinite(mean):
                raise DataError(
                    f"training of the detector diverged at step {step}: lower --learning_rate "
                    f"({learning_rate})"
                )
            passed = time.perf_counter() - start
            left = passed / step * (steps - step)
            say(f"step {step}/{steps}  loss {mean:.3f}  {passed:.0f} s, {left:.0f} s left")
            recent.clear()
    detector.history = {
        "steps": steps,
        "batch": batch,
        "learning_rate": learning_rate,
        "seed": seed,
        "size": size,
        "device": device,
        "seconds": round(time.perf_counter() - start, 1),
    }
    return detector
