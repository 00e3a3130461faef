"""Asks again while a service cannot tell for now, as a person would: on a busy machine that passes, and not at once.

A bound in tries leaves a busy machine more time than an idle one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx

from zt.errors import RefusedError
from zt.people.login import LoginError

TRIES = 60
"""How often at most: a minute at least."""
PAUSE = 1.0
"""Seconds between two tries, as `Retry-After` says."""
NO_ANSWER = "no answer:"
T = TypeVar("T")


class NoTokenError(LookupError):
    """Keycloak gave no token.  The text is its answer."""


UNANSWERED = NoTokenError, LoginError, httpx.HTTPError, OSError
"""The errors of a request that got no answer, or no token to send."""


async def until_settled(ask: Callable[[], Awaitable[str]], *passing: str) -> str:
    """Return how a request is answered, asked again while it is not, or the answer is 503 or begins with `passing`.

    A service that answers 503 has refused nothing.  Without an answer, return `NO_ANSWER` and the name of the error.
    """
    for left in reversed(range(TRIES)):
        try:
            answered = await ask()
        except NoTokenError as error:
            answered = str(error)
        except UNANSWERED as error:
            answered = f"{NO_ANSWER} {type(error).__name__}"
        if not left or not answered.startswith(("503 ", NO_ANSWER, *passing)):
            break
        await asyncio.sleep(PAUSE)
    return answered


async def insist(command: Callable[[], Awaitable[T]]) -> T:
    """Return what an operator's command returns, given again while it is answered 503.  Raises as the last try."""
    for _ in range(TRIES - 1):
        try:
            return await command()
        except RefusedError as refused:
            if refused.status != httpx.codes.SERVICE_UNAVAILABLE:
                raise
        await asyncio.sleep(PAUSE)
    return await command()
