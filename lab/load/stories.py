"""What a user does, and what must come of it: tasks of all kinds, and attempts that have to be refused."""

import json
import re
from functools import partial
from typing import Any

import httpx

from demo.intruder import User, answer_to
from demo.refusals import ATTEMPTS, BY_NAME, PARTIES, Try
from lab.load.users import Kind
from local.manual_steps import REQUEST

READING = "Summarise the incident reports of my department."
ASKING = "What do we know about the leaked key?"
OWN = {"alice": "pager storm", "bob": "invoice paid twice"}
OTHERS = {"alice": ("invoice", "Revenue"), "bob": ("pager storm", "static key", "queue overflow", "certificate")}
"""What nobody else's answer may ever say."""


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
    answer = await user.send(None, "orchestrator", "/plan", user.t0, json={"request": REQUEST})
    agents = [step["agent"] for step in answer.json()] if answer.status_code == 200 else []
    return "" if agents == ["agent/reader", "agent/writer"] else f"{answer.status_code}: {answer.text}"


async def _task(user: User, request: str, **more: Any) -> httpx.Response:
    return await user.send(None, "orchestrator", "/tasks", user.t0, json={"request": request}, **more)


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

BY_ANYBODY = ("a stranger", "a user")
"""Who needs no token but a user's own."""
THROUGH_THE_WRITER = {
    "files a summary",
    "follows a task",
    "the reader asks for a token for the writer",
    "the writer exchanges a token meant for the reader",
}
"""What ends otherwise while the writer is suspended."""


def refused(who: str, attempt: Try) -> Kind:
    """An attempt as something that a user does: any other answer is wrong."""

    async def kind(user: User) -> str:
        answer = await answer_to(attempt.ask(user, PARTIES.get(who)))
        return "" if answer == attempt.expected else f"expected {attempt.expected}, answered {answer}"

    return kind


def kinds_of(name: str) -> dict[str, Kind]:
    """All that a user does."""
    tried = [(who, one) for who in (ATTEMPTS if name in OWN else BY_ANYBODY) for one in ATTEMPTS[who]]
    tried += [BY_NAME[name]] if name in BY_NAME else []
    return (STORIES if name in OWN else {}) | {f"{who} {one.what}": refused(who, one) for who, one in tried}
