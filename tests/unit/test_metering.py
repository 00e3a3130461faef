"""What a call of the model costs, whatever its server says."""

import pytest

from inference.answer import Reply, Usage
from inference.budget import BYTES_PER_TOKEN, UNCOUNTED, UNSAID, tokens

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
def test_a_server_is_believed_within_bounds(counted: int | None, cost: int) -> None:
    usage = None if counted is None else Usage(counted, 0)

    assert tokens(HALF, Reply(None, (CALL,), usage=usage)) == cost


def test_a_call_that_failed_costs_what_was_asked_and_what_nobody_knows() -> None:
    assert tokens(SIZE, None) == SIZE // UNCOUNTED + UNSAID
