"""Reads Keycloak's events more than twice a second, each event once.

If events may have been lost, because they were switched off or cleared, every token issued until now is revoked; users
sign in again.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from operator import itemgetter
from typing import Any

from keycloak import KeycloakAdmin, KeycloakGetError
from keycloak.exceptions import raise_error_from_response
from keycloak.urls_patterns import URL_ADMIN_EVENTS_CONFIG

from authorities.registry.keycloak import events
from authorities.registry.keycloak.admin import Administration, AdministrationError
from authorities.registry.keycloak.event_window import Found, Window
from authorities.registry.stream import Stream
from zerotrust.revocation_list import SESSION_LIFE, Revocable

SECONDS_BETWEEN_READS = 0.4
SECONDS_UNTIL_WARNED = 2.0
"""Seconds after the last good read.  Revocations stay fresh for 3 (`freshness.revocations`)."""
MOST_EVENTS = 2000
"""New events of a kind that are read at once, the oldest first.  The rest is read next, and until then the read is not
complete."""
MOST_LOGINS = 2000
"""Sign-ins of a user within the lifetime of a session; with more, the user is revoked instead of each session."""

log = logging.getLogger(__name__)


EXCHANGES = "standard.token.exchange.enabled"
"""The attribute of a client that may exchange tokens."""


class Reader:
    """Applies each event once."""

    def __init__(
        self,
        administration: Administration,
        apply: events.Apply,
        *,
        own: str,
        since: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`own` is the client id by which the registry itself acts; `since` and `clock` are in epoch seconds."""
        self._administration, self._apply, self._own, self._clock = administration, apply, own, clock
        self._users, self._admins = Window(int(since * 1000)), Window(int(since * 1000))
        self._clients: dict[str, str] = {}
        self._blind = False

    async def read(self) -> None:
        """Read all events until now, and return when all of them have taken effect.

        Raises `AdministrationError`, or the errors of `apply`.  Nothing is lost: the next call starts where this did.
        """
        while not await self._read_some():
            pass

    async def _read_some(self) -> bool:
        """Read the oldest new events; return whether these were all."""
        async with self._administration.asking() as admin:
            kept_since = int((self._clock() - events.KEPT_FOR / 2) * 1000)  # older events may be missing without harm
            # In any order: a complete read covers only what happened before it began, and so before each of these.
            async with _concurrently() as group:
                of_users = self._users.read(admin.a_get_events, MOST_EVENTS, kept_since, type=list(events.READ))
                asked = group.create_task(of_users), group.create_task(self._admin_events(admin, kept_since))
                settings = group.create_task(_config(admin))
        (users, admins), config = (one.result() for one in asked), settings.result()
        # control: cleared-events-noticed
        self._blind |= users.lost or admins.lost or any(map(events.switches_off, admins.new))
        found = [(event["time"], change) for event in users.new for change in events.of_user_event(event)]
        for event in admins.new:
            # Skip the registry's own changes there, which it has published already.
            if events.done_by(event, self._clients) != self._own:
                found += [(event["time"], change) for change in events.of_admin_event(event, self._clients)]
        await self._apply_all([change for _, change in sorted(found, key=itemgetter(0))])
        self._users.note_taken(users)
        self._admins.note_taken(admins)
        if not events.records_all_events(config):
            self._blind = True
            raise AdministrationError("its events are switched off: switch them on in the realm settings, Events")
        if self._blind:
            await self._apply(events.revoke_until(time.time_ns() // 1_000_000, "events may have been lost"))
            self._blind = False
        return users.complete and admins.complete

    async def _apply_all(self, found: Iterable[events.Change | events.Sessions]) -> None:
        """Apply all changes concurrently, started in this order; return when all took effect, or raise an error."""
        changes = [
            change for one in found for change in ([one] if isinstance(one, events.Change) else await self._expand(one))
        ]
        for result in await asyncio.gather(*map(self._apply, changes), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _expand(self, sessions: events.Sessions) -> list[events.Change]:
        """Return the revocations of sessions, found by `LOGIN` events, which Keycloak keeps also for ended sessions.

        A session that began without `LOGIN`, for example by impersonation, is found while it is open.  In any case,
        every token that was issued to the user in an earlier second is revoked.
        """
        since = str(sessions.until - SESSION_LIFE * 1000)
        query = {"type": "LOGIN", "user": sessions.user, "dateFrom": since, "direction": "asc", "max": str(MOST_LOGINS)}
        async with self._administration.asking() as admin:
            still_open = await _sessions(admin, sessions.user)
            begun = await admin.a_get_events(query)  # after that, so that no new session is seen without its `LOGIN`
        if len(begun) >= MOST_LOGINS:
            return [events.Change(("user", sessions.user), f"{sessions.cause}, in {MOST_LOGINS} sessions")]
        later = {event["sessionId"] for event in begun if event["time"] > sessions.until}
        names = {event["sessionId"]: None for event in begun if event["time"] <= sessions.until}
        names |= {one["id"]: None for one in still_open if one["start"] <= sessions.until and one["id"] not in later}
        older = events.of_user_until(sessions.until // 1000 - 1, sessions.user)  # control: cleared-events-end-sessions
        subjects: list[Revocable] = [older, *(("session", name) for name in names)]
        return [events.Change(subject, sessions.cause) for subject in subjects]

    async def _admin_events(self, admin: KeycloakAdmin, kept_since: int) -> Found:
        """Read the admin events, and then the names of their clients, of which one may have just been created."""
        found = await self._admins.read(admin.a_get_admin_events, MOST_EVENTS, kept_since)
        named = {str(e.get("resourcePath", "")).split("/")[-1] for e in found.new if e["resourceType"] == "CLIENT"}
        if not self._clients or not named <= self._clients.keys():
            # A client that was deleted since keeps its name.
            self._clients |= {client["id"]: client["clientId"] for client in await admin.a_get_clients()}
        return found


@asynccontextmanager
async def _concurrently() -> AsyncIterator[asyncio.TaskGroup]:
    """Run requests concurrently.  If one fails, the others are cancelled, and its error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed


async def _sessions(admin: KeycloakAdmin, user: str) -> list[dict[str, Any]]:
    """Return the open sessions of a user; none if the user was deleted.  `start` is in milliseconds, rounded down."""
    path = f"admin/realms/{admin.connection.realm_name}/users/{user}/sessions"
    if (answer := await admin.connection.a_raw_get(path)).status_code == 404:
        return []
    found = raise_error_from_response(answer, KeycloakGetError)
    if not isinstance(found, list):
        raise TypeError("not a list of sessions")
    return found


async def _config(admin: KeycloakAdmin) -> dict[str, Any]:
    """Return the configuration of events, for which python-keycloak has no call."""
    url = URL_ADMIN_EVENTS_CONFIG.format(**{"realm-name": admin.connection.realm_name})
    config = raise_error_from_response(await admin.connection.a_raw_get(url), KeycloakGetError)
    if not isinstance(config, dict):
        raise TypeError("not a configuration of events")
    return config


def change_applier(stream: Stream, note: Callable[[events.Change], Awaitable[object]]) -> events.Apply:
    """Return a function that makes a change of Keycloak's in the registry, if it takes effect, and then notes it."""

    async def apply(change: events.Change) -> None:
        effective = False

        def takes_effect(current: str | None) -> bool:
            nonlocal effective
            effective = change.takes_effect(current)
            return effective

        kind, name = change.subject
        await stream.change(kind, name, change.cause, where=takes_effect, instead=change.instead)
        if effective:
            with suppress(OSError):  # it is in force, also without a record; the next call is refused
                await note(change)

    return apply


async def run_mappers(administration: Administration) -> None:
    """Have Keycloak evaluate the claims of an exchanging client's token once, as its page "Evaluate" does, unsigned.

    It loads the engine of the realm's script for that, which takes seconds of CPU time; on a busy machine the first
    exchange would take longer than its client waits.  Any answer will do.  Raises `AdministrationError` without one.
    """
    async with administration.asking() as admin:
        exchanging = [one["id"] for one in await admin.a_get_clients() if one.get("attributes", {}).get(EXCHANGES)]
        users = await admin.a_get_users({"max": 1}) if exchanging else []
        for client, user in zip(exchanging[:1], users, strict=False):
            path = f"admin/realms/{admin.connection.realm_name}/clients/{client}/evaluate-scopes"
            await admin.connection.a_raw_get(f"{path}/generate-example-access-token", userId=user["id"])


async def poll(
    administration: Administration, apply: events.Apply, note_read: Callable[[float], None], *, own: str, since: float
) -> None:
    """Read until cancelled; call `note_read` with the time at which each complete read began (`time.monotonic`).

    Before the first read, it runs the mappers: no revocations are known until then, so that no service is ready before
    Keycloak is.  No later read waits for them: a failing Keycloak has to tell its revocations first.  `own` and `since`
    as for `Reader`: at the start, as far back as a revocation may still matter.
    """
    reader = Reader(administration, apply, own=own, since=since)
    logged, read_once, good_at = "", False, time.monotonic()
    while True:
        began = time.monotonic()
        try:
            if not read_once:
                await run_mappers(administration)
                began = time.monotonic()
            await reader.read()
            note_read(began)
            why, read_once, good_at = "", True, time.monotonic()
        except Exception as error:  # noqa: BLE001 - after any error the read was not complete, and is tried again
            why = str(error) or type(error).__name__
        # At a start Keycloak comes last.  Later, a read that fails now and then has no effect.
        overdue = not read_once or time.monotonic() - good_at >= SECONDS_UNTIL_WARNED
        if why and why != logged and overdue:
            log.log(logging.WARNING if read_once else logging.INFO, "Keycloak's events are not read: %s", why)
            logged = why
        elif logged and not why:
            log.info("Keycloak's events are read again")
            logged = ""
        await asyncio.sleep(max(0.0, began + SECONDS_BETWEEN_READS - time.monotonic()))
