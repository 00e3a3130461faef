"""A gate on its own: real keys, policy and journal, in front of a handler that a test chooses, driven at ASGI level.

reply = await door.ask(token)                              # POST /tasks
reply = await door.ask(headers=[(b"authorization", ...)])  # exactly these headers
assert door.handled == []                                  # what did not happen
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Served
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as HttpScope

from testkit.issuer import USERS_PRIVATE_KEY
from tests.support.ca import holder
from tests.support.issuer import ISSUER, Issuer, Known
from tests.support.records import flat, records
from tests.support.system import POLICY, Wire, fresh_revocations
from zerotrust.audit.counts import CallCounter
from zerotrust.audit.event_types import Counts
from zerotrust.audit.journal import Journal
from zerotrust.audit.recorder import Recorder
from zerotrust.decision import PolicyEngine
from zerotrust.dialect import Dialect
from zerotrust.gate import Gate
from zerotrust.identity import Principal
from zerotrust.issuer.jwks import SigningKeys
from zerotrust.routes import Public, Routes, Scope
from zerotrust.routing import RouteTable
from zerotrust.runtime import policy_of
from zerotrust.service import expectations_of
from zerotrust.spiffe.svid import NO_PEER, Peer
from zerotrust.tool.mcp_tools import ERA, McpTools
from zerotrust.transport.jsonrpc import JSON_RPC
from zt.audit.journals import events
from zt.people.key import Key

NOW, ADDRESS = 1_800_000_000.0, "https://door.test"
Headers = list[tuple[bytes, bytes]]

TOOLS = {"search": "tool.read", "read": "tool.read", "create": "tool.write", "replace": "tool.write"}
AT_THE_FRONT: Routes = {
    ("POST", "/tasks"): Scope("task.run"),
    ("POST", "/plan"): Scope("reasoning.plan"),
    ("GET", "/health"): Public(),
}
AT_THE_TOOL: Routes = {("POST", "/mcp"): McpTools(TOOLS), ("GET", "/health"): Public()}


class Clock:
    """Stands still until a test moves it."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class Reply:
    """What came back, as it was sent."""

    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0].get("headers", [])}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def reason(self) -> str:
        """The reason the caller is told, in JSON or in JSON-RPC."""
        told = self.json()
        return str(told["error"]["data"]["reason"] if "jsonrpc" in told else told["reason"])


def for_the_tool(issuer: Issuer, **changed: Any) -> str:
    """A token with which the reader may read at the documents tool, but for what is changed."""
    good = {"aud": issuer.registry.id("tool/documents"), "scope": "tool.read"}
    return issuer.delegated("orchestrator", "agent/reader", **(good | changed))


def tool_call(name: object = "read", request_id: object = 1, **more: Any) -> dict[str, Any]:
    """A call of a tool, as MCP sends it."""
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": {"name": name, **more}}


async def _never(_request: Request) -> Response:
    raise NotImplementedError


class Door:
    """One guarded door, with what went through it."""

    def __init__(
        self,
        folder: Path,
        issuer: Issuer,
        *,
        party: str = "orchestrator",
        routes: Routes | None = None,
        handler: ASGIApp | None = None,
        metadata_url: str | None = None,
        count_every: float = 0,
        dialects: Mapping[str, Dialect] | None = None,
        policy: PolicyEngine | None = None,
    ) -> None:
        registry = issuer.registry
        self._party, self.revocations = party, fresh_revocations()
        self.confirm: Callable[[Principal, str], Awaitable[None]] | None = None
        self.folder, self.clock, self.key_clock = folder, Clock(), Clock()
        self.user_key = Key(self.clock, USERS_PRIVATE_KEY)
        self.handled: list[str] = []
        self.noted: list[str] = []
        """The users whom the server was told about: their connections are theirs."""
        self.handler = handler or self.echo
        self.journal = Journal(folder / "journal.jsonl")
        self.recorder = Recorder(self.journal, registry.id(party), clock=self.clock)
        served = routes or (AT_THE_FRONT if party == "orchestrator" else AT_THE_TOOL)
        app = self._app(served)
        self.gate = Gate(
            app=app,
            routes=RouteTable(served, app),
            expected=expectations_of(party, registry, ISSUER),
            revocations=self.revocations,
            confirm=self._introspect,
            keys=SigningKeys(
                Known(),
                http=httpx.AsyncClient(transport=Wire({"https://issuer.test": issuer.app}, NO_PEER)),
                freshness=registry.freshness,
                clock=self.key_clock,
            ),
            policy=policy or policy_of(POLICY, registry),
            recorder=self.recorder,
            address=ADDRESS,
            clock=self.clock,
            metadata_url=metadata_url,
            dialects=dialects or {"/mcp": JSON_RPC},
        )
        self.gate.counter = CallCounter(self.recorder, interval=count_every)

    def _app(self, routes: Routes) -> Starlette:
        """An app with these routes, where nothing comes to its router."""
        app = Starlette(routes=[Served(path, _never, methods=[method]) for method, path in routes])
        app.middleware_stack = self._handle
        return app

    async def _introspect(self, caller: Principal, permission: str) -> None:
        if self.confirm:
            await self.confirm(caller, permission)

    async def _handle(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.handled.append(f"{scope['method']} {scope['path']}")
        await self.handler(scope, receive, send)

    @staticmethod
    async def echo(_scope: HttpScope, receive: Receive, send: Send) -> None:
        """Answer with the body."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def ask(  # one request, with all that may differ
        self,
        token: str | None = None,
        method: str = "POST",
        path: str = "/tasks",
        *,
        headers: Iterable[tuple[bytes, bytes]] = (),
        body: bytes | list[bytes] = b"",
        query: bytes = b"",
        address: str = "192.0.2.1",
        peer: Peer | None = None,
        receive: Receive | None = None,
        on_sent: Callable[[Message], Awaitable[None]] | None = None,
    ) -> Reply:
        """Send one request, in a context of its own, and return what came back.

        `receive` stands for a caller that sends its body in its own way; `peer` is who is at the other end, by default
        whom the token was issued to.
        """
        peer = peer or holder(token, at=self._party)
        given = [*headers]
        if token is not None:
            by_key = self.user_key.headers(method, ADDRESS + path, token)
            presented = {"authorization": f"Bearer {token}"} if peer.id else by_key
            given = [*((name.encode(), value.encode()) for name, value in presented.items()), *headers]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "headers": given,
            "query_string": query,
            "client": (address, 40000),
            "state": {"peer": peer, "note_user": self.noted.append},
        }
        chunks = body if isinstance(body, list) else [body]
        waiting: list[Message] = [
            {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
            for number, chunk in enumerate(chunks, 1)
        ]
        reply = Reply()

        async def at_once() -> Message:
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            reply.messages.append(message)
            if on_sent:
                await on_sent(message)

        await asyncio.create_task(self.gate(scope, receive or at_once, send))
        return reply

    async def call(
        self,
        token: str | None,
        body: bytes | Mapping[str, Any] | list[bytes],
        *,
        headers: Iterable[tuple[bytes, bytes]] = ((b"mcp-protocol-version", ERA),),
    ) -> Reply:
        """Send one MCP request."""
        raw = orjson.dumps(body) if isinstance(body, Mapping) else body
        return await self.ask(token, path="/mcp", headers=headers, body=raw)

    @property
    def records(self) -> list[dict[str, Any]]:
        return records(self.folder / "journal.jsonl")

    async def everything(self) -> list[dict[str, Any]]:
        """All records, also those that ride on a commit: there is one now."""
        await self.recorder.append(Counts())
        return [flat(event) for event in events(self.folder / "journal.jsonl") if event.data != Counts()]

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The records of callers that were verified."""
        return [record for record in self.records if record["event"] == "request"]

    async def counted(self, times: int) -> list[dict[str, Any]]:
        """Wait until so many unverified callers are on record; return them, by origin and reason."""
        async with asyncio.timeout(5):
            while True:
                seen = [entry for r in self.records if r["event"] == "counts" for entry in r["unverified"] or ()]
                if sum(entry["times"] for entry in seen) >= times:
                    return seen
                await asyncio.sleep(0.002)

    def close(self) -> None:
        self.journal.close()
