"""What the realm has to hear of a revocation.  It comes second: it may be slow or away, and then it is told again."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol

from authorities.registry.keycloak.admin import AdministrationError, UnknownError
from authorities.registry.state import State
from zerotrust.revocation_list import Revocable

NOTIFIED, PENDING, NOTHING = "told", "could not be told", "not told"
SECONDS_BETWEEN_TRIES = 5

log = logging.getLogger(__name__)


class Realm(Protocol):
    """What the realm does about it; each raises `AdministrationError`."""

    async def disable_client(self, client_id: str) -> None:
        """Give a party no more tokens."""

    async def enable_client(self, client_id: str) -> None:
        """Let a party get tokens again."""

    async def user_id(self, name: str) -> str | None:
        """The id of the user of that name, if there is one."""

    async def disable_user(self, user: str) -> None:
        """Let a user sign in no more, and end their sessions."""

    async def enable_user(self, user: str) -> None:
        """Let a user sign in again."""

    async def end_session(self, session: str) -> None:
        """End a session."""

    async def identity(self, client_id: str) -> str:
        """The realm's own id of a client: another one once the realm was imported anew."""


class Notifier:
    """Tells the realm of what was revoked, until it has heard: what it has not is on the disk, as `State.untold`."""

    def __init__(self, realm: Realm, kept: State, *, own: str) -> None:
        """`own` is the client by which the registry comes to the realm: that one is never disabled there."""
        self._realm, self._kept, self._own = realm, kept, own
        self._turns: defaultdict[Revocable, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._asides: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Go on with what the realm had not heard before a restart."""
        for subject in self._kept.pending:
            self.tell_aside(subject)
        self._aside(self._tell_anew())
        yield
        for task in self._asides:
            task.cancel()
        await asyncio.gather(*self._asides, return_exceptions=True)

    def turn(self, subject: Revocable) -> asyncio.Lock:
        """Whoever tells the realm of a subject holds this: what was decided last has to be what it hears last."""
        return self._turns[subject]

    async def tell(self, subject: Revocable) -> str:
        """Tell it now; return TOLD, or NOTHING to tell and why, or PENDING and why.

        In the last case it is told again, and nobody waits for that.
        """
        if (told := await self._once(subject)).startswith(PENDING):
            self.tell_aside(subject)
        return told

    def tell_aside(self, subject: Revocable) -> None:
        """Tell it while nobody waits."""

        async def until_told() -> None:
            while (await self._once(subject)).startswith(PENDING):  # noqa: ASYNC110 - nobody says when it is back
                await asyncio.sleep(SECONDS_BETWEEN_TRIES)

        self._aside(until_told())

    async def _tell_anew(self) -> None:
        """Tell a realm that was imported anew of everybody who is revoked."""
        while True:
            try:
                realm = await self._realm.identity(self._own)
                break
            except AdministrationError:
                await asyncio.sleep(SECONDS_BETWEEN_TRIES)
        if subjects := await self._kept.told_anew(realm, but=self._own):
            log.warning("the realm was imported anew, and is told of %d who are revoked", len(subjects))
        for subject in subjects:
            self.tell_aside(subject)

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        self._asides.add(task := asyncio.create_task(work))
        task.add_done_callback(self._asides.discard)

    async def _once(self, subject: Revocable) -> str:
        kind, name = subject
        realm = self._realm
        tell = {"party": realm.disable_client, "user": realm.disable_user, "session": realm.end_session}[kind]
        told = NOTIFIED
        async with self.turn(subject):
            if subject in self._kept.pending:  # and neither told nor reinstated by whoever was before us
                try:
                    await tell(name)
                except UnknownError as error:  # whom the realm does not know gets nothing from it
                    told = f"{NOTHING}: {error}"
                except AdministrationError as error:
                    return f"{PENDING}: {error}"
                await self._kept.told(kind, name)
        return told
