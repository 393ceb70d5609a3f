"""Programs of tools/ run, and say what they should."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import torchtopo

ROOT = Path(__file__).resolve().parents[1]

if Path(torchtopo.__file__).parents[1] != ROOT:
    pytest.skip("tests apart from the sources", allow_module_level=True)


def run(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / tool), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_calls_are_compared_with_another_checkout(tmp_path: Path):
    done = run(
        "compare_calls.py", str(ROOT), "--points", "4", "--rounds", "1", "--only", "pair_distances"
    )
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (.+?) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", done.stdout, re.M)
    assert [name for name, *_ in rows] == ["pair_distances", "pair_distances, backward"]
    assert all(float(number) > 0 for _, *numbers in rows for number in numbers)
    done = run("compare_calls.py", str(tmp_path))
    assert done.returncode == 1
    assert f"{tmp_path} has no torchtopo built in place" in done.stderr
