"""What `make up` prints when everything runs: who is where, who stays suspended, and what to do now."""

import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from authorities.policy.versions import content_of
from local.left_running import READY
from local.manual_steps import receipt_steps, steps
from local.program import console
from local.serve import NOW, _show_addresses, _show_what_next, last_lines, other_policies, suspensions
from local.system import ROOT
from registration.realm.users import USERS
from tests.support.policies import versions_in
from tests.support.system import POLICIES, deployment, registry
from zt.commands import app

ZT_REINSTATES = ".venv/bin/zt --user olga party reinstate agent/writer"


@pytest.fixture
def system(tmp_path: Path) -> Any:
    """As far as it is shown; the writer was suspended."""
    passwords = dict.fromkeys(USERS, "0" * 32)
    keycloak = SimpleNamespace(admin=("admin", "0" * 32), issuer="https://issuer", passwords=passwords)
    return SimpleNamespace(
        registry=registry(),
        keycloak=keycloak,
        address=registry().address,
        port=lambda name: deployment().parties[name].port,
        suspended={"agent/writer": "compromised"},
        data=lambda _name: tmp_path,
    )


def test_who_stays_suspended_is_marked_in_the_list_and_told_at_the_end_with_what_mends_it(
    system: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_width", 80)
    with console.capture() as told:
        _show_addresses(system)
    lines = {line.split()[0]: line for line in told.get().splitlines() if line}

    assert max(map(len, lines.values())) <= 80
    assert set(lines) >= {"Keycloak", "admin", *USERS}
    assert len(told.get().splitlines()) == len(registry().services) + 2 + 1 + 1 + len(USERS)  # none is broken
    assert lines["agent/writer"].split(maxsplit=1)[1] == "suspended: see the end"
    assert "at 127.0.0.1:8102" in lines["agent/reader"]
    assert [notice.plain for notice in suspensions(system)] == [
        "\nagent/writer is suspended since an earlier run (compromised), and does nothing until:\n  " + ZT_REINSTATES
    ]
    system.suspended = {"authority/policy": "drift"}
    [notice] = suspensions(system)
    assert "party reinstate authority/policy\nUntil then, only operators are permitted anything" in notice.plain
    system.suspended = {}
    assert list(suspensions(system)) == []


def test_what_to_do_now_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_width", 80)
    with console.capture() as told:
        _show_what_next()

    assert max(map(len, told.get().splitlines())) <= 80
    assert [what for what, _ in NOW if f"  {what} " not in told.get()] == []


def test_ask_leaves_a_file_as_it_came_and_shows_what_fits_a_screen(system: Any, tmp_path: Path) -> None:
    """An answer with a line feed more is not the one that was signed."""
    system.journal = lambda _name: ROOT / "run" / "journal.jsonl"
    ask = re.search(r"^  ask\(\) \{.*?^  \}$", steps(system), re.DOTALL | re.MULTILINE)
    assert ask
    receipts = "aB1_-/+.~" * 5000
    (answer := tmp_path / "answer").write_text(whole := f'{{"receipts":"{receipts}="}}')
    typed = (
        f"{ask[0]}\nask file://{answer} > {tmp_path}/saved; ask -o {tmp_path}/also file://{answer}; ask file://{answer}"
    )

    shown = subprocess.run(["bash", "-euc", typed], check=True, capture_output=True, text=True)  # noqa: S603, S607

    assert [(tmp_path / name).read_text() for name in ("saved", "also")] == [whole, whole]
    assert shown.stdout == '\n{"receipts":"…"}\n'


@pytest.mark.parametrize("page", ["add-an-agent", "add-a-tool"])
def test_the_pages_ask_as_the_steps_do(system: Any, page: str) -> None:
    system.journal = lambda _name: ROOT / "run" / "journal.jsonl"
    told = re.sub(r"run/ca\.pem (--connect-to \S+) --connect-to \S+", r"run/ca.pem \1", steps(system))
    (typed,) = re.findall(
        r"^ask\(\) \{.*?^as_alice\(\) .*?$", (ROOT / f"docs/how-to/{page}.md").read_text(), re.DOTALL | re.MULTILINE
    )

    assert [line for line in typed.splitlines() if line.strip() not in told] == []


def test_the_steps_to_verify_who_took_part_are_commands_that_zt_has(system: Any, tmp_path: Path) -> None:
    told = receipt_steps(system)
    assert max(map(len, told.splitlines())) <= 80
    (tmp_path / "run").mkdir()
    program = tmp_path / ".venv/bin/zt"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/bash\necho zt "$@" >> ran\necho d1g3st\n')
    program.chmod(0o755)
    typed = 'as_alice() { echo alice "$@" >> ran; }; sleep() { :; }; TASK={}\n' + told.partition(":\n")[2]

    subprocess.run(["bash", "-euc", typed], cwd=tmp_path, check=True, capture_output=True)  # noqa: S603, S607

    ran = [line.split() for line in (tmp_path / "ran").read_text().splitlines()]
    at = registry().address("orchestrator")
    assert [words[1:] for words in ran if words[0] == "alice"] == [
        ["-o", "run/answer.json", "--json", "{}", f"{at}/tasks"],
        ["-o", "run/answer.json.proof", f"{at}/receipts/d1g3st"],
    ]
    commands = [words[1:] for words in ran if words[0] == "zt"]
    assert len(commands) == 5
    for words in commands:  # 2 is a usage error; there is nothing to read in that folder
        assert CliRunner().invoke(app, words, env={"ZT_SYSTEM": str(tmp_path)}).exit_code == 1, words


def test_policies_that_are_not_in_force_are_told_with_what_puts_them_there(system: Any, tmp_path: Path) -> None:
    """A start does not, and nobody would notice."""
    system.suspended = {}
    kept = versions_in(tmp_path / "versions", content_of(POLICIES))
    assert list(other_policies(system)) == []

    kept.add(kept.active.content.model_copy(update={"table": ""}), by="olga", why="other")
    [notice] = other_policies(system)
    assert notice.plain.splitlines() == [
        "",
        "policies/ is not what is in force, version 2.",
        "It counts only when an operator activates it:",
        "  .venv/bin/zt --user olga policy test",
        '  .venv/bin/zt --user olga policy activate --because "..."',
    ]
    assert [line.plain for line in last_lines(system)] == [notice.plain, READY]
    system.suspended = {"agent/writer": "compromised"}
    told = [line.plain for line in last_lines(system)]
    assert told[:2] == [notice.plain, READY]
    assert ZT_REINSTATES in told[2]
    (tmp_path / "versions" / "000003.json").write_text("{")
    assert list(other_policies(system)) == [], "the policy authority says what is wrong with that"
