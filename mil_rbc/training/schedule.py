"""What the epochs so far decide about the next: λ, its learning rate, and whether there is one.

All of it follows from the history, which is saved with every checkpoint, so a resumed trial decides
the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mil_rbc.options import Options

History = Sequence[dict[str, float]]


def weight(options: Options, history: History) -> float:
    """λ of the next epoch.

    With `lam_ratio` it is such that λ·L_topo would have been that share of L_class over the first
    epoch, which is trained without the term. With `topology_from` it is 0 until an epoch's training
    accuracy has reached that value.
    """
    if max((row["accuracy_train"] for row in history), default=0.0) < options.topology_from:
        return 0.0
    if options.lam_ratio == 0:
        return options.lam
    if not history or not history[0]["L_topo"] > 0:
        return 0.0
    return options.lam_ratio * history[0]["L_class"] / history[0]["L_topo"]


def learning_rate(options: Options, epoch: int) -> float:
    """Learning rate of an epoch."""
    if options.schedule == "constant":
        return options.lr
    return options.lr * (1 + math.cos(math.pi * epoch / options.epochs)) / 2


def stopped(options: Options, history: History) -> bool:
    """Whether the loss on validation bags has not fallen for `patience` epochs."""
    losses = [row["L_MIL_validation"] for row in history]
    if options.patience == 0 or not losses:
        return False
    best = min(range(len(losses)), key=lambda epoch: losses[epoch])
    return len(losses) - 1 - best >= options.patience
