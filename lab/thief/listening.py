"""The Unix socket on which the thief takes orders: one line of JSON, answered by lines of JSON."""

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from authorities.attestation.local.launch import Launch
from lab.thief.thief import Thief
from start.launches import party_launches
from start.system import Running, System

CONSOLE, VARIABLE = "console", "ZT_THIEF_SOCKET"
MOST_BYTES = 1024
"""Bytes of an order."""


@asynccontextmanager
async def listening(system: Running, socket: Path) -> AsyncIterator[None]:
    """Let a thief of this system listen for a block."""
    async with AsyncExitStack() as stack:
        server = await asyncio.start_unix_server(partial(_serve, Thief(system, stack)), socket, limit=MOST_BYTES)
        stack.callback(server.close)
        yield


def beside(system: System) -> AbstractAsyncContextManager[None]:
    """Return the same for the system on this machine, with the socket in a folder that only this user can read."""
    return listening(system, _socket(system))


def launches(system: System) -> dict[str, Launch]:
    """Return the launch of every party there; the console learns where the thief listens."""
    found, place = party_launches(system), system.place(CONSOLE)
    return found | {place: replace(found[place], env={**found[place].env, VARIABLE: str(_socket(system))})}


def _socket(system: System) -> Path:
    return system.insider_socket("thief")


async def _serve(thief: Thief, reader: StreamReader, writer: StreamWriter) -> None:
    """Carry out the order of one connection, which ends with it."""

    async def tell(line: Mapping[str, Any]) -> None:
        writer.write(json.dumps(line).encode() + b"\n")
        await writer.drain()

    async def carry_out() -> None:
        order = json.loads(await reader.readline())
        lock, method = thief.orders[order.pop("order")]
        if lock.locked():
            await tell({"error": "busy"})
            return
        async with lock:
            carrying_out, gone = asyncio.ensure_future(method(tell, **order)), asyncio.ensure_future(reader.read(1))
            carrying_out.add_done_callback(lambda _: gone.cancel())
            gone.add_done_callback(lambda _: carrying_out.cancel())
            await carrying_out

    try:
        await carry_out()
    except Exception as error:  # noqa: BLE001 - whatever it is, its class alone is told: a text may quote what was sent
        await tell({"error": type(error).__name__})
    finally:
        writer.close()
