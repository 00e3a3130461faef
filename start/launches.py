"""The launches: every party of the registry, with its settings; and a compromised workload, if it is named."""

import os
from collections.abc import Callable, Mapping

from authorities.attestation.local.launch import Launch, LaunchError
from registration.names import POLICIES
from start.system import DEPLOYMENT, ROOT, System
from zerotrust.registry.model import Registry

INSIDER = "lab/compromised_workload"
"""The folder of the compromised workload; see `main.py` there."""

Parties = Callable[[System], Mapping[str, Launch]]
"""Returns the launches, by the address that each will listen on."""


def party_launches(system: System) -> dict[str, Launch]:
    """Return a launch for every party of the registry that runs measured code."""
    return {
        system.place(name): launch_of(system.registry, name, settings(system, name))
        for name in system.registry.launched
    }


def settings(system: System, name: str) -> dict[str, str]:
    """Return the variables for `zerotrust.settings`; only the registry gets the addresses of all parties."""
    party, policy = system.registry.authorities.registry, system.registry.authorities.policy
    common = {
        "ZT_REGISTRY": system.place(party),
        "ZT_REGISTRY_PARTY": party,
        "ZT_ISSUER": system.keycloak.issuer,
        "ZT_HOST": system.deployment.parties[name].host,
        "ZT_PORT": str(system.port(name)),
        "ZT_DATA": str(system.data(name)),
    }
    files = {
        party: {"ZT_FILES": str(ROOT), "ZT_DEPLOYMENT": str(DEPLOYMENT)},
        policy: {"ZT_POLICIES": str(ROOT / POLICIES)},
    }
    server = system.llama_stack if name == "inference" else None
    return common | files.get(name, {}) | (server.settings(os.environ) if server else {})


def insider_launch(system: System, name: str) -> Launch:
    """Return the launch of an intruder inside the workload `name`."""
    env = {"ZT_INSIDER_SOCKET": str(system.insider_socket(name))}
    return Launch(party_id=system.registry.id(name), name="insider", code=INSIDER, env=env)


def launch_of(registry: Registry, name: str, env: Mapping[str, str]) -> Launch:
    """Return the launch of a party that runs measured code, as in the registry.  Raises `LaunchError` for another."""
    if name not in registry.launched:
        raise LaunchError(f"{name}: not a party of the registry that is launched")
    return Launch(party_id=registry.id(name), name=name, code=registry.measured[name], env=env)
