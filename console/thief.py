"""Asks the thief of the lab (`lab/thief`), where one runs, to use tokens: the console itself has none of these."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, Field

from console.sessions import ConsoleReason
from console.settings import ConsoleSettings
from zerotrust.decision import Denied
from zerotrust.limits.bounded import Bounded
from zerotrust.limits.strict_json import strict_object

MOST_BYTES = 1024
"""Bytes of a line of the answer; the longest of ours has 400."""
LONGEST_TEXT = 128
"""Bytes of each text in it: an address of ours fits, and no token does."""
MOST_LINES = 1000
"""Lines of an answer: a probe has a line for each change of a service's answer."""
SECONDS = 70
"""For the next line: a probe in which nothing changes takes a minute."""
PROBED = 60
"""Seconds of a probe: its tokens live as long."""
PAUSE = 3.0
"""Seconds between two uses for one person: each is a sign-in and three exchanges."""
MOST_PEOPLE = 1000
"""People of whom the last use is remembered; one more displaces the oldest, who may then press sooner."""


class Used(BaseModel):
    """The outcome of a use of a token: the request, over whose certificate (`by`), and the answer, within seconds."""

    method: str
    address: str
    token: str
    by: str
    status: int
    reason: Annotated[str, Field(pattern="^[a-z0-9_ -]{1,40}$")]
    took: float
    before: str
    """The answer to the token's holder just before."""


class Thief:
    """The thief of the lab; `socket` is None where none runs."""

    def __init__(self) -> None:
        self.socket = ConsoleSettings().thief_socket
        self.ids, self.serves = dict[str, str](), dict[str, bool]()
        """The probe under way: the ids of its session, token and user; and whether each service served it last."""
        self.until = 0.0
        """When the last probe ends or ended, in seconds since the epoch."""
        self._one, self._next = asyncio.Lock(), Bounded[str, float](MOST_PEOPLE)
        self._probing: asyncio.Task[None] | None = None

    async def use(self, way: str, person: str) -> Used:
        """Have a token used in a way, for a person, and return what came of it.  Raises `Denied`."""
        now = asyncio.get_running_loop().time()
        if self._one.locked():  # control: one-use-at-a-time
            raise Denied(ConsoleReason.THIEF_BUSY, "another use is under way")
        if self._next.get(person, 0) > now:  # control: pause-between-uses
            raise Denied(ConsoleReason.THIEF_BUSY, f"this person has had one within {PAUSE:g} s")
        self._next[person] = now + PAUSE
        async with self._one, aclosing(self.lines({"order": "use", "way": way})) as lines:
            try:
                return Used.model_validate(await anext(lines, {}))
            except ValueError as error:
                raise Denied(ConsoleReason.THIEF_UNAVAILABLE, "malformed") from error

    def probe(self) -> None:
        """Have every service called with genuine tokens for `PROBED` seconds, unless that is under way."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe())

    async def _probe(self) -> None:
        self.until = time.time() + PROBED
        with suppress(Denied):  # then nothing is called
            async with aclosing(self.lines({"order": "probe", "seconds": PROBED})) as lines:
                async for line in lines:
                    if line.get("event") == "began":
                        self.ids = {kind: str(line.get(kind)) for kind in ("session", "token", "user")}
                    elif line.get("event") == "answer":
                        self.serves[str(line.get("service"))] = not line.get("refused")
        self.ids, self.serves, self.until = {}, {}, time.time()

    async def lines(self, order: Mapping[str, object]) -> AsyncGenerator[dict[str, Any]]:
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
                if re.search(rb'"[^"]{%d}' % (LONGEST_TEXT + 1), raw):  # control: no-token-from-the-thief
                    raise Denied(ConsoleReason.THIEF_UNAVAILABLE, "a text as long as a token")
                line = strict_object(raw)
                if "error" in line:
                    busy = line["error"] == "busy"
                    raise Denied(ConsoleReason.THIEF_BUSY if busy else ConsoleReason.THIEF_UNAVAILABLE)
                yield line
        except (OSError, ValueError) as error:
            raise Denied(ConsoleReason.THIEF_UNAVAILABLE, type(error).__name__) from error
        finally:
            writer.close()
