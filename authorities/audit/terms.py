"""What a leaf of the log is about, as one searches for it.  Pure."""

from collections.abc import Iterator
from itertools import islice
from typing import Literal, NamedTuple

from zerotrust.audit.event import (
    Access,
    AuditEvent,
    Caller,
    Exchange,
    Outcome,
    RegistryChange,
    Request,
    UntrustedPeer,
)
from zerotrust.audit.leaf import Record, leaf_of

Kind = Literal["record", "receipt", "trace", "transaction", "token", "user", "party", "document"]

MOST_TERMS = 64
"""Of one leaf: a caller with the longest chain, and all else that an event names, are two dozen."""


class Term(NamedTuple):
    """Something that leaves are about."""

    kind: Kind
    value: str


def record_term(service: str, number: int) -> Term:
    """Return the term of one line of a journal; `service` is a SPIFFE ID."""
    return Term("record", f"{service} {number}")


def receipt_term(service: str, sha256: str) -> Term:
    """Return the term of a receipt that a service says it gave: whatever others name, its own is found."""
    return Term("receipt", f"{service} {sha256}")


def terms_of(entry: bytes) -> frozenset[Term]:
    """Return at most `MOST_TERMS` terms of a leaf; nothing for the heads of journals, and for what is no leaf."""
    try:
        leaf = leaf_of(entry)
    except ValueError:
        return frozenset()
    if not isinstance(leaf, Record):
        return frozenset()
    own = [record_term(leaf.event.service, leaf.link.records), Term("party", leaf.event.service)]
    return frozenset([*own, *islice(_terms(leaf.event), MOST_TERMS - len(own))])


def _terms(event: AuditEvent) -> Iterator[Term]:
    if event.trace:
        yield Term("trace", event.trace.trace_id)
        if event.trace.caller_trace_id:
            yield Term("trace", event.trace.caller_trace_id)
    data = event.data
    if isinstance(data, Request | Access | Exchange | RegistryChange) and data.principal:
        yield from _of_caller(data.principal)
    if isinstance(data, Request | RegistryChange) and data.peer:
        yield Term("party", data.peer.id)
    if isinstance(data, Outcome) and data.receipt:
        yield receipt_term(event.service, data.receipt)
    if isinstance(data, Access) and data.resource.kind == "Document":
        yield Term("document", data.resource.name)
    if isinstance(data, Exchange):
        yield Term("party", data.audience)
        yield from (Term("token", token) for token in (data.parent_token_id, data.token_id) if token)
    if isinstance(data, UntrustedPeer):
        yield Term("party", data.party)
    if isinstance(data, RegistryChange):
        yield from _of_target(event.service, data.target)


def _of_target(registry: str, target: str) -> Iterator[Term]:
    """Yield what the registry changed: a party by its name, or something else with its kind before it."""
    kind, _, name = target.partition(" ")
    if not name:
        domain = registry.split("/")[2]
        yield Term("party", f"spiffe://{domain}/{target}")
    elif kind in {"user", "token"}:
        yield Term("user" if kind == "user" else "token", name)


def _of_caller(caller: Caller) -> Iterator[Term]:
    yield Term("user", caller.subject)
    yield Term("transaction", caller.transaction)
    yield from (Term("party", party) for party in (caller.party, *caller.actors))
    yield from (Term("token", token) for token in (caller.token_id, *caller.lineage))
