"""Gives every sender its turn in the event loop, so that one with very many requests does not delay others.

A request runs in one pass of the event loop until it first awaits something, and all others wait for the end of that
pass.  So only a few requests of one sender start in a pass; the rest start in later passes, in the order in which they
came.  None is refused: a sender that sends faster waits longer for its answers.
"""

import asyncio
from collections import deque

IN_A_PASS = 8
"""Requests of one sender that start in one pass of the event loop: about 3 ms of work."""


class Turns:
    """The turns of one sender."""

    def __init__(self, in_a_pass: int = IN_A_PASS) -> None:
        self._in_a_pass = self._left = in_a_pass
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Return when the next request may start: at once, if few have started in this pass."""
        if self._left == self._in_a_pass:
            asyncio.get_running_loop().call_soon(self._next_pass)
        if self._left:  # then no request is waiting
            self._left -= 1
            return
        self._waiting.append(turn := asyncio.get_running_loop().create_future())
        await turn

    def _next_pass(self) -> None:
        self._left = self._in_a_pass
        while self._left and self._waiting:
            if not (turn := self._waiting.popleft()).done():  # the waiting request may have been cancelled
                turn.set_result(None)
                self._left -= 1
        if self._left < self._in_a_pass:
            asyncio.get_running_loop().call_soon(self._next_pass)
