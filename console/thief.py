"""Asks the thief of the lab (`lab/thief`), where one runs, to use tokens: the console itself has none of these."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import Any

import orjson

from console.reasons import ConsoleReason
from console.settings import ConsoleSettings
from zerotrust.decision import Denied
from zerotrust.limits.bounded import Bounded
from zerotrust.limits.strict_json import strict_object

MOST_BYTES = 1024
"""Of a line of the answer; the longest of ours has 400."""
LONGEST_TEXT = 128
"""Characters of each text in it: an address of ours fits, and no token does."""
MOST_LINES = 1000
"""Of an answer: a probe has one for each change of a service's answer."""
SECONDS = 70
"""For the next line: a probe in which nothing changes takes a minute."""
PAUSE = 3.0
"""Seconds between two uses for one person: each is a sign-in and three exchanges."""
MOST_PEOPLE = 1000
"""People of whom the last use is remembered; one more displaces the oldest, who may then press sooner."""


class Thief:
    """The thief of the lab; `socket` is None where none runs."""

    def __init__(self) -> None:
        self.socket = ConsoleSettings().thief_socket
        self._one, self._next = asyncio.Lock(), Bounded[str, float](MOST_PEOPLE)

    async def use(self, way: str, person: str) -> dict[str, Any]:
        """Have a token used in a way, for a person, and return what came of it.  Raises `Denied`."""
        now = asyncio.get_running_loop().time()
        if self._one.locked():  # control: one-use-at-a-time
            raise Denied(ConsoleReason.THIEF_BUSY, "another use is under way")
        if self._next.get(person, 0) > now:  # control: pause-between-uses
            raise Denied(ConsoleReason.THIEF_BUSY, f"this person has had one within {PAUSE:g} s")
        self._next[person] = now + PAUSE
        async with self._one, aclosing(self.lines({"order": "use", "way": way})) as lines:
            async for line in lines:
                return line
        raise Denied(ConsoleReason.THIEF_UNAVAILABLE, "no answer")

    async def lines(self, order: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """Give an order, and yield each line of the answer; close it if you do not take all.  Raises `Denied`."""
        try:
            reader, writer = await asyncio.open_unix_connection(self.socket, limit=MOST_BYTES)
        except OSError as error:
            raise Denied(ConsoleReason.THIEF_UNAVAILABLE, str(error)) from error
        try:
            writer.write(orjson.dumps(order) + b"\n")
            taken = 0
            while raw := await asyncio.wait_for(reader.readline(), SECONDS):
                taken += 1
                if taken > MOST_LINES:  # control: answer-of-the-thief-bounded
                    return
                line = strict_object(raw)
                if "error" in line:
                    busy = line["error"] == "busy"
                    raise Denied(ConsoleReason.THIEF_BUSY if busy else ConsoleReason.THIEF_UNAVAILABLE)
                if max(map(len, _texts(line)), default=0) > LONGEST_TEXT:  # control: no-token-from-the-thief
                    raise Denied(ConsoleReason.THIEF_UNAVAILABLE, "a text as long as a token")
                yield line
        except (OSError, ValueError) as error:
            raise Denied(ConsoleReason.THIEF_UNAVAILABLE, type(error).__name__) from error
        finally:
            writer.close()


def _texts(value: object) -> Iterator[str]:
    """Yield every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from _texts(one)
