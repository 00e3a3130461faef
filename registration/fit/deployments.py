"""Whether each party has a place to run, on one machine and in containers, and the networks that it may use."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from registration.names import COMPOSE, PLACES
from zerotrust.registry.deployment import load_deployment
from zerotrust.registry.model import Registry, RegistryError


def of_places(root: Path, registry: Registry) -> list[str]:
    """Return what is missing or wrong in the files that say where parties run."""
    found = []
    for name in PLACES:
        try:
            load_deployment(root / name, registry)
        except RegistryError as error:
            found += str(error).replace(f"{root}/", "").splitlines()
    return found


def of_compose(root: Path, registry: Registry) -> list[str]:
    """Return the mistakes in the file that says which containers there are."""
    try:
        services = yaml.safe_load((root / COMPOSE).read_text())["services"]
    except (OSError, yaml.YAMLError, LookupError, TypeError) as error:
        return [f"{COMPOSE}: cannot be read ({error})"]
    return of_services(services, registry)


def of_services(services: Mapping[str, Any], registry: Registry) -> list[str]:
    """Return the parties without a container, and the networks that do not say what the registry says.  Pure."""
    running = {
        name: service
        for name in registry.launched
        for service, entry in services.items()
        if entry.get("build", {}).get("args", {}).get("CODE") == registry.parties[name].code[0]
    }
    found = [
        f"{COMPOSE}: {name} has no container: add a service with `CODE: {registry.parties[name].code[0]}`"
        for name in registry.launched
        if name not in running
    ]
    for name in running.keys() - {registry.authorities.registry}:
        alias = registry.dns_name(name)
        networks = services[running[name]]["networks"]
        here = [one for one, how in networks.items() if alias in (how or {}).get("aliases", [])]
        if not here:
            found.append(f"{COMPOSE}: services.{running[name]}.networks: none has the alias {alias}")
            continue
        for other in sorted(running.keys() - {name, registry.authorities.registry}):
            inside = here[0] in services[running[other]]["networks"]
            allowed = name in registry.parties[other].may_call
            if inside != allowed:
                what = "missing, and" if allowed else "too much:"
                may = "may" if allowed else "may not"
                found.append(
                    f"{COMPOSE}: services.{running[other]}.networks: {here[0]} is {what} {other} {may} call {name}"
                )
    return sorted(found)
