"""What the site needs beyond Markdown: pictures and pages that live elsewhere, links, formulas."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))
from build_metadata import ADDRESS  # noqa: E402

PUBLIC = re.findall(r"^::: torchtopo\.(\S+)", (ROOT / "docs" / "api.md").read_text(), re.M)
NOT_TEXT = re.compile(r"(<pre.*?</pre>|<a .*?</a>|<h\d.*?</h\d>)", re.S)
NAME = re.compile(rf"<code>(?:torchtopo\.)?({'|'.join(map(re.escape, PUBLIC))})(?:\(\))?</code>")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.S)


def on_config(config: MkDocsConfig) -> None:
    """Lead to the sources at the one address there is."""
    config.repo_url = ADDRESS
    config.repo_name = "sources"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add ``pictures/NAME.png`` for every picture in benchmarks/results, and CONTRIBUTING.md."""
    for picture in sorted((ROOT / "benchmarks" / "results").glob("*.png")):
        files.append(File.generated(config, f"pictures/{picture.name}", abs_src_path=str(picture)))
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "contributing.md", content=page))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let every name of the public surface lead to its entry, and set formulas as MathML.

    MathML needs neither a script nor fonts from elsewhere: browsers draw it, from disk too.
    """
    html = FORMULA.sub(_formula, html)
    parts = NOT_TEXT.split(html)
    parts[::2] = [NAME.sub(_reference, text) for text in parts[::2]]
    return "".join(parts)


def _formula(found: re.Match[str]) -> str:
    return convert(found[2].strip(), display="inline" if found[1] == "span" else "block")


def _reference(found: re.Match[str]) -> str:
    return f'<autoref identifier="torchtopo.{found[1]}" optional>{found[0]}</autoref>'
