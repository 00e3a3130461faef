"""What official clients rely on: one name for a tool, the context of a conversation, parts that both sides can read.

The rules for agents are those that the A2A compatibility kit checks as MUST; see `docs/reference/conformance.md`.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from a2a.helpers.proto_helpers import get_data_parts, get_message_text, new_message, new_raw_part, new_text_part
from a2a.types import Message, Part, Role, SendMessageConfiguration, SendMessageRequest
from a2a.utils.errors import ContentTypeNotSupportedError
from cryptography.hazmat.primitives import serialization
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.ca import the_ca
from tests.support.clients import agent
from tests.support.issuer import Issuer
from tests.support.system import System, running
from zerotrust.registry.model import Registry
from zerotrust.spiffe.tls import server_context
from zerotrust.transport.server import server

Token = Callable[..., str]
READER, TOOL = "agent/reader", "tool/documents"
READ_IT = "Summarise our incident reports."


async def reply(system: System, token: str, *parts: Part, takes: Sequence[str] = (), **more: Any) -> Message:
    """What the reader answers to these parts."""
    message = new_message(list(parts) or [new_text_part(READ_IT)], role=Role.ROLE_USER, **more)
    asked = SendMessageRequest(message=message, configuration=SendMessageConfiguration(accepted_output_modes=takes))
    [answer] = [answer async for answer in agent(system, READER, token).send_message(asked)]
    return answer.message


async def test_the_reply_belongs_to_the_context_that_the_caller_names(system: System, asking: Token) -> None:
    assert (await reply(system, asking(), context_id="conversation-7")).context_id == "conversation-7"


async def test_a_context_that_was_made_up_for_the_caller_is_reported(system: System, asking: Token) -> None:
    first, second = await reply(system, asking()), await reply(system, asking())

    assert first.context_id
    assert first.context_id != second.context_id


@pytest.mark.parametrize(
    ("takes", "kinds"),
    [
        ([], ["text", "data"]),
        (["text/plain", "application/json"], ["text", "data"]),
        (["*/*"], ["text", "data"]),
        (["text/plain"], ["text"]),
        (["text/*", "image/png"], ["text"]),
        (["application/json"], ["data"]),
    ],
)
async def test_an_answer_has_parts_of_the_media_types_that_the_caller_takes(
    system: System, asking: Token, takes: list[str], kinds: list[str]
) -> None:
    answer = await reply(system, asking(), takes=takes)

    assert [part.WhichOneof("content") for part in answer.parts] == kinds
    [account] = get_data_parts(answer.parts) or [{}]
    found = get_message_text(answer) or account["text"]  # either way, nothing is lost
    assert found.startswith("Summary of 4 documents:")


@pytest.mark.parametrize("takes", [["image/png"], ["text/html", "application/xml"]])
async def test_who_takes_nothing_that_the_agent_gives_is_told_so(
    system: System, asking: Token, takes: list[str]
) -> None:
    with pytest.raises(ContentTypeNotSupportedError):
        await reply(system, asking(), takes=takes)


async def test_a_part_that_cannot_be_read_is_refused_before_anything_is_done(system: System, asking: Token) -> None:
    image = new_raw_part(b"PNG", media_type="image/png")
    for parts in ([image], [new_text_part(READ_IT), image]):
        with pytest.raises(ContentTypeNotSupportedError):
            await reply(system, asking(), *parts)

    assert system.issuer.exchanges == []


# one name


@asynccontextmanager
async def served(app: ASGIApp, party: str, port: int) -> AsyncIterator[None]:
    """The app of a party behind its certificate, at a port of this machine."""

    async def alive_already(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await app(scope, receive, send)

    tls = server_context(the_ca().svid(party), certificate_needed=True)
    listening = server(alive_already, host="127.0.0.1", port=port, tls=tls)
    serving = asyncio.create_task(listening.serve())
    async with asyncio.timeout(30):
        while not listening.started:
            await asyncio.sleep(0.01)
    yield
    listening.should_exit = True
    await serving


def shown(party: str, folder: Path) -> ssl.SSLContext:
    """What any TLS client does: it verifies the name in the URL, and shows a certificate from a file."""
    svid, file = the_ca().svid(party), folder / "client.pem"
    key = svid.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(key + svid.certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.create_default_context(cadata=the_ca().pem)
    context.load_cert_chain(file)
    return context


@pytest.fixture
def port() -> int:
    """A free one for the tool."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_a_standard_client_reaches_the_tool_by_the_one_name_that_is_in_everything(
    tmp_path: Path, registry: Registry, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name in the certificate is that of the metadata, of the challenge and of the `Host` that the tool answers."""
    connect = anyio.connect_tcp

    async def there(remote_host: str, remote_port: int, **how: Any) -> Any:  # as curl's `--connect-to`
        assert (remote_host, remote_port) == (registry.dns_name(TOOL), 443)
        return await connect("127.0.0.1", port, **how)

    monkeypatch.setattr(anyio, "connect_tcp", there)
    issuer, origin = Issuer(registry), registry.address(TOOL)
    token = issuer.delegated("orchestrator", READER, aud=registry.id(TOOL), scope="tool.read")
    async with (
        running(tmp_path, TOOL, issuer=issuer) as system,
        served(system.apps[origin], TOOL, port),
        httpx2.AsyncClient(verify=shown(READER, tmp_path), trust_env=False) as http,
    ):
        challenge = (await http.post(f"{origin}/mcp", json={})).headers["www-authenticate"]
        metadata = (await http.get(challenge.partition('resource_metadata="')[2].partition('"')[0])).json()
        assert metadata["resource"] == f"{origin}/mcp"

        http.headers["authorization"] = f"Bearer {token}"
        async with Client(streamable_http_client(metadata["resource"], http_client=http), mode="auto") as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["search", "read"]
            assert not (await client.call_tool("read", {"id": "ENG-101"})).is_error
