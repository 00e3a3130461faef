"""The benchmark's client is a process of its own, and its answers are those of the parties."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.bench import client
from lab.bench.client import Away, away
from zerotrust.registry.directory import Directory
from zerotrust.testing.ca import CA

ORIGIN = "http://party.example"


@pytest.fixture
async def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Away]:
    """A client of one party, which answers with the body that it was sent."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert "authorization: bearer t0" in head
        body = await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r")[0]))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body))
        writer.close()

    (ca_file := tmp_path / "ca.pem").write_text(CA("party.example").pem)
    server = await asyncio.start_server(echo, "127.0.0.1")
    host, port, *_ = server.sockets[0].getsockname()
    known = Directory({ORIGIN: "party.example"}, {}, {"party.example": (host, port)})
    monkeypatch.setattr(client, "known", lambda *_: SimpleNamespace(directory=lambda: known))
    system: Any = SimpleNamespace(ca_file=ca_file)
    async with server, away(system, ["none"]) as sets:
        yield sets


async def ask(sets: Away, url: str, body: Any) -> tuple[float, str]:
    return await sets.post("none", url, body, {"authorization": "Bearer T0"})


async def test_each_request_gets_its_own_answer_and_the_time_that_it_took(sets: Away) -> None:
    answers = await asyncio.gather(*(ask(sets, f"{ORIGIN}/x", [number]) for number in range(5)))

    assert [text for _, text in answers] == [f"[{number}]" for number in range(5)]
    assert min(seconds for seconds, _ in answers) > 0


async def test_no_answer_is_an_error(sets: Away) -> None:
    with pytest.raises(RuntimeError, match="no party is registered"):
        await ask(sets, "http://other.example/x", {})


async def test_whoever_waits_for_a_client_that_has_ended_is_told(sets: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_line", lambda _: b"no request\n")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="has ended"):
            await ask(sets, f"{ORIGIN}/x", {})
