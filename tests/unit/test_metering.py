"""What a call of the model costs, whatever its server says, and however it ends."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from inference.answer import Piece, Reply, Usage
from inference.metering import BYTES_PER_TOKEN, UNCOUNTED, UNSAID, metered, tokens

SIZE = 32_000
CALL = {"id": "c1", "type": "function", "function": {"name": "x" * 100, "arguments": "é" * 450}}
HALF = SIZE - 1_000
"""Bytes of a request, the rest of whose size is that call."""


@pytest.mark.parametrize(
    ("counted", "cost"),
    [
        (None, SIZE // UNCOUNTED),
        (0, SIZE // BYTES_PER_TOKEN),
        (SIZE // UNCOUNTED, SIZE // UNCOUNTED),
        (SIZE + UNSAID, SIZE + UNSAID),
        (100_000_000, SIZE + UNSAID),
    ],
)
async def test_a_server_is_believed_within_bounds(counted: int | None, cost: int) -> None:
    usage = None if counted is None else Usage(counted, 0)
    assert tokens(HALF, Reply(None, (CALL,), usage=usage)) == cost

    async def source() -> AsyncGenerator[Piece, None]:
        yield Piece({"role": "assistant", "content": None})
        yield Piece({"tool_calls": [{"index": 0, **CALL}]})
        yield Piece(finish="stop", usage=usage)

    spent = list[int]()
    assert len([piece async for piece in metered(source(), HALF, spent.append)]) == 3
    assert spent == [cost]


def test_a_call_that_failed_costs_what_was_asked() -> None:
    assert tokens(SIZE, None) == SIZE // UNCOUNTED


async def test_a_client_that_leaves_pays_for_what_it_got() -> None:
    async def source() -> AsyncGenerator[Piece, None]:
        for _ in range(10):
            yield Piece({"tool_calls": [{"index": 0, "function": {"arguments": "x" * 1_000}}]})
        yield Piece(usage=Usage(1, 1))

    spent = list[int]()
    async with aclosing(metered(source(), HALF, spent.append)) as pieces:
        await anext(pieces)
    assert spent == [SIZE // UNCOUNTED]
