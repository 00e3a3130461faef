"""The sending end of the registry's feed (`docs/reference/feed.md`): registry, policies and revocations, signed."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from cryptography import x509

from authorities.registry.followers import Follower, Followers
from authorities.registry.quota import Quota
from authorities.registry.state import Entry, State
from zerotrust.decision import Reason
from zerotrust.registry.events import all_changes, document, heartbeat, state
from zerotrust.registry.policy_bundle import SignedPolicy
from zerotrust.registry.snapshot import Document, RegistrySnapshot
from zerotrust.registry.topics import HEARTBEAT, POLICY, REGISTRY, REVOCATIONS, LineKind
from zerotrust.revocation import Revocations
from zerotrust.revocation_list import Kind, Revocable, Whose, time_of
from zerotrust.spiffe.statement import sign
from zerotrust.spiffe.svid import Svid, WorkloadError

SECONDS_BETWEEN_HEARTBEATS = 1
SOURCES = ("attestation", "keycloak")
"""The sources of revocations.  A version that was never read counts as read when this machine was started."""

ENDING = 1
"""Seconds before the end of their life in which policies are not announced: they must not end on the way."""

MAX_BATCH = 500
"""Changes that are written and applied at once."""
CHANGES_IN_A_LINE = 100
"""Changes that one line has: a party needs a few milliseconds for each line."""
ENTRIES_IN_A_LINE = 1000
"""Entries of the whole state that one line has: a party needs a few milliseconds for each line."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Request:
    """A requested change, and the future that its caller waits for."""

    subject: Revocable
    cause: str | None
    where: Callable[[str | None], bool]
    pending: bool
    instead: Revocable | None
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Stream:
    """Makes the changes, in order, and sends them to all followers."""

    snapshot: RegistrySnapshot
    policy: SignedPolicy | None = None
    """The policies that were published last; None before the first time."""
    _policy_until = float("-inf")

    def __init__(self, kept: State, *, revocations: Revocations, identity: Callable[[], Svid]) -> None:
        """`revocations` are this authority's own copy, which is changed first."""
        self._kept, self._revocations, self._identity = kept, revocations, identity
        self._numbers: dict[str, int] = {}
        self._followers, self._shares = Followers(), Quota()
        self._read_at: dict[str, float] = {}
        self._requests: list[_Request] = []
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
        """Revoke a subject; without a cause, reinstate it: on the disk first, then here, then at all followers.

        `where` gets the present cause, if any, and returns whether the change takes effect.  `pending`: the realm is to
        be notified as well.  `instead`: a time that revokes this and more of the same user's tokens; it is revoked
        instead if the user has used up their share (`quota.py`).
        Concurrent changes are written in one batch.  A change that was started is completed even if its caller is cut
        off, because half a change would be a gap for ever.
        """
        self._requests.append(request := _Request((kind, name), cause, where, pending, instead))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        await asyncio.shield(request.done)

    async def _work(self) -> None:
        while self._requests:
            batch, self._requests = self._requests[:MAX_BATCH], self._requests[MAX_BATCH:]
            try:
                await self._write(self._entries(batch))
            except Exception as error:  # noqa: BLE001 - any error is raised at the callers
                for request in batch:
                    request.done.set_exception(error)
                    request.done.exception()  # marks it as retrieved, because the caller may have left
            else:
                for request in batch:
                    request.done.set_result(None)

    def _entries(self, batch: Sequence[_Request]) -> list[Entry]:
        """Return the entries that take effect, in order; of times, only the latest."""
        entries, now = list[Entry](), dict[Revocable, str | None]()
        times: dict[Whose, Entry] = {}
        for request in batch:
            subject = request.subject
            if not request.where(now[subject] if subject in now else self._kept.revoked.get(subject)):
                continue
            # control: own-revocations-bounded
            if request.instead and not self._shares.take(subject[0], request.instead, entries=len(self._kept.revoked)):
                subject = request.instead
            entry = Entry(subject, request.cause, request.pending)
            if subject[0] == "before" and request.cause is not None:
                whose = time_of(subject)[1]
                if not self._kept.covers(subject) and subject not in self._kept.revoked:
                    times[whose] = max(times.get(whose, entry), entry, key=lambda one: time_of(one.subject)[0])
                continue
            entries.append(entry)
            now[subject] = request.cause
        return [*entries, *times.values()]

    async def _write(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        first = await self._kept.change(entries)
        for number, entry in enumerate(entries, first):
            self._revocations.change(number, entry.subject, entry.cause)
        for start in range(0, len(entries), CHANGES_IN_A_LINE):
            some = [(entry.subject, entry.cause) for entry in entries[start : start + CHANGES_IN_A_LINE]]
            self._followers.send(self._line(REVOCATIONS, all_changes(self._me, first + start, some)))
        for kind, party in [entry.subject for entry in entries if entry.cause is not None]:
            if kind == "party":  # control: suspension-ends-stream
                self._followers.end(party)

    async def wait_until_settled(self) -> None:
        """Return when every change that was started is on the disk, or has failed."""
        while self._working and not self._working.done():
            await asyncio.wait([self._working])

    async def publish(self, snapshot: RegistrySnapshot) -> None:
        """Send this version to all followers, and at once the heartbeat that puts it into effect.

        The streams of parties that the registry no longer names are ended.
        """
        self._numbers |= await self._kept.assign_numbers({REGISTRY.name: snapshot.digest})
        self.snapshot = snapshot
        self._send(REGISTRY, snapshot)
        for party in self._followers.parties - {snapshot.registry.id(name) for name in snapshot.registry.parties}:
            self._followers.end(party)

    async def publish_policy(self, policy: SignedPolicy, until: float) -> None:
        """Send these policies, whose life ends at `until` (seconds since the epoch), and the heartbeat, likewise."""
        self._numbers |= await self._kept.assign_numbers({POLICY.name: policy.digest})
        self.policy, self._policy_until = policy, until
        self._send(POLICY, policy)

    def _send(self, kind: LineKind, version: Document) -> None:
        for line in (self._line(kind, document(self._me, self._numbers[kind.name], version)), self._heartbeat()):
            self._followers.send(line)

    async def beat(self) -> None:
        self._revocations.replace(self._kept.number, self._kept.revoked)
        while True:
            self._revocations.confirm(self._number, 0.0)
            try:
                self._followers.send(self._heartbeat())
            except WorkloadError as error:  # without an SVID to sign with, no heartbeat: all parties refuse
                log.warning("no heartbeat: %s", error)
            await asyncio.sleep(SECONDS_BETWEEN_HEARTBEATS)

    async def follow(self, party: str, until: float) -> AsyncIterator[str]:
        """Yield the documents, the whole state, and then each line that is sent, while the party may follow.

        `party` is the follower's SPIFFE ID; `until` is in seconds since the epoch.
        """
        with self._followers.following(party, until) as follower:
            await self._followers.wait_turn(party, follower)  # control: follows-by-turns
            # control: suspended-party-may-not-follow
            if follower.over or self._revocations.check_party(party).reason is Reason.REVOKED:  # since it was admitted
                return
            async for line in self._lines(follower, until):
                yield f"{line}\n"

    async def _lines(self, follower: Follower, until: float) -> AsyncIterator[str]:
        documents, whole, beat = self._documents(), self._whole(), self._heartbeat()
        follower.begun = True  # in the same step, so that every line sent from now on comes after that state
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
        """Return the present state in signed lines, made once for all followers that start at the same change."""
        number, svid = self._number, self._identity()
        if self._signed is None or self._signed[:2] != (number, svid.certificate):
            entries = list(self._revocations.revoked.items())
            self._signed = number, svid.certificate, asyncio.create_task(_sign_state(number, entries, svid))
        return self._signed[2]

    @property
    def _number(self) -> int:
        """The last change that is in force here and was sent; what is kept may be one step ahead, as it comes first."""
        return self._kept.number if self._revocations.number is None else self._revocations.number

    @property
    def _me(self) -> str:
        return self._identity().id

    def _documents(self) -> list[str]:
        return [
            self._line(kind, document(self._me, self._numbers[kind.name], version))
            for kind, version in self._current().items()
        ]

    def _current(self) -> dict[LineKind, Document]:
        """Return the documents to announce: no policies whose life has ended, which no party could verify any more."""
        lives = self.policy and time.time() < self._policy_until - ENDING
        return {REGISTRY: self.snapshot} | ({POLICY: self.policy} if self.policy and lives else {})

    async def close(self) -> None:
        """End all streams, so that this registry ends soon: as long as it runs, no other one gets its identity."""
        self._followers.close()

    def follows_until(self, party: str) -> float | None:
        """Return when a party's certificate ends, with which it follows; None if it does not follow."""
        return self._followers.until(party)

    def ages(self) -> dict[str, float]:
        """Return how many seconds ago each source was read."""
        now = time.monotonic()
        return {source: now - self._read_at.get(source, 0.0) for source in SOURCES}

    def _heartbeat(self) -> str:
        documents = {kind.name: self._numbers[kind.name] for kind in self._current()}
        return self._line(HEARTBEAT, heartbeat(self._me, documents | {REVOCATIONS.name: self._number}, self.ages()))

    def _line(self, kind: LineKind, payload: bytes) -> str:
        return sign(payload, self._identity(), kind=kind.type)


async def _sign_state(number: int, entries: Sequence[tuple[Revocable, str]], svid: Svid) -> list[str]:
    """Sign the state in parts, and let other tasks run in between."""
    lines, parts = list[str](), max(1, -(-len(entries) // ENTRIES_IN_A_LINE))
    for part in range(parts):
        some = dict(entries[part * ENTRIES_IN_A_LINE : (part + 1) * ENTRIES_IN_A_LINE])
        lines.append(sign(state(svid.id, number, some, part + 1, parts), svid, kind=REVOCATIONS.type))
        await asyncio.sleep(0)
    return lines
