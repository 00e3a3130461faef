"""What Keycloak says of exchanges is on record: each once, in order, also over restarts and after a failure."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from keycloak import KeycloakAdmin

from authorities.registry.keycloak import exchanges
from authorities.registry.keycloak.admin import Administration, AdministrationError
from zerotrust.audit.event_types import Issued, IssuedToken
from zerotrust.audit.forms import MICROSECONDS, sanitize
from zerotrust.audit.journal import Journal
from zerotrust.audit.recorder import Recorder
from zt.audit.journals import events

NOW = 1_795_600_000
REGISTRY, READER = "spiffe://agents.example/authority/registry", "spiffe://agents.example/agent/reader"
TOOL = "spiffe://agents.example/tool/documents"


class Keycloak(Administration):
    """Answers as Keycloak does: the events of a type from a time on, the oldest first."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.away = False

    def made(self, name: str, at: float, **changed: Any) -> None:
        """It has made an exchange, `at` seconds after the beginning."""
        event = {"id": f"event {name}", "type": "TOKEN_EXCHANGE", "time": int((NOW + at) * 1000), "clientId": READER}
        details = {"token_id": name, "audience": TOOL, "username": "alice"}
        self.events.append(event | {"userId": "alice-id", "details": details} | changed)

    async def a_get_events(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        fit = [e for e in self.events if e["type"] in query["type"] and e["time"] >= int(query["dateFrom"])]
        assert query["direction"] == "asc"
        return sorted(fit, key=lambda event: int(event["time"]))[: int(query["max"])]

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[KeycloakAdmin]:
        if self.away:
            raise AdministrationError("away")
        yield self  # type: ignore[misc] # the part that is used


class Registry:
    """The registry's journal, and what it has of exchanges."""

    def __init__(self, folder: Path, keycloak: Keycloak) -> None:
        self.path, self.keycloak, self.now = folder / "journal.jsonl", keycloak, float(NOW)
        self.start()

    def start(self) -> None:
        self.journal = Journal(self.path)
        recorder = Recorder(self.journal, REGISTRY, clock=self.clock)
        recorded = [*exchanges.read_recorded(self.path)]
        self.exchanges = exchanges.Exchanges(self.keycloak, recorder, recorded, since=self.now, clock=self.clock)

    def clock(self) -> float:
        return self.now

    @property
    def issued(self) -> list[Issued]:
        return [event.data for event in events(self.path) if isinstance(event.data, Issued)]

    @property
    def names(self) -> list[str]:
        return [token.token_id for issued in self.issued for token in issued.tokens or ()]


@pytest.fixture
def keycloak() -> Keycloak:
    return Keycloak()


@pytest.fixture
def registry(tmp_path: Path, keycloak: Keycloak) -> Iterator[Registry]:
    registry = Registry(tmp_path, keycloak)
    yield registry
    registry.journal.close()


async def test_without_news_there_is_a_record_now_and_then_that_says_until_when(registry: Registry) -> None:
    for _ in range(exchanges.SECONDS_IDLE + 1):
        await registry.exchanges.read()
        registry.now += 1
    registry.keycloak.made("a", exchanges.SECONDS_IDLE)
    for _ in range(exchanges.SECONDS_ACTIVE + 2 * exchanges.SECONDS_IDLE):
        await registry.exchanges.read()
        registry.now += 1

    made = exchanges.SECONDS_IDLE + 1
    active = [made + after for after in range(0, exchanges.SECONDS_ACTIVE + 1, exchanges.SECONDS_BETWEEN_RECORDS)]
    untils = [0, exchanges.SECONDS_IDLE, *active, active[-1] + exchanges.SECONDS_IDLE]
    assert [issued.until // MICROSECONDS - NOW for issued in registry.issued] == untils
    assert registry.names == ["a"]


async def test_a_restart_records_what_was_made_meanwhile_and_nothing_twice(registry: Registry) -> None:
    registry.keycloak.made("a", 1)
    registry.now += 2
    await registry.exchanges.read()
    registry.journal.close()
    registry.keycloak.made("meanwhile", 60)
    registry.now += 300

    registry.start()
    await registry.exchanges.read()

    assert registry.names == ["a", "meanwhile"]


async def test_what_could_not_be_read_is_read_later_and_the_log_says_it_once(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(exchanges, "SECONDS_BETWEEN_READS", 0.001)
    caplog.set_level(logging.INFO)
    registry.keycloak.made("a", 1)
    registry.keycloak.away = True
    following = asyncio.create_task(registry.exchanges.follow())
    async with asyncio.timeout(60):
        while not caplog.messages:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)
        registry.keycloak.away = False
        while not registry.names:
            await asyncio.sleep(0.005)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)

    told = [message for message in caplog.messages if "Keycloak's exchanges" in message]
    assert told == ["Keycloak's exchanges are not recorded: away", "Keycloak's exchanges are recorded again"]
    assert registry.names == ["a"]


async def test_many_are_several_records_and_several_reads(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "MOST", 150)
    names = [f"t{number}" for number in range(2 * exchanges.IN_A_RECORD + 50)]
    for number, name in enumerate(names):
        registry.keycloak.made(name, number / 100)
    registry.now += 10

    await registry.exchanges.read()

    assert registry.names == names
    assert max(len(issued.tokens or ()) for issued in registry.issued) <= exchanges.IN_A_RECORD
    untils = [issued.until for issued in registry.issued]
    assert untils == sorted(untils)
    assert untils[-1] == int(registry.now) * MICROSECONDS


async def test_what_keycloak_says_in_another_form_is_recorded_as_what_it_is(registry: Registry) -> None:
    registry.keycloak.made("\x1b[31mx y", 1, clientId=None, userId=None)

    await registry.exchanges.read()

    [issued] = registry.issued
    assert issued.tokens == (
        IssuedToken(client="unknown", token_id="\\x1b[31mx_y", time=(NOW + 1) * MICROSECONDS, audience=sanitize(TOOL)),
    )
