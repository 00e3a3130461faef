"""Translates Keycloak's events, in the form that Keycloak 26.7.5 writes, into revocations and reinstatements.  Pure.

A token has its user's groups and outlives a change of password, and Keycloak does not notify its holders.  So every
session that the user had open until then is revoked, and the next sign-in gets current claims.  If it is not known
whose tokens are affected, all tokens issued until then are revoked.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from authorities.registry.state import SILENT
from zerotrust.revocation_list import Revocable

Event = Mapping[str, Any]

OURS = "keycloak: "
"""The prefix of each cause from here: Keycloak's events reinstate only what Keycloak's events revoked."""

SESSIONS_OF: Mapping[str, str] = {
    "UPDATE_CREDENTIAL": "credential changed",
    "REMOVE_CREDENTIAL": "credential changed",
    "UPDATE_PASSWORD": "credential changed",
    "RESET_PASSWORD": "credential changed",
    "UPDATE_TOTP": "credential changed",
    "REMOVE_TOTP": "credential changed",
    "FEDERATED_IDENTITY_LINK": "linked identity changed",
    "FEDERATED_IDENTITY_OVERRIDE_LINK": "linked identity changed",
    "REMOVE_FEDERATED_IDENTITY": "linked identity changed",
}
"""User events that revoke all sessions of the user, with the cause: the means to sign in have changed."""
USER_GONE: Mapping[str, str] = {"DELETE_ACCOUNT": "deleted", "USER_DISABLED_BY_PERMANENT_LOCKOUT": "disabled"}
"""Events that end a user, with the cause."""
REGISTRATION = ("CLIENT_UPDATE", "CLIENT_DELETE")
"""Changes of a client by the registration service (RFC 7592), which makes no admin event."""

USER_EVENTS = ("LOGOUT", "REVOKE_GRANT", *SESSIONS_OF, *USER_GONE, *REGISTRATION)
"""The types that revoke something; `docs/explain/revocation.md` has the others, with reasons."""
SENTINEL = "CLIENT_LOGIN"
"""The registry's own sign-in, about once a minute: if the events are cleared, a known event is missing."""
READ = (*USER_EVENTS, SENTINEL)
"""The types that are read all the time."""
EXCHANGED = "TOKEN_EXCHANGE"
"""A token was exchanged: recorded, so that the exchanges in the journals can be compared with it (`exchanges.py`)."""
RECORDED = (*READ, "LOGIN", EXCHANGED)
"""The types that Keycloak has to record: `LOGIN` shows which sessions a user had.  No error events, with which a
stranger could fill the disk."""
KEPT_FOR = 7200
"""Seconds for which Keycloak keeps an event: longer than a restarted registry looks back."""


@dataclass(frozen=True, slots=True)
class Change:
    """The revocation of a subject, or without a cause its reinstatement."""

    subject: Revocable
    cause: str | None
    instead: Revocable | None = field(default=None, compare=False)
    """The time that revokes this and more of the same user's tokens, if the user has used up their share."""

    def takes_effect(self, current: str | None) -> bool:
        """Return whether it changes anything for a subject that is revoked for the cause `current`, or is not revoked.

        Revocations by operators and by attestation stay; a party of a silent node is suspended as any other.
        """
        if self.cause:
            return current is None or current.startswith(SILENT)
        return current is not None and current.startswith(OURS)


@dataclass(frozen=True, slots=True)
class Sessions:
    """The revocation of every session that a user opened until then; Keycloak has to be queried for them."""

    user: str
    until: int
    """Milliseconds since the epoch."""
    cause: str


Apply = Callable[[Change], Awaitable[None]]
"""Revokes or reinstates, if that takes effect; returns when it is on the disk."""


def of_user_event(event: Event) -> list[Change | Sessions]:
    """Return the changes for a user event, of a user or of a client for a user."""
    session, token = event.get("sessionId"), event.get("details", {}).get("token_id")
    match event["type"]:
        case "LOGOUT":
            return [Change(("session", session), f"{OURS}logout", _until_then(event))] if session else []
        case "REVOKE_GRANT":  # RFC 7009: of a refresh token, which ends its session, or only of an access token
            ended: list[Change | Sessions] = (
                [Change(("session", session), f"{OURS}revoked", _until_then(event))] if session else []
            )
            # A token is revoked by the party that it was issued to.
            all_of_it = _until_then(event, event.get("clientId"))  # control: revoked-for-its-client
            return [*ended, Change(("token", token), f"{OURS}revoked", all_of_it)] if token else ended
        case kind if kind in USER_GONE:
            return [Change(("user", event["userId"]), OURS + USER_GONE[kind])]
        case kind if kind in SESSIONS_OF:  # control: credential-removed-ends-sessions
            return [Sessions(event["userId"], event["time"], OURS + SESSIONS_OF[kind])]
        case kind if kind in REGISTRATION:
            return [revoke_until(event["time"], "a client changed")]
    return []


def of_admin_event(  # noqa: PLR0911 - one for each thing that can be done
    event: Event, clients: Mapping[str, str]
) -> list[Change | Sessions]:
    """Return the changes for an administrator's event.  `clients`: the realm's client ids, by Keycloak's own ids."""
    said, at, path = _representation(event), event["time"], event.get("resourcePath", "").split("/")
    match event["operationType"], event["resourceType"], path:
        case done, "USER" | "GROUP_MEMBERSHIP", ["users", user, *what]:
            return _of_a_user(user, done, what, said, at)
        case "UPDATE" | "DELETE", "GROUP", _:  # renamed, moved, deleted; a new one has no members
            return [revoke_until(at, "a group changed")]
        case "DELETE", "USER_SESSION", ["sessions", session]:
            return [Change(("session", session), f"{OURS}ended")]
        case "UPDATE", "CLIENT", ["clients", client] if client in clients:
            return [*_enabled_change(("party", clients[client]), said), *_not_before(said)]
        case "DELETE", "CLIENT", ["clients", client]:
            name = said.get("clientId") or clients.get(client)
            return [Change(("party", name), f"{OURS}deleted") if name else revoke_until(at, "a client was deleted")]
        case "UPDATE", "REALM", [""]:
            return _not_before(said)
        case "UPDATE", "REALM", ["users", user]:  # a partial import replaces this user
            return _of_a_user(user, "UPDATE", [], said, at)
        case "UPDATE", "REALM", ["clients" | "groups" | "roles" as what, _]:
            return [revoke_until(at, f"an import changed {what}")]
        case "ACTION", "REALM", ["logout-all"]:
            return [revoke_until(at, "all logged out")]
    return []


_PARTS = {
    "logout": "logged out",
    "groups": "groups changed",
    "reset-password": "credential changed",
    "credentials": "credential changed",
    "disable-credential-types": "credential changed",
}
"""The causes for changes of a part of a user; linked identities and all other parts are `user changed`."""


def _of_a_user(user: str, done: str, what: list[str], said: Mapping[str, Any], at: int) -> list[Change | Sessions]:
    """Return the changes for an operation on a user, or on the part of a user that `what` names."""
    match done, what:
        case "CREATE", []:
            return []
        case "DELETE", []:
            return [Change(("user", user), f"{OURS}deleted")]
    # Keycloak does not record credentials in an update event: any of these may have changed the password.
    enabled = [] if what else _enabled_change(("user", user), said)
    # control: user-change-ends-sessions
    return [*enabled, Sessions(user, at, OURS + _PARTS.get(what[0] if what else "", "user changed"))]


def done_by(event: Event, clients: Mapping[str, str]) -> str | None:
    """Return the client by which an administrator did this, if it is one of the realm."""
    return clients.get(event.get("authDetails", {}).get("clientId", ""))


def switches_off(event: Event) -> bool:
    """Return whether this event switches off the recording of some events, or shortens their retention too much."""
    said = _representation(event)
    ends = said.get("eventsExpiration"), (said.get("attributes") or {}).get("adminEventsExpiration")
    return event["resourceType"] == "REALM" and (
        any(said.get(name) is False for name in _SWITCHES)
        or any(0 < int(end or 0) < KEPT_FOR for end in ends)
        or not _all_types(said)
    )


def records_all_events(config: Mapping[str, Any]) -> bool:
    """Return whether Keycloak's configuration records all events that are read here."""
    long_enough = not 0 < (config.get("eventsExpiration") or 0) < KEPT_FOR
    return all(config.get(name) is True for name in _SWITCHES) and _all_types(config) and long_enough


def _all_types(config: Mapping[str, Any]) -> bool:
    """Return whether `config` records every type that is read."""
    # Without types, Keycloak records all of them.  An update that does not name them leaves them unchanged.
    return set(config.get("enabledEventTypes") or RECORDED).issuperset(RECORDED)


_SWITCHES = ("eventsEnabled", "adminEventsEnabled", "adminEventsDetailsEnabled")


def revoke_until(milliseconds: int, why: str) -> Change:
    """Return the change that revokes every token issued until then."""
    return Change(("before", str(milliseconds // 1000)), OURS + why)


def of_user_until(seconds: int, user: str, client: str | None = None) -> Revocable:
    """Return the subject for every token of a user that was issued until then; only of a client, if one is named."""
    return "before", " ".join([str(seconds), user, *([client] if client else [])])


def _until_then(event: Event, client: str | None = None) -> Revocable | None:
    return of_user_until(event["time"] // 1000, event["userId"], client) if event.get("userId") else None


def _representation(event: Event) -> dict[str, Any]:
    """Return the JSON that the administrator sent, which has only what changed; empty if there was none."""
    said = json.loads(event.get("representation") or "{}")
    return said if isinstance(said, dict) else {}


def _enabled_change(subject: Revocable, said: Mapping[str, Any]) -> list[Change | Sessions]:
    if "enabled" not in said:
        return []
    return [Change(subject, None if said["enabled"] is True else f"{OURS}disabled")]


def _not_before(said: Mapping[str, Any]) -> list[Change | Sessions]:
    """Return the change for a `notBefore` of the realm or of a client, which has no narrower revocation."""
    return [revoke_until(said["notBefore"] * 1000, "not before")] if said.get("notBefore") else []
