"""The site works from disk and asks no other server for anything (built by `make docs`)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocstrings", reason="needs the extra docs")
pytest.importorskip("material", reason="needs the extra docs")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    loaded = re.compile(
        r'<(?:script|img|iframe|link rel="stylesheet")[^>]+(?:src|href)="(\w+:[^"]+)'
    )
    for page in site.rglob("*.html"):
        assert not loaded.findall(page.read_text()), page
    assert 'data-md-component="source"' not in (site / "index.html").read_text()


def test_search_has_its_index_and_its_worker_beside_the_pages(site: Path) -> None:
    assert (site / "search" / "search_index.js").read_text().startswith("var __index")
    assert "assets/iframe-worker.js" in (site / "index.html").read_text()


def test_every_public_function_is_led_to_and_shows_its_source(site: Path) -> None:
    api = (site / "api.html").read_text()
    assert 'href="api.html#torchtopo.nn.SignatureLoss"' in (site / "conventions.html").read_text()
    assert 'id="torchtopo.deaths"' in api
    assert api.count('<details class="mkdocstrings-source">') > 8


def test_formulas_are_set(site: Path) -> None:
    page = (site / "conventions.html").read_text()
    assert "<math" in page
    assert "arithmatex" not in page


def test_every_picture_is_there(site: Path) -> None:
    for page in site.rglob("*.html"):
        for source in re.findall(r'<img[^>]+src="([^":]+)"', page.read_text()):
            assert (page.parent / source).exists(), f"{page} shows {source}, which is not there"
