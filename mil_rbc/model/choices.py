"""What the options of a model may say; nothing here needs torch, for which `--help` would wait."""

from __future__ import annotations

from typing import Literal

Activation = Literal["relu", "elu", "tanh"]
"""Of the heads' hidden layers."""

Preset = Literal["paper", "robust"]
"""Of the anomaly-aware pooling: as published, or with its numerical faults mended."""

Attention = Literal["plain", "gated"]
"""What attention is learned by."""

Convention = Literal["paper", "topoae", "mil", "torch_topological"]
"""Which signature loss."""

Space = Literal["auto", "images", "roi", "features"]
"""What A^X is measured on."""

Scale = Literal["none", "rms", "std"]
"""What divides A^X."""

Deviation = Literal["each", "shared"]
"""What divides a feature of a frozen network: its own deviation, or one of all features."""

Schedule = Literal["constant", "cosine"]
"""How the learning rate goes over the epochs."""

SCALES: dict[Scale, str] = {
    "none": "as it is",
    "rms": "÷ √D",
    "std": "÷ the standard deviation of a coordinate over the training bags",
}
