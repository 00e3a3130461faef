"""The pages on adding an agent, a tool and a scope, typed off in a copy of the project: make, register, start, ask.

It comes before the real system of the other tests, and ends before that starts: both have the same ports.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.project_copy import copy_of_the_project

pytestmark = pytest.mark.e2e

PAGES = "add-an-agent", "add-a-tool"
SECONDS = 900
"""After which a command that does not end is ended."""


def blocks(page: str, language: str, heading: str = "") -> list[str]:
    """The blocks in that language under that heading of a page, or on the whole page."""
    text = Path(__file__).parents[2].joinpath("docs", "how-to", f"{page}.md").read_text()
    under = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert under or not heading
    return re.findall(rf"```{language}\n(.*?)```", under.group(1) if under and heading else text, re.DOTALL)


class Clone:
    """The copy, in which commands are typed."""

    def __init__(self, folder: Path) -> None:
        self.folder = copy_of_the_project(folder)
        self.passwords: dict[str, str] = {}
        self.approved = ""

    def type(self, command: str, *, typed: str = "") -> str:
        """What a command of bash prints; `typed` is its input.  It has to succeed."""
        done = subprocess.run(  # noqa: S603
            ["/bin/bash", "-ec", command],
            cwd=self.folder,
            env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},  # of `make test`
            input=typed,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def put(self, file: str, after: str, text: str) -> None:
        """Write a text after the one place of another in a file, or at the end of the file."""
        found = (self.folder / file).read_text()
        assert found.count(after) == 1 or not after
        (self.folder / file).write_text(found.replace(after, after + text) if after else f"{found}\n{text}")

    def asked(self, page: str, *headings: str) -> list[Any]:
        """The answers to what a page says to try, as JSON; once more where Keycloak was too slow to give one."""
        script = "".join(block for heading in headings for block in blocks(page, "sh", heading))
        script = script.replace("$(start/run start token", "$(printf '%s\\n' \"$PASSWORD\" | start/run start token")
        answers: list[Any] = []
        for _ in range(3):
            told = self.type(f"read -r PASSWORD\n{script}", typed=f"{self.passwords['alice']}\n")
            answers = [json.loads(line) for line in told.splitlines()]
            if not any(isinstance(one, dict) and one.get("error") == "temporarily_unavailable" for one in answers):
                break
        return answers


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """The copy with everything that the pages add, running."""
    clone = Clone(tmp_path_factory.mktemp("clone") / "project")
    for page in PAGES:
        for line in "".join(blocks(page, "sh")).splitlines():
            if line.startswith("make new-"):
                clone.type(line)
    entry, tool = blocks("add-a-tool", "python")
    action, policy = blocks("add-a-tool", "cedar")
    clone.put("tools/documents/tools.py", '    "read": "tool.read",\n', entry)
    clone.put("tools/documents/tools.py", "", tool)
    clone.put("policies/schema.cedarschema", "", action)
    clone.put("policies/documents.cedar", "", policy)
    [rows] = blocks("add-a-tool", "markdown")
    clone.put("policies/decisions.md", "archived report | yes | read-own-department | |\n", rows)
    clone.approved = clone.type("make register")
    try:
        started = clone.type("make up")
        assert clone.type("make hints") in started  # the same, and then what is true at a start alone
        assert (clone.folder / "run" / "hints").stat().st_mode & 0o777 == 0o600
        clone.passwords = dict(re.findall(r"^  (\w+) +password (\S+)", started, re.MULTILINE))
        yield clone
    finally:
        clone.type("make down")


def test_what_is_approved_is_shown(clone: Clone) -> None:
    for line in (
        "+ party agent/auditor",
        "+ party agent/clerk",
        "+ party tool/ledger",
        "+ scope tool.ledger, served by tool/ledger",
        "+ tool count",
        "+ code agents/auditor/main.py",
        "+ may call agent/auditor, agent/clerk, agent/counter",
    ):
        assert f" {line}\n" in clone.approved


def test_an_agent_of_ones_own_answers_and_is_refused_what_it_may_not_do(clone: Clone) -> None:
    read, planted = clone.asked("add-an-agent", "Try it")
    shown = clone.type(f".venv/bin/zt audit show {planted['result']['trace_id']}")

    assert read.get("result", {}).get("event") == "finished", read
    assert read["result"]["text"].startswith("Summary of ")
    [done] = [step for step in planted["steps"] if step["event"] == "done"]
    assert done["agent"] == "agent/auditor"
    assert any(call.startswith("create ") and "refused (scope_missing)" in call for call in done["refused"])
    assert re.search(r"scope_missing +POST tools/call create", shown)


def test_a_tool_of_ones_own_is_called_for_whom_it_is_and_for_nobody_else(clone: Clone) -> None:
    counted, refused = clone.asked("add-a-tool", "Try it")

    [done] = [step for step in counted["steps"] if step["event"] == "done"]
    assert done["agent"] == "agent/clerk"
    assert done["done"][0].startswith('ledger {"query": "three little words"}: ')
    assert "3 words" in counted["result"]["text"]
    assert refused["reason"] == "would_widen"


def test_a_scope_of_ones_own_counts_and_does_not_read(clone: Clone) -> None:
    *_, counted, refused = clone.asked("add-a-tool", "Try it", "Try the scope")

    assert '"found": 4' in counted["result"]["text"].replace('"found":4', '"found": 4')
    [done] = [step for step in refused["steps"] if step["event"] == "done"]
    assert any(call.startswith("read ") and "refused (scope_missing)" in call for call in done["refused"])


def test_what_was_not_approved_is_not_read_and_the_next_step_is_named(clone: Clone) -> None:
    with (clone.folder / "registry.yaml").open() as file:
        before = file.read()
    (clone.folder / "registry.yaml").write_text(before.replace("max_ttl: 300", "max_ttl: 299"))
    olga = clone.folder / "olga.json"
    olga.write_text(json.dumps({"user": "olga", "password": clone.passwords["olga"], "ca": "run/ca.pem"}))
    browser = f"{clone.folder}/start/run testkit.browser {olga} %s"
    try:
        done = clone.type(f"(BROWSER='{browser}' .venv/bin/zt --user olga reload || true) 2>&1")
    finally:
        (clone.folder / "registry.yaml").write_text(before)

    assert "registry_unfit" in done
    assert "make register" in done
