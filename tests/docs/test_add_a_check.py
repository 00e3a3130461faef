"""docs/how-to/add-a-check.md, typed off in a copy of the project."""

import re
import subprocess
from pathlib import Path

from lab.project_copy import ROOT, copy_of_the_project

PAGE = (ROOT / "docs" / "how-to" / "add-a-check.md").read_text()
EDITS = re.findall(r"^\*\*[^\n]*?`([\w/.]+\.\w+)`[^\n]*\n\n```diff\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
"""The files that it changes, and the differences."""


def applied(text: str, difference: str) -> str:
    """Return a text with each part of a difference, at the one place that it fits."""
    for part in difference.split("@@\n"):
        lines = part.splitlines(keepends=True)
        old, new = ("".join(line[1:] for line in lines if line[0] != sign) for sign in "+-")
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_a_check_is_three_files_and_one_approval(tmp_path: Path) -> None:
    copy = copy_of_the_project(tmp_path / "project")

    def run(command: str) -> str:
        return subprocess.check_output(command, shell=True, cwd=copy, text=True)  # noqa: S602

    run("git init -q && git add -A")
    for name, difference in EDITS:
        (copy / name).write_text(applied((copy / name).read_text(), difference))
    [commands] = re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    tried, *_ = map(run, commands.replace("pytest", "pytest -k 'is_old or is_tried or taken_away'").splitlines())

    assert "5 passed" in tried  # with the check, without it, and three of the table
    pages = [f"docs/reference/{name}.md" for name in ("attacks", "gate", "reasons")]
    assert sorted([*pages, "registry.lock", *(name for name, _ in EDITS)]) == run("git diff --name-only").split()
    assert [page for page in pages if not re.search("fresh|token_too_old", (copy / page).read_text())] == []
    run("start/run pytest -q -p no:cacheprovider tests/docs/test_reasons.py tests/docs/test_reference.py")
