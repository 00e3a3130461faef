"""Is what was launched still what was approved? The answer for every launched party, kept current.

A change is heard of from the kernel, then looked for by inode, size and ctime, and only what differs there is read.
Before each certificate all files are looked at, whether anything was heard of or not.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Self

from authorities.attestation.local.environment import Environment
from authorities.attestation.local.launch import Launched, Log
from authorities.attestation.verifier.measure import BYTECODE_CACHES, Files, MeasureError, named, stamps
from authorities.attestation.verifier.watch import Watch
from zerotrust.known import SIGNER
from zerotrust.lock import FILES, changed

SECONDS_TO_GATHER = 0.005
"""After a look, until the next: one save of an editor, or of git, is many changes."""


class Drift:
    """An async context: listens from entry to exit."""

    def __init__(self, root: Path, environment: Environment, log: Log) -> None:
        """`root` is the project's folder.  Raises `MeasureError`."""
        self._root, self._environment, self._log = root, environment, log
        self._project = Files(root, leave_out=BYTECODE_CACHES)
        self._registry = self._project.look((), FILES)
        self._found: dict[Launched, str] = {}
        self._news, self._heard = asyncio.Event(), asyncio.Event()
        self._paths: set[str] | None = set()
        self._looking = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Listen.  Raises `OSError` where the kernel watches no more files for this user."""
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            self._watch = stack.enter_context(Watch())
            for folder in self._environment.folders:
                self._watch.folder(folder, leave_out=self._environment.leave_out)
            for file in [*self._environment.single, *(f"{self._root}/{name}" for name in FILES)]:
                self._watch.file(file)
            loop.add_reader(self._watch, self._hear)
            stack.callback(loop.remove_reader, self._watch)
            stack.callback(asyncio.create_task(self._follow()).cancel)
            await self.look()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def add(self, launched: Launched) -> None:
        """From now on it is looked after.  Raises `OSError` where the kernel watches no more files for this user."""
        self._found[launched] = ""
        for folder in launched.launch.code:
            self._watch.folder(f"{self._root}/{folder}", leave_out=BYTECODE_CACHES)
        self._watch.folder(str(launched.stage.path))
        self.check(launched)

    def reloaded(self, read_from: Mapping[str, str]) -> bool:
        """Whether the registry goes by other files since an operator's reload, and by those that lie here.

        `read_from`: their digests, as it says; whoever says so has read the same.  Raises `MeasureError`.
        """
        return read_from != self._registry and read_from == self._project.look((), FILES)

    def adopt(self, read_from: Mapping[str, str]) -> None:
        """Hold the registry to these files from now on."""
        self._registry = dict(read_from)
        self._check_all()

    def forget(self, launched: Launched) -> None:
        """It has ended."""
        if self._found.pop(launched, ""):
            self._tell()

    @property
    def drifted(self) -> dict[str, str]:
        """The parties that run what was not approved, or could load it, and which files have changed."""
        return {launched.launch.party: files for launched, files in self._found.items() if files}

    async def changes(self) -> AsyncIterator[dict[str, str]]:
        """Yield `drifted` as it is now, and again each time that it has changed."""
        while True:
            news = self._news
            yield self.drifted
            await news.wait()

    async def until(self, launched: Launched, seconds: float) -> None:
        """Return when this one has drifted or ended, and after so many seconds in any case."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._found.get(launched) == "":
                    await self._news.wait()

    def check(self, launched: Launched) -> str:
        """Look at a party's own files; return what has changed, of them or of the environment, or an empty text."""
        files = self._changed(launched)
        if launched in self._found and self._found[launched] != files:
            self._found[launched] = files
            self._tell()
            event = {"changed": files} if files else {}
            self._log("drifted" if files else "restored", party=launched.launch.party_id, **event)
        return files

    async def look(self) -> None:
        """Look at everything, the environment included.  Who asks before the next look has begun, shares it."""
        if self._next is None:
            self._next = asyncio.create_task(self._look())
        await asyncio.shield(self._next)

    async def _look(self) -> None:
        async with self._looking:
            self._next = None
            await asyncio.to_thread(self._environment.look)  # a tenth of a second or more
        self._check_all()

    def _hear(self) -> None:
        try:
            heard = self._watch.read()
        except OSError as error:
            self._log("not watched", why=str(error))
            heard = None
        self._paths = None if heard is None or self._paths is None else self._paths | heard
        if self._paths != set():
            self._heard.set()

    async def _follow(self) -> None:
        while True:
            await self._heard.wait()
            self._heard.clear()
            paths, self._paths = self._paths, set()
            if paths is None:
                await self.look()
            elif environments := [path for path in paths if self._environment.holds(path)]:
                async with self._looking:
                    await asyncio.to_thread(self._environment.look_at, environments)
            self._check_all()
            await asyncio.sleep(SECONDS_TO_GATHER)

    def _check_all(self) -> None:
        for launched in list(self._found):
            self.check(launched)

    def _changed(self, launched: Launched) -> str:
        stage, wrong = launched.stage, list(self._environment.changed)
        try:
            wrong += changed(stage.code, self._project.look(launched.launch.code))
            wrong += changed(stage.everything, stamps(stage.path))
            if launched.launch.party == SIGNER:  # what it says is what its files say
                wrong += changed(self._registry, self._project.look((), FILES))
        except MeasureError as error:
            wrong.append(str(error))
        return named(wrong)

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
