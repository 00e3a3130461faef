"""The answers of OpenAI's chat completions and models, whole or as a stream of events.  Pure.

A client of that API gets what it expects: the required members, in our form, whatever the model's own server sent.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

CREATED = 1_795_478_400
"""The creation time in every model's entry (2026-11-24), in seconds since the epoch."""
PIECE = 400
"""Characters in one event of a stream."""

Finish = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of a request and of its answer, as the model's server counts them."""

    prompt: int
    completion: int

    @property
    def total(self) -> int:
        return self.prompt + self.completion

    def as_json(self) -> dict[str, int]:
        """Return it as OpenAI's clients read it."""
        return {"prompt_tokens": self.prompt, "completion_tokens": self.completion, "total_tokens": self.total}


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's whole answer."""

    content: str | None
    calls: tuple[dict[str, Any], ...] = ()
    """Each with `id`, `type` and `function`."""
    refusal: str | None = None
    finish: Finish = "stop"
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The common members of all parts of one answer."""

    number: str
    """The last part of the answer's id."""
    created: int
    """When the answer was given, in seconds since the epoch."""
    model: str

    def whole(self, reply: Reply) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": reply.content, "refusal": reply.refusal}
        if reply.calls:
            message["tool_calls"] = list(reply.calls)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish}
        usage = {"usage": reply.usage.as_json()} if reply.usage else {}
        return {**self._members("chat.completion"), "choices": [choice], **usage}

    def events(self, reply: Reply, *, with_usage: bool) -> str:
        """Return the answer as a stream of events (WHATWG HTML section 9.2), as OpenAI's clients read it.

        The whole answer is there before the first event, because it is checked as a whole.
        """
        parts: list[tuple[dict[str, Any], Finish | None]] = [(delta, None) for delta in _deltas(reply)]
        events = [
            self._event([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}])
            for delta, finish in (*parts, ({}, reply.finish))
        ]
        if with_usage and reply.usage:
            events.append(self._event([], usage=reply.usage.as_json()))
        return "".join([*events, "data: [DONE]\n\n"])

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> str:
        return f"data: {json.dumps({**self._members('chat.completion.chunk'), 'choices': choices, **more})}\n\n"

    def _members(self, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{self.number}", "object": kind, "created": self.created, "model": self.model}


def _deltas(reply: Reply) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": None if reply.content is None else ""}
    for start in range(0, len(reply.content or ""), PIECE):
        yield {"content": (reply.content or "")[start : start + PIECE]}
    if reply.refusal:
        yield {"refusal": reply.refusal}
    for index, call in enumerate(reply.calls):
        yield {"tool_calls": [{"index": index, **call}]}


def model_entry(name: str) -> dict[str, Any]:
    """Return a model's entry in the list of models."""
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "this deployment"}
