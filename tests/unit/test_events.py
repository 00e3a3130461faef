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
    recorded,
    switches_off,
)
from registration.realm import realm
from zerotrust.registry.model import Registry
from zerotrust.revocation_list import Revocable

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


@pytest.mark.parametrize(
    ("event", "means"),
    [
        pytest.param(
            user_event("LOGOUT", session=SESSION), [Change(("session", SESSION), "keycloak: logout")], id="logout"
        ),
        pytest.param(user_event("LOGOUT"), [], id="logout without a session"),
        pytest.param(
            user_event("REVOKE_GRANT", token_id=TOKEN),
            [Change(("token", TOKEN), "keycloak: revoked")],
            id="access token revoked",
        ),
        pytest.param(
            user_event(
                "REVOKE_GRANT",
                session=SESSION,
                refresh_token_id="c24131c7-a631-8a19-d5ba-087ecfdee7eb",
                refresh_token_type="Refresh",
                revoked_client="walkthrough",
            ),
            [Change(("session", SESSION), "keycloak: revoked")],
            id="refresh token revoked",
        ),
        pytest.param(
            user_event("REVOKE_GRANT", session=SESSION, token_id=TOKEN),
            [Change(("session", SESSION), "keycloak: revoked"), Change(("token", TOKEN), "keycloak: revoked")],
            id="both named",
        ),
        *(
            pytest.param(
                user_event(kind, credential_type="password", custom_required_action="UPDATE_PASSWORD"),
                [Sessions(ALICE, AT, f"keycloak: {cause}")],
                id=kind,
            )
            for kind, cause in SESSIONS_OF.items()
        ),
        *(
            pytest.param(user_event(kind), [Change(("before", str(AT // 1000)), "keycloak: a client changed")], id=kind)
            for kind in REGISTRATION
        ),
        pytest.param(user_event("DELETE_ACCOUNT"), [Change(("user", ALICE), "keycloak: deleted")], id="account gone"),
        pytest.param(
            user_event("USER_DISABLED_BY_PERMANENT_LOCKOUT"),
            [Change(("user", ALICE), "keycloak: disabled")],
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


CHANGED = Sessions(BOB, AT, "keycloak: user changed")


def before(why: str, second: int = AT // 1000) -> Change:
    return Change(("before", str(second)), f"keycloak: {why}")


@pytest.mark.parametrize(
    ("event", "means"),
    [
        pytest.param(
            admin_event("UPDATE", "USER", f"users/{BOB}", {"enabled": False}),
            [Change(("user", BOB), "keycloak: disabled"), CHANGED],
            id="user disabled",
        ),
        pytest.param(
            admin_event("UPDATE", "USER", f"users/{BOB}", {"id": BOB, "enabled": True}),
            [Change(("user", BOB), None), CHANGED],
            id="user enabled",
        ),
        pytest.param(
            admin_event("UPDATE", "USER", f"users/{BOB}", {"requiredActions": ["UPDATE_PASSWORD"]}),
            [CHANGED],
            id="user otherwise changed",
        ),
        pytest.param(admin_event("UPDATE", "USER", f"users/{BOB}", {}), [CHANGED], id="password changed by PUT"),
        pytest.param(
            admin_event("UPDATE", "REALM", f"users/{BOB}", {"id": BOB, "enabled": True, "groups": ["/finance"]}),
            [Change(("user", BOB), None), CHANGED],
            id="user replaced by a partial import",
        ),
        pytest.param(
            admin_event("UPDATE", "REALM", f"clients/{CLIENT}", {"clientId": READER}),
            [before("an import changed clients")],
            id="client replaced by a partial import",
        ),
        *(
            pytest.param(admin_event(*what), [CHANGED], id=" ".join(what))
            for what in (
                ("CREATE", "USER", f"users/{BOB}/federated-identity/spiffe"),
                ("DELETE", "USER", f"users/{BOB}/federated-identity/spiffe"),
                ("ACTION", "USER", f"users/{BOB}/something-new"),
            )
        ),
        pytest.param(
            admin_event("UPDATE", "GROUP", f"groups/{GROUP}/children", {"id": "moved"}),
            [before("a group changed")],
            id="group moved",
        ),
        pytest.param(
            admin_event("UPDATE", "GROUP", "groups", {"id": "moved"}),
            [before("a group changed")],
            id="moved to the top",
        ),
        pytest.param(
            admin_event("DELETE", "USER", f"users/{BOB}", {"id": BOB, "username": "bob"}),
            [Change(("user", BOB), "keycloak: deleted")],
            id="user deleted",
        ),
        pytest.param(admin_event("CREATE", "USER", f"users/{BOB}", {"enabled": False}), [], id="user created"),
        pytest.param(
            admin_event("ACTION", "USER", f"users/{BOB}/logout"),
            [Sessions(BOB, AT, "keycloak: logged out")],
            id="user logged out",
        ),
        *(
            pytest.param(
                admin_event("ACTION", "USER", f"users/{BOB}/{what}"),
                [Sessions(BOB, AT, "keycloak: credential changed")],
                id=what,
            )
            for what in ("reset-password", "credentials/6ab152b9-8822-484c-8deb-692f25acde3f")
        ),
        *(
            pytest.param(
                admin_event(done, "GROUP_MEMBERSHIP", f"users/{BOB}/groups/{GROUP}", {"path": "/finance"}),
                [Sessions(BOB, AT, "keycloak: groups changed")],
                id=f"membership {done}",
            )
            for done in ("CREATE", "DELETE")
        ),
        pytest.param(
            admin_event("UPDATE", "GROUP", f"groups/{GROUP}", {"name": "sales"}),
            [before("a group changed")],
            id="group renamed",
        ),
        pytest.param(
            admin_event("DELETE", "GROUP", f"groups/{GROUP}", {"id": GROUP}),
            [before("a group changed")],
            id="group deleted",
        ),
        pytest.param(admin_event("CREATE", "GROUP", f"groups/{GROUP}", {"name": "new"}), [], id="group created"),
        pytest.param(
            admin_event("DELETE", "USER_SESSION", f"sessions/{SESSION}", {"offline": False}),
            [Change(("session", SESSION), "keycloak: ended")],
            id="session ended",
        ),
        pytest.param(
            admin_event(
                "UPDATE", "CLIENT", f"clients/{CLIENT}", {"enabled": False, "directAccessGrantsEnabled": False}
            ),
            [Change(("party", READER), "keycloak: disabled")],
            id="client disabled",
        ),
        pytest.param(
            admin_event("UPDATE", "CLIENT", f"clients/{CLIENT}", {"enabled": True, "notBefore": 0}),
            [Change(("party", READER), None)],
            id="client enabled",
        ),
        pytest.param(
            admin_event("UPDATE", "CLIENT", f"clients/{CLIENT}", {"notBefore": 1795563645}),
            [before("not before", 1795563645)],
            id="not before, of a client",
        ),
        pytest.param(admin_event("UPDATE", "CLIENT", "clients/gone", {"enabled": False}), [], id="a client of no name"),
        pytest.param(
            admin_event("DELETE", "CLIENT", f"clients/{CLIENT}", {"id": CLIENT, "clientId": READER}),
            [Change(("party", READER), "keycloak: deleted")],
            id="client deleted",
        ),
        pytest.param(
            admin_event("DELETE", "CLIENT", f"clients/{CLIENT}"),
            [Change(("party", READER), "keycloak: deleted")],
            id="client deleted without details",
        ),
        pytest.param(
            admin_event("DELETE", "CLIENT", "clients/gone"),
            [before("a client was deleted")],
            id="nobody knows which client",
        ),
        pytest.param(
            admin_event("UPDATE", "REALM", None, {"notBefore": 1795563643}),
            [before("not before", 1795563643)],
            id="not before, of the realm",
        ),
        pytest.param(admin_event("UPDATE", "REALM", None, {"notBefore": 0}), [], id="not before taken back"),
        pytest.param(
            admin_event("ACTION", "REALM", "logout-all", {}), [before("all logged out")], id="everybody logged out"
        ),
        pytest.param(admin_event("UPDATE", "USER", f"users/{BOB}"), [CHANGED], id="no details"),
        pytest.param(admin_event("CREATE", "CLIENT_SCOPE", "client-scopes/x", {"enabled": False}), [], id="other"),
    ],
)
def test_what_administrators_do(event: dict[str, Any], means: list[Change | Sessions]) -> None:
    assert of_admin_event(event, CLIENTS) == means


def test_only_what_keycloak_revoked_keycloak_reinstates_and_the_first_cause_stays() -> None:
    subject: Revocable = ("party", READER)
    revoked, reinstated = Change(subject, "keycloak: disabled"), Change(subject, None)

    assert revoked.takes_effect(None)
    assert not revoked.takes_effect("drift: main.py")
    assert not revoked.takes_effect("keycloak: disabled")
    assert reinstated.takes_effect("keycloak: disabled")
    assert not reinstated.takes_effect("why not (operator olga)")
    assert not reinstated.takes_effect(None)


def test_who_did_it_is_known_by_the_client() -> None:
    assert done_by(admin_event("UPDATE", "CLIENT", "clients/x", {}, client=OWN), CLIENTS) == CLIENTS[OWN]
    assert done_by(admin_event("UPDATE", "CLIENT", "clients/x", {}), CLIENTS) is None
    assert done_by({"operationType": "UPDATE", "resourceType": "CLIENT"}, CLIENTS) is None


# --- what is recorded at all ------------------------------------------------------------------------------------------

SWITCHES = ("eventsEnabled", "adminEventsEnabled", "adminEventsDetailsEnabled")


@pytest.mark.parametrize("switch", SWITCHES)
def test_an_administrator_who_switches_events_off_is_noticed(switch: str) -> None:
    assert switches_off(admin_event("UPDATE", "REALM", None, {switch: False}))
    assert switches_off(admin_event("UPDATE", "REALM", "events/config", {"eventsListeners": [], switch: False}))
    assert not switches_off(admin_event("UPDATE", "REALM", None, {switch: True}))
    assert not switches_off(admin_event("UPDATE", "USER", "users/x", {switch: False}))


def config(**changed: Any) -> dict[str, Any]:
    return {**dict.fromkeys(SWITCHES, True), "enabledEventTypes": list(RECORDED), **changed}


def test_the_committed_realm_records_what_is_read(registry: Registry) -> None:
    assert recorded(realm(registry))
    assert recorded(config())
    assert recorded(config(enabledEventTypes=[]))


@pytest.mark.parametrize("missing", RECORDED)
def test_a_type_that_is_not_recorded_is_missed(missing: str) -> None:
    assert not recorded(config(enabledEventTypes=[kind for kind in config()["enabledEventTypes"] if kind != missing]))


@pytest.mark.parametrize("missing", RECORDED)
@pytest.mark.parametrize("path", [None, "events/config"])
def test_an_administrator_who_ends_the_recording_of_a_type_is_noticed(path: str | None, missing: str) -> None:
    others = [kind for kind in RECORDED if kind != missing]
    assert switches_off(admin_event("UPDATE", "REALM", path, {"enabledEventTypes": others}))


def test_types_that_are_recorded_still_are_not_missed() -> None:
    """More types than are read are fine; none is all of them; and those that are not named stay as they are."""
    more = [*RECORDED, "LOGIN_ERROR"]
    changes: list[dict[str, Any]] = [{"enabledEventTypes": more}, {"enabledEventTypes": []}, {"displayName": "x"}]
    for said in changes:
        assert not switches_off(admin_event("UPDATE", "REALM", "events/config", said))


@pytest.mark.parametrize("switch", SWITCHES)
def test_what_is_switched_off_or_not_told_is_not_recorded(switch: str) -> None:
    assert not recorded(config(**{switch: False}))
    assert not recorded({name: value for name, value in config().items() if name != switch})


def test_events_that_are_kept_too_short_are_as_good_as_lost() -> None:
    assert not recorded(config(eventsExpiration=KEPT_FOR - 1))
    assert recorded(config(eventsExpiration=KEPT_FOR))
    assert recorded(config(eventsExpiration=0))  # for ever
    assert switches_off(admin_event("UPDATE", "REALM", "events/config", {"eventsExpiration": KEPT_FOR - 1}))
    assert switches_off(admin_event("UPDATE", "REALM", None, {"attributes": {"adminEventsExpiration": "1"}}))
    assert not switches_off(admin_event("UPDATE", "REALM", None, {"eventsExpiration": KEPT_FOR, "attributes": None}))
