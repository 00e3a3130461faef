"""Each private name of another package that the code uses is on docs/reference/private-surfaces.md."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = (
    "zerotrust",
    "orchestrator",
    "agents",
    "tools",
    "inference",
    "authorities",
    "zt",
    "registration",
    "local",
    "demo",
)
PAGE = (ROOT / "docs" / "reference" / "private-surfaces.md").read_text()
NOT_PRIVATE = {"_asdict", "_replace", "_exit", "_value_", "_checked"}
"""Documented parts of the standard library, which avoids clashes by the underscore; and one of a base class here."""


def private(source: str) -> set[str]:
    """The private names that this source takes from something else than its own classes."""
    imported = re.findall(r"^\s*(?:from|import) (?!zerotrust|authorities)\S*?\.(_\w+)", source, re.MULTILINE)
    used = re.findall(r"(?<!\w)(?!self\b|cls\b|other\b)\w+(?:\(\))?\.(_[a-z]\w*)", source)
    return {*imported, *used} - NOT_PRIVATE


def test_every_private_name_in_use_is_on_the_page() -> None:
    files = [file for folder in PRODUCT for file in (ROOT / folder).rglob("*.py")]
    used = {(name, str(file.relative_to(ROOT))) for file in files for name in private(file.read_text())}

    named = {(name, file) for name, file in used if any(name in row and file in row for row in PAGE.splitlines())}
    assert used == named
    assert len(used) >= 5  # the search finds what is known to be there


def test_what_the_page_names_is_used_there() -> None:
    rows = re.findall(r"^\| [^|]+ \| .*?`[\w. ]*?(_\w+)`.*?\]\(\.\./\.\./([\w/.]+)\)", PAGE, re.MULTILINE)

    assert len(rows) >= 5
    assert [row for row in rows if row[0] not in (ROOT / row[1]).read_text()] == []
