"""Holds what the reader of receipts accepts: parties, with the code and the scopes that each may have had.  Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from zerotrust.registry.model import Approved, Registry


@dataclass(frozen=True, slots=True)
class Party:
    """One party that is accepted."""

    code: frozenset[str]
    """The digests of the code that it may have run."""
    permissions: frozenset[str] | None = None
    """The scopes that it may have served; None for any."""
    clients: frozenset[str] = frozenset()
    """The ids of the clients that users sign in with to call it; only a front door has any."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """All parties and servers that are accepted."""

    parties: Mapping[str, Party]
    """By SPIFFE ID."""
    outside: frozenset[str] = frozenset()
    """The servers outside, which give no receipts, by name."""
    ledger: str | None = None
    """The party that takes the journals, by SPIFFE ID: it says whose records are late.  With None, any party says so,
    and then a party can keep an answer from being complete."""


def approved(registry: Registry, lock: Mapping[str, Approved]) -> Accepted:
    """Return what a registry and its lock approve; `lock`: by name of the party."""
    calls = {registry.id(name): party.may_call for name, party in registry.parties.items() if party.starts_chains}
    parties = {
        registry.id(name): Party(
            frozenset({found.code}),
            frozenset(registry.scopes_at(name)),
            frozenset(client for client, called in calls.items() if name in called),
        )
        for name, found in lock.items()
        if found.code
    }
    return Accepted(parties, frozenset(registry.outside), registry.id(registry.authorities.audit))
