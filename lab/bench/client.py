"""The user's client of `make bench`: runs the task with every variant in turn, and measures durations and CPU time.

It has a process of its own, because the process that starts the system also attests all parties.  Its standard input is
one line of JSON with what it needs; its standard output ends with one line of JSON with what it measured.
"""

import asyncio
import json
import os
import ssl
import sys
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypedDict

import httpx

from start.child import stat_of
from testkit.browser import sign_in
from zerotrust.registry.snapshot import Directory
from zt.people.client import user_client
from zt.people.login import Login

TASK = "What do we know about the leaked key?"
"""The smallest task that involves every party: it searches, reads one document and calls the model in between.  No call
of it is refused, so the unguarded parties do exactly the same."""
VARIANTS = {"no security": "none", "mutual TLS alone": "tls", "zero trust, warm": "", "zero trust, cold": ""}
"""The set of parties that runs each variant.  A cold task has a new token, so every hop of it exchanges."""
COLD, WARM = "zero trust, cold", "zero trust, warm"
TASKS = 8
"""Tasks of a variant in each round."""
SETTLE = 2.0
"""Seconds after the tasks of a round in which ledger and registry finish their work for them."""
LIFE = 200
"""Seconds for which a token is used; it lives 300 s."""
USERS = {"alice": None, "dana": "/engineering"}
"""The users of many tasks at once, with a department where one must be named: a person has at most 10 at once."""
CLIENTS, SECONDS, TURNS = 16, 3.0, 4
"""Tasks at once; seconds in which tasks are counted, and how often."""
TICKS = os.sysconf("SC_CLK_TCK")


class Measured(TypedDict):
    """The tasks of one variant in one round, in seconds."""

    took: list[float]
    cpu: dict[str, float]
    """By process; "machine" is all of them."""
    seconds: float


class Client:
    """One user, at every set of parties."""

    def __init__(self, given: dict[str, Any], sets: dict[str, httpx.AsyncClient], user: str) -> None:
        self._given, self._sets, self._user = given, sets, user
        self._logins = dict[str, tuple[Login, float]]()

    async def login(self, *, fresh: bool) -> Login:
        """Return a sign-in whose token is new, or still lives for as long as it is used."""
        kept = self._logins.get(self._user)
        if kept and not fresh and time.monotonic() < kept[1]:
            return kept[0]
        issuer, trusted = self._given["issuer"], ssl.create_default_context(cafile=self._given["ca"])
        password, scope = self._given["passwords"][self._user], self._given["scope"]
        login = await sign_in(issuer, "walkthrough", self._user, password, scope, verify=trusted)
        if not fresh:
            self._logins[self._user] = login, time.monotonic() + LIFE
            await self.run("", login)
        return login

    async def run(self, at: str, login: Login) -> float:
        """Run the task once; return its seconds.  Raises `RuntimeError` unless it ends as everywhere else."""
        url, department = f"{self._given['sets'][at]['orchestrator']}/tasks", USERS[self._user]
        body = {"request": TASK} | ({"department": department} if department else {})
        headers = login.key.headers("POST", url, login.access_token)
        began = time.monotonic()
        answer = await self._sets[at].post(url, json=body, headers=headers)
        took = time.monotonic() - began
        if answer.json().get("result", {}).get("event") != "finished":
            raise RuntimeError(f"{at}: {answer.text}")
        return took


def cpu_seconds(processes: dict[str, list[int]]) -> dict[str, float]:
    """Return the CPU time of each process by name, in seconds; of all processes of the machine as "machine"."""
    spent = {name: sum(sum(map(int, stat_of(pid)[11:13])) for pid in pids) for name, pids in processes.items()}
    user, nice, system, _idle, _wait, irq, soft, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    machine = user + nice + system + irq + soft + steal
    return {name: ticks / TICKS for name, ticks in [*spent.items(), ("machine", machine)]}


async def measure_round(client: Client, variant: str, processes: dict[str, list[int]]) -> Measured:
    """Run the tasks of one variant, none if it is "idle"; return durations and the CPU time of all processes."""
    times = 0 if variant == "idle" else TASKS
    logins = [await client.login(fresh=variant == COLD) for _ in range(times)]
    if variant == WARM:  # tokens of the last round may have expired
        await client.run(VARIANTS[WARM], logins[0])
        await asyncio.sleep(SETTLE)
    before, began = cpu_seconds(processes), time.monotonic()
    took = [await client.run(VARIANTS[variant], login) for login in logins]
    await asyncio.sleep(SETTLE)
    after, seconds = cpu_seconds(processes), time.monotonic() - began
    return {"took": took, "cpu": {name: after[name] - before[name] for name in before}, "seconds": seconds}


async def tasks_a_second(clients: list[Client], at: str) -> float:
    """Return how many tasks of many clients end in a second."""
    done, logins = 0, [await client.login(fresh=False) for client in clients]
    until = time.monotonic() + SECONDS

    async def run_in_turn(number: int) -> None:
        nonlocal done
        while time.monotonic() < until:
            await clients[number % len(clients)].run(at, logins[number % len(clients)])
            done += time.monotonic() < until

    await asyncio.gather(*map(run_in_turn, range(CLIENTS)))
    return done / SECONDS


async def main() -> None:
    """Measure all rounds, then many clients at once."""
    given = json.loads(sys.stdin.readline())
    processes = {**given["processes"], "client": [os.getpid()]}
    async with AsyncExitStack() as stack:
        sets = {name: user_client(Directory(*told), Path(given["ca"])) for name, told in given["directories"].items()}
        for http in sets.values():
            await stack.enter_async_context(http)
        alice, *_ = clients = [Client(given, sets, user) for user in USERS]
        rounds, per_second = defaultdict[str, list[Measured]](list), defaultdict[str, list[float]](list)
        for number in range(-1, given["rounds"]):  # the first only warms up
            print(f"Round {number + 1} of {given['rounds']}" if number >= 0 else "Warming up", flush=True)
            order = ["idle", *VARIANTS]
            # Forwards and backwards: otherwise a variant would always run after the same other.
            for variant in order if number % 2 else reversed(order):
                measured = await measure_round(alice, variant, processes)
                if number >= 0:
                    rounds[variant].append(measured)
        print(f"{CLIENTS} clients at once", flush=True)
        for turn in range(-1, TURNS):
            for variant in ("no security", WARM) if turn % 2 else (WARM, "no security"):
                counted = await tasks_a_second(clients, VARIANTS[variant])
                if turn >= 0:
                    per_second[variant].append(counted)
    print(json.dumps({"rounds": rounds, "per_second": per_second}))


if __name__ == "__main__":
    asyncio.run(main())
