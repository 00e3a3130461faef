"""Run in a pod on Kubernetes: does it reach exactly whom registry.yaml lets its party connect to?

Without something that enforces NetworkPolicies, all pods reach one another, and nothing else would tell.
"""

import asyncio
import sys
from pathlib import Path

from registration.derived.kubernetes import KEYCLOAK, PORT, SPIRE_KEYS, callers
from zerotrust.authority.files.deployment import load_deployment
from zerotrust.authority.files.snapshot_files import load_registry
from zerotrust.registry.model import Registry

ROOT = Path(__file__).parents[1]
SECONDS, TRIES = 3, 20
"""How long a connection may take; how often those that are allowed are tried: a policy reaches a new pod late."""

Address = tuple[str, int]


def addresses(registry: Registry, root: Path) -> dict[str, Address]:
    """Return where each party, Keycloak, its database and SPIRE's keys are, by name."""
    places = load_deployment(root / "start" / "generated" / "kubernetes.yaml", registry).parties
    parties = {name: (places[name].host, places[name].port) for name in registry.launched}
    return parties | {KEYCLOAK: (KEYCLOAK, PORT), "database": ("database", 5432), "keys": (SPIRE_KEYS, PORT)}


def allowed(registry: Registry, name: str) -> set[str]:
    """Return whom a party, Keycloak or people may connect to, of those that have addresses.  Pure."""
    own = {"database", "keys"} if name == KEYCLOAK else set()
    return own | {callee for callee, those in callers(registry).items() if name in those}


async def reached(targets: dict[str, Address]) -> set[str]:
    """Return those to which a TCP connection can be opened."""

    async def connects(address: Address) -> bool:
        try:
            async with asyncio.timeout(SECONDS):
                _, writer = await asyncio.open_connection(*address)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    found = await asyncio.gather(*map(connects, targets.values()))
    return {name for name, there in zip(targets, found, strict=True) if there}


async def differences(name: str, targets: dict[str, Address], expected: set[str]) -> list[str]:
    """Return, a line for each, whom `name` reaches and may not, and whom it may reach and does not."""
    for _ in range(TRIES):
        found = await reached(targets)
        if expected <= found:
            break
        await asyncio.sleep(1)
    too_much = [f"{name} reaches {one}, which no entry of registry.yaml allows" for one in sorted(found - expected)]
    return [*too_much, *(f"{name} does not reach {one}, which it may call" for one in sorted(expected - found))]


async def main(name: str) -> int:
    """Print the differences of one source, and return the exit status."""
    registry = load_registry(ROOT / "registry.yaml")
    targets, expected = addresses(registry, ROOT), allowed(registry, name)
    targets.pop(name, None)
    found = await differences(name, targets, expected)
    print("\n".join(found or [f"{name} reaches {len(expected)} of {len(targets)}: those that it may"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
