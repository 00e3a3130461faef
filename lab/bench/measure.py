"""Runs the task with every variant in turn, while all of them are running; then counts the tasks of many clients."""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx

from lab.bench.client import Remote, remote
from lab.bench.numbers import Durations
from lab.bench.party.main import PORTS
from lab.bench.variants import cpu_seconds, snapshot_of
from start.progress import Say
from start.system import System
from zerotrust.identity import UnverifiedToken
from zerotrust.possession import UsedProofs, check_proof
from zt.people.key import Key
from zt.people.login import Login

TASK = "What do we know about the leaked key?"
"""The smallest task that involves every party: it searches, reads one document and calls the model in between.  None of
its calls is refused, so the unguarded parties do exactly the same."""
SLOW = f"{TASK} Take your time."
"""The same for a slow model; see `lab/bench/party/main.py`."""

LIFE, MARGIN = 300, 30
"""Seconds: the lifetime of alice's token, and the time before its expiry at which it is replaced."""
WARM_UP = 12
"""Tasks of each variant that are not counted."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to run the task: the set of parties, how often in a round, and whether with a new token."""

    name: str
    at: str
    times: int
    task: str = TASK
    fresh: bool = False


VARIANTS = (
    Variant("none", "none", 8),
    Variant("tls", "tls", 8),
    Variant("warm", "warm", 8),
    Variant("none15", "none", 3, SLOW),
    Variant("warm15", "warm", 3, SLOW),
    Variant("cold", "warm", 4, fresh=True),
)
(WARM,) = (one for one in VARIANTS if one.name == "warm")


class Client:
    """A user's client.  A new token is in no cache, so every hop of its task is a cold one.

    It proves its key for each request, before the time of the request begins.
    """

    def __init__(
        self, system: System, sets: Remote, keycloak: httpx.AsyncClient, login: Login, *, department: str | None = None
    ) -> None:
        """`sets` and `keycloak`: the HTTP clients for these; `department`: of a user who has several."""
        self._more = {"department": department} if department else {}
        self._system, self._sets, self._keycloak, self._refresh = system, sets, keycloak, login.refresh_token
        self._key, self._token = login.key, login.access_token
        self._until = time.monotonic() + login.expires_in - MARGIN
        self._answers: set[str] = set()

    async def run(self, variant: Variant) -> float:
        """Run the task once; return its seconds.  Raises `RuntimeError` unless it ends as everywhere else."""
        token = await self.fresh_token() if variant.fresh else self._token
        url = f"{snapshot_of(self._system, variant.at).addresses['orchestrator']}/tasks"
        body, headers = {"request": variant.task, **self._more}, self._key.headers("POST", url, token)
        took, answer = await self._sets.post(variant.at, url, body, headers)
        result = json.loads(answer).get("result", {})
        self._answers.add(str(result.get("text")))
        if result.get("event") != "finished" or len(self._answers) != 1:
            raise RuntimeError(f"{variant.name}: {answer}")
        return took

    async def stay_warm(self) -> None:
        """Replace the token if it is about to expire, and bring the new one into all caches."""
        if time.monotonic() > self._until:
            self._token, self._until = await self.fresh_token(), time.monotonic() + LIFE - MARGIN
            await self.run(WARM)

    async def fresh_token(self) -> str:
        """Return another token of the same session (RFC 6749 section 6)."""
        form = {"grant_type": "refresh_token", "client_id": "walkthrough", "refresh_token": self._refresh}
        url = self._system.keycloak.metadata.token_endpoint
        answer = await self._keycloak.post(url, data=form, headers={"dpop": self._key.prove("POST", url)})
        answer.raise_for_status()
        tokens = answer.json()
        self._refresh = tokens["refresh_token"]  # it is valid once
        return str(tokens["access_token"])


async def measure(system: System, *, rounds: int, say: Say) -> Durations:
    """Warm everything up, then measure."""
    measured = Durations()
    async with AsyncExitStack() as stack:
        asking = httpx.AsyncClient(verify=system.keycloak.tls, trust_env=False, timeout=60)
        await stack.enter_async_context(asking)
        sets = await stack.enter_async_context(remote(system, [*PORTS]))
        client = Client(system, sets, asking, await system.sign_in("alice"))
        say("Every variant warms up")
        for one in VARIANTS:
            for _ in range(WARM_UP):
                await client.run(one)
        tenth = max(1, rounds // 10)
        for number in range(rounds):
            if number % tenth == 0:
                say(f"Round {number + 1} of {rounds}")
            await client.stay_warm()
            # Forwards and backwards: otherwise the same variant would always run after an expensive one.
            for one in VARIANTS if number % 2 else reversed(VARIANTS):
                before = cpu_seconds(system, one.at)
                measured.tasks[one.name].append([await client.run(one) for _ in range(one.times)])
                measured.on_core[one.name].append((cpu_seconds(system, one.at) - before) / one.times)
    return measured


def measure_proofs() -> list[float]:
    """Return the CPU time of each of 1,000 checks of a proof, in seconds; each request of a person needs one."""
    key, token, url, now = Key(), UnverifiedToken("t" * 1500), "https://orchestrator.agents.example/tasks", time.time()
    proofs, bound_to, used = [key.prove("POST", url, token) for _ in range(1000)], key.thumbprint, UsedProofs(now)
    took = []
    for proof in proofs:
        began = time.thread_time()
        checked = check_proof(proof, token=token, key=bound_to, method="POST", url=url, now=now)
        used.remember(checked, user="alice", now=now)
        took.append(time.thread_time() - began)
    return took


USERS = {"alice": None, "dana": "/engineering"}
"""The users at work, with their departments where these must be named: one person has at most 10 tasks at once."""
CLIENTS = 16
"""Tasks at once."""
SECONDS_OF_A_TURN = 3.0
"""In which tasks are counted."""
TURNS = 4
COMPARED = tuple(one for one in VARIANTS if one.name in {"none", "warm"})


async def measure_throughput(system: System, measured: Durations) -> None:
    """Measure, and add the tasks a second of each turn."""
    async with AsyncExitStack() as stack:
        keycloak = httpx.AsyncClient(verify=system.keycloak.tls, trust_env=False, timeout=60)
        await stack.enter_async_context(keycloak)
        sets = await stack.enter_async_context(remote(system, [one.at for one in COMPARED]))
        clients = [
            Client(system, sets, keycloak, await system.sign_in(name), department=department)
            for name, department in USERS.items()
        ]
        for one in COMPARED:  # connections and tokens
            await _count_tasks(clients, one)
        for turn in range(TURNS):
            for one in COMPARED if turn % 2 else reversed(COMPARED):
                measured.per_second[one.name].append(await _count_tasks(clients, one) / SECONDS_OF_A_TURN)


async def _count_tasks(clients: Sequence[Client], variant: Variant) -> int:
    """Return how many tasks end within `SECONDS_OF_A_TURN`."""
    until, done = time.monotonic() + SECONDS_OF_A_TURN, 0

    async def one_after_the_other(client: Client) -> None:
        nonlocal done
        while time.monotonic() < until:
            await client.run(variant)
            done += time.monotonic() < until

    await asyncio.gather(*(one_after_the_other(clients[number % len(clients)]) for number in range(CLIENTS)))
    return done
