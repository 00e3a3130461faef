"""What a user does, and what must come of it.  Each kind returns what was wrong, or nothing."""

import asyncio
import json
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx

from demo.refusals import NO_CONNECTION, TASK, Intruder, answer_to, end_of
from local.manual_steps import REQUEST

MARGIN = 20
"""Seconds before its end at which a token is no longer used: whatever it is used for has to be over by then."""
READING = "Summarise the incident reports of my department."
ASKING = "What do we know about the leaked key?"
OWN = {"alice": "pager storm", "bob": "invoice paid twice"}
OTHERS = {"alice": ("invoice", "Revenue"), "bob": ("pager storm", "static key", "queue overflow", "certificate")}
"""What nobody else's answer may ever say."""
TOO_BIG = 1 << 20


@dataclass(slots=True)
class User:
    """One user with a session of its own, and what an intruder could do with what passes through."""

    name: str
    intruder: Intruder
    chance: random.Random
    signing_in: asyncio.Lock
    """One for all sessions of an account: they sign in one after the other."""
    traces: set[str] = field(default_factory=set)
    _held: dict[str, str] = field(default_factory=dict, repr=False)

    async def t0(self) -> str:
        """The user's own token; signs in again when it is about to end."""

        async def get() -> str:
            async with self.signing_in:
                return await self.intruder.login(self.name)

        return await self._kept("T0", get)

    async def t1(self) -> str:
        """What the orchestrator holds for the reader."""

        async def get() -> str:
            scopes = "agent.invoke tool.read inference.run"
            return await self.intruder.token("orchestrator", await self.t0(), "agent/reader", scopes)

        return await self._kept("T1", get)

    async def t2(self) -> str:
        """What the reader holds for the tool."""

        async def get() -> str:
            return await self.intruder.token("agent/reader", await self.t1(), "tool/documents", "tool.read")

        return await self._kept("T2", get)

    async def ended(self) -> str:
        """A token for the tool that was good for a second, and is no more."""
        if "ended" not in self._held:
            self._held["ended"] = brief = await self.intruder.token(
                "agent/reader", await self.t1(), "tool/documents", "tool.read", lifetime=1
            )
            await asyncio.sleep(max(0.0, end_of(brief) - time.time()))
        return self._held["ended"]

    async def _kept(self, name: str, get: Callable[[], Awaitable[str]]) -> str:
        if name not in self._held or end_of(self._held[name]) < time.time() + MARGIN:
            self._held[name] = await get()
        return self._held[name]


Kind = Callable[[User], Awaitable[str]]


async def files(user: User) -> str:
    """The whole story, with the poisoned report in it.  The draft is deleted again: nobody has room for all of them."""
    answer = await _asked(user, REQUEST)
    return _told_wrong(user, answer, "agent/writer", OWN[user.name]) or await _deleted(user, answer.text)


async def _deleted(user: User, answer: str) -> str:
    filed = re.findall(r"Filed as (DRAFT-[0-9a-f]{8})", answer)[-1:]
    answered = await _asked(user, f"Delete {' '.join(filed)}.")
    return _told_wrong(user, answered, "agent/writer", f"Deleted {' '.join(filed)}.")


async def reads(user: User) -> str:
    """The same without the second half."""
    return await _task(user, READING, "agent/reader", OWN[user.name])


async def asks(user: User) -> str:
    """A question that only one department can answer."""
    return await _task(user, ASKING, "agent/reader", "leaked key" if user.name == "alice" else "No document was found.")


async def _task(user: User, request: str, last: str, told: str) -> str:
    return _told_wrong(user, await _asked(user, request), last, told)


async def _asked(user: User, request: str) -> httpx.Response:
    return await user.intruder.post(None, "orchestrator", "/tasks", await user.t0(), json={"request": request})


def _told_wrong(user: User, answer: httpx.Response, last: str, told: str) -> str:
    return wrong(user, answer, [*answer.json().get("steps", ()), answer.json().get("result")], last, told)


async def streams(user: User) -> str:
    """The story as it happens, event by event."""
    answer = await user.intruder.post(
        None,
        "orchestrator",
        "/tasks",
        await user.t0(),
        json={"request": REQUEST},
        headers={"accept": "text/event-stream"},
    )
    told = [json.loads(line[5:]) for line in answer.text.splitlines() if line.startswith("data:")]
    return wrong(user, answer, told, "agent/writer", OWN[user.name]) or await _deleted(user, answer.text)


def wrong(user: User, answer: httpx.Response, told: list[dict[str, str]], last: str, own: str) -> str:
    """What is wrong with the answer to a task: its last agent, and something that its user has to find in it."""
    traces = {step["trace_id"] for step in told if step}
    if answer.status_code != 200 or not traces or told[-1]["event"] != "finished" or told[-2]["agent"] != last:
        return f"{answer.status_code}: {answer.text}"
    if len(traces) != 1 or traces & user.traces:
        return f"the trace of another task: {traces}"
    user.traces |= traces
    if found := [text for text in OTHERS[user.name] if text in answer.text]:
        return f"{user.name} was told about {found}"
    return "" if own in answer.text else f"{user.name} was not told about {own}"


async def plans(user: User) -> str:
    """What would be done."""
    answer = await user.intruder.post(None, "orchestrator", "/plan", await user.t0(), json={"request": REQUEST})
    agents = [step["agent"] for step in answer.json()] if answer.status_code == 200 else []
    return "" if agents == ["agent/reader", "agent/writer"] else f"{answer.status_code}: {answer.text}"


STORIES: dict[str, Kind] = {
    "files a summary": files,
    "reads a summary": reads,
    "asks about one report": asks,
    "follows a task": streams,
    "asks for the plan": plans,
}


async def no_token(user: User) -> httpx.Response:  # noqa: D103 - its name below says it, here as in what follows
    return await user.intruder.post(None, "orchestrator", "/tasks", None, json=TASK)


async def forged(user: User) -> httpx.Response:  # noqa: D103
    head, _, signature = (await user.t0()).rpartition(".")
    return await user.intruder.post(None, "orchestrator", "/tasks", f"{head}.{signature[::-1]}", json=TASK)


async def elsewhere(user: User) -> httpx.Response:  # noqa: D103
    return await user.intruder.call_tool(None, await user.t0(), "read", id="ENG-101")


async def shown_to_another(user: User) -> httpx.Response:  # noqa: D103
    return await user.intruder.post("orchestrator", "agent/writer", "/a2a", await user.t1(), json={})


async def stolen_by_a_workload(user: User) -> httpx.Response:  # noqa: D103
    return await user.intruder.call_tool("agent/writer", await user.t2(), "read", id="ENG-101")


async def stolen_by_a_script(user: User) -> httpx.Response:  # noqa: D103
    return await user.intruder.call_tool(None, await user.t2(), "read", id="ENG-101")


async def stolen_at_the_front_door(user: User) -> httpx.Response:  # noqa: D103
    return await user.intruder.post("agent/reader", "orchestrator", "/tasks", await user.t0(), json=TASK)


async def too_late(user: User) -> httpx.Response:  # noqa: D103
    return await user.intruder.call_tool("agent/reader", await user.ended(), "read", id="ENG-101")


async def own_pages(user: User) -> httpx.Response:  # noqa: D103
    return await user.intruder.get(None, "orchestrator", "/openapi.json", await user.t0())


async def unknown_tool(user: User) -> httpx.Response:  # noqa: D103
    return await user.intruder.call_tool("agent/reader", await user.t2(), "destroy", id="ENG-101")


async def writing_reader(user: User) -> httpx.Response:  # noqa: D103
    return await user.intruder.call_tool("agent/reader", await user.t2(), "create", title="t", text="x")


async def others_document(user: User) -> httpx.Response:  # noqa: D103
    other = {"alice": "FIN-201", "bob": "ENG-101"}[user.name]
    return await user.intruder.call_tool("agent/reader", await user.t2(), "read", id=other)


async def too_big(user: User) -> httpx.Response:  # noqa: D103
    return await user.intruder.post(None, "orchestrator", "/tasks", await user.t0(), json={"request": "x" * TOO_BIG})


async def broken(user: User) -> httpx.Response:  # noqa: D103
    body = user.chance.choice([b'{"request"', b'{"request":"a","request":"b"}', b"\xff\xfe{\x00", b"[" * 9000])
    return await user.intruder.post(None, "orchestrator", "/tasks", await user.t0(), content=body)


async def others_exchange(user: User) -> httpx.Response:  # noqa: D103
    return await user.intruder.exchange("agent/writer", await user.t1(), "tool/documents", "tool.read")


async def nobodys_task(user: User) -> httpx.Response:  # noqa: D103
    return await user.intruder.post(None, "orchestrator", "/tasks", await user.t0(), json=TASK)


Refusal = tuple[Callable[[User], Awaitable[httpx.Response]], str]

AT_THE_DOOR: dict[str, Refusal] = {
    "no token": (no_token, "401 no_token"),
    "a forged token": (forged, "401 not_verified"),
    "a token taken elsewhere": (elsewhere, NO_CONNECTION),
    "a user's token, stolen by a workload": (stolen_at_the_front_door, "401 not_bound"),
    "the API's own pages": (own_pages, "403 no_permission_for_route"),
}
"""What anybody tries, eve as well."""

FURTHER_IN: dict[str, Refusal] = {
    "a token shown to another": (shown_to_another, "401 audience_mismatch"),
    "a token stolen by a workload": (stolen_by_a_workload, "401 not_bound"),
    "a token stolen by a script": (stolen_by_a_script, NO_CONNECTION),
    "a token too late": (too_late, "401 expired"),
    "an unknown tool": (unknown_tool, "403 no_permission_for_route"),
    "a reader that writes": (writing_reader, "403 scope_missing"),
    "another's document": (others_document, "200 tool error"),
    "too big a body": (too_big, "413 body_too_large"),
    "a broken body": (broken, "400 malformed_body"),
    "another's token, exchanged": (others_exchange, "403 access_denied"),
}
IN_NO_DEPARTMENT: dict[str, Refusal] = {"a task of eve's": (nobodys_task, "403 policy_denied")}


THROUGH_THE_WRITER = {"files a summary", "follows a task", "another's token, exchanged"}
"""What ends otherwise while the writer is suspended."""


def refused(attempt: Refusal) -> Kind:
    """An attempt as a kind: anything but the answer it was told to get is wrong."""
    tried, told = attempt

    async def kind(user: User) -> str:
        answer = await answer_to(tried(user))
        return "" if answer == told else f"told {told}, answered {answer}"

    return kind


def kinds_of(name: str) -> dict[str, Kind]:
    """All that a user does."""
    attempts = AT_THE_DOOR | (IN_NO_DEPARTMENT if name == "eve" else FURTHER_IN)
    return (STORIES if name in OWN else {}) | {what: refused(attempt) for what, attempt in attempts.items()}
