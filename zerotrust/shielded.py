"""Runs operations to their end even if their caller is cancelled, so that they close what they opened."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Shielding")


class Shielding:
    """The base of a class with such operations."""

    def __init__(self) -> None:
        self.under_way: set[asyncio.Task[Any]] = set()

    async def wait_until_done(self) -> None:
        if self.under_way:
            await asyncio.wait(self.under_way)


def shielded(
    operation: Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """Run a method to its end even if its caller is cancelled."""

    @wraps(operation)
    async def whole(owner: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        owner.under_way.add(task := asyncio.create_task(operation(owner, *args, **kwargs)))
        task.add_done_callback(owner.under_way.discard)
        return await asyncio.shield(task)

    return whole
