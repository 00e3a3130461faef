"""The door where attestation shows its public keys: it serves Keycloak, and costs little whoever else comes."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from authorities.attestation.spiffe import bundle
from tests.support.attack_bundle import HANG, KeysDoor, client_hello, keys_door
from tests.support.issuer import Issuer
from zerotrust.hardening import accepting
from zerotrust.service import Service


@pytest.fixture
async def door(tmp_path: Path, issuer: Issuer) -> AsyncIterator[KeysDoor]:
    async with keys_door(tmp_path, issuer, Service) as door:
        yield door
    assert door.complaints == []


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other end has ended the connection."""
    try:
        return await asyncio.wait_for(reader.read(), HANG)
    except ConnectionResetError:
        return b""


async def test_the_oldest_silent_connection_makes_room_for_the_newest(door: KeysDoor) -> None:
    async with door.connections(accepting.MOST_SILENT + 2) as ends:
        assert [await ended(one) for one in ends[:2]] == [b"", b""]
        assert await door.keys() == 2
        assert not any(one.at_eof() for one in ends[3:])  # one more made room for the request for the keys


@pytest.mark.parametrize("saying", [b"", client_hello(), client_hello()[:20]], ids=["nothing", "hello", "half of it"])
async def test_who_does_not_go_on_is_not_waited_for(
    door: KeysDoor, monkeypatch: pytest.MonkeyPatch, saying: bytes
) -> None:
    monkeypatch.setattr(bundle, "SECONDS_FOR_A_REQUEST", 0.05)
    monkeypatch.setattr(door.server._accepting, "_patience", 0.05)
    async with door.connections(3, saying=saying) as ends:
        for one in ends:
            await ended(one)
    assert door.held == (0, 0)


@pytest.mark.parametrize("request_", [b"", b"GET /bundle HTTP/1.1\r\n", b"GET /bundle HTTP/1.1\r\n\r\n"])
async def test_neither_is_who_does_not_ask_or_does_not_read(
    door: KeysDoor, monkeypatch: pytest.MonkeyPatch, request_: bytes
) -> None:
    monkeypatch.setattr(bundle, "SECONDS_FOR_A_REQUEST", 0.3)
    writer = None
    with contextlib.suppress(OSError):  # on a slow machine the time may be over before the handshake is
        _, writer = await asyncio.open_connection("localhost", door.server.port, ssl=door.tls)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(request_)
    async with asyncio.timeout(HANG):
        while door.held != (0, 0):
            await asyncio.sleep(0.01)
    if writer:
        writer.transport.abort()


async def test_a_request_without_end_is_cut_off(door: KeysDoor) -> None:
    reader, writer = await asyncio.open_connection("localhost", door.server.port, ssl=door.tls)
    writer.write(b"GET /bundle HTTP/1.1\r\nX: " + b"x" * 3 * bundle.MOST_OF_A_REQUEST)
    assert await ended(reader) == b""
    writer.transport.abort()


async def test_it_ends_with_all_its_connections(door: KeysDoor) -> None:
    async with door.connections(2) as silent, door.connections(2, saying=client_hello()) as begun:
        assert await door.keys() == 2
        door.server.close()
        for one in (*silent, *begun):
            await ended(one)
    assert await door.keys() == 0


async def test_one_connection_is_accepted_in_a_pass_of_the_event_loop(
    door: KeysDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that everybody else in that process has a turn before the next one."""
    accepted, passes = 0, list[int]()

    def take(_self: accepting.Accepting, connection: socket.socket, _address: str) -> None:
        nonlocal accepted
        accepted += 1
        connection.close()

    monkeypatch.setattr(accepting.Accepting, "_take", take)
    with contextlib.ExitStack() as begun:
        for _ in range(8):
            begun.enter_context(socket.create_connection(("127.0.0.1", door.server.port)))
        async with asyncio.timeout(HANG):
            while sum(passes) < 8:
                await asyncio.sleep(0)
                passes.append(accepted)
                accepted = 0
    assert max(passes) == 1


async def test_where_no_descriptor_is_left_everybody_else_has_a_turn(
    door: KeysDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures, enough = 0, 100

    async def accept(_listening: object) -> object:
        nonlocal failures
        failures += 1
        if failures > enough:
            await asyncio.Event().wait()  # else a loop without a pause would never end
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_accept", accept)
    monkeypatch.setattr(accepting, "SECONDS_WITHOUT_DESCRIPTORS", HANG)
    _, writer = await asyncio.open_connection("127.0.0.1", door.server.port)  # the accept that was under way ends
    async with asyncio.timeout(HANG):
        while not failures:
            await asyncio.sleep(0)
    writer.close()
    assert failures == 1
