"""What a stranger may cost Keycloak: that the bounds are in force in the Keycloak that runs, and hold."""

import asyncio
import ssl

import pytest

from start.keycloak.options import MAX_BODY, MAX_CONNECTIONS, PORT
from start.keycloak.server import Keycloak
from tests.support.realm import Realm

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

LONG = 45
"""Seconds until a test gives up; Keycloak itself would wait 60 for a body."""

PATH = "/realms/agents/protocol/openid-connect/token"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(keycloak: Keycloak, *protocols: str) -> Streams:
    tls = keycloak.tls
    tls.set_alpn_protocols([*protocols, "http/1.1"])
    return await asyncio.open_connection("127.0.0.1", PORT, ssl=tls, server_hostname="localhost")


def close(*connections: Streams) -> None:
    for _, writer in connections:
        writer.transport.abort()


async def unfinished(keycloak: Keycloak, size: int) -> Streams:
    """A request for a token of which so many bytes are announced and eleven are sent."""
    reader, writer = await connected(keycloak)
    head = [
        f"POST {PATH} HTTP/1.1",
        f"host: localhost:{PORT}",
        f"content-length: {size}",
        "content-type: application/x-www-form-urlencoded",
    ]
    writer.write("\r\n".join([*head, "", "grant_type="]).encode())
    await writer.drain()
    return reader, writer


async def test_requests_without_an_end_keep_nobody_else_waiting(realm: Realm, keycloak: Keycloak) -> None:
    """More than Keycloak has threads (50) or connections to its database (100) where it is not told."""
    slow = await asyncio.gather(*(unfinished(keycloak, 1000) for _ in range(150)))
    try:
        async with asyncio.timeout(LONG):
            answer = await realm.token(grant_type="client_credentials", client_id="nobody")
        assert answer.status_code == 401
    finally:
        close(*slow)


async def test_a_body_that_does_not_go_on_ends_the_connection(keycloak: Keycloak) -> None:
    slow = await unfinished(keycloak, 1000)

    async with asyncio.timeout(LONG):
        await slow[0].read()

    close(slow)


async def test_a_body_that_is_too_large_is_refused_before_it_comes(keycloak: Keycloak) -> None:
    large = await unfinished(keycloak, MAX_BODY + 1)

    async with asyncio.timeout(LONG):
        assert (await large[0].readline()).startswith(b"HTTP/1.1 413 ")

    close(large)


async def test_one_connection_carries_one_request_at_a_time(keycloak: Keycloak) -> None:
    """HTTP/2 would bring more than a hundred."""
    connection = await connected(keycloak, "h2")
    tls: ssl.SSLObject = connection[1].get_extra_info("ssl_object")

    assert tls.selected_alpn_protocol() != "h2"
    close(connection)


async def test_there_are_so_many_connections_and_no_more(keycloak: Keycloak) -> None:
    """Those that were there before go on."""
    first = await connected(keycloak)
    held = [first]
    try:
        async with asyncio.timeout(LONG):
            while not any(reader.at_eof() or reader.exception() for reader, _ in held):
                assert len(held) < MAX_CONNECTIONS + 100
                held += await asyncio.gather(*(connected(keycloak) for _ in range(20)))
            first[1].write(f"GET {PATH} HTTP/1.1\r\nhost: localhost:{PORT}\r\n\r\n".encode())
            assert (await first[0].readline()).startswith(b"HTTP/1.1 ")
    finally:
        close(*held)
