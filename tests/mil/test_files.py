"""Files are whole or not there, faults are one sentence, and checkpoints run no code."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mil_rbc.cli import command
from mil_rbc.data.bags import Cohort
from mil_rbc.data.store import load_cohort, save_cohort
from mil_rbc.errors import DataError, RunError
from mil_rbc.files import FORMAT, load_checkpoint, save_checkpoint, write_whole
from mil_rbc.model.checkpoint import load_model

FULL_DISK = """
import resource, sys
from pathlib import Path
from mil_rbc.cli import command
from mil_rbc.files import save_checkpoint
import torch
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sys.exit(command(lambda _: save_checkpoint(Path(sys.argv[1]), {"w": torch.zeros(100_000)}), []))
"""


def test_a_full_disk_is_one_sentence_and_keeps_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"w": torch.ones(3)})
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.startswith("error: no space left for")
    assert run.stderr.count("\n") == 1
    assert torch.equal(load_checkpoint(path)["w"], torch.ones(3))
    assert os.listdir(tmp_path) == ["checkpoint.pt"]  # nothing half written stays


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(tmp_path / "a.txt", "old")

    def failing(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(RunError, match="no space left"):
        write_whole(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"file/a\.txt cannot be written"):
        write_whole(tmp_path / "file" / "a.txt", "x")


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path) -> None:
    torch.save({"format": FORMAT + 1, "model": {}}, tmp_path / "c.pt")
    with pytest.raises(RunError, match=r"c\.pt was written by another version"):
        load_checkpoint(tmp_path / "c.pt")


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.pt", {"architecture": {"kind": "crop", "classes": ["a"]},
                                        "model": {}, "version": "9"})  # fmt: skip
    with pytest.raises(RunError, match="it was written by 9"):
        load_model(tmp_path / "c.pt")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"no checkpoint at all"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(RunError, match="damaged"):
        load_checkpoint(tmp_path / "c.pt")


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"there is no checkpoint .*c\.pt"):
        load_checkpoint(tmp_path / "c.pt")


class Trap:
    """Runs a command when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("exit 1",)


def test_a_pickle_in_a_checkpoint_is_not_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"format": FORMAT, "model": Trap()}, tmp_path / "c.pt")
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Trap()))
    ran: list[str] = []
    monkeypatch.setattr(os, "system", ran.append)
    for name in ("c.pt", "raw.pt"):
        with pytest.raises(RunError):
            load_checkpoint(tmp_path / name)
    assert not ran


def test_a_cohort_survives_its_file(tmp_path: Path, vectors: Cohort) -> None:
    save_cohort(tmp_path / "c.npz", vectors)
    assert load_cohort(tmp_path / "c.npz").data_hash() == vectors.data_hash()
    assert load_cohort(tmp_path / "c.npz").bags[3].cell_labels is not None


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (DataError("row 3 has no label: add one"), 2, "error: row 3 has no label: add one\n"),
        (RunError("no"), 2, "error: no\n"),
        (KeyError("x"), 1, "error: KeyError: 'x' (--debug shows where)\n"),
    ],
)
def test_faults_are_one_sentence(
    fault: Exception, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(_: list[str]) -> None:
        raise fault

    assert command(main, []) == code
    assert capsys.readouterr().err == said


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def main(argv: list[str]) -> None:
        assert argv == ["--out", "x"]
        raise RunError("no")

    assert command(main, ["--out", "x", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err
