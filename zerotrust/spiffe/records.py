"""Gives OpenSSL one TLS record at a time, and ends a connection that brings many of them and little data.

In one call, OpenSSL works through all that has come until a record brings data.  It has no bound on records that bring
none, such as KeyUpdate (RFC 8446 section 4.6.3): each has 27 bytes, and all else waits some microseconds for it.
"""

import ssl
from collections.abc import Callable
from typing import Any

FEW_RECORDS, SMALL_RECORD = 64, 32
"""Records that a connection may bring without data in all its life; and of all records so many, and one for each
`SMALL_RECORD` bytes of data.  A handshake has about six, a request one or two."""

_HEAD = 5  # RFC 8446 section 5.1: the last two bytes are the length of the rest


class CountingTLS(ssl.SSLObject):
    """One connection, which fails once its records are too many for their data."""

    _come: ssl.MemoryBIO
    _given: ssl.MemoryBIO
    """The bytes that have come, and those that OpenSSL has of them."""
    _head, _left = b"", 0
    """The current record: its head as far as it has come, and the bytes that are still missing."""
    _records, _empty, _data = 0, 0, 0

    @classmethod
    def _create(cls, incoming: ssl.MemoryBIO, *others: Any, **options: Any) -> Any:
        """Return a new object; `SSLContext.wrap_bio` calls this."""
        self: Any = super()._create(given := ssl.MemoryBIO(), *others, **options)  # type: ignore[misc]
        self._come, self._given = incoming, given
        return self

    def do_handshake(self) -> None:
        self._feed(super().do_handshake)

    def unwrap(self) -> None:
        self._feed(super().unwrap)

    def read(self, *arguments: Any) -> Any:
        got = self._feed(super().read, *arguments)
        self._data += got if isinstance(got, int) else len(got)
        return got

    def _feed(self, work: Callable[..., Any], *arguments: Any) -> Any:
        while True:
            more = not self.pending() and self._give()  # an event loop asks for `pending`, and does not know of more
            try:
                return work(*arguments)
            except ssl.SSLWantReadError:
                if not more:
                    raise
            self._empty += not self._left
            if self._empty > FEW_RECORDS:  # control: records-without-data
                raise ssl.SSLError("too many records without data")

    def _give(self) -> bool:
        """Give OpenSSL the next record, as far as it has come.  Return whether there was anything."""
        if self._come.eof:
            self._given.write_eof()
        if not self._left:
            self._head += self._come.read(_HEAD - len(self._head))
            if len(self._head) < _HEAD:
                return False
            self._given.write(self._head)
            self._head, self._left = b"", int.from_bytes(self._head[3:])
            self._records += 1
            if self._records > FEW_RECORDS + self._data // SMALL_RECORD:  # control: records-for-their-data
                raise ssl.SSLError("too many records for the data that they bring")
        part = self._come.read(self._left)
        self._left -= self._given.write(part)
        return bool(part)
