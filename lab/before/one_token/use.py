"""The running system of figure 1, as its users and its attackers find it."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from lab.before.one_token.process import Agent
from lab.before.one_token.realm import Realm
from lab.before.system import Answer, Credentials, Session
from lab.before.tool import Documents
from zt.people.login import Login

PATHS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "orchestrator": ("/tasks", {"request": "Hello"}),
    "agent/reader": ("/run", {"text": "Hello"}),
    "agent/writer": ("/run", {"text": "Hello"}),
    "tool/documents": ("", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}),
    "inference": ("/v1/chat/completions", {"model": "default", "messages": [{"role": "user", "content": "Hello"}]}),
}
"""A cheap call of each party."""
MCP = {"accept": "application/json, text/event-stream"}


@dataclass(frozen=True)
class OneToken:
    """The system of figure 1; an implementation of `System`."""

    realm: Realm
    documents: Documents
    doors: Mapping[str, str]
    agents: Mapping[str, Agent]
    secret: Path
    """The file from which the application reads its id and secret."""
    http: httpx.AsyncClient
    logins: dict[str, Login] = field(default_factory=dict, repr=False)
    patience: float = 0
    """It promises nothing."""

    async def sign_in(self, user: str) -> Session:
        """Sign a user in at the page; the application then gets a token of its own, that names no user."""
        self.logins[user] = await self.realm.sign_in(user)
        token, lasts = await self.realm.token(*self.secret.read_text().split())
        return Session(user, {"authorization": f"Bearer {token}"}, lasts)

    async def sign_out(self, session: Session) -> None:
        """End the user's session; the application's token is of no session."""
        await self.realm.sign_out(self.logins[session.user])

    async def task(self, credentials: Credentials, request: str) -> Answer:
        """Ask the orchestrator."""
        self.documents.record.clear()
        return await self._post("orchestrator", "/tasks", credentials, {"request": request})

    async def credentials(self, session: Session, holder: str, target: str) -> Credentials:  # noqa: ARG002
        """Return the same token for every caller; and beside it, for the tool, what the tool has received."""
        if target != "tool/documents":
            return session.credentials
        await self.task(session.credentials, "Hello")
        return {name: self.documents.received[name] for name in ("authorization", "x-api-key")}

    async def call(self, target: str, credentials: Credentials, *, by: str | None) -> Answer:  # noqa: ARG002
        """Call a party, which does not ask who calls."""
        path, body = PATHS[target]
        return await self._post(target, path, credentials, body)

    async def tool(self, name: str, credentials: Credentials, *, by: str | None, **arguments: str) -> Answer:  # noqa: ARG002
        """Call a tool, which does not ask who calls."""
        params = {"name": name, "arguments": arguments}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        return await self._post("tool/documents", "", credentials, call)

    async def identity(self) -> Credentials:
        """Return a token for the application's id and secret, of which there is a file."""
        token, _ = await self.realm.token(*self.secret.read_text().split())
        return {"authorization": f"Bearer {token}"}

    def changed_code(self, agent: str) -> AbstractAsyncContextManager[None]:
        """Have other code deployed in an agent's place."""
        return self.agents[agent].changed_code()

    async def document_text(self, document: str) -> str:
        """Return what the tool has."""
        return self.documents.all[document]["text"]

    async def refusals(self) -> list[tuple[str, str, str]]:
        """Return nothing: who is inside is not refused anything."""
        return []

    async def tool_record(self) -> list[str]:
        """Return the lines of the tool's record."""
        return list(self.documents.record)

    async def reset(self) -> None:
        """Start again from the seed."""
        self.documents.reset()

    async def _post(self, door: str, path: str, credentials: Credentials, body: dict[str, Any]) -> Answer:
        answer = await self.http.post(self.doors[door] + path, json=body, headers={**MCP, **credentials})
        said = "ok" if answer.is_success else answer.reason_phrase
        return Answer(f"{answer.status_code} {said}", answer.text, answer.elapsed.total_seconds())
