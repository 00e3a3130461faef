"""What Keycloak's events revoke or reinstate; each as Keycloak 26.7.5 was seen to write it.  Pure.

A token carries its user's groups and outlives a change of password, and Keycloak tells nobody.  So every session that
the user had open until then is revoked, and who signs in anew has what is true now.  Where nobody can tell whose
tokens are concerned, all that were issued until then are revoked.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zerotrust.revocation_list import Revocable

Event = Mapping[str, Any]

OURS = "keycloak: "
"""How each cause from here begins: what anybody else has revoked, Keycloak does not reinstate."""

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
"""What users do that revokes all their sessions, and the cause: they sign in by other means from here on."""
USER_GONE: Mapping[str, str] = {"DELETE_ACCOUNT": "deleted", "USER_DISABLED_BY_PERMANENT_LOCKOUT": "disabled"}
"""What ends a user, and the cause."""
REGISTRATION = ("CLIENT_UPDATE", "CLIENT_DELETE")
"""A client was changed by the registration service (RFC 7592), which makes no admin event."""

USER_EVENTS = ("LOGOUT", "REVOKE_GRANT", *SESSIONS_OF, *USER_GONE, *REGISTRATION)
"""The types that revoke something; `docs/keycloak-events.md` says which do not, and why."""
SENTINEL = "CLIENT_LOGIN"
"""The registry's own sign-in, about once a minute: whoever clears the events removes one that is known."""
READ = (*USER_EVENTS, SENTINEL)
"""The types that are read all the time."""
RECORDED = (*READ, "LOGIN")
"""The types that Keycloak has to record: `LOGIN` tells which sessions a user had.  No errors: a stranger would fill the
disk with them."""
KEPT_FOR = 7200
"""Seconds for which Keycloak keeps an event: longer than a registry that was away looks back."""


@dataclass(frozen=True, slots=True)
class Change:
    """Somebody or something is revoked, or with no cause reinstated."""

    subject: Revocable
    cause: str | None
    instead: Revocable | None = field(default=None, compare=False)
    """The time that revokes this and more of the same user's: for where they have used up their share."""

    def takes_effect(self, current: str | None) -> bool:
        """Whether it changes anything for a subject that is revoked for the cause `current`, if any.

        The word of an operator, or of attestation, stays.
        """
        return current is None if self.cause else current is not None and current.startswith(OURS)


@dataclass(frozen=True, slots=True)
class Sessions:
    """Every session that a user opened until then is revoked; Keycloak has to be asked which those are."""

    user: str
    until: int
    """Milliseconds since the epoch."""
    cause: str


Apply = Callable[[Change], Awaitable[None]]
"""Revokes or reinstates, where that takes effect; returns once it is on the disk."""


def of_user_event(event: Event) -> list[Change | Sessions]:
    """What it means that a user, or a client for a user, has done this."""
    session, token = event.get("sessionId"), event.get("details", {}).get("token_id")
    match event["type"]:
        case "LOGOUT":
            return [Change(("session", session), f"{OURS}logout", _until_then(event))] if session else []
        case "REVOKE_GRANT":  # RFC 7009: of a refresh token, which ends its session, or of an access token alone
            ended: list[Change | Sessions] = (
                [Change(("session", session), f"{OURS}revoked", _until_then(event))] if session else []
            )
            # Whoever revokes a token is the party that it was issued to.
            all_of_it = _until_then(event, event.get("clientId"))  # control: revoked-for-its-client
            return [*ended, Change(("token", token), f"{OURS}revoked", all_of_it)] if token else ended
        case kind if kind in USER_GONE:
            return [Change(("user", event["userId"]), OURS + USER_GONE[kind])]
        case kind if kind in SESSIONS_OF:  # control: credential-removed-ends-sessions
            return [Sessions(event["userId"], event["time"], OURS + SESSIONS_OF[kind])]
        case kind if kind in REGISTRATION:
            return [issued_until(event["time"], "a client changed")]
    return []


def of_admin_event(  # noqa: PLR0911 - one for each thing that can be done
    event: Event, clients: Mapping[str, str]
) -> list[Change | Sessions]:
    """What it means that an administrator has done this.  `clients`: the realm's client ids, by Keycloak's own ids."""
    said, at, path = _representation(event), event["time"], event.get("resourcePath", "").split("/")
    match event["operationType"], event["resourceType"], path:
        case done, "USER" | "GROUP_MEMBERSHIP", ["users", user, *what]:
            return _of_a_user(user, done, what, said, at)
        case "UPDATE" | "DELETE", "GROUP", _:  # renamed, moved, deleted; a new one has no members
            return [issued_until(at, "a group changed")]
        case "DELETE", "USER_SESSION", ["sessions", session]:
            return [Change(("session", session), f"{OURS}ended")]
        case "UPDATE", "CLIENT", ["clients", client] if client in clients:
            return [*_enabled(("party", clients[client]), said), *_not_before(said)]
        case "DELETE", "CLIENT", ["clients", client]:
            name = said.get("clientId") or clients.get(client)
            return [Change(("party", name), f"{OURS}deleted") if name else issued_until(at, "a client was deleted")]
        case "UPDATE", "REALM", [""]:
            return _not_before(said)
        case "UPDATE", "REALM", ["users", user]:  # a partial import puts another user in the place of this one
            return _of_a_user(user, "UPDATE", [], said, at)
        case "UPDATE", "REALM", ["clients" | "groups" | "roles" as what, _]:
            return [issued_until(at, f"an import changed {what}")]
        case "ACTION", "REALM", ["logout-all"]:
            return [issued_until(at, "all logged out")]
    return []


_PARTS = {
    "logout": "logged out",
    "groups": "groups changed",
    "reset-password": "credential changed",
    "credentials": "credential changed",
    "disable-credential-types": "credential changed",
}
"""What is done to a part of a user; linked identities, and whatever else there may be, are `user changed`."""


def _of_a_user(user: str, done: str, what: list[str], said: Mapping[str, Any], at: int) -> list[Change | Sessions]:
    """What it means that this was done to a user, or to the part of one that `what` names."""
    match done, what:
        case "CREATE", []:
            return []
        case "DELETE", []:
            return [Change(("user", user), f"{OURS}deleted")]
    # Keycloak leaves credentials out of what it records of an update: any of these may have changed the password.
    enabled = [] if what else _enabled(("user", user), said)
    # control: user-change-ends-sessions
    return [*enabled, Sessions(user, at, OURS + _PARTS.get(what[0] if what else "", "user changed"))]


def done_by(event: Event, clients: Mapping[str, str]) -> str | None:
    """The client by which an administrator did this, if it is one of the realm."""
    return clients.get(event.get("authDetails", {}).get("clientId", ""))


def switches_off(event: Event) -> bool:
    """Whether from here on something happens of which there is no event, or none for long enough."""
    said = _representation(event)
    ends = said.get("eventsExpiration"), (said.get("attributes") or {}).get("adminEventsExpiration")
    return event["resourceType"] == "REALM" and (
        any(said.get(name) is False for name in _SWITCHES)
        or any(0 < int(end or 0) < KEPT_FOR for end in ends)
        or not _all_types(said)
    )


def recorded(config: Mapping[str, Any]) -> bool:
    """Whether Keycloak records, as it is now, everything that is read here."""
    long_enough = not 0 < (config.get("eventsExpiration") or 0) < KEPT_FOR
    return all(config.get(name) is True for name in _SWITCHES) and _all_types(config) and long_enough


def _all_types(config: Mapping[str, Any]) -> bool:
    """Whether every type that is read is among those that `config` says to record."""
    # No type at all is how Keycloak says: all of them.  An update that does not name them leaves them as they are.
    return set(config.get("enabledEventTypes") or RECORDED).issuperset(RECORDED)


_SWITCHES = ("eventsEnabled", "adminEventsEnabled", "adminEventsDetailsEnabled")


def issued_until(milliseconds: int, why: str) -> Change:
    """Revoke every token that was issued until then."""
    return Change(("before", str(milliseconds // 1000)), OURS + why)


def of_user_until(seconds: int, user: str, client: str | None = None) -> Revocable:
    """What revokes every token of a user that was issued until then; of a client, if one is named."""
    return "before", " ".join([str(seconds), user, *([client] if client else [])])


def _until_then(event: Event, client: str | None = None) -> Revocable | None:
    return of_user_until(event["time"] // 1000, event["userId"], client) if event.get("userId") else None


def _representation(event: Event) -> dict[str, Any]:
    """What was sent, and so what was not sent did not change; empty where nothing was."""
    said = json.loads(event.get("representation") or "{}")
    return said if isinstance(said, dict) else {}


def _enabled(subject: Revocable, said: Mapping[str, Any]) -> list[Change | Sessions]:
    if "enabled" not in said:
        return []
    return [Change(subject, None if said["enabled"] is True else f"{OURS}disabled")]


def _not_before(said: Mapping[str, Any]) -> list[Change | Sessions]:
    """Of the realm; and of a client, for which there is no narrower word: whoever is concerned gets a new token."""
    return [issued_until(said["notBefore"] * 1000, "not before")] if said.get("notBefore") else []
