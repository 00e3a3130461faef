"""Reads Keycloak's events more than twice a second, so that none is missed and none is taken twice.

Where events may have been lost, for they were switched off or cleared, every token that was issued until now is
revoked: whoever should have one gets a new one.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from operator import itemgetter
from typing import Any, Protocol

from keycloak import KeycloakAdmin, KeycloakGetError
from keycloak.exceptions import raise_error_from_response
from keycloak.urls_patterns import URL_ADMIN_EVENTS_CONFIG

from authorities.registry.keycloak.admin import AdministrationError
from authorities.registry.keycloak.event_window import Found, Window
from authorities.registry.keycloak.events import (
    KEPT_FOR,
    READ,
    Apply,
    Change,
    Event,
    Sessions,
    done_by,
    issued_until,
    of_admin_event,
    of_user_event,
    of_user_until,
    recorded,
    switches_off,
)
from authorities.registry.stream import Stream
from zerotrust.revocation_list import SESSION_LIFE, Revocable

SECONDS_BETWEEN_READS = 0.4
MOST_EVENTS = 2000
"""New events of a kind that are read at once, the oldest first; what is left is read next, and until then nothing is
complete."""
MOST_LOGINS = 2000
"""Sign-ins of a user within the life of a session; with more, the user is revoked instead of each session."""

log = logging.getLogger(__name__)


class Asking(Protocol):
    """`Administration`, as far as it is needed here."""

    def asking(self) -> AbstractAsyncContextManager[KeycloakAdmin]:
        """Give the realm's administration.  Raises `AdministrationError`."""


class Reader:
    """Takes each event once, for as long as it is there."""

    def __init__(
        self, administration: Asking, apply: Apply, *, own: str, since: float, clock: Callable[[], float] = time.time
    ) -> None:
        """`own` is the client id by which the registry itself acts; `since` and `clock` are in epoch seconds."""
        self._administration, self._apply, self._own, self._clock = administration, apply, own, clock
        self._users, self._admins = Window(int(since * 1000)), Window(int(since * 1000))
        self._clients: dict[str, str] = {}
        self._blind = False

    async def read(self) -> None:
        """Read everything there is by now, and return once all of it has had its effect.

        Raises `AdministrationError`, or what `apply` does.  Nothing is lost: the next call begins where this did.
        """
        while not await self._read_some():
            pass

    async def _read_some(self) -> bool:
        """Read the oldest of what is new; return whether that was all."""
        async with self._administration.asking() as admin:
            kept_since = int((self._clock() - KEPT_FOR / 2) * 1000)  # what is older, nobody need have cleared
            # In any order: a complete read tells only of what happened before it began, and so before each of these.
            async with _at_once() as group:
                of_users = self._users.read(admin.a_get_events, MOST_EVENTS, kept_since, type=list(READ))
                asked = group.create_task(of_users), group.create_task(self._admin_events(admin, kept_since))
                settings = group.create_task(_config(admin))
        (users, admins), config = (one.result() for one in asked), settings.result()
        # control: cleared-events-noticed
        self._blind |= users.lost or admins.lost or any(map(switches_off, admins.new))
        found = [(event["time"], change) for event in users.new for change in of_user_event(event)]
        for event in admins.new:
            # What the registry has done there, it has told everybody before.
            if done_by(event, self._clients) != self._own:
                found += [(event["time"], change) for change in of_admin_event(event, self._clients)]
        await self._have([change for _, change in sorted(found, key=itemgetter(0))])
        self._users.taken(users)
        self._admins.taken(admins)
        if not recorded(config):
            self._blind = True
            raise AdministrationError("its events are switched off: realm settings, Events, as in realm.json")
        if self._blind:
            await self._apply(issued_until(time.time_ns() // 1_000_000, "events may have been lost"))
            self._blind = False
        return users.complete and admins.complete

    async def _have(self, found: Iterable[Change | Sessions]) -> None:
        """Apply all of it at once, in this order; return once all has had its effect, or raise for what has not."""
        changes = [change for one in found for change in ([one] if isinstance(one, Change) else await self._ended(one))]
        for result in await asyncio.gather(*map(self._apply, changes), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _ended(self, sessions: Sessions) -> list[Change]:
        """Find the sessions by their beginnings: Keycloak keeps those, also of the ones that it has ended itself.

        Of a session that began without `LOGIN`, by impersonation for example, Keycloak knows while it is open.  And
        whichever sessions there were: no token counts that was issued to the user in an earlier second.
        """
        since = str(sessions.until - SESSION_LIFE * 1000)
        query = {"type": "LOGIN", "user": sessions.user, "dateFrom": since, "direction": "asc", "max": str(MOST_LOGINS)}
        async with self._administration.asking() as admin, _at_once() as group:
            logins = group.create_task(admin.a_get_events(query))
            known = group.create_task(_sessions(admin, sessions.user))
        begun, still_open = logins.result(), known.result()
        if len(begun) >= MOST_LOGINS:
            return [Change(("user", sessions.user), f"{sessions.cause}, in {MOST_LOGINS} sessions")]
        later = {event["sessionId"] for event in begun if event["time"] > sessions.until}
        names = {event["sessionId"]: None for event in begun if event["time"] <= sessions.until}
        names |= {one["id"]: None for one in still_open if one["start"] <= sessions.until and one["id"] not in later}
        earlier = of_user_until(sessions.until // 1000 - 1, sessions.user)  # control: cleared-events-end-sessions
        subjects: list[Revocable] = [earlier, *(("session", name) for name in names)]
        return [Change(subject, sessions.cause) for subject in subjects]

    async def _admin_events(self, admin: KeycloakAdmin, kept_since: int) -> Found:
        """Read them, and then the names of the clients that they are about: one may have been made just before."""
        found = await self._admins.read(admin.a_get_admin_events, MOST_EVENTS, kept_since)
        await self._learn_clients(admin, found.new)
        return found

    async def _learn_clients(self, admin: KeycloakAdmin, events: Iterable[Event]) -> None:
        named = {str(e.get("resourcePath", "")).split("/")[-1] for e in events if e["resourceType"] == "CLIENT"}
        if not self._clients or not named <= self._clients.keys():
            # One that was deleted meanwhile keeps its name.
            self._clients |= {client["id"]: client["clientId"] for client in await admin.a_get_clients()}


@asynccontextmanager
async def _at_once() -> AsyncIterator[asyncio.TaskGroup]:
    """Questions that are asked at the same time.  Where one fails the others end, and its error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed


async def _sessions(admin: KeycloakAdmin, user: str) -> list[dict[str, Any]]:
    """The sessions of a user that are open; none of a user that is gone.  `start` is in milliseconds, rounded down."""
    path = f"admin/realms/{admin.connection.realm_name}/users/{user}/sessions"
    if (answer := await admin.connection.a_raw_get(path)).status_code == 404:
        return []
    found = raise_error_from_response(answer, KeycloakGetError)
    if not isinstance(found, list):
        raise TypeError("no list of sessions")
    return found


async def _config(admin: KeycloakAdmin) -> dict[str, Any]:
    """What is recorded at all; python-keycloak has no call for it."""
    url = URL_ADMIN_EVENTS_CONFIG.format(**{"realm-name": admin.connection.realm_name})
    config = raise_error_from_response(await admin.connection.a_raw_get(url), KeycloakGetError)
    if not isinstance(config, dict):
        raise TypeError("no configuration of events")
    return config


def applying(stream: Stream) -> Apply:
    """What Keycloak tells becomes a change, where it takes effect."""

    async def apply(change: Change) -> None:
        kind, name = change.subject
        await stream.change(kind, name, change.cause, where=change.takes_effect, instead=change.instead)

    return apply


async def poll(administration: Asking, apply: Apply, heard: Callable[[float], None], *, own: str, since: float) -> None:
    """Read for as long as this runs; `heard` is told when each complete read began, by `time.monotonic`.

    `own` and `since` as for `Reader`: at a start, as long ago as what is revoked may still matter.
    """
    reader, told = Reader(administration, apply, own=own, since=since), ""
    while True:
        began = time.monotonic()
        try:
            await reader.read()
            heard(began)
            why = ""
        except Exception as error:  # noqa: BLE001 - whatever it is, it was no complete read, and is tried again
            why = str(error) or type(error).__name__
        if why != told:
            log.warning("Keycloak's events are read again" if not why else f"Keycloak's events are not read: {why}")
        told = why
        await asyncio.sleep(max(0.0, began + SECONDS_BETWEEN_READS - time.monotonic()))
