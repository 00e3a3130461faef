"""The real system, as its users and its attackers find it; intruders are inside the orchestrator and both agents."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import httpx

from demo.intruder import NO_CONNECTION, Intruder, outcome, tool_call
from demo.refusals import ask_for_identity
from demo.revocation import PLANTED, sign_in_olga, wait_until_restored
from demo.ways import HELLO
from demo.who import name_of
from lab.before.system import Answer, Credentials, Refused, Session
from start.system import Running
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_types import Access, Request
from zerotrust.decision import Reason
from zt.people.key import BoundToken, Key
from zt.people.login import Client, Login, sign_out
from zt.people.registry_client import RegistryClient

CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "orchestrator": ("/plan", {"json": {"request": "Hello"}}),
    "agent/reader": ("/a2a", {"json": {}}),
    "agent/writer": ("/a2a", {"json": {}}),
    "tool/documents": ("/mcp", tool_call("search", query="Hello")),
    "inference": ("/v1/chat/completions", {"json": HELLO}),
}
"""A cheap call of each party."""
SPENDS = {
    "agent/reader": "agent.invoke tool.read inference.run llama.chat",
    "agent/writer": "agent.invoke tool.write inference.run llama.chat",
    "tool/documents": "tool.read tool.write",
    "inference": "inference.run llama.chat",
}
"""The scopes for a task at each; a party asks for those that it may hand on."""
BEARER = "Bearer "
UNKNOWN = tuple(str(reason) for reason in Reason if reason.status == 503)
"""Reasons with which a service refuses because it cannot tell."""


@dataclass
class Real:
    """The real system; an implementation of `lab.before.system.System`."""

    system: Running
    intruder: Intruder
    operator: Callable[[], Awaitable[RegistryClient]]
    """Signs an operator in, whose token is good for a minute."""
    logins: dict[str, Login] = field(default_factory=dict, repr=False)
    """By the token, whose key only the user's own client has."""
    trace: str = ""
    """The trace of the last task."""
    patience: float = 60
    """Far more than it promises, for machines that are busy."""

    async def sign_in(self, user: str) -> Session:
        """Sign a user in at the walkthrough's client."""
        login = await self.intruder.sign_in(user)
        self.logins[login.access_token] = login
        return Session(user, _bearer(login.access_token), login.expires_in)

    async def sign_out(self, session: Session) -> None:
        """End the user's session at Keycloak."""
        keycloak = self.system.keycloak
        await sign_out(
            Client(keycloak.issuer, "walkthrough", "", keycloak.tls), self.logins[_token(session.credentials)]
        )

    async def task(self, credentials: Credentials, request: str) -> Answer:
        """Ask the orchestrator, as a program without a certificate; only a user's client can prove a token's key."""
        return await self._ask_again(lambda: self._task(credentials, request))

    async def credentials(self, session: Session, holder: str, target: str) -> Credentials:
        """Return what the holder gets at Keycloak, for what the orchestrator has sent it.  Raises `Refused`."""
        token = _token(session.credentials)
        if holder != "orchestrator":
            token = await self.intruder.token("orchestrator", token, holder, SPENDS[holder])
        has = self.system.registry.parties[holder].delegates
        scopes = " ".join(scope for scope in SPENDS[target].split() if scope in has)
        answer = await self.intruder.exchange(holder, token, target, scopes)
        if not answer.is_success:
            raise Refused(outcome(answer))
        return _bearer(answer.json()["access_token"])

    async def call(self, target: str, credentials: Credentials, *, by: str | None) -> Answer:
        """Call a party with the certificate of `by`, if it is one."""
        path, body = CALLS[target]
        return await self._ask_again(lambda: _answer(self._send(by, target, path, credentials, **body)))

    async def tool(self, name: str, credentials: Credentials, *, by: str | None, **arguments: str) -> Answer:
        """Call a tool in the same way."""
        call = tool_call(name, **arguments)
        return await self._ask_again(lambda: _answer(self._send(by, "tool/documents", "/mcp", credentials, **call)))

    async def identity(self) -> Credentials:
        """Ask the Workload API.  Raises `Refused`."""
        answered = (await ask_for_identity(self.system.endpoint, self.system.keycloak.issuer)).answered
        raise Refused(answered)

    @asynccontextmanager
    async def changed_code(self, agent: str) -> AsyncIterator[None]:
        """Add a file to the writer's code; afterwards an operator reinstates the writer."""
        PLANTED.touch()
        try:
            yield
        finally:
            PLANTED.unlink()
            olga = await self.operator()
            await wait_until_restored(olga)
            await olga.reinstate(agent)

    async def document_text(self, document: str) -> str:
        """Read it for alice, as the reader does."""
        reader = "agent/reader"
        held = await self.credentials(await self.sign_in("alice"), reader, "tool/documents")
        answer = await self.tool("read", held, by=reader, id=document)
        return str(json.loads(answer.text)["result"]["structuredContent"]["text"])

    async def refusals(self) -> list[tuple[str, str, str]]:
        """Return all refusals on record of the last task."""
        found = []
        for name in self.system.registry.services:
            for data in (event.data for event in self._events(name)):
                if isinstance(data, Request | Access) and data.principal and not data.decision.allowed:
                    found.append((data.principal.party, str(data.operation), str(data.decision.reason)))
        return found

    async def tool_record(self) -> list[str]:
        """Return the tool's decisions: for whom, and through whom."""
        decided = [event.data for event in self._events("tool/documents") if isinstance(event.data, Request | Access)]
        return [
            f"{name_of(data.principal.subject)}, through {' and '.join(map(_last, data.principal.actors))}"
            for data in decided
            if data.principal
        ]

    async def reset(self) -> None:
        """Do nothing: what was published is as it was."""

    async def _task(self, credentials: Credentials, request: str) -> Answer:
        sending = self._send(None, "orchestrator", "/tasks", credentials, json={"request": request})
        answer = await _answer(sending)
        result = json.loads(answer.text).get("result") if answer.text else None
        if result is None:
            return answer
        self.trace = result["trace_id"]
        return answer if result["event"] == "finished" else replace(answer, said=str(result["text"]))

    async def _ask_again(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask again while a service cannot tell: that is a no, but of none of the checks that are tried."""
        end, answer = time.monotonic() + self.patience, await ask()
        while any(reason in answer.said for reason in UNKNOWN) and time.monotonic() < end:
            await asyncio.sleep(0.1)
            answer = await ask()
        return answer

    def _events(self, name: str) -> list[AuditEvent]:
        return [event for event in self.system.events(name) if event.trace and event.trace.trace_id == self.trace]

    async def _send(
        self, who: str | None, name: str, path: str, credentials: Credentials, **more: Any
    ) -> httpx.Response:
        token = _token(credentials) or None
        if who or not token:
            return await self.intruder.send(who, name, path, token, **more)
        auth = self.logins[token].auth if token in self.logins else BoundToken(Key(), token)
        return await self.intruder.send(None, name, path, None, auth=auth, **more)


@asynccontextmanager
async def real(system: Running) -> AsyncIterator[Real]:
    """Attack a running system for a block."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(system.user())
        yield Real(system, Intruder(system, stack), partial(sign_in_olga, system, http))


async def _answer(sent: Awaitable[httpx.Response]) -> Answer:
    began = time.monotonic()
    try:
        answer = await sent
    except (httpx.NetworkError, httpx.ProtocolError):
        return Answer(NO_CONNECTION, seconds=time.monotonic() - began)
    return Answer(outcome(answer), answer.text, answer.elapsed.total_seconds())


def _bearer(token: str) -> Credentials:
    return {"authorization": BEARER + token}


def _last(party: str) -> str:
    return party.rpartition("/")[2]


def _token(credentials: Credentials) -> str:
    return credentials.get("authorization", "").removeprefix(BEARER)
