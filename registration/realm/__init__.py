"""Derives Keycloak's realm from `registry.yaml`: who may log in, call whom, and delegate what.

Each start derives it anew, so that no file can differ from the registry.  `keycloak-realm/README.md` explains what each
client, scope and policy is for.
"""

import json
from typing import Any

from registration.realm import settings
from registration.realm.clients import clients, role_mappings
from registration.realm.scopes import client_scopes
from registration.realm.users import groups, users
from zerotrust.authority.files.deployment import Deployment
from zerotrust.registry.model import Registry


def realm(registry: Registry) -> dict[str, Any]:
    """Return the whole realm as Keycloak imports it.  Pure; no secret and no password is in it."""
    return {
        "realm": registry.realm,
        "enabled": True,
        **settings.sign_in(),
        **settings.sessions(registry),
        **settings.events(registry),
        "clientScopes": client_scopes(registry),
        "defaultDefaultClientScopes": [],
        "defaultOptionalClientScopes": [],
        "clients": clients(registry),
        "clientScopeMappings": role_mappings(registry),
        "identityProviders": [settings.identity_provider(registry)],
        **settings.client_policies(),
        "groups": groups(registry),
        "users": users(registry),
    }


def to_json(registry: Registry) -> str:
    """Return the realm in JSON: the same registry gives the same bytes."""
    return json.dumps(realm(registry), indent=2) + "\n"


def with_ports(text: str, registry: Registry, deployment: Deployment) -> str:
    """Return the realm with the port of each party in its address, because Keycloak connects to these addresses.

    The names stay, and with them whom Keycloak believes there; where they lead is for its resolver to say.
    """
    for name, place in deployment.parties.items():
        text = text.replace(f'"{registry.address(name)}/', f'"{registry.address(name)}:{place.port}/')
    return text
