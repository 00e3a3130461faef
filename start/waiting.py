"""Waits until a launched process works, and reports a process that ends by itself."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import httpx

from authorities.attestation.local.launch import Launched
from start.child import wait_for_process
from start.progress import Say
from start.system import System


async def wait_until_listening(system: System, address: str, process: Launched) -> None:
    """Wait until a launched process listens at `address`.  Raises `RunError` if it does not."""
    await wait_until(partial(_answers, address, system.authority.ca_file), process, system.log(process.launch.name))


async def wait_until(met: Callable[[], Awaitable[bool]], process: Launched, log: Path) -> None:
    """Wait until `process` meets a condition.  Raises `RunError` with the end of its log.

    It waits for this process, too, in which attestation measures it.
    """
    pid, ended = process.process.pid, process.ended.is_set
    await wait_for_process(met, process.launch.name, pid, ended, log, os.getpid())


async def _answers(address: str, ca_file: Path) -> bool:
    """Return whether a party of our trust domain listens at this address: a service listens once it can answer.

    A lab launches some services without TLS; for those, any listener counts.
    """
    url = httpx.URL(address)
    context = ssl.create_default_context(cafile=ca_file)
    context.check_hostname = False  # its callers check which party it is
    try:
        _, writer = await asyncio.open_connection(url.host, url.port, ssl=context if url.scheme == "https" else None)
    except OSError:
        return False
    writer.close()
    return True


async def exists(path: Path) -> bool:
    """Return whether there is such a file."""
    return path.exists()  # noqa: ASYNC240 - a local socket


async def report_end(
    name: str, ended: Callable[[], Awaitable[object]], requested: Callable[[], bool], log: Path, say: Say
) -> None:
    """Report when `name` ends, unless that was requested."""
    await ended()
    if requested():
        return
    say(f"{name} has ended by itself; calls that need it are refused until everything is restarted; its log: {log}")
