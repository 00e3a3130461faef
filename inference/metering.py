"""What a call of the model cost in the budget of its transaction, also if it failed or the client left."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from inference.answer import Piece, Reply
from inference.chat import Conversation

PER_TOKEN = 4
"""Characters for each token, where no server has counted."""


def tokens(conversation: Conversation, reply: Reply | None) -> int:
    """Return the tokens of a call: as counted by the model's server, or by length."""
    if reply and reply.usage:
        return reply.usage.total
    return (conversation.length + (len(reply.content or "") if reply else 0)) // PER_TOKEN


async def metered(
    source: AsyncGenerator[Piece, None], conversation: Conversation, spend: Callable[[int], None]
) -> AsyncGenerator[Piece, None]:
    """Yield what `source` yields, and spend what it cost when it ends, however it ends."""
    said, counted = 0, None
    try:
        async with aclosing(source):
            async for piece in source:
                said += len(piece.delta.get("content") or "")
                counted = piece.usage or counted
                yield piece
    finally:
        spend(counted.total if counted else (conversation.length + said) // PER_TOKEN)
