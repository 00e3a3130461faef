"""A registry and policies for one party under test, and a client that users sign in with."""

from collections.abc import Iterable, Mapping
from typing import Any

from zerotrust.authority.files.consistency import problems
from zerotrust.registry.model import Registry
from zerotrust.registry.snapshot import PolicyDocument

CLIENT = "client"
TTL = 300
"""Seconds: the longest lifetime of a token."""

_POLICIES = """
permit (principal, action, resource)
when {
  context.scopes.contains(context.permission) && principal.delegates.contains(context.permission) &&
  principal.may_call.contains(resource) && resource.serves.contains(context.permission)
};
"""
_SCHEMA = """
entity Party {{ delegates: Set<String>, may_call: Set<Party>, serves: Set<String> }};
type Call = {{
  subject: String, delegated: Bool, scopes: Set<String>, groups: Set<String>, departments: Set<String>,
  one_department: Bool, permission: String
}};
action {actions} appliesTo {{ principal: Party, resource: Party, context: Call }};
"""


def registry_of(name: str, scopes: Iterable[str], *, calls: Mapping[str, Iterable[str]]) -> Registry:
    """Return a registry in which users of the client `CLIENT` may call the party `name`, which serves `scopes`.

    `calls`: the parties that it calls, and the scopes that each serves.  Raises `ValueError`.
    """
    parties: dict[str, dict[str, Any]] = {
        party: {"id": "spiffe", "keycloak": "confidential", "code": "party"}
        for party in ("registry", "policy", name, *calls)
    }
    parties["attestation"] = {"id": "spiffe", "keycloak": "none"}
    parties["audit"] = {"id": "spiffe", "keycloak": "none", "code": "audit"}
    onward = [scope for served in calls.values() for scope in served]
    if calls:
        parties[name] |= {"may_call": [*calls], "delegates": onward, "max_ttl": TTL}
    parties[CLIENT] = {
        "id": "client",
        "starts_chains": True,
        "keycloak": "public",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "may_call": [name],
        "delegates": [*scopes, *onward],
        "max_ttl": TTL,
    }
    served = {scope: {"served_by": [name]} for scope in scopes}
    served |= {scope: {"served_by": [party]} for party, of in calls.items() for scope in of}
    registry = Registry.model_validate(
        {
            "trust_domain": "test.example",
            "realm": "test",
            "authorities": {name: name for name in ("registry", "attestation", "audit", "policy")},
            "departments": ["/team"],
            "scopes": served,
            "parties": parties,
            "freshness": {"keys": 300, "keys_cooldown": 10, "svid": 60, "x509_svid": 120, "revocations": 3},
        }
    )
    if wrong := problems(registry):
        raise ValueError("; ".join(wrong))
    return registry


def policies_of(registry: Registry) -> PolicyDocument:
    """Return policies that permit the calls that a registry allows, by scope, and no access to any resource."""
    actions = ", ".join(f'"{scope}"' for scope in registry.scopes)
    return PolicyDocument(policies=_POLICIES, cedar_schema=_SCHEMA.format(actions=actions))
