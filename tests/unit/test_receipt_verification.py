"""The ten steps: an honest task passes all of them, and each change to it fails at one."""

import base64
import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.ca import CA, the_ca
from tests.support.receipt_tree import TRACE, Hop, Task, code_of, digest, names, spiffe_id
from tests.support.records import CALLER
from tests.support.tlog import witness
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided, Resource, Trace
from zerotrust.audit.event_types import Access, Counts, Data, Exchange, Outcome, Refusal, Request
from zerotrust.audit.forms import MICROSECONDS, sanitize
from zerotrust.audit.leaf import Heads, heads_leaf
from zerotrust.audit.record import GENESIS, event_of, line_of
from zerotrust.receipts.accepted import Accepted, Party
from zerotrust.receipts.carried import taken
from zerotrust.receipts.completeness import AGAIN, LATE
from zerotrust.receipts.failure import SOMEBODY, STEPS, Unproven
from zerotrust.receipts.logged import LONGEST_TASK, MAX_EVIDENCE, SKEW, Evidence, evidence_of
from zerotrust.receipts.receipt import KIND
from zerotrust.receipts.tree import MAX_DEPTH
from zerotrust.spiffe.statement import sign
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


def test_what_the_reader_does_not_say_is_not_compared(task: Task) -> None:
    assert task.verified(request=None, transaction=None).root.receipt.txn == "T0"


def test_a_party_that_accepts_any_permission_does(task: Task) -> None:
    parties = {one: Party(found.code, clients=found.clients) for one, found in task.accepted.parties.items()}

    assert task.verified(accepted=Accepted(parties))


# 1 and 2: each by itself


@pytest.mark.parametrize("content", [b"", b"{}", b'{"receipts":""}', b'{"receipts":"a.b.c"}'])
def test_an_answer_without_receipts(task: Task, content: bytes) -> None:
    task.receipts()
    assert fails(task, content) == (1, "a party without a name")


def test_what_is_no_receipt_is_that_of_whom_its_caller_names(task: Task) -> None:
    task.tool.signed = "a.b.c"
    assert fails(task) == (1, "tool/documents")


def test_what_is_no_receipt_and_is_named_by_none_was_passed_on_by_the_first_party(task: Task) -> None:
    assert fails(task, task.answer([*task.receipts(), "a.b.c"])) == (1, "orchestrator")


@pytest.mark.parametrize("kind", ["JWT", "at+jwt", "receipt", "feed+jwt"])
def test_a_statement_of_another_kind(task: Task, kind: str) -> None:
    payload = _part(task.receipts()[2], 1)
    task.model.signed = sign(payload, task.svid(task.model), kind=kind)
    assert fails(task)[0] == 1


def test_a_payload_that_is_not_in_the_one_form(task: Task) -> None:
    payload = _part(task.receipts()[2], 1)
    for other in payload + b" ", payload.replace(b'"done"', b'"fine"'), b"{}", b"[]":
        task.model.signed = sign(other, task.svid(task.model), kind=KIND)
        assert fails(task)[0] == 1


def test_a_header_with_more_than_it_may_have(task: Task) -> None:
    header, payload, signature = task.receipts()[2].split(".")
    changed = json.loads(base64.urlsafe_b64decode(header + "==")) | {"jku": "https://evil.test/keys"}
    header = base64.urlsafe_b64encode(json.dumps(changed).encode()).decode().rstrip("=")
    task.model.signed = f"{header}.{payload}.{signature}"
    assert fails(task)[0] == 1


def test_a_certificate_of_another_authority(task: Task) -> None:
    task.model.svid = CA("agents.example").svid("inference", life=120)
    assert fails(task) == (2, "inference")


def test_a_certificate_that_had_ended_when_it_signed(task: Task) -> None:
    task.model.svid = the_ca().svid("inference", age=200, life=120)
    assert fails(task) == (2, "inference")


def test_a_certificate_that_lives_longer_than_any(task: Task) -> None:
    task.model.svid = the_ca().svid("inference", life=121)
    assert fails(task) == (2, "inference")


def test_a_signature_by_another_key(task: Task) -> None:
    good = task.receipts()[2]
    task.model.signed = good.rpartition(".")[0] + "." + task.receipts()[3].rpartition(".")[2]
    assert fails(task) == (2, "inference")


def test_which_receipt_is_at_fault_is_told_by_its_place_and_its_operation(task: Task) -> None:
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


# 3: when


def test_a_proof_of_something_else(task: Task) -> None:
    answer = task.answer()
    assert fails(task, answer, evidence=task.evidence(0)) == (3, "orchestrator")
    assert fails(task, answer, evidence=task.evidence(len(task.entries) - 2)) == (3, "orchestrator")
    assert fails(task, answer, evidence=task.evidence(len(task.entries))) == (3, "orchestrator")


def test_an_entry_that_the_proof_is_not_about(task: Task) -> None:
    answer = task.answer()
    entry, proof = task.evidence()
    other = Evidence(entry.replace(b'"duration":1', b'"duration":2'), proof)
    assert fails(task, answer, evidence=other) == (3, "orchestrator")


def test_a_log_that_its_witness_has_not_seen(task: Task) -> None:
    task.witness = witness("somebody")
    believed = Task().policy
    assert fails(task, policy=believed) == (3, "orchestrator")


def test_a_policy_that_asks_for_no_witness(task: Task) -> None:
    assert fails(task, policy=policy(f"log {task.keys.public}\nquorum none\n")) == (3, "orchestrator")


def test_a_witness_that_saw_it_after_the_certificate_had_ended(task: Task) -> None:
    end = int(task.svid(task.orchestrator).not_after)
    task.seen = end
    assert task.verified().at == end
    task.seen = end + 1
    assert fails(task) == (3, "orchestrator")


def test_a_witness_that_saw_it_before_it_was_signed(task: Task) -> None:
    task.seen = task.now - SKEW
    assert task.verified()
    task.seen -= 1
    assert fails(task) == (3, "orchestrator")


@pytest.mark.parametrize(
    ("members", "good"),
    [
        ({"began": -SKEW}, True),
        ({"began": -SKEW - 1}, False),
        ({"iat": SKEW}, True),
        ({"iat": SKEW + 1}, False),
        ({"began": 3, "iat": 2}, False),
    ],
)
def test_a_call_outside_of_its_callers(task: Task, members: dict[str, int], good: bool) -> None:
    task.tool.said |= {name: task.now + seconds for name, seconds in members.items()}
    if good:
        assert task.verified()
    else:
        assert fails(task) == (3, "tool/documents")


def test_a_task_that_took_longer_than_any_token_lives(task: Task) -> None:
    task.orchestrator.said["began"] = task.now - LONGEST_TASK
    assert task.verified()
    task.orchestrator.said["began"] -= 1
    assert fails(task) == (3, "orchestrator")


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


# 4: mine


def test_another_answer_another_request_another_transaction(task: Task) -> None:
    answer = task.answer()
    assert fails(task, answer.replace(b"A summary", b"B summary")) == (4, "orchestrator")
    assert fails(task, answer + b" ") == (4, "orchestrator")
    assert fails(task, answer, request=b"{}") == (4, "orchestrator")
    assert fails(task, answer, transaction="T9") == (4, "orchestrator")


# 5: one tree


def test_a_receipt_that_is_missing(task: Task) -> None:
    task.tool.carried = False
    assert fails(task) == (5, "agent/reader")


def test_a_receipt_twice(task: Task) -> None:
    receipts = task.receipts()
    for again in receipts[2], receipts[0]:
        with pytest.raises(Unproven, match=rf"step 5 .*: {task.orchestrator.id}: the answer has a receipt twice$"):
            task.verified(task.answer([*receipts, again]))


def test_a_receipt_that_two_calls_name(task: Task) -> None:
    named = task.reader.said["calls"] = [
        {"aud": task.tool.id, "token": "T0.agent/reader.tool/documents", "receipt": digest("x")}
    ] * 2
    assert len(named) == 2
    assert fails(task) == (5, "agent/reader")


def test_a_receipt_that_nobody_names(task: Task) -> None:
    task.tool.entered = False
    assert fails(task) == (5, "tool/documents")


@pytest.mark.parametrize("reason", ["none", "no_answer", "no_room", "streamed", "outside"])
def test_a_call_without_a_receipt(task: Task, reason: str) -> None:
    task.tool.carried, task.tool.told = False, {"receipt": None, "reason": reason}
    assert fails(task) == (5, "tool/documents")


def test_a_call_outside_that_is_not_said_to_be_one(task: Task) -> None:
    """Step 9 asks only of a call outside whether it is accepted."""
    for reason in "none", "no_answer":
        task.tool.carried, task.tool.told = False, {"receipt": None, "reason": reason, "aud": "llamastack"}
        assert fails(task, accepted=Accepted(task.accepted.parties)) == (5, "llamastack")


@pytest.mark.parametrize(
    "told",
    [
        {"receipt": None, "reason": "not_sent", "answer": None},
        {"receipt": None, "reason": "not_called", "answer": None, "request": None},
        {"receipt": None, "reason": "peer_revoked", "answer": None, "request": None, "token": None},
        {"receipt": None, "reason": "outside", "aud": "llamastack"},
    ],
    ids=lambda told: str(told["reason"]),
)
def test_a_call_that_reached_no_party(task: Task, told: dict[str, Any]) -> None:
    task.tool.carried, task.tool.told = False, told
    assert sorted(names(task.verified())) == ["agent/reader", "inference", "orchestrator"]


def test_a_call_that_both_was_made_and_was_not(task: Task) -> None:
    task.tool.carried, task.tool.told = False, {"receipt": None, "reason": "not_called"}
    assert fails(task) == (5, "tool/documents")


def test_calls_without_end(task: Task) -> None:
    last = task.tool
    for _ in range(MAX_DEPTH):
        last.calls = [Hop("tool/documents")]
        last = last.calls[0]
    assert fails(task) == (5, "tool/documents")


# 6 and 7: both sides of each call

TOKEN = {
    "jti": "T0.agent/reader.tool/documents",
    "azp": spiffe_id("agent/reader"),
    "aud": spiffe_id("tool/documents"),
    "lineage": ["T0", "T0.agent/reader"],
}


@pytest.mark.parametrize(
    "said",
    [
        {"txn": "T9"},
        {"caller": spiffe_id("agent/writer")},
        {"caller": None},
        *(
            {"token": TOKEN | other}
            for other in (
                {"azp": spiffe_id("agent/writer")},
                {"aud": spiffe_id("inference")},
                {"lineage": ["T0"]},
                {"jti": "T9"},
            )
        ),
    ],
    ids=str,
)
def test_a_receipt_that_does_not_fit_its_caller(task: Task, said: dict[str, Any]) -> None:
    task.tool.said = said
    assert fails(task) == (6, "tool/documents")


@pytest.mark.parametrize("told", [{"aud": spiffe_id("agent/writer")}, {"token": "T9"}, {"token": None}], ids=str)
def test_a_caller_that_does_not_fit_the_receipt(task: Task, told: dict[str, Any]) -> None:
    task.tool.told = told
    assert fails(task) == (6, "tool/documents")


@pytest.mark.parametrize(
    "said",
    [
        {"txn": "T9"},
        {"caller": spiffe_id("agent/reader")},
        {"token": {"jti": "T0", "azp": "walkthrough", "aud": spiffe_id("orchestrator"), "lineage": ["T"]}},
        {"token": {"jti": "T0", "azp": "walkthrough", "aud": spiffe_id("inference"), "lineage": []}},
    ],
    ids=str,
)
def test_a_root_that_no_user_has_called(task: Task, said: dict[str, Any]) -> None:
    task.orchestrator.said = said
    assert fails(task, transaction=None) == (6, "orchestrator")


def test_a_request_or_an_answer_that_was_altered_between_two_parties(task: Task) -> None:
    task.tool.told = {"request": digest("another")}
    assert fails(task) == (7, "tool/documents")
    for another in digest("another"), None:  # also if it leaves out what it received
        task.tool.told = {"answer": another}
        assert fails(task) == (7, "agent/reader")


# 8 and 9: approved and accepted


def test_other_code_no_code_and_another_permission(task: Task) -> None:
    for said in {"code": digest("changed")}, {"code": None}, {"permission": "tool.write"}:
        task.tool.said = said
        assert fails(task) == (8, "tool/documents")


def test_an_operation_that_needs_no_permission_is_within_those_of_its_party(task: Task) -> None:
    task.tool.said = {"permission": None}
    assert task.verified()


def test_a_party_that_is_not_accepted(task: Task) -> None:
    some = {one: found for one, found in task.accepted.parties.items() if one != spiffe_id("inference")}
    assert fails(task, accepted=Accepted(some)) == (9, "inference")


def test_a_server_outside_that_is_not_accepted(task: Task) -> None:
    task.tool.carried, task.tool.told = False, {"receipt": None, "reason": "outside", "aud": "llamastack"}
    assert fails(task, accepted=Accepted(task.accepted.parties)) == (9, "llamastack")


def test_a_party_that_is_no_front_door_answers_nobody(task: Task) -> None:
    task.orchestrator = Hop("agent/reader")
    assert fails(task) == (9, "agent/reader")


@pytest.mark.parametrize("client", ["zt", "spiffe://agents.example/agent/reader"])
def test_a_client_that_is_none_of_the_front_door(task: Task, client: str) -> None:
    task.orchestrator.said = {"token": {"jti": "T0", "azp": client, "aud": spiffe_id("orchestrator"), "lineage": ()}}
    assert fails(task) == (9, "orchestrator")


# 10: complete


def _left_out(task: Task) -> None:
    task.tool.entered = task.tool.carried = False


def _in_another_trace(task: Task) -> None:
    _left_out(task)
    task.tool.trace = "9" * 32


@pytest.mark.parametrize("change", [_left_out, _in_another_trace])
def test_a_call_that_is_left_out_is_in_the_log(task: Task, change: Callable[[Task], None]) -> None:
    change(task)
    assert task.verified()
    assert fails(task, exported=True) == (10, "agent/reader")


def test_a_call_that_only_the_called_party_has_on_record_is_its_word(task: Task) -> None:
    answer = task.answer()
    framing = Task()
    framing.orchestrator.calls = [Hop("agent/writer")]
    framing.receipts()
    [lie] = [line for line in framing.entries if b'"service":"spiffe://agents.example/agent/writer"' in line][:1]

    with pytest.raises(Unproven) as found:
        task.verified(answer, leaves=[*task.entries, lie, task.heads])
    assert (found.value.step, found.value.party) == (10, spiffe_id("agent/writer"))
    assert found.value.why == f"it says that {task.orchestrator.id} called it, and no receipt says so"


def test_an_exchange_that_is_left_out_is_in_the_log(task: Task) -> None:
    _left_out(task)
    answer = task.answer()
    without_the_call = [line for line in task.entries if b'"service":"spiffe://agents.example/tool' not in line]
    assert fails(task, answer, leaves=[*without_the_call, task.heads]) == (10, "agent/reader")


def test_a_task_that_is_not_in_the_log(task: Task) -> None:
    answer, until = task.answer(), task.now + LATE
    for others in [], _another("2").entries:
        assert fails(task, answer, leaves=[*others, _heads_at(until)]) == (10, "orchestrator")


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
    task.more = _another("2").entries + _another("3").entries
    proven = task.verified(exported=True)
    assert (proven.others, proven.complete) == (2, True)
    assert task.verified().others is None


def _another(name: str, again: str | None = None) -> Task:
    """Another task of the same sign-in, which has run; by default, with tokens of its own."""
    other = Task(trace=name * 32, again=name if again is None else again)
    other.receipts()
    return other


@pytest.mark.parametrize("recorded", [True, False])
def test_which_answer_a_call_belongs_to_says_its_token_and_no_trace(task: Task, recorded: bool) -> None:
    """The reader tells the tool the trace of an answer before, which it has read in the log."""
    _left_out(task)
    task.tool.trace = "2" * 32
    task.more = _another("2").entries
    answer = task.answer()
    exchange = b'"token_id":"T0.agent/reader.tool/documents","type":"exchange"'
    leaves = [line for line in task.entries if recorded or exchange not in line]

    party = "agent/reader" if recorded else "tool/documents"
    assert fails(task, answer, leaves=[*leaves, task.heads], evidence=None) == (10, party)


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


@pytest.mark.parametrize("hiding", [0, 1])
def test_a_call_that_is_left_out_of_both_answers_that_share_a_token(task: Task, hiding: int) -> None:
    tasks = [task, _another("2", again="")]
    _left_out(tasks[hiding])
    answers = [one.answer() for one in tasks]
    leaves = [*task.entries, *tasks[1].entries, task.heads]
    assert task.verified(answers[0], leaves=leaves, evidence=None).complete is False
    assert fails(task, answers[0], leaves=leaves, evidence=None, also=answers[1:]) == (10, "tool/documents")


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


def test_an_answer_without_a_receipt_may_have_used_a_token_of_this_one(task: Task) -> None:
    """An agent made it too long for a receipt, after this answer: its calls accuse nobody."""
    answer, reader = task.answer(), task.reader.id
    again = Task(trace="2" * 32)
    again.receipts()
    unsigned = re.compile(rb'"receipt":"[0-9a-f]{64}",')
    theirs = [
        unsigned.sub(b"", line) if b'"service":"%b"' % task.orchestrator.id.encode() in line else line
        for line in again.entries
    ]
    exchange = b'"token_id":"T0.agent/reader","type":"exchange"'
    leaves = [*task.entries, *(line for line in theirs if exchange not in line), task.heads]

    compared = task.verified(answer, leaves=leaves, evidence=None).compared
    assert compared
    assert (compared.complete, compared.undecided) == (False, ("POST /",))
    assert reader in {event_of(line).service for line in theirs}


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
    leaves = [sent_away("tool/documents", task.now - AGAIN), *seen]

    waiting = task.verified(answer, leaves=[*leaves, task.heads], evidence=None).compared
    assert waiting
    assert (waiting.complete, waiting.late) == (False, (task.tool.id,))
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
    [(-AGAIN - 1, {}), (LONGEST_TASK + LATE, {}), (0, {"by": "agent/reader"}), (0, {"reason": "journal_changed"})],
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
    found = taken(answer)
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
        assert task.verified(answer, leaves=leaves, evidence=evidence).others == 0


def test_nothing_is_hidden_behind_the_request_for_a_proof(task: Task) -> None:
    """A front door could else record an invented one, and calls in its trace."""
    answer = task.answer()
    proof = called(lineage=(), operation=f"GET /receipts/{'0' * 64}")
    leaves = [*task.entries, *(logged("orchestrator", one, "2" * 32) for one in (proof, ENDED))]

    compared = task.verified(answer, leaves=[*leaves, task.heads], evidence=None).compared
    assert compared
    assert (compared.operations, compared.complete) == ((proof.operation,), True)
    for party, hidden in ("orchestrator", exchanged("T0.other")), ("agent/writer", called()):
        more = logged(party, hidden, "2" * 32)
        assert fails(task, answer, leaves=[*leaves, more, task.heads], evidence=None) == (10, party)


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


def _part(receipt: str, number: int) -> bytes:
    part = receipt.split(".")[number]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


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


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, len(_ANSWER) - 1), most=st.integers(1, 3000))
def test_anything_that_is_cut_out_or_put_in_is_found(at: int, most: int) -> None:
    for changed in _ANSWER[:at] + _ANSWER[at + most :], _ANSWER[:at] + _ANSWER[at : at + most] + _ANSWER[at:]:
        with pytest.raises(Unproven):
            _WHOLE.verified(changed, evidence=_EVIDENCE)


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


def test_the_receipts_in_any_other_order_are_found() -> None:
    found = taken(_ANSWER)
    assert found is not None
    root, *others = found.receipts
    for first in others:
        rest = [one for one in found.receipts if one != first]
        with pytest.raises(Unproven):
            _WHOLE.verified(_WHOLE.answer([first, *rest]), evidence=_EVIDENCE)
    assert _WHOLE.verified(_WHOLE.answer([root, *reversed(others)]), evidence=_EVIDENCE)  # their order says nothing


def test_code_is_told_apart() -> None:
    assert code_of("inference") != code_of("orchestrator")
