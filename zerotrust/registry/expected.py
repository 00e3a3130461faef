"""What a party expects of its callers, their tokens and their certificates, by the registry."""

from zerotrust.registry.model import Registry
from zerotrust.token_validation import Expected


def expected_at(name: str, registry: Registry, issuer: str) -> Expected:
    """Return what the party of this name expects; `issuer`: of all tokens."""
    parties = registry.parties
    callers = {registry.id(caller) for caller, party in parties.items() if name in party.may_call}
    return Expected(
        issuer=issuer,
        audience=registry.id(name),
        max_ttls={registry.id(holder): party.max_ttl for holder, party in parties.items() if party.max_ttl},
        initiating_clients=registry.initiating_clients & callers,
        without_certificate=registry.without_certificate & callers,
        peers={registry.id(peer): peer for peer in parties if peer not in registry.without_certificate},
    )
