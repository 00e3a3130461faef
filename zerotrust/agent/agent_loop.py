"""The loop of an agent: a model chooses the tools to call, and the agent calls them with an exchanged token.

The agent obeys the model.  That is deliberate: the rights of the token limit a manipulated model, and the agent's
judgement does not.  The loop bounds the cost of a task, and repeats no act that succeeded.
"""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic_core import to_json

from zerotrust.adapters.answer import TASK_LIFE, Answer, Outage, PeerError, outage_of
from zerotrust.agent.model_client import Call, ModelClient, Reply
from zerotrust.agent.tool_client import Offer, ToolClient
from zerotrust.context import current_principal
from zerotrust.decision import Denied
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.limits.answers import REPORTING_MARGIN
from zerotrust.limits.bounded import cut

MAX_TURNS = 16
"""Replies of a model after which a task is given up: the longest example here takes five."""
MAX_CALLS = 64
"""Tool calls in one task; any more are refused, and the model gets the refusal."""
SECONDS_TO_REPORT = 5
"""Seconds before the end of its caller's token at which a task ends, so that the caller learns what was done."""
MAX_SECONDS = TASK_LIFE - SECONDS_TO_REPORT
"""Seconds for one task; fewer if its caller's token ends earlier."""
MAX_CONVERSATION = 384 * 1024
"""Bytes of all messages of a task as JSON, with room for several documents of the largest size.

The routes of the model and of the next agent accept this much (`routes.py`)."""
LONGEST, LONGEST_FAILURE = 100, 1000
"""Characters of a call, and of its result, in the account; and of a failed call."""
TOO_LONG, TOO_MANY = "the answer is too long for this task", "too many calls for one task"
DONE = "not called again: this call has been made, with success"

NO_END = "the model came to no end"
NO_TIME = "the task took longer than one task may take"
NO_ROOM = "more was said than one task has room for"

TokenSource = Callable[[], Awaitable[ExchangedToken]]
"""Returns a token that outlasts the next call: `service.exchange`, which keeps one until its end.  Raises `Denied`."""

_NOT_IN_A_NAME = re.compile(r"[^\w-]")


async def run_tool_loop(
    task: str, *, model: ModelClient, model_token: TokenSource, tools: ToolClient, tool_token: TokenSource
) -> Answer:
    """Let the model work on `task` with the tools until it answers in words.

    `model_token` returns a token for the model, `tool_token` one for the tools; each is asked before each call, because
    a model may take longer than a token lives.  The task ends before the current caller's token does.
    Before the first call, raises `PeerError`, or `Denied` if there is no token or the tools are not as approved.  The
    answer reports a later error, with what was done by then.
    """
    messages: list[dict[str, Any]] = [{"role": "user", "content": task}]  # control: messages-of-one-task
    left = current_principal().expires_at - time.time() - SECONDS_TO_REPORT
    until = asyncio.get_running_loop().time() + min(MAX_SECONDS, left)
    first, _ = await asyncio.gather(tool_token(), model_token())  # both at once, if they have to be exchanged
    talk = _Talk(messages, await tools.list_tools(first), tools, tool_token, until)
    try:
        for _ in range(MAX_TURNS):
            reply = await talk.reply(model, model_token)
            if reply.stopped:  # control: nothing-done-for-half-a-reply
                return talk.account(broken=reply.stopped)
            if not reply.calls:
                return talk.account(text=reply.text)
            await talk.do(reply)
    except PeerError as error:
        return talk.account(broken=error.message, outage=error.outage)
    return talk.account(broken=NO_END)


class _Talk:
    """The messages of one task, within bounds, and the account of its calls."""

    def __init__(
        self, messages: list[dict[str, Any]], offer: Offer, tools: ToolClient, tool_token: TokenSource, until: float
    ) -> None:
        """Continue `messages`, and append to them, until a time of the event loop.

        Raises `PeerError` if they are too large already.
        """
        self._messages, self._offer, self._tools, self._tool_token = messages, offer, tools, tool_token
        self._until, self._room, self._calls = until, MAX_CONVERSATION, 0
        self._succeeded = set[str]()
        self._done, self._failed, self._unclear = list[str](), list[str](), list[str]()
        for message in messages:
            self._reserve(message)

    def account(self, *, text: str = "", broken: str = "", outage: Outage = "") -> Answer:
        undone = (f"{self._calls - MAX_CALLS} more: {TOO_MANY}",) if self._calls > MAX_CALLS else ()
        done, failed, unclear = tuple(self._done), (*self._failed, *undone), tuple(self._unclear)
        return Answer(text=text, done=done, failed=failed, unclear=unclear, broken=broken, outage=outage)

    async def reply(self, model: ModelClient, token: TokenSource) -> Reply:
        """Return the model's next reply, which is added to the messages.

        Raises `PeerError`, also if no room or time is left for it.
        """
        try:
            async with asyncio.timeout_at(self._until):
                reply = await model.reply(self._messages, self._offer.tools, await _get_token(token, model.name))
        except TimeoutError as error:
            raise PeerError(NO_TIME) from error
        calls = [
            {"id": own, "type": "function", "function": {"name": _plain(call.name), "arguments": _json(call)}}
            for own, call in self._with_ids(reply)
        ]
        self._add({"role": "assistant", "content": reply.text or None, "tool_calls": calls})
        return reply

    async def do(self, reply: Reply) -> None:
        """Make the calls of a reply, in their order, and add their results to the messages.

        Raises `PeerError` if the tool is unavailable, and if no room or time is left.
        """
        for own, call in self._with_ids(reply):
            await self._call(own, call)

    def _with_ids(self, reply: Reply) -> list[tuple[str, Call]]:
        """Return the calls of a reply, with ids of ours: models leave them out, and use one twice."""
        return [(f"call-{self._calls + number}", call) for number, call in enumerate(reply.calls, 1)]

    def _add(self, message: dict[str, Any]) -> None:
        """Add a message.  Raises `PeerError` if there is no room for it."""
        self._reserve(message)
        self._messages.append(message)

    def _reserve(self, message: dict[str, Any]) -> None:
        self._room -= _size(message)
        if self._room < 0:
            raise PeerError(NO_ROOM)

    def _answer(self, own: str, content: str) -> None:
        self._add({"role": "tool", "tool_call_id": own, "content": content})

    async def _call(self, own: str, call: Call) -> None:
        """Make one call if it may be made, and add the result to the messages."""
        self._calls += 1
        if self._calls > MAX_CALLS:  # control: tool-calls-bounded
            self._answer(own, f"refused ({TOO_MANY})")
            return
        what = f"{call.name} {json.dumps(call.arguments)}"
        if wrong := self._objection(call):
            self._failed.append(_failure(what, wrong))
            self._answer(own, wrong)
            return
        try:
            token = await _get_token(self._tool_token, self._tools.name)
            if asyncio.get_running_loop().time() >= self._until:
                raise PeerError(NO_TIME)
            said, did = await self._await_result(self._tools.call(call.name, call.arguments, token))
        except PeerError as error:
            (self._unclear if error.unclear else self._failed).append(_failure(what, error.message))
            raise
        if did:
            self._done.append(f"{cut(what, LONGEST)}: {cut(said, LONGEST)}")
            self._succeeded.add(_key(call))
        else:
            self._failed.append(_failure(what, said))
        if not did and call.name not in self._offer.names:
            said += f"; the tools are {', '.join(self._offer.names)}"
        if _size({"role": "tool", "tool_call_id": own, "content": said}) > self._room:  # control: task-text-bounded
            said = TOO_LONG
            self._failed.append(_failure(what, TOO_LONG))
        self._answer(own, said)

    async def _await_result(self, calling: Awaitable[tuple[str, bool]]) -> tuple[str, bool]:
        """Return the result of a call that has begun.  Raises `PeerError` shortly before the caller stops waiting."""
        try:
            async with asyncio.timeout_at(self._until + SECONDS_TO_REPORT - 2 * REPORTING_MARGIN):
                return await calling
        except TimeoutError as error:
            raise PeerError(f"{self._tools.name}: gave no answer in time", unclear=True, outage="late") from error

    def _objection(self, call: Call) -> str:
        """Return why a call is not made, if it is not.

        A call that changes something and has succeeded is not repeated.  A model that asks for it again has forgotten
        it, or was cut off, and the user wants one document, not two.  Only reading may bring something new.
        """
        if call.wrong:
            return call.wrong
        # control: nothing-done-twice
        return DONE if _key(call) in self._succeeded and call.name not in self._offer.read_only else ""


async def _get_token(token: TokenSource, party: str) -> ExchangedToken:
    """Return a token for the next call of a party.

    Raises `PeerError`, because `Denied` would lose the account of what was done.
    """
    try:
        return await token()
    except Denied as error:
        raise PeerError(f"{party}: refused ({error.public_reason})", outage=outage_of(error)) from error


def _key(call: Call) -> str:
    """Return a text that is the same for equal calls."""
    return f"{call.name} {json.dumps(call.arguments, sort_keys=True)}"


def _plain(name: str) -> str:
    """Return a tool's name as every model's server accepts it: some refuse a conversation with other characters."""
    return _NOT_IN_A_NAME.sub("_", name)


def _json(call: Call) -> str:
    return to_json(call.arguments).decode()


def _size(message: dict[str, Any]) -> int:
    """Return the bytes of a message as JSON, with the comma that follows it."""
    return len(to_json(message)) + 1


def _failure(what: str, cause: str) -> str:
    """Return a failed call with its cause; if both are too long, the call is cut, because the user needs the cause."""
    cause = cut(cause, LONGEST_FAILURE - LONGEST)
    return f"{cut(what, LONGEST_FAILURE - len(cause) - 2)}: {cause}"  # control: failure-keeps-cause
