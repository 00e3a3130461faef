"""The ten steps: an honest task passes all of them, and each change to it fails at one."""

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.accepted import Accepted, Party, approved
from evidence.call_tree import MAX_DEPTH
from evidence.completeness import AGAIN, LATE
from evidence.signing_time import LONGEST_TASK, SKEW
from evidence.unproven import SOMEBODY, STEPS, Unproven
from tests.support.ca import the_ca
from tests.support.receipt_cases import headers, spellings
from tests.support.receipt_tree import TRACE, Hop, Task, digest, names, spiffe_id
from tests.support.records import CALLER
from tests.support.tlog import witness
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided, Resource, Trace
from zerotrust.audit.event_types import Access, Counts, Data, Exchange, Outcome, Refusal, Request
from zerotrust.audit.forms import MICROSECONDS, sanitize
from zerotrust.audit.record import GENESIS, event_of, line_of
from zerotrust.authority.ledger.leaf import Heads, heads_leaf
from zerotrust.receipts.carried import parse_answer
from zerotrust.receipts.receipt import KIND
from zerotrust.registry.model import Approved, Registry
from zerotrust.spiffe.statement import sign
from zerotrust.spiffe.svid import Svid
from zerotrust.tlog.proof import MAX_EVIDENCE, evidence_of
from zerotrust.tlog.quorum import policy

ALL = ["agent/reader", "inference", "orchestrator", "tool/documents"]


def fails(task: Task, answer: bytes | None = None, **others: Any) -> tuple[int, str]:
    """The step that fails, and the party's name."""
    with pytest.raises(Unproven) as found:
        task.verified(answer, **others)
    assert str(found.value).startswith(f"step {found.value.step} of {len(STEPS)}: ")
    return found.value.step, found.value.party.removeprefix("spiffe://agents.example/")


@pytest.fixture
def task() -> Task:
    return Task()


@pytest.mark.parametrize("exported", [False, True])
def test_an_honest_task_is_proven(task: Task, exported: bool) -> None:
    proven = task.verified(exported=exported)

    assert sorted(names(proven)) == ALL
    assert (proven.at, proven.complete) == (task.seen, exported)
    assert [one.signer for one in proven.root.below[0].below] == [spiffe_id("inference"), spiffe_id("tool/documents")]


def test_without_evidence_nobody_says_when_and_the_log_has_to_have_the_receipt(task: Task) -> None:
    answer = task.answer()

    assert task.verified(answer, evidence=None, leaves=[*task.entries, task.heads]).at is None
    assert fails(task, answer, evidence=None) == (3, "orchestrator")
    task.seen += 1_000
    assert task.verified(exported=True, evidence=None).at is None
    assert fails(task, answer, evidence=None, leaves=[_heads_at(task.now + LATE)]) == (10, "orchestrator")


def test_a_party_that_accepts_any_permission_does(task: Task) -> None:
    parties = {one: Party(found.code, clients=found.clients) for one, found in task.accepted.parties.items()}

    assert task.verified(accepted=Accepted(parties))


# 1 to 9

Change = Callable[[Task], object]


def says(hop: str, **members: Any) -> Change:
    """Put these members into a party's receipt; None leaves one out."""
    return lambda task: getattr(task, hop).said.update(members)


def is_told(hop: str, **members: Any) -> Change:
    """Put these members into its caller's entry of the call of a party; None leaves one out."""
    return lambda task: getattr(task, hop).told.update(members)


def has(hop: str, **attributes: Any) -> Change:
    """Change a party's part in the task."""

    def change(task: Task) -> None:
        for name, value in attributes.items():
            setattr(getattr(task, hop), name, value)

    return change


def without_receipt(**told: Any) -> Change:
    """The tool's receipt is not in the answer, and its caller says this of the call."""
    return lambda task: (has("tool", carried=False)(task), is_told("tool", receipt=None, **told)(task))


def shows(svid: Callable[[], Svid]) -> Change:
    """The model signs with this certificate, which is made when the test runs."""

    def change(task: Task) -> None:
        task.model.svid = svid()

    return change


def calls_without_end(task: Task) -> None:
    last = task.tool
    for _ in range(MAX_DEPTH):
        last.calls = [Hop("tool/documents")]
        last = last.calls[0]


def shown(caller: str, callee: str, *lineage: str, jti: str = "T0") -> dict[str, Any]:
    """A token, as a receipt shows it."""
    return {"jti": jti, "azp": caller, "aud": spiffe_id(callee), "lineage": lineage}


READER, WRITER, TOOL = spiffe_id("agent/reader"), spiffe_id("agent/writer"), spiffe_id("tool/documents")
JTI = "T0.agent/reader.tool/documents"
TOKEN = shown(READER, "tool/documents", "T0", "T0.agent/reader", jti=JTI)
TWICE = [{"aud": TOOL, "token": JTI, "receipt": digest("x")}] * 2

# What is changed in an honest task, the step that fails, and the party that it names.
FAULTS: dict[str, tuple[Change, int, str]] = {
    "no receipt": (has("tool", signed="a.b.c"), 1, "tool/documents"),
    "a certificate that had ended": (shows(lambda: the_ca().svid("inference", age=200, life=120)), 2, "inference"),
    "a certificate that lives longer than any": (shows(lambda: the_ca().svid("inference", life=121)), 2, "inference"),
    "a receipt that two calls name": (says("reader", calls=TWICE), 5, "agent/reader"),
    "a call that was and was not made": (without_receipt(reason="not_called"), 5, "tool/documents"),
    "a call without a receipt": (without_receipt(reason="no_room"), 5, "tool/documents"),
    "calls without end": (calls_without_end, 5, "tool/documents"),
    "another caller": (says("tool", caller=WRITER), 6, "tool/documents"),
    "no caller": (says("tool", caller=None), 6, "tool/documents"),
    "a token of another caller": (says("tool", token=TOKEN | {"azp": WRITER}), 6, "tool/documents"),
    "a token for another party": (says("tool", token=TOKEN | {"aud": spiffe_id("inference")}), 6, "tool/documents"),
    "a token of other ancestors": (says("tool", token=TOKEN | {"lineage": ["T0"]}), 6, "tool/documents"),
    "another token": (says("tool", token=TOKEN | {"jti": "T9"}), 6, "tool/documents"),
    "a call of another party": (is_told("tool", aud=WRITER), 6, "agent/writer"),
    "a call without a token": (is_told("tool", token=None), 6, "tool/documents"),
    "a request that was not read": (says("tool", request=None), 7, "tool/documents"),
    "one that calls were made for": (says("reader", request=None, verdict="refused"), 7, "agent/reader"),
    "a call with a receipt and no request": (is_told("tool", request=None), 7, "tool/documents"),
    "the reader's own, not read": (says("orchestrator", request=None), 4, "orchestrator"),
    "no code": (says("tool", code=None), 8, "tool/documents"),
    "a client of another party": (says("orchestrator", token=shown("zt", "orchestrator")), 9, "orchestrator"),
    "an agent in place of a client": (says("orchestrator", token=shown(READER, "orchestrator")), 9, "orchestrator"),
}


@pytest.mark.parametrize(("change", "step", "party"), FAULTS.values(), ids=FAULTS)
def test_each_fault_fails_at_its_step_and_names_its_party(task: Task, change: Change, step: int, party: str) -> None:
    change(task)
    assert fails(task) == (step, party)


@pytest.mark.parametrize(
    "change",
    [
        says("orchestrator", txn="T9"),
        says("orchestrator", caller=READER),
        says("orchestrator", token=shown("walkthrough", "orchestrator", "T")),
        says("orchestrator", token=shown("walkthrough", "inference")),
    ],
    ids=["another transaction", "by a party", "with a token that was exchanged", "with another party's token"],
)
def test_a_root_that_no_user_has_called(task: Task, change: Change) -> None:
    change(task)
    assert fails(task, transaction=None) == (6, "orchestrator")


@pytest.mark.parametrize(
    ("change", "parties"),
    [
        (without_receipt(reason="not_sent", answer=None), ALL[:-1]),
        (without_receipt(reason="not_called", answer=None, request=None), ALL[:-1]),
        (without_receipt(reason="peer_revoked", answer=None, request=None, token=None), ALL[:-1]),
        (without_receipt(reason="outside", aud="llamastack"), ALL[:-1]),
        (says("tool", permission=None), ALL),
        (says("tool", request=None, verdict="refused", reason="too_many_requests"), ALL),
    ],
    ids=["not sent", "not called", "peer revoked", "outside", "an operation that needs no permission", "not read"],
)
def test_what_is_no_fault(task: Task, change: Change, parties: list[str]) -> None:
    change(task)
    assert sorted(names(task.verified())) == parties


@pytest.mark.parametrize("content", [b"", b"{}", b'{"receipts":""}', b'{"receipts":"a.b.c"}'])
def test_an_answer_without_receipts(task: Task, content: bytes) -> None:
    task.receipts()
    assert fails(task, content) == (1, "a party without a name")


def test_what_is_no_receipt_and_is_named_by_none_was_passed_on_by_the_first_party(task: Task) -> None:
    assert fails(task, task.answer([*task.receipts(), "a.b.c"])) == (1, "orchestrator")


def test_a_signature_by_another_key_and_which_receipt_has_it(task: Task) -> None:
    good = task.receipts()
    other = good[2].rpartition(".")[0] + "." + good[3].rpartition(".")[2]
    for receipts, told in (
        ([*good[:2], other, good[3]], "in its receipt of POST /, the signature is not .*; it is receipt 3 of 4 in the"),
        ([*good[:3], "a.b.c"], "it passed on receipt 4 of 4 in the answer, which is not a receipt"),
        (good[:3], "tool/documents is not in the answer: call 2 of 2 in its receipt of POST /$"),
        ([good[0], *good[2:]], "agent/reader is not in the answer: call 1 of 1 in its receipt of POST /$"),
    ):
        with pytest.raises(Unproven, match=told):
            task.verified(task.answer(receipts))
    task.model.signed = other
    assert fails(task) == (2, "inference")


# 3: when


def test_a_log_that_its_witness_has_not_seen_and_a_policy_that_asks_for_none(task: Task) -> None:
    believed = task.policy
    assert fails(task, policy=policy(f"log {task.keys.public}\nquorum none\n")) == (3, "orchestrator")
    task.witness = witness("somebody")
    assert fails(task, policy=believed) == (3, "orchestrator")


def test_a_witness_saw_it_while_the_certificate_lived_and_not_before_it_was_signed(task: Task) -> None:
    for last, further in (int(task.svid(task.orchestrator).not_after), 1), (task.now - SKEW, -1):
        task.seen = last
        assert task.verified().at == last
        task.seen += further
        assert fails(task) == (3, "orchestrator")


@pytest.mark.parametrize(
    ("hop", "members", "good"),
    [
        ("tool", {"began": -SKEW}, True),
        ("tool", {"began": -SKEW - 1}, False),
        ("tool", {"iat": SKEW}, True),
        ("tool", {"iat": SKEW + 1}, False),
        ("tool", {"began": 3, "iat": 2}, False),
        ("orchestrator", {"began": -LONGEST_TASK}, True),
        ("orchestrator", {"began": -LONGEST_TASK - 1}, False),
    ],
)
def test_a_call_is_within_its_callers_and_a_task_no_longer_than_a_token_lives(
    task: Task, hop: str, members: dict[str, int], good: bool
) -> None:
    says(hop, **{name: task.now + seconds for name, seconds in members.items()})(task)
    if good:
        assert task.verified()
    else:
        assert fails(task) == (3, getattr(task, hop).party)


def test_evidence_is_read_as_the_ledger_gives_it(task: Task) -> None:
    answer = task.answer()
    entry, proof = task.evidence()
    given = json.dumps({"entry": entry.decode(), "proof": str(proof)}).encode()

    assert task.verified(answer, evidence=evidence_of(given))
    assert evidence_of(given.ljust(MAX_EVIDENCE)) == (entry, proof)
    with pytest.raises(ValueError, match=f"more than {MAX_EVIDENCE} bytes"):
        evidence_of(given.ljust(MAX_EVIDENCE + 1))


@pytest.mark.parametrize("raw", [b"", b"{}", b'{"entry":1,"proof":2}', b'{"entry":"","proof":""}'])
def test_what_is_no_evidence(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several
        evidence_of(raw)


# 4 and 5: mine, and one tree


def test_a_receipt_twice(task: Task) -> None:
    receipts = task.receipts()
    for again in receipts[2], receipts[0]:
        with pytest.raises(Unproven, match=rf"step 5 .*: {task.orchestrator.id}: the answer has a receipt twice$"):
            task.verified(task.answer([*receipts, again]))


# 9: accepted


def test_a_party_and_a_server_outside_that_are_not_accepted(task: Task) -> None:
    some = {one: found for one, found in task.accepted.parties.items() if one != spiffe_id("inference")}
    assert fails(task, accepted=Accepted(some)) == (9, "inference")
    # It is asked of a call outside alone, and only if its caller says that it is one.
    for reason, step in ("none", 5), ("no_answer", 5), ("outside", 9):
        without_receipt(reason=reason, aud="llamastack")(task)
        assert fails(task, accepted=Accepted(task.accepted.parties)) == (step, "llamastack")


def test_a_registry_and_its_lock_approve_who_has_code_and_clients_that_users_sign_in_with(registry: Registry) -> None:
    lock = {name: Approved(code=digest(name)) for name in ALL} | {"agent/writer": Approved()}
    clients = {one: {*party.clients} for one, party in approved(registry, lock).parties.items()}
    own = {"walkthrough", spiffe_id("console")}
    assert clients == {spiffe_id(name): own if name == "orchestrator" else set() for name in ALL}


# 10: complete


def _left_out(task: Task) -> None:
    task.tool.entered = task.tool.carried = False


def _in_another_trace(task: Task) -> None:
    _left_out(task)
    task.tool.trace = "9" * 32


def test_a_log_that_ends_before_it_has_to_have_the_answer_accuses_nobody(task: Task) -> None:
    answer, until = task.answer(), task.now + LATE - 1
    others = [line for line in task.entries if b"orchestrator" not in line]

    for leaves in [], [_heads_at(until)], [*others, _heads_at(until)]:
        assert fails(task, answer, leaves=leaves) == (10, SOMEBODY)


def _heads_at(seconds: int) -> bytes:
    return heads_leaf(Heads({}, seconds * MICROSECONDS))


def test_another_task_of_the_same_token_is_another_answer(task: Task) -> None:
    assert task.verified(exported=True).others == 0
    answer = task.answer()
    assert not task.verified(answer, leaves=task.entries).complete  # nobody says until when that is
    lie = logged("agent/writer", exchanged("T0.agent/reader2"))  # that it got the token of the second answer
    task.more = [lie, *_another("2").entries, *_another("3").entries]
    proven = task.verified(exported=True)
    assert (proven.others, proven.complete) == (2, True)
    assert task.verified().others is None


def _another(name: str, again: str | None = None) -> Task:
    """Another task of the same sign-in, which has run; by default, with tokens of its own."""
    other = Task(trace=name * 32, again=name if again is None else again)
    other.receipts()
    return other


def test_answers_that_share_a_token_are_complete_together(task: Task) -> None:
    """The front door got it for one of them, and used it again while it was good."""
    other = _another("2", again="")
    for got in "before", "after":
        other_answer = other.answer()
        if got == "before":
            task.more = other.entries
        answer = task.answer()
        leaves = [*task.entries, *(other.entries if got == "after" else []), task.heads]
        alone = task.verified(answer, leaves=leaves, evidence=None)
        together = task.verified(answer, leaves=leaves, evidence=None, also=[other_answer])
        assert alone.compared
        assert (alone.complete, alone.compared.undecided) == (False, ("POST /",))
        assert (together.complete, together.others) == (True, 0)
        task.more = []


def test_the_other_answer_is_verified_as_well(task: Task) -> None:
    other, foreign = _another("2"), Task("T9")
    task.more = [*(answer := (other.answer(), other.entries))[1]]
    leaves = [*(own := (task.answer(), task.entries))[1], task.heads]
    assert fails(task, own[0], leaves=leaves, evidence=None, also=[b"{}"]) == (1, SOMEBODY)
    assert fails(task, own[0], leaves=leaves, evidence=None, also=[answer[0] + b" "]) == (4, "orchestrator")
    assert fails(task, own[0], leaves=leaves, evidence=None, also=[foreign.answer()]) == (4, "orchestrator")
    assert fails(task, own[0], leaves=leaves, evidence=None, also=[_another("3").answer()]) == (10, "orchestrator")
    other.tool.said = {"code": digest("changed")}
    assert fails(task, own[0], leaves=leaves, evidence=None, also=[other.answer()]) == (8, "tool/documents")


@pytest.mark.parametrize(
    ("ended", "receipt", "undecided"),
    [("complete", None, True), ("complete", digest("its receipt"), False), ("cut_off", None, True), (None, None, True)],
)
def test_calls_of_an_answer_without_a_receipt_accuse_nobody(
    task: Task, ended: Any, receipt: str | None, undecided: bool
) -> None:
    """It was cut off, or it was too long for a receipt; nobody has its receipts."""
    answer = task.answer()
    over = [replace(ENDED, ended=ended, receipt=receipt)] if ended else []
    beside = logged("agent/writer", called(token_id="T0.other"), "4" * 32)
    for late in False, True:  # an exchange goes on when its request was cut off
        records: list[Data] = [called(lineage=()), exchanged("T0.other"), *over]
        records = [records[0], *reversed(records[1:])] if late else records
        own = [logged("orchestrator", one, "2" * 32) for one in records]
        leaves = [*task.entries, *own, beside, task.heads]

        compared = task.verified(answer, leaves=leaves, evidence=None).compared
        assert compared
        assert (compared.complete, compared.undecided) == (not undecided, ("POST /",) if undecided else ())


def sent_away(party: str, time: int, by: str = "authority/audit", reason: str = "journal_too_fast") -> bytes:
    """What the ledger records of a party that is above its share; `time`: seconds since the epoch."""
    decision = Decided(allowed=False, reason=reason, detail=sanitize(f"{spiffe_id(party)}: more than the share"))
    event = AuditEvent(schema=1, time=time * MICROSECONDS, service=spiffe_id(by), data=Refusal(decision=decision))
    return line_of(event.canonical(), GENESIS)


def test_while_a_journal_waits_for_its_share_the_answer_is_not_complete(task: Task) -> None:
    """The hidden call is in the log when the tool has delivered the rest."""
    _left_out(task)
    answer, over = task.answer(), task.now + LONGEST_TASK + LATE
    hidden = [line for line in task.entries if b"tool/documents" in line]
    seen = [line for line in task.entries if line not in hidden]
    other = sent_away("tool/documents", task.now, reason="journal_of_another")
    leaves = [sent_away("tool/documents", task.now - AGAIN), other, *seen]

    waiting = task.verified(answer, leaves=[*leaves, task.heads], evidence=None).compared
    assert waiting
    assert (waiting.complete, waiting.late) == (False, (task.tool.id,))
    ended = [line for line in hidden if event_of(line).service == task.tool.id]
    assert fails(task, answer, leaves=[*leaves, *ended, task.heads], evidence=None) == (10, "tool/documents")
    assert (
        task.verified(answer, leaves=[*leaves, _later("agent/writer", over), task.heads], evidence=None).compared
        == waiting
    )
    for went_on in _later("tool/documents", over), _later("tool/documents", over + 9):
        there = task.verified(answer, leaves=[*leaves, went_on, task.heads], evidence=None).compared
        assert there
        assert (there.complete, there.late) == (True, ())
        party = fails(task, answer, leaves=[*leaves, *hidden, went_on, task.heads], evidence=None)
        assert party == (10, "agent/reader")


def _later(party: str, time: int) -> bytes:
    """Another record of a party, of this time."""
    event = AuditEvent(schema=1, time=time * MICROSECONDS, service=spiffe_id(party), data=Counts())
    return line_of(event.canonical(), GENESIS)


@pytest.mark.parametrize(
    ("after", "other"),
    [(-AGAIN - 1, {}), (LONGEST_TASK + LATE, {}), (0, {"by": "agent/reader"}), (0, {"reason": "journal_of_another"})],
    ids=str,
)
def test_what_does_not_say_that_a_journal_is_late(task: Task, after: int, other: dict[str, str]) -> None:
    answer, record = task.answer(), sent_away("tool/documents", task.now + after, **other)
    assert task.verified(answer, leaves=[*task.entries, record, task.heads], evidence=None).complete


def test_the_records_of_a_journal_that_waits_for_its_share_accuse_nobody_where_they_are_missing(task: Task) -> None:
    """The front door's: of this answer, of its exchange, of another answer; and an outcome of another party's."""
    answer, other = task.answer(), _another("2", again="")
    door, exchange = task.orchestrator.id.encode(), b'"token_id":"T0.agent/reader","type":"exchange"'
    ended = b'"receipt":"%b"' % receipts_of(answer)[-1].encode()
    [outcome] = [line for line in task.entries if ended in line]
    tool = event_of(outcome).service.removeprefix("spiffe://agents.example/")
    foreign = logged("agent/writer", called(token_id="T9", lineage=("T0", "T0.agent/writer")))
    cases: list[tuple[str, list[bytes], str]] = [
        ("orchestrator", [*task.entries, foreign], "agent/writer"),
        (
            "orchestrator",
            [*task.entries, *(line for line in other.entries if b'"service":"%b"' % door not in line)],
            "agent/reader",
        ),
        (tool, [line for line in task.entries if line != outcome], tool),
    ]
    for party, leaves, accused in cases:
        assert fails(task, answer, leaves=[*leaves, task.heads], evidence=None) == (10, accused)
        late = [*leaves, sent_away(party, task.now), task.heads]
        assert not task.verified(answer, leaves=late, evidence=None).complete
    missing = [line for line in task.entries if b'"service":"%b"' % door not in line or exchange in line]
    assert fails(task, answer, leaves=[*missing, task.heads], evidence=None) == (10, "orchestrator")
    late = [*missing, sent_away("orchestrator", task.now), task.heads]
    assert fails(task, answer, leaves=late, evidence=None) == (10, SOMEBODY)


def test_a_call_whose_outcome_is_not_in_the_log_yet_accuses_nobody(task: Task) -> None:
    """Each party delivers its own journal: the front door's may be there first."""
    answer = task.answer()
    ended = b'"receipt":"%b"' % receipts_of(answer)[-1].encode()
    leaves = [line for line in task.entries if ended not in line]
    over = task.now + LONGEST_TASK + LATE
    assert len(leaves) == len(task.entries) - 1
    assert not task.verified(answer, leaves=[*leaves, _heads_at(over - 1)], evidence=None).complete
    assert fails(task, answer, leaves=[*leaves, _heads_at(over)], evidence=None) == (10, "tool/documents")


def receipts_of(answer: bytes) -> list[str]:
    """The digests of the receipts in an answer."""
    found = parse_answer(answer)
    assert found is not None
    return [digest(one) for one in found.receipts]


def test_what_the_front_door_has_not_recorded_yet_accuses_nobody(task: Task) -> None:
    answer, hidden = task.answer(), logged("agent/writer", called())
    over = task.now + LONGEST_TASK + LATE
    early = task.verified(answer, leaves=[*task.entries, hidden, _heads_at(over - 1)], evidence=None)
    assert (early.complete, early.others) == (False, 0)
    assert fails(task, answer, leaves=[*task.entries, hidden, _heads_at(over)], evidence=None) == (10, "agent/writer")


GRANTED, REFUSED = Decided(allowed=True, reason="granted"), Decided(allowed=False, reason="scope_missing")
SPAN = "f" * 16


def logged(party: str, data: Data, trace: str = TRACE, span: str = SPAN) -> bytes:
    """A record that the log has as well, somewhere."""
    where = Trace(trace_id=trace, span_id=span)
    return line_of(AuditEvent(schema=1, time=1, service=spiffe_id(party), data=data, trace=where).canonical(), GENESIS)


def called(
    *,
    decision: Decided = GRANTED,
    lineage: tuple[str, ...] = ("T0",),
    txn: str = "T0",
    operation: str = "POST /",
    **more: Any,
) -> Request:
    caller = replace(CALLER, transaction=txn, lineage=lineage, **({"token_id": "T9"} | more))
    return Request(operation=sanitize(operation), decision=decision, principal=caller)


def exchanged(token: str | None, txn: str = "T0") -> Exchange:
    decision, caller = GRANTED if token else REFUSED, replace(CALLER, transaction=txn, token_id=txn)
    audience = spiffe_id("agent/writer")
    return Exchange(
        audience=audience, scopes=(), decision=decision, principal=caller, parent_token_id="T0", token_id=token
    )


ENDED = Outcome(ended="complete", duration=1, request_sha256=digest(""), answer_sha256=digest(""))
READ = Access(
    operation=sanitize("read"),
    resource=Resource(kind="Document", name=sanitize("T0")),
    decision=GRANTED,
    principal=replace(CALLER, transaction="T0"),
)
BESIDE = {
    "a call that was refused": [logged("agent/writer", called(decision=REFUSED))],
    "a call by certificate": [logged("agent/writer", Request(operation=sanitize("GET /T0"), decision=GRANTED))],
    "an exchange that was refused": [logged("agent/reader", exchanged(None))],
    "another transaction": [
        logged("agent/writer", called(txn="T00")),
        logged("agent/reader", exchanged("T00.x", txn="T00")),
    ],
    "what a call read": [logged("orchestrator", READ, span=f"{1:016x}")],
    "the end of another call": [logged("agent/writer", ENDED, span=f"{1:016x}")],
}


@pytest.mark.parametrize("records", BESIDE.values(), ids=BESIDE)
def test_what_is_no_call_of_this_task_is_not_taken_for_one(task: Task, records: list[bytes]) -> None:
    answer, evidence = task.answer(), task.evidence()
    for leaves in ([*task.entries, *records], [*records, *task.entries]):
        proven = task.verified(answer, leaves=[*leaves, task.heads], evidence=evidence)
        assert (proven.others, proven.complete) == (0, True)


def test_nothing_is_hidden_behind_the_request_for_a_proof(task: Task) -> None:
    """A front door could else record an invented one, and calls in its trace."""
    answer = task.answer()
    proof = called(lineage=(), operation=f"GET /receipts/{'0' * 64}")
    again = called(lineage=("T0", "T0.agent/reader"))
    leaves = [*task.entries, *(logged("orchestrator", one, "2" * 32) for one in (proof, ENDED))]

    compared = task.verified(answer, leaves=[*leaves, task.heads], evidence=None).compared
    assert compared
    assert (compared.operations, compared.complete) == ((proof.operation,), True)
    for party, hidden in (
        ("orchestrator", logged("orchestrator", exchanged("T0.other"), "2" * 32)),
        ("orchestrator", logged("orchestrator", exchanged("T0.other"), span=f"{1:016x}")),
        ("agent/writer", logged("agent/writer", again)),
    ):
        assert fails(task, answer, leaves=[*leaves, hidden, task.heads], evidence=None) == (10, party)
    for end in replace(ENDED, ended="cut_off"), replace(ENDED, receipt=digest("its receipt")):
        more = [logged("orchestrator", end, "2" * 32), logged("agent/writer", again), task.heads]
        compared = task.verified(answer, leaves=[*leaves[:-1], *more], evidence=None).compared
        assert compared
        assert compared.undecided == (proof.operation,)


def test_a_call_of_the_front_door_by_a_party_is_no_answer_of_it(task: Task) -> None:
    answer = task.answer()
    record = logged("orchestrator", called(lineage=("T0",)))
    assert fails(task, answer, leaves=[*task.entries, record, task.heads], evidence=None) == (10, "orchestrator")


def test_a_party_that_is_no_front_door_cannot_invent_an_answer_to_cover_its_call(task: Task) -> None:
    """Its own journal says that alice called it, in the trace that it told the party that it called in secret."""
    _in_another_trace(task)
    cover = Task(trace="9" * 32)
    cover.orchestrator = Hop("agent/reader", trace="9" * 32)
    cover.receipts()
    answer = task.answer()
    exchange = b'"token_id":"T0.agent/reader.tool/documents","type":"exchange"'  # which its journal leaves out
    seen = [line for line in task.entries if exchange not in line]

    assert fails(task, answer, leaves=[*seen, *cover.entries, task.heads], evidence=None) == (10, "tool/documents")


# any change


_WHOLE = Task()
_ANSWER = _WHOLE.answer()
_EVIDENCE = _WHOLE.evidence()


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, len(_ANSWER) - 1), byte=st.integers(0, 255))
def test_any_other_byte_in_an_answer_or_a_receipt_is_found(at: int, byte: int) -> None:
    changed = bytearray(_ANSWER)
    changed[at] = byte
    if changed == _ANSWER:
        return
    with pytest.raises(Unproven):
        _WHOLE.verified(bytes(changed), evidence=_EVIDENCE)


_PAYLOAD = json.loads(base64.urlsafe_b64decode(_WHOLE.receipts()[-1].split(".")[1] + "=="))
_NUMBERS = st.one_of(
    st.integers(), st.sampled_from([-1, 1000, 2**53, 2**64, 10**30, 253402300799, 253402300800, 253402297199])
)
_VALUES = st.recursive(st.none() | st.booleans() | _NUMBERS | st.text(), lambda inner: st.lists(inner, max_size=3))


@settings(max_examples=300, deadline=None)
@given(
    at=st.sampled_from([*_PAYLOAD, "journal", "reason", "calls"]),
    value=_VALUES | _NUMBERS.map(lambda n: {"n": n, "sha256": "0" * 64}),
)
def test_whatever_a_receipt_says_is_unproven_at_worst(at: str, value: Any) -> None:
    task = Task()
    task.tool.svid = _WHOLE.tool.svid
    said = json.dumps(_PAYLOAD | {at: value}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    task.tool.signed = sign(said.encode(), task.svid(task.tool), kind=KIND)
    with suppress(Unproven):
        task.verified()


@pytest.mark.parametrize(
    "said", [{"status": 2**70}, {"status": 1000}, {"iat": 253402300800}, {"began": 2**64}, {"journal": {"n": 2**53}}]
)
def test_a_number_that_no_program_can_hold_is_no_receipt(task: Task, said: dict[str, Any]) -> None:
    said = {name: {"sha256": "0" * 64} | value if name == "journal" else value for name, value in said.items()}
    payload = json.dumps(_PAYLOAD | said, sort_keys=True, separators=(",", ":"))
    task.tool.signed = sign(payload.encode(), task.svid(task.tool), kind=KIND)
    assert fails(task)[0] == 1


def test_whatever_certificate_a_receipt_has_it_is_unproven_at_worst() -> None:
    for verified in headers():
        with suppress(Unproven):
            verified()


def test_a_receipt_has_one_spelling() -> None:
    """So no two readers judge it differently."""
    good, *others = spellings()
    good()
    for other in others:
        with pytest.raises(Unproven, match=r"another spelling|signature|SVID in the header"):
            other()
