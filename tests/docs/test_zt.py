"""The reference of `zt`: it has every command and every option that the program has, and no other."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from registration.realm import REALM_FILE
from zt.browser import SECONDS_TO_SIGN_IN
from zt.commands import app
from zt.doors import POLICY_AUTHORITY, REGISTRY
from zt.tokens import MAX_INPUT
from zt.wanted import MOST_SHOWN

ROOT = Path(__file__).parents[2]
ZT = ROOT / "zt"
PAGE = (ROOT / "docs" / "zt.md").read_text()
SECTIONS = dict(re.findall(r"^### (zt [a-z ]+)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))
EXAMPLES = [
    line.partition("| ")[2] if line.startswith("cat ") else line
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]


def commands(group: Any, above: str = "zt") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{above} {name}")
        else:
            yield f"{above} {name}", command


PROGRAM = typer.main.get_command(app)
COMMANDS = dict(commands(PROGRAM))


def test_every_command_has_a_section_and_each_section_is_of_a_command() -> None:
    assert sorted(SECTIONS) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained_and_none_is_that_does_not_exist(name: str) -> None:
    general = {"--help", "--json"}
    taken = {option for parameter in COMMANDS[name].params for option in parameter.opts if option.startswith("--")}
    before = {p.opts[0] for p in PROGRAM.params} - taken
    told = set(re.findall(r"--[a-z-]+", SECTIONS[name])) - before

    assert taken - general <= told <= taken
    assert [parameter.name for parameter in COMMANDS[name].params if "--json" in parameter.opts]


def test_the_options_before_a_command_are_in_the_table_with_their_variables() -> None:
    rows = dict(re.findall(r"^\| `(--[a-z]+)`[^|]*\| `(ZT_[A-Z]+)` \|", PAGE, re.MULTILINE))
    assert rows == {p.opts[0]: p.envvar for p in PROGRAM.params if p.envvar}


@pytest.mark.parametrize("line", [line for line in EXAMPLES if line.startswith("zt ")])
def test_every_example_is_taken(line: str) -> None:
    words = shlex.split(line.partition("#")[0].partition("<")[0])[1:]

    assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 0


def test_every_command_has_an_example() -> None:
    assert [name for name, text in SECTIONS.items() if f"\n{name}" not in text] == []


def test_the_bounds_are_told() -> None:
    assert f"At most {MOST_SHOWN:,} records" in PAGE
    assert f"At most {MAX_INPUT:,} characters" in PAGE
    assert f"at a free port of 127.0.0.1 for {SECONDS_TO_SIGN_IN} seconds" in PAGE
    lifespan = re.findall(r'"oauth2.device.code.lifespan": "(\d+)"', REALM_FILE.read_text())
    assert [f"confirm, within {seconds} seconds" in PAGE for seconds in lifespan] == [True, True]  # of zt and zt-policy


def test_every_reason_of_its_own_is_told() -> None:
    [table] = re.findall(r"^## Reasons\n(.*)", PAGE, re.MULTILINE | re.DOTALL)
    told = {
        reason for row in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE) for reason in re.findall(r"`(\w+)`", row)
    }
    calls = [
        node
        for file in ZT.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"output.fail", "CommandError", "EvidenceError"}
    ]
    reasons = {node.args[1].value for node in calls if isinstance(node.args[1], ast.Constant)}

    reasons |= {reason for door in (REGISTRY, POLICY_AUTHORITY) for reason in (door.expired, door.impostor)}
    assert told == reasons | {"unknown_token", "unknown_session"}
