"""What the request being handled has asked of others so far, for its receipt.

The gate begins it, `service.py` notes each token that was asked for, and `transport/egress.py` each call.  Where no
gate has begun it, nothing is noted.
"""

import hashlib
from collections import defaultdict
from contextvars import ContextVar

from zerotrust.audit.event import Text
from zerotrust.decision import Denied, ReasonCode
from zerotrust.receipts.carried import MAX_OWN, MAX_RECEIPTS, MAX_VALUE, named, taken
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


class OneCall:
    """One call to another party, while it is under way."""

    def __init__(self, of: "Calls", audience: str, token: str, content: bytes) -> None:
        self._of, self.audience, self.token = of, audience, token
        self._request = hashlib.sha256(content).hexdigest()
        self._answer: str | None = None
        self.receipts: tuple[str, ...] = ()
        """Those that came with its answer: that of the party that was called first."""
        self._reason = NO_ANSWER

    def ended(self, reason: str) -> None:
        """Note why there is no receipt."""
        self._reason = reason

    def answered(self, content: bytes) -> bytes:
        """Note the answer, and take out the receipts that it brought; return what is left."""
        outside = "://" not in self.audience
        found = None if outside else taken(content)
        left, receipts = (found.content, found.receipts) if found else (content, ())
        self._answer = hashlib.sha256(left).hexdigest()
        self.receipts = named(receipts)
        self.ended(OUTSIDE if outside else NONE)
        self._of.make_room()
        return left

    def drop(self) -> int:
        """Leave its receipts out, because there is no room; return how much they were."""
        size, self.receipts = self.size, ()
        self.ended(NO_ROOM)
        return size

    @property
    def size(self) -> int:
        """The bytes of its receipts, with what joins them."""
        return sum(len(receipt) + 1 for receipt in self.receipts)

    def asked(self) -> Asked:
        """Return what the receipt says of it."""
        return Asked(
            aud=self.audience,
            token=self.token,
            request=self._request,
            answer=self._answer,
            receipt=digest_of(self.receipts[0]) if self.receipts else None,
            reason=None if self.receipts else self._reason,
        )


class Calls:
    """Of one request."""

    def __init__(self) -> None:
        self.refusal: Denied | None = None
        """Why the request itself was refused, if it was."""
        self.denied: ReasonCode | None = None
        """Why a resource was denied, if one was."""
        self.whole = True
        """Whether everything was noted; otherwise there is no receipt."""
        self._calls: list[OneCall] = []
        self._exchanges: dict[tuple[str, str | None, str], None] = {}
        self._resources: dict[Text, None] = {}

    def exchanged(self, audience: str, token: str | None = None, reason: str = NOT_CALLED) -> None:
        """Note a token that was asked for; without a token, the reason why there is none."""
        self._exchanges[audience, token, reason] = None
        self._bound()

    def called(self, audience: str, token: str, content: bytes) -> OneCall:
        """Note a call that is about to be made with this token and this content."""
        self._calls.append(call := OneCall(self, audience, token, content))
        self._bound()
        return call

    @property
    def received(self) -> list[str]:
        """The receipts that came with answers, as far as there is room."""
        return [receipt for call in self._calls for receipt in call.receipts]

    def make_room(self) -> None:
        """Leave receipts out until the others fit into the answer: the latest of the party that sent the most.

        So a party has at least its share of the room, whatever the others send.
        """
        size, many = sum(call.size for call in self._calls), sum(len(call.receipts) for call in self._calls)
        while size > MAX_VALUE - MAX_OWN or many >= MAX_RECEIPTS:
            used = defaultdict[str, list[float]](lambda: [0, 0])
            for call in self._calls:
                used[call.audience][0] += call.size / (MAX_VALUE - MAX_OWN)
                used[call.audience][1] += len(call.receipts) / MAX_RECEIPTS
            most = max(used, key=lambda audience: max(used[audience]))  # control: receipts-room-shared
            latest = next(call for call in reversed(self._calls) if call.receipts and call.audience == most)
            many -= len(latest.receipts)
            size -= latest.drop()

    def about(self, resource: Text, denied: ReasonCode | None) -> None:
        """Note a resource that the policies were asked about, and why it was denied, if it was."""
        self._resources[resource] = None
        self.denied = denied or self.denied
        self._bound()

    def _bound(self) -> None:
        many = len(self._calls) + len(self._exchanges) > MAX_CALLS or len(self._resources) > MAX_RESOURCES
        if many:
            self.whole = False
            for noted in (self._calls, self._exchanges, self._resources):
                noted.clear()

    @property
    def resources(self) -> tuple[Text, ...]:
        """The resources, each once."""
        return tuple(self._resources)

    def asked(self) -> tuple[Asked, ...]:
        """Return every call, and every token that was asked for and sent with none of them."""
        made, used = [call.asked() for call in self._calls], {call.token for call in self._calls}
        unused = [Asked(aud=aud, token=token, reason=why) for aud, token, why in self._exchanges if token not in used]
        return (*made, *unused)


CALLS: ContextVar[Calls | None] = ContextVar("calls", default=None)
