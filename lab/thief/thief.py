"""The thief's acts: one use of a token, or a probe of every service that the tokens of one session reach."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any

import httpx

from demo.intruder import NO_CONNECTION, Intruder, answer_to, expiry_of, outcome
from demo.revocation_methods import LONGEST, READER, WRITER, Use, get_tokens, logout
from demo.ways import HELLO, OWN
from start.system import Running
from zt.people.authorities import REGISTRY
from zt.people.registry_client import RegistryClient

USER, TOOL = "alice", "tool/documents"
PAUSE = 0.02
"""Seconds between two calls of a service: shorter than any revocation takes, and the machine has other work."""
MOST_SECONDS = 60
"""Seconds of a probe: as long as its tokens live."""

Tell = Callable[[Mapping[str, Any]], Awaitable[None]]
"""Sends a line to whoever gave the order."""


def _read(use: Use, by: str = READER, token: str = "") -> Awaitable[httpx.Response]:
    return use.intruder.call_tool(by, token or use.t2, "read", id=OWN[USER])


async def _after_its_end(use: Use) -> httpx.Response:
    token = await use.intruder.token(READER, use.t1, TOOL, "tool.read", lifetime=1)
    await asyncio.sleep(max(0.0, expiry_of(token) - time.time()))
    return await _read(use, token=token)


async def _after_sign_out(use: Use) -> httpx.Response:
    """The first refusal, or the last answer if none comes."""
    await logout(use)
    until = time.monotonic() + LONGEST
    while (answer := await _read(use)).status_code != 401 and time.monotonic() < until:
        pass
    return answer


WAYS: Mapping[str, tuple[str, str, Callable[[Use], Awaitable[httpx.Response]]]] = {
    "another-service": (
        "T2",
        READER,
        lambda use: use.intruder.send(READER, "inference", "/v1/chat/completions", use.t2, json=HELLO),
    ),
    "another-process": ("T2", WRITER, lambda use: _read(use, WRITER)),
    "too-late": ("T2", READER, _after_its_end),
    "more-scope": ("T1", READER, lambda use: use.intruder.exchange(READER, use.t1, TOOL, "tool.read tool.write")),
    "after-sign-out": ("T2", READER, _after_sign_out),
}
"""The ways to use a token: which one, with whose certificate, and the request."""


class Thief:
    """Carries out orders, each with tokens of a session of its own; of each kind one at a time."""

    def __init__(self, system: Running, stack: AsyncExitStack) -> None:
        """`stack` closes the connections."""
        self._system, self._intruder = system, Intruder(system, stack)
        self.orders: Mapping[str, tuple[asyncio.Lock, Callable[..., Coroutine[Any, Any, None]]]] = {
            "use": (asyncio.Lock(), self.use),
            "probe": (asyncio.Lock(), self.probe),
        }

    async def use(self, tell: Tell, *, way: str) -> None:
        """Have T2 used by its holder, and then a token in one of `WAYS`.  Raises `KeyError` for any other."""
        token, by, ask = WAYS[way]
        use = await self._tokens()
        before = outcome(await _read(use))
        began = time.monotonic()
        answer = await ask(use)
        took = round(time.monotonic() - began, 3)
        sent = {"method": answer.request.method, "address": str(answer.request.url), "token": token, "by": by}
        await tell({"way": way, **sent, **_parts(outcome(answer)), "took": took, "before": before})

    async def probe(self, tell: Tell, *, agent: str = READER, seconds: int = 30) -> None:
        """Call each service again and again with the token for it, and tell each answer that differs from the last."""
        use = await self._tokens({READER: READER, WRITER: WRITER}[agent])
        calls, until = use.calls(), time.monotonic() + min(seconds, MOST_SECONDS)
        ids = {"user": use.claims["sub"], "session": use.claims["sid"], "token": use.claims["jti"]}
        await tell({"event": "began", **_now(), **ids, "services": [*calls]})
        async with asyncio.TaskGroup() as group:
            for name, ask in calls.items():
                group.create_task(_watch(tell, name, ask, until))
        await tell({"event": "end", **_now()})

    async def _tokens(self, agent: str = READER) -> Use:
        """Sign the user in, and get the tokens.  The operator's client that this needs has no user."""
        http = await self._intruder.client(None)
        nobody = RegistryClient(self._system.address(REGISTRY.party), http, "nobody", None)
        return await get_tokens(self._system, self._intruder, nobody, agent=agent, user=USER)


async def _watch(tell: Tell, name: str, ask: Callable[[], Awaitable[httpx.Response]], until: float) -> None:
    last: Mapping[str, Any] = {}
    while time.monotonic() < until:
        try:
            found = _parts(await answer_to(ask()))
        except httpx.TimeoutException:
            found = _parts(NO_CONNECTION)
        if found != last:
            last, refused = found, found["status"] in (401, 403)
            await tell({"event": "answer", "service": name, **_now(), **found, "refused": refused})
        await asyncio.sleep(PAUSE)


def _parts(answered: str) -> Mapping[str, Any]:
    """Return status and reason of an answer in words; without a connection, the status is 0."""
    status, _, reason = answered.partition(" ")
    return {"status": int(status), "reason": reason} if status.isdigit() else {"status": 0, "reason": answered}


def _now() -> dict[str, float]:
    return {"at": time.time(), "mono": time.monotonic()}
