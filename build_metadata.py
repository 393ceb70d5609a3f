"""What a package index shows: where the project lives, and a README whose links lead there.

Imported by setup.py and by the hooks of the documentation.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

# A placeholder: the sources have no public address yet. This is the one place that names it; a
# release is refused (`python build_metadata.py`) as long as it stands.
ADDRESS = "https://github.com/OWNER/torchtopo"

URLS = {
    "Source": ADDRESS,
    "Documentation": f"{ADDRESS}/blob/main/docs/index.md",
    "Issues": f"{ADDRESS}/issues",
    "Changelog": f"{ADDRESS}/blob/main/CHANGELOG.md",
}
_TARGET = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def whole_links(markdown: str, folder: str = "") -> str:
    """Give relative links and pictures of a page in `folder` their whole address."""

    def whole(found: re.Match[str]) -> str:
        target = found["target"]
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        kind = "raw" if found["picture"] else "blob"
        path = posixpath.normpath(posixpath.join(folder, target))
        return f"{found['picture']}[{found['text']}]({ADDRESS}/{kind}/main/{path})"

    return _TARGET.sub(whole, markdown)


def readme(root: Path) -> str:
    """README.md as a package index can show it."""
    return whole_links((root / "README.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    if "OWNER" in ADDRESS:
        raise SystemExit("build_metadata.py: ADDRESS is still a placeholder: name the repository")
