"""Signs the receipt of a request and puts it into the answer, before the last byte of that leaves."""

import time
from collections.abc import Callable
from typing import Literal

from starlette.types import Message

from zerotrust.audit.forms import sanitize
from zerotrust.call import Call
from zerotrust.decision import Reason
from zerotrust.limits.answers import MAX_ANSWER
from zerotrust.receipts.calls import Calls
from zerotrust.receipts.carried import HEADER, Carried, embed_receipts, parse_answer
from zerotrust.receipts.receipt import KIND, Receipt, Recorded, Shown, digest_of
from zerotrust.spiffe.statement import sign
from zerotrust.spiffe.svid import Svid, WorkloadError

Verdict = Literal["done", "refused", "failed", "unclear"]


class Notary:
    """Signs the receipts of one party."""

    def __init__(self, identity: Callable[[], Svid], clock: Callable[[], float] = time.time) -> None:
        """`identity`: the current SVID; `clock`: seconds since the epoch."""
        self._identity, self._clock = identity, clock

    def sign(self, call: Call, *, policy: str, code: str | None) -> str | None:
        """Return the receipt of a call whose whole answer is known; None if this party has no identity now.

        `policy`: the version of the policies; `code`: the approved digest over the code of this party.
        """
        principal, calls = call.principal, call.calls
        assert principal is not None  # noqa: S101 - for the type checker: only verified callers get one
        assert calls is not None  # noqa: S101 - as above
        now = self._clock()
        verdict, reason = _verdict(call, calls)
        receipt = Receipt(
            id=f"{call.span.trace_id}-{call.span.span_id}",
            txn=principal.transaction,
            began=int(now - (time.monotonic_ns() - call.began) / 1e9),
            iat=int(now),
            caller=call.peer.id,
            token=Shown(jti=principal.token_id, azp=principal.party, aud=principal.audience, lineage=principal.lineage),
            request=call.request_digest.hexdigest() if call.request_read else None,
            answer=call.answer_digest.hexdigest(),
            status=call.first["status"] if call.first else 0,
            verdict=verdict,
            reason=reason,
            operation=sanitize(f"{call.scope['method']} {call.operation or call.scope['path']}"),
            permission=call.permission,
            resources=calls.resources,
            policy=policy,
            code=code,
            calls=calls.entries(),
            journal=Recorded(n=call.record.records, sha256=call.record.head) if call.record else None,
        )
        try:
            return sign(receipt.payload(), self._identity(), kind=KIND)
        except WorkloadError:
            return None


def _verdict(call: Call, calls: Calls) -> tuple[Verdict, str | None]:
    status = call.first["status"] if call.first else 0
    if refusal := calls.refusal:
        unclear = refusal.reason is Reason.ANSWER_LOST or "begun" in refusal.more
        failed = refusal.reason in {Reason.FAILED, Reason.APPLICATION_ERROR}
        return "unclear" if unclear else "failed" if failed else "refused", str(refusal.public_reason)
    if calls.denied:
        return "refused", str(calls.denied)
    return ("done", None) if status < 400 else ("failed", str(Reason.APPLICATION_ERROR))


class Sealing:
    """One answer on its way out.  Its start waits for its first piece, which may change its length."""

    def __init__(self, call: Call, sign: Callable[[Call], str | None]) -> None:
        """`sign` returns the receipt of the call, or None."""
        self._call, self._sign = call, sign
        self._start: Message | None = None
        self._over = False

    def pass_on(self, message: Message) -> list[Message]:
        """Note a message that the app sends; return what is to be sent now.

        The piece with the place for receipts is the last one that is sent: no receipt would cover a later one.
        """
        call, calls = self._call, self._call.calls
        if self._over:
            return []
        if calls is None:
            call.note_sent(message)
            return [message]
        if message["type"] == "http.response.start":
            self._start = message
            return []
        start, self._start = self._start, None
        if start:
            call.note_sent(start)
        has_length = call.first is not None and any(n.lower() == b"content-length" for n, _ in call.first["headers"])
        place = parse_answer(message.get("body", b"")) if calls.whole and (start or not has_length) else None
        if place is None or place.receipts or (has_length and message.get("more_body")):
            call.note_sent(message)
            if start and calls.refusal and calls.brief and not message.get("more_body"):
                start = self._with_header(start)
            return [start, message] if start else [message]
        message = {**message, "more_body": False}
        call.note_sent(message)
        self._over = True
        body = self._with_receipts(calls, place)
        if start:
            headers = [
                (name, b"%d" % len(body) if name.lower() == b"content-length" else value)
                for name, value in start["headers"]
            ]
            start = {**start, "headers": headers}
        message = {**message, "body": body}
        return [start, message] if start else [message]

    def _with_header(self, start: Message) -> Message:
        own = self._sign(self._call)
        self._call.receipt = digest_of(own) if own else None
        return {**start, "headers": [*start["headers"], (HEADER.encode(), own.encode())]} if own else start

    def _with_receipts(self, calls: Calls, place: Carried) -> bytes:
        call = self._call
        own = self._sign(call)
        body = embed_receipts(place, [own, *calls.received_receipts]) if own else place.content
        if len(body) > MAX_ANSWER:  # a caller reads no more than that; without a receipt, it reads the answer
            return place.content
        call.receipt = digest_of(own) if own else None
        return body
