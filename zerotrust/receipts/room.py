"""Which receipts of others have room in an answer: of each party at least its share, whatever the others send.

Nothing is summed up anew for each answer: a request may have made 256 calls.
"""

from bisect import insort
from collections import defaultdict
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Protocol

from zerotrust.receipts.carried import MAX_OWN, MAX_RECEIPTS, MAX_VALUE

MOST = MAX_VALUE - MAX_OWN
"""Bytes of the receipts of others in one answer, with what joins them."""


class WithReceipts(Protocol):
    """A call, with the receipts that came with its answer."""

    number: int
    """Its place among the calls of the request."""
    audience: str
    receipts: tuple[str, ...]

    def drop(self) -> int:
        """Leave its receipts out; return how many bytes they were."""

    @property
    def size(self) -> int:
        """The bytes of its receipts, with what joins them."""


@dataclass(slots=True)
class _Share:
    """What one party has sent, as far as it is not left out."""

    calls: list[WithReceipts] = field(default_factory=list)
    """In the order in which they were made."""
    size: int = 0
    many: int = 0

    @property
    def used(self) -> float:
        """How much of the room it takes up, by bytes or by number."""
        return max(self.size / MOST, self.many / MAX_RECEIPTS)


class Room:
    """In the answer to one request."""

    def __init__(self) -> None:
        self._shares: defaultdict[str, _Share] = defaultdict(_Share)
        self._size = self._many = 0

    def take(self, call: WithReceipts) -> None:
        """Take in the receipts of one more call, each call once.

        If there is no room for all, the latest of the party that sent the most are left out, until there is.
        """
        if not call.receipts:
            return
        share = self._shares[call.audience]
        insort(share.calls, call, key=attrgetter("number"))
        self._count(share, call.size, len(call.receipts))
        while self._size > MOST or self._many >= MAX_RECEIPTS:
            share = max(self._shares.values(), key=attrgetter("used"))  # control: receipts-room-shared
            latest = share.calls.pop()
            many = len(latest.receipts)
            self._count(share, -latest.drop(), -many)

    def _count(self, share: _Share, size: int, many: int) -> None:
        share.size, share.many = share.size + size, share.many + many
        self._size, self._many = self._size + size, self._many + many
