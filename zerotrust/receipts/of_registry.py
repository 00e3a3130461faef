"""Whom a registry and its lock approve, for the reader of receipts who accepts just them."""

from collections.abc import Iterator, Mapping

from zerotrust.receipts.accepted import Accepted, Party
from zerotrust.registry.lock import Approved
from zerotrust.registry.model import Registry


def approved(registry: Registry, lock: Mapping[str, Approved]) -> Accepted:
    """Return what a registry and its lock approve; `lock`: by name of the party."""
    parties = {
        registry.id(name): Party(
            frozenset({found.code}), frozenset(registry.scopes_at(name)), frozenset(_clients(registry, name))
        )
        for name, found in lock.items()
        if found.code
    }
    return Accepted(parties, frozenset(registry.outside), registry.id(registry.authorities.audit))


def _clients(registry: Registry, name: str) -> Iterator[str]:
    """Yield the clients that users sign in with to call this party."""
    for client, party in registry.parties.items():
        if party.starts_chains and name in party.may_call:
            yield registry.id(client)
