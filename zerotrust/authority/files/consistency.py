"""Finds the entries of a registry that contradict each other.  Pure.

The registry's file is checked where it is read.  All parties get the registry from the authority that has read it.
"""

from zerotrust.registry.model import OPERATORS, Registry


def problems(registry: Registry) -> list[str]:
    """Return what is wrong with a registry, each with its key in the file."""
    operators = f"departments: {OPERATORS} is the group of operators, and cannot be a department"
    return [
        *_authority_problems(registry),
        *([operators] if OPERATORS in registry.departments else []),
        *_scope_problems(registry),
        *_party_problems(registry),
        *_outside_problems(registry),
    ]


def _authority_problems(registry: Registry) -> list[str]:
    own, attestation = registry.authorities.registry, registry.authorities.attestation
    found = [] if registry.serves(own) else [f"authorities.registry: {own!r} is not a resource server"]
    if attestation not in registry.parties.keys() - registry.without_certificate - {*registry.measured}:
        found.append(f"authorities.attestation: {attestation!r} is not a party with a SPIFFE ID and without code")
    audit = registry.parties.get(registry.authorities.audit)
    if audit is None or not audit.code or audit.keycloak != "none":
        who = repr(registry.authorities.audit)
        found.append(f"authorities.audit: {who} is not a party with code and without a client at Keycloak")
    policy = registry.authorities.policy
    if not registry.serves(policy):
        found.append(f"authorities.policy: {policy!r} is not a resource server")
    return found


def _scope_problems(registry: Registry) -> list[str]:
    found = []
    for scope, entry in registry.scopes.items():
        for name in entry.served_by:
            if not registry.takes_tokens(name):
                found.append(f"scopes.{scope}.served_by: {name!r} is not a resource server")
    return found


def _party_problems(registry: Registry) -> list[str]:
    found = []
    for name, party in registry.parties.items():
        key = f"parties.{name}"
        found += [
            f"{key}.delegates: unknown scope {scope!r}" for scope in party.delegates if scope not in registry.scopes
        ]
        if bool(party.may_call) != bool(party.max_ttl):
            found.append(f"{key}.max_ttl: required with may_call, and only with it")
        if party.id == "client" and party.keycloak != "public":
            found.append(f"{key}.keycloak: must be public, because a party without a SPIFFE ID has no JWT-SVID")
        if party.keycloak == "public" and not party.starts_chains:
            found.append(f"{key}.starts_chains: required for a public client, which cannot exchange tokens")
        if party.keycloak == "none" and (party.may_call or party.starts_chains):
            found.append(f"{key}.keycloak: must not be none, because calls need tokens")
        if party.starts_chains and (not party.may_call or (party.keycloak == "public" and len(party.may_call) > 1)):
            # A program of a person names no audience when they sign in, and the token of two is refused everywhere.
            found.append(f"{key}.may_call: one party with starts_chains, because a token has one audience")
        if party.starts_chains != bool(party.redirect_uris):
            found.append(f"{key}.redirect_uris: required with starts_chains, and only with it")
        found += _operating_problems(registry, key, name)
        parties_own = [
            host for host in registry.browser_hosts(name) if f".{host}".endswith(f".{registry.trust_domain}")
        ]
        # control: redirect-host-own
        found += [f"{key}.redirect_uris: {host} is in the trust domain, for parties" for host in parties_own]
        if party.device_grant and party.id != "client":
            found.append(f"{key}.device_grant: only for a program of a person, which has no certificate")
        if party.id == "spiffe" and party.keycloak != "none" and not party.code:
            found.append(f"{key}.code: required, because only measured code gets a SPIFFE ID")
        if party.id == "client" and party.code:
            found.append(f"{key}.code: must be empty, because a party without a SPIFFE ID is not launched")
        for callee in party.may_call:
            found += _call_problems(registry, f"{key}.may_call", name, callee)
    return found


def _operating_problems(registry: Registry, key: str, name: str) -> list[str]:
    party, found = registry.parties[name], list[str]()
    if party.operates:
        if party.starts_chains or party.keycloak != "confidential":
            found.append(f"{key}.operates: only for a confidential client that no user signs in with")
        # control: operates-authorities-only
        if not party.may_call or {*party.may_call} - {registry.authorities.registry, registry.authorities.policy}:
            found.append(f"{key}.may_call: with operates, the registry, the policy authority, or both, and no other")
        return found
    own = {name for name, scope in registry.scopes.items() if scope.operating}
    if reserved := own.intersection(party.delegates):  # control: operating-scope-reserved
        found.append(f"{key}.delegates: {', '.join(sorted(reserved))}: for parties with operates alone")
    return found


def _outside_problems(registry: Registry) -> list[str]:
    found = []
    for name, server in registry.outside.items():
        key = f"outside.{name}"
        callers = {caller for caller, party in registry.parties.items() if name in party.may_call}
        if name in registry.parties:
            found.append(f"{key}: a party has that name")
        if server.reached_by not in registry.launched:
            found.append(f"{key}.reached_by: {server.reached_by!r} is not a party that runs measured code")
        if server.takes_tokens and callers != {server.reached_by}:
            found.append(f"{key}.takes_tokens: {server.reached_by!r}, and no other party, has {name!r} in may_call")
    return found


def _call_problems(registry: Registry, key: str, name: str, callee: str) -> list[str]:
    if not registry.takes_tokens(callee) or callee == name:
        return [f"{key}: {callee!r} cannot be called by this party"]
    target, caller = registry.parties.get(callee), registry.parties[name]
    if not set(registry.scopes_at(callee)) & set(caller.delegates):
        return [f"{key}: {callee!r} serves none of the scopes that {name!r} delegates"]
    risky = registry.high_risk.intersection(registry.scopes_at(callee), caller.delegates)
    if risky and caller.id == "client":  # nobody attests a person's machine
        found = ", ".join(sorted(risky))
        return [f"{key}: {callee!r} serves {found}, of high risk, which only a party with a SPIFFE ID may use"]
    if target and target.max_ttl and caller.max_ttl and target.max_ttl > caller.max_ttl:
        longer = f"{target.max_ttl} s is longer than the {caller.max_ttl} s of its caller {name!r}"
        return [f"parties.{callee}.max_ttl: {longer}"]
    return []
