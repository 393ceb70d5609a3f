"""Every table of README and docs says what its results file says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))
pytest.importorskip("matplotlib")
from benchmarks import tables

MARKED_DOCUMENTS = [
    path
    for path in tables.documents()
    if path.is_file() and tables.MARKED.search(path.read_text(encoding="utf-8"))
]


def test_some_documents_hold_tables() -> None:
    assert tables.ROOT / "docs" / "benchmarks.md" in MARKED_DOCUMENTS


@pytest.mark.parametrize("path", MARKED_DOCUMENTS, ids=lambda p: str(p.relative_to(tables.ROOT)))
def test_tables_equal_their_results(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert tables.filled(text) == text, "run: python -m benchmarks --tables"


@pytest.mark.parametrize("path", MARKED_DOCUMENTS, ids=lambda p: str(p.relative_to(tables.ROOT)))
def test_every_marker_has_its_end(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("<!-- table:") == text.count("<!-- /table -->")
    assert text.count("<!-- table:") == len(tables.MARKED.findall(text))


def test_a_changed_number_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tables.ROOT / "docs" / "benchmarks.md"
    text = path.read_text(encoding="utf-8")
    for file in tables.RESULTS.glob("*.json"):
        content = json.loads(file.read_text(encoding="utf-8"))
        if file.stem == "accuracy":
            content["rows"][0]["errors"]["torchtopo"] *= 2
        (tmp_path / file.name).write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert tables.filled(text) != text


def test_results_are_full_runs_without_names_of_machines() -> None:
    files = sorted(tables.RESULTS.glob("*.json"))
    assert files
    for file in files:
        text = file.read_text(encoding="utf-8")
        content = json.loads(text)
        assert not content["quick"], f"{file.name} comes from a --quick run"
        assert content["machine"]["cpu"]
        assert not re.search(r"[\"\s]/\w+/", text), f"{file.name} holds a path of one machine"


def test_an_unknown_table_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="run python -m benchmarks nothing"):
        tables.filled("<!-- table:nothing -->\n<!-- /table -->\n")
    monkeypatch.setattr(tables, "results", lambda script: {})
    with pytest.raises(KeyError, match=r"no table is called 'accuracy\.other'"):
        tables.filled("<!-- table:accuracy.other -->\n<!-- /table -->\n")


def test_indented_markers_keep_their_indent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "render", lambda name: "| a |\n|---|\n| 1 |")
    text = "    <!-- table:x -->\n    old\n    <!-- /table -->\n"
    assert tables.filled(text) == (
        "    <!-- table:x -->\n\n    | a |\n    |---|\n    | 1 |\n\n    <!-- /table -->\n"
    )
