"""Runs one system at a time, each in a process of its own: ours, and a reader's copy as long as a kernel needs it.

A kernel connects to a Unix socket in our run's folder, and asks for the copy.  As long as it stays connected, ours is
stopped, for both need the same ports.  When the connection ends, also because the kernel has died, ours starts again.
"""

import asyncio
import contextlib
import json
import os
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from lab.notebooks.attach import SOCKET
from lab.notebooks.places import REQUEST, TAKEN, Place
from local.alone import DemoError, process_running
from local.progress import Say

PROGRESS, READY = "- ", "- It runs"
"""How a line begins by which a system says how far it is, and the line by which it says that it runs."""
SECONDS_TO_ASK = 5
"""For a kernel's first request; who does not ask for anything keeps nothing."""
LAST_WORDS = 40
"""Lines kept of what a system says that does not start."""
SECONDS_TO_END = 60
"""Far more than a system needs to end in order; after that it is killed, and the kernel ends its parts."""


@dataclass
class Systems:
    """The one system that runs, or none."""

    ours: Place
    copy: Place
    say: Say
    _failed: DemoError | None = None
    """Why ours does not run, although nobody has its ports."""
    _process: asyncio.subprocess.Process | None = None
    _telling: asyncio.Task[object] | None = None
    _leases: set[asyncio.Task[None]] = field(default_factory=set)
    _leased: bool = False

    async def start(self, place: Place, say: Say) -> None:
        """End the system that runs, and run another.  Raises `DemoError` with what it said if it does not start."""
        await self.end()
        process = self._process = await asyncio.create_subprocess_exec(
            *(str(place.tree / "scripts" / "run"), "lab.notebooks", "serve", place.run),
            cwd=place.tree,
            env={**os.environ, "COLUMNS": "1000"},  # its lines are not broken
            stdin=asyncio.subprocess.PIPE,  # it ends when this is closed: also when we are killed
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us
        )
        assert process.stdout  # noqa: S101 - a pipe, as requested
        last = await _told(process.stdout, say, until=READY)
        if last is not None:
            await process.wait()
            raise DemoError("\n".join(last) or f"The system in {place.tree} ended with status {process.returncode}.")
        self._telling = asyncio.create_task(_told(process.stdout, say, until=None))

    async def end(self) -> None:
        """End the system that runs, if one does.  No file names it any more, however it ended."""
        process, self._process = self._process, None
        if process and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(SECONDS_TO_END):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        for place in self.ours, self.copy:
            place.file.unlink(missing_ok=True)
        if self._telling:
            self._telling.cancel()
            self._telling = None

    async def our_own(self) -> None:
        """Wait until our system runs, after any kernel's copy.  Raises `DemoError` if it does not."""
        while self._leases:
            await asyncio.wait(self._leases)
        if self._failed:
            raise self._failed

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a kernel's connection, in a task of its own."""
        lease = asyncio.create_task(self._serve(reader, writer))
        self._leases.add(lease)
        lease.add_done_callback(self._leases.discard)

    async def stop(self) -> None:
        """End everything."""
        for lease in self._leases:
            lease.cancel()
        await asyncio.gather(*self._leases, return_exceptions=True)
        await self.end()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SECONDS_TO_ASK):
                    asked = await _request(reader)
                if self._leased:
                    _tell(writer, error=TAKEN)
                elif asked:
                    await self._lend(reader, writer)
        finally:
            writer.close()

    async def _lend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Run the copy, and anew each time that the kernel asks for it, until it is gone; then run ours."""

        def say(text: str) -> None:
            _tell(writer, say=text)

        def say_to_both(text: str) -> None:
            say(text)
            self.say(text)

        self._leased, asked = True, True
        self.say("A notebook runs its copy of the system; meanwhile ours is stopped")
        while asked:
            try:
                await self.start(self.copy, say)
                _tell(writer, file=str(self.copy.file))
            except (DemoError, OSError) as error:
                _tell(writer, error=str(error))
            asked = await _request(reader)
        try:
            await self.start(self.ours, say_to_both)
            self.say("Our system runs again")
        except DemoError as error:
            self._failed = error
            say_to_both(f"Our system does not start again: {error}")
        self._leased = False


async def _request(reader: asyncio.StreamReader) -> bool:
    """Return whether a kernel asks for its copy; otherwise it is gone, or nothing that is served here."""
    try:
        return await reader.readline() == REQUEST
    except (ValueError, OSError):  # longer than any request, or cut off
        return False


def _tell(writer: asyncio.StreamWriter, **what: str) -> None:
    if not writer.is_closing():
        writer.write(json.dumps(what).encode() + b"\n")


async def _told(output: asyncio.StreamReader, say: Say, *, until: str | None) -> list[str] | None:
    """Hand on how far a system is, until it says so; return None then, or what it said last if it ends before."""
    last: deque[str] = deque(maxlen=LAST_WORDS)
    async for line in output:
        text = line.decode(errors="replace").rstrip("\n")
        if text == until:
            return None
        if text.startswith(PROGRESS):
            say(text.removeprefix(PROGRESS))
        else:
            last.append(text)
    return list(last)


@asynccontextmanager
async def systems(ours: Place, copy: Place, say: Say) -> AsyncIterator[Systems]:
    """Run ours for a block, and the copy for the kernels that ask for it.  Raises `DemoError`."""
    for place in ours, copy:  # before anything of the one that runs is ended
        if process := process_running(place.folder):
            raise DemoError(
                f"The notebooks' system runs already (process {process}): go on with it, or end it with Ctrl-C in its "
                "terminal."
            )
    both, socket = Systems(ours, copy, say), ours.folder / SOCKET
    try:
        await both.start(ours, say)
        socket.unlink(missing_ok=True)  # of a run that was killed
        server = await asyncio.start_unix_server(both.accept, path=socket, limit=len(REQUEST))
        socket.chmod(0o600)
        try:
            yield both
        finally:
            server.close()
            socket.unlink(missing_ok=True)
    finally:
        await both.stop()
