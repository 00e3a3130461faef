"""The requests of the attempts: a task, a tool call, an exchange, each with a token or without one."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple

import httpx

from demo.intruder import User, tool_call
from zt.people.key import BoundToken, Key

TASK = {"request": "Summarise the incident reports."}
HELLO = {"model": "default", "messages": [{"role": "user", "content": "Hello"}]}
OWN, OTHERS = {"alice": "ENG-101", "bob": "FIN-201"}, {"alice": "FIN-201", "bob": "ENG-101"}
"""A document of a user's own department, and one of another."""

Ask = Callable[[User, str | None], Awaitable[httpx.Response]]
"""Sends a request for a user, as a workload or, without one, as a program without a certificate."""
Name = Literal["t0", "t0_reading", "t1", "t2", "t3", "listing", "forged", "ended", "id_token", "renewed", "olgas"]
"""A token's name: one of the user's, or olga's."""


class Try(NamedTuple):
    """An attempt, and the answer that it must get."""

    what: str
    control: str
    expected: str
    ask: Ask
    recorded: str = ""
    """The reason in the tool's journal, if the answer does not tell it."""


def call(to: str, path: str, token: Name | None, **more: Any) -> Ask:
    """Send a request to a party."""
    return lambda user, who: user.send(who, to, path, token and getattr(user, token), **more)


def stolen(token: Name, to: str, path: str, *, proven: bool = False, **more: Any) -> Ask:
    """Send a request with a copy of a token; `proven`: with a proof by a key of the thief's own."""

    async def ask(user: User, _who: str | None) -> httpx.Response:
        held, send = await getattr(user, token)(), user.intruder.send
        if proven:
            return await send(None, to, path, None, auth=BoundToken(Key(), held), **more)
        return await send(None, to, path, held, **more)

    return ask


async def repeat(user: User, _who: str | None) -> httpx.Response:
    """Send a whole request of the user's once more, with its token and its proof."""
    first = await user.send(None, "orchestrator", "/models", user.t0, method="GET")
    if first.is_server_error:  # it may have come to nothing before the proof was used
        return first
    copied = {name: first.request.headers[name] for name in ("authorization", "dpop")}
    return await user.intruder.send(None, "orchestrator", "/models", None, method="GET", headers=copied)


def task(token: Name | None, **more: Any) -> Ask:
    """Ask the orchestrator for a task."""
    return call("orchestrator", "/tasks", token, **more or {"json": TASK})


def tool(token: Name, name: str, **arguments: str) -> Ask:
    """Call a tool of the documents server."""
    return call("tool/documents", "/mcp", token, **tool_call(name, **arguments))


def read(token: Name, documents: dict[str, str] = OWN) -> Ask:
    """Read a document: of these, the user's."""
    return lambda user, who: tool(token, "read", id=documents.get(user.name, "ENG-101"))(user, who)


def exchange(token: Name, audience: str, scopes: str) -> Ask:
    """Exchange a token at Keycloak."""

    async def ask(user: User, who: str | None) -> httpx.Response:
        return await user.intruder.exchange(str(who), await getattr(user, token)(), audience, scopes)

    return ask
