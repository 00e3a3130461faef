"""Whether each scope can reach the party that uses it, starting from a sign-in.  Pure."""

from zerotrust.authority.files.lock import REGISTRY
from zerotrust.registry.model import Registry


def unreachable_scopes(registry: Registry) -> list[str]:
    """Return the scopes that a party may delegate, but that no user's token can bring there."""
    found = []
    for scope in registry.scopes:
        having = _holders(scope, registry)
        for name, party in registry.parties.items():
            if scope not in party.delegates or name in having:
                continue
            callers = [other for other, entry in registry.parties.items() if name in entry.may_call]
            lacking = [other for other in callers if scope not in registry.parties[other].delegates]
            if lacking:
                found.append(
                    f"{REGISTRY}: parties.{name}.delegates: no token with {scope!r} gets there: "
                    f"add it to `delegates` of {' or '.join(lacking)}"
                )
            elif not callers:
                found.append(f"{REGISTRY}: parties.{name}: no party may call it: add it to `may_call` of its callers")
        servers = registry.scopes[scope].served_by
        if not any(set(registry.parties[name].may_call) & set(servers) for name in having):
            found.append(
                f"{REGISTRY}: scopes.{scope}: no party can use it: a caller of {' or '.join(servers)} "
                "needs it in `delegates`, and so does each party from the sign-in to that caller"
            )
    return found


def _holders(scope: str, registry: Registry) -> set[str]:
    """Return the parties that can hold a user's token with this scope, and may pass it on."""
    parties = registry.parties
    able = {name for name, party in parties.items() if scope in party.delegates}
    having, before = {name for name in able if parties[name].starts_chains or parties[name].operates}, set[str]()
    while having != before:
        before = set(having)
        having |= able.intersection(*[{callee for name in having for callee in parties[name].may_call}])
    return having
