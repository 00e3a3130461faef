"""The registry's feed, as a party follows it: on whatever is amiss nothing is fresh, until the whole of it has come."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testkit import principal
from tests.support.ca import CA, REGISTRY_PARTY, the_ca
from tests.support.feed import ME, beat, following, line, policy_line, registry_line, whole
from tests.support.policies import bundle_of, signed
from tests.support.system import POLICY, ROOT, registry
from tests.support.waiting import until
from zerotrust.authority.files.lock import load_lock
from zerotrust.decision import Reason
from zerotrust.identity import Principal
from zerotrust.registry import feed
from zerotrust.registry.events import (
    RevocationEvents,
    all_changes,
    document,
    heartbeat,
    one_change,
    read_heartbeat,
    state,
)
from zerotrust.registry.feed import RegistryFeed
from zerotrust.registry.policy_bundle import Bundle
from zerotrust.registry.snapshot import PolicyDocument, RegistrySnapshot
from zerotrust.registry.topics import HEARTBEAT, REGISTRY, REVOCATIONS
from zerotrust.registry.topics import POLICY as POLICY_TOPIC
from zerotrust.revocation import Gap, Revocations
from zerotrust.revocation_list import Revocable
from zerotrust.spiffe.statement import InvalidStatement, sign
from zerotrust.spiffe.svid import Svid

READER: Revocable = ("party", "spiffe://agents.example/agent/reader")
ALICE: Revocable = ("user", "alice")
KNOWN = RegistrySnapshot(registry=registry(), addresses={}, approved=load_lock(ROOT / "registry.lock").parties)
OTHER = KNOWN.model_copy(update={"addresses": {"inference": "https://127.0.0.1:8105"}})
STRICTER = POLICY.model_copy(update={"policies": POLICY.policies + "// stricter"})


def event(payload: bytes, svid: Svid | None = None) -> str:
    return line(REVOCATIONS, payload, svid)


class Registry:
    """A registry's stream: what it says, connection by connection; then it keeps silent, until it is told to end."""

    def __init__(self, *streams: list[str] | int | float | Exception | httpx.Response) -> None:
        self.streams = list(streams)
        self.asked: list[str] = []
        self.lines: asyncio.Queue[str | None] = asyncio.Queue()
        self.revocations = Revocations(clock=time.monotonic)
        self.feed = RegistryFeed(
            "https://registry.test",
            REGISTRY_PARTY,
            http=httpx.AsyncClient(transport=httpx.MockTransport(self._answer)),
            identity=lambda: the_ca().svid("agent/reader"),
            revocations=self.revocations,
        )

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        told = self.streams.pop(0) if self.streams else whole(KNOWN)
        if isinstance(told, Exception):
            raise told
        if isinstance(told, float):  # the seconds after which an answer would come
            await asyncio.sleep(told)
            return httpx.Response(503)
        if isinstance(told, int):
            return httpx.Response(told)
        if isinstance(told, httpx.Response):
            return told
        return httpx.Response(200, content=self._stream(told))

    async def _stream(self, told: list[str]) -> AsyncIterator[bytes]:
        for sent in told:
            yield f"{sent}\n".encode()
        while (more := await self.lines.get()) is not None:
            yield f"{more}\n".encode()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "SECONDS_BETWEEN_TRIES", 0.001)


def caller() -> Principal:
    return principal(actors=(READER[1],), token_id="T", lineage=("T0",), session="S")


async def test_others_have_their_turn_between_two_lines_that_came_together(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [event(state(ME, 7, {("user", str(part)): "x"}, part, 20)) for part in range(1, 21)]
    there, turns, seen = Registry([*whole(KNOWN)[:2], *parts, beat(7)]), 0, list[int]()
    replace = there.revocations.replace

    def counted(number: int, revoked: Any, part: int, parts: int) -> None:
        seen.append(turns)
        replace(number, revoked, part, parts)

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(there.revocations, "replace", counted)
    working = asyncio.create_task(work())
    async with there.feed.running():
        working.cancel()

    assert len(set(seen)) == len(seen) == 20


@pytest.mark.parametrize(("lines", "age"), [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.0), (4, 60.0)])
async def test_a_party_does_not_start_on_half_of_it_nor_on_what_is_old_already(lines: int, age: float) -> None:
    there = Registry([*whole(KNOWN)[:3], beat(sources={"attestation": age})][:lines])

    await does_not_start(there)
    assert there.revocations.check_caller(caller()).reason is Reason.REVOCATION_UNKNOWN


async def does_not_start(there: Registry) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), there.feed.running():
            pass


def by(party: str) -> Svid:
    return the_ca().svid(party)


NUMBERS = {"registry": 1, "policy": 1, "revocations": 0}
ELSEWHERE = ME.replace("agents.", "elsewhere.")
SPOILED: dict[str, Callable[[], str]] = {
    "signed by another party": lambda: event(one_change(ME, 1, ALICE, None), by("agent/writer")),
    "signed by another authority": lambda: event(one_change(ME, 1, ALICE, None), CA().svid("authority/registry")),
    "signed long ago": lambda: event(one_change(ME, 1, ALICE, None), the_ca().svid("authority/registry", age=9000)),
    "not signed": lambda: one_change(ME, 1, ALICE, None).decode(),
    "an empty line": lambda: "",
    "another kind of statement": lambda: sign(one_change(ME, 1, ALICE, None), by("authority/registry"), kind="JWT"),
    "a change as a document": lambda: line(REGISTRY, one_change(ME, 1, ALICE, None)),
    "a document as a change": lambda: event(document(ME, 1, KNOWN)),
    "a registry as policies": lambda: line(POLICY_TOPIC, document(ME, 2, KNOWN)),
    "policies as a registry": lambda: line(REGISTRY, document(ME, 2, signed(STRICTER, 2))),
    "another registry of the same number": lambda: registry_line(OTHER),
    "older policies": lambda: policy_line(STRICTER, 0),
    "policies that nobody signed": lambda: line(POLICY_TOPIC, document(ME, 2, STRICTER)),
    "a change that is not the next": lambda: event(one_change(ME, 2, ALICE, "a theft")),
    "the same number again": lambda: event(one_change(ME, 0, ALICE, "a theft")),
    "a heartbeat that knows of more changes": lambda: beat(1),
    "a heartbeat that knows of another registry": lambda: beat(registry=2),
    "a heartbeat that knows of other policies": lambda: beat(policy=2),
    "a heartbeat without the registry": lambda: line(HEARTBEAT, heartbeat(ME, {"policy": 1, "revocations": 0}, {})),
    "something that cannot be revoked": lambda: event(one_change(ME, 1, ALICE, "x").replace(b"user alice", b"x alice")),
    "for another trust domain": lambda: event(one_change(ELSEWHERE, 1, ALICE, "a theft")),
    "several changes that are not the next": lambda: event(all_changes(ME, 2, [(ALICE, "x"), (READER, "x")])),
    "a part of a state that is not the first": lambda: event(state(ME, 0, {}, 2, 2)),
    "another event": lambda: event(one_change(ME, 1, ALICE, "x").replace(b"account-disabled", b"account-purged")),
    "two events": lambda: event(one_change(ME, 1, ALICE, "x").replace(b'"events":{', b'"events":{"x":{},')),
    "no event": lambda: event(b'{"events": {}, "aud": "spiffe://agents.example"}'),
}


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=list(SPOILED))
async def test_after_any_error_nothing_is_fresh_until_the_whole_state_has_come_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, spoiled: Callable[[], str]
) -> None:
    there, now = Registry(whole(KNOWN), []), time.monotonic()
    monkeypatch.setattr(there.revocations, "_clock", lambda: now)  # nothing ages
    async with there.feed.running():
        assert there.revocations.check_caller(caller())
        there.lines.put_nowait(spoiled())
        await until(lambda: len(there.asked) == 2)

        assert there.revocations.check_caller(caller()).reason is Reason.REVOCATION_UNKNOWN
        assert said_in(caplog)
        for again in whole(KNOWN, 1):
            there.lines.put_nowait(again)
        await until(lambda: there.revocations.check_caller(caller()))


def said_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "zerotrust.registry.feed"]


async def test_silence_means_stale_data_and_a_new_connection() -> None:
    freshness = KNOWN.registry.freshness.model_copy(update={"revocations": 1})
    brief = KNOWN.model_copy(update={"registry": KNOWN.registry.model_copy(update={"freshness": freshness})})
    there = Registry(whole(brief), [])
    async with there.feed.running():
        assert there.revocations.bound == 1
        await until(lambda: len(there.asked) == 2)  # nothing was heard for a second

        assert there.revocations.check_caller(caller()).reason is Reason.REVOCATION_UNKNOWN


@pytest.mark.parametrize("trouble", [503, 301, httpx.ConnectError("nobody there"), OSError("void"), 60.0])
async def test_a_registry_that_is_away_or_does_not_even_refuse_is_asked_again_and_waited_for(trouble: Any) -> None:
    there = Registry(trouble, trouble, whole(KNOWN))
    if trouble == 60.0:
        there.revocations.bound = 0.01  # s, for which it is waited for an answer
    async with asyncio.timeout(5), there.feed.running():
        assert len(there.asked) == 3
        assert trouble == 60.0 or there.revocations.check_caller(caller())


async def test_new_versions_are_used_together_and_from_the_heartbeat_that_names_them() -> None:
    there, used = Registry(whole(KNOWN)), list[tuple[RegistrySnapshot, Bundle | None]]()
    there.feed.on_change(lambda *both: used.append(both))
    async with there.feed.running():
        for sent in registry_line(OTHER, 2), policy_line(STRICTER, 2), event(one_change(ME, 1, ALICE, "a theft")):
            there.lines.put_nowait(sent)
        await until(lambda: there.revocations.number == 1)  # which counts at once
        first, second = bundle_of(signed()), bundle_of(signed(STRICTER, 2))
        assert (there.feed.snapshot, there.feed.policy) == (KNOWN, first)

        there.lines.put_nowait(beat(1, registry=2, policy=2))
        await until(lambda: len(used) == 2)
        for sent in whole(
            OTHER, 1, {ALICE: "a theft"}, registry=2, policy=STRICTER, policies=2
        ):  # the same again is no news
            there.lines.put_nowait(sent)
        there.lines.put_nowait(event(one_change(ME, 2, ALICE, None)))
        await until(lambda: there.revocations.number == 2)

        assert used == [(KNOWN, first), (OTHER, second)]
        assert (there.feed.snapshot, there.feed.policy) == (OTHER, second)
    assert len(there.asked) == 1


@pytest.mark.parametrize(("version", "policy"), [(2, STRICTER), (2, POLICY), (3, POLICY), (3, STRICTER), (4, POLICY)])
def test_policies_that_their_authority_signed_are_used_unless_they_are_older_than_those_in_use(
    version: int, policy: PolicyDocument
) -> None:
    """The registry cannot bring back what was in force, though its line has the next number."""
    feed, used = following(KNOWN), list[Bundle | None]()
    feed.on_change(lambda _, policy: used.append(policy))
    sent = signed(policy, version, by("authority/policy"))  # once more, where it is in force already
    for told in policy_line(STRICTER, 3), beat(policy=3), line(POLICY_TOPIC, document(ME, 4, sent)):
        feed._take(told)
    if version == 4 or (version, policy) == (3, STRICTER):
        feed._take(beat(policy=4))
        assert feed.policy == bundle_of(sent)
        assert len(used) == version - 2
    else:
        with pytest.raises(Gap, match="are not newer than"):
            feed._take(beat(policy=4))
        assert feed.policy == bundle_of(signed(STRICTER, 3))


DRIFTED: dict[Revocable, str] = {("party", "spiffe://agents.example/authority/policy"): "drift: planted.py"}


def without_policies(revoked: dict[Revocable, str]) -> list[str]:
    """What the feed begins with while the registry has no policies that live."""
    return [registry_line(KNOWN), event(state(ME, 1, revoked)), beat(1, policy=None)]


async def test_without_policies_a_party_waits_for_them_unless_their_authority_is_suspended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for waits in ({}, {READER: "a theft"}):
        await does_not_start(Registry(without_policies(waits)))
    assert "reinstate" not in caplog.text

    there, used = Registry(without_policies(DRIFTED)), list[tuple[RegistrySnapshot, Bundle | None]]()
    there.feed.on_change(lambda *both: used.append(both))
    async with there.feed.running():
        assert there.feed.policies is None
        assert caplog.text.count("until an operator reinstates: `zt party reinstate authority/policy`") == 1
        [reinstated] = DRIFTED
        told = [
            event(one_change(ME, 2, reinstated, None)),
            registry_line(OTHER, 2),
            *[beat(2, registry=2, policy=None)] * 2,  # used without policies, too: they are on their way
            policy_line(POLICY, 1),
            beat(2, registry=2),
        ]
        for sent in told:
            there.lines.put_nowait(sent)
        await until(lambda: there.feed.policies)
        assert used == [(KNOWN, None), (OTHER, None), (OTHER, bundle_of(signed()))]


def test_the_policy_authority_uses_its_own_policies_whatever_the_registry_sends() -> None:
    feed, own = following(KNOWN), bundle_of(signed(STRICTER, 2))
    feed._own = lambda: own
    feed._take(beat())
    assert feed.policy == own


MOVES = st.lists(st.sampled_from(["registry", "policy", "change", "beat"]), max_size=8)


@settings(max_examples=40)
@given(MOVES, st.data())
def test_whatever_is_left_out_replayed_or_reordered_what_a_heartbeat_confirms_is_what_the_registry_meant(
    moves: list[str], data: st.DataObject
) -> None:
    registry_number = policy_number = changes = 0
    revoked, meant = dict[Revocable, str](), dict[str, tuple[object, ...]]()
    snapshot, policy, sent = KNOWN, POLICY, list[str]()
    for move in ["registry", "policy", *moves, "beat"]:
        if move == "registry":
            registry_number += 1
            snapshot = KNOWN.model_copy(update={"read_from": {"registry.yaml": f"{registry_number:064x}"}})
            sent.append(registry_line(snapshot, registry_number))
        elif move == "policy":
            policy_number += 1
            policy = POLICY.model_copy(update={"policies": f"{POLICY.policies}// {policy_number}"})
            sent.append(policy_line(policy, policy_number))
        elif move == "change":
            changes += 1
            revoked["user", f"user-{changes}"] = "x"
            sent.append(event(one_change(ME, changes, ("user", f"user-{changes}"), "x")))
        else:
            sent.append(beat(changes, registry=registry_number, policy=policy_number))
            meant[sent[-1]] = snapshot, policy, dict(revoked)
    own = the_ca().svid("agent/reader")
    feed = RegistryFeed("", REGISTRY_PARTY, http=None, identity=lambda: own, revocations=Revocations(clock=lambda: 0.0))  # type: ignore[arg-type] # nothing is asked
    feed.revocations.replace(0, {})

    for taken in data.draw(st.lists(st.sampled_from(sent), max_size=2 * len(sent)) | st.just(sent)):
        before = [topic.number or 0 for topic in feed._topics.values()]
        try:
            feed._take(taken)
        except (Gap, InvalidStatement):
            feed.revocations.forget()
            feed.revocations.replace(feed.revocations.number or 0, dict(feed.revocations.revoked))
        else:
            if taken in meant:
                assert (feed.snapshot, feed.policy.document, feed.revocations.revoked) == meant[taken]
        assert all(map(int.__le__, before, [topic.number or 0 for topic in feed._topics.values()]))


async def test_nothing_is_followed_any_more_once_it_is_closed() -> None:
    there, before = Registry(whole(KNOWN)), len(asyncio.all_tasks())
    async with there.feed.running():
        pass
    await asyncio.sleep(0.01)

    assert len(there.asked) == 1
    assert len(asyncio.all_tasks()) == before


async def test_a_registry_that_is_away_is_worth_a_warning_once_nothing_is_fresh_any_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "zerotrust.registry.feed")
    away, now = httpx.ConnectError("away"), time.monotonic()
    there = Registry(away, whole(KNOWN), away, away, *[away] * 1000)
    monkeypatch.setattr(there.revocations, "_clock", lambda: now)
    async with there.feed.running():
        levels = [record.levelname for record in caplog.records]
        assert levels == ["INFO"]  # the registry has not started yet
        there.lines.put_nowait(None)
        await until(lambda: len(there.asked) >= 5)
        levels = [record.levelname for record in caplog.records]
        assert levels == ["INFO", "DEBUG"]
        now += there.revocations.bound + 1
        await until(lambda: len(caplog.records) == 3)
    assert [record.levelname for record in caplog.records] == ["INFO", "DEBUG", "WARNING"]


SUSPENDED = {"error": "invalid_token", "reason": "revoked", "trace_id": "0" * 32}


async def test_a_party_that_is_suspended_is_told_so_and_what_an_operator_can_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    there = Registry(httpx.Response(401, json=SUSPENDED), whole(KNOWN))
    async with asyncio.timeout(5), there.feed.running():
        pass

    (said,) = said_in(caplog)
    assert said.endswith(
        "/feed: authority/registry refuses agent/reader: revoked, it is suspended; "
        "`zt party show agent/reader` says why, `zt party reinstate agent/reader` ends it"
    )


@pytest.mark.parametrize(
    ("bodies", "said"),
    [
        ([b'{"reason":"busy"}'], ["busy"]),
        ([b"{"], ["status 503"]),
        ([b"[]"], ["status 503"]),
        ([b"\xff"], ["status 503"]),
        ([b'{"reason":null}'], ["status 503"]),
        ([b'{"reason":""}'], ["status 503"]),
        ([b'{"reason":"busy\\n"}'], ["status 503"]),
        ([b'{"reason":"Ask root@evil.test"}'], ["status 503"]),
        ([b'{"reason":"' + b"a" * 41 + b'"}'], ["status 503"]),
        ([b'{"reason":"busy"}' + b" " * feed.MOST_OF_A_REFUSAL], ["status 503"]),
        pytest.param([b'{"reason":"busy"}'] * 5 + [b"{"], ["busy", "status 503"], id="told once"),
    ],
)
async def test_of_a_refusal_only_a_reason_code_is_read(
    caplog: pytest.LogCaptureFixture, bodies: list[bytes], said: list[str]
) -> None:
    there = Registry(*(httpx.Response(503, content=body) for body in bodies), whole(KNOWN))
    async with asyncio.timeout(5), there.feed.running():
        pass

    assert [text.rpartition(": ")[2] for text in said_in(caplog)] == said


@pytest.mark.parametrize(("lasted", "said"), [(True, []), (False, ["the feed has ended at once"])])
async def test_a_feed_that_ends_in_its_time_is_no_news(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, lasted: bool, said: list[str]
) -> None:
    monkeypatch.setattr(feed, "SECONDS_BETWEEN_TRIES", 0 if lasted else 0.5)
    there = Registry(whole(KNOWN), whole(KNOWN))
    async with there.feed.running():
        there.lines.put_nowait(None)
        await until(lambda: len(there.asked) == 2)

    assert [text.rpartition(": ")[2] for text in said_in(caplog)] == said


# the events by themselves


@pytest.fixture
def revocations() -> Revocations:
    revocations = Revocations(clock=lambda: 1000.0)
    revocations.replace(0, {})
    return revocations


@pytest.mark.parametrize(
    ("subject", "event"),
    [
        (READER, "risc/event-type/account-disabled"),
        (ALICE, "risc/event-type/account-disabled"),
        (("session", "S"), "caep/event-type/session-revoked"),
        (("token", "T"), "oauth/event-type/token-revoked"),
    ],
)
def test_a_revocation_is_a_security_event_token_in_the_terms_of_caep_and_risc(
    revocations: Revocations, subject: Revocable, event: str
) -> None:
    said = orjson.loads(one_change(ME, 1, subject, "a theft"))
    RevocationEvents(revocations).take(said)

    assert revocations.number == 1
    assert list(said["events"]) == [f"https://schemas.openid.net/secevent/{event}"]
    assert (said["iss"], said["aud"]) == (ME, "spiffe://agents.example")
    assert said["sub_id"] == {"format": "opaque", "id": " ".join(subject)}
    assert {"iat", "jti"} <= said.keys()
    assert orjson.loads(all_changes(ME, 1, [(subject, "a theft")]))["events"] == said["events"]


@pytest.mark.parametrize(
    ("age", "late", "fresh"),
    [
        pytest.param({}, 0.0, True, id="no source"),
        pytest.param({"a": 2.0}, 0.0, True, id="read in time"),
        pytest.param({"a": 0.0, "b": 3.5}, 0.0, False, id="the source that was read longest ago counts"),
        pytest.param({"a": 1.0}, -5.0, True, id="a clock that is behind"),
        pytest.param({"a": 1.0}, 1.9, True, id="held back, in time"),
        pytest.param({"a": 1.0}, 2.1, False, id="held back for too long"),
    ],
)
def test_a_heartbeat_says_how_old_everything_was_when_it_was_sent(
    revocations: Revocations, age: dict[str, float], late: float, *, fresh: bool
) -> None:
    said = orjson.loads(heartbeat(ME, NUMBERS, age))
    numbers, oldest = read_heartbeat(said, now=said["iat"] + late)
    revocations.confirm(0, oldest)

    assert (numbers, revocations.fresh) == (NUMBERS, fresh)


def test_a_gap_is_not_taken_for_a_malformed_line(revocations: Revocations) -> None:
    events, domain = RevocationEvents(revocations), "spiffe://agents.example"
    with pytest.raises(Gap):
        events.take(orjson.loads(one_change(ME, 3, ALICE, None)))
    own = "tag:agents.example,2026:event-type"
    nonsense: tuple[dict[str, Any], ...] = (
        {},
        {"events": []},
        {"events": {"x": 7}},
        {"events": {f"{own}/state": {"part": 1, "parts": 1, "revoked": [["user", "alice"]]}}},
        {"events": {f"{own}/state": {"part": 1, "parts": 1, "revoked": [["everybody", "x", "y"]]}}},
        {"events": {f"{own}/changes": {"changes": [["everybody", "x", "y"]]}}},
        {"events": {f"{own}/changes": {"changes": [["user", "alice"]]}}},
        {"events": {"https://schemas.openid.net/secevent/risc/event-type/account-enabled": {}}},
    )
    for claims in nonsense:
        with pytest.raises(InvalidStatement):
            events.take({"number": 1, "aud": domain} | claims)
    assert revocations.number == 0


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sources": [1], "numbers": NUMBERS, "iat": 0},
        {"sources": {}, "numbers": NUMBERS},  # said nobody knows when
        {"sources": {}, "numbers": [1], "iat": 0},
        {"sources": {}, "numbers": {"registry": None}, "iat": 0},
    ],
)
def test_a_heartbeat_that_says_half_of_it_is_none(claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidStatement):
        read_heartbeat(claims, now=0)
