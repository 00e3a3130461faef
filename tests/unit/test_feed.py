"""The registry's word, as a party follows it: on whatever is amiss nothing is known, until the whole state has come."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import httpx
import orjson
import pytest

from tests.support.ca import CA, the_ca
from tests.support.system import ROOT, registry
from zerotrust.decision import Reason
from zerotrust.identity import Principal
from zerotrust.policy import PolicyError
from zerotrust.registry import feed
from zerotrust.registry.feed import EVENT_TYPE, RegistryFeed, all_changed, apply_event, changed, heartbeat, state
from zerotrust.registry.lock import load_lock
from zerotrust.registry.snapshot import SNAPSHOT_TYPE, RegistrySnapshot
from zerotrust.revocation import Gap, Revocations
from zerotrust.revocation_list import Revocable
from zerotrust.spiffe.statement import InvalidStatement, sign
from zerotrust.spiffe.svid import Svid
from zerotrust.spiffe.workload import WorkloadError

ME = "spiffe://agents.example/authority/registry"
READER: Revocable = ("party", "spiffe://agents.example/agent/reader")
ALICE: Revocable = ("user", "alice")
KNOWN = RegistrySnapshot(registry=registry(), addresses={}, approved=load_lock(ROOT / "registry.lock").parties)


def signed(payload: bytes, kind: str = EVENT_TYPE, svid: Svid | None = None) -> str:
    return sign(payload, svid or the_ca().svid("authority/registry"), kind=kind)


def document(known: RegistrySnapshot = KNOWN) -> str:
    return signed(known.as_payload(), SNAPSHOT_TYPE)


def whole(number: int = 0, revoked: dict[Revocable, str] | None = None, known: RegistrySnapshot = KNOWN) -> list[str]:
    """What every stream begins with: the document, the state, and that it is recent."""
    return [
        document(known),
        signed(state(ME, number, revoked or {})),
        signed(heartbeat(ME, number, {"attestation": 0.0})),
    ]


class Registry:
    """A registry's stream: what it says, connection by connection; then it keeps silent, until it is told to end."""

    def __init__(self, *streams: list[str] | int | float | Exception) -> None:
        self.streams = list(streams)
        self.asked: list[str] = []
        self.lines: asyncio.Queue[str | None] = asyncio.Queue()
        self.revocations = Revocations(clock=time.monotonic)
        self.svid: Svid | Exception = the_ca().svid("agent/reader")
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.feed = RegistryFeed(
            "https://registry.test", http=http, identity=self._identity, revocations=self.revocations
        )

    def _identity(self) -> Svid:
        if isinstance(self.svid, Exception):
            raise self.svid
        return self.svid

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        told = self.streams.pop(0) if self.streams else whole()
        if isinstance(told, Exception):
            raise told
        if isinstance(told, float):  # the seconds after which an answer would come
            await asyncio.sleep(told)
            return httpx.Response(503)
        if isinstance(told, int):
            return httpx.Response(told)
        return httpx.Response(200, content=self._stream(told))

    async def _stream(self, told: list[str]) -> AsyncIterator[bytes]:
        for line in told:
            yield f"{line}\n".encode()
        while (more := await self.lines.get()) is not None:
            yield f"{more}\n".encode()

    async def until(self, check: Callable[[], object]) -> None:
        """Wait for something to come true."""
        async with asyncio.timeout(5):
            while not check():
                await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "SECONDS_BETWEEN_TRIES", 0.001)


def caller() -> Principal:
    return Principal(
        subject="alice",
        party=READER[1],
        actors=(READER[1],),
        audience="",
        scopes=frozenset(),
        groups=frozenset(),
        token_id="T",
        lineage=("T0",),
        client="walkthrough",
        chain_started_at=0,
        session="S",
        issued_at=0,
        expires_at=0,
        token="",
    )


async def test_what_the_registry_says_is_known_as_soon_as_it_is_heard() -> None:
    there = Registry(whole())
    async with there.feed.opened():
        assert there.asked == ["https://registry.test/signals"]
        assert there.feed.known == KNOWN
        assert there.revocations.of(caller())

        for number, subject in enumerate([READER, ALICE, ("session", "S"), ("token", "T0")], 1):
            there.lines.put_nowait(signed(changed(ME, 2 * number - 1, subject, "a theft")))
            await there.until(lambda: not there.revocations.of(caller()))
            assert there.revocations.of(caller()).reason is Reason.REVOKED
            there.lines.put_nowait(signed(changed(ME, 2 * number, subject, None)))
            await there.until(lambda: there.revocations.of(caller()))
    assert len(there.asked) == 1


async def test_several_changes_in_one_line_are_one_after_the_other() -> None:
    there = Registry(whole(7))
    async with there.feed.opened():
        there.lines.put_nowait(signed(all_changed(ME, 8, [(ALICE, "x"), (READER, "y"), (ALICE, None)])))
        there.lines.put_nowait(signed(all_changed(ME, 11, [(("session", "S"), "z")])))
        await there.until(lambda: there.revocations.number == 11)
        assert there.revocations.revoked == {READER: "y", ("session", "S"): "z"}


async def test_others_have_their_turn_between_two_lines_that_came_together(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [signed(state(ME, 7, {("user", str(part)): "x"}, part, 20)) for part in range(1, 21)]
    there, turns, seen = Registry([document(), *parts, *whole(7)[2:]]), 0, list[int]()
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
    async with there.feed.opened():
        working.cancel()

    assert len(set(seen)) == len(seen) == 20


def test_a_change_by_itself_is_told_in_the_same_terms_as_ever() -> None:
    several, one = (
        orjson.loads(made)["events"] for made in (all_changed(ME, 1, [(ALICE, "x")]), changed(ME, 1, ALICE, "x"))
    )
    assert several == one


async def test_a_state_in_several_lines_counts_with_the_last() -> None:
    subjects: list[Revocable] = [ALICE, READER, ("session", "S")]
    parts = [signed(state(ME, 7, {subject: "x"}, part, 3)) for part, subject in enumerate(subjects, 1)]
    there = Registry([document(), *parts, *whole(7)[2:]])
    async with there.feed.opened():
        assert list(there.revocations.revoked) == subjects


async def test_what_was_revoked_before_is_in_the_state() -> None:
    there = Registry(whole(7, {ALICE: "a theft"}))
    async with there.feed.opened():
        assert there.revocations.of(caller()).detail == "user alice: a theft"


@pytest.mark.parametrize("heard", [0, 1, 2])
async def test_a_party_does_not_start_on_half_of_it(heard: int) -> None:
    there = Registry(whole()[:heard])

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), there.feed.opened():
            pass
    assert there.revocations.of(caller()).reason is Reason.REVOCATION_UNKNOWN


async def test_nothing_is_heard_before_the_document_that_says_how_long_it_is_good_for() -> None:
    there = Registry(whole()[1:])
    async with there.feed.opened():
        assert len(there.asked) == 2


SPOILED: dict[str, Callable[[], str]] = {
    "signed by another party": lambda: signed(changed(ME, 1, ALICE, None), svid=the_ca().svid("agent/writer")),
    "signed by another authority": lambda: signed(changed(ME, 1, ALICE, None), svid=CA().svid("authority/registry")),
    "signed long ago": lambda: signed(changed(ME, 1, ALICE, None), svid=the_ca().svid("authority/registry", age=9000)),
    "not signed": lambda: changed(ME, 1, ALICE, None).decode(),
    "an empty line": lambda: "",
    "another kind of statement": lambda: signed(changed(ME, 1, ALICE, None), "JWT"),
    "a change as a document": lambda: signed(changed(ME, 1, ALICE, None), SNAPSHOT_TYPE),
    "a document as a change": lambda: signed(KNOWN.as_payload()),
    "a change that is not the next": lambda: signed(changed(ME, 2, ALICE, "a theft")),
    "the same number again": lambda: signed(changed(ME, 0, ALICE, "a theft")),
    "a heartbeat that knows of more": lambda: signed(heartbeat(ME, 1, {})),
    "something that cannot be revoked": lambda: signed(changed(ME, 1, ALICE, "x").replace(b"user alice", b"x alice")),
    "for another trust domain": lambda: signed(changed(ME.replace("agents.", "elsewhere."), 1, ALICE, "a theft")),
    "several changes that are not the next": lambda: signed(all_changed(ME, 2, [(ALICE, "x"), (READER, "x")])),
    "a part of a state that is not the first": lambda: signed(state(ME, 0, {}, 2, 2)),
    "another event": lambda: signed(changed(ME, 1, ALICE, "x").replace(b"account-disabled", b"account-purged")),
    "two events": lambda: signed(orjson.dumps({"events": {"a": {"number": 1}, "b": {"number": 1}}})),
    "no event": lambda: signed(b'{"events": {}}'),
    "nothing at all": lambda: signed(b"{}"),
}


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=list(SPOILED))
async def test_on_whatever_is_amiss_nothing_is_known_until_the_whole_state_has_come_again(
    monkeypatch: pytest.MonkeyPatch, spoiled: Callable[[], str]
) -> None:
    there, now = Registry(whole(), []), time.monotonic()
    monkeypatch.setattr(there.revocations, "_clock", lambda: now)  # nothing ages
    async with there.feed.opened():
        assert there.revocations.of(caller())
        there.lines.put_nowait(spoiled())
        await there.until(lambda: len(there.asked) == 2)

        assert there.revocations.of(caller()).reason is Reason.REVOCATION_UNKNOWN
        for line in whole(1):
            there.lines.put_nowait(line)
        await there.until(lambda: there.revocations.of(caller()))


async def test_an_old_state_reinstates_nobody() -> None:
    there = Registry(whole(5, {ALICE: "a theft"}), whole(4))
    async with there.feed.opened():
        there.lines.put_nowait(None)
        await there.until(lambda: len(there.asked) >= 3)

        assert there.revocations.of(caller()).reason is Reason.REVOKED


async def test_a_stream_that_ends_is_begun_anew_and_what_is_known_stays_so_for_its_time() -> None:
    there = Registry(whole(), [])
    async with there.feed.opened():
        there.lines.put_nowait(None)
        await there.until(lambda: len(there.asked) == 2)

        assert there.revocations.of(caller())


@pytest.mark.parametrize(("lasted", "asked"), [(0.0, 1), (2.1, 2)])
async def test_a_stream_that_has_lasted_is_begun_anew_at_once_and_another_one_in_its_time(
    monkeypatch: pytest.MonkeyPatch, lasted: float, asked: int
) -> None:
    monkeypatch.setattr(feed, "SECONDS_BETWEEN_TRIES", 2)
    there = Registry(whole(), whole())
    async with there.feed.opened():
        await asyncio.sleep(lasted)
        there.lines.put_nowait(None)
        with suppress(TimeoutError):
            async with asyncio.timeout(1.5):
                await there.until(lambda: len(there.asked) == 2)
        assert len(there.asked) == asked


async def test_silence_means_not_knowing_and_asking_again() -> None:
    freshness = KNOWN.registry.freshness.model_copy(update={"revocations": 1})
    brief = KNOWN.model_copy(update={"registry": KNOWN.registry.model_copy(update={"freshness": freshness})})
    there = Registry([document(brief), *whole()[1:]], [])
    async with there.feed.opened():
        assert there.revocations.bound == 1
        await there.until(lambda: len(there.asked) == 2)  # nothing was heard for a second

        assert there.revocations.of(caller()).reason is Reason.REVOCATION_UNKNOWN


@pytest.mark.parametrize("trouble", [503, 301, httpx.ConnectError("nobody there"), OSError("void")])
async def test_a_registry_that_is_away_is_asked_again_and_waited_for(trouble: Any) -> None:
    there = Registry(trouble, trouble, whole())
    async with asyncio.timeout(5), there.feed.opened():
        assert len(there.asked) == 3
        assert there.revocations.of(caller())


async def test_a_registry_that_does_not_even_refuse_is_asked_again() -> None:
    there = Registry(60.0, whole())
    there.revocations.bound = 0.01
    async with asyncio.timeout(5), there.feed.opened():
        assert len(there.asked) == 2


async def test_without_an_identity_nobody_is_believed_and_with_it_again() -> None:
    there = Registry(whole())
    there.svid = WorkloadError("none")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), there.feed.opened():
            pass
    there.svid = the_ca().svid("agent/reader")
    async with asyncio.timeout(5), there.feed.opened():
        assert there.revocations.of(caller())


async def test_each_new_version_of_the_document_is_adopted() -> None:
    there, adopted = Registry(whole()), list[RegistrySnapshot]()
    there.feed.on_change(adopted.append)
    other = KNOWN.model_copy(update={"addresses": {"inference": "https://127.0.0.1:8105"}})
    async with there.feed.opened():
        for known in KNOWN, other:  # the same again is no news
            there.lines.put_nowait(document(known))
        await there.until(lambda: len(adopted) == 2)

        assert adopted == [KNOWN, other]
        assert there.feed.known == other
        assert there.revocations.of(caller())


@pytest.mark.parametrize("error", [PolicyError("not those that the registry has read"), OSError("no memory")])
async def test_where_a_new_version_cannot_be_adopted_nothing_is_known_until_it_can(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    there, tried = Registry(whole(), whole()), list[str]()
    other = KNOWN.model_copy(update={"policies": "a digest"})

    def use(known: RegistrySnapshot) -> None:
        tried.append(known.policies)
        if known == other:
            raise error

    async with there.feed.opened():
        forget, forgotten = there.revocations.forget, list[None]()
        monkeypatch.setattr(there.revocations, "forget", lambda: forgotten.append(forget()))
        there.feed.on_change(use)
        there.lines.put_nowait(document(other))
        await there.until(lambda: forgotten)
        assert there.feed.known == KNOWN

        await there.until(lambda: there.revocations.fresh)  # the stream began anew, with what can be adopted
        assert tried == ["a digest"]
        assert there.feed.known == KNOWN


async def test_nothing_is_followed_any_more_once_it_is_closed() -> None:
    there, before = Registry(whole()), len(asyncio.all_tasks())
    async with there.feed.opened():
        pass
    await asyncio.sleep(0.01)

    assert len(there.asked) == 1
    assert len(asyncio.all_tasks()) == before


async def test_why_there_is_no_word_is_told_once_and_not_every_time(caplog: pytest.LogCaptureFixture) -> None:
    there = Registry(*[503] * 5, 404, whole())
    async with asyncio.timeout(5), there.feed.opened():
        pass

    said = [record.getMessage() for record in caplog.records if record.name == "zerotrust.registry.feed"]
    assert [line.partition(": ")[2] for line in said] == [
        "RemoteProtocolError status 503",
        "RemoteProtocolError status 404",
    ]


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
    said = orjson.loads(changed(ME, 1, subject, "a theft"))
    apply_event(revocations, said, now=said["iat"])

    assert revocations.number == 1
    assert list(said["events"]) == [f"https://schemas.openid.net/secevent/{event}"]
    assert (said["iss"], said["aud"]) == (ME, "spiffe://agents.example")
    assert said["sub_id"] == {"format": "opaque", "id": " ".join(subject)}
    assert {"iat", "jti"} <= said.keys()


@pytest.mark.parametrize(("age", "fresh"), [({}, True), ({"a": 2.0}, True), ({"a": 0.0, "b": 3.5}, False)])
def test_the_source_that_was_read_longest_ago_says_how_fresh_it_all_is(
    revocations: Revocations, age: dict[str, float], fresh: bool
) -> None:
    said = orjson.loads(heartbeat(ME, 0, age))
    apply_event(revocations, said, now=said["iat"])

    assert revocations.fresh is fresh


@pytest.mark.parametrize(("late", "fresh"), [(-5.0, True), (1.9, True), (2.1, False), (60.0, False)])
def test_a_heartbeat_that_was_held_back_is_as_old_as_when_it_was_said(
    revocations: Revocations, late: float, fresh: bool
) -> None:
    said = orjson.loads(heartbeat(ME, 0, {"a": 1.0}))
    apply_event(revocations, said, now=said["iat"] + late)

    assert revocations.fresh is fresh


def test_a_gap_is_told_apart_from_nonsense(revocations: Revocations) -> None:
    with pytest.raises(Gap):
        apply_event(revocations, orjson.loads(changed(ME, 3, ALICE, None)), now=0)
    no_events: tuple[dict[str, Any], ...] = (
        {},
        {"events": []},
        {"events": {"x": 7}},
        {"events": {feed._STATE: {"number": 1, "part": 1, "parts": 1, "revoked": [["user", "alice"]]}}},
        {"events": {feed._STATE: {"number": 1, "part": 1, "parts": 1, "revoked": [["everybody", "x", "y"]]}}},
        {"events": {feed._CHANGES: {"number": 1, "changes": [["everybody", "x", "y"]]}}},
        {"events": {feed._CHANGES: {"number": 1, "changes": [["user", "alice"]]}}},
        {"events": {feed._HEARTBEAT: {"number": 0, "sources": [1]}}},
        {"events": {feed._HEARTBEAT: {"number": 0, "sources": {}}}},  # said nobody knows when
        {"events": {feed._REINSTATED: {"number": 1}}},
    )
    for nonsense in no_events:
        with pytest.raises(InvalidStatement):
            apply_event(revocations, nonsense, now=0)
    assert revocations.number == 0
