"""The people of the demo, their groups, and the one service account."""

from collections.abc import Sequence
from typing import Any

from registration.realm.clients import ADMINISTRATION
from zerotrust.registry.model import OPERATORS, Registry

# The people of the demo. Ids are fixed, so that documents and records made before a restart still have an owner.
USERS = {
    "alice": ("a11ce000-0000-4000-8000-000000000000", ["/engineering"]),
    "bob": ("b0b00000-0000-4000-8000-000000000000", ["/finance"]),
    "dana": ("da7a0000-0000-4000-8000-000000000000", ["/engineering", "/finance"]),
    "eve": ("e5e00000-0000-4000-8000-000000000000", []),
    "olga": ("019a0000-0000-4000-8000-000000000000", [OPERATORS]),
}


def groups(registry: Registry) -> list[dict[str, Any]]:
    """Return the groups: the departments, and the operators."""
    return [{"name": group.removeprefix("/")} for group in (*sorted(registry.departments), OPERATORS)]


def users(registry: Registry) -> list[dict[str, Any]]:
    """Return all accounts."""
    # A consent to each client: Keycloak keeps two first ones that are given at once, and refuses the user from then on.
    given = [
        {"clientId": registry.id(name), "grantedClientScopes": party.delegates}
        for name, party in registry.parties.items()
        if party.starts_chains
    ]
    return [
        # Without passwords: after the import, they are set through the Admin API.
        *({"id": id_, "clientConsents": given, **user(name, groups)} for name, (id_, groups) in USERS.items()),
        _service_account(registry.id(registry.authorities.registry), ADMINISTRATION),
        *(_service_account(client_id) for client_id in sorted(registry.operating)),
    ]


def user(name: str, groups: list[str]) -> dict[str, Any]:
    """Return a user without id and credentials."""
    return {
        "username": name,
        "enabled": True,
        "email": f"{name}@example.com",
        "emailVerified": True,
        "firstName": name.capitalize(),
        "lastName": "Example",
        "groups": groups,
    }


def _service_account(client_id: str, roles: Sequence[str] = ()) -> dict[str, Any]:
    """Return the service account of a client.

    No gate accepts the registry's token, which has no `act` claim; that of a party that operates, two gates do.
    """
    return {
        "username": f"service-account-{client_id}",
        "enabled": True,
        "serviceAccountClientId": client_id,
        **({"clientRoles": {"realm-management": roles}} if roles else {}),
    }
