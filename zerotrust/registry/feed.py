"""Follows the registry's feed: the registry's snapshot, the policies and the revocations (`docs/reference/feed.md`).

Each line is signed, and numbered within its topic.  After any error the feed is opened again, and begins with the whole
of every topic.  Until all of that has been received, nothing is fresh, and so nothing is allowed.

The policy authority signs the policies in it, and this module verifies them.  While that authority is suspended, there
may be none.  Then nothing is allowed, but a party that starts does not wait for an operator.
"""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx

from zerotrust.decision import Reason
from zerotrust.errors import ZeroTrustError
from zerotrust.limits.answers import read
from zerotrust.limits.strict_json import strict_object
from zerotrust.registry.events import RevocationEvents, audience, read_heartbeat
from zerotrust.registry.policy_bundle import Bundle, SignedPolicy, verify_bundle
from zerotrust.registry.snapshot import PolicyDocument, RegistrySnapshot
from zerotrust.registry.topics import HEARTBEAT, KINDS, POLICY, REGISTRY, REVOCATIONS, LatestDocument, LineKind, Topic
from zerotrust.revocation import Gap, Revocations
from zerotrust.spiffe.statement import InvalidStatement, statement_type, verify_statement
from zerotrust.spiffe.svid import Svid, WorkloadError

PATH = "/feed"
SECONDS_BETWEEN_TRIES = 0.2
MOST_OF_A_REFUSAL = 4096
"""Bytes of an answer other than a feed: it has to hold a reason code."""

Use = Callable[[RegistrySnapshot, Bundle | None], None]
"""Replaces both versions in use at once; None means that there are no policies."""

log = logging.getLogger(__name__)


class FeedRefused(ZeroTrustError):
    """The registry refuses this party its feed.  The text says why, and what an operator can do."""


class RegistryFeed:
    """Follows the registry's feed for as long as the app runs."""

    def __init__(  # noqa: PLR0913 - its dependencies, each by name
        self,
        address: str,
        party: str,
        *,
        http: httpx.AsyncClient,
        identity: Callable[[], Svid],
        revocations: Revocations,
        own: Callable[[], Bundle] | None = None,
    ) -> None:
        """`party` is the registry's name; `http` connects to the registry only; `identity` returns the current SVID.

        `own`: at the policy authority, its own policies, which it uses instead of those that the registry sends.
        """
        self._url, self._party, self._http, self._identity = f"{address}{PATH}", party, http, identity
        self.revocations, self._own = revocations, own
        self._registry, self._policy = LatestDocument(RegistrySnapshot), LatestDocument(SignedPolicy)
        self._verified: tuple[SignedPolicy, str, Bundle] | None = None
        self._topics: dict[LineKind, Topic] = {
            REGISTRY: self._registry,
            POLICY: self._policy,
            REVOCATIONS: RevocationEvents(revocations),
        }
        self._in_use: tuple[RegistrySnapshot, Bundle | None] | None = None
        self._complete = asyncio.Event()
        self._use: Use | None = None

    @property
    def snapshot(self) -> RegistrySnapshot:
        assert self._in_use  # noqa: S101 - `running` waits for it
        return self._in_use[0]

    @property
    def policies(self) -> Bundle | None:
        """As `policy`; None if there was none yet, because the policy authority is suspended."""
        assert self._in_use  # noqa: S101 - the same
        return self._in_use[1]

    @property
    def policy(self) -> Bundle:
        """The version of the policies in use, and when its life ends: each new signature puts that off."""
        policy = self.policies
        assert policy  # noqa: S101 - for those who know that there is one
        return policy

    def on_change(self, use: Use) -> None:
        """Call `use` with each new version.  If it raises, nothing is fresh."""
        self._use = use

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Wait, without a limit, until everything has been received once; then follow it for a block.

        It does not wait for policies while their authority is suspended, because none come then.
        """
        following = asyncio.create_task(self._follow())
        try:
            await self._complete.wait()
            yield
        finally:
            following.cancel()

    async def _follow(self) -> None:
        logged, loop = ("", 0), asyncio.get_running_loop()
        while True:
            next_try = loop.time() + SECONDS_BETWEEN_TRIES
            level = logging.WARNING
            try:
                await self._listen()
                # It ends with the certificates of its connection, which needs no log line.
                why = "" if loop.time() >= next_try else "the feed has ended at once"
            except FeedRefused as refusal:
                why = str(refusal)
            except (httpx.HTTPError, TimeoutError, WorkloadError) as error:  # the data expires by itself
                why = f"{type(error).__name__} {error}"
                if not self._complete.is_set():  # a party may start before the registry
                    level = logging.INFO
                elif self.revocations.fresh:
                    level = logging.DEBUG
            except Exception as error:  # noqa: BLE001 - a gap, a forgery, an unusable version, a bug:
                self.revocations.forget()  # the data may be incomplete
                why = f"{type(error).__name__} {error}"
            if why and (why, level) != logged:
                log.log(level, "nothing new from %s: %s", self._url, why)
            logged = why, level
            # If it has lasted that long, there is no pause: a revocation just then must not be delayed.
            await asyncio.sleep(next_try - loop.time())

    async def _listen(self) -> None:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self.revocations.bound):  # an unreachable host may not even refuse
                answer = await stack.enter_async_context(self._http.stream("GET", self._url))
                if answer.status_code != 200:
                    raise FeedRefused(self._refusal(answer.status_code, await _reason(answer)))
            lines = answer.aiter_lines()
            while True:
                async with asyncio.timeout(self.revocations.bound):
                    line = await anext(lines, None)
                if line is None:
                    return
                self._take(line)
                await asyncio.sleep(0)  # let other tasks run, also if the next line is here already

    def _refusal(self, status: int, reason: str) -> str:
        """Return a sentence for the log, with the commands that help if they are known."""
        own = self._identity().id
        name = own.removeprefix(f"{audience(own)}/")
        said = f"{self._party} refuses {name}: {reason or f'status {status}'}"
        if reason == Reason.REVOKED:  # without a token, only the party itself can be revoked
            said += f", it is suspended; `zt party show {name}` says why, `zt party reinstate {name}` ends it"
        return said

    def _take(self, line: str) -> None:
        own, now = self._identity(), time.time()
        kind = KINDS.get(statement_type(line))
        if kind is None:
            raise InvalidStatement(f"a line of unknown type {statement_type(line)}")
        ours = audience(own.id)
        claims = verify_statement(line, kind=kind.type, signer=f"{ours}/{self._party}", own=own, now=now)
        if claims.get("aud") != ours:  # control: event-audience
            raise InvalidStatement(f"a line for {claims.get('aud')}")
        if kind is HEARTBEAT:
            self._confirm(*read_heartbeat(claims, now=now))
        else:
            self._topics[kind].take(claims)

    def _confirm(self, numbers: dict[str, int], oldest: float) -> None:
        """Use what was received, if its numbers are these: only then do the topics match each other."""
        announced = {kind for kind in self._topics if kind is not POLICY or POLICY.name in numbers}
        here = {kind.name: self._topics[kind].number for kind in announced}
        if numbers != here:  # control: topics-as-announced
            raise Gap(f"the registry has sent {numbers}, and {here} was received")
        registry = self._registry.document
        assert registry  # noqa: S101 - it has a number
        policy = self._policies(registry, announced=POLICY in announced)
        if policy or self._in_use or self._policy_suspended(registry):
            self._take_up(registry, policy)
        self.revocations.confirm(numbers[REVOCATIONS.name], oldest)
        if self._in_use and self.revocations.fresh:
            self._complete.set()

    def _policies(self, registry: RegistrySnapshot, *, announced: bool) -> Bundle | None:
        """Return the policies to use.  If the registry announces none, they are those in use, until their life ends."""
        if self._own:
            return self._own()
        before = self._in_use[1] if self._in_use else None
        if not announced:
            return before
        signed, signer = self._policy.document, registry.registry.id(registry.registry.authorities.policy)
        assert signed  # noqa: S101 - it has a number
        if self._verified is None or self._verified[:2] != (signed, signer):
            bundle = verify_bundle(signed.bundle, signer=signer, own=self._identity(), now=time.time())
            self._verified = signed, signer, bundle
        policy = self._verified[2]
        # control: policy-not-older
        if before and policy.version <= before.version and policy.content != before.content:
            raise Gap(f"policies {policy.name} are not newer than {before.name}")
        return policy

    def _policy_suspended(self, registry: RegistrySnapshot) -> bool:
        """Return whether the policy authority is suspended, and log it: no other line says why all is refused."""
        party = registry.registry.authorities.policy
        if not self.revocations.is_suspended(registry.registry.id(party)):
            return False
        log.warning("no policies, and so no permission, until an operator reinstates: `zt party reinstate %s`", party)
        return True

    def _take_up(self, registry: RegistrySnapshot, policy: Bundle | None) -> None:
        """Use the versions that differ from those in use.

        A feed that was opened again sends the same versions again, and a bundle that was signed again has the same
        content: connections and caches can stay.
        """
        if self._in_use and registry == self._in_use[0] and _content(policy) == _content(self._in_use[1]):
            self._in_use = registry, policy
            return
        if self._use:
            self._use(registry, policy)
        self._in_use = registry, policy
        self.revocations.bound = registry.registry.freshness.revocations


def _content(policy: Bundle | None) -> tuple[int, PolicyDocument] | None:
    return policy.content if policy else None


async def _reason(answer: httpx.Response) -> str:
    """Return the reason code that a refusal names; an empty text if it names none.  Raises `httpx.HTTPError`."""
    try:
        reason = strict_object(await read(answer, MOST_OF_A_REFUSAL)).get("reason")
    except ValueError:
        return ""
    return reason if isinstance(reason, str) and re.fullmatch(r"[a-z][a-z_]{0,39}", reason) else ""
