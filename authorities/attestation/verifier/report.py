"""Reports to the registry which parties run at this node, and which have drifted: at once, and every second.

Each report has the whole state of the node, which the verifier's certificate names.  Without reports, services go on
only as long as the registry's freshness allows.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping

import httpx

from authorities.attestation.verifier.drift import Log
from zerotrust.hardening.pools import Connections
from zerotrust.limits.answers import MAX_ANSWER, ask
from zerotrust.registry.snapshot import bootstrap_directory
from zerotrust.spiffe.svid import Svid

SECONDS_BETWEEN = 1


async def report(  # noqa: PLR0913 - the registry, and what it is told
    address: str,
    party: str,
    news: AsyncIterator[dict[str, str]],
    *,
    svid: Callable[[], Svid],
    log: Log,
    use: Callable[[Mapping[str, str]], None] = lambda _: None,
) -> None:
    """Report to the registry at `address`, which is the party `party`, until cancelled.

    `news` yields the parties that run here, each with the files that differ or "", now and at each change; `svid`
    returns a new SVID of attestation; `use` receives the SHA-256, by name, of the files that the registry has read.
    """
    own = svid()
    connections = Connections(bootstrap_directory(address, party, own.trust_domain), own)
    renew_at = _half_life(own)
    async with httpx.AsyncClient(transport=connections, timeout=SECONDS_BETWEEN) as http:
        parties, change, logged = await anext(news), asyncio.ensure_future(anext(news)), ""
        try:
            while True:
                problem = ""
                try:
                    if time.time() >= renew_at:
                        connections.renew(own := svid())
                        renew_at = _half_life(own)
                    use(await _send(http, f"{address}/attestation", parties))
                except Exception as error:  # noqa: BLE001 - the registry is down, no descriptor is left: it may pass
                    problem = f"{type(error).__name__} {error}"
                if problem != logged:
                    log("not reported" if problem else "reported", why=problem)
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
