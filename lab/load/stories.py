"""What users do, and the expected answers: tasks of all kinds, and attempts that have to be refused."""

import json
import re
from functools import partial
from typing import Any

import httpx

from demo.catalogue import ATTEMPTS, BY_NAME, PARTIES
from demo.intruder import User, answer_to
from demo.ways import Try
from lab.load.users import Kind
from start.manual_steps import REQUEST

READING = "Summarise the incident reports of my department."
ASKING = "What do we know about the leaked key?"
OWN = {"alice": "pager storm", "bob": "invoice paid twice"}
OTHERS = {"alice": ("invoice", "Revenue"), "bob": ("pager storm", "static key", "queue overflow", "certificate")}
"""What must not be in the answers to this user."""


# --- tasks ------------------------------------------------------------------------------------------------------------


async def run_whole_task(user: User, **headers: str) -> str:
    """The whole task, with the poisoned report.  The draft is deleted again, because a user may have only a few."""
    answer = await _task(user, REQUEST, headers=headers)
    if found := find_fault(user, answer, "agent/writer", OWN[user.name]):
        return found
    filed = " ".join(re.findall(r"Filed as (DRAFT-[0-9a-f]{8})", answer.text)[-1:])
    return find_fault(user, await _task(user, f"Delete {filed}."), "agent/writer", f"Deleted {filed}.")


async def run_first_half(user: User) -> str:
    """The first half of that task."""
    return find_fault(user, await _task(user, READING), "agent/reader", OWN[user.name])


async def ask_question(user: User) -> str:
    """A question to which only one department has the answer."""
    own = "leaked key" if user.name == "alice" else "No document was found."
    return find_fault(user, await _task(user, ASKING), "agent/reader", own)


async def ask_for_plan(user: User) -> str:
    """The plan for a task."""
    answer = await user.send(None, "orchestrator", "/plan", user.t0, json={"request": REQUEST})
    agents = [step["agent"] for step in answer.json()["steps"]] if answer.status_code == 200 else []
    return "" if agents == ["agent/reader", "agent/writer"] else f"{answer.status_code}: {answer.text}"


async def _task(user: User, request: str, **more: Any) -> httpx.Response:
    return await user.send(None, "orchestrator", "/tasks", user.t0, json={"request": request}, **more)


def find_fault(user: User, answer: httpx.Response, last: str, own: str) -> str:
    """Return what is wrong with the answer to a task, or an empty text."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        *events, _receipts = (json.loads(line[5:]) for line in answer.text.splitlines() if line.startswith("data:"))
    else:
        events = [*answer.json().get("steps", ()), answer.json().get("result")]
    traces = {event["trace_id"] for event in events if event}
    if answer.status_code != 200 or not traces or events[-1]["event"] != "finished" or events[-2]["agent"] != last:
        return f"{answer.status_code}: {answer.text}"
    if len(traces) != 1 or traces & user.traces:
        return f"the trace of another task: {traces}"
    user.traces |= traces
    if found := [text for text in OTHERS[user.name] if text in answer.text]:
        return f"{user.name} was shown {found}"
    return "" if own in answer.text else f"{user.name} was not shown {own}"


STORIES: dict[str, Kind] = {
    "files a summary": run_whole_task,
    "reads a summary": run_first_half,
    "asks about one report": ask_question,
    "follows a task": partial(run_whole_task, accept="text/event-stream"),
    "asks for the plan": ask_for_plan,
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
"""The attempts with other answers while the writer is suspended."""


def refused_kind(who: str, attempt: Try) -> Kind:
    """Return an attempt as a kind of action, for which any other answer is wrong."""

    async def kind(user: User) -> str:
        answer = await answer_to(attempt.ask(user, PARTIES.get(who)))
        return "" if answer == attempt.expected else f"expected {attempt.expected}, answered {answer}"

    return kind


def kinds_of(name: str) -> dict[str, Kind]:
    """Return all actions of a user, without those that need olga, who signs in elsewhere."""
    tried = [(who, one) for who in (ATTEMPTS if name in OWN else BY_ANYBODY) for one in ATTEMPTS[who]]
    tried = [(who, one) for who, one in tried if "olga" not in one.what]
    tried += [BY_NAME[name]] if name in BY_NAME else []
    return (STORIES if name in OWN else {}) | {f"{who} {one.what}": refused_kind(who, one) for who, one in tried}
