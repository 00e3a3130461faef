"""The sending end of the registry's feed (`docs/feed.md`): what exists, the policies and what is revoked, signed."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from cryptography import x509

from authorities.registry.followers import Follower, Followers
from authorities.registry.shares import Shares
from authorities.registry.state import Entry, State
from zerotrust.decision import Reason
from zerotrust.registry.events import all_changed, document, heartbeat, state
from zerotrust.registry.snapshot import PolicyDocument, RegistrySnapshot
from zerotrust.registry.topics import HEARTBEAT, POLICY, REGISTRY, REVOCATIONS, LineKind
from zerotrust.revocation import Revocations
from zerotrust.revocation_list import Kind, Revocable, Whose, time_of
from zerotrust.spiffe.statement import sign
from zerotrust.spiffe.svid import Svid
from zerotrust.spiffe.workload import WorkloadError

SECONDS_BETWEEN_HEARTBEATS = 1
SOURCES = ("attestation", "keycloak")
"""Who is read for what to revoke.  One that was never read counts as read when this machine was started."""

MAX_BATCH = 500
"""Changes that are written, and applied here, at once."""
CHANGES_IN_A_LINE = 100
ENTRIES_IN_A_LINE = 1000
"""Changes, and entries of the whole state, that are signed, and read by a party, at once: a few milliseconds each."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Wish:
    """A change that somebody waits for."""

    subject: Revocable
    cause: str | None
    where: Callable[[str | None], bool]
    pending: bool
    instead: Revocable | None
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Stream:
    """The changes, in order, to all who follow."""

    known: RegistrySnapshot
    policy: PolicyDocument | None = None
    """What was published last; nothing before the first time."""

    def __init__(self, kept: State, *, revocations: Revocations, identity: Callable[[], Svid]) -> None:
        """`revocations` are this authority's own; they come first."""
        self._kept, self._revocations, self._identity = kept, revocations, identity
        self._numbers: dict[str, int] = {}
        self._followers, self._shares = Followers(), Shares()
        self._read_at: dict[str, float] = {}
        self._wishes: list[_Wish] = []
        self._working: asyncio.Task[None] | None = None
        self._signed: tuple[int, x509.Certificate, asyncio.Task[list[str]]] | None = None

    def note_read(self, source: str, at: float) -> None:
        """Note that a source was read completely at that time (`time.monotonic`)."""
        self._read_at[source] = at

    async def change(  # noqa: PLR0913 - what is to happen, and where
        self,
        kind: Kind,
        name: str,
        cause: str | None,
        *,
        where: Callable[[str | None], bool] = lambda _: True,
        pending: bool = False,
        instead: Revocable | None = None,
    ) -> None:
        """Revoke, or with no cause reinstate: on the disk first, then here, then to everybody.

        `where` gets the cause that holds at that moment, if any, and returns whether this takes effect.  `pending`:
        the realm is to be notified, too.  `instead`: a time that revokes this and more of the same user's; it is
        revoked instead where the user has used up their share (`shares.py`).
        What is asked for at the same time is written at once.  Once begun it is done, also where whoever asked for it
        is cut off: half of it would be a gap for ever.
        """
        self._wishes.append(wish := _Wish((kind, name), cause, where, pending, instead))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        await asyncio.shield(wish.done)

    async def _work(self) -> None:
        while self._wishes:
            batch, self._wishes = self._wishes[:MAX_BATCH], self._wishes[MAX_BATCH:]
            try:
                await self._write(self._entries(batch))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is for those who wait
                for wish in batch:
                    wish.done.set_exception(error)
                    wish.done.exception()  # nobody may be left to look at it
            else:
                for wish in batch:
                    wish.done.set_result(None)

    def _entries(self, batch: Sequence[_Wish]) -> list[Entry]:
        """What takes effect of it, in order, and of times the latest alone."""
        entries, now = list[Entry](), dict[Revocable, str | None]()
        times: dict[Whose, Entry] = {}
        for wish in batch:
            subject = wish.subject
            if not wish.where(now[subject] if subject in now else self._kept.revoked.get(subject)):
                continue
            # control: own-revocations-bounded
            if wish.instead and not self._shares.take(subject[0], wish.instead, entries=len(self._kept.revoked)):
                subject = wish.instead
            entry = Entry(subject, wish.cause, wish.pending)
            if subject[0] == "before" and wish.cause is not None:
                whose = time_of(subject)[1]
                if not self._kept.covered(subject) and subject not in self._kept.revoked:
                    times[whose] = max(times.get(whose, entry), entry, key=lambda one: time_of(one.subject)[0])
                continue
            entries.append(entry)
            now[subject] = wish.cause
        return [*entries, *times.values()]

    async def _write(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        first = await self._kept.change(entries)
        for number, entry in enumerate(entries, first):
            self._revocations.change(number, entry.subject, entry.cause)
        for start in range(0, len(entries), CHANGES_IN_A_LINE):
            some = [(entry.subject, entry.cause) for entry in entries[start : start + CHANGES_IN_A_LINE]]
            self._followers.send(self._line(REVOCATIONS, all_changed(self._me, first + start, some)))
        for kind, party in [entry.subject for entry in entries if entry.cause is not None]:
            if kind == "party":  # control: suspension-ends-stream
                self._followers.end(party)

    async def settled(self) -> None:
        """Return once every change that has begun is on the disk, or has failed."""
        while self._working and not self._working.done():
            await asyncio.wait([self._working])

    async def publish(self, known: RegistrySnapshot, policy: PolicyDocument) -> None:
        """Send everybody these versions, and at once the heartbeat from which on both are used.

        Whom the registry does not name any more follows no more.
        """
        self._numbers = await self._kept.numbered({REGISTRY.name: known.digest, POLICY.name: policy.digest})
        self.known, self.policy = known, policy
        for line in (*self._documents(), self._heartbeat()):
            self._followers.send(line)
        for party in self._followers.parties - {known.registry.id(name) for name in known.registry.parties}:
            self._followers.end(party)

    async def beat(self) -> None:
        """Send heartbeats for as long as this runs."""
        self._revocations.replace(self._kept.number, self._kept.revoked)
        while True:
            self._revocations.confirm(self._kept.number, 0.0)
            try:
                self._followers.send(self._heartbeat())
            except WorkloadError as error:  # everybody refuses, until there is one to sign with
                log.warning("no heartbeat: %s", error)
            await asyncio.sleep(SECONDS_BETWEEN_HEARTBEATS)

    async def follow(self, party: str, until: float) -> AsyncIterator[str]:
        """Yield the documents, the whole state, and from then on each line that is sent, while the party may follow.

        `party` is who follows, by SPIFFE ID; `until` is in epoch seconds.
        """
        with self._followers.following(party) as follower:
            await self._followers.turn(party, follower)  # control: follows-by-turns
            # control: suspended-party-may-not-follow
            if follower.over or self._revocations.of_party(party).reason is Reason.REVOKED:  # since it was let in
                return
            async for line in self._lines(follower, until):
                yield f"{line}\n"

    async def _lines(self, follower: Follower, until: float) -> AsyncIterator[str]:
        documents, whole, beat = self._documents(), self._whole(), self._heartbeat()
        follower.begun = True  # in the same moment: whatever is sent from now on comes after that state
        for line in documents:
            yield line
        for line in await asyncio.shield(whole):
            if follower.over or time.time() >= until:
                return
            yield line
        yield beat
        try:
            while True:
                async with asyncio.timeout(until - time.time()):
                    line = await follower.next()
                if not line:
                    return
                yield line
        except TimeoutError:
            return

    def _whole(self) -> asyncio.Task[list[str]]:
        """The state as of now in signed lines, made once for all who begin at the same change."""
        number, svid = self._kept.number, self._identity()
        if self._signed is None or self._signed[:2] != (number, svid.certificate):
            entries = list(self._kept.revoked.items())
            self._signed = number, svid.certificate, asyncio.create_task(_sign_state(number, entries, svid))
        return self._signed[2]

    @property
    def _me(self) -> str:
        return self._identity().id

    def _documents(self) -> list[str]:
        assert self.policy  # noqa: S101 - something is published before anybody follows
        return [
            self._line(kind, document(self._me, self._numbers[kind.name], version))
            for kind, version in ((REGISTRY, self.known), (POLICY, self.policy))
        ]

    def ages(self) -> dict[str, float]:
        """How many seconds ago each source was read."""
        now = time.monotonic()
        return {source: now - self._read_at.get(source, 0.0) for source in SOURCES}

    def _heartbeat(self) -> str:
        numbers = self._numbers | {REVOCATIONS.name: self._kept.number}
        return self._line(HEARTBEAT, heartbeat(self._me, numbers, self.ages()))

    def _line(self, kind: LineKind, payload: bytes) -> str:
        return sign(payload, self._identity(), kind=kind.type)


async def _sign_state(number: int, entries: Sequence[tuple[Revocable, str]], svid: Svid) -> list[str]:
    """Sign it in parts, and let others work in between."""
    lines, parts = list[str](), max(1, -(-len(entries) // ENTRIES_IN_A_LINE))
    for part in range(parts):
        some = dict(entries[part * ENTRIES_IN_A_LINE : (part + 1) * ENTRIES_IN_A_LINE])
        lines.append(sign(state(svid.id, number, some, part + 1, parts), svid, kind=REVOCATIONS.type))
        await asyncio.sleep(0)
    return lines
