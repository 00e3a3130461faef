"""Reports to the registry which parties run at this node, and which have drifted: at once, and every second.

Each report has the whole state of the node, which the verifier's certificate names.  Without reports, services go on
only as long as the registry's freshness allows.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import httpx

from zerotrust.hardening.pools import Connections
from zerotrust.limits.answers import MAX_ANSWER, ask
from zerotrust.registry.snapshot import bootstrap_directory
from zerotrust.spiffe.svid import Svid

SECONDS_BETWEEN = 1


class Source(Protocol):
    """What `report` needs of the attestation authority."""

    def changes(self) -> AsyncIterator[dict[str, str]]:
        """Yield the parties that run here, each with the files that differ or "", now and at each change."""

    def use(self, read_from: Mapping[str, str]) -> None:
        """Receive the SHA-256, by name, of the files that the registry has read."""

    def svid(self) -> Svid:
        """Return a new SVID of its own."""

    def log(self, event: str, **fields: object) -> None:
        """Log an event."""


async def report(address: str, party: str, source: Source) -> None:
    """Report to the registry at `address`, which is the party `party`, until cancelled."""
    svid = source.svid()
    connections = Connections(bootstrap_directory(address, party, svid.trust_domain), svid)
    renew_at = _half_life(svid)
    news = source.changes()
    async with httpx.AsyncClient(transport=connections, timeout=SECONDS_BETWEEN) as http:
        parties, change, logged = await anext(news), asyncio.ensure_future(anext(news)), ""
        try:
            while True:
                problem = ""
                try:
                    if time.time() >= renew_at:
                        connections.renew(svid := source.svid())
                        renew_at = _half_life(svid)
                    source.use(await _send(http, f"{address}/attestation", parties))
                except Exception as error:  # noqa: BLE001 - the registry is down, no descriptor is left: it may pass
                    problem = f"{type(error).__name__} {error}"
                if problem != logged:
                    source.log("not reported" if problem else "reported", why=problem)
                logged = problem
                await asyncio.wait([change], timeout=SECONDS_BETWEEN)
                if change.done():
                    parties, change = change.result(), asyncio.ensure_future(anext(news))
        finally:
            change.cancel()
            await asyncio.wait([change])  # otherwise it is still pending when the event loop ends


async def _send(http: httpx.AsyncClient, url: str, parties: Mapping[str, str]) -> dict[str, str]:
    """Send a report; return the digests of the files that the registry has read.  Raises any error on the way."""
    state = {"parties": dict(parties), "at": time.time()}
    status, answer = await ask(http, "POST", url, most=MAX_ANSWER, json=state)
    if status != 200:
        raise httpx.RemoteProtocolError(f"status {status}")
    return dict(json.loads(answer)["read_from"])


def _half_life(svid: Svid) -> float:
    return (time.time() + svid.not_after) / 2
