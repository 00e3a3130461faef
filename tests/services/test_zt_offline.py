"""`zt audit`: what needs no operator, on journals that a task in process has left."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.issuer import Issuer
from tests.support.operator import audit, failed, task, zt
from tests.support.records import CALLER
from tests.support.system import ROOT, System
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided
from zerotrust.audit.event_types import Request
from zerotrust.audit.forms import sanitize
from zerotrust.audit.record import MAX_LINE
from zerotrust.audit.segments import Segments
from zt.audit import query as wanted

TRACE = "0af7651916cd43dd8448eb211c80319c"


# --- a task -----------------------------------------------------------------------------------------------------------


async def test_a_task_is_shown_as_a_tree_of_its_tokens_with_every_decision(system: System, issuer: Issuer) -> None:
    trace = await task(system, issuer.token())
    await task(system, issuer.token(sub="bob", groups=["/finance"]))

    shown = audit("show", system, trace)

    assert shown.exit_code == 0, shown.output
    lines = [line.strip("│├└─ ") for line in shown.stdout.splitlines()]
    depth = {line.strip("│├└─ "): len(line) - len(line.lstrip("│├└─ ")) for line in shown.stdout.splitlines()}
    assert lines[0].startswith("transaction ")
    hops = ("T0 walkthrough → orchestrator", "T1 orchestrator → agent/reader", "T2 agent/reader → tool/documents")
    assert [depth[hop] for hop in hops] == [4, 8, 12]
    # Of this task alone, each with a name of its own: that of the walkthrough.
    assert {line.split()[0] for line in lines if line.startswith("T")} == {"T0", "T1", "T2", "T3", "T1w", "T2w", "T3w"}
    assert sum(line.startswith("T") for line in lines) == 7
    for refused in (
        "resource_denied  document.read (Document FIN-201)",
        "scope_missing  POST tools/call replace",
        "resource_denied  document.replace (Document ENG-101)",
    ):
        assert sum(line.startswith(refused) for line in lines) == 1, shown.stdout
    assert "resource_denied  document.read (Document FIN-201)" in lines, "and no detail, which says the same"
    assert lines[-2] == "Why something was refused: operators ask `zt policy explain` with the same id."
    assert "allowed, 4 refused, within " in lines[-1]


async def test_it_is_found_by_its_transaction_and_a_part_of_it_by_its_token(system: System, issuer: Issuer) -> None:
    root = "onrtac:d61964a8-ed49-4a57-fcf2-dbbc08de96a5"
    by_trace = audit("show", system, await task(system, issuer.token(jti=root))).stdout
    [t1] = {r["token_id"] for r in system.records("agent/reader") if r["event"] == "request" and "actors" in r}

    assert audit("show", system, root).stdout == by_trace
    part = audit("show", system, t1).stdout
    assert "T1 orchestrator → agent/reader" in part
    assert "T2 agent/reader → tool/documents" in part
    assert "T3 agent/reader → inference" in part  # by the names that they have in the whole
    assert "T0" not in part
    assert "agent/writer" not in part
    records = system.records("inference")
    [t3] = {r["token_id"] for r in records if r["event"] == "request" and r["actors"][0].endswith("reader")}
    assert "T3 agent/reader → inference" in audit("show", system, t3).stdout


def journal(folder: Path, *events: AuditEvent) -> Path:
    path = folder / "party" / "journal.jsonl"
    written = Segments(path)
    written.commit([event.canonical() for event in events])
    written.close()
    return path


CALL = Request(operation=sanitize("x"), decision=Decided(allowed=True, reason="granted"))


def event(data: Any = CALL, at: int = 1) -> AuditEvent:
    trace = {"trace_id": TRACE, "span_id": "b7ad6b7169203331"}
    return AuditEvent.parse(AuditEvent(schema=1, time=at, service=CALLER.audience, trace=trace, data=data).canonical())  # type: ignore[arg-type]


def test_an_id_that_no_record_names_is_reported(tmp_path: Path) -> None:
    journal(
        tmp_path, event(Request(operation=sanitize(f"x {TRACE[::-1]}"), decision=Decided(allowed=True, reason="r")))
    )

    told = failed(zt("--journals", str(tmp_path), "audit", "show", TRACE[::-1]))

    counted = "A refusal before the caller was verified has no record, and is only counted: `zt audit show party:NAME` "
    counted += "shows the counts of a party."
    assert told == f"No record in {tmp_path} names {TRACE[::-1]}.  {counted}  Other journals: --journals."
    told = failed(zt("--journals", str(tmp_path), "audit", "show", "user:nobody"))
    assert "names nobody.  Records name a user by the subject of their tokens, not by the name" in told


def test_no_more_records_are_shown_than_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wanted, "MOST_SHOWN", 2)
    journal(tmp_path, event(at=3), event(at=1))
    whole = zt("--journals", str(tmp_path), "audit", "show", TRACE)
    assert (whole.exit_code, "Only" in whole.stdout) == (0, False)

    journal(tmp_path, event(at=2))

    path = tmp_path / "party" / "journal.jsonl"
    told = " ".join(zt("--journals", str(tmp_path), "audit", "show", TRACE).stdout.split())
    assert "Only 2 of 3 records are shown. Older records are left out: 1 of" in told
    found = json.loads(zt("--journals", str(tmp_path), "audit", "show", TRACE, "--json").stdout)
    assert ([one["time"] for one in found["events"]], found["left_out"]) == ([2, 3], 1)
    assert found["left_out_of"] == {str(path): 1}


@pytest.mark.parametrize("words", [("verify",), ("verify", "--json"), ("show", TRACE), ("show", TRACE, "--json")])
def test_where_nobody_reads_the_output_any_more_there_is_no_traceback(tmp_path: Path, words: tuple[str, ...]) -> None:
    """As with `zt audit show ID | head -1`."""
    journal(tmp_path, event())
    read, written = os.pipe()
    os.close(read)
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); import zt.__main__ as z; z.main()"
    command = [sys.executable, "-I", "-c", program, str(ROOT), "--journals", str(tmp_path), "audit", *words]

    done = subprocess.run(command, stdout=written, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603

    os.close(written)
    assert (done.returncode, done.stderr) == (1, "")


# --- the chains -------------------------------------------------------------------------------------------------------


def test_the_first_record_that_was_changed_is_named_and_is_no_success(tmp_path: Path) -> None:
    path = journal(tmp_path, *(event(at=at) for at in range(1, 5)))
    shown = zt("--journals", str(tmp_path), "audit", "verify")
    assert (shown.exit_code, shown.stdout) == (0, f"{path}: 4 records, chain intact\n")

    path.write_bytes(path.read_bytes().replace(b'"time":2', b'"time":9'))
    shown = zt("--journals", str(tmp_path), "audit", "verify")
    assert (shown.exit_code, shown.stdout) == (1, f"{path}: 4 records, record 2 was changed\n")
    shown = zt("--journals", str(tmp_path), "audit", "verify", "--json")
    assert shown.exit_code == 1
    assert json.loads(shown.stdout) == {"journals": [{"path": str(path), "records": 4, "first_bad": 2, "after": 0}]}


def test_a_changed_record_of_a_task_is_reported(tmp_path: Path) -> None:
    path = journal(tmp_path, event())
    path.write_bytes(path.read_bytes().replace(b'"schema":1', b'"schema":2'))

    told = failed(zt("--journals", str(tmp_path), "audit", "show", TRACE))

    assert told == f"{path}: record 1 was changed; `zt audit verify` checks all journals."


def test_a_line_that_is_too_long_is_a_changed_record(tmp_path: Path) -> None:
    path = journal(tmp_path, event())
    path.write_bytes(path.read_bytes() + b"x" * 3 * MAX_LINE)

    assert "record 2 was changed" in zt("--journals", str(tmp_path), "audit", "verify").stdout


def test_journals_of_an_earlier_run_are_found_by_their_names(tmp_path: Path) -> None:
    path = journal(tmp_path, event())
    past = path.rename(tmp_path / "orchestrator.jsonl")

    assert zt("audit", "verify", env={"ZT_JOURNALS": str(tmp_path)}).stdout == f"{past}: 1 record, chain intact\n"
