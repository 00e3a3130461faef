"""Whatever a party may have in the audit log, each reader ends with an answer, or with an error of its own."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import Phase, assume, event, given, settings
from hypothesis import strategies as st

from authorities.audit.reconciliation import Reconciliation
from authorities.audit.sent_lines import parse_lines
from authorities.audit.terms import terms_of
from evidence import Evidence, Unproven
from tests.support.events import values
from tests.support.receipt_tree import TRACE, spiffe_id
from tests.support.saved_answer import Files
from tests.support.system import ROOT
from zerotrust.audit.event import AuditEvent, is_valid
from zerotrust.audit.event_parts import Decided
from zerotrust.audit.event_types import Counts, Request
from zerotrust.audit.forms import sanitize
from zerotrust.audit.record import GENESIS, event_of, line_of
from zerotrust.decision import Denied
from zerotrust.limits.strict_json import EXACT
from zt.audit.diagram import diagram
from zt.output import console
from zt.people.authority_client import AuthorityClient
from zt.policy.explanation import decisions, explanations
from zt.policy.show import explanation_lines
from zt.reasons import BY_RULES

PARTIES = [spiffe_id(name) for name in ("orchestrator", "agent/reader", "tool/documents", "authority/registry")]
GRANTED = Decided(allowed=True, reason="granted")
IDS = st.sampled_from(
    ["T0", "T0.agent/reader", "T0.agent/reader.tool/documents", "T9", "span_id", '"span_id":"', TRACE]
)
NAMES = st.sampled_from(["span_id", "trace", "Document", "task.run", TRACE[:16], "[/red]"]) | st.from_regex(
    r"[\x21\x23-\x5b\x5d-\x7e]+", fullmatch=True
)
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "service": st.sampled_from(PARTIES),
    "audience": st.sampled_from(PARTIES),
    "party": st.sampled_from([*PARTIES, "walkthrough"]),
    "trace_id": st.just(TRACE) | st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
    "span_id": st.sampled_from([f"{number:016x}" for number in range(1, 6)]),
    **dict.fromkeys(("token_id", "transaction", "subject", "parent_token_id"), IDS),
    "lineage": st.lists(IDS, max_size=4).map(tuple),
    "reason": st.sampled_from(["granted", *BY_RULES]) | st.from_regex(r"[a-z][a-z_]{0,63}", fullmatch=True),
    "permission": st.none() | NAMES,
    "kind": NAMES,
    "scopes": st.lists(NAMES, max_size=3).map(tuple),
    "attributes": st.none() | st.dictionaries(NAMES, st.from_regex(r"[\x20-\x7e]*", fullmatch=True), max_size=3),
    "status": st.none() | st.integers(-EXACT, EXACT),
}
"""What makes records be about the same calls, and what only the intake asks for."""
AS_FOUND = [Phase.explicit, Phase.reuse, Phase.generate]
"""A failing example is not made smaller: that takes minutes."""
EVENTS = st.lists(values(AuditEvent, LIKELY, most=EXACT), min_size=1, max_size=6)


class Authority:
    """A policy authority that explains what it is asked."""

    async def ask(self, _method: str, path: str, body: Any = None) -> Any:
        if path == "/versions":
            return {"versions": [], "active": 1}
        assert not body["refused"]  # no version is kept
        return {"sentences": {}, "explanations": []}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    found = Files(tmp_path_factory.mktemp("readers"))
    for one in "registry.yaml", "registry.lock":
        (found.folder / one).write_bytes((ROOT / one).read_bytes())
    return found


def taken(found: Sequence[AuditEvent]) -> list[bytes]:
    """The records of these events, as far as the intake takes them."""
    lines = list[bytes]()
    for one in found:
        try:
            lines += parse_lines(line_of(one.canonical(), GENESIS) + b"\n", one.service, {}).lines
        except Denied as refused:
            event(refused.detail.partition("\n")[0])
    assume(lines)
    return lines


@settings(max_examples=200, deadline=None, phases=AS_FOUND)
@given(EVENTS)
def test_no_record_stops_what_reads_leaves(found: list[AuditEvent]) -> None:
    lines = taken(found)
    compared = Reconciliation(PARTIES[3], spiffe_id("authority/audit"))
    for line in lines:
        terms_of(line)
        for alarm in compared.take(line):
            is_valid(alarm)
    decided = decisions(map(event_of, lines))
    answer = asyncio.run(explanations(cast("AuthorityClient", Authority()), decided))
    with console.capture():
        console.print(*explanation_lines(answer))


@settings(max_examples=30, deadline=None, phases=AS_FOUND)
@given(found=EVENTS, asked=st.sampled_from([TRACE, "user:T0", "party:orchestrator", "document:Document"]))
def test_no_record_stops_a_command(files: Files, found: list[AuditEvent], asked: str) -> None:
    """Each exits with a status of its own; nothing else is raised."""
    files.task.more = taken(found)
    files.write()
    folder, policy = files.folder, ["--policy", str(files.folder / "run/audit.policy")]
    export = str(folder / "export")
    for words in (
        ["audit", "verify", export, *policy],
        ["audit", "show", asked, "--export", export, *policy, "--svg", str(folder / "svg")],
        ["audit", "show", asked, "--export", export, *policy, "--json"],
    ):
        shown = files.run(words)
        assert shown.exit_code in (0, 1), (words, shown.exception)
        assert isinstance(shown.exception, SystemExit | None), words
    shown = files.verify("--export", export)
    assert isinstance(shown.exception, SystemExit | None)
    assert shown.exit_code in (0, 1, 3)


@settings(max_examples=60, deadline=None, phases=AS_FOUND)
@given(EVENTS)
def test_no_record_in_the_place_of_a_proof_is_taken_for_one(files: Files, found: list[AuditEvent]) -> None:
    task = files.task
    answer = task.answer()
    _, proof = task.evidence()
    for line in taken(found):
        with pytest.raises(Unproven):
            task.verified(answer, evidence=Evidence(line, proof))


def test_a_party_that_ran_code_and_has_no_step_is_in_no_diagram(files: Files) -> None:
    """Found by these tests."""
    counted = AuditEvent(schema=1, time=1, service=PARTIES[3], data=Counts(), measurement="0" * 64)
    asked = replace(counted, service=PARTIES[0], data=Request(operation=sanitize("GET /"), decision=GRANTED))

    assert "GET /" in diagram("x", [counted, asked])
    assert "code" not in diagram("x", [counted])
