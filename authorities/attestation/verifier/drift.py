"""Detects drift: keeps current, for every target, which of its files differ from what was approved.

When the kernel reports a change, inode, size and ctime are compared, and only files that differ in them are read.
Before each certificate, at most `SECONDS_KEPT` earlier, all files are compared, whether a change was reported or not.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from typing import Self

from authorities.attestation.verifier.measure import MeasureError, NotMeasuredError, format_paths
from authorities.attestation.verifier.target import LargeRoot, Target
from authorities.attestation.verifier.watch import Watch

SECONDS_KEPT = 10
"""Seconds for which a measurement waits for a caller who gave up before its end; a party asks again after one."""
SECONDS_TO_GATHER = 0.005
"""Seconds between two looks: one save of an editor or of git makes many changes."""

Log = Callable[..., None]
"""Takes an event's name, and its fields by keyword."""
LOGGER = "authorities.attestation"
"""The name of attestation's logger, on one machine and in containers."""


class Drift:
    """An async context: watches targets from entry to exit.  The caller starts targets, and acts on their drift."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._found: dict[Target, str] = {}
        self._looked: dict[Target, float] = {}
        self._large: list[LargeRoot] = []
        self._news, self._reported = asyncio.Event(), asyncio.Event()
        self._paths: set[str] | None = set()
        self._looking = asyncio.Lock()
        self._next: dict[LargeRoot, asyncio.Task[None]] = {}
        self._measuring: dict[Target, asyncio.Task[None]] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start to watch.  Raises `OSError` if the kernel watches no more files for this user."""
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            self._watch = stack.enter_context(Watch())
            loop.add_reader(self._watch, self._read_watch)
            stack.callback(loop.remove_reader, self._watch)
            stack.callback(asyncio.create_task(self._look_at_reported()).cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def follow(self, root: LargeRoot) -> None:
        """Keep `root.changed` current from now on.

        Raises `OSError` if the kernel watches no more files for this user.
        """
        if root not in self._large:
            root.watch(self._watch)
            self._large.append(root)
            await self._look(root)

    def unfollow(self, root: LargeRoot) -> None:
        """Stop comparing these files, because no process can load them any more."""
        self._large.remove(root)
        root.unwatch(self._watch)

    async def add(self, target: Target) -> None:
        """Watch a target from now on.  Raises `OSError` if the kernel watches no more files for this user."""
        for root in target.large:
            await self.follow(root)
        self._found[target], self._looked[target] = "", time.monotonic()
        for small in target.small:
            small.watch(self._watch)
        self.check(target)
        self._publish()

    def remove(self, target: Target) -> None:
        self._looked.pop(target, None)
        self._found.pop(target, None)
        self._publish()

    @property
    def drifted(self) -> dict[str, str]:
        """The parties that run or could load files that are not as approved, each with these files."""
        return {target.party: files for target, files in self._found.items() if files}

    async def changes(self) -> AsyncIterator[dict[str, str]]:
        """Yield all parties that run, each with these files or "", now and again each time that this has changed."""
        while True:
            news = self._news
            yield dict.fromkeys((target.party for target in self._found), "") | self.drifted
            await news.wait()

    async def wait_until_drifted(self, target: Target, seconds: float) -> None:
        """Return when this target has drifted or ended, or after `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._found.get(target) == "":
                    await self._news.wait()

    def check(self, target: Target) -> str:
        """Compare a target's small roots.  Return which files of all its roots have changed, or why that is unknown.

        It is "" if none has.  An unknown state neither begins nor ends a drift.
        """
        if target not in self._found:
            return "not watched"
        files, unknown = _find_changes(target)
        if unknown and not files:
            return self._found[target] or unknown  # control: unknown-gets-no-certificate
        if self._found[target] != files:
            self._found[target] = files
            self._publish()
            event = {"changed": files} if files else {}
            self._log("drifted" if files else "restored", party=target.party_id, **event)
        return files

    def check_all(self) -> None:
        """Compare the small roots of every target."""
        for target in list(self._found):
            self.check(target)

    async def look(self, target: Target | None = None) -> None:
        """Compare all files that a target can load, or that any can.  Callers that wait for the same root share it."""
        began = time.monotonic()
        for root in target.large if target else list(self._large):
            await self._look(root)
        for looked_at in self._looked.keys() & ({target} if target else self._looked):
            if not any(root.unknown for root in looked_at.large):
                self._looked[looked_at] = began
        self.check_all()

    async def measure(self, target: Target) -> None:
        """Look at all files that a target can load, once for all who ask before it is done.

        It goes on when its callers give up, so that a slow disk does not keep a party from its identity: the next one
        who asks gets its result, once.
        """
        loop = asyncio.get_running_loop()
        if (measuring := self._measuring.get(target)) is None:
            measuring = self._measuring[target] = asyncio.create_task(self.look(target))
            measuring.add_done_callback(lambda done: loop.call_later(SECONDS_KEPT, self._forget, target, done))
        await asyncio.wait([measuring])
        self._forget(target, measuring)
        measuring.result()

    def _forget(self, target: Target, measured: asyncio.Task[None]) -> None:
        if self._measuring.get(target) is measured:
            del self._measuring[target]

    def seconds_since_look(self, target: Target) -> float:
        return time.monotonic() - self._looked.get(target, -math.inf)

    async def _look(self, root: LargeRoot) -> None:
        if root not in self._next:
            self._next[root] = asyncio.create_task(self._look_now(root))
        await asyncio.shield(self._next[root])

    async def _look_now(self, root: LargeRoot) -> None:
        async with self._looking:
            del self._next[root]  # callers from now on get the next look
            await asyncio.to_thread(root.look)  # a tenth of a second or more

    def _read_watch(self) -> None:
        try:
            reported = self._watch.read()
        except OSError as error:
            self._log("not watched", why=str(error))
            reported = None
        self._paths = None if reported is None or self._paths is None else self._paths | reported
        if self._paths != set():
            self._reported.set()

    async def _look_at_reported(self) -> None:
        while True:
            await self._reported.wait()
            self._reported.clear()
            paths, self._paths = self._paths, set()
            try:
                await (self.look() if paths is None else self._look_at(paths))
                self.check_all()
            except Exception as error:  # noqa: BLE001 - a bug, on one change; the next ones are looked at
                self._log("not looked at", why=repr(error))
            await asyncio.sleep(SECONDS_TO_GATHER)

    async def _look_at(self, paths: set[str]) -> None:
        for root in list(self._large):
            if held := [path for path in paths if root.holds(path)]:
                async with self._looking:
                    await asyncio.to_thread(root.look_at, held)

    def _publish(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _find_changes(target: Target) -> tuple[str, str]:
    """Return which files of a target have changed, and of which that is unknown."""
    wrong = [path for root in target.large for path in root.changed]
    unknown = [root.unknown for root in target.large if root.unknown]
    for root in target.small:
        try:
            wrong += root.differences()
        except NotMeasuredError as error:
            unknown.append(str(error))
        except MeasureError as error:
            wrong.append(str(error))
    return format_paths(wrong), format_paths(unknown)
