"""What an interrupted trial goes on from, and whether a trial is finished."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mil_rbc import __version__
from mil_rbc.data.bags import Cohort
from mil_rbc.data.folds import Split
from mil_rbc.errors import RunError
from mil_rbc.files import load_checkpoint, read_json, save_checkpoint
from mil_rbc.options import Options
from mil_rbc.run_folder import TrialFolder
from mil_rbc.training.trial import Trial, fingerprint

if TYPE_CHECKING:
    from lightning.fabric import Fabric


@dataclass
class State:
    """Everything a trial's future depends on, beside its weights.

    Attributes:
        epoch: epochs done.
        history: a row of metrics for each.
        best: weights of the epoch that is best on validation bags, and its loss there.
        seconds: wall time of the epochs.
    """

    epoch: int
    history: list[dict[str, float]]
    best: dict[str, Any] | None = None
    best_loss: float = float("inf")
    seconds: float = 0.0


@dataclass
class Trained:
    """What is trained, as far as a checkpoint has to know it."""

    objective: nn.Module
    optimizer: Any
    fabric: Fabric
    recent: deque[dict[str, Any]]

    def save(self, folder: TrialFolder, key: str, state: State) -> None:
        """Write `resume.pt`: weights, now and of late, optimizer, random numbers and `state`."""
        rng = {"cpu": torch.get_rng_state()}
        if self.fabric.device.type == "cuda":
            rng["cuda"] = torch.cuda.get_rng_state(self.fabric.device)
        save_checkpoint(folder.resume, {
            "key": key, "version": __version__, **vars(state), "rng": rng,
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "recent": list(self.recent),
            "precision": self.fabric.strategy.precision.state_dict(),
        })  # fmt: skip

    def load(self, folder: TrialFolder, key: str) -> State | None:
        """Go back to what `save` wrote; `None` if it wrote nothing.

        Raises:
            RunError: if it is of other data, other options or another version.
        """
        path = folder.resume
        if not path.exists():
            return None
        stored = load_checkpoint(path, self.fabric.device)
        if stored["key"] != key:
            raise RunError(
                f"{path} is from a run with other data or options: choose another --out, or "
                f"delete that folder"
            )
        if stored["version"] != __version__:
            raise RunError(
                f"{path} was written by mil_rbc {stored['version']}, this is {__version__}: go on "
                f"with that version, or delete the file to train this trial again"
            )
        self.objective.load_state_dict(stored["objective"])
        self.optimizer.load_state_dict(stored["optimizer"])
        self.recent.extend(stored["recent"])
        self.fabric.strategy.precision.load_state_dict(stored["precision"])
        torch.set_rng_state(stored["rng"]["cpu"].cpu())
        if "cuda" in stored["rng"]:
            torch.cuda.set_rng_state(stored["rng"]["cuda"].cpu(), self.fabric.device)
        return State(**{name: stored[name] for name in State.__dataclass_fields__})


def finished(
    trial: Trial, cohort: Cohort, split: Split, options: Options, folder: TrialFolder
) -> bool:
    """Whether the trial's folder holds its result.

    Raises:
        RunError: if it holds the result of other data or other options.
    """
    if not folder.result.exists():
        return False
    if read_json(folder.result)["key"] != fingerprint(trial, cohort, split, options):
        raise RunError(
            f"{folder.path} is from a run with other data or options: choose another --out, or "
            f"delete that folder"
        )
    return True
