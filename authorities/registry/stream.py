"""Tells every party what exists and what is withdrawn, each line signed; the sending end of `zerotrust/signals.py`."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable

from authorities.registry.state import State
from zerotrust.known import KIND, Known
from zerotrust.signals import SIGNAL, changed, heartbeat, state
from zerotrust.signed import sign
from zerotrust.standing import Kind, Standing
from zerotrust.svid import Svid
from zerotrust.workload import WorkloadError

SECONDS_BETWEEN_HEARTBEATS = 1
SOURCES = ("attestation", "keycloak")
"""Who is read for what to withdraw.  One that was never heard of was last read when this machine was started."""

MAX_BEHIND = 1000
"""Lines that a follower may be behind; then it is cut off, and begins anew with the whole state."""

log = logging.getLogger(__name__)


class Stream:
    """The changes, in order, to all who follow."""

    def __init__(self, known: Known, kept: State, *, standing: Standing, identity: Callable[[], Svid]) -> None:
        """`standing` is this authority's own; it is the first to know."""
        self.known, self._kept, self._standing, self._identity = known, kept, standing, identity
        self._followers: set[asyncio.Queue[str]] = set()
        self._read_at: dict[str, float] = {}
        self._one_at_a_time = asyncio.Lock()
        self._changing: set[asyncio.Task[None]] = set()

    def heard(self, source: str, at: float) -> None:
        """Note that a source was read completely at that time (`time.monotonic`)."""
        self._read_at[source] = at

    async def change(
        self,
        kind: Kind,
        name: str,
        cause: str | None,
        *,
        where: Callable[[str | None], bool] = lambda _: True,
        untold: bool = False,
    ) -> None:
        """Withdraw, or with no cause reinstate: on the disk first, then known here, then told to everybody.

        `where` is told the cause that holds at that moment, if any, and says whether this takes effect; `untold`: the
        realm has to hear of it, too.  Once begun it is done, also where whoever asked for it is cut off: half of it
        would be a gap for ever.
        """
        self._changing.add(changing := asyncio.create_task(self._change(kind, name, cause, where, untold=untold)))
        changing.add_done_callback(self._changing.discard)
        await asyncio.shield(changing)

    async def _change(
        self, kind: Kind, name: str, cause: str | None, where: Callable[[str | None], bool], *, untold: bool
    ) -> None:
        async with self._one_at_a_time:
            if not where(self._kept.withdrawn.get((kind, name))):
                return
            number = await self._kept.change(kind, name, cause, untold=untold)
            self._standing.change(number, (kind, name), cause)
            self._tell(self._event(changed(self._me, number, (kind, name), cause)))

    async def settled(self) -> None:
        """Return once every change that has begun is on the disk."""
        await asyncio.gather(*self._changing, return_exceptions=True)

    def publish(self, known: Known) -> None:
        """Tell everybody of another version of the registry."""
        self.known = known
        self._tell(self._document())

    async def beat(self) -> None:
        """Send heartbeats for as long as this runs."""
        self._standing.replace(self._kept.number, self._kept.withdrawn)
        while True:
            self._standing.confirm(self._kept.number, 0.0)
            try:
                self._tell(self._heartbeat())
            except WorkloadError as error:  # everybody refuses, and hears again once there is one to sign with
                log.warning("no heartbeat: %s", error)
            await asyncio.sleep(SECONDS_BETWEEN_HEARTBEATS)

    async def follow(self, until: float) -> AsyncIterator[str]:
        """Yield the document, the whole state, and from then on each line that is told; `until` is in epoch seconds."""
        lines: asyncio.Queue[str] = asyncio.Queue(MAX_BEHIND)
        first = [self._document(), self._event(state(self._me, self._kept.number, self._kept.withdrawn))]
        for line in [*first, self._heartbeat()]:
            lines.put_nowait(line)
        self._followers.add(lines)
        try:
            while lines in self._followers or not lines.empty():
                async with asyncio.timeout(until - time.time()):
                    line = await lines.get()
                yield f"{line}\n"
        except TimeoutError:
            return
        finally:
            self._followers.discard(lines)

    def _tell(self, line: str) -> None:
        for lines in list(self._followers):
            try:
                lines.put_nowait(line)
            except asyncio.QueueFull:
                self._followers.discard(lines)

    @property
    def _me(self) -> str:
        return self._identity().id

    def _document(self) -> str:
        return sign(self.known.as_payload(), self._identity(), kind=KIND)

    def ages(self) -> dict[str, float]:
        """How many seconds ago each source was read."""
        now = time.monotonic()
        return {source: now - self._read_at.get(source, 0.0) for source in SOURCES}

    def _heartbeat(self) -> str:
        return self._event(heartbeat(self._me, self._kept.number, self.ages()))

    def _event(self, payload: bytes) -> str:
        return sign(payload, self._identity(), kind=SIGNAL)
