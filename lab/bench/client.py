"""A user's HTTP client in a process of its own.

The benchmark's own process also attests all parties, and while it compares their files, a request would wait.  Here
nothing else runs.  Requests come as lines of JSON, and answers go out likewise, each with the number of its request.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import astuple
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from lab.bench.variants import snapshot_of
from start.system import ROOT, System
from zerotrust.registry.snapshot import Directory
from zt.people.client import user_client

MAX_LINE = 1 << 22
"""Bytes of an answer with its receipts, as JSON."""
ENDED = "the client's process has ended"


class Remote:
    """Sends requests from another process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process, self._numbers = process, count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._ended = False

    async def post(self, at: str, url: str, body: Any, headers: Mapping[str, str]) -> tuple[float, str]:
        """Send a request to a party of the set `at`; return the seconds that it took, and the answer.

        Raises `RuntimeError` if there is none.
        """
        if self._ended:
            raise RuntimeError(ENDED)
        number = next(self._numbers)
        self._waiting[number] = answered = asyncio.get_running_loop().create_future()
        assert self._process.stdin  # noqa: S101 - for the type checker: a pipe
        self._process.stdin.write(_line([number, at, url, body, dict(headers)]))
        took, answer = await answered
        if took is None:
            raise RuntimeError(f"{at}: {answer}")
        return took, answer

    async def read(self) -> None:
        """Hand answers over until the process ends."""
        assert self._process.stdout  # noqa: S101 - as above
        while line := await self._process.stdout.readline():
            number, *answer = json.loads(line)
            self._waiting.pop(number).set_result(answer)
        self._ended = True
        for one in self._waiting.values():
            one.set_result((None, ENDED))


@asynccontextmanager
async def remote(system: System, names: list[str]) -> AsyncIterator[Remote]:
    """Run a client of these sets for a block."""
    process = await asyncio.create_subprocess_exec(
        ROOT / "start" / "run",
        "lab.bench.client",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=MAX_LINE,
    )
    assert process.stdin  # noqa: S101 - as above
    process.stdin.write(_line(str(system.ca_file)))
    process.stdin.write(_line({name: astuple(snapshot_of(system, name).directory()) for name in names}))
    client = Remote(process)
    reading = asyncio.create_task(client.read())
    try:
        yield client
    finally:
        process.stdin.close()
        await reading
        await process.wait()


def _line(content: Any) -> bytes:
    return json.dumps(content).encode() + b"\n"


async def _answer(clients: Mapping[str, httpx.AsyncClient], line: bytes) -> None:
    number, at, url, body, headers = json.loads(line)
    began = time.monotonic()
    try:
        answer = await clients[at].post(url, json=body, headers=headers)
        found: list[Any] = [time.monotonic() - began, answer.text]
    except httpx.HTTPError as error:
        found = [None, repr(error)]
    sys.stdout.buffer.write(_line([number, *found]))
    sys.stdout.buffer.flush()


async def _serve() -> None:
    lines, loop = asyncio.StreamReader(limit=MAX_LINE), asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    ca_file, sets = Path(json.loads(await lines.readline())), json.loads(await lines.readline())
    clients = {name: user_client(Directory(*told), ca_file) for name, told in sets.items()}
    async with asyncio.TaskGroup() as under_way:
        while line := await lines.readline():
            under_way.create_task(_answer(clients, line))
    for client in clients.values():
        await client.aclose()


if __name__ == "__main__":
    asyncio.run(_serve())
