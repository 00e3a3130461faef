"""The attacker's own process: it shares the cores with everybody, and no event loop with them.

scripts/run lab.load.attacker: one line of JSON on standard input says what it has got.  It says when it is at work;
the end of the input ends it, and then it prints what it was answered.
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


def as_seen(told: dict[str, Any]) -> System:
    """The running system, as far as somebody outside of its process sees it."""
    folder = Path(told["folder"])
    ca = folder / "ca.pem"
    tls = ssl.create_default_context(cafile=str(ca))
    metadata = Metadata(**told["metadata"])
    keycloak = SimpleNamespace(issuer=metadata.issuer, metadata=metadata, passwords=told["passwords"], tls=tls)
    registry, lock = load_registry(ROOT / "registry.yaml"), load_lock(ROOT / "registry.lock")
    deployment, authority = load_deployment(DEPLOYMENT, registry), SimpleNamespace(ca_file=ca)
    return System(registry, deployment, lock, folder, cast("Keycloak", keycloak), cast("Authority", authority))


async def main() -> None:
    """Attack until the input ends."""
    told = json.loads(await asyncio.to_thread(sys.stdin.readline))
    async with AsyncExitStack() as stack:
        attacker = Attacker(as_seen(told), stack)
        attack = asyncio.create_task(ATTACKS[told["attack"]](attacker))
        ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        while not attacker.seen and not attack.done():  # noqa: ASYNC110 - a Counter tells nobody of its first answer
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
