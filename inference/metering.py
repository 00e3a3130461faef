"""What a call of the model costs in the budget of its transaction, also if it failed.  Pure.

The model's server counts tokens, and is believed within bounds that follow from the bytes of request and answer: it
may be compromised, or count nothing.
"""

from typing import Any

from inference.answer import Reply

BYTES_PER_TOKEN = 16
"""Bytes that count as at least one token; no tokenizer packs more text into one."""
UNCOUNTED = 4
"""Bytes for each token, where no server has counted."""
UNSAID = 16_384
"""Tokens beyond one for each byte: of a chat's template, and of a model that thinks without saying so."""


def tokens(asked: int, reply: Reply | None) -> int:
    """Return the tokens of a call.  `asked`: the bytes of the request; `reply`: None if the call failed."""
    size = asked + (_bytes(reply) if reply else 0)
    if not reply or not reply.usage:
        return size // UNCOUNTED
    most = min(reply.usage.total, size + UNSAID)  # control: model-tokens-at-most
    return max(most, size // BYTES_PER_TOKEN)  # control: model-tokens-at-least


def _bytes(reply: Reply) -> int:
    """Return the bytes of what a reply says, the calls of tools included."""
    functions: list[dict[str, Any]] = [call["function"] for call in reply.calls]
    called = [function[name] for function in functions for name in ("name", "arguments")]
    return sum(len((text or "").encode()) for text in (reply.content, reply.refusal, *called))
