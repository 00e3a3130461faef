"""P. Revocation as a weapon: who makes it cost the others, or follows it where they must not."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from authorities.registry.followers import MAX_BEHIND, STREAMS_EACH
from authorities.registry.keycloak.events import Change, of_user_event
from authorities.registry.keycloak.poll import change_applier
from authorities.registry.quota import TOKENS
from authorities.registry.state import State
from authorities.registry.stream import Stream
from testkit import principal
from tests.support.attack import Attempt, Scene, Tries, attack
from tests.support.attack_registry import spiffe_id
from tests.support.ca import REGISTRY_PARTY
from tests.support.door import Clock
from tests.support.feed import following, line
from tests.support.issuer import Issuer
from tests.support.policies import signed
from tests.support.system import System, svid_of
from zerotrust.identity import Principal
from zerotrust.registry.events import one_change
from zerotrust.registry.topics import REVOCATIONS
from zerotrust.revocation import Gap, Revocations
from zerotrust.revocation_list import SESSION_KEPT, TOKEN_KEPT, Revocable
from zerotrust.service import Service
from zerotrust.spiffe.statement import InvalidStatement

READER, WRITER, ORCHESTRATOR = map(spiffe_id, ("agent/reader", "agent/writer", "orchestrator"))
NOW = 1_800_000_000


@dataclass
class Registry(Scene):
    """The registry's stream and its state, as `app.py` puts them together; the attack tells what Keycloak would."""

    stream: Stream
    kept: State
    revocations: Revocations
    clock: Clock

    async def told(self, events: list[dict[str, Any]]) -> None:
        """Keycloak tells of these at once."""
        apply = change_applier(self.stream, AsyncMock())
        changes = [change for event in events for change in of_user_event(event)]
        await asyncio.gather(*(apply(change) for change in changes if isinstance(change, Change)))

    async def following(self, party: str) -> AsyncGenerator[str, None]:
        """A stream of this party that has begun."""
        lines = self.stream.follow(party, time.time() + 600)
        assert isinstance(lines, AsyncGenerator)
        for _ in range(4):
            await anext(lines)
        return lines


@asynccontextmanager
async def registry_alone(folder: Path, issuer: Issuer, kind: type[Service]) -> AsyncIterator[Registry]:
    kept, clock, svid = State(folder / "revocations.db"), Clock(float(NOW)), svid_of(REGISTRY_PARTY)
    revocations = Revocations(clock=clock)
    snapshot = System(folder, issuer.registry, issuer, kind, time.time).snapshot
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("authorities.registry.state.time", SimpleNamespace(time=clock))
        async with kept.open(), asyncio.timeout(60):
            revocations.replace(0, {})
            revocations.confirm(0, 0.0)
            stream = Stream(kept, revocations=revocations, identity=lambda: svid)
            await stream.publish(snapshot)
            await stream.publish_policy(signed(), math.inf)
            yield Registry(stream, kept, revocations, clock)


def revoked(number: int, user: str = "eve", client: str = "walkthrough") -> dict[str, Any]:
    """As Keycloak tells that an access token was revoked (RFC 7009)."""
    at = (NOW + number) * 1000
    details = {"token_id": f"{user}-{number}"}
    return {"type": "REVOKE_GRANT", "userId": user, "clientId": client, "time": at, "details": details}


def caller(number: int, user: str = "eve", *actors: str) -> Principal:
    """Whom a token of that number describes: it was issued as it was revoked, or was derived from one that was."""
    names: Mapping[str, Any] = {"token_id": f"{user}-{number}", "lineage": ()}
    if actors:
        names = {"token_id": "derived", "lineage": (f"{user}-{number}",)}
    return principal(
        subject=user,
        client="walkthrough",
        actors=actors,
        chain_started_at=NOW + number,
        session=f"session-of-{user}",
        issued_at=NOW + number + (5 if actors else 0),
        expires_at=NOW + number + 300,
        **names,
    )


@attack(150, registry_alone)
async def test_a_user_revokes_their_own_tokens_without_end(target: Registry) -> Tries:
    """It costs the others no more than a few entries, and what was revoked stays so."""
    for start in range(0, 500, 50):
        await target.told([revoked(number) for number in range(start, start + 50)])
    entries = len(target.kept.revoked)
    yield Attempt(f"{entries} entries", entries > 2 * TOKENS)
    for number in range(500):
        for who in caller(number), caller(number, "eve", READER, ORCHESTRATOR):
            if target.revocations.check_caller(who):
                yield Attempt("let in", succeeded=True)
    assert target.revocations.check_caller(caller(1, "alice"))  # nobody else's
    assert target.revocations.check_caller(caller(500))  # and what she got since is good


@attack(151, registry_alone)
async def test_a_token_that_was_revoked_is_carried_along_long_after_its_end(target: Registry) -> Tries:
    """What a party reads anew every minute holds what can matter."""
    for user in range(50):
        await target.told([revoked(number, f"user-{user}") for number in range(10)])
    assert len(target.kept.revoked) == len(target.revocations.revoked) == 500
    target.clock.now += TOKEN_KEPT + 1
    assert TOKEN_KEPT < SESSION_KEPT
    for number in range(6):
        await target.stream.change("user", f"another-{number}", "x")
    yield Attempt("forgotten", len(target.kept.revoked) > 100)
    yield Attempt("forgotten", len(target.revocations.revoked) > 100)


@attack(152, registry_alone)
async def test_an_agent_revokes_what_it_was_given_so_that_its_users_lose_what_they_work_with_elsewhere(
    target: Registry,
) -> Tries:
    """It may end its own part of a chain, which it could do anyway, and no other."""
    await target.told([revoked(number, "alice", READER) for number in range(500)])
    for who in caller(3, "alice"), caller(3, "alice", WRITER, ORCHESTRATOR):
        own = replace(who, token_id="T", lineage=("T0",) if who.actors else ())
        yield Attempt("stands", not target.revocations.check_caller(own))
    assert not target.revocations.check_caller(caller(400, "alice", READER, ORCHESTRATOR))


@attack(153, registry_alone)
async def test_a_party_follows_the_registry_on_hundreds_of_streams(target: Registry) -> Tries:
    """The oldest ends with each that is one too many."""
    streams = [target.stream.follow(READER, time.time() + 600) for _ in range(200)]
    tasks = [asyncio.ensure_future(anext(lines)) for lines in streams]
    await asyncio.wait(tasks[: -2 * STREAMS_EACH], timeout=0.5)
    held = len(target.stream._followers._all[READER])
    yield Attempt(f"{held} streams", held > STREAMS_EACH)
    await _left(streams, tasks)


@attack(154, registry_alone)
async def test_a_party_begins_to_follow_the_registry_again_and_again(target: Registry) -> Tries:
    """Each beginning costs the registry a signed document and the state; they are spaced out."""
    signed, documents = list[float](), target.stream._documents

    def counted() -> list[str]:
        signed.append(time.monotonic())
        return documents()

    target.stream._documents = counted  # type: ignore[method-assign] # it is counted
    streams = [target.stream.follow(READER, time.time() + 600) for _ in range(100)]
    tasks = [asyncio.ensure_future(anext(lines)) for lines in streams]
    await asyncio.wait(tasks[:90])
    at_once = len(signed)
    yield Attempt(f"{at_once} begun", at_once > 2 * STREAMS_EACH)
    await _left(streams, tasks)


@attack(155, registry_alone)
async def test_a_party_that_was_suspended_goes_on_following_the_registry(target: Registry) -> Tries:
    """On a stream that is open, and on one that is let in just before."""
    lines, late = await target.following(READER), target.stream.follow(READER, time.time() + 600)
    await target.stream.change("party", READER, "a theft")
    await target.stream.change("user", "a secret of others", "x")
    heard = list[str]()
    for stream in lines, late:
        with suppress(StopAsyncIteration, TimeoutError):
            async with asyncio.timeout(0.5):
                if stream is lines:
                    await anext(stream)  # its own suspension is the last that it hears
                heard.append(await anext(stream))
    yield Attempt("ended", bool(heard))


@attack(156, registry_alone)
async def test_a_party_follows_the_registry_and_reads_nothing(target: Registry) -> Tries:
    """What waits for it is bounded."""
    lines = await target.following(READER)
    (follower,) = target.stream._followers._all[READER]
    for _ in range(2 * MAX_BEHIND):
        target.stream._followers.send("a line")
    yield Attempt("cut off", follower._lines.qsize() > MAX_BEHIND)
    await lines.aclose()


@attack(157, registry_alone)
async def test_the_state_of_what_is_revoked_with_a_part_left_out(target: Registry) -> Tries:
    """A part is missing in the middle, or at the end; until the last has come, what was known holds."""
    subjects: list[Revocable] = [("user", name) for name in ("alice", "bob", "eve")]
    for left_out in (1, 2):
        revocations = Revocations(clock=target.clock)
        revocations.replace(7, {("user", "eve"): "a theft"})
        revocations.confirm(7, 0.0)
        with suppress(Gap):
            for part, subject in enumerate(subjects):
                if part != left_out:
                    revocations.replace(8, {subject: "a theft"}, part + 1, len(subjects))
            revocations.confirm(8, 0.0)
        yield Attempt("not heard", bool(revocations.check_caller(caller(1, "eve"))) or revocations.number == 8)


@attack(158, registry_alone)
async def test_an_event_that_is_for_somebody_else(target: Registry) -> Tries:
    """What the registry says to another domain is not for here (RFC 8417 section 2.2)."""
    feed = following(target.stream.snapshot)
    others = one_change("spiffe://elsewhere.example/authority/registry", 1, ("user", "alice"), "a theft")
    with suppress(InvalidStatement):
        feed._take(line(REVOCATIONS, others))
    yield Attempt("not taken", feed.revocations.number == 1)


async def _left(streams: Sequence[AsyncIterator[str]], tasks: Sequence[asyncio.Future[str]]) -> None:
    """What the server does when a follower is gone."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for lines in streams:
        assert isinstance(lines, AsyncGenerator)
        await lines.aclose()
