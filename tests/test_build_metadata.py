"""Links of the README lead somewhere: in the checkout as files, on a package index as addresses."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # the build's own module is no part of the package
build_metadata = pytest.importorskip("build_metadata", reason="tests apart from the sources")


def test_links_become_whole_and_pictures_raw():
    page = "[a](docs/x.md#part) ![b](pictures/y.png) [c](https://d.org/e) [f](#g)"
    assert build_metadata.whole_links(page) == (
        f"[a]({build_metadata.ADDRESS}/blob/main/docs/x.md#part) "
        f"![b]({build_metadata.ADDRESS}/raw/main/pictures/y.png) [c](https://d.org/e) [f](#g)"
    )


def test_a_page_in_a_folder_climbs_out_of_it():
    page = build_metadata.whole_links("[a](../README.md)", "docs")
    assert page == f"[a]({build_metadata.ADDRESS}/blob/main/README.md)"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_every_relative_link_names_a_file(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s#]+)", text):
        if "://" not in target:
            assert (ROOT / target).exists(), f"{page} links to {target}, which is not there"
