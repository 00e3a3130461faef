"""Puts receipts into an answer and takes them out: one string among its members, which the digests leave out.  Pure.

The string has the receipt of the party that answers, and then those that it received, joined by `~`.  An app puts the
member there empty, and the gate fills it.  Everything is done on bytes: no reader has to write JSON as its sender did.
"""

import base64
import binascii
import hashlib
import re
import string
from collections.abc import Sequence
from typing import NamedTuple

EXTENSION = "urn:zerotrust:receipts:v1"
"""The member's name in the metadata of an A2A message: the URI of the extension."""
META = "zerotrust/receipts"
"""Its name in the `_meta` of an MCP result."""
MEMBER = "receipts"
"""Its name in any other JSON object."""
HEADER = "zerotrust-receipt"
"""The header for the one receipt of a refusal that was sent before any other party was called."""
MAX_RECEIPTS = 256
"""Receipts in one answer: those of two agents' tasks with as many calls as an agent may make (`agent_loop.py`)."""
MAX_VALUE = 512 * 1024
"""Bytes of them: half of an answer (`limits/answers.py`).  A receipt has 2 to 3 kB."""

MAX_OWN = 128 * 1024
"""Bytes of these that the receipt of the party itself may take: it names each of its calls, in 400 bytes."""

_OPENINGS = tuple(f'"{name}":"'.encode() for name in (EXTENSION, META, MEMBER))
"""The only spelling, without white space.  No string has one inside, because its quotes are escaped."""
_NAMED = re.compile(rb'"receipt":"([0-9a-f]{64})"')
"""The form in which a receipt names another."""
_BYTES = (string.ascii_letters + string.digits + "-_.").encode()
"""The bytes of a receipt."""


class Carried(NamedTuple):
    """An answer whose receipts were taken out."""

    content: bytes
    """The content with the value emptied, of which digests are made."""
    at: int
    """Where the value was."""
    receipts: tuple[str, ...]


def parse_answer(content: bytes) -> Carried | None:
    """Take the receipts out of an answer; None unless it has exactly one place for them, of the right form."""
    starts = [at + len(opening) for opening in _OPENINGS if (at := content.find(opening)) >= 0]
    if len(starts) != 1 or any(content.find(opening, starts[0]) >= 0 for opening in _OPENINGS):
        return None
    (start,) = starts
    end = content.find(b'"', start)
    value = content[start:end]
    if end < 0 or len(value) > MAX_VALUE or value.translate(None, _BYTES + b"~"):
        return None
    receipts = tuple(value.decode().split("~")) if value else ()
    if len(receipts) > MAX_RECEIPTS or not all(map(_is_jws, receipts)):
        return None
    return Carried(content[:start] + content[end:], start, receipts)


def parse_header(value: str | None) -> tuple[str, ...]:
    """Return the receipt in a header's value; empty unless it has the form of one."""
    # control: header-holds-one-receipt
    fits = value and len(value) <= MAX_OWN and not value.encode().translate(None, _BYTES) and _is_jws(value)
    return (value,) if value and fits else ()


def keep_named(receipts: Sequence[str]) -> tuple[str, ...]:
    """Return the first receipt, and each other receipt that an earlier receipt names."""
    known, found = set[bytes](), list[str]()
    for receipt in receipts:
        if found and hashlib.sha256(receipt.encode()).hexdigest().encode() not in known:  # control: receipts-named
            continue
        found.append(receipt)
        if len(receipts) > 1:
            known.update(_digests_in(receipt))
    return tuple(found)


def _digests_in(receipt: str) -> list[bytes]:
    payload = receipt.split(".")[1]
    try:
        return _NAMED.findall(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except binascii.Error:  # it is no receipt
        return []


def _is_jws(text: str) -> bool:
    parts = text.split(".")
    return len(parts) == 3 and all(parts)  # header, payload, signature (RFC 7515 section 7.1)


def embed_receipts(empty: Carried, receipts: Sequence[str]) -> bytes:
    """Return an answer with these receipts in the empty place."""
    return empty.content[: empty.at] + "~".join(receipts).encode() + empty.content[empty.at :]
