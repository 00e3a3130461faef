"""Every command that a text names can be typed: targets, modules, services, subcommands and options exist."""

import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
import yaml

from demo.revocation import PLANTED
from tests.support.pages import MAKEFILE, TEXTS
from tests.support.system import ROOT
from zt.commands import app

STARTS = ("make ", "docker compose ", "start/run ", "zt ", "python3 -I start/")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):(?!=)", MAKEFILE, re.MULTILINE))
SERVICES = {
    name
    for file in ("docker-compose.yml", *sorted(str(one.relative_to(ROOT)) for one in ROOT.glob("start/compose.*.yaml")))
    for name in yaml.safe_load((ROOT / file).read_text())["services"]
}
ZT = typer.main.get_command(app)


def commands(text: Path) -> Iterator[str]:
    """Yield each command of a text: what is in a block or in backticks, and begins like one of ours."""
    page = text.read_text()
    blocks = re.findall(r"^```(?:sh|bash|console)?\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"^    (\S.*)$", page, re.MULTILINE)
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL))
    for line in lines:
        for one in re.split(r" && | \| |; ", line.strip().removeprefix("$ ")):
            command = re.split(r"\s+(?:#|<|>)", one)[0].removeprefix(".venv/bin/")
            if command.startswith(STARTS) and not re.search("[…├│─>]", command):
                yield command


def wrong(command: str) -> str | None:
    """Return what of a command does not exist, if anything."""
    program, *words = shlex.split(command)
    if program == "make":
        named = [word for word in words if "=" not in word and not word.startswith("-")]
        return next((word for word in named if word not in TARGETS), None)
    if program == "docker":
        return _of_compose(words[1:])
    if program == "python3":
        return None if (ROOT / words[1]).exists() else words[1]
    if program == "start/run":
        return None if find_spec(words[0]) else words[0]
    return _of_zt(words)


def _of_compose(words: list[str]) -> str | None:
    while words[0] in {"--profile", "-f"}:
        if words[0] == "-f" and not (ROOT / words[1]).exists():
            return words[1]
        words = words[2:]
    named = [word for word in words if not word.startswith("-")]
    if named[0] not in {"up", "down", "run", "logs", "cp", "exec", "ps", "build", "restart", "start", "stop", "kill"}:
        return named[0]
    service = next((word for word in named[1:] if ":" in word), "".join(named[1:2])).partition(":")[0]
    return service if service and service not in SERVICES | {"SERVICE"} else None


def _of_zt(words: list[str]) -> str | None:
    command, valued = ZT, False
    for word in words:
        options = {name for one in command.params for name in one.opts if name.startswith("-")} | {"--help"}
        if valued:
            valued = False
        elif word.startswith("-"):
            if word not in options:
                return word
            valued = any(word in one.opts and not getattr(one, "is_flag", False) for one in command.params)
        elif known := getattr(command, "commands", None):
            if word not in known:
                return word
            command = known[word]
    return None


FOUND = sorted({(str(text.relative_to(ROOT)), command) for text in TEXTS for command in commands(text)})


def test_there_are_commands_of_every_kind() -> None:
    assert [start for start in STARTS if not any(command.startswith(start) for _, command in FOUND)] == []


def test_the_console_names_files_that_there_are() -> None:
    page = (ROOT / "console" / "templates" / "parties.html").read_text()

    assert [ROOT / one for one in re.findall("<code>touch (.*?)</code>", page)] == [PLANTED]
    assert all((ROOT / one).exists() for one in re.findall("<code>([a-z/-]+(?:/|[.]md))</code>", page))


@pytest.mark.parametrize(("text", "command"), FOUND)
def test_a_command_can_be_typed(text: str, command: str) -> None:
    assert wrong(command) is None, text
