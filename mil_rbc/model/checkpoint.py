"""Trained models in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mil_rbc import __version__
from mil_rbc.errors import RunError
from mil_rbc.files import check_device, load_checkpoint
from mil_rbc.model.mil import Architecture, MILModel


def load_model(path: Path, device: str = "cpu") -> tuple[MILModel, dict[str, Any]]:
    """Load a trained model from a trial's `checkpoint.pt`, with what is stored beside it."""
    check_device(device)
    stored = load_checkpoint(path)
    try:
        values = {**stored["architecture"], "classes": tuple(stored["architecture"]["classes"])}
        model = MILModel(Architecture(**values)).to(device)
        model.load_state_dict(stored["model"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise RunError(
            f"{path} does not fit this version of mil_rbc (it was written by "
            f"{stored.get('version', 'an unknown one')}, this is {__version__}): use that version, "
            f"or train again"
        ) from error
    return model.eval(), stored
