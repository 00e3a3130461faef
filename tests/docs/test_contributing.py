"""docs/CONTRIBUTING.md: its first change, typed off in a copy of the project; and which version the changes are of."""

import re
import subprocess
import tomllib
from pathlib import Path

import yaml

from lab.project_copy import ROOT, copy_of_the_project
from tests.support.differences import edit, edits

DOCS = ROOT / "docs"


def test_a_first_change_is_of_four_files(tmp_path: Path) -> None:
    copy = copy_of_the_project(tmp_path / "project")

    def run(command: str) -> str:
        return subprocess.check_output(command, shell=True, cwd=copy, text=True)  # noqa: S602

    run("git init -q && git add -A")
    [(name, difference)] = edits("CONTRIBUTING.md")
    edit(copy, name, difference)
    page = (DOCS / "CONTRIBUTING.md").read_text()
    [commands] = re.findall(r"^```bash\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    *_, tested = map(run, commands.replace("-q", "-q -p no:cacheprovider").splitlines())

    assert " passed in " in tested
    changed = run("git diff --name-only").split()
    assert len(changed) == 4
    assert [file for file in changed if f"`{file}`" not in page] == []


def test_the_newest_changes_are_of_this_version_or_the_next() -> None:
    [first, *_] = re.findall(r"^## (\d+)\.(\d+)\.(\d+)", (DOCS / "CHANGELOG.md").read_text(), re.MULTILINE)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert tuple(map(int, first)) >= tuple(map(int, version.split(".")))


def test_a_hosted_machine_runs_what_any_machine_runs() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    [*actions, last] = workflow["jobs"]["everything"]["steps"]

    assert [one["uses"] for one in actions if not re.search("@[0-9a-f]{40}$", one["uses"])] == []
    assert (ROOT / last["run"]).is_file()
    assert (ROOT / ".ci" / last["env"]["CI_MAY_MISS"]).is_file()
