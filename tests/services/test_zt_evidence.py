"""`zt audit export`, `verify` and `proof`: evidence that needs nothing running."""

import json
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from typer.testing import CliRunner, Result

from tests.support.audit_log import SERVICES, Ledger, small
from tests.support.printed import session
from zt.commands import app
from zt.output import console

LEDGER = small(100)
RECORDS = {SERVICES[0]: 150, SERVICES[1]: 100}


@pytest.fixture(autouse=True)
def wider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "width", 1000)


@pytest.fixture
def system(tmp_path: Path) -> Path:
    write(tmp_path, LEDGER)
    return tmp_path


def write(system: Path, ledger: Ledger) -> None:
    """Lay out a log, its policy and the journals as the ledger and the services do."""
    log = system / "run" / "data" / "authority-audit" / "log"
    for name, content in {**ledger.log.files, "checkpoint": str(ledger.log.note(*ledger.witnesses)).encode()}.items():
        (log / name).parent.mkdir(parents=True, exist_ok=True)
        (log / name).write_bytes(content)
    (system / "run" / "audit.policy").write_text(ledger.policy_text)
    for service, lines in ledger.journals.items():
        journal = journal_of(system, service)
        journal.parent.mkdir(parents=True, exist_ok=True)
        journal.write_bytes(b"".join(line + b"\n" for line in lines))


def journal_of(system: Path, service: str) -> Path:
    return system / "run" / "data" / service.rpartition("/")[2] / "journal.jsonl"


def zt(system: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--system", str(system), "audit", *words])


def typed(system: Path, *commands: str) -> str:
    """What a person sees who types `zt audit` with these words."""
    return session(lambda *words: zt(system, *words[1:]), *(f"audit {command}" for command in commands))


def document(shown: Result) -> Any:
    return json.loads(shown.stdout)


def exported(system: Path, *more: str) -> Path:
    shown = zt(system, "export", "--to", str(system / "export"), *more)
    assert shown.exit_code == 0, shown.output
    return system / "export"


def test_an_export_is_verified_with_the_policy_alone(
    system: Path, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    file = exported(system)

    assert typed(system, f"verify {file}") == snapshot
    with monkeypatch.context() as narrow:
        narrow.setattr(console, "width", 80)
        assert max(map(len, zt(system, "verify", str(file)).stdout.splitlines())) <= 80
    found = document(zt(system, "verify", str(file), "--json"))
    assert (found["verified"], found["size"], found["records"]) == (True, 350, RECORDS)
    assert zt(system, "export").stdout_bytes == file.read_bytes()
    elsewhere = CliRunner().invoke(app, ["--journals", str(system / "run" / "data"), "audit", "export"])
    assert elsewhere.stdout_bytes == file.read_bytes()
    assert [one.name for one in system.iterdir() if "export" in one.name] == ["export"]


def test_a_fault_is_told_with_its_place_and_who_made_it(system: Path, snapshot: SnapshotAssertion) -> None:
    file = exported(system)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:20] + lines[21:]))

    assert typed(system, f"verify {file}") == snapshot
    found = document(zt(system, "verify", str(file), "--json"))
    assert found["fault"] == {
        "what": "missing",
        "who": "the export",
        "why": "leaf 18 is in its place",
        "leaf": 17,
        "party": SERVICES[0],
        "record": 8,
    }


def test_the_folder_of_a_log_is_verified_itself_and_a_damaged_one_not_exported(
    system: Path, snapshot: SnapshotAssertion
) -> None:
    log = system / "run" / "data" / "authority-audit" / "log"
    assert document(zt(system, "verify", str(log), "--json"))["size"] == 350
    entries = log / "tile" / "entries" / "000"
    entries.write_bytes(entries.read_bytes().replace(b"health", b"hidden", 1))

    found = document(zt(system, "verify", str(log), "--json"))["fault"]
    assert (found["what"], found["who"], found["leaf"], found["record"]) == ("changed", "the log", 0, 1)
    assert typed(system, f"export --to {system}/export") == snapshot
    assert [one.name for one in system.iterdir() if "export" in one.name] == []


def test_where_an_export_cannot_be_written_is_one_sentence(system: Path, snapshot: SnapshotAssertion) -> None:
    (system / "file").touch()  # in which there is no folder: also an attempt to remove something there fails

    assert typed(system, f"export --to {system}/file/export") == snapshot


def test_journals_are_compared_with_what_was_delivered(system: Path) -> None:
    file, journals = exported(system), str(system / "run" / "data")
    journal = journal_of(system, SERVICES[1])
    more = LEDGER.record(SERVICES[1])
    with journal.open("ab") as end:
        end.write(more + b"\n")
    found = document(zt(system, "verify", str(file), "--journals", journals, "--json"))
    assert found["not_delivered"] == {SERVICES[0]: 0, SERVICES[1]: 1}
    assert "after this export" in zt(system, "verify", str(file), "--journals", journals).stdout

    journal.write_bytes(journal.read_bytes().replace(b"health", b"hidden", 1))
    fault = document(zt(system, "verify", str(file), "--journals", journals, "--json"))["fault"]
    assert (fault["what"], fault["who"], fault["record"]) == ("changed", SERVICES[1], 1)

    journal.unlink()
    fault = document(zt(system, "verify", str(file), "--journals", journals, "--json"))["fault"]
    assert (fault["what"], fault["who"]) == ("missing", SERVICES[1])


def test_what_is_missing_is_said_with_the_next_step(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    told = typed(tmp_path, "verify x", "export --to x")
    (tmp_path / "run" / "data" / "authority-audit" / "log").mkdir(parents=True)
    (tmp_path / "policy").write_text("log x")

    commands = "export --to x", f"verify x --policy {tmp_path}/policy", "verify x --policy /dev/zero"
    assert told + typed(tmp_path, *commands) == snapshot
