"""What the realm has to hear of a withdrawal.  It comes second: it may be slow or away, and then it is told again."""

import asyncio
from collections.abc import Awaitable, Callable

from authorities.registry.keycloak import AdministrationError

TOLD, UNTOLD = "told", "could not be told"
SECONDS_BETWEEN_TRIES = 5


async def tell(telling: Awaitable[None]) -> str:
    """Tell the realm once; return what came of it: TOLD, or UNTOLD and why."""
    try:
        await telling
    except AdministrationError as error:
        return f"{UNTOLD}: {error}"
    return TOLD


class Aside:
    """Tells the realm while nobody waits for it."""

    def __init__(self) -> None:
        self._telling: set[asyncio.Task[None]] = set()

    def until_told(self, telling: Callable[[], Awaitable[str]], *, wanted: Callable[[], bool]) -> None:
        """Tell it again and again, until it has heard or that is not `wanted` any more."""

        async def go_on() -> None:
            while wanted() and (await telling()).startswith(UNTOLD):  # noqa: ASYNC110 - nobody says when it is back
                await asyncio.sleep(SECONDS_BETWEEN_TRIES)

        self._telling.add(task := asyncio.create_task(go_on()))
        task.add_done_callback(self._telling.discard)
