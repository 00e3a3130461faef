"""What Keycloak's events mean; the events are as Keycloak 26.7.5 gave them."""

import json
from typing import Any

import pytest

from authorities.registry.keycloak.events import (
    KEPT_FOR,
    RECORDED,
    REGISTRATION,
    SESSIONS_OF,
    Change,
    Sessions,
    done_by,
    of_admin_event,
    of_user_event,
    records_all_events,
    switches_off,
)
from registration.realm import realm
from zerotrust.registry.model import Registry
from zerotrust.revocation_list import Kind

ALICE, BOB = "a11ce000-0000-4000-8000-000000000000", "b0b00000-0000-4000-8000-000000000000"
READER = "spiffe://agents.example/agent/reader"
CLIENT = "d752b0be-8902-4479-9e7e-dbc9ed439e70"
OWN = "5b6e3e47-b59b-439d-8440-b4e27f07b347"
CLIENTS = {CLIENT: READER, OWN: "spiffe://agents.example/authority/registry"}
GROUP = "0c21de4d-7784-443c-bfa5-b51b5e763a37"
SESSION = "SY3we3vhuO3OVcUGkUJhvZfk"
TOKEN = "onrtac:21bb8dd1-6492-9738-2a98-02654b3737db"
AT = 1795563637424


def user_event(kind: str, *, session: str | None = None, **details: str) -> dict[str, Any]:
    event = {
        "id": "628d34ff-8843-4fc8-aaff-385be9b9cb96",
        "time": AT,
        "type": kind,
        "realmId": "b1294ffb-6a89-42b6-b563-01db5f89f65d",
        "clientId": "walkthrough",
        "userId": ALICE,
        "ipAddress": "127.0.0.1",
        "details": {"client_auth_method": "client-secret", **details},
    }
    return event | ({"sessionId": session} if session else {})


def admin_event(
    done: str, kind: str, path: str | None, said: object = None, *, client: str = "other"
) -> dict[str, Any]:
    event = {
        "id": "08c80702-bd40-4076-b04f-fbd9de419e3c",
        "time": AT,
        "realmId": "b1294ffb-6a89-42b6-b563-01db5f89f65d",
        "authDetails": {"realmId": "477ee817", "clientId": client, "userId": "c985fece", "ipAddress": "127.0.0.1"},
        "operationType": done,
        "resourceType": kind,
    }
    event |= {"resourcePath": path} if path else {}
    return event | ({"representation": json.dumps(said)} if said is not None else {})


def revoked(kind: Kind, name: str, why: str) -> Change:
    return Change((kind, name), f"keycloak: {why}")


def before(why: str, second: int = AT // 1000) -> Change:
    return revoked("before", str(second), why)


REFRESH = {"refresh_token_id": "c24131c7-a631-8a19-d5ba-087ecfdee7eb", "refresh_token_type": "Refresh"}
CREDENTIAL = {"credential_type": "password", "custom_required_action": "UPDATE_PASSWORD"}
OF_SESSION, OF_TOKEN = revoked("session", SESSION, "revoked"), revoked("token", TOKEN, "revoked")


@pytest.mark.parametrize(
    ("event", "means"),
    [
        pytest.param(user_event("LOGOUT", session=SESSION), [revoked("session", SESSION, "logout")], id="logout"),
        pytest.param(user_event("LOGOUT"), [], id="logout without a session"),
        pytest.param(user_event("REVOKE_GRANT", token_id=TOKEN), [OF_TOKEN], id="access token revoked"),
        pytest.param(user_event("REVOKE_GRANT", session=SESSION, **REFRESH), [OF_SESSION], id="refresh token revoked"),
        pytest.param(
            user_event("REVOKE_GRANT", session=SESSION, token_id=TOKEN), [OF_SESSION, OF_TOKEN], id="both named"
        ),
        *(
            pytest.param(user_event(kind, **CREDENTIAL), [Sessions(ALICE, AT, f"keycloak: {cause}")], id=kind)
            for kind, cause in SESSIONS_OF.items()
        ),
        *(pytest.param(user_event(kind), [before("a client changed")], id=kind) for kind in REGISTRATION),
        pytest.param(user_event("DELETE_ACCOUNT"), [revoked("user", ALICE, "deleted")], id="account gone"),
        pytest.param(
            user_event("USER_DISABLED_BY_PERMANENT_LOCKOUT"),
            [revoked("user", ALICE, "disabled")],
            id="locked out for good",
        ),
        pytest.param(user_event("LOGIN", session=SESSION), [], id="login"),
        pytest.param(user_event("CODE_TO_TOKEN", session=SESSION, token_id=TOKEN), [], id="a token issued"),
        pytest.param(user_event("REVOKE_GRANT_ERROR", token_id=TOKEN), [], id="not revoked"),
    ],
)
def test_what_users_and_clients_do(event: dict[str, Any], means: list[Change | Sessions]) -> None:
    assert of_user_event(event) == means


@pytest.mark.parametrize(
    ("event", "instead"),
    [
        (user_event("LOGOUT", session=SESSION), f"{AT // 1000} {ALICE}"),
        (user_event("REVOKE_GRANT", session=SESSION), f"{AT // 1000} {ALICE}"),
        (user_event("REVOKE_GRANT", token_id=TOKEN), f"{AT // 1000} {ALICE} walkthrough"),
        (user_event("REVOKE_GRANT", token_id=TOKEN) | {"clientId": READER}, f"{AT // 1000} {ALICE} {READER}"),
        (user_event("REVOKE_GRANT", token_id=TOKEN) | {"userId": None}, None),
    ],
    ids=["a session", "a refresh token", "a token", "a token of an agent", "of nobody knows whom"],
)
def test_what_would_revoke_more_of_the_same_users_and_of_the_same_party(
    event: dict[str, Any], instead: str | None
) -> None:
    [change] = of_user_event(event)

    assert isinstance(change, Change)
    assert change.instead == (("before", instead) if instead else None)


def of_bob(why: str) -> list[Sessions]:
    return [Sessions(BOB, AT, f"keycloak: {why}")]


CHANGED = of_bob("user changed")
ENABLED = [Change(("user", BOB), None)]
USER, OF_GROUP, OF_CLIENT = f"users/{BOB}", f"groups/{GROUP}", f"clients/{CLIENT}"
IMPORTED = {"id": BOB, "enabled": True, "groups": ["/finance"]}
IN_FINANCE = {"path": "/finance"}
ADMINISTRATORS: dict[str, tuple[tuple[Any, ...], list[Any]]] = {
    "user disabled": (("UPDATE", "USER", USER, {"enabled": False}), [revoked("user", BOB, "disabled"), *CHANGED]),
    "user enabled": (("UPDATE", "USER", USER, {"id": BOB, "enabled": True}), [*ENABLED, *CHANGED]),
    "user otherwise changed": (("UPDATE", "USER", USER, {"requiredActions": ["UPDATE_PASSWORD"]}), CHANGED),
    "password changed by PUT": (("UPDATE", "USER", USER, {}), CHANGED),
    "user replaced by an import": (("UPDATE", "REALM", USER, IMPORTED), [*ENABLED, *CHANGED]),
    "identity linked": (("CREATE", "USER", f"{USER}/federated-identity/spiffe"), CHANGED),
    "identity removed": (("DELETE", "USER", f"{USER}/federated-identity/spiffe"), CHANGED),
    "something new": (("ACTION", "USER", f"{USER}/something-new"), CHANGED),
    "no details": (("UPDATE", "USER", USER), CHANGED),
    "user deleted": (("DELETE", "USER", USER, {"id": BOB, "username": "bob"}), [revoked("user", BOB, "deleted")]),
    "user created": (("CREATE", "USER", USER, {"enabled": False}), []),
    "user logged out": (("ACTION", "USER", f"{USER}/logout"), of_bob("logged out")),
    "password reset": (("ACTION", "USER", f"{USER}/reset-password"), of_bob("credential changed")),
    "credential removed": (("ACTION", "USER", f"{USER}/credentials/6ab152b9"), of_bob("credential changed")),
    **{
        f"membership {done}": ((done, "GROUP_MEMBERSHIP", f"{USER}/{OF_GROUP}", IN_FINANCE), of_bob("groups changed"))
        for done in ("CREATE", "DELETE")
    },
    "group moved": (("UPDATE", "GROUP", f"{OF_GROUP}/children", {"id": "moved"}), [before("a group changed")]),
    "group moved to the top": (("UPDATE", "GROUP", "groups", {"id": "moved"}), [before("a group changed")]),
    "group renamed": (("UPDATE", "GROUP", OF_GROUP, {"name": "sales"}), [before("a group changed")]),
    "group deleted": (("DELETE", "GROUP", OF_GROUP, {"id": GROUP}), [before("a group changed")]),
    "group created": (("CREATE", "GROUP", OF_GROUP, {"name": "new"}), []),
    "session ended": (
        ("DELETE", "USER_SESSION", f"sessions/{SESSION}", {"offline": False}),
        [revoked("session", SESSION, "ended")],
    ),
    "client disabled": (("UPDATE", "CLIENT", OF_CLIENT, {"enabled": False}), [revoked("party", READER, "disabled")]),
    "client enabled": (
        ("UPDATE", "CLIENT", OF_CLIENT, {"enabled": True, "notBefore": 0}),
        [Change(("party", READER), None)],
    ),
    "client of no name": (("UPDATE", "CLIENT", "clients/gone", {"enabled": False}), []),
    "client deleted": (
        ("DELETE", "CLIENT", OF_CLIENT, {"id": CLIENT, "clientId": READER}),
        [revoked("party", READER, "deleted")],
    ),
    "client deleted without details": (("DELETE", "CLIENT", OF_CLIENT), [revoked("party", READER, "deleted")]),
    "nobody knows which client": (("DELETE", "CLIENT", "clients/gone"), [before("a client was deleted")]),
    "client replaced by an import": (
        ("UPDATE", "REALM", OF_CLIENT, {"clientId": READER}),
        [before("an import changed clients")],
    ),
    "not before, of a client": (
        ("UPDATE", "CLIENT", OF_CLIENT, {"notBefore": 1795563645}),
        [before("not before", 1795563645)],
    ),
    "not before, of the realm": (
        ("UPDATE", "REALM", None, {"notBefore": 1795563643}),
        [before("not before", 1795563643)],
    ),
    "not before taken back": (("UPDATE", "REALM", None, {"notBefore": 0}), []),
    "everybody logged out": (("ACTION", "REALM", "logout-all", {}), [before("all logged out")]),
    "other": (("CREATE", "CLIENT_SCOPE", "client-scopes/x", {"enabled": False}), []),
}


@pytest.mark.parametrize(("event", "means"), ADMINISTRATORS.values(), ids=ADMINISTRATORS)
def test_what_administrators_do(event: tuple[Any, ...], means: list[Change | Sessions]) -> None:
    assert of_admin_event(admin_event(*event), CLIENTS) == means


def test_who_did_it_is_known_by_the_client() -> None:
    assert done_by(admin_event("UPDATE", "CLIENT", "clients/x", {}, client=OWN), CLIENTS) == CLIENTS[OWN]
    assert done_by(admin_event("UPDATE", "CLIENT", "clients/x", {}), CLIENTS) is None
    assert done_by({"operationType": "UPDATE", "resourceType": "CLIENT"}, CLIENTS) is None


# --- what is recorded at all ------------------------------------------------------------------------------------------

SWITCHES = ("eventsEnabled", "adminEventsEnabled", "adminEventsDetailsEnabled")


def config(**changed: Any) -> dict[str, Any]:
    return {**dict.fromkeys(SWITCHES, True), "enabledEventTypes": list(RECORDED), **changed}


def test_the_committed_realm_records_what_is_read(registry: Registry) -> None:
    assert records_all_events(realm(registry))
    assert records_all_events(config())
    assert records_all_events(config(enabledEventTypes=[]))


@pytest.mark.parametrize("missing", RECORDED)
def test_a_type_that_is_not_recorded_is_missed_and_who_ends_its_recording_is_noticed(missing: str) -> None:
    others = [kind for kind in RECORDED if kind != missing]

    assert not records_all_events(config(enabledEventTypes=others))
    for path in None, "events/config":
        assert switches_off(admin_event("UPDATE", "REALM", path, {"enabledEventTypes": others}))


def test_types_that_are_recorded_still_are_not_missed() -> None:
    """More types than are read are fine; none is all of them; and those that are not named stay as they are."""
    more = [*RECORDED, "LOGIN_ERROR"]
    changes: list[dict[str, Any]] = [{"enabledEventTypes": more}, {"enabledEventTypes": []}, {"displayName": "x"}]
    for said in changes:
        assert not switches_off(admin_event("UPDATE", "REALM", "events/config", said))


@pytest.mark.parametrize("switch", SWITCHES)
def test_what_is_switched_off_or_not_told_is_not_recorded_and_who_switches_it_off_is_noticed(switch: str) -> None:
    assert not records_all_events(config(**{switch: False}))
    assert not records_all_events({name: value for name, value in config().items() if name != switch})

    assert switches_off(admin_event("UPDATE", "REALM", None, {switch: False}))
    assert switches_off(admin_event("UPDATE", "REALM", "events/config", {"eventsListeners": [], switch: False}))
    assert not switches_off(admin_event("UPDATE", "REALM", None, {switch: True}))
    assert not switches_off(admin_event("UPDATE", "USER", "users/x", {switch: False}))


def test_events_that_are_kept_too_short_are_as_good_as_lost() -> None:
    assert not records_all_events(config(eventsExpiration=KEPT_FOR - 1))
    assert records_all_events(config(eventsExpiration=KEPT_FOR))
    assert records_all_events(config(eventsExpiration=0))  # for ever
    assert switches_off(admin_event("UPDATE", "REALM", "events/config", {"eventsExpiration": KEPT_FOR - 1}))
    assert switches_off(admin_event("UPDATE", "REALM", None, {"attributes": {"adminEventsExpiration": "1"}}))
    assert not switches_off(admin_event("UPDATE", "REALM", None, {"eventsExpiration": KEPT_FOR, "attributes": None}))
