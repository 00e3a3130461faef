"""Whom the ledger asks for a cosignature: the registry decides, and the other witnesses change nothing."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from authorities.audit import cosigning
from authorities.audit.cosigning import Cosigners
from authorities.audit.external_witnesses import (
    MOST_OTHERS,
    ExternalWitness,
    WitnessFile,
    parse_witnesses,
    read_witnesses,
)
from authorities.audit.log import Log, LogError, OtherHistory
from authorities.registry.witness import Witness, add_witness_routes
from tests.support.ledger import ADDRESS, Logs, Registry, grow
from tests.support.tlog import ORIGIN, witness
from zerotrust.tlog.note import MAX_NOTE, VerifierKey, parse_note
from zerotrust.tlog.quorum import policy
from zerotrust.tlog.tree import InvalidLog


class Foreign:
    """A witness elsewhere, which may also do something else."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.witness = Witness(folder, "lite.example", ORIGIN)
        add_witness_routes(app := FastAPI(), self.witness)
        self.behaves: Callable[[], httpx.Response] | None = None
        self.hangs = False
        self.repeats = 1
        self.asked = 0
        self._own = httpx.ASGITransport(app)
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(60)
        if self.behaves:
            return self.behaves()
        answer = await self._own.handle_async_request(request)
        return httpx.Response(answer.status_code, content=await answer.aread() * self.repeats)

    async def key(self) -> VerifierKey:
        demanded = await self.witness.policy()
        assert demanded
        return policy(demanded).witnesses["registry"]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    (folder := tmp_path / "registry").mkdir()
    return Registry(folder)


@pytest.fixture
async def foreign(tmp_path: Path) -> Foreign:
    """A witness that knows the log's key, and has a key of its own that the ledger knows."""
    return Foreign(tmp_path / "foreign")


async def known(logs: Logs, registry: Registry, foreign: Foreign) -> ExternalWitness:
    """The foreign witness, after it has signed the empty log."""
    await logs.open(Cosigners(ADDRESS, http=foreign.http))
    await logs.open(registry.cosigning())
    return ExternalWitness("http://lite.example", await foreign.key())


class Ledger:
    """A ledger that asks the registry and, from when a test says so on, the other witness."""

    def __init__(self, logs: Logs, registry: Registry, foreign: Foreign, other: ExternalWitness) -> None:
        self._logs, self._registry, self._foreign = logs, registry, foreign
        self.other, self.now = other, 0.0

    async def start(self) -> Log:
        """Start it, with the other witness, which knows the log."""
        cosigners = Cosigners(
            ADDRESS,
            http=self._registry.http,
            others=lambda: [self.other],
            others_http=self._foreign.http,
            clock=lambda: self.now,
        )
        return await self._logs.open(cosigners)


@pytest.fixture
async def ledger(logs: Logs, registry: Registry, foreign: Foreign) -> Ledger:
    return Ledger(logs, registry, foreign, await known(logs, registry, foreign))


def signed_by(log: Log) -> list[str]:
    """The names of those whose signatures the published checkpoint has."""
    assert log.note
    return [one.name for one in log.note.signatures]


WITHOUT, WITH = [ORIGIN, "agents.example/registry"], [ORIGIN, "agents.example/registry", "lite.example"]


@pytest.mark.parametrize("status", [200, 404, 409, 422, 500])
async def test_what_another_witness_answers_has_no_influence(ledger: Ledger, foreign: Foreign, status: int) -> None:
    log = await ledger.start()
    foreign.behaves = lambda: httpx.Response(status, content=b"1000000\n")

    await grow(log)
    assert signed_by(log) == WITHOUT
    foreign.behaves, asked = None, foreign.asked
    await grow(log)
    assert foreign.asked == asked  # not yet again
    ledger.now = cosigning.PAUSE
    await grow(log)

    assert signed_by(log) == WITH


@pytest.mark.parametrize("made_up", [True, False], ids=["made up", "of an earlier checkpoint"])
async def test_a_signature_of_another_witness_that_does_not_verify_is_not_published(
    ledger: Ledger, foreign: Foreign, *, made_up: bool
) -> None:
    log = await ledger.start()
    await grow(log)
    assert log.note
    [own] = [one for one in log.note.signatures if one.name == ledger.other.key.name]
    wrong = replace(own, value=bytes(len(own.value))) if made_up else own
    foreign.behaves, asked = lambda: httpx.Response(200, content=str(wrong).encode()), foreign.asked

    await grow(log)

    assert foreign.asked == asked + 1
    assert signed_by(log) == WITHOUT


@pytest.mark.parametrize("times", [10, 540])
async def test_a_witness_that_answers_many_times_its_own_cosignature_takes_the_room_of_one(
    ledger: Ledger, foreign: Foreign, tmp_path: Path, times: int
) -> None:
    log = await ledger.start()
    foreign.repeats = times

    await grow(log)

    assert signed_by(log) == (WITH if times == 10 else WITHOUT)  # an answer of more than 8 KiB is not read
    assert parse_note((tmp_path / "ledger" / "log" / "checkpoint").read_bytes()) == log.note


async def test_so_many_witnesses_are_asked_that_each_reader_takes_the_checkpoint() -> None:
    def named(count: int) -> str:
        lines = [f"witness w{n} {witness(f'w{n}').public} https://w{n}.example\n" for n in range(count)]
        return f"{''.join(lines)}quorum none\n"

    assert len(parse_witnesses(named(MOST_OTHERS))) == MOST_OTHERS == 14
    with pytest.raises(InvalidLog, match="15 witnesses with an address: at most 14 are asked"):
        parse_witnesses(named(MOST_OTHERS + 1))


async def test_a_witness_that_does_not_answer_is_waited_for_a_short_time(
    ledger: Ledger, foreign: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cosigning, "WITHIN", 0.01)
    log = await ledger.start()
    foreign.hangs = True

    await grow(log)

    assert log.size == 2


async def test_what_the_registry_refuses_no_other_witness_is_asked_for(
    ledger: Ledger, foreign: Foreign, tmp_path: Path
) -> None:
    log = await ledger.start()
    (tmp_path / "registry" / "witness.key").unlink()
    asked = foreign.asked

    with pytest.raises(LogError, match=r"does not cosign \(503\): the registry cannot keep the checkpoint"):
        await grow(log)

    assert foreign.asked == asked
    assert log.size == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(403, content=b"no"), r"does not cosign \(403\): no"),
        (httpx.Response(409, content=b"x"), "has not cosigned"),
        (httpx.Response(200, content=b"x\n"), "a line that is not a signature"),
        (httpx.Response(200, content=b""), "not the quorum registry"),
        (httpx.ConnectError("refused"), "the registry has not cosigned: refused"),
    ],
)
async def test_without_the_registrys_signature_nothing_is_published(
    logs: Logs, registry: Registry, answer: httpx.Response | Exception, error: str
) -> None:
    await logs.open(registry.cosigning())

    async def answered(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer if request.method == "POST" else await registry.http.get(request.url)

    http = httpx.AsyncClient(transport=httpx.MockTransport(answered))
    log = await logs.open(Cosigners(ADDRESS, http=http), finished=False)

    with pytest.raises(LogError, match=error) as raised:
        await log.finish()
    assert not isinstance(raised.value, OtherHistory)


async def test_other_witnesses_are_named_in_a_policy_with_their_addresses() -> None:
    one, two = witness("one").public, witness("two").public

    found = parse_witnesses(f"witness one {one} https://one.example/witness/\nwitness two {two}\nquorum none\n")

    assert found == [ExternalWitness("https://one.example/witness", one)]
    with pytest.raises(InvalidLog, match="line 1"):
        parse_witnesses("witness one x\nquorum none\n")


async def test_the_file_that_names_them_may_be_missing_and_must_be_valid(tmp_path: Path) -> None:
    file = tmp_path / "witnesses"
    assert read_witnesses(file) == []
    file.write_text(f"witness one {witness('one').public} https://one.example\nquorum none\n")
    assert read_witnesses(file) == [ExternalWitness("https://one.example", witness("one").public)]
    file.write_text("witness one\n")

    with pytest.raises(LogError, match=r"witnesses: line 1 of the policy: .* Repair or remove it"):
        read_witnesses(file)
    file.write_bytes(b"\n" * (MAX_NOTE + 1))
    with pytest.raises(LogError, match=r"witnesses: more than 65,536 bytes\. Repair or remove it"):
        read_witnesses(file)


async def test_the_file_that_names_them_is_read_again_when_it_has_changed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, one, two = tmp_path / "witnesses", witness("one").public, witness("two").public
    named = WitnessFile(file)
    assert named() == []
    file.write_text(f"witness one {one} https://one.example\nquorum none\n")
    assert named() == [ExternalWitness("https://one.example", one)]
    file.write_text("witness one\n")
    for _ in range(3):
        assert named() == [ExternalWitness("https://one.example", one)]
    assert caplog.text.count("until then, those of before are asked") == 1
    (put := tmp_path / "new").write_text(f"witness two {two} https://two.example\nquorum none\n")
    put.rename(file)
    assert named() == [ExternalWitness("https://two.example", two)]
    file.unlink()
    assert named() == []


async def test_a_witness_that_is_named_while_the_ledger_runs_cosigns_the_next_checkpoint(
    logs: Logs, registry: Registry, foreign: Foreign
) -> None:
    other, named = await known(logs, registry, foreign), list[ExternalWitness]()
    log = await logs.open(Cosigners(ADDRESS, http=registry.http, others=lambda: named, others_http=foreign.http))
    for now in [], [other], []:
        named[:] = now
        await grow(log, 3)
        assert signed_by(log) == (WITH if now else WITHOUT)
