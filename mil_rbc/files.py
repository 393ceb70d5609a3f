"""Files written whole or not at all."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mil_rbc.errors import RunError

if TYPE_CHECKING:
    import torch

FORMAT = 1  # of checkpoints; raised when an older one can no longer be read
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_whole(path: Path, data: bytes | memoryview | str | Iterable[bytes]) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part.

    Args:
        path: of the file.
        data: its content, at once or piece by piece.

    Raises:
        RunError: if the disk is full or the place cannot be written to.
    """
    if isinstance(data, str):
        data = data.encode()
    pieces = [data] if isinstance(data, bytes | memoryview) else data
    with _replaced(path) as partial, open(partial, "wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def write_again(source: Path, path: Path) -> None:
    """Let a file lie in a second place, whole or not at all, without room where the system can.

    Raises:
        RunError: as `write_whole`.
    """
    with _replaced(path) as partial:
        partial.unlink(missing_ok=True)
        try:
            os.link(source, partial)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, partial)


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """Where to write what then takes the place of `path`."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
        partial.unlink(missing_ok=True)  # a file replaced by a link to itself stays where it is
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> RunError:
    """Say that a file cannot be written, and why."""
    if error.errno in NO_ROOM:
        return RunError(
            f"no space left for {path}: free some and give the same command again; what was "
            f"finished is kept"
        )
    return RunError(f"{path} cannot be written ({error.strerror}): choose another folder")


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    write_whole(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON written by `write_json`."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}): delete it and run again") from error


def check_device(name: str) -> None:
    """Raise `RunError` unless torch has the device."""
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"--device {name} is not to be had here: {reason}") from error


def check_writable(path: Path) -> None:
    """Raise `RunError` unless a file could be written there: before hours of work, not after."""
    probe = path.with_name(f".{path.name}.probe")
    write_whole(probe, b"")
    probe.unlink()


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Save tensors and plain values (never pickled objects), whole or not at all."""
    import torch

    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **state}, buffer)
    write_whole(path, buffer.getvalue())


def load_checkpoint(path: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Load what `save_checkpoint` saved; nothing in the file is executed.

    Raises:
        RunError: if there is no such file, it is damaged, or another version wrote it.
    """
    import torch

    if not path.is_file():
        raise RunError(f"there is no checkpoint {path}: name a checkpoint.pt of a trial folder")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise RunError(
            f"{path} is not a checkpoint of mil_rbc, or it is damaged: name another, or delete it "
            f"and train again"
        ) from error
    found = state.get("format") if isinstance(state, dict) else None
    if found != FORMAT:
        raise RunError(
            f"{path} was written by another version of mil_rbc (format {found}, this one reads "
            f"{FORMAT}): train again, or use the version named in the run's config.yaml"
        )
    return dict(state)
