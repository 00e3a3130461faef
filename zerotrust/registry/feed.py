"""Follows the registry's feed: what exists, by which policies it is decided, and what is revoked (`docs/feed.md`).

Each line is signed and numbered within its topic.  On whatever is amiss the feed is dropped and begun anew, with the
whole of every topic first; until that has come nothing is fresh, and so nothing is allowed.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx

from zerotrust.registry.events import RevocationEvents, audience, read_heartbeat
from zerotrust.registry.snapshot import PolicyDocument, RegistrySnapshot
from zerotrust.registry.topics import HEARTBEAT, KINDS, POLICY, REGISTRY, REVOCATIONS, LatestDocument, LineKind, Topic
from zerotrust.revocation import Gap, Revocations
from zerotrust.spiffe.statement import InvalidStatement, statement_type, verify_statement
from zerotrust.spiffe.svid import Svid
from zerotrust.spiffe.workload import WorkloadError

PATH = "/feed"
SECONDS_BETWEEN_TRIES = 0.2

Use = Callable[[RegistrySnapshot, PolicyDocument], None]
"""Goes on with these versions, both at once."""

log = logging.getLogger(__name__)


class RegistryFeed:
    """The registry's feed, followed for as long as the app runs."""

    def __init__(
        self,
        address: str,
        party: str,
        *,
        http: httpx.AsyncClient,
        identity: Callable[[], Svid],
        revocations: Revocations,
    ) -> None:
        """`party` is the registry's name; `http` connects to the registry only; `identity` returns the current SVID."""
        self._url, self._party, self._http, self._identity = f"{address}{PATH}", party, http, identity
        self.revocations = revocations
        self._registry, self._policy = LatestDocument(RegistrySnapshot), LatestDocument(PolicyDocument)
        self._topics: dict[LineKind, Topic] = {
            REGISTRY: self._registry,
            POLICY: self._policy,
            REVOCATIONS: RevocationEvents(revocations),
        }
        self._in_use: tuple[RegistrySnapshot, PolicyDocument] | None = None
        self._complete = asyncio.Event()
        self._use: Use | None = None

    @property
    def snapshot(self) -> RegistrySnapshot:
        """The version of the registry that is in use."""
        assert self._in_use  # noqa: S101 - `opened` waits for it
        return self._in_use[0]

    @property
    def policy(self) -> PolicyDocument:
        """The version of the policies that is in use."""
        assert self._in_use  # noqa: S101 - the same
        return self._in_use[1]

    def on_change(self, use: Use) -> None:
        """Have `use` called with each new version.  While that raises anything, nothing is fresh."""
        self._use = use

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Wait until everything has come once, however long the registry takes; then follow."""
        following = asyncio.create_task(self._follow())
        try:
            await self._complete.wait()
            yield
        finally:
            following.cancel()

    async def _follow(self) -> None:
        logged, loop = "", asyncio.get_running_loop()
        while True:
            next_try = loop.time() + SECONDS_BETWEEN_TRIES
            try:
                await self._listen()
                why = "the feed has ended"
            except (httpx.HTTPError, TimeoutError, WorkloadError) as error:  # what has come ages, and then is not fresh
                why = f"{type(error).__name__} {error}"
            except Exception as error:  # noqa: BLE001 - a gap, a forgery, a version that cannot be used, our mistake:
                self.revocations.forget()  # what has come may not be all there is
                why = f"{type(error).__name__} {error}"
            if why != logged:
                log.warning("nothing new from %s: %s", self._url, why)
            logged = why
            # A feed ends with the certificates of its connection: what is revoked just then must not wait.
            await asyncio.sleep(next_try - loop.time())

    async def _listen(self) -> None:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(
                self.revocations.bound
            ):  # whoever is not there does not refuse: nothing comes back
                answer = await stack.enter_async_context(self._http.stream("GET", self._url))
            if answer.status_code != 200:
                raise httpx.RemoteProtocolError(f"status {answer.status_code}")
            lines = answer.aiter_lines()
            while True:
                async with asyncio.timeout(self.revocations.bound):
                    line = await anext(lines, None)
                if line is None:
                    return
                self._take(line)
                await asyncio.sleep(0)  # also where the next line is here already: others are waiting

    def _take(self, line: str) -> None:
        own, now = self._identity(), time.time()
        kind = KINDS.get(statement_type(line))
        if kind is None:
            raise InvalidStatement(f"a line of type {statement_type(line)}, which is none of ours")
        ours = audience(own.id)
        claims = verify_statement(line, kind=kind.type, signer=f"{ours}/{self._party}", own=own, now=now)
        if claims.get("aud") != ours:  # control: event-audience
            raise InvalidStatement(f"a line for {claims.get('aud')}")
        if kind is HEARTBEAT:
            self._confirm(*read_heartbeat(claims, now=now))
        else:
            self._topics[kind].take(claims)

    def _confirm(self, numbers: dict[str, int], oldest: float) -> None:
        """Everything up to these numbers has come: so it fits together, and is used from now on."""
        here = {kind.name: topic.number for kind, topic in self._topics.items()}
        if numbers != here:  # control: topics-as-announced
            raise Gap(f"the registry has sent {numbers}, and {here} has come")
        registry, policy = self._registry.document, self._policy.document
        assert registry  # noqa: S101 - they have numbers
        assert policy  # noqa: S101
        # A feed that begins anew sends the same again: connections and what is remembered need not go for that.
        if (registry, policy) != self._in_use:
            if self._use:
                self._use(registry, policy)
            self._in_use = registry, policy
            self.revocations.bound = registry.registry.freshness.revocations
        self.revocations.confirm(numbers[REVOCATIONS.name], oldest)
        if self.revocations.fresh:
            self._complete.set()
