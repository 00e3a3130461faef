"""The answers of OpenAI's chat completions and models, whole or as a stream of events.  Pure.

A client of that API gets what it expects: the required members, and every piece in the form of ours, whatever the
model's own server sent.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from zerotrust.decision import Denied

CREATED = 1_795_478_400
"""The time that every model is said to be created at (2026-11-24), in seconds since the epoch."""
PIECE = 400
"""Characters in one event of a stream of an answer that was complete before."""

Finish = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of a request and of its answer, as the model's server counts them."""

    prompt: int
    completion: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.prompt + self.completion

    def shown(self) -> dict[str, int]:
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
class Piece:
    """A part of a model's answer."""

    delta: dict[str, Any] = field(default_factory=dict)
    finish: Finish | None = None
    usage: Usage | None = None


def pieces(reply: Reply) -> Iterator[Piece]:
    """Yield the pieces of a whole answer."""
    yield Piece({"role": "assistant", "content": None if reply.content is None else ""})
    for start in range(0, len(reply.content or ""), PIECE):
        yield Piece({"content": (reply.content or "")[start : start + PIECE]})
    if reply.refusal:
        yield Piece({"refusal": reply.refusal})
    for index, call in enumerate(reply.calls):
        yield Piece({"tool_calls": [{"index": index, **call}]})
    yield Piece(finish=reply.finish, usage=reply.usage)


@dataclass(frozen=True, slots=True)
class Head:
    """What all parts of one answer have in common."""

    number: str
    """A part of its id."""
    created: int
    """When it was given, in seconds since the epoch."""
    model: str

    def whole(self, reply: Reply) -> dict[str, Any]:
        """Return the answer as one object."""
        message: dict[str, Any] = {"role": "assistant", "content": reply.content, "refusal": reply.refusal}
        if reply.calls:
            message["tool_calls"] = list(reply.calls)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish}
        usage = {"usage": reply.usage.shown()} if reply.usage else {}
        return {**self._members("chat.completion"), "choices": [choice], **usage}

    async def events(self, given: AsyncIterator[Piece], *, with_usage: bool) -> AsyncGenerator[str, None]:
        """Yield the answer as a stream of events (WHATWG HTML section 9.2), as OpenAI's clients read it.

        If the model fails on the way, the last event is an error, which such a client raises.
        """
        usage = None
        try:
            async for piece in given:
                usage = piece.usage or usage
                if piece.delta or piece.finish:
                    choice = {"index": 0, "delta": piece.delta, "logprobs": None, "finish_reason": piece.finish}
                    yield self._event([choice])
        except Denied as refusal:
            told = {"message": refusal.advice or str(refusal.public_reason), "type": refusal.error, "param": None}
            yield _data({"error": told | {"code": str(refusal.public_reason)}})
            return
        if with_usage and usage:
            yield self._event([], usage=usage.shown())
        yield "data: [DONE]\n\n"

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> str:
        return _data({**self._members("chat.completion.chunk"), "choices": choices, **more})

    def _members(self, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{self.number}", "object": kind, "created": self.created, "model": self.model}


def _data(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content)}\n\n"


def model_entry(name: str) -> dict[str, Any]:
    """Return a model's entry in the list of models."""
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "this deployment"}
