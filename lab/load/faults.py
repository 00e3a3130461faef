"""Faults: processes are killed or paused, and connections break; each for a while, in random order."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial

from authorities.attestation.local.launch import Launch, Launched
from lab.load.judge import Ban, Evidence
from lab.load.relay import BREAKS, Break, Relay
from start.child import stat_of
from start.system import System
from start.waiting import wait_until_listening

LONGER = 3.0
"""Seconds by which a fault may last longer than the registry's bound."""
REST = 1.0, 3.0
"""Seconds between two faults of a kind, for recovery."""

Fault = Callable[[], AbstractAsyncContextManager[None]]


class Faults:
    """The faults of a system.  Each is undone when it ends."""

    def __init__(self, system: System, evidence: Evidence, chance: random.Random) -> None:
        self._system, self._evidence, self._chance = system, evidence, chance

    def of_authorities(self) -> dict[str, Fault]:
        """Return the faults of Keycloak and the registry.  Keycloak is not killed, because it starts slowly."""
        return {
            "Keycloak paused": partial(self._pausing, "Keycloak", lambda: self._system.keycloak.pid),
            **self.of_processes([self._system.registry.authorities.registry]),
        }

    def of_processes(self, names: Iterable[str]) -> dict[str, Fault]:
        """Return the faults of these parties, by name."""
        table: dict[str, Fault] = {}
        for name in names:
            table[f"{name} paused"] = partial(self._pausing, name, partial(self._pid, name))
            table[f"{name} killed"] = partial(self._killing, name)
        return table

    def of_wires(self, relays: Mapping[str, Relay]) -> dict[str, Fault]:
        """Return the faults of the connections to the registry, by the party that is the client."""
        return {
            f"the wire of {name} {how}": partial(self._breaking, name, relay, how)
            for name, relay in relays.items()
            for how in BREAKS
        }

    async def go_on(self, table: Mapping[str, Fault]) -> None:
        """Cause these faults in a random order, again and again."""
        while True:
            for what in self._chance.sample(list(table), len(table)):
                async with table[what]():
                    self._evidence.faults.append(what)
                    await asyncio.sleep(self._chance.uniform(0.5, self._evidence.bound + LONGER))
                await asyncio.sleep(self._chance.uniform(*REST))

    @asynccontextmanager
    async def _pausing(self, name: str, pid: Callable[[], int]) -> AsyncIterator[None]:
        stopped = pid()
        os.kill(stopped, signal.SIGSTOP)
        try:
            while stat_of(stopped)[:1] not in ([], ["T"]):  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.005)
            with self._silence(name, "paused"):
                yield
        finally:
            os.kill(stopped, signal.SIGCONT)

    @asynccontextmanager
    async def _killing(self, name: str) -> AsyncIterator[None]:
        one = process(self._system, name)
        one.process.kill()
        try:
            await one.ended.wait()
            with self._silence(name, "killed"):
                yield
        finally:
            await one.ended.wait()
            await relaunch(self._system, one.launch)

    @asynccontextmanager
    async def _breaking(self, name: str, relay: Relay, how: Break) -> AsyncIterator[None]:
        async with relay.failing(how):
            if how == "lags":  # data still arrives, and the party checks its age
                yield
                return
            with self._silence(name, f"cut off ({how})"):
                yield

    @contextmanager
    def _silence(self, name: str, how: str) -> Iterator[None]:
        """For a block, note that every call that depends on this source has to be refused after the bound."""
        everybody, now = name not in self._system.registry.services, time.monotonic()
        ban = Ban(f"{name} {how}", lambda call: everybody or call.target == name, asked=now, since=now)
        self._evidence.silences.append(ban)
        try:
            yield
        finally:
            ban.until = time.monotonic()

    def _pid(self, name: str) -> int:
        return process(self._system, name).process.pid


def process(system: System, name: str) -> Launched:
    """Return the process of this party."""
    return next(one for one in system.authority.running if one.launch.name == name)


async def relaunch(system: System, launch: Launch) -> None:
    """Launch a party again, and wait until it answers."""
    await wait_until_listening(system, system.place(launch.name), await system.authority.launch(launch))
