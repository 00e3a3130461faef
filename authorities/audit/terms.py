"""The search terms of a leaf of the log: its place in its journal, and the receipt that it names.  Pure."""

import re
from typing import Literal, NamedTuple

from zerotrust.authority.ledger.leaf import Heads, outline

_RECEIPT = re.compile(
    rb'\{"event":\{"data":\{"answer_sha256":"[0-9a-f]{64}","duration":[0-9]+,"ended":"[a-z_]+",'
    rb'"receipt":"([0-9a-f]{64})"'
)
"""How the record of an outcome with a receipt begins, in canonical form (`zerotrust/audit/canonical.py`)."""


class Term(NamedTuple):
    """One search term of a leaf."""

    kind: Literal["record", "receipt"]
    value: str


def record_term(service: str, number: int) -> Term:
    """Return the term of one line of a journal; `service` is a SPIFFE ID."""
    return Term("record", f"{service} {number}")


def receipt_term(service: str, sha256: str) -> Term:
    """Return the term of a receipt that a service says it gave: a record of another service does not match."""
    return Term("receipt", f"{service} {sha256}")


def terms_of(entry: bytes) -> frozenset[Term]:
    """Return the terms of a leaf; nothing for the heads of journals, and for a line that is not a leaf.

    The intake has parsed each leaf (`sent_lines.py`), so this does not: a log has millions.
    """
    try:
        leaf = outline(entry)
    except ValueError:
        return frozenset()
    if isinstance(leaf, Heads):
        return frozenset()
    own = record_term(leaf.service, leaf.number)
    receipt = _RECEIPT.match(entry)
    return frozenset([own, receipt_term(leaf.service, receipt[1].decode())] if receipt else [own])
