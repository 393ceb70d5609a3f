"""Each script of the gallery draws its picture, and its line says what the page says of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
if not (ROOT / "docs" / "gallery.md").exists():
    pytest.skip("tests apart from the sources", allow_module_level=True)
pytest.importorskip("matplotlib", reason="the examples draw")
PAGE = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))


def holds(name: str, line: str) -> bool:
    """Whether the numbers of a line are what the page says in words."""
    n = [float(found) for found in re.findall(r"\d+(?:\.\d+)?", line)]
    if name == "regularized_autoencoder":
        without, signature, random = n[1:]  # after the number of points
        return signature < 0.7 * without and abs(signature - random) < 0.15
    if name == "one_class":
        eta, without, died_without, with_loss, died_with, nearest = n
        closer = abs(died_with - eta) < 0.8 * abs(died_without - eta)
        return closer and abs(with_loss - without) < 0.06 and nearest > max(with_loss, without)
    if name == "two_moons":
        shares = n[1::2]
        return shares[0] == 1 and shares[1] > 0.98 and shares[2] < 0.6
    if name == "dimension":
        n.remove(8.0)  # of the name "cube of 8"
        found, truth, within = n[1::3], n[2::3], n[3::3]
        near = all(abs(a - b) < 0.05 * b for a, b in zip(found[:3], truth[:3], strict=True))
        return near and found[3] < 7.5 and sum(within) < 24
    if name == "two_embeddings":
        joined, bar_joined, descended, bar_descended, kept, bar_kept = n
        return descended < joined / 2 < kept and min(bar_joined, bar_descended) > bar_kept + 0.1
    raise AssertionError(f"{name} is not in this test")


def line_on_the_page(name: str) -> str:
    return re.findall(rf"^\$ python examples/{name}\.py\n(.*)\n```", PAGE, re.M)[0]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_draws_its_picture_and_says_what_the_page_says(script: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script), "--out", str(tmp_path / "new")],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    picture = tmp_path / "new" / f"{script.stem}.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    line = done.stdout.strip()
    assert holds(script.stem, line), line


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_page_shows_it(script: Path) -> None:
    assert f'--8<-- "examples/{script.name}"' in PAGE
    assert f"(gallery/{script.stem}.png)" in PAGE
    assert (ROOT / "docs" / "gallery" / f"{script.stem}.png").exists()
    assert holds(script.stem, line_on_the_page(script.stem))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_wrong_numbers_are_seen(script: Path) -> None:
    line = re.sub(r"\d+\.\d+", "0.50", line_on_the_page(script.stem))
    assert not holds(script.stem, line)
