"""Notes the calls that the current request has made to other parties so far, for its receipt.

The gate begins the notes, `service.py` adds each token that was asked for, and `transport/egress.py` each call.
Without a gate, nothing is noted.
"""

import hashlib
from bisect import insort
from collections import defaultdict
from dataclasses import dataclass, field
from operator import attrgetter

from zerotrust.audit.forms import Text
from zerotrust.context import REQUEST
from zerotrust.decision import Denied, ReasonCode
from zerotrust.receipts.carried import MAX_OWN, MAX_RECEIPTS, MAX_VALUE, keep_named, parse_answer, parse_header
from zerotrust.receipts.receipt import (
    MAX_CALLS,
    MAX_RESOURCES,
    NO_ANSWER,
    NO_ROOM,
    NONE,
    NOT_CALLED,
    OUTSIDE,
    Asked,
    digest_of,
)
from zerotrust.shielded import Shielding

MOST = MAX_VALUE - MAX_OWN
"""Bytes of the receipts of others in one answer, with what joins them."""


class OneCall:
    """One call to another party, while it is under way."""

    def __init__(self, room: "ReceiptBudget", number: int, audience: str, token: str, content: bytes) -> None:
        self._room, self.number, self.audience, self.token = room, number, audience, token
        self._request = hashlib.sha256(content).hexdigest()
        self._answer: str | None = None
        self.receipts: tuple[str, ...] = ()
        """The receipts that came with its answer; the first is that of the called party."""
        self._reason = NO_ANSWER

    def note_reason(self, reason: str) -> None:
        self._reason = reason

    def note_answer(self, content: bytes, header: str | None = None) -> bytes:
        """Note the answer, and take out the receipts that it brought; return what is left.

        `header`: the value of the header for a receipt, which counts if the content has no place for any.
        """
        outside = "://" not in self.audience
        found = None if outside else parse_answer(content)
        left, receipts = (
            (found.content, found.receipts) if found else (content, () if outside else parse_header(header))
        )
        self._answer = hashlib.sha256(left).hexdigest()
        self.receipts = keep_named(receipts)
        self.note_reason(OUTSIDE if outside else NONE)
        self._room.take(self)
        return left

    def drop(self) -> int:
        """Leave its receipts out, because there is no room; return their size."""
        size, self.receipts = self.size, ()
        self.note_reason(NO_ROOM)
        return size

    @property
    def size(self) -> int:
        """The bytes of its receipts, with what joins them."""
        return sum(len(receipt) + 1 for receipt in self.receipts)

    def entry(self) -> Asked:
        return Asked(
            aud=self.audience,
            token=self.token,
            request=self._request,
            answer=self._answer,
            receipt=digest_of(self.receipts[0]) if self.receipts else None,
            reason=None if self.receipts else self._reason,
        )


@dataclass(slots=True)
class _Share:
    """The receipts of one party that are not left out."""

    calls: list["OneCall"] = field(default_factory=list)
    """In the order in which they were made."""
    size: int = 0
    many: int = 0

    @property
    def usage(self) -> float:
        """The fraction of the room that it takes up, by bytes or by number."""
        return max(self.size / MOST, self.many / MAX_RECEIPTS)


class ReceiptBudget:
    """Chooses the receipts of others for an answer: of each party at least its share, whatever others send.

    It keeps running sums, because a request may make 256 calls.
    """

    def __init__(self) -> None:
        self._shares: defaultdict[str, _Share] = defaultdict(_Share)
        self._size = self._many = 0

    def take(self, call: "OneCall") -> None:
        """Take in the receipts of one more call, each call once.

        While there is no room for all, it leaves out the latest of the party that sent the most.
        """
        if not call.receipts:
            return
        share = self._shares[call.audience]
        insort(share.calls, call, key=attrgetter("number"))
        self._count(share, call.size, len(call.receipts))
        while self._size > MOST or self._many >= MAX_RECEIPTS:
            share = max(self._shares.values(), key=attrgetter("usage"))  # control: receipts-room-shared
            latest = share.calls.pop()
            many = len(latest.receipts)
            self._count(share, -latest.drop(), -many)

    def _count(self, share: _Share, size: int, many: int) -> None:
        share.size, share.many = share.size + size, share.many + many
        self._size, self._many = self._size + size, self._many + many


class Calls(Shielding):
    """The calls of one request.  Exchanges run to their end, and are then noted."""

    def __init__(self) -> None:
        super().__init__()
        self.refusal: Denied | None = None
        """The refusal of the request itself, if it was refused."""
        self.denied: ReasonCode | None = None
        """Why a resource was denied, if one was."""
        self.whole = True
        """Whether everything was noted; otherwise there is no receipt."""
        self._calls: list[OneCall] = []
        self._room = ReceiptBudget()
        self._exchanges: dict[tuple[str, str | None, str], None] = {}
        self._resources: dict[Text, None] = {}

    def note_exchange(self, audience: str, token: str | None = None, reason: str = NOT_CALLED) -> None:
        """Note a token that was asked for; without a token, the reason why there is none."""
        self._exchanges[audience, token, reason] = None
        self._enforce_bounds()

    def note_call(self, audience: str, token: str, content: bytes) -> OneCall:
        """Note a call that is about to be made with this token and this content."""
        self._calls.append(call := OneCall(self._room, len(self._calls), audience, token, content))
        self._enforce_bounds()
        return call

    @property
    def brief(self) -> bool:
        """Whether the receipt fits into a header: no party was called, and at most one resource was looked at."""
        return self.whole and not self._calls and not self._exchanges and len(self._resources) <= 1

    @property
    def received_receipts(self) -> list[str]:
        """The receipts that came with answers, as far as there is room; a receipt that came twice is there once."""
        return [*dict.fromkeys(receipt for call in self._calls for receipt in call.receipts)]

    def note_resource(self, resource: Text, denied: ReasonCode | None) -> None:
        """Note a resource that the policies were asked about, and why it was denied, if it was."""
        self._resources[resource] = None
        self.denied = denied or self.denied
        self._enforce_bounds()

    def _enforce_bounds(self) -> None:
        many = len(self._calls) + len(self._exchanges) > MAX_CALLS or len(self._resources) > MAX_RESOURCES
        if many:
            self.whole = False
            for noted in (self._calls, self._exchanges, self._resources):
                noted.clear()
            self._room = ReceiptBudget()

    @property
    def resources(self) -> tuple[Text, ...]:
        return tuple(self._resources)

    def entries(self) -> tuple[Asked, ...]:
        """Return every call, and every token that was asked for and sent with none of them."""
        made, used = [call.entry() for call in self._calls], {call.token for call in self._calls}
        unused = [Asked(aud=aud, token=token, reason=why) for aud, token, why in self._exchanges if token not in used]
        return (*made, *unused)


def current_calls() -> Calls | None:
    """Return the notes of the current request; None if no gate has begun any."""
    request = REQUEST.get(None)
    return request.calls if request and isinstance(request.calls, Calls) else None
