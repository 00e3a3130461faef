"""`zt receipt`: a person who has an answer and its proof sees who took part, or who is at fault."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.padding import Padding
from syrupy.assertion import SnapshotAssertion
from typer.testing import Result

from authorities.audit.reasons import AuditReason
from tests.support.printed import told
from tests.support.receipt_tree import Task, code_of, digest, spiffe_id
from tests.support.saved_answer import Files
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided
from zerotrust.audit.event_types import Refusal
from zerotrust.audit.forms import MICROSECONDS, sanitize
from zerotrust.audit.record import GENESIS, line_of
from zerotrust.receipts.receipt import digest_of
from zt.output import console
from zt.receipt.commands import INCOMPLETE, _comparison
from zt.show import utc_time


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setattr(console, "width", 1000)  # whatever COLUMNS says
    found = Files(tmp_path)
    found.write()
    return found


def test_a_person_sees_who_did_what_for_whom(files: Files, snapshot: SnapshotAssertion) -> None:
    shown = files.verify("--request", str(files.folder / "request.json"), "--transaction", "T0")

    assert told(shown) == snapshot
    lines = shown.stdout.splitlines()
    assert lines[5] == f"The task began at {utc_time(files.task.now)}."
    parties = "orchestrator", "agent/reader", "inference", "tool/documents"
    assert [line.split()[-1] for line in lines[:4]] == [code_of(party)[:12] for party in parties]


def test_a_program_gets_the_same_as_json(files: Files) -> None:
    found = json.loads(files.verify("--json").output)

    assert (found["began"], found["seen"], found["complete"]) == (files.task.now, files.task.seen, False)
    assert [(one["party"], one["caller"]) for one in found["calls"]] == [
        (spiffe_id("orchestrator"), None),
        (spiffe_id("agent/reader"), spiffe_id("orchestrator")),
        (spiffe_id("inference"), spiffe_id("agent/reader")),
        (spiffe_id("tool/documents"), spiffe_id("agent/reader")),
    ]
    assert found["calls"][0]["said"]["txn"] == "T0"
    assert found["trusted"] == [str(files.folder / one) for one in ("run/ca.pem", "run/audit.policy", "accept.yaml")]


def test_the_export_says_that_nobody_else_took_part(files: Files) -> None:
    assert json.loads(files.verify("--json", "--export", str(files.folder / "export")).output)["complete"]

    until = utc_time(files.task.written)
    assert files.verify("--export", str(files.folder / "export")).output.splitlines()[-1] == (
        f"Complete: the log up to {until} has no call with a token of this answer that is in no receipt."
    )

    files.task.tool.entered = files.task.tool.carried = False
    files.write()
    assert files.verify().exit_code == 0
    shown = files.verify("--export", str(files.folder / "export"))
    assert (shown.exit_code, "(step 10 of 10)" in shown.output) == (1, True)
    assert "agent/reader: it exchanged a token for tool/documents" in shown.output.replace(
        "spiffe://agents.example/", ""
    )


@pytest.mark.parametrize(
    ("reason", "says", "field"),
    [
        (AuditReason.JOURNAL_TOO_FAST, "the log lacks records of tool/documents", "late_parties"),
        (AuditReason.JOURNAL_CHANGED, "no longer took the journal of tool/documents", "changed_parties"),
    ],
)
def test_a_party_whose_journal_was_not_taken_is_named(files: Files, reason: AuditReason, says: str, field: str) -> None:
    tool = files.task.tool.id
    decision = Decided(allowed=False, reason=reason, detail=sanitize(f"{tool}: not now"))
    ledger, time = spiffe_id("authority/audit"), files.task.now * MICROSECONDS
    event = AuditEvent(schema=1, time=time, service=ledger, data=Refusal(decision=decision))
    files.task.more = [line_of(event.canonical(), GENESIS)]
    files.write()
    export = "--export", str(files.folder / "export")

    shown = files.verify(*export)
    assert (shown.exit_code, "Complete: " in shown.output) == (INCOMPLETE, False)
    assert says in " ".join(shown.output.split())
    assert json.loads(files.verify(*export, "--json").stdout)[field] == [tool]


def test_answers_that_share_a_token_are_verified_together(files: Files) -> None:
    other = Task(trace="2" * 32)
    (files.folder / "other.json").write_bytes(other.answer())
    files.task.more = other.entries
    files.write()
    export = "--export", str(files.folder / "export")

    shown = files.verify(*export)
    assert (shown.exit_code, "Complete: " in shown.output) == (INCOMPLETE, False)
    assert "together with these:   1 x POST /" in " ".join(shown.output.split("\n"))
    assert json.loads(files.verify(*export, "--json").stdout)["undecided_operations"] == {"POST /": 1}
    shown = files.verify(str(files.folder / "other.json"), *export)
    assert (shown.exit_code, "Complete: " in shown.output) == (0, True)


def test_without_a_proof_an_export_verifies_all_but_the_time(files: Files) -> None:
    (proof := files.folder / "answer.json.proof").rename(files.folder / "kept")
    export = "--export", str(files.folder / "export")

    shown = files.verify(*export)
    assert shown.exit_code == 1
    assert f"The time is not proven (step 3): there is no proof {proof}.  All other steps are verified." in shown.stderr
    assert "Proven:" not in shown.output
    assert "orchestrator, tool/documents took part, and ran code that is accepted." in shown.stdout
    assert "Complete: the log up to" in shown.stdout
    found = files.verify(*export, "--json")
    assert (json.loads(found.stdout)["seen"], json.loads(found.stderr)["reason"]) == (None, "no_proof")
    assert "Without it, --export FILE verifies all but the time." in files.verify().stderr
    # A file that was named is not left out; and whoever is at fault is told without the proof, too.
    assert "Step 10" not in files.verify(*export, "--proof", str(proof)).output
    assert files.verify(*export, "--proof", str(proof)).stdout == ""
    assert files.verify(*export, "--proof", str(files.folder / "kept")).exit_code == 0
    files.task.tool.said = {"code": digest("changed")}
    files.write()
    proof.unlink()
    assert "(step 8 of 10)" in files.verify(*export).output


OTHERS = "Compare it with what you asked for:"


def test_nothing_that_a_front_door_records_begins_a_line(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "width", 160)
    proven = files.task.verified(exported=True)
    made = ("POST /" + "x" * 150 + " Complete: the log has no call " * 9,)

    assert proven.compared
    with console.capture() as told:
        console.print(*_comparison(replace(proven, compared=proven.compared._replace(operations=made))), sep="\n")
    _, lines = told.get().split(f"{OTHERS}\n")
    assert len(lines.splitlines()) > 2
    assert all(line.startswith("  ") for line in lines.splitlines())


def test_the_first_failure_and_the_party_at_fault_are_shown(files: Files, snapshot: SnapshotAssertion) -> None:
    """And nothing of the other steps: one of them may fail as well."""
    files.task.tool.said = {"code": digest("changed")}
    files.write()

    assert told(files.verify()) == snapshot
    assert json.loads(files.verify("--json").stderr)["reason"] == "step_8"


def test_the_id_of_a_receipt_is_what_the_orchestrator_is_asked_for(files: Files) -> None:
    first = files.answer.split(b'"receipts":"')[1].split(b"~")[0].decode()

    assert files.zt("digest").output.strip() == digest_of(first)
    (files.folder / "answer.json").write_bytes(b"{}")
    assert files.zt("digest").exit_code == 1


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("answer.json", None, "unreadable"),
        ("answer.json", b"x" * (1 << 20) + b"x", "too_large"),
        ("answer.json", b"{}", "step_1"),
        ("answer.json.proof", None, "no_proof"),
        ("answer.json.proof", b"{}", "malformed_proof"),
        ("answer.json.proof", b" " * 300_000, "too_large"),
        ("run/ca.pem", None, "unreadable"),
        ("run/ca.pem", b"x", "malformed_ca"),
        ("run/audit.policy", None, "no_policy"),
        ("accept.yaml", None, "unreadable"),
        ("accept.yaml", b"[]", "malformed_accept"),
        ("accept.yaml", b"spiffe://agents.example/inference: []", "malformed_accept"),
        ("accept.yaml", b"spiffe://agents.example/inference: [%b]" % (b"a" * 64), "malformed_accept"),
        ("accept.yaml", b"spiffe://agents.example/inference: {code: [%b]}" % (b"a" * 64), "malformed_accept"),
        ("accept.yaml", b" " * (1 << 20) + b" ", "too_large"),
        ("accept.yaml", b"spiffe://agents.example/inference: [2026-99-99]", "malformed_accept"),
        ("accept.yaml", b"spiffe://agents.example/inference: [!!timestamp x]", "malformed_accept"),
        ("accept.yaml", b"{a: [], a: []}", "malformed_accept"),
    ],
)
def test_a_file_that_is_missing_or_wrong_is_named(files: Files, name: str, content: bytes | None, reason: str) -> None:
    path = files.folder / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)

    shown = files.verify("--json")
    assert (shown.exit_code, json.loads(shown.stderr)["reason"]) == (1, reason)


class Refused:
    """A refusal that alice has saved, with its headers."""

    def __init__(self, files: Files, **said: object) -> None:
        self._files, self.answer, hop = files, '{"reason":"malformed_body"}', files.task.orchestrator
        hop.calls = []
        hop.said = {
            "verdict": "refused",
            "reason": "malformed_body",
            "status": 400,
            "answer": digest(self.answer),
        } | said
        [self.receipt] = files.task.receipts()
        self.headers = f"HTTP/1.1 400 \r\ncontent-length: 27\r\nZerotrust-Receipt: {self.receipt}\r\n\r\n"

    def verify(self, *words: str) -> Result:
        (self._files.folder / "answer.json").write_text(self.answer)
        (file := self._files.folder / "headers").write_text(self.headers)
        return self._files.verify("--headers", str(file), *words)


def test_a_refusal_is_verified_by_the_receipt_in_its_header(files: Files) -> None:
    shown = Refused(files).verify()

    assert (shown.exit_code, shown.stderr) == (0, "")
    assert "orchestrator POST /: refused (malformed_body)" in shown.stdout
    assert "Its time is not proven (step 3)" in shown.stdout


@pytest.mark.parametrize(
    ("said", "change", "reason"),
    [
        ({}, {"headers": "content-length: 27\r\n"}, "step_1"),
        ({}, {"headers": "Zerotrust-Receipt: a.b.c\r\n"}, "step_1"),
        ({}, {"answer": '{"reason":"no_token"}'}, "step_4"),
        ({"verdict": "done", "reason": None}, {}, "step_3"),
        ({"code": digest("changed")}, {}, "step_8"),
    ],
)
def test_another_refusal_is_not_proven(
    files: Files, said: dict[str, object], change: dict[str, str], reason: str
) -> None:
    refused = Refused(files, **said)
    for name, value in change.items():
        setattr(refused, name, value)

    shown = refused.verify("--json")

    assert (shown.exit_code, json.loads(shown.stderr)["reason"]) == (1, reason)


def test_a_refusal_has_no_proof_and_is_compared_with_no_export(files: Files) -> None:
    shown = Refused(files).verify("--json", "--export", str(files.folder / "export"))

    assert (shown.exit_code, json.loads(shown.stderr)["reason"]) == (1, "usage")


def test_what_else_was_answered_for_the_sign_in_is_named(files: Files) -> None:
    proven = files.task.verified(exported=True)

    def told(*operations: str) -> list[str]:
        assert proven.compared
        _, *lines = _comparison(replace(proven, compared=proven.compared._replace(operations=operations)))
        return [str(line.renderable if isinstance(line, Padding) else line) for line in lines]

    assert told() == []
    first, *others = told("POST /tasks", f"GET /receipts/{proven.root.digest}", "POST /tasks", "")
    assert first.endswith(OTHERS)
    assert others == ["2 x POST /tasks", f"1 x GET /receipts/{proven.root.digest}", "1 x "]
    many = told(*(f"POST /{number}" for number in range(12)))
    assert many[1:] == [*(f"1 x POST /{number}" for number in range(10)), "And 2 other kinds: `--json` has all."]
