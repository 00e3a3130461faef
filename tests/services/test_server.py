"""The HTTP server round every party: what its options are for, shown over a real socket."""

import asyncio
import contextlib
import logging
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import Server, ServerState

from tests.support.ca import TRUST_DOMAIN, the_ca
from tests.support.system import running
from tests.support.waiting import serving
from zerotrust.hardening.server import Protocol, _Timer, server
from zerotrust.registry.model import dns_name
from zerotrust.spiffe.tls import server_context

seen: ContextVar[str] = ContextVar("seen", default="nobody")


async def who_came_before(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what this request's context held already, and with the caller's address; then leave a mark."""
    if scope["type"] == "http":
        body = f"{seen.get()} {scope['client'][0]}".encode()
        seen.set("the one before")
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def talk(request: str, app: ASGIApp = who_came_before) -> str:
    """Send these bytes to a server of ours in one piece, and return all that comes back."""
    tls = server_context(the_ca().svid("orchestrator"), certificate_needed=False)
    running = server(app, host="127.0.0.1", port=0, tls=tls)
    async with asyncio.timeout(10), serving(running):
        return await ask(running, request)


async def ask(there: Server, request: str) -> str:
    host, port = there.servers[0].sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(
        host, port, ssl=the_ca().for_users(), server_hostname=dns_name("orchestrator", TRUST_DOMAIN)
    )
    writer.write(request.encode())
    answer = await reader.read()
    writer.close()
    return answer.decode()


GET = "GET / HTTP/1.1\r\nHost: x\r\n"
LAST = "Connection: close\r\n\r\n"


async def test_a_pipelined_request_does_not_begin_in_the_context_of_the_one_before_it() -> None:
    answer = await talk(f"{GET}\r\n{GET}\r\n{GET}{LAST}")

    assert answer.count("nobody 127.0.0.1") == 3
    assert "the one before" not in answer


async def test_nobody_says_who_somebody_else_is() -> None:
    answer = await talk(f"{GET}X-Forwarded-For: 203.0.113.7\r\n{LAST}")

    assert "nobody 127.0.0.1" in answer


async def test_a_web_socket_is_not_opened() -> None:
    upgrade = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

    answer = await talk(f"{GET}{upgrade}{LAST}")

    assert " 101 " not in answer.splitlines()[0]


async def test_the_server_does_not_say_what_it_is() -> None:
    assert "\r\nserver:" not in (await talk(f"{GET}{LAST}")).lower()


async def test_the_server_keeps_no_log_of_who_asked_for_what(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    await talk(f"{GET}{LAST}")

    assert [record.message for record in caplog.records if "GET" in record.message] == []


@pytest.mark.parametrize("kind", [asyncio, uvloop], ids=["asyncio", "uvloop"])
def test_a_handshake_that_comes_to_no_end_is_broken_off(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zerotrust.hardening.server.PATIENCE", 0.2)

    async def silent() -> None:
        tls = server_context(the_ca().svid("orchestrator"), certificate_needed=False)
        running = server(who_came_before, host="127.0.0.1", port=0, tls=tls)
        async with asyncio.timeout(10), serving(running) as port:
            assert "create_server" not in asyncio.get_running_loop().__dict__
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()

    kind.run(silent())


async def test_a_crowd_from_one_address_makes_room_by_itself_and_no_answer_is_waited_for_in_vain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("zerotrust.hardening.server.MAX_CONNECTIONS", 3)
    config, state = server(who_came_before, host="", port=0, tls=None).config, ServerState()
    config.load()

    def connect(address: str) -> Any:
        its_socket = Mock(getpeername=lambda: (address, 1), getsockname=lambda: ("192.0.2.9", 1))
        one = Protocol(config, state, {})
        one.connection_made(Mock(get_extra_info={"socket": its_socket}.get, is_closing=lambda: False))
        return one

    first, busy, idle = connect("192.0.2.1"), connect("192.0.2.2"), connect("192.0.2.2")
    busy.cycle = Mock(response_complete=False, more_body=False)
    connect("192.0.2.3")
    assert [one.transport.abort.called for one in (first, busy, idle)] == [False, False, True]
    first._for_head.stop()
    first.data_received(b"GET")  # half a head, of a further request
    assert first._for_head._due


async def test_a_timer_that_is_started_twice_is_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zerotrust.hardening.server.PATIENCE", 0)
    transport = Mock()
    timer = _Timer(transport)

    timer.start()
    timer.start()
    timer.stop()
    await asyncio.sleep(0.01)

    transport.abort.assert_not_called()


async def test_who_is_asked_to_end_goes_on_answering_until_it_is_ready_to() -> None:
    answers: list[str] = []

    async def last_request() -> None:
        answers.append(await ask(ending, f"{GET}{LAST}"))

    tls = server_context(the_ca().svid("orchestrator"), certificate_needed=False)
    ending = server(who_came_before, host="127.0.0.1", port=0, tls=tls, before_end=last_request)
    async with asyncio.timeout(10), serving(ending):
        pass
    assert answers[0].startswith("HTTP/1.1 200")


async def test_what_a_party_stands_on_is_closed_with_it(tmp_path: Path) -> None:
    async with running(tmp_path, "inference") as system:
        service = system.services["inference"]

    clients = (service.egress.http, service.egress.mcp_http, service._identity_http)
    assert [client.is_closed for client in clients] == [True, True, True]
    assert not service.recorder._journal._writer.is_alive()


async def test_an_answer_that_gets_no_end_does_not_look_whole() -> None:
    """So the gate leaves one that it cuts off: `zerotrust/transport/responses.py`."""

    async def half(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half of it", "more_body": True})

    answer = await talk(f"{GET}\r\n", half)  # and closes, or this would wait for ever

    assert "transfer-encoding: chunked" in answer
    assert answer.endswith("half of it\r\n")  # without the last chunk (RFC 9112 section 7.1)
