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
from zerotrust.audit.event_types import Exchange, Refusal, Request, UntrustedPeer
from zerotrust.audit.forms import sanitize
from zerotrust.audit.record import MAX_LINE
from zerotrust.audit.segments import Segments
from zt import wanted
from zt.output import console

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No line is folded, however wide the terminal of these tests is; and no witness is the runner's own."""
    monkeypatch.setattr(console, "width", 160)
    monkeypatch.setenv("ZT_WITNESS", str(tmp_path / "witness"))


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


async def test_as_json_it_is_the_events(system: System, issuer: Issuer) -> None:
    trace = await task(system, issuer.token())

    found = json.loads(audit("show", system, trace, "--json").stdout)

    assert found["id"] == trace
    assert {event["trace"]["trace_id"] for event in found["events"]} == {trace}
    times = [event["time"] for event in found["events"]]
    assert times == sorted(times)
    assert {event["service"] for event in found["events"]} == {issuer.registry.id(name) for name in system.services}


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


def test_what_is_refused_beside_a_call_is_in_the_tree_with_its_detail(tmp_path: Path) -> None:
    refused = Decided(allowed=False, reason="would_widen", detail=sanitize("tool.audit"))
    allowed = Decided(allowed=True, reason="granted")
    exchange: dict[str, Any] = {"scopes": ("tool.audit",), "principal": CALLER, "parent_token_id": CALLER.token_id}
    auditor = "spiffe://agents.example/agent/auditor"
    journal(
        tmp_path,
        event(Request(operation=sanitize("POST /tasks"), decision=allowed, principal=CALLER)),
        event(Exchange(audience=auditor, decision=refused, **exchange), 2),
        event(Exchange(audience=auditor, decision=allowed, token_id="made", **exchange), 3),
        event(UntrustedPeer(party="agent/auditor", decision=refused), 4),
        event(Refusal(decision=refused, principal=CALLER), 5),
    )

    lines = [
        line.strip("│├└─ ") for line in zt("--journals", str(tmp_path), "audit", "show", TRACE).stdout.splitlines()
    ]

    assert lines[1:] == [
        "for user 6f1e2a52-8a3c-4c8e-9d0d-3f0f5d1c7a11 (engineering)",
        "at 1970-01-01 00:00:00Z",
        "T0 walkthrough → orchestrator",
        "granted  POST /tasks",
        "would_widen  exchange for agent/auditor: tool.audit: tool.audit",
        "would_widen  refused by orchestrator itself: tool.audit",
        "would_widen  call of agent/auditor: tool.audit  (recorded by orchestrator)",
        "",
        "records of    with code",
        "",
        "orchestrator  not recorded",
        "",
        "1 allowed, 3 refused, within 0.0 s; 5 records of 1 party.",
    ]


@pytest.mark.parametrize("name", ["", "T1", TRACE[1:], TRACE.upper(), "../../x"])
def test_what_can_be_no_id_is_reported(tmp_path: Path, name: str) -> None:
    assert "is neither an id nor one of user:ID, party:NAME and document:ID." in failed(zt("audit", "show", name))


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


def test_where_there_are_no_journals_it_is_said_where_others_are(tmp_path: Path) -> None:
    for command in ("show", TRACE), ("verify",):
        told = failed(zt("--system", str(tmp_path), "audit", *command))
        assert told.startswith(f"There are no journals in {tmp_path}/run/data.")


def test_no_more_records_are_shown_than_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wanted, "MOST_SHOWN", 2)
    journal(tmp_path, event(at=3), event(at=1))
    whole = zt("--journals", str(tmp_path), "audit", "show", TRACE)
    assert (whole.exit_code, "Only" in whole.stdout) == (0, False)

    journal(tmp_path, event(at=2))

    path = tmp_path / "party" / "journal.jsonl"
    told = " ".join(zt("--journals", str(tmp_path), "audit", "show", TRACE).stdout.split())
    assert "Only 2 of 3 records are shown. Older ones are left out: 1 of" in told
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


# --- what is not waited for -------------------------------------------------------------------------------------------

NETWORK = {"asyncio", "cedarpy", "cryptography", "httpx", "httpx2", "jwt", "ssl"}
"""What took most of the time to import, and what none of these commands uses."""
IMPORTED = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from zt.__main__ import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("--help",), 0),
        (("party", "suspend", "--help"), 0),
        ((), 2),
        (("nonsense",), 2),
        (("party", "suspend"), 2),
        (("party", "list", "--nonsense"), 2),
    ],
)
def test_help_and_a_usage_error_wait_for_no_network_stack(words: tuple[str, ...], status: int) -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-I", "-c", IMPORTED, str(ROOT), *words],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == status, done.stderr
    assert NETWORK & {*done.stderr.splitlines()[-1].split()} == set()
