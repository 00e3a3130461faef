"""500 requests of strangers a second: what they cost the disk, and what they cost a user who is signed in.

scripts/run lab.flood [SECONDS]
"""

import asyncio
import statistics
import sys
import time
from dataclasses import dataclass

import httpx

from local.program import say, until_told
from local.system import ROOT, System, running
from zerotrust.spiffe.tls import user_context
from zt.login import sign_in

RATE = 500
CONNECTIONS = 10
REQUEST = b"POST /tasks HTTP/1.1\r\nhost: orchestrator\r\ncontent-length: 2\r\n\r\n{}"


@dataclass(frozen=True, slots=True)
class Flooded:
    """What was seen."""

    refused: int
    """Strangers that got their 401."""
    written: int
    """Bytes by which journal and log grew for them."""
    seconds: float
    """That it took."""
    quiet: list[float]
    """Milliseconds that each request of the user took before."""
    loud: list[float]
    """And in the flood."""

    def __str__(self) -> str:
        def told(times: list[float]) -> str:
            return f"p50 {statistics.median(times):.1f} ms, p99 {statistics.quantiles(times, n=100)[-1]:.1f} ms"

        factor = statistics.median(self.loud) / statistics.median(self.quiet)
        return (
            f"{self.refused} strangers refused in {self.seconds:.0f} s, {self.written} bytes written for them; "
            f"a user: {told(self.quiet)} without them, {told(self.loud)} with them, factor {factor:.2f}"
        )


async def flood(system: System, seconds: float) -> Flooded:
    """Measure a user for so many seconds, and then once more among strangers."""
    keycloak = system.keycloak
    login = await sign_in(
        keycloak.issuer, "walkthrough", "alice", keycloak.passwords["alice"], "reasoning.plan", verify=keycloak.tls
    )
    headers = {"authorization": f"Bearer {login.access_token}"}
    async with system.user() as user:
        user.base_url, user.headers = httpx.URL(system.address("orchestrator")), httpx.Headers(headers)
        quiet = await _plans(user, seconds)
        before, began = _written(system), time.perf_counter()
        refused, loud = await asyncio.gather(_strangers(system, seconds), _plans(user, seconds))
        await asyncio.sleep(1.5)  # what was counted is written once a second
        written, took = _written(system) - before, time.perf_counter() - began
    return Flooded(refused, written, took, quiet, loud)


async def _plans(user: httpx.AsyncClient, seconds: float) -> list[float]:
    took, end = [], time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        while (answer := await user.post("/plan", json={"request": "Summarise."})).status_code == 503:  # noqa: ASYNC110
            await asyncio.sleep(float(answer.headers["retry-after"]))  # as it is asked to; the wait counts
        answer.raise_for_status()
        took.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.02)
    return took


async def _strangers(system: System, seconds: float) -> int:
    return sum(await asyncio.gather(*(_stranger(system, seconds) for _ in range(CONNECTIONS))))


async def _stranger(system: System, seconds: float) -> int:
    """Over TLS and without a certificate: at the front door nobody needs one."""
    directory, address = system.directory, httpx.URL(system.place("orchestrator"))
    reader, writer = await asyncio.open_connection(
        address.host,
        address.port,
        ssl=user_context(system.authority.ca_file.read_text(), directory.parties),
        server_hostname=directory.names[system.address("orchestrator")],
    )
    refused, began = 0, time.perf_counter()
    for number in range(int(RATE / CONNECTIONS * seconds)):
        await asyncio.sleep(began + number * CONNECTIONS / RATE - time.perf_counter())
        writer.write(REQUEST)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r")[0]))
        refused += head.startswith(b"http/1.1 401 ")
    writer.close()
    return refused


def _written(system: System) -> int:
    lines = system.journal("orchestrator").read_bytes().splitlines()
    of_strangers = sum(len(line) + 1 for line in lines if b'"type":"counts","unverified"' in line)
    return of_strangers + system.log("orchestrator").stat().st_size


async def _main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    async with running(ROOT / "run" / "flood", say=say) as system:
        say(str(await flood(system, seconds)))
    return 0


if __name__ == "__main__":
    sys.exit(until_told(_main()))
