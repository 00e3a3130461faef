"""The differences that a page shows, in a copy of the files."""

import re
from pathlib import Path

from tests.support.system import ROOT


def edits(page: str) -> list[tuple[str, str]]:
    """Return the files that a page of docs changes, and how: a bold text names the file, and the block follows."""
    text = (ROOT / "docs" / page).read_text()
    return re.findall(r"^\*\*[^\n]*?`([\w/.]+\.\w+)`[^\n]*\n\n```diff\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def edit(copy: Path, name: str, difference: str) -> None:
    """Change a file of a copy by each part of a difference, at the one place that it fits."""
    text = (copy / name).read_text()
    for part in difference.split("@@\n"):
        lines = part.splitlines(keepends=True)
        old, new = ("".join(line[1:] for line in lines if line[0] != sign) for sign in "+-")
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (copy / name).write_text(text)
