"""docs/how-to/add-a-check.md, typed off in a copy of the project."""

import re
import subprocess
from pathlib import Path

from lab.project_copy import ROOT, copy_of_the_project
from tests.support.differences import edit, edits

PAGE = (ROOT / "docs" / "how-to" / "add-a-check.md").read_text()
EDITS = edits("how-to/add-a-check.md")
"""The files that it changes, and the differences."""


def test_a_check_is_three_files_and_one_approval(tmp_path: Path) -> None:
    copy = copy_of_the_project(tmp_path / "project")

    def run(command: str) -> str:
        return subprocess.check_output(command, shell=True, cwd=copy, text=True)  # noqa: S602

    run("git init -q && git add -A")
    for name, difference in EDITS:
        edit(copy, name, difference)
    [commands] = re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    tried, *_ = map(run, commands.replace("pytest", "pytest -k 'is_old or is_tried or taken_away'").splitlines())

    assert "5 passed" in tried  # with the check, without it, and three of the table
    pages = [f"docs/reference/{name}.md" for name in ("attacks", "gate", "reasons")]
    assert sorted([*pages, "registry.lock", *(name for name, _ in EDITS)]) == run("git diff --name-only").split()
    assert [page for page in pages if not re.search("fresh|token_too_old", (copy / page).read_text())] == []
    run("start/run pytest -q -p no:cacheprovider tests/docs/test_reasons.py")
