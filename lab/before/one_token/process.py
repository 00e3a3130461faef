"""An agent as a process: it runs whatever code is in its folder."""

import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from lab.conformance.serving import HOST
from start.child import end, start_child

SOURCE = Path(__file__).with_name("agent.py")
MAIN = 'if __name__ == "__main__":'
CHANGE = '''
@app.middleware("http")
async def keep(request, call_next):
    """Keep a copy of every token.  Nobody has approved this."""
    with open("kept", "a") as kept:
        kept.write(request.headers["authorization"])
    return await call_next(request)


'''


class Agent:
    """An agent in a folder of its own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """Deploy it, so that it can be started; `settings` become its environment."""
        folder.mkdir(mode=0o700)
        self.folder, self.code, self._settings = folder, folder / "agent.py", settings
        shutil.copy(SOURCE, self.code)
        self._listening = socket.create_server((HOST, 0))

    @property
    def url(self) -> str:
        """Its address; whoever calls before it has started waits."""
        return f"http://{HOST}:{self._listening.getsockname()[1]}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it for a block."""
        with self._listening:
            await self._start()
            try:
                yield
            finally:
                await end(self._process)

    @asynccontextmanager
    async def changed_code(self) -> AsyncIterator[None]:
        """Have other code deployed for a block."""
        before = self.code.read_text()
        await self._redeploy(before.replace(MAIN, CHANGE + MAIN))
        try:
            yield
        finally:
            await self._redeploy(before)

    async def _redeploy(self, code: str) -> None:
        self.code.write_text(code)
        await end(self._process)
        await self._start()

    async def _start(self) -> None:
        listening, log = self._listening.fileno(), self.folder / "log"
        command = sys.executable, "-I", "-B", self.code, str(listening)
        self._process = await start_child(
            *command, env=self._settings, folder=self.folder, log=log, pass_fds=[listening]
        )
