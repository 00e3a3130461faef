"""Reads Keycloak's events more than twice a second, so that none is missed and none is taken twice.

Where events may have been lost, for they were switched off or cleared, every token that was issued until now is
withdrawn: whoever should have one gets a new one.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from operator import itemgetter
from typing import Any, Protocol

from keycloak import KeycloakAdmin, KeycloakGetError
from keycloak.exceptions import raise_error_from_response
from keycloak.urls_patterns import URL_ADMIN_EVENTS_CONFIG

from authorities.registry.events import (
    USER_EVENTS,
    Apply,
    Change,
    Event,
    Sessions,
    done_by,
    issued_until,
    of_admin_event,
    of_user_event,
    recorded,
    switches_off,
)
from authorities.registry.keycloak import AdministrationError
from authorities.registry.realm import SESSION_LIFE
from authorities.registry.stream import Stream
from authorities.registry.window import Window

SECONDS_BETWEEN_READS = 0.4
PAGE = 100
"""How many events to ask for at first; Keycloak gives no more than it is asked to."""

log = logging.getLogger(__name__)


class Asking(Protocol):
    """`Administration`, as far as it is needed here."""

    def asking(self) -> AbstractAsyncContextManager[KeycloakAdmin]:
        """Give the realm's administration.  Raises `AdministrationError`."""


class Reader:
    """Takes each event once, for as long as it is there."""

    def __init__(self, administration: Asking, apply: Apply, *, own: str, since: float) -> None:
        """`own` is the client id by which the registry itself acts; `since` counts seconds since the epoch."""
        self._administration, self._apply, self._own = administration, apply, own
        self._users, self._admins = Window(int(since * 1000)), Window(int(since * 1000))
        self._clients: dict[str, str] = {}
        self._blind = False

    async def read(self) -> None:
        """Read everything there is by now, and return once all of it has had its effect.

        Raises `AdministrationError`, or what `apply` does.  Nothing is lost: the next call begins where this did.
        """
        async with self._administration.asking() as admin:
            users = await _all(admin.a_get_events, {"type": list(USER_EVENTS), "dateFrom": str(self._users.begins)})
            admins = await _all(admin.a_get_admin_events, {"dateFrom": str(self._admins.begins)})
            config = await _config(admin)
            await self._learn_clients(admin, new := self._admins.new(admins))
        self._blind |= self._users.lost(users) or self._admins.lost(admins) or any(map(switches_off, new))
        found = [(event["time"], change) for event in self._users.new(users) for change in of_user_event(event)]
        for event in new:
            # What the registry has done there, it has told everybody before.
            if done_by(event, self._clients) != self._own:
                found += [(event["time"], change) for change in of_admin_event(event, self._clients)]
        for _, change in sorted(found, key=itemgetter(0)):
            await self._have(change)
        self._users.taken(users)
        self._admins.taken(admins)
        if not recorded(config):
            self._blind = True
            raise AdministrationError("its events are switched off: realm settings, Events, as in realm.json")
        if self._blind:
            await self._apply(issued_until(time.time_ns() // 1_000_000, "events may have been lost"))
            self._blind = False

    async def _have(self, change: Change | Sessions) -> None:
        for one in [change] if isinstance(change, Change) else await self._ended(change):
            await self._apply(one)

    async def _ended(self, sessions: Sessions) -> list[Change]:
        """Find the sessions by their beginnings: Keycloak keeps those, also of the ones that it has ended itself."""
        query = {"type": "LOGIN", "user": sessions.user, "dateFrom": str(sessions.until - SESSION_LIFE * 1000)}
        async with self._administration.asking() as admin:
            begun = await _all(admin.a_get_events, query)
        names = {event["sessionId"]: None for event in begun if event["time"] <= sessions.until}
        return [Change(("session", name), sessions.cause) for name in names]

    async def _learn_clients(self, admin: KeycloakAdmin, events: Iterable[Event]) -> None:
        named = {str(e.get("resourcePath", "")).split("/")[-1] for e in events if e["resourceType"] == "CLIENT"}
        if not self._clients or not named <= self._clients.keys():
            # One that was deleted meanwhile keeps its name.
            self._clients |= {client["id"]: client["clientId"] for client in await admin.a_get_clients()}


async def _all(read: Callable[[dict[str, Any]], Awaitable[list[Event]]], query: Mapping[str, Any]) -> list[Event]:
    """Everything, in one answer: between two pages, events of the same millisecond may change places."""
    most = PAGE
    while len(found := await read({**query, "max": str(most)})) >= most:
        most *= 4
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
        await stream.change(kind, name, change.cause, where=change.takes_effect)

    return apply


async def poll(administration: Asking, apply: Apply, heard: Callable[[float], None], *, own: str, since: float) -> None:
    """Read for as long as this runs; `heard` is told when each complete read began, by `time.monotonic`.

    `own` and `since` as for `Reader`: at a start, as long ago as what is withdrawn may still matter.
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
