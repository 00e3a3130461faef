"""`make bench`, third part: what a revocation, and a reconnection, cost a process as more and more is revoked.

Nothing is started: each part is what the processes run, fed by hand.  A hold is the longest time for which nothing else
had its turn in the event loop; it is counted on the core, for what else the machine does is none of it.
"""

import asyncio
import datetime as dt
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import httpx

from authorities.attestation.local.svid_issuer import Issuer
from authorities.registry.state import State
from authorities.registry.stream import Stream
from lab.bench.numbers import percentile
from local.system import ROOT
from zerotrust.gate import Gate
from zerotrust.identity import Principal
from zerotrust.registry.events import heartbeat
from zerotrust.registry.feed import RegistryFeed
from zerotrust.registry.files import load_policy
from zerotrust.registry.lock import load_lock
from zerotrust.registry.model import Registry, load_registry
from zerotrust.registry.snapshot import REGISTRY_PARTY, RegistrySnapshot
from zerotrust.registry.topics import HEARTBEAT
from zerotrust.revocation import Revocations
from zerotrust.revocation_list import Revocable
from zerotrust.spiffe.statement import sign
from zerotrust.spiffe.svid import Svid
from zerotrust.testing import principal

FEW, MANY = 100, 100_000
REMEMBERED, WATCHED = 10_000, 100
AGENT = "spiffe://agents.example/agent/reader"


def caller(number: int) -> Principal:
    """Somebody of whom nothing is revoked."""
    return principal(
        subject=f"user-{number}",
        party=AGENT,
        actors=(AGENT, "spiffe://agents.example/orchestrator"),
        token_id=f"T2-{number}",
        lineage=(f"T0-{number}", f"T1-{number}"),
        session=f"session-{number}",
        expires_at=2**40,
    )


def revoked(entries: int) -> dict[Revocable, str]:
    """So many revoked sessions of others."""
    return {("session", f"{number:08}-4b3e-4a60-8f0e-b0b0b0b0b0b0"): "keycloak: logout" for number in range(entries)}


def check_us(calls: int = 20_000) -> float:
    """Microseconds that the check takes which every call goes through, where a thousand sessions are revoked."""
    revocations, somebody = Revocations(clock=time.monotonic), caller(0)
    revocations.replace(0, revoked(1000))
    revocations.bound = 3600
    revocations.confirm(0, 0.0)
    began = time.perf_counter()
    for _ in range(calls):
        revocations.of(somebody)
    return (time.perf_counter() - began) / calls * 1e6


def revocation_us(entries: int, tries: int = 300) -> list[float]:
    """Microseconds of a party's loop that one revoked token costs, where so many entries are known."""
    revocations, nothing = Revocations(clock=time.monotonic), cast("Any", None)
    revocations.replace(0, revoked(entries))
    others = dict.fromkeys(("expected", "keys", "policy", "confirm", "recorder"), nothing)
    gate = Gate(nothing, routes={}, revocations=revocations, **others)
    gate._token_cache._seen |= {b"%d" % number: ("", nothing, caller(number)) for number in range(REMEMBERED)}
    took = []
    with ExitStack() as stack:
        for number in range(WATCHED):
            stack.enter_context(revocations.watching(caller(number), lambda _: None))
        for number in range(1, tries + 1):
            began = time.perf_counter()
            revocations.change(number, ("token", f"revoked-{number}"), "keycloak: revoked")
            took.append((time.perf_counter() - began) * 1e6)
    return took


async def longest_hold(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Milliseconds of a core for which the work held the loop at a time at most, and that it took in all."""
    longest, over = 0.0, False

    async def look() -> None:
        nonlocal longest
        while not over:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    looking, began = asyncio.create_task(look()), time.thread_time()
    await asyncio.sleep(0)
    await work()
    took, over = time.thread_time() - began, True
    await looking
    return longest * 1e3, took * 1e3


async def reconnection_ms(entries: int) -> dict[str, tuple[float, float]]:
    """For the registry and for a party, the longest hold and the whole time of a reconnection with so many entries."""
    registry = load_registry(ROOT / "registry.yaml")
    known = RegistrySnapshot(registry=registry, addresses={}, approved=load_lock(ROOT / "registry.lock").parties)
    svid, lines = _svid(registry), list[str]()
    with tempfile.TemporaryDirectory() as folder:
        kept = State(Path(folder) / "revocations.db")
        async with kept.opened():
            for subject, cause in revoked(entries).items():
                kept._all.add(subject, cause, time.time())
            stream = Stream(kept, revocations=Revocations(clock=time.monotonic), identity=lambda: svid)
            await stream.publish(known, load_policy(ROOT / "authorities" / "policy"))
            stream.note_read("attestation", time.monotonic())
            stream.note_read("keycloak", time.monotonic())

            async def begin() -> None:
                following = stream.follow(AGENT, time.time() + 60)
                async for line in following:
                    lines.append(line)
                    if len(lines) == 3 + max(1, entries // 1000):
                        return

            at_the_registry = await longest_hold(begin)

    async def sent(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=_sent(lines, svid))

    revocations = Revocations(clock=time.monotonic)
    http = httpx.AsyncClient(transport=httpx.MockTransport(sent))
    feed = RegistryFeed("https://registry.test", http=http, identity=lambda: svid, revocations=revocations)

    async def apply_event() -> None:
        async with feed.opened():
            assert len(revocations.revoked) == entries  # noqa: S101 - or nothing was measured

    return {"registry": at_the_registry, "party": await longest_hold(apply_event)}


async def _sent(lines: list[str], svid: Svid) -> AsyncIterator[bytes]:
    """What the registry has said, as it comes from a socket; then its heartbeats."""
    said = "".join(lines).encode()
    for start in range(0, len(said), 1 << 16):
        yield said[start : start + (1 << 16)]
    while True:
        numbers = {"registry": 1, "policy": 1, "revocations": 0}
        beat = heartbeat(svid.id, numbers, {"attestation": 0.0, "keycloak": 0.0})
        yield f"{sign(beat, svid, kind=HEARTBEAT.type)}\n".encode()
        await asyncio.sleep(0.1)


def _svid(registry: Registry) -> Svid:
    issuer = Issuer(registry.trust_domain)
    now = dt.datetime.now(dt.UTC)
    key, certificate = issuer.x509_svid(
        registry.id(REGISTRY_PARTY), registry.dns_name(REGISTRY_PARTY), now=now, life=120
    )
    return Svid.from_der(key, certificate, [issuer.ca_der])


def measured() -> dict[str, float]:
    """All of it, by its names in `run/bench.json`."""
    numbers = {"check_us": check_us()}
    for entries in FEW, MANY:
        took = revocation_us(entries)
        numbers |= {f"revocation_{entries}_us_p{percent}": percentile(took, percent) for percent in (50, 99)}
    for where, (hold, whole) in asyncio.run(reconnection_ms(MANY)).items():
        numbers |= {f"reconnection_{where}_hold_ms": hold, f"reconnection_{where}_ms": whole}
    return numbers


def told(numbers: dict[str, float]) -> list[str]:
    """The same, in lines to read."""
    few, many = (numbers[f"revocation_{n}_us_p50"] for n in (FEW, MANY))
    return [
        f"{numbers['check_us']:6.2f} us  to check on a call whether anything of it is revoked",
        f"{few:6.1f} us  of a party's loop for one more revoked token, with {FEW} revoked",
        f"{many:6.1f} us  the same with {MANY:,} revoked: {many / few:.1f} times as much",
        f"           both with {REMEMBERED:,} tokens remembered, and {WATCHED} calls under way",
        *(
            f"{numbers[f'reconnection_{where}_hold_ms']:6.1f} ms  the longest hold of the loop {whose} when a party "
            f"reconnects with {MANY:,} revoked; {numbers[f'reconnection_{where}_ms']:.0f} ms in all"
            for where, whose in (("registry", "at the registry"), ("party", "of that party"))
        ),
    ]


if __name__ == "__main__":
    print("\n".join(told(measured())))
