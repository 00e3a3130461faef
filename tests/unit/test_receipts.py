"""Receipts: their bytes, how answers carry them, what a request has asked for, and how the gate puts them in."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import AsyncMock

import orjson
import pytest
from starlette.types import Message

from evidence.verified_receipt import is_of, receipt_of
from testkit import principal
from tests.support.ca import the_ca
from tests.support.receipts import said
from zerotrust.audit.forms import sanitize
from zerotrust.call import Call
from zerotrust.decision import Denied, Reason
from zerotrust.limits.strict_json import EXACT
from zerotrust.receipts.calls import Calls, OneCall, ReceiptBudget
from zerotrust.receipts.carried import HEADER, MAX_OWN, MAX_RECEIPTS, MAX_VALUE, parse_answer
from zerotrust.receipts.receipt import MAX_CALLS, MAX_RESOURCES, MAX_SECONDS, Asked, Receipt, Shown, digest_of
from zerotrust.sealing import Notary, Sealing
from zerotrust.spiffe.svid import WorkloadError

READER, TOOL = "spiffe://agents.example/agent/reader", "spiffe://agents.example/tool/documents"
DIGEST = "ab" * 32
RECEIPT = Receipt(
    id=f"{'1' * 32}-{'2' * 16}",
    txn="T0",
    began=1_795_600_000,
    iat=1_795_600_001,
    caller=READER,
    token=Shown(jti="T2", azp=READER, aud=TOOL, lineage=("T0", "T1")),
    request=DIGEST,
    answer=DIGEST,
    status=200,
    verdict="done",
    operation=sanitize("POST tools/call read"),
    permission="tool.read",
    resources=(sanitize("Document ENG-101"),),
    policy="41d3c5a0b7e2",
    code=DIGEST,
    calls=(Asked(aud=TOOL, token="T3", request=DIGEST, answer=DIGEST, receipt=DIGEST),),
)


def hashed(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# the bytes


def _changed(**members: Any) -> bytes:
    return orjson.dumps(orjson.loads(RECEIPT.payload()) | members, option=orjson.OPT_SORT_KEYS)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(RECEIPT.payload() + b" ", id="white space"),
        pytest.param(RECEIPT.payload().replace(b'{"answer"', b'{"iat":1,"answer"'), id="a name twice"),
        pytest.param(_changed(more=1), id="a member that is not known"),
        pytest.param(_changed(iat=-1), id="a time before 1970"),
        pytest.param(_changed(iat=MAX_SECONDS + 1), id="a time after the year 9999"),
        pytest.param(_changed(iat="1795600001"), id="a time that is a text"),
        pytest.param(_changed(reason="Not a code"), id="a reason of another form"),
        *(pytest.param(_changed(status=status), id=f"the status {status}") for status in (-1, 1000)),
        *(pytest.param(_changed(journal={"n": n, "sha256": DIGEST}), id=f"record {n}") for n in (0, EXACT + 1)),
        pytest.param(_changed(caller=None), id="null"),
        pytest.param(_changed(answer=DIGEST.upper()), id="a digest in capitals"),
        pytest.param(_changed(verdict="fine"), id="a verdict that is not known"),
        pytest.param(_changed(id="1"), id="another id"),
        pytest.param(_changed(calls=[{"aud": TOOL}]), id="a call without a receipt and without a reason"),
        pytest.param(_changed(calls=[{"aud": TOOL, "receipt": DIGEST, "reason": "none"}]), id="a call with both"),
        pytest.param(_changed(calls=[{"aud": TOOL, "reason": "not_called"}] * (MAX_CALLS + 1)), id="too many calls"),
        pytest.param(_changed(resources=["Document X"] * (MAX_RESOURCES + 1)), id="too many resources"),
    ],
)
def test_anything_else_is_no_receipt(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of two libraries
        receipt_of(raw)


def test_only_a_receipt_of_a_refusal_without_calls_may_leave_open_whose_request_it_answers() -> None:
    unread = replace(RECEIPT, request=None, verdict="refused", calls=())

    assert is_of(RECEIPT, DIGEST)
    assert is_of(unread, "cd" * 32)
    assert not is_of(RECEIPT, "cd" * 32)
    for changed in ({"verdict": "done"}, {"calls": RECEIPT.calls}, {"request": DIGEST}):
        assert not is_of(replace(unread, **changed), "cd" * 32)


# in an answer


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"text":"x"}', id="no place"),
        pytest.param(b'{"receipts":"","zerotrust/receipts":""}', id="two places"),
        pytest.param(b'{"receipts":"","a":{"receipts":""}}', id="the same place twice"),
        pytest.param(b'{"receipts": ""}', id="white space"),
        pytest.param(b'{"receipts":null}', id="null"),
        pytest.param(b'{"receipts":"a.b.c', id="no end"),
        pytest.param(b'{"receipts":"a.b.cd', id="no end, and one more byte"),
        pytest.param(b'{"receipts":"a.b.c~"}', id="an empty one"),
        pytest.param(b'{"receipts":"a..c"}', id="an empty part"),
        pytest.param(b'{"receipts":"a.b"}', id="one of two parts"),
        pytest.param(rb'{"receipts":"a.b.c\n"}', id="an escape"),
        pytest.param(b'{"receipts":"%b"}' % b"~".join([b"a.b.c"] * (MAX_RECEIPTS + 1)), id="too many"),
        pytest.param(b'{"receipts":"a.b.%b"}' % (b"c" * MAX_VALUE), id="too long"),
        pytest.param(orjson.dumps({"text": '{"receipts":"a.b.c"}'}), id="within a text"),
    ],
)
def test_an_answer_with_another_form_has_none(content: bytes) -> None:
    assert parse_answer(content) is None


# what a request has asked for


def test_a_party_that_sends_without_end_takes_no_room_from_others() -> None:
    """In whatever order, and in one answer or in many; what is left out is the latest of whoever has sent the most."""
    most = MAX_VALUE - MAX_OWN
    for order in ("before", "behind", "between"):
        calls = Calls()
        honest = [(TOOL, f"a.b.{'c' * (most // 6)}{number}") for number in range(2)]
        junk = [(READER, f"a.b.{'d' * (most // 4)}{number}") for number in range(6)]
        orders = {"before": [*junk, *honest], "behind": [*honest, *junk], "between": [*junk[:3], *honest, *junk[3:]]}
        sent = orders[order]
        for number, (audience, receipt) in enumerate(sent):
            calls.note_call(audience, f"T{number}", b"").note_answer(b'{"receipts":"%b"}' % receipt.encode())

        told = [(one.aud, one.reason) for one in calls.entries()]
        assert [reason for audience, reason in told if audience == TOOL] == [None, None]
        assert [reason for audience, reason in told if audience == READER] == [None, None, *["no_room"] * 4]
        assert sum(len(receipt) + 1 for receipt in calls.received_receipts) <= most
        assert {receipt for _, receipt in honest} < {*calls.received_receipts}


class Sent(OneCall):
    """A call whose receipts have these lengths; it counts how often anybody looks at how much they are."""

    looked = 0

    def __init__(self, number: int, audience: str, lengths: list[int]) -> None:
        super().__init__(ReceiptBudget(), number, audience, "", b"")
        self.receipts = tuple("r" * (length - 1) for length in lengths)

    @property
    def size(self) -> int:
        Sent.looked += 1
        return super().size


def test_the_room_for_receipts_looks_at_each_call_once_however_many_there_are() -> None:
    room, calls = ReceiptBudget(), [Sent(number, TOOL, [3000]) for number in range(MAX_CALLS)]
    before = Sent.looked
    for call in calls:
        room.take(call)

    assert Sent.looked - before <= 2 * MAX_CALLS  # once when it comes, and once if it is left out
    assert sum(bool(call.receipts) for call in calls) == (MAX_VALUE - MAX_OWN) // 3000


def naming(*receipts: str) -> str:
    """What has the form of a receipt, and names others."""
    calls = [{"receipt": digest_of(one)} for one in receipts]
    payload = json.dumps({"calls": calls}, separators=(",", ":")).encode()
    return f"h.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.s"


LEAVES = [f"a.b.{number}" for number in range(MAX_RECEIPTS - 1)]
MANY = "~".join([naming(*LEAVES), *LEAVES]).encode()
LONG = "c" * (MAX_VALUE - MAX_OWN)
NOTED: dict[str, tuple[str, bytes, str | None, tuple[str | None, str | None]]] = {
    "no place": (TOOL, b'{"text":"x"}', None, (None, "none")),
    "an empty place": (TOOL, b'{"receipts":""}', None, (None, "none")),
    "two places": (TOOL, b'{"receipts":"a.b.c","a":{"receipts":"a.b.c"}}', None, (None, "none")),
    "outside": ("llamastack", b'{"receipts":"a.b.c"}', None, (None, "outside")),
    "too many": (TOOL, b'{"receipts":"%b"}' % MANY, None, (None, "no_room")),
    "too long": (TOOL, b'{"receipts":"a.b.%b"}' % LONG.encode(), None, (None, "no_room")),
    "in the header": (TOOL, b"{}", "a.b.c", ("a.b.c", None)),
    "the member counts": (TOOL, b'{"receipts":"d.e.f"}', "a.b.c", ("d.e.f", None)),
    "also an empty one": (TOOL, b'{"receipts":""}', "a.b.c", (None, "none")),
    "one and a half in the header": (TOOL, b"{}", "a.b.c~d", (None, "none")),
    "two in the header": (TOOL, b"{}", "a.b.c~d.e.f", (None, "none")),
    "no JWS in the header": (TOOL, b"{}", "a.b.c.d", (None, "none")),
    "an umlaut in the header": (TOOL, b"{}", "a.b.\u00fc", (None, "none")),
    "a long header": (TOOL, b"{}", f"a.b.{'c' * MAX_OWN}", (None, "none")),
    "an empty header": (TOOL, b"{}", "", (None, "none")),
    "outside, in the header": ("llamastack", b"{}", "a.b.c", (None, "outside")),
}


@pytest.mark.parametrize(("audience", "answer", "header", "noted"), NOTED.values(), ids=NOTED)
def test_a_receipt_comes_in_its_place_or_in_the_header_and_there_is_a_reason_for_none(
    audience: str, answer: bytes, header: str | None, noted: tuple[str | None, str | None]
) -> None:
    calls = Calls()

    left = calls.note_call(audience, "T3", b"").note_answer(answer, header)

    [one] = calls.entries()
    assert ("".join(calls.received_receipts) or None, one.reason) == noted
    assert (one.receipt is None, one.answer) == (noted[0] is None, hashed(left))


def test_a_refusal_without_calls_has_its_receipt_in_the_header_and_its_body_as_it_is(call: Call) -> None:
    answer, calls = Sealing(call, signed), call.calls
    assert calls is not None
    calls.refusal = Denied(Reason.RESOURCE_DENIED)
    calls.note_resource(sanitize("document FIN-201"), Reason.RESOURCE_DENIED)

    answer.pass_on(start(content_length="2"))
    begun, whole = answer.pass_on(body(b"{}"))

    headers = dict(begun["headers"])
    own = said(headers[HEADER.encode()].decode())
    assert (whole["body"], headers[b"content-length"]) == (b"{}", b"2")
    assert (own.verdict, own.answer, own.calls) == ("refused", hashed(b"{}"), ())
    assert (own.operation, call.receipt) == ("POST /tasks", digest_of(headers[HEADER.encode()].decode()))


@pytest.mark.parametrize("change", ["called", "exchanged", "resources", "unnoted", "not refused", "in pieces"])
def test_any_other_answer_has_none_in_the_header(call: Call, change: str) -> None:
    answer, calls = Sealing(call, signed), call.calls
    assert calls is not None
    calls.refusal = None if change == "not refused" else Denied(Reason.RESOURCE_DENIED)
    match change:
        case "called":
            calls.note_call(TOOL, "T3", b"")
        case "exchanged":
            calls.note_exchange(TOOL)
        case "resources":
            calls.note_resource(sanitize("document A"), None)
            calls.note_resource(sanitize("document B"), None)
        case "unnoted":
            calls.whole = False

    answer.pass_on(start())
    begun, _ = answer.pass_on(body(b"{}", more=change == "in pieces"))
    answer.pass_on(body(b""))

    assert begun["headers"] == []


def test_a_call_without_an_answer_is_noted_all_the_same() -> None:
    calls = Calls()
    calls.note_call(TOOL, "T3", b"")
    calls.note_call(TOOL, "T3", b"").note_reason("not_sent")

    assert [one.reason for one in calls.entries()] == ["no_answer", "not_sent"]


def test_a_token_that_was_asked_for_is_noted_once_and_with_its_calls() -> None:
    calls = Calls()
    for token in ("T1", "T1", "T2"):
        calls.note_exchange(TOOL, token)
    calls.note_exchange(READER, reason="peer_revoked")
    calls.note_call(TOOL, "T2", b"").note_answer(b"")

    assert [(one.token, one.reason) for one in calls.entries()] == [
        ("T2", "none"),
        ("T1", "not_called"),
        (None, "peer_revoked"),
    ]


def test_a_receipt_that_comes_twice_is_named_for_both_calls_and_passed_on_once() -> None:
    calls = Calls()
    for token in ("T1", "T2"):
        calls.note_call(TOOL, token, b"").note_answer(b"{}", "a.b.c")

    assert [one.receipt for one in calls.entries()] == [digest_of("a.b.c")] * 2
    assert calls.received_receipts == ["a.b.c"]


def test_what_was_denied_stays_denied_whatever_is_permitted_afterwards() -> None:
    calls = Calls()
    for reason in (None, Reason.RESOURCE_DENIED, None):
        calls.note_resource(sanitize(f"Document {reason}"), reason)
    assert calls.denied is Reason.RESOURCE_DENIED


@pytest.mark.parametrize(
    ("note", "most"),
    [
        (lambda calls, number: calls.note_exchange(TOOL, f"T{number}"), MAX_CALLS),
        (lambda calls, _: calls.note_call(TOOL, "T3", b""), MAX_CALLS),
        (lambda calls, number: calls.note_resource(f"Document {number}", None), MAX_RESOURCES),
    ],
    ids=["exchanges", "calls", "resources"],
)
def test_a_request_that_asks_for_more_than_can_be_noted_has_no_receipt(
    note: Callable[[Calls, int], None], most: int
) -> None:
    calls = Calls()
    for number in range(most):
        note(calls, number)
    assert calls.whole

    note(calls, most)

    assert not calls.whole
    assert (calls.entries(), calls.resources) == ((), ())


# on its way out


@pytest.fixture
def call() -> Call:
    """A call whose caller was verified."""
    caller = principal(actors=(READER,), audience=TOOL, token_id="T2", lineage=("T0", "T1"))
    scope = {"type": "http", "method": "POST", "path": "/tasks"}
    return Call(scope=scope, receive=AsyncMock(), principal=caller, calls=Calls())


def signed(call: Call) -> str | None:
    notary = Notary(lambda: the_ca().svid("tool/documents"), lambda: 1_795_600_001.5)
    return notary.sign(call, policy="41d3c5a0b7e2", code=DIGEST)


def start(**headers: str) -> Message:
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": 200, "headers": given}


def body(content: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


def test_an_answer_gets_the_receipt_its_length_and_the_receipts_from_below(call: Call) -> None:
    answer, content = Sealing(call, signed), b'{"receipts":""}'
    assert call.calls is not None
    call.calls.note_call(TOOL, "T3", b"").note_answer(b'{"receipts":"below.b.b"}')
    call.operation = "tools/call read"

    assert answer.pass_on(start(content_length=str(len(content)))) == []
    first, last = answer.pass_on(body(content))

    assert dict(first["headers"]) == {b"content-length": b"%d" % len(last["body"])}
    found = parse_answer(last["body"])
    assert found is not None
    own, below = found.receipts
    assert (call.receipt, below, said(own).operation) == (digest_of(own), "below.b.b", "POST tools/call read")
    assert call.outcome().answer_sha256 == said(own).answer == hashed(content)


def test_a_stream_ends_with_the_receipt(call: Call) -> None:
    answer, event = Sealing(call, signed), b'data: {"receipts":""}\n\n'

    sent = [
        *answer.pass_on(start()),
        *answer.pass_on(body(b"data: 1\n\n", more=True)),
        *answer.pass_on(body(event, more=True)),
        *answer.pass_on(body(b": ping\n\n", more=True)),
        *answer.pass_on(body(b"")),
    ]

    assert [message.get("more_body") for message in sent] == [None, True, False]
    found = parse_answer(sent[-1]["body"])
    assert found is not None
    assert said(found.receipts[0]).answer == hashed(b"data: 1\n\n" + event)
    assert call.unfinished_answer is None


def test_a_request_of_which_not_all_has_come_was_not_read(call: Call) -> None:
    for message in {"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}:
        call.note_received(message)
        assert not call.request_read


PLACE = b'{"receipts":""}'
LENGTH = start(content_length="20")
OTHERS: dict[str, list[Message]] = {
    "without a place": [start(), body(b'{"text":"x"}')],
    "with receipts of somebody else": [start(), body(b'{"receipts":"a.b.c"}')],
    "with two places": [start(), body(b'{"receipts":"","a":{"receipts":""}}')],
    "of a length": [LENGTH, body(PLACE[:-1], more=True), body(b"}")],
    "in pieces": [LENGTH, body(b"{", more=True), body(PLACE[1:])],
    "too long with its receipts": [start(), body(b'{"receipts":"","text":"%b"}' % (b"x" * (1 << 20)))],
    "to an unverified caller": [start(), body(PLACE)],
    "of whom too little was noted": [start(), body(PLACE)],
    "of a party without an identity": [start(), body(PLACE)],
}


@pytest.mark.parametrize("how", OTHERS)
def test_other_answers_pass_as_they_are(call: Call, how: str) -> None:
    def nobody() -> Any:
        raise WorkloadError("no SVID")

    unsigned = partial(Notary(nobody).sign, policy="p", code=None)
    answer = Sealing(call, unsigned if how == "of a party without an identity" else signed)
    assert call.calls is not None
    call.calls.whole = how != "of whom too little was noted"
    if how == "to an unverified caller":
        call.calls = None

    passed = [passed for message in OTHERS[how] for passed in answer.pass_on(message)]

    assert passed == OTHERS[how]
    assert (call.first, call.receipt) == (passed[0], None)


@pytest.mark.parametrize(
    ("refusal", "verdict"),
    [
        (Denied(Reason.SCOPE_MISSING), "refused"),
        (Denied(Reason.FAILED), "failed"),
        (Denied(Reason.APPLICATION_ERROR), "failed"),
        (Denied(Reason.ANSWER_LOST), "unclear"),
        (Denied(Reason.EXPIRED), "refused"),
        (Denied(Reason.EXPIRED, more={"begun": True}), "unclear"),
        (Denied(Reason.PEER_REVOKED), "refused"),
        (Denied(Reason.PEER_REVOKED, more={"begun": True}), "unclear"),
    ],
)
def test_a_refusal_says_why_and_whether_something_may_have_been_done(call: Call, refusal: Denied, verdict: str) -> None:
    assert call.calls is not None
    call.calls.refusal = refusal

    own = signed(call)

    assert own is not None
    assert (said(own).verdict, said(own).reason) == (verdict, str(refusal.reason))


def test_a_resource_that_was_denied_and_an_error_that_the_app_chose_are_not_done(call: Call) -> None:
    call.first = {**start(), "status": 404}
    own = signed(call)
    assert own is not None
    assert (said(own).verdict, said(own).reason) == ("failed", "application_error")

    assert call.calls is not None
    call.calls.note_resource(sanitize("Document FIN-201"), Reason.RESOURCE_DENIED)
    own = signed(call)
    assert own is not None
    assert (said(own).verdict, said(own).reason) == ("refused", "resource_denied")
    assert said(own).resources == ("Document FIN-201",)
