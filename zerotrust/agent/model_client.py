"""Calls a model behind an OpenAI-compatible API, and reads its replies.

A real model calls tools that do not exist, writes arguments that are not JSON, refuses, and stops in mid-sentence.
None of that is its party's error.  A bad call of a tool invalidates that call and not the whole reply.
"""

from dataclasses import dataclass
from typing import Any

import httpx

from zerotrust.adapters.answer import LONGEST_REFUSAL, NONSENSE, PeerError, no_answer_error, outage_of, refusal_error
from zerotrust.adapters.model_choice import requested_model
from zerotrust.decision import Denied
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.limits.bounded import cut
from zerotrust.limits.strict_json import strict_object
from zerotrust.service import Service
from zerotrust.transport.egress import calling_with

LONGEST_NAME = 128
"""Characters of a tool's name (MCP 2026-07-28); it is sent in a header, too."""

EMPTY = "the model gave an empty answer"
_STOPPED = {
    "length": "the model's answer was cut off at its limit of tokens",
    "content_filter": "the model's answer was withheld by a content filter",
}
"""The meaning of each `finish_reason` that is not the end of an answer."""
_IN_WORDS = {
    "context_length_exceeded": "the conversation is too long for this model",
    "budget_spent": "this sign-in has used up its budget for the model",
    "model_not_found": "there is no such model",
    "no_default_model": "no model was named, and none is set there as the default (ZT_MODEL)",
}
"""Codes of the API's own errors, in words for a user."""


@dataclass(frozen=True, slots=True)
class Call:
    """A model's call of a tool."""

    name: str
    arguments: dict[str, Any]
    wrong: str = ""
    """Why this call cannot be made; empty if it can."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's message: text, or the tools to call first."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    stopped: str = ""
    """Why the reply is not whole; empty if it is.  No tool is called for a reply that is not."""


class ModelClient:
    """A model behind an OpenAI-compatible API."""

    def __init__(self, service: Service, name: str) -> None:
        self._service, self.name = service, name

    async def reply(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]], token: ExchangedToken) -> Reply:
        """Return the next message of the model that the task asks for.  Raises `PeerError`, also for an invalid one."""
        body = {"model": requested_model(), "messages": messages, "tools": tools}
        url = f"{self._service.addresses[self.name]}/v1/chat/completions"
        try:
            with calling_with(token):
                answer = await self._service.egress.http.post(url, json=body)
            answer.raise_for_status()
            return read_reply(answer.content)
        except httpx.HTTPStatusError as error:
            raise _refusal_error(self.name, error.response) from error
        except httpx.TransportError as error:
            raise no_answer_error(self.name, error) from error
        except Denied as error:
            raise PeerError(f"{self.name}: {error.public_reason}", outage=outage_of(error)) from error
        except (ValueError, LookupError, TypeError) as error:
            raise PeerError(f"{self.name}: {NONSENSE}", outage="no_answer") from error


def read_reply(answer: bytes) -> Reply:
    """Return what an answer of the API says.  Raises `ValueError`, `LookupError` or `TypeError` if it says nothing."""
    body = strict_object(answer)
    choice = body["choices"][0]
    message: dict[str, Any] = choice["message"]
    if message["role"] != "assistant":
        raise TypeError("no message of a model")
    text, wanted, refusal = message.get("content"), message.get("tool_calls"), message.get("refusal")
    if not isinstance(text, str | None) or not isinstance(wanted, list | None):
        raise TypeError("neither text nor calls")
    calls = tuple(_call(entry) for entry in wanted or ())
    stopped = _STOPPED.get(str(choice.get("finish_reason")), "")
    if refusal:
        stopped = f"the model refused: {cut(str(refusal), LONGEST_REFUSAL)}"
    elif not stopped and not calls and not (text or "").strip():
        stopped = EMPTY
    return Reply(text or "", calls, stopped)


def _call(entry: Any) -> Call:
    function = entry.get("function") if isinstance(entry, dict) else None
    function = function if isinstance(function, dict) else {}
    name, given = function.get("name"), function.get("arguments")
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        return Call("?", {}, "the call has no name of a tool")
    if isinstance(given, dict):  # as some servers send them
        return Call(name, given)
    try:
        return Call(name, strict_object((given or "{}").encode()))  # models send an empty text if there are none
    except (ValueError, AttributeError):
        return Call(name, {}, "the arguments are not a JSON object")


def _refusal_error(party: str, answer: httpx.Response) -> PeerError:
    """Return the error for a refusal, in words that a user understands."""
    error = refusal_error(party, answer, acts=False)
    try:
        words = _IN_WORDS[answer.json()["error"]["code"]]
    except (ValueError, LookupError, TypeError):
        return error
    return PeerError(f"{error.message}: {words}", outage=error.outage)
