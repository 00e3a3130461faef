"""Tells the registry what does not run as approved: at once when it changes, and every second that nothing else has.

The whole state each time.  Its silence is news as well: services go on for as long as the registry's freshness allows.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping

import httpx

from authorities.attestation.launch import Log
from zerotrust.bounded import MAX_ANSWER, ask
from zerotrust.connections import Connections, Directory
from zerotrust.known import SIGNER
from zerotrust.registry import dns_name
from zerotrust.svid import Svid

SECONDS_BETWEEN = 1


async def report(
    address: str, changes: Callable[[], AsyncIterator[Mapping[str, str]]], identity: Callable[[], Svid], log: Log
) -> None:
    """Report to the registry at `address` until cancelled.

    `changes` yields what has drifted, party to file, now and at each change; `identity` makes a new SVID.
    """
    svid = identity()
    name = dns_name(SIGNER, svid.trust_domain)
    directory = Directory({address: name}, {name: f"spiffe://{svid.trust_domain}/{SIGNER}"})
    connections = Connections(directory, svid)
    renew_at = _half(svid)
    news = changes()
    async with httpx.AsyncClient(transport=connections, timeout=SECONDS_BETWEEN) as http:
        drifted, heard, told = await anext(news), asyncio.ensure_future(anext(news)), ""
        while True:
            if time.time() >= renew_at:
                connections.renew(svid := identity())
                renew_at = _half(svid)
            problem = await _send(http, f"{address}/attestation", drifted)
            if problem != told:
                log("not reported" if problem else "reported", why=problem)
            told = problem
            await asyncio.wait([heard], timeout=SECONDS_BETWEEN)
            if heard.done():
                drifted, heard = heard.result(), asyncio.ensure_future(anext(news))


async def _send(http: httpx.AsyncClient, url: str, drifted: Mapping[str, str]) -> str:
    try:
        status, _ = await ask(http, "POST", url, most=MAX_ANSWER, json={"drifted": dict(drifted)})
    except (httpx.HTTPError, ValueError) as error:
        return f"{type(error).__name__} {error}"
    return "" if status == 200 else f"status {status}"


def _half(svid: Svid) -> float:
    return (time.time() + svid.not_after) / 2
