"""The attacker's process: it shares the cores with the system, but no event loop.

scripts/run lab.load.attacker: one line of JSON on standard input has its parameters.  It prints when the attack has
started; at the end of the input, it stops and prints the answers that it got.
"""

import asyncio
import json
import ssl
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from authorities.attestation.local.authority import Authority
from lab.load.attacks import ATTACKS, Attacker
from local.keycloak import Keycloak
from local.system import DEPLOYMENT, ROOT, System
from zerotrust.issuer.discovery import Metadata
from zerotrust.registry.deployment import load_deployment
from zerotrust.registry.lock import load_lock
from zerotrust.registry.model import load_registry


def as_seen(parameters: dict[str, Any]) -> System:
    """Return the running system, as far as other processes can see it."""
    folder = Path(parameters["folder"])
    ca = folder / "ca.pem"
    tls = ssl.create_default_context(cafile=str(ca))
    metadata = Metadata(**parameters["metadata"])
    keycloak = SimpleNamespace(issuer=metadata.issuer, metadata=metadata, passwords=parameters["passwords"], tls=tls)
    registry, lock = load_registry(ROOT / "registry.yaml"), load_lock(ROOT / "registry.lock")
    deployment, authority = load_deployment(DEPLOYMENT, registry), SimpleNamespace(ca_file=ca)
    return System(registry, deployment, lock, folder, cast("Keycloak", keycloak), cast("Authority", authority))


async def main() -> None:
    """Attack until the input ends."""
    parameters = json.loads(await asyncio.to_thread(sys.stdin.readline))
    async with AsyncExitStack() as stack:
        attacker = Attacker(as_seen(parameters), stack)
        attack = asyncio.create_task(ATTACKS[parameters["attack"]](attacker))
        ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        while not attacker.seen and not attack.done():  # noqa: ASYNC110 - a Counter has no event
            await asyncio.sleep(0.01)
        print("at work", flush=True)
        await asyncio.wait((attack, ended), return_when=asyncio.FIRST_COMPLETED)
        if attack.done():
            attack.result()
        attack.cancel()
        await asyncio.gather(attack, return_exceptions=True)
        print(json.dumps(attacker.seen), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
