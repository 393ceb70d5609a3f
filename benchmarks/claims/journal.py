"""Outcomes of trials that are done, a line each: an interrupted run goes on where it was."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .protocol import Claim, Part, Settings


class Journal:
    """Runs the trials of a claim, each once; what other plans left in the file is not taken.

    Args:
        claim: the module whose trials are run.
        path: the file, made with the first trial.
        quick: as the trials take it.
    """

    def __init__(self, claim: Claim, path: Path, quick: bool) -> None:
        self.claim, self.path, self.quick = claim, path, quick
        self.plan = f"{claim.PLAN.sha256}{' quick' if quick else ''}"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        # The last line lacks its end where the run was killed in the middle of writing.
        found = [json.loads(line) for line in lines if line.endswith("}")]
        mine = [entry for entry in found if entry["plan"] == self.plan]
        self.done: dict[str, dict[str, float]] = {e["trial"]: e["outcomes"] for e in mine}
        self.seconds: float = sum(e["seconds"] for e in mine)

    def trial(
        self, arm: str, settings: Settings, condition: str, seed: int, part: Part
    ) -> dict[str, float]:
        """The outcomes of a trial, from the file if they are there."""
        key = json.dumps([arm, dict(settings), condition, seed, part], ensure_ascii=False)
        if key not in self.done:
            begun = time.perf_counter()
            outcomes = self.claim.trial(arm, settings, condition, seed, part, self.quick)
            taken = time.perf_counter() - begun
            self.seconds += taken
            self.done[key] = {name: float(value) for name, value in outcomes.items()}
            entry = {
                "plan": self.plan, "trial": key, "outcomes": self.done[key], "seconds": taken
            }  # fmt: skip
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"\n{json.dumps(entry, ensure_ascii=False)}")
        return self.done[key]

    def close(self) -> None:
        """Delete the file: the results are written."""
        self.path.unlink(missing_ok=True)
