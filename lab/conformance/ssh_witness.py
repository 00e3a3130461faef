"""Runs litewitness, with its key in an ssh-agent of its own."""

import asyncio
import base64
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

from lab.conformance.running import Failed, Missing, run
from lab.conformance.serving import HOST, free_port
from start.child import end
from zerotrust.tlog.note import VerifierKey, parse_verifier_key
from zerotrust.tlog.tree import EMPTY

NAME = "witness.example/lite"
TABLES = """CREATE TABLE log (origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL, tree_hash TEXT NOT NULL);
CREATE TABLE key (origin TEXT NOT NULL, key TEXT NOT NULL, FOREIGN KEY(origin) REFERENCES log(origin));"""
"""Its program that would write them needs a package that cannot be fetched everywhere."""


@asynccontextmanager
async def witness(program: Path, folder: Path, log: VerifierKey) -> AsyncIterator[tuple[str, VerifierKey]]:
    """Run litewitness for a block, with a key in an agent of its own; yield its address and its public key."""
    if not (agent := shutil.which("ssh-agent")):
        raise Missing("ssh-agent is not installed")
    socket, key, database = folder / "agent.sock", folder / "key", folder / "witness.db"
    await run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    _, fingerprint = await run("ssh-keygen", "-l", "-f", key)
    agents = await asyncio.create_subprocess_exec(agent, "-D", "-a", socket, stdout=asyncio.subprocess.DEVNULL)
    try:
        await wait_until(socket.exists, "ssh-agent")
        status, said = await run("ssh-add", "-q", key, env={"SSH_AUTH_SOCK": str(socket)})
        if status:
            raise Failed(f"the agent does not take the key: {said[-300:]}")
        with closing(sqlite3.connect(database)) as known, known:
            known.executescript(TABLES)
            known.execute("INSERT INTO log VALUES (?, 0, ?)", (log.name, base64.b64encode(EMPTY).decode()))
            known.execute("INSERT INTO key VALUES (?, ?)", (log.name, str(log)))
        with (folder / "log").open("wb") as said_to:
            port = free_port()
            witness = await asyncio.create_subprocess_exec(
                *(program, "-db", database, "-name", NAME, "-ssh-agent", socket),
                *("-key", fingerprint.split()[1], "-listen", f"{HOST}:{port}"),
                stderr=said_to,
                env={"PATH": os.environ["PATH"]},
            )
        try:
            told = (folder / "log").read_text
            await wait_until(lambda: "msg=listening" in told(), "litewitness")
            yield f"http://{HOST}:{port}", parse_verifier_key(told().partition("vkey=")[2].split()[0])
        finally:
            await end(witness)
    finally:
        await end(agents)


async def wait_until(met: Callable[[], object], name: str, seconds: float = 30) -> None:
    """Wait until a program does what it was started for.  Raises `Failed` after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            while not met():  # noqa: ASYNC110 - another program does it
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise Failed(f"{name} does not start") from error
