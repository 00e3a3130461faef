"""`zt audit show`: what was done by whom, to whom, to which document; in journals and in exports of the log."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from typer.testing import CliRunner, Result

from evidence.fault import record_of
from tests.support.audit_log import Ledger
from tests.support.issuer import Issuer
from tests.support.operator import audit, task
from tests.support.records import CALLER
from tests.support.system import System
from zerotrust.audit.chain import lines
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided, Trace
from zerotrust.audit.event_types import Action, Alarm, Issued, IssuedToken, Outcome, RegistryChange, Request
from zerotrust.audit.forms import sanitize
from zerotrust.audit.record import link_of
from zerotrust.audit.segments import Segments
from zerotrust.gate import Gate
from zerotrust.receipts.carried import HEADER
from zt.audit import query as wanted
from zt.audit import trail
from zt.audit.diagram import MOST_STEPS, diagram
from zt.audit.journals import find, journals
from zt.commands import app
from zt.output import console

SVG = "{http://www.w3.org/2000/svg}"


ENDED = Outcome(ended="complete", duration=1, request_sha256="0" * 64, answer_sha256="0" * 64)


def recorded(service: str, at: int, data: Request | Outcome, span: str = "1" * 16) -> tuple[str, bytes]:
    """A line of a journal, and its place."""
    trace, service = Trace(trace_id="0" * 32, span_id=span), f"spiffe://agents.example/{service}"
    event = AuditEvent(schema=1, time=at, service=service, data=data, trace=trace).canonical()
    return f"record {at}", b'{"event":%b,"n":1,"prev":"%b"}' % (event, b"0" * 64)


def events(shown: Result) -> list[Any]:
    assert shown.exit_code == 0, shown.output
    found: list[Any] = json.loads(shown.stdout)["events"]
    return found


def kinds(found: list[Any]) -> set[str]:
    return {event["data"]["type"] for event in found}


async def test_a_document_a_party_and_a_user_lead_to_what_was_done(system: System, issuer: Issuer) -> None:
    trace = await task(system, issuer.token())
    await task(system, issuer.token(sub="bob", groups=["/finance"], jti="onrtac:0b9d8c7e-5a2f-4f7e-8a55-2b1c9d3e4f50"))

    found = events(audit("show", system, "document:FIN-201", "--json"))
    assert kinds(found) == {"access", "outcome"}
    assert {event["data"]["resource"]["name"] for event in found if "resource" in event["data"]} == {"FIN-201"}
    writer = events(audit("show", system, "party:agent/writer", "--json"))
    assert {"request", "exchange", "access", "outcome"} <= kinds(writer)
    assert not any(event["data"].get("resource", {}).get("name") == "FIN-201" for event in writer)
    of_alice = events(audit("show", system, "user:alice", "--json"))
    assert {event["data"]["principal"]["subject"] for event in of_alice if "principal" in event["data"]} == {"alice"}
    assert {event["trace"]["trace_id"] for event in of_alice} == {trace}
    assert "outcome" in kinds(of_alice)  # which names nobody: it belongs to a call that does

    shown = audit("show", system, "party:agent/writer").stdout
    assert len(re.findall(r"^transaction .*\nfor user .*\nat 2\d{3}-\d\d-\d\d ", shown, re.MULTILINE)) == 2
    by_trace = audit("show", system, trace).stdout
    assert names(audit("show", system, "user:alice").stdout) == names(by_trace)
    assert {name for name, _ in names(by_trace)} >= {"T0", "T1", "T3", "T1w"}


def names(shown: str) -> set[tuple[str, str]]:
    """Each token's name, and from whom to whom it leads."""
    return set(re.findall(r"(T\S+) (\S+ → \S+)\n", shown))


def ledger_of(system: System) -> Ledger:
    """A ledger that has all that the journals have."""
    ledger = Ledger()
    for path in journals(system.folder):
        for line in lines(path):
            content = record_of(line)
            assert content
            ledger.log.grow(line)
            ledger.heads[content.service] = link_of(line)
    ledger.log.grow(ledger.heads_leaf)
    return ledger


async def test_an_export_shows_what_the_journals_show_once_it_is_verified(
    system: System, issuer: Issuer, tmp_path: Path
) -> None:
    trace = await task(system, issuer.token())
    ledger = ledger_of(system)
    (tmp_path / "export").write_bytes(ledger.export())
    (tmp_path / "policy").write_text(ledger.policy_text)
    options = ["--export", str(tmp_path / "export"), "--policy", str(tmp_path / "policy")]

    for asked in trace, "document:FIN-201", "party:tool/documents":
        shown = CliRunner().invoke(app, ["audit", "show", asked, *options])
        assert shown.stdout == audit("show", system, asked).stdout

    (tmp_path / "export").write_bytes(ledger.export().replace(b"FIN-201", b"FIN-202", 1))
    told = CliRunner().invoke(app, ["audit", "show", trace, *options])
    assert (told.exit_code, told.stdout) == (1, "")
    assert re.search(r"record \d+ of tool/documents \(leaf \d+\) is changed: ", told.stderr)


def said_in(group: Xml.Element) -> list[str]:
    """Return the lines that a step of a diagram says."""
    return ["".join(one.itertext()) for one in group.iter(f"{SVG}text") if "says" in one.get("class", "")]


async def test_the_diagram_has_every_step_and_nothing_from_outside(
    system: System, issuer: Issuer, tmp_path: Path
) -> None:
    trace = await task(system, issuer.token())

    assert audit("show", system, trace, "--svg", str(tmp_path / "task.svg")).exit_code == 0
    text = (tmp_path / "task.svg").read_text()
    picture = Xml.fromstring(text)  # noqa: S314 - our own
    says = ["".join(one.itertext()) for one in picture.iter(f"{SVG}text") if "halo" not in one.get("class", "")]
    steps = {" ".join(said_in(group)): group.get("class") for group in picture.iter(f"{SVG}g") if group.get("class")}

    assert re.fullmatch(rf"{trace}, 20[0-9 :-]+Z, for user alice \(/engineering\): \d+ steps, 4 refused", says[0])
    agents = "agent/reader", "agent/writer", "tool/documents"
    for party in "walkthrough", "orchestrator", *agents, "inference", "keycloak":
        assert says.count(party) == 1
    for step in r"T2: POST tools/call read → 200, \d+ ms", r"exchange T0 → T1 for agent/reader, without .*task\.run.*":
        assert "granted" in [sign for one, sign in steps.items() if re.fullmatch(rf"\d+\. {step}", one)], step
    refused = [one for one, sign in steps.items() if sign == "refused"]
    assert [bool(re.match(r"\d+\. ✕ refused: ", one)) for one in refused] == [True] * 4
    assert "resource_denied" in "".join(refused)
    assert re.findall(r"(?:href|src|url\()", text) == []


@pytest.mark.parametrize(("action", "sign"), [("suspend", "revoked"), ("drift", "tampered"), ("reload", "granted")])
def test_the_diagram_marks_what_was_revoked_and_whose_code_was_tampered_with(action: Action, sign: str) -> None:
    change = RegistryChange(action=action, target=sanitize("agent/writer"))
    event = AuditEvent(schema=1, time=1, service="spiffe://agents.example/authority/registry", data=change)

    assert f'<g class="{sign}">' in diagram("x", [event])


def test_a_diagram_of_many_steps_says_that_it_has_only_the_first(tmp_path: Path) -> None:
    from tests.support.audit_log import SERVICES
    from zerotrust.audit.record import event_of

    ledger = Ledger()
    found = [event_of(ledger.record(SERVICES[0])) for _ in range(MOST_STEPS + 1)]
    assert f"the first {MOST_STEPS} of {MOST_STEPS + 1} steps" in diagram("x", found)
    assert f": {MOST_STEPS} steps" in diagram("x", found[1:])


def test_for_whom_when_and_with_which_code_is_shown_in_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "width", 80)
    subject, trace = "a11ce000-0000-4000-8000-000000000000", "0af7651916cd43dd8448eb211c80319c"
    caller = replace(CALLER, subject=subject, groups=("/engineering", "/s\u202ebor"))
    orchestrator, tool = "spiffe://agents.example/orchestrator", "spiffe://agents.example/tool/documents"
    one, other = "90831fdcc3fd" + "0" * 52, "e3ecbd856459" + "1" * 52
    began = 1_795_741_378_000_000
    ran: dict[str, list[str | None]] = {orchestrator: [one, one], tool: [one, other, None]}
    for party, codes in ran.items():
        written = Segments(
            tmp_path / party.removeprefix("spiffe://agents.example/").replace("/", "-") / "journal.jsonl"
        )
        for number, code in enumerate(codes):
            data = Request(operation=sanitize("POST /x"), decision=Decided(allowed=True, reason="ok"), principal=caller)
            at, span = began + number, Trace(trace_id=trace, span_id=f"{number:016}")
            event = AuditEvent(schema=1, time=at, service=party, data=data, trace=span, measurement=code)
            written.commit([event.canonical()])
        written.close()

    def show(*more: str) -> str:
        return CliRunner().invoke(app, ["--journals", str(tmp_path), "audit", "show", *more]).stdout

    shown = show(trace)
    assert max(map(len, shown.splitlines())) <= 80
    assert f"for user {subject} (/engineering, /s\\u202ebor)" in shown
    assert "tool/documents  90831fdcc3fd, e3ecbd856459" in shown
    assert json.loads(show(trace, "--json"))["code"] == {orchestrator: [one], tool: [one, other]}


async def test_a_refusal_before_the_caller_was_verified_is_only_counted_and_one_after_that_is_found(
    system: System, issuer: Issuer
) -> None:
    """As docs/reference/reasons.md says of the `trace_id`, and docs/reference/receipts.md of the receipts."""
    strangers, others = issuer.token(aud="elsewhere"), issuer.token(scope="reasoning.plan")
    answers = [await system.client("orchestrator", token).post("/tasks", json={}) for token in (strangers, others)]
    gate = system.apps[system.addresses["orchestrator"]]
    assert isinstance(gate, Gate)
    await gate.counter.flush()

    assert [HEADER in answer.headers for answer in answers] == [False, True]
    stranger, other = (answer.json() for answer in answers)
    assert "only counted" in audit("show", system, stranger["trace_id"]).stderr
    assert "scope_missing" in audit("show", system, other["trace_id"]).stdout
    shown = audit("show", system, "party:orchestrator").stdout
    assert "only counted: 1 of callers that were not verified: audience_mismatch" in shown


@pytest.mark.parametrize("first", ["the crowd", "the others"])
def test_nobodys_records_take_the_place_of_anothers(monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    """Each author says itself when a record was written, and who shows them has room for so many."""
    monkeypatch.setattr(wanted, "MOST_SHOWN", 10)
    data = Request(operation=sanitize("x"), decision=Decided(allowed=True, reason="granted"), principal=CALLER)
    others = [recorded(f"agent/{name}", at, data) for at in (1, 2) for name in ("reader", "writer")]
    crowd = [recorded("agent/crowd", 9_000_000_000_000_000 + at, data) for at in range(100)]
    lines = (crowd + others) if first == "the crowd" else (others + crowd)

    shown = wanted.find_records(lines, wanted.Query("user", CALLER.subject))

    by = Counter(event.service.rpartition("/")[2] for event in shown.events)
    assert by == {"reader": 2, "writer": 2, "crowd": 6}
    assert next(event.time for event in shown.events if event.service.endswith("crowd")) == 9_000_000_000_000_094
    assert (shown.left_out, shown.omitted) == ({"agent/crowd": 94}, 94)


def test_nobodys_calls_take_the_place_of_anothers_whose_outcome_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wanted, "MOST_UNDER_WAY", 3)
    call = Request(operation=sanitize("x"), decision=Decided(allowed=True, reason="granted"), principal=CALLER)
    lines = [recorded("agent/reader", 1, call, "a" * 16)]
    lines += [recorded("agent/crowd", 2, call, f"{number:016x}") for number in range(1, 5)]
    lines += [recorded("agent/reader", 3, ENDED, "a" * 16)]
    lines += [recorded("agent/crowd", 3 + number, ENDED, f"{number:016x}") for number in (1, 2)]

    shown = wanted.find_records(lines, wanted.Query("user", CALLER.subject))

    assert [event.time for event in shown.events if event.service.endswith("reader")] == [1, 3]
    assert [event.time for event in shown.events if isinstance(event.data, Outcome)] == [3, 5]  # not the crowd's oldest


def test_in_a_folder_of_journals_nobody_has_more_room_by_naming_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wanted, "MOST_SHOWN", 10)
    data = Request(operation=sanitize("x"), decision=Decided(allowed=True, reason="granted"), principal=CALLER)
    for author, services in ("agent-reader", ["agent/reader"] * 4), ("crowd", [f"agent/{at}" for at in range(100)]):
        (tmp_path / author).mkdir()
        lines = [recorded(service, at, data)[1] for at, service in enumerate(services)]
        (tmp_path / author / "journal.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))

    shown = find(tmp_path, wanted.Query("user", CALLER.subject))

    assert [event.service for event in shown.events].count("spiffe://agents.example/agent/reader") == 4
    assert shown.left_out == {str(tmp_path / "crowd" / "journal.jsonl"): 94}


def test_an_alarm_about_a_token_is_found_by_it_by_its_party_and_by_its_user(tmp_path: Path) -> None:
    token, party = "trrtte:0b9d8c7e-5a2f-4f7e-8a55-2b1c9d3e4f50", "spiffe://agents.example/agent/writer"
    alarm = Alarm(cause="unexplained", party=party, token_id=token, at=1, subject="alice")
    issued = Issued(until=2, tokens=(IssuedToken(client=party, token_id=token, time=1, subject="alice"),))
    for name, data in ("authority-audit", alarm), ("authority-registry", issued):
        journal = Segments(tmp_path / name / "journal.jsonl")
        journal.commit([AuditEvent(schema=1, time=1, service=f"spiffe://agents.example/{name}", data=data).canonical()])
        journal.close()

    for asked in token, "party:agent/writer", "user:alice":
        words = ["--journals", str(tmp_path), "audit", "show", asked]
        shown = CliRunner().invoke(app, [*words, "--svg", str(tmp_path / "alarm.svg")])
        assert f"alarm: unexplained exchange of agent/writer: {token}" in shown.stdout
        picture = Xml.fromstring((tmp_path / "alarm.svg").read_text())  # noqa: S314 - our own
        alarmed = next(group for group in picture.iter(f"{SVG}g") if group.get("class") == "tampered")
        assert " ".join(said_in(alarmed)).startswith("1. ⚠\ufe0e tampered: alarm: unexplained exchange of agent/writer")
        assert kinds(events(CliRunner().invoke(app, [*words, "--json"]))) == {"alarm", "issued"}


@pytest.mark.parametrize("many", [1, trail.MOST_NAMED, trail.MOST_NAMED + 2])
def test_it_is_said_of_whose_records_the_older_ones_are_left_out(many: int) -> None:
    shown = wanted.Records([], {f"agent/{at}": 1_000 + at for at in range(many)})

    [told] = trail.omitted_lines(shown)

    first = f"Older records are left out: {1_000 + many - 1:,} of agent/{many - 1}"
    others = "1,000 of agent/0." if many <= trail.MOST_NAMED else " and 2 more."
    assert first in told.plain
    assert told.plain.endswith(others)
    assert [*trail.omitted_lines(wanted.Records([], {}))] == []
