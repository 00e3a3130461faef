"""Gives every sender its turn in the event loop, so that one who asks very often delays nobody else.

What is done for a request until it first waits for something is done in one pass of the event loop, and everybody else
waits for the end of that pass.  So few requests of one sender begin in a pass; the others begin in later ones, in the
order in which they came.  Nothing is refused: whoever asks faster than that waits longer for the answer.
"""

import asyncio
from collections import deque

IN_A_PASS = 8
"""Requests of one sender that begin in one pass of the event loop: about 3 ms of work."""


class Turns:
    """The turns of one sender."""

    def __init__(self, in_a_pass: int = IN_A_PASS) -> None:
        self._in_a_pass = self._left = in_a_pass
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Return when the next request may begin: at once, where few have begun in this pass."""
        if self._left == self._in_a_pass:
            asyncio.get_running_loop().call_soon(self._next_pass)
        if self._left and not self._waiting:
            self._left -= 1
            return
        self._waiting.append(turn := asyncio.get_running_loop().create_future())
        await turn

    def _next_pass(self) -> None:
        self._left = self._in_a_pass
        while self._left and self._waiting:
            if not (turn := self._waiting.popleft()).done():  # whoever waited may have gone
                turn.set_result(None)
                self._left -= 1
        if self._left < self._in_a_pass:
            asyncio.get_running_loop().call_soon(self._next_pass)
