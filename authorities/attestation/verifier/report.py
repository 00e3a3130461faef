"""Tells the registry what does not run as approved: at once when it changes, and every second that nothing else has.

The whole state each time.  Its silence is news as well: services go on for as long as the registry's freshness allows.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import httpx

from zerotrust.limits.answers import MAX_ANSWER, ask
from zerotrust.registry.snapshot import bootstrap_directory
from zerotrust.spiffe.svid import Svid
from zerotrust.transport.pools import Connections

SECONDS_BETWEEN = 1


class Source(Protocol):
    """Whoever knows what has drifted: the authority."""

    def changes(self) -> AsyncIterator[dict[str, str]]:
        """Yield what has drifted, party to files, now and at each change."""

    def use(self, read_from: Mapping[str, str]) -> None:
        """Hear which files the registry goes by, by name, with their SHA-256."""

    def svid(self) -> Svid:
        """Make a new SVID of its own."""

    def log(self, event: str, **fields: object) -> None:
        """Write down what happened."""


async def report(address: str, source: Source) -> None:
    """Report to the registry at `address` until cancelled."""
    svid = source.svid()
    connections = Connections(bootstrap_directory(address, svid.trust_domain), svid)
    renew_at = _half(svid)
    news = source.changes()
    async with httpx.AsyncClient(transport=connections, timeout=SECONDS_BETWEEN) as http:
        drifted, heard, told = await anext(news), asyncio.ensure_future(anext(news)), ""
        try:
            while True:
                problem = ""
                try:
                    if time.time() >= renew_at:
                        connections.renew(svid := source.svid())
                        renew_at = _half(svid)
                    source.use(await _send(http, f"{address}/attestation", drifted))
                except Exception as error:  # noqa: BLE001 - nobody away, no descriptor left: whatever it is, it may pass
                    problem = f"{type(error).__name__} {error}"
                if problem != told:
                    source.log("not reported" if problem else "reported", why=problem)
                told = problem
                await asyncio.wait([heard], timeout=SECONDS_BETWEEN)
                if heard.done():
                    drifted, heard = heard.result(), asyncio.ensure_future(anext(news))
        finally:
            heard.cancel()
            await asyncio.wait([heard])  # else it is left pending when the event loop ends


async def _send(http: httpx.AsyncClient, url: str, drifted: Mapping[str, str]) -> dict[str, str]:
    """Return which files the registry goes by.  Raises whatever is in the way."""
    told = {"drifted": dict(drifted), "at": time.time()}
    status, answer = await ask(http, "POST", url, most=MAX_ANSWER, json=told)
    if status != 200:
        raise httpx.RemoteProtocolError(f"status {status}")
    return dict(json.loads(answer)["read_from"])


def _half(svid: Svid) -> float:
    return (time.time() + svid.not_after) / 2
