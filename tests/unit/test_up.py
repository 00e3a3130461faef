"""What `make up` prints when everything runs: who is where, who stays suspended, and what to do now."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from start.manual_steps import RECEIPT_STEPS
from start.sign_in import print_token
from start.system import ROOT
from testkit.browser import Person
from zerotrust.identity import UnverifiedToken
from zerotrust.possession import check_proof
from zt.commands import app
from zt.people.key import Key


def test_ask_saves_an_answer_as_it_came_and_shows_what_fits_a_screen(tmp_path: Path) -> None:
    """An answer with one more line feed is not the one that was signed."""
    ask, receipts = ROOT / "start" / "ask", "aB1_-/+.~" * 5000
    (answer := tmp_path / "answer").write_text(whole := f'{{"receipts":"{receipts}="}}')

    shown = [
        subprocess.run([ask, answer.as_uri(), *more], check=True, input="", capture_output=True, text=True)  # noqa: S603
        for more in ([], ["-o", str(tmp_path / "saved")])
    ]

    assert [one.stdout for one in shown] == ['{"receipts":"…"}\n', ""]
    assert (tmp_path / "saved").read_text() == whole


def test_the_headers_for_another_program_are_good_for_the_one_request() -> None:
    key, url = Key(), "https://orchestrator.agents.example/plan"
    program = [str(ROOT / "start" / "proof"), "POST", f"{url}?a=b#c"]
    given = f"T0 {key.private}\n"

    done = subprocess.run(program, check=True, input=given, capture_output=True, text=True)  # noqa: S603

    authorization, proof = done.stdout.splitlines()
    assert authorization == "Authorization: DPoP T0"
    now = time.time()
    proof = proof.removeprefix("DPoP: ")
    check_proof(proof, token=UnverifiedToken("T0"), key=key.thumbprint, method="POST", url=url, now=now)


def test_a_token_and_its_key_are_not_shown_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    with pytest.raises(SystemExit, match="in a variable"):
        print_token(Person("alice", "a password"))


def test_without_a_key_nothing_is_asked() -> None:
    done = subprocess.run([ROOT / "start" / "ask", "/plan"], check=False, input="T0\n", capture_output=True, text=True)  # noqa: S603

    assert (done.returncode, done.stdout) == (1, "")
    assert "sign in again" in done.stderr


def test_the_steps_to_verify_who_took_part_are_commands_that_there_are(tmp_path: Path) -> None:
    assert max(map(len, RECEIPT_STEPS.splitlines())) <= 80
    (tmp_path / "run").mkdir()
    for name in (".venv/bin/zt", "start/ask"):
        (program := tmp_path / name).parent.mkdir(parents=True)
        program.write_text('#!/bin/bash\necho "${0##*/}" "$@" >> ran\necho d1g3st\n')
        program.chmod(0o755)
    typed = "sleep() { :; }; TASK={} TOKEN=T0\n" + RECEIPT_STEPS.partition(":\n")[2]

    subprocess.run(["bash", "-euc", typed], cwd=tmp_path, check=True, capture_output=True)  # noqa: S603, S607

    ran = [line.split() for line in (tmp_path / "ran").read_text().splitlines()]
    assert [words[1:] for words in ran if words[0] == "ask"] == [
        ["/tasks", "{}", "-o", "run/answer.json"],
        ["/receipts/d1g3st", "-o", "run/answer.json.proof"],
    ]
    commands = [words[1:] for words in ran if words[0] == "zt"]
    assert len(commands) == 5
    for words in commands:  # 2 is a usage error; there is nothing to read in that folder
        assert CliRunner().invoke(app, words, env={"ZT_SYSTEM": str(tmp_path)}).exit_code == 1, words
