"""Programs of tools/ run, and say what they should."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import torchtopo
from torchtopo._losses import comparison, step
from torchtopo._operators import cuda, registry

ROOT = Path(__file__).resolve().parents[1]

if Path(torchtopo.__file__).parents[1] != ROOT:
    pytest.skip("tests apart from the sources", allow_module_level=True)


sys.path.append(str(ROOT / "tools"))

from exercise_cuda import exercise  # noqa: E402


class Called(TorchDispatchMode):
    """The names of the package's operators that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        namespace, _, name = func.name().partition("::")
        if namespace == "torchtopo":
            self.names.add(name)
        return func(*args, **kwargs or {})


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


@pytest.mark.slow
def test_the_term_is_timed_beside_the_step_without_it():
    done = run("term_of_a_step.py", "--cells", "5", "--features", "8", "--rounds", "2")
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) \| .+% \| .+ \| ([\d.]+) \|$", done.stdout, re.M)
    assert [name for name, *_ in rows] == ["average", "attention", "max"]
    assert all(float(number) > 0 for _, *numbers in rows for number in numbers)


def test_what_the_sanitizer_watches_calls_every_operator(monkeypatch: pytest.MonkeyPatch):
    for module in (comparison, step):
        monkeypatch.setattr(module, "on_a_device", lambda values: True)
    monkeypatch.setattr(cuda, "step_fits_a_block", lambda *spaces: True)
    with Called() as called:
        exercise(torch.device("cpu"))
    assert called.names == {operator.name for operator in registry.OPERATORS if operator.cuda}
