"""Client scopes: the claims of tokens, with their mappers."""

from typing import Any

from zerotrust.registry.model import Registry

ADMINISTRATION = "Administer the registry: suspend and reinstate parties, revoke users, sessions and tokens"
POLICIES = "Change the policies: test, activate and roll back what agents and people may do"


def client_scopes(registry: Registry) -> list[dict[str, Any]]:
    """Return the scopes: for the claims of every token, for each audience, and the registry's."""
    callees = {callee for party in registry.parties.values() for callee in party.may_call}
    return [
        *_claim_scopes(registry),
        *(_audience_scope(registry, name) for name in [*registry.parties, *registry.outside] if name in callees),
        *(_permission(registry, name) for name in registry.scopes),
    ]


def _permission(registry: Registry, scope: str) -> dict[str, Any]:
    """Return a scope that is a permission.  Keycloak asks people to confirm those of operators only."""
    confirmed = {registry.authorities.registry, registry.authorities.policy} & {*registry.scopes[scope].served_by}
    if not any(scope in party.delegates for party in registry.parties.values() if party.starts_chains):
        confirmed.clear()  # no person signs in for it
    attributes = {
        "include.in.token.scope": "true",
        "display.on.consent.screen": "true" if confirmed else "false",
        "consent.screen.text": consent(registry, scope),
    }
    return {**_client_scope(scope), "attributes": attributes}


def consent(registry: Registry, scope: str) -> str:
    """Return what a person reads who confirms a sign-in: what they allow, and the one thing to make sure of."""
    at, authorities = registry.scopes[scope].served_by, registry.authorities
    of_operators = {authorities.registry: ADMINISTRATION, authorities.policy: POLICIES}
    what = of_operators.get(at[0], f"Use {scope} at {', '.join(at)}")
    return f"{what}. Confirm only if you have just started this sign-in yourself."


def mapper(name: str, kind: str, **config: str) -> dict[str, Any]:
    """Return a mapper for access tokens and introspection answers only, unless `config` says otherwise."""
    return {
        "name": name,
        "protocol": "openid-connect",
        "protocolMapper": kind,
        "config": {
            "access.token.claim": "true",
            "introspection.token.claim": "true",
            "id.token.claim": "false",
            "userinfo.token.claim": "false",
        }
        | {key.replace("_", "."): value for key, value in config.items()},
    }


def _client_scope(name: str, *mappers: dict[str, Any]) -> dict[str, Any]:
    """Return a scope that is not in the `scope` claim, and so passes the downscope executor at every exchange.

    Nor is it on the page on which a person confirms a code: it adds claims, which say nothing to them.
    """
    return {
        "name": name,
        "protocol": "openid-connect",
        "attributes": {"include.in.token.scope": "false", "display.on.consent.screen": "false"},
        "protocolMappers": list(mappers),
    }


def _claim_scopes(registry: Registry) -> list[dict[str, Any]]:
    return [
        _client_scope("basic", mapper("sub", "oidc-sub-mapper")),
        # The full path: `/x/finance` is not `/finance`.
        _client_scope(
            "groups",
            mapper("groups", "oidc-group-membership-mapper", claim_name="groups", full_path="true"),
            mapper("no groups", "script-groups.js", claim_name="groups"),
        ),
        _client_scope("binding", mapper("key", "script-binding.js", claim_name="zt_cnf", jsonType_label="JSON")),
        _client_scope(
            "delegation",
            mapper(
                "chain",
                "script-delegation.js",
                claim_name=registry.chain_claim,
                jsonType_label="JSON",
                id_token_claim="true",  # noqa: S106 - no secret
            ),
        ),
    ]


def _audience_scope(registry: Registry, name: str) -> dict[str, Any]:
    audience = mapper("audience", "oidc-audience-mapper", included_client_audience=registry.id(name))
    return _client_scope(f"aud:{name}", audience)
