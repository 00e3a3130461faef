"""What a call of the model costs in the budget of its transaction, also if it failed or the client left.  Pure.

The model's server counts tokens, and is believed within bounds that follow from the bytes of request and answer: it
may be compromised, or count nothing; and a client may leave before it is told.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from inference.answer import Piece, Reply, Usage, pieces

BYTES_PER_TOKEN = 16
"""Bytes that count as at least one token; no tokenizer packs more text into one."""
UNCOUNTED = 4
"""Bytes for each token, where no server has counted."""
UNSAID = 16_384
"""Tokens beyond one for each byte: of a chat's template, and of a model that thinks without saying so."""


def tokens(asked: int, reply: Reply | None) -> int:
    """Return the tokens of a call.  `asked`: the bytes of the request."""
    return _tokens(asked + sum(map(_bytes, pieces(reply))), reply.usage) if reply else _tokens(asked, None)


async def metered(
    source: AsyncGenerator[Piece, None], asked: int, spend: Callable[[int], None]
) -> AsyncGenerator[Piece, None]:
    """Yield what `source` yields, and spend what it cost when it ends, however it ends."""
    said, counted = 0, None
    try:
        async with aclosing(source):
            async for piece in source:
                said += _bytes(piece)
                counted = piece.usage or counted
                yield piece
    finally:
        spend(_tokens(asked + said, counted))


def _tokens(size: int, counted: Usage | None) -> int:
    if counted is None:
        return size // UNCOUNTED
    most = min(counted.total, size + UNSAID)  # control: model-tokens-at-most
    return max(most, size // BYTES_PER_TOKEN)  # control: model-tokens-at-least


def _bytes(piece: Piece) -> int:
    """Return the bytes of what a piece says, the calls of tools included."""
    functions: list[dict[str, Any]] = [call.get("function", {}) for call in piece.delta.get("tool_calls", ())]
    texts = [piece.delta.get("content"), piece.delta.get("refusal")]
    texts += [function.get(name) for function in functions for name in ("name", "arguments")]
    return sum(len((text or "").encode()) for text in texts)
