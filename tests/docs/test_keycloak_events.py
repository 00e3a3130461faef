"""`docs/explain/revocation.md` says what the code does with each event of Keycloak, for all types there are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from authorities.registry.keycloak.events import (
    EXCHANGED,
    READ,
    RECORDED,
    SENTINEL,
    USER_EVENTS,
    Change,
    Sessions,
    of_admin_event,
    of_user_event,
    switches_off,
)

PAGE = (Path(__file__).parents[2] / "docs" / "explain" / "revocation.md").read_text()
TABLES = [
    [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    for table in re.findall(r"(?:^\|.*\n)+", PAGE.partition("## What each event")[2], re.MULTILINE)
]
OPERATIONS = ("ACTION", "CREATE", "DELETE", "UPDATE")
HARMLESS_RESOURCES = re.findall(
    r"\w+",
    """
AUTHENTICATOR_CONFIG AUTHORIZATION_POLICY AUTHORIZATION_RESOURCE AUTHORIZATION_RESOURCE_SERVER
AUTHORIZATION_SCOPE AUTH_EXECUTION AUTH_EXECUTION_FLOW AUTH_FLOW CLIENT_INITIAL_ACCESS_MODEL CLIENT_ROLE
CLIENT_ROLE_MAPPING CLIENT_SCOPE CLIENT_SCOPE_CLIENT_MAPPING CLIENT_SCOPE_MAPPING CLUSTER_NODE COMPONENT CUSTOM
IDENTITY_PROVIDER IDENTITY_PROVIDER_MAPPER ORGANIZATION ORGANIZATION_GROUP ORGANIZATION_GROUP_MEMBERSHIP
ORGANIZATION_MEMBERSHIP PROTOCOL_MAPPER REALM_ROLE REALM_ROLE_MAPPING REALM_SCOPE_MAPPING REQUIRED_ACTION
REQUIRED_ACTION_CONFIG USER_FEDERATION_MAPPER USER_FEDERATION_PROVIDER USER_LOGIN_FAILURE USER_PROFILE
""",
)
"""The resource types of Keycloak 26.7.5 of which no operation revokes anything; the page says why."""
HARMLESS_EVENTS = re.findall(
    r"\w+",
    """
AUTHREQID_TO_TOKEN CLIENT_INFO CLIENT_INITIATED_ACCOUNT_LINKING CLIENT_REGISTER CODE_TO_TOKEN
CUSTOM_REQUIRED_ACTION EXECUTE_ACTIONS EXECUTE_ACTION_TOKEN GRANT_CONSENT IDENTITY_PROVIDER_FIRST_LOGIN
IDENTITY_PROVIDER_LINK_ACCOUNT IDENTITY_PROVIDER_LOGIN IDENTITY_PROVIDER_POST_LOGIN IDENTITY_PROVIDER_RESPONSE
IDENTITY_PROVIDER_RETRIEVE_TOKEN IMPERSONATE INTROSPECT_TOKEN INVALID_SIGNATURE INVITE_ORG
JWT_AUTHORIZATION_GRANT OAUTH2_DEVICE_AUTH OAUTH2_DEVICE_CODE_TO_TOKEN OAUTH2_DEVICE_VERIFY_USER_CODE
OAUTH2_EXTENSION_GRANT PERMISSION_TOKEN PUSHED_AUTHORIZATION_REQUEST REFRESH_TOKEN REGISTER REGISTER_NODE
RESTART_AUTHENTICATION SEND_IDENTITY_PROVIDER_LINK SEND_RESET_PASSWORD SEND_VERIFY_EMAIL UNREGISTER_NODE
UPDATE_CONSENT UPDATE_EMAIL UPDATE_PROFILE USER_DISABLED_BY_TEMPORARY_LOCKOUT USER_INFO_REQUEST
USER_SESSION_DELETED VALIDATE_ACCESS_TOKEN VERIFIABLE_CREDENTIAL_CREATE_OFFER
VERIFIABLE_CREDENTIAL_NONCE_REQUEST VERIFIABLE_CREDENTIAL_OFFER_REQUEST
VERIFIABLE_CREDENTIAL_PRE_AUTHORIZED_GRANT VERIFIABLE_CREDENTIAL_REQUEST VERIFY_EMAIL VERIFY_PROFILE
""",
)
"""The types of user events that revoke nothing, and are not read; the page says why."""
HARMLESS = [
    ("CREATE", "USER", "users/ID"),
    ("CREATE", "REALM", "users/ID"),
    ("CREATE", "GROUP", "groups/ID"),
    ("CREATE", "CLIENT", "clients/ID"),
    ("ACTION", "CLIENT", "clients/ID/client-secret"),
    ("ACTION", "CLIENT", "clients/ID/registration-access-token"),
    ("ACTION", "REALM", "push-revocation"),
]
"""Operations that revoke nothing, on resource types of which others do."""
ADMIN_ROWS = [
    *((operation, *row) for operations, *row in TABLES[0] for operation in operations.split(", ")),
    *((operation, resource, "somewhere/ID", "") for resource in HARMLESS_RESOURCES for operation in OPERATIONS),
    *((*operation, "") for operation in HARMLESS),
]
READ_ONLY = (SENTINEL, "LOGIN", EXCHANGED)
USER_TYPES = {kind: effect for kinds, effect in TABLES[1] for kind in kinds.split(", ")} | dict.fromkeys(
    [*READ_ONLY, *HARMLESS_EVENTS], ""
)
KINDS = {"user": "user", "party": "party", "session": "session", "all tokens": "before", "token": "token"}
NOT_BEFORE = 1_700_000_000


def named(effect: str) -> set[str]:
    """What is revoked, as the page says it."""
    return set(re.findall(r"\b(sessions|session|user|party|all tokens)\b", effect))


def revoked(changes: list[Change | Sessions]) -> set[str]:
    names = {kind: name for name, kind in KINDS.items()}
    return {"sessions" if isinstance(one, Sessions) else names[one.subject[0]] for one in changes}


def test_there_are_rows() -> None:
    assert len(TABLES) == 2
    assert len(ADMIN_ROWS) > 60
    assert len(USER_TYPES) > 60


@pytest.mark.parametrize("row", ADMIN_ROWS, ids=lambda row: " ".join(row[:3]))
def test_an_admin_event_does_what_its_row_says(row: tuple[str, ...]) -> None:
    operation, resource, path, effect = row
    off = {"eventsEnabled": False} if resource == "REALM" and path in ("", "events/config") else {}
    event: dict[str, Any] = {
        "operationType": operation,
        "resourceType": resource,
        "resourcePath": path.replace("ID", "an-id"),
        "time": 1_795_563_637_424,
        "representation": json.dumps({"enabled": False, "notBefore": NOT_BEFORE} | off),
    }
    found = revoked(of_admin_event(event, {"an-id": "agent/reader"}))
    found |= {"all tokens"} if switches_off(event) else set()

    assert found == named(effect)


@pytest.mark.parametrize(("kind", "effect"), USER_TYPES.items())
def test_a_user_event_does_what_its_row_says(kind: str, effect: str) -> None:
    event = {"type": kind, "userId": "alice", "time": 1, "sessionId": "s1", "details": {}}
    found = revoked(of_user_event(event))

    assert found == named(effect)
    assert (kind in USER_EVENTS) == bool(found)
    assert (kind in RECORDED) == (bool(effect) or kind in READ_ONLY)


def test_only_the_sentinel_is_read_and_revokes_nothing() -> None:
    assert set(READ) - set(USER_EVENTS) == {SENTINEL}
    assert set(RECORDED) - set(READ) == {"LOGIN", EXCHANGED}
