"""A thief that answers the console as a test says: `lab/thief` is the real one."""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

USED: dict[str, Any] = {
    "way": "another-process",
    "method": "POST",
    "address": "https://documents.tool.agents.example/mcp",
    "token": "T2",
    "by": "agent/writer",
    "status": 401,
    "reason": "not_bound",
    "took": 0.031,
    "before": "200 ok",
}
"""What the real one answers."""


class FakeThief:
    """The orders that it got; its answers can be changed, and held back."""

    def __init__(self) -> None:
        self.orders: list[dict[str, Any]] = []
        self.answers: list[Any] = [USED]
        self.may_answer, self.may_end = asyncio.Event(), asyncio.Event()
        self.may_answer.set()
        self.may_end.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.orders.append(json.loads(await reader.readline()))
        await self.may_answer.wait()
        with suppress(OSError):
            for answer in self.answers:
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
            await self.may_end.wait()
        writer.close()


@asynccontextmanager
async def fake_thief() -> AsyncIterator[FakeThief]:
    """Let one listen, where the consoles that are made meanwhile ask."""
    thief = FakeThief()
    with tempfile.TemporaryDirectory() as folder:  # a short path: it is the address of a socket
        socket = Path(folder, "thief.sock")
        server = await asyncio.start_unix_server(thief.serve, socket)
        with patch.dict(os.environ, ZT_THIEF_SOCKET=str(socket)):
            yield thief
        server.close()
