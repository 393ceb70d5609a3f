"""The examples in README and docs run and print what they say."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
FENCED = re.compile(r"^```pycon\n(.*?)^```", re.DOTALL | re.MULTILINE)
WITHOUT_PROMPTS = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
DOCUMENTS = sorted([*ROOT.glob("README.md"), *(ROOT / "docs").rglob("*.md")])


def examples(text: str) -> str:
    """The fenced sessions of a document, other lines left blank to keep line numbers."""
    lines = [""] * (text.count("\n") + 1)
    for block in FENCED.finditer(text):
        start = text.count("\n", 0, block.start(1))
        for k, line in enumerate(block[1].splitlines()):
            lines[start + k] = line
    return "\n".join(lines)


WITH_EXAMPLES = [path for path in DOCUMENTS if ">>>" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda p: str(p.relative_to(ROOT)))
def test_examples_run(path: Path) -> None:
    text = examples(path.read_text(encoding="utf-8"))
    if "mil_rbc" in text:
        for package in ("lightning", "pandas", "skimage"):
            pytest.importorskip(package, reason="the example needs the extra mil")
    for package in ("lightning", "torch_geometric", "sklearn", "dask"):
        if f"import {package}" in text or f"from {package}" in text:
            pytest.importorskip(package)
    test = doctest.DocTestParser().get_doctest(text, {}, path.name, str(path), 0)
    assert test.examples
    runner = doctest.DocTestRunner(
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS, verbose=False
    )
    said: list[str] = []
    runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)


def test_the_example_of_the_readme_runs() -> None:
    (block,) = WITHOUT_PROMPTS.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    names: dict[str, Any] = {}
    exec(block, names)
    assert names["deaths"].shape == (8, 255)
    assert names["z"].grad is not None


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_session_is_left_out(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert examples(text).count(">>> ") == text.count(">>> ")


def test_a_wrong_example_fails() -> None:
    text = examples("text\n```pycon\n>>> 1 + 1\n3\n\n```\n")
    test = doctest.DocTestParser().get_doctest(text, {}, "wrong", None, 0)
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=lambda _: None)
    assert runner.failures == 1
