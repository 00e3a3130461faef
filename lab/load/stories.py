"""What a user does, and what must come of it: tasks of all kinds, and attempts that have to be refused."""

import json
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal

import httpx

from demo.intruder import NO_CONNECTION, User, answer_to, tool_call
from demo.refusals import TASK
from lab.load.users import Kind
from local.manual_steps import REQUEST

READING = "Summarise the incident reports of my department."
ASKING = "What do we know about the leaked key?"
OWN = {"alice": "pager storm", "bob": "invoice paid twice"}
OTHERS = {"alice": ("invoice", "Revenue"), "bob": ("pager storm", "static key", "queue overflow", "certificate")}
"""What nobody else's answer may ever say."""
TOO_BIG = 1 << 20
BROKEN = (b'{"request"', b'{"request":"a","request":"b"}', b"\xff\xfe{\x00", b"[" * 9000)


# --- tasks ------------------------------------------------------------------------------------------------------------


async def files(user: User, **headers: str) -> str:
    """The whole story, with the poisoned report in it.  The draft is deleted again: nobody has room for all of them."""
    answer = await _task(user, REQUEST, headers=headers)
    if found := wrong(user, answer, "agent/writer", OWN[user.name]):
        return found
    filed = " ".join(re.findall(r"Filed as (DRAFT-[0-9a-f]{8})", answer.text)[-1:])
    return wrong(user, await _task(user, f"Delete {filed}."), "agent/writer", f"Deleted {filed}.")


async def reads(user: User) -> str:
    """The same without the second half."""
    return wrong(user, await _task(user, READING), "agent/reader", OWN[user.name])


async def asks(user: User) -> str:
    """A question that only one department can answer."""
    own = "leaked key" if user.name == "alice" else "No document was found."
    return wrong(user, await _task(user, ASKING), "agent/reader", own)


async def plans(user: User) -> str:
    """What would be done."""
    answer = await user.post(None, "orchestrator", "/plan", user.t0, json={"request": REQUEST})
    agents = [step["agent"] for step in answer.json()] if answer.status_code == 200 else []
    return "" if agents == ["agent/reader", "agent/writer"] else f"{answer.status_code}: {answer.text}"


async def _task(user: User, request: str, **more: Any) -> httpx.Response:
    return await user.post(None, "orchestrator", "/tasks", user.t0, json={"request": request}, **more)


def wrong(user: User, answer: httpx.Response, last: str, own: str) -> str:
    """What is wrong with the answer to a task: its last agent, and something that its user has to find in it."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        events = [json.loads(line[5:]) for line in answer.text.splitlines() if line.startswith("data:")]
    else:
        events = [*answer.json().get("steps", ()), answer.json().get("result")]
    traces = {event["trace_id"] for event in events if event}
    if answer.status_code != 200 or not traces or events[-1]["event"] != "finished" or events[-2]["agent"] != last:
        return f"{answer.status_code}: {answer.text}"
    if len(traces) != 1 or traces & user.traces:
        return f"the trace of another task: {traces}"
    user.traces |= traces
    if found := [text for text in OTHERS[user.name] if text in answer.text]:
        return f"{user.name} was told about {found}"
    return "" if own in answer.text else f"{user.name} was not told about {own}"


STORIES: dict[str, Kind] = {
    "files a summary": files,
    "reads a summary": reads,
    "asks about one report": asks,
    "follows a task": partial(files, accept="text/event-stream"),
    "asks for the plan": plans,
}


# --- attempts ---------------------------------------------------------------------------------------------------------

Try = Callable[[User], Awaitable[httpx.Response]]
Name = Literal["t0", "t1", "t2", "forged", "ended"]
"""Of a user's token."""


def post(who: str | None, to: str, path: str, token: Name | None, **more: Any) -> Try:
    """POST to a party as the workload `who`, or as the user's own client."""
    return lambda user: user.post(who, to, path, token and getattr(user, token), **more)


def task(who: str | None, token: Name | None, **more: Any) -> Try:
    """Ask the orchestrator for a task."""
    return post(who, "orchestrator", "/tasks", token, **more or {"json": TASK})


def tool(who: str | None, token: Name, name: str, **arguments: str) -> Try:
    """Call a tool of the documents server."""
    return post(who, "tool/documents", "/mcp", token, **tool_call(name, **arguments))


async def pages(user: User) -> httpx.Response:
    """Ask for the API's own description."""
    return await user.intruder.get(None, "orchestrator", "/openapi.json", await user.t0())


async def exchange(user: User) -> httpx.Response:
    """Exchange a token as a workload that is not its audience."""
    return await user.intruder.exchange("agent/writer", await user.t1(), "tool/documents", "tool.read")


async def others_document(user: User) -> httpx.Response:
    """Read what another department wrote."""
    return await tool("agent/reader", "t2", "read", id={"alice": "FIN-201", "bob": "ENG-101"}[user.name])(user)


async def broken(user: User) -> httpx.Response:
    """Send what is no JSON object."""
    return await task(None, "t0", content=user.chance.choice(BROKEN))(user)


READ = {"name": "read", "id": "ENG-101"}
OF_ANYBODY: dict[str, tuple[Try, str]] = {
    "no token": (task(None, None), "401 no_token"),
    "a forged token": (task(None, "forged"), "401 not_verified"),
    "a token taken elsewhere": (tool(None, "t0", **READ), NO_CONNECTION),
    "a user's token, stolen by a workload": (task("agent/reader", "t0"), "401 not_bound"),
    "the API's own pages": (pages, "403 no_permission_for_route"),
}
"""What is tried, and what has to be answered."""
IN_A_DEPARTMENT: dict[str, tuple[Try, str]] = {
    "a token shown to another": (post("orchestrator", "agent/writer", "/a2a", "t1", json={}), "401 audience_mismatch"),
    "a token stolen by a workload": (tool("agent/writer", "t2", **READ), "401 not_bound"),
    "a token stolen by a script": (tool(None, "t2", **READ), NO_CONNECTION),
    "a token too late": (tool("agent/reader", "ended", **READ), "401 expired"),
    "an unknown tool": (tool("agent/reader", "t2", "destroy", id="ENG-101"), "403 no_permission_for_route"),
    "a reader that writes": (tool("agent/reader", "t2", "create", title="t", text="x"), "403 scope_missing"),
    "another's document": (others_document, "200 tool error"),
    "too big a body": (task(None, "t0", json={"request": "x" * TOO_BIG}), "413 body_too_large"),
    "a broken body": (broken, "400 malformed_body"),
    "another's token, exchanged": (exchange, "403 access_denied"),
}
IN_NO_DEPARTMENT: dict[str, tuple[Try, str]] = {"a task of eve's": (task(None, "t0"), "403 policy_denied")}
THROUGH_THE_WRITER = {"files a summary", "follows a task", "another's token, exchanged"}
"""What ends otherwise while the writer is suspended."""


def refused(attempt: Try, expected: str) -> Kind:
    """An attempt as something that a user does: any other answer is wrong."""

    async def kind(user: User) -> str:
        answer = await answer_to(attempt(user))
        return "" if answer == expected else f"expected {expected}, answered {answer}"

    return kind


def kinds_of(name: str) -> dict[str, Kind]:
    """All that a user does."""
    attempts = OF_ANYBODY | (IN_A_DEPARTMENT if name in OWN else IN_NO_DEPARTMENT)
    return (STORIES if name in OWN else {}) | {what: refused(*attempt) for what, attempt in attempts.items()}
