"""Z. Receipts: what a party that took part, or whoever stole its key, makes a client believe of its task."""

import base64
import re
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from authorities.audit.reasons import AuditReason
from authorities.audit.sent_lines import parse_lines
from evidence.accepted import Accepted
from evidence.signing_time import LONGEST_TASK
from evidence.unproven import Unproven
from tests.support.attack import Attempt, Scene, Target, Tries, attack
from tests.support.ca import CA, the_ca
from tests.support.receipt_tree import Hop, Task, digest, spiffe_id
from tests.support.receipts import said
from tests.support.records import CALLER
from zerotrust.adapters.answer import Answer
from zerotrust.agent.agent_loop import run_tool_loop
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided
from zerotrust.audit.event_types import Refusal, Request
from zerotrust.audit.forms import MICROSECONDS, sanitize
from zerotrust.audit.record import GENESIS, line_of
from zerotrust.decision import Denied
from zerotrust.limits.answers import MAX_ANSWER
from zerotrust.receipts.calls import Calls
from zerotrust.receipts.carried import MAX_OWN, MAX_VALUE, parse_answer
from zerotrust.receipts.receipt import KIND
from zerotrust.spiffe.statement import sign
from zerotrust.tlog.proof import Evidence, Proof

EXCHANGED_BY_READER = b'"token_id":"T0.agent/reader.tool/documents","type":"exchange"'
REFUSED_BY_NAME = Decided(allowed=False, reason='","trace":{"span_id":"0000000000000001')


def compares(task: Task, others: list[bytes], expected: str) -> Attempt:
    """What the client finds in a log with these records and then those of its task, whose reader records no call.

    It must say so, or name the step.
    """
    answer = task.answer()
    leaves = [*others, *(line for line in task.entries if EXCHANGED_BY_READER not in line), task.heads]
    try:
        proven = task.verified(answer, evidence=None, leaves=leaves)
    except Unproven as found:
        told = named(found)
    else:
        told = "complete" if proven.complete else "not complete"
    return Attempt(told, succeeded=told == "complete", recorded=(told,), reason=expected)


def believes(task: Task, expected: str, answer: bytes | None = None, **others: Any) -> Attempt:
    """What the client finds; it must name the step, and the party."""
    try:
        task.verified(answer, **others)
    except Unproven as found:
        return Attempt(f"step {found.step}", succeeded=False, recorded=(named(found),), reason=expected)
    return Attempt("believed", succeeded=True)


def accuses(task: Task, expected: str) -> Attempt:
    """What the client finds; the attack succeeds if another party is named."""
    tried = believes(task, expected)
    return replace(tried, succeeded=tried.recorded != (expected,))


def named(found: Unproven) -> str:
    """The step that does not hold, and the party that it is about."""
    return f"step {found.step}: {found.party.removeprefix('spiffe://agents.example/')}"


@attack(330, Scene)
async def test_a_party_that_says_nothing_of_another_that_it_called() -> Tries:
    """Whoever was called has the call on record, whatever trace it was told that it belongs to."""
    for trace in "1" * 32, "9" * 32:
        task = Task()
        task.tool.entered = task.tool.carried = False
        task.tool.trace = trace
        yield believes(task, "step 10: agent/reader", exported=True)


@attack(331, Scene)
async def test_a_receipt_that_is_not_passed_on() -> Tries:
    task = Task()
    task.tool.carried = False
    yield believes(task, "step 5: agent/reader")


@attack(332, Scene)
async def test_a_party_that_is_said_to_have_given_none() -> Tries:
    for reason in "none", "no_answer", "outside":
        task = Task()
        task.tool.carried, task.tool.told = False, {"receipt": None, "reason": reason}
        yield believes(task, "step 5: tool/documents")


@attack(333, Scene)
async def test_a_party_that_nobody_called() -> Tries:
    task = Task()
    task.tool.entered = False
    yield believes(task, "step 5: tool/documents")


@attack(334, Scene)
async def test_a_receipt_of_another_transaction_or_of_another_call() -> Tries:
    """What its caller says about the call is what that receipt says."""
    other = Task("T9")
    *_, foreign = other.receipts()
    task = Task()
    task.tool.signed = foreign
    yield believes(task, "step 6: tool/documents").stopped_by("receipt-fits-its-call")

    task = Task()
    *_, own = Task().receipts()
    task.tool.signed = own
    task.tool.told = {"token": "T0.another"}
    yield believes(task, "step 6: tool/documents").stopped_by("receipt-fits-its-call")

    # One of another party, which would be at fault; of another task, and of this one.
    task = Task()
    *_, task.tool.signed, _ = other.receipts()
    yield accuses(task, "step 6: tool/documents").stopped_by("receipt-of-the-called-party")
    task = Task()
    *_, task.tool.signed, _ = task.receipts()
    task.model.signed, task.tool.carried = task.tool.signed, False
    yield accuses(task, "step 5: tool/documents").stopped_by("receipt-of-one-call")


@attack(335, Scene)
async def test_an_answer_or_a_request_that_was_altered_on_its_way() -> Tries:
    for liked in digest("what the reader would have liked"), None:
        task = Task()
        task.tool.told = {"answer": liked}  # None: it does not say what it received
        yield believes(task, "step 7: agent/reader").stopped_by("receipt-answer")
    for asked, read in (digest("what the reader says to have asked"), digest("tool/documents asked")), (None, None):
        task = Task()
        task.tool.told, task.tool.said = {"request": asked}, {"request": read}
        yield believes(task, "step 7: tool/documents").stopped_by("receipt-request")


@attack(336, Scene)
async def test_the_receipts_of_another_answer() -> Tries:
    task = Task()
    altered = task.answer().replace(b"A summary", b"Another")
    yield believes(task, "step 4: orchestrator", altered).stopped_by("answer-is-mine")
    another = believes(Task(), "step 4: orchestrator", request=b'{"request":"Delete."}')
    yield another.stopped_by("request-is-mine")
    another = believes(Task("T9"), "step 4: orchestrator", transaction="T0")
    yield another.stopped_by("transaction-is-mine")


@attack(337, Scene)
async def test_a_statement_of_another_kind_as_a_receipt() -> Tries:
    """Whatever else a party signs, or can be made to sign."""
    for kind in "at+jwt", "registry+jwt":
        task = Task()
        payload = said(task.receipts()[2]).payload()
        task.model.signed = sign(payload, task.svid(task.model), kind=kind)
        yield believes(task, "step 1: inference")


@attack(338, Scene)
async def test_a_stolen_key_after_its_certificate_has_ended() -> Tries:
    """It signs with a time at which the certificate was valid."""
    task = Task()
    task.seen = int(task.svid(task.orchestrator).not_after) + 60
    yield believes(task, "step 3: orchestrator").stopped_by("receipt-in-time")

    task = Task()
    task.tool.svid = the_ca().svid("tool/documents", age=300, life=120)
    before = int(task.tool.svid.not_after) - 1
    task.tool.said = {"began": before, "iat": before}
    yield believes(task, "step 3: tool/documents").stopped_by("receipt-within-its-caller")

    task = Task()
    task.orchestrator.said["began"] = task.now - LONGEST_TASK - 1  # so that a call of then would lie within
    yield believes(task, "step 3: orchestrator").stopped_by("task-not-too-long")


@attack(339, Scene)
async def test_a_log_that_shows_the_client_another_world() -> Tries:
    """It signs a tree that its witness has not seen; or it proves that it has something else."""
    task = Task()
    answer = task.answer()
    entry, proof = task.evidence()
    alone = Evidence(entry, Proof(proof.index, proof.hashes, task.log.note()))
    yield believes(task, "step 3: orchestrator", answer, evidence=alone).stopped_by("receipt-seen")

    task = Task()
    answer = task.answer()
    other = task.evidence(len(task.entries) - 2)
    named = believes(task, "step 3: orchestrator", answer, evidence=other)
    yield named.stopped_by("receipt-named-by-leaf")


@attack(340, Scene)
async def test_a_certificate_of_the_attackers_own() -> Tries:
    """Of its own authority; or a genuine one, whose key it does not have."""
    task = Task()
    task.model.svid = CA("agents.example").svid("inference", life=120)
    yield believes(task, "step 2: inference").stopped_by("statement-chain")

    task = Task()
    good, other = task.receipts()[2], task.receipts()[3]
    task.model.signed = f"{good.rpartition('.')[0]}.{other.rpartition('.')[2]}"
    yield believes(task, "step 2: inference").stopped_by("receipt-signature")
    task.model.signed = f"{other.rpartition('.')[0]}.{good.rpartition('.')[2]}"  # it says that it is of the tool
    yield accuses(task, "step 2: inference").stopped_by("faulty-receipt-of-the-called-party")


@attack(341, Scene)
async def test_a_receipt_that_two_programs_read_differently() -> Tries:
    """It has a member twice."""
    task = Task()
    payload = base64.urlsafe_b64decode(task.receipts()[2].split(".")[1] + "==")
    twice = payload.replace(b'{"answer"', b'{"answer":"%b","answer"' % (b"0" * 64))
    task.model.signed = sign(twice, task.svid(task.model), kind=KIND)
    yield believes(task, "step 1: inference")


@attack(342, Scene)
async def test_a_genuine_party_with_other_code_or_another_role() -> Tries:
    task = Task()
    task.tool.said = {"code": digest("changed")}
    yield believes(task, "step 8: tool/documents").stopped_by("receipt-code")
    task = Task()
    task.tool.said = {"permission": "inference.run"}
    yield believes(task, "step 8: tool/documents").stopped_by("receipt-permission")


@attack(343, Scene)
async def test_a_genuine_party_that_the_client_does_not_accept() -> Tries:
    task = Task()
    some = {one: found for one, found in task.accepted.parties.items() if one != spiffe_id("inference")}
    yield believes(task, "step 9: inference", accepted=Accepted(some))


@attack(344, Scene)
async def test_a_party_that_answers_the_client_itself() -> Tries:
    """It knows the transaction from the tokens that it was called with, and has a key and a journal of its own."""
    task = Task()
    task.orchestrator = Hop("agent/reader")
    yield believes(task, "step 9: agent/reader", exported=True)


@attack(375, Scene)
async def test_receipts_without_end() -> Tries:
    """A genuine one that names more than there is room for; and junk, for which the caller would be at fault."""
    honest = "h.own.s"
    greedy, junk = f"h.{'A' * (MAX_VALUE - MAX_OWN - 8)}.s", "no.receipt.s"
    calls = Calls()
    calls.note_call(spiffe_id("agent/writer"), "T1", b"").note_answer(b'{"receipts":"%b"}' % greedy.encode())
    calls.note_call(spiffe_id("agent/reader"), "T2", b"").note_answer(b'{"receipts":"%b"}' % honest.encode())
    yield Attempt("its own are left out", honest not in calls.received_receipts).stopped_by("receipts-room-shared")
    calls = Calls()
    calls.note_call(spiffe_id("agent/writer"), "T1", b"").note_answer(
        b'{"receipts":"%b~%b"}' % (b"h.own.s", junk.encode())
    )
    yield Attempt("its own are left out", junk in calls.received_receipts).stopped_by("receipts-named")
    calls = Calls()
    calls.note_call(spiffe_id("agent/writer"), "T1", b"").note_answer(b"{}", header="a.b.c~d")
    unreadable = parse_answer(b'{"receipts":"%b"}' % "~".join([honest, *calls.received_receipts]).encode()) is None
    yield Attempt("its own are left out", unreadable).stopped_by("header-holds-one-receipt")


@attack(376, Scene)
async def test_an_export_that_ends_too_early() -> Tries:
    task = Task()
    for ends in task.now, task.written - 1:
        task.written = ends
        tried = Attempt("not complete", task.verified(exported=True).complete)
        yield tried.stopped_by("export-not-too-early (its end)")
    task = Task()
    task.tool.entered = task.tool.carried = False
    answer = task.answer()  # the tool's records of it wait
    leaves = [line for line in task.entries if b"tool/documents" not in line]
    for reason in AuditReason.JOURNAL_TOO_FAST, AuditReason.JOURNAL_CHANGED:
        more = sent_away(task, "authority/audit", task.tool.id, reason)
        late = task.verified(answer, evidence=None, leaves=[*leaves, more, task.heads])
        yield Attempt("not complete", late.complete).stopped_by("export-not-too-early (late journals)")


def sent_away(task: Task, author: str, party: str, reason: AuditReason = AuditReason.JOURNAL_TOO_FAST) -> bytes:
    """A record that a party delivers what the ledger does not take."""
    decision = Decided(allowed=False, reason=reason, detail=sanitize(f"{party}: not now"))
    time, data = task.now * MICROSECONDS, Refusal(decision=decision)
    return line_of(AuditEvent(schema=1, time=time, service=spiffe_id(author), data=data).canonical(), GENESIS)


@attack(396, Scene)
async def test_a_journal_that_is_said_to_be_late() -> Tries:
    """The reader hides a call, and records that the front door is above its share: then nobody would be accused."""
    task = Task()
    task.tool.entered = task.tool.carried = False
    task.receipts()
    lie = sent_away(task, "agent/reader", task.orchestrator.id)
    tried = compares(task, [lie], "step 10: tool/documents")
    yield replace(tried, succeeded=tried.told != tried.reason)


@attack(395)
async def test_an_agent_that_answers_more_than_fits(target: Target) -> Tries:
    """Its text is in the task's answer twice, and leaves no room for receipts."""

    async def longer(*asked: Any, **more: Any) -> Answer:
        answer: Answer = await run_tool_loop(*asked, **more)
        return answer.model_copy(update={"text": "x" * (MAX_ANSWER // 2)})

    with patch("agents.writer.main.run_tool_loop", longer):
        asked = {"request": "Read the incident reports and file a summary."}
        tried = await target.send("orchestrator", target.issuer.token(), path="/tasks", body=asked)
    found = parse_answer(tried.answer.content)
    yield Attempt("the task has receipts", succeeded=not (found and found.receipts))


@attack(392, Scene)
async def test_a_call_that_is_said_to_belong_to_another_answer() -> Tries:
    """The reader asks the tool once more, in the trace of another answer of the same sign-in, and keeps silent."""

    def hiding() -> Task:
        task = Task()
        task.tool.entered = task.tool.carried = False
        task.tool.trace = "2" * 32
        return task

    plan, same = Task(trace="2" * 32, again=".2"), Task(trace="2" * 32)
    for one in plan, same:
        one.receipts()
    other = compares(hiding(), plan.entries, "step 10: tool/documents")
    yield other.stopped_by("log-call-on-receipt (in the same trace)")
    again = compares(hiding(), same.entries, "not complete")  # with a token that was used again
    yield again.stopped_by("call-belongs-by-lineage (its token)")
    unsigned = [re.sub(rb'"receipt":"[0-9a-f]{64}",', b"", line) for line in plan.entries]
    without = compares(Task(), unsigned, "not complete")  # as one that was too long for a receipt
    yield without.stopped_by("call-belongs-by-lineage (its receipt)")


@attack(393, Scene)
async def test_a_record_that_no_reader_of_the_log_can_read() -> Tries:
    """Without a trace, and with names that imitate one: the reader delivers it, and step 10 ends with an error."""
    task = Task()
    answer = task.answer()
    caller = replace(CALLER, transaction="T0")
    request = Request(operation=sanitize("POST /"), decision=REFUSED_BY_NAME, principal=caller)
    for data in replace(request, decision=Decided(allowed=True, reason="granted")), request:
        line = line_of(AuditEvent(schema=1, time=1, service=spiffe_id("agent/reader"), data=data).canonical(), GENESIS)
        try:
            lines = parse_lines(line + b"\n", spiffe_id("agent/reader"), {}).lines
        except Denied as refused:
            yield Attempt("refused", succeeded=False, recorded=(refused.reason,), reason=AuditReason.JOURNAL_MALFORMED)
            continue
        try:
            found = task.verified(answer, evidence=None, leaves=[*lines, *task.entries, task.heads])
        except AttributeError:
            yield Attempt("a traceback", succeeded=True)
            continue
        told = "complete" if found.complete else "not complete"
        yield Attempt(told, succeeded=data is request, recorded=(told,), reason="complete")
