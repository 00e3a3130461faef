"""What a system of 2026-11-29 (c12c447f) left of one task: an answer with receipts, its proof, an export, the journals.

Somebody who kept these files can verify them offline with any later version.  They were made by the commands that
`make up` prints, with the export seven minutes after the task.
"""

import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Any

import jwt
import pytest
from typer.testing import CliRunner

from tests.support.leaks import holds_token
from zerotrust.receipts.carried import parse_answer
from zerotrust.receipts.receipt import KIND
from zt.commands import app

TASK = Path(__file__).parents[1] / "golden" / "task"
RECEIPTS = re.compile(rb'"receipts":"([^"]*)"')


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The files as their owner kept them, in a folder of its own."""
    for file in TASK.glob("*.*"):
        if file.suffix == ".gz":
            (tmp_path / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
        else:
            shutil.copy(file, tmp_path)
    for file in (TASK / "journals").iterdir():
        journal = tmp_path / "journals" / file.name.removesuffix(".jsonl.gz") / "journal.jsonl"
        journal.parent.mkdir(parents=True)
        journal.write_bytes(gzip.decompress(file.read_bytes()))
    return tmp_path


def zt(kept: Path, *words: str) -> tuple[int, Any]:
    """Return exit status and output of a command that trusts only what was kept."""
    env = {"ZT_SYSTEM": str(kept), "ZT_JOURNALS": str(kept / "journals")}
    done = CliRunner().invoke(app, [*words, "--json"], env=env)
    return done.exit_code, json.loads(done.stdout) if done.exit_code == 0 else done.output


def receipts(kept: Path) -> tuple[int, Any]:
    trusted = "--policy", str(kept / "audit.policy"), "--ca", str(kept / "ca.pem")
    files = "--request", str(kept / "request.json"), "--export", str(kept / "evidence.jsonl")
    return zt(kept, "receipt", "verify", str(kept / "answer.json"), *trusted, *files)


def export(kept: Path) -> tuple[int, Any]:
    trusted = "--policy", str(kept / "audit.policy"), "--journals", str(kept / "journals")
    return zt(kept, "audit", "verify", str(kept / "evidence.jsonl"), *trusted)


def test_the_answer_proves_who_took_part_and_that_nobody_else_did(kept: Path) -> None:
    status, said = receipts(kept)

    assert status == 0, said
    assert said["complete"] is True
    parties = {one["party"].removeprefix("spiffe://agents.example/") for one in said["calls"]}
    assert parties == {"orchestrator", "agent/reader", "agent/writer", "tool/documents", "inference"}


def test_the_export_is_what_the_log_signed_and_the_journals_have(kept: Path) -> None:
    status, said = export(kept)

    assert status == 0, said


def test_the_chain_of_each_journal_is_whole(kept: Path) -> None:
    status, said = zt(kept, "audit", "verify")

    assert status == 0, said
    assert len(list((kept / "journals").iterdir())) == 8


def test_nothing_secret_was_kept(kept: Path) -> None:
    """Receipts are signed statements, which have the form of a token; nothing else has."""
    found = parse_answer((kept / "answer.json").read_bytes())
    assert found
    assert {jwt.get_unverified_header(receipt)["typ"] for receipt in found.receipts} == {KIND}
    for file in (path for path in kept.rglob("*") if path.is_file()):
        content = RECEIPTS.sub(b"", file.read_bytes())
        assert not holds_token(content), file
        assert b"PRIVATE KEY" not in content
