"""Whom a registry and its lock approve, for the reader of receipts who accepts just them."""

from collections.abc import Mapping

from zerotrust.receipts.accepted import Accepted, Party
from zerotrust.registry.lock import Approved
from zerotrust.registry.model import Registry


def approved(registry: Registry, lock: Mapping[str, Approved]) -> Accepted:
    """Return what a registry and its lock approve; `lock`: by name of the party."""
    parties = {
        registry.id(name): Party(frozenset({found.code}), frozenset(registry.scopes_at(name)))
        for name, found in lock.items()
        if found.code
    }
    return Accepted(parties, frozenset(registry.outside))
