"""Notifies the realm of revocations, after all parties.  It may be slow or down, and then it is notified again."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

from authorities.registry.keycloak.admin import Administration, AdministrationError, UnknownError
from authorities.registry.state import State
from zerotrust.revocation_list import Revocable

NOTIFIED, UNCONFIRMED, NOT_APPLICABLE = "notified", "unconfirmed", "not applicable"
"""The results of notifying the realm, as operators get them; after the last two, a colon and the reason."""
SECONDS_BETWEEN_TRIES = 5

log = logging.getLogger(__name__)


class Notifier:
    """Notifies the realm of each revocation, until it succeeds; pending notices are on the disk (`State.pending`)."""

    def __init__(self, realm: Administration, kept: State, *, own: str) -> None:
        """`own` is the client by which the registry authenticates to the realm; it is never disabled there."""
        self._realm, self._kept, self._own = realm, kept, own
        self._turns: WeakValueDictionary[Revocable, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work for a block: first on the notifications that were pending before a restart."""
        for subject in self._kept.pending:
            self.notify_later(subject)
        self._in_background(self._notify_new_realm())
        try:
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def turn(self, subject: Revocable) -> asyncio.Lock:
        """Return the lock to hold while notifying the realm of a subject: its last notification must be the latest."""
        return self._turns.setdefault(subject, asyncio.Lock())

    async def notify(self, subject: Revocable) -> str:
        """Notify the realm now.  Return the result; an unconfirmed one is notified again, in the background."""
        if (result := await self._once(subject)).startswith(UNCONFIRMED):
            self.notify_later(subject)
        return result

    def notify_later(self, subject: Revocable) -> None:
        async def until_notified() -> None:
            while (await self._once(subject)).startswith(UNCONFIRMED):  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(SECONDS_BETWEEN_TRIES)

        self._in_background(until_notified())

    async def _notify_new_realm(self) -> None:
        while True:
            try:
                realm = await self._realm.identity(self._own)
                break
            except AdministrationError:
                await asyncio.sleep(SECONDS_BETWEEN_TRIES)
        if subjects := await self._kept.pending_for_new_realm(realm, but=self._own):
            log.warning("the realm was imported again, and is notified of %d revocations", len(subjects))
        for subject in subjects:
            self.notify_later(subject)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(task := asyncio.create_task(work))
        task.add_done_callback(self._tasks.discard)

    async def _once(self, subject: Revocable) -> str:
        kind, name = subject
        realm = self._realm
        notify = {"party": realm.disable_client, "user": realm.disable_user, "session": realm.end_session}[kind]
        result = NOTIFIED
        async with self.turn(subject):
            if subject in self._kept.pending:  # not notified or reinstated while we waited for the lock
                try:
                    await notify(name)
                except UnknownError as error:  # the realm issues nothing to a subject that it does not know
                    result = f"{NOT_APPLICABLE}: {error}"
                except AdministrationError as error:
                    return f"{UNCONFIRMED}: {error}"
                await self._kept.note_notified(kind, name)
        return result
