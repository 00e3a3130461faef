"""Whether each party has a place to run, on one machine and in containers, and the networks that it may use."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from registration.compose_file import ComposeError, load_compose
from registration.names import COMPOSE, PLACES
from zerotrust.authority.files.deployment import load_deployment
from zerotrust.authority.files.reading import RegistryError
from zerotrust.registry.model import Registry

DATA, JOURNALS = "/data", "/journals/"
"""Where a party's volume is in its container, and where others may read its journal."""
SETUP = "setup"
"""The service that enrols a model server in the registry's data, before the registry starts."""


def place_problems(root: Path, registry: Registry) -> list[str]:
    """Return what is missing or wrong in the files that say where parties run."""
    found = []
    for name in PLACES:
        try:
            load_deployment(root / name, registry)
        except RegistryError as error:
            found += str(error).replace(f"{root}/", "").splitlines()
    return found


def compose_problems(root: Path, registry: Registry) -> list[str]:
    """Return the mistakes in the file of the containers."""
    try:
        services = load_compose((root / COMPOSE).read_text())["services"]
    except (OSError, ComposeError) as error:
        return [f"{COMPOSE}: cannot be read ({error})"]
    return service_problems(services, registry)


def service_problems(services: Mapping[str, Any], registry: Registry) -> list[str]:
    """Return the parties without a container or data of their own, and the networks that contradict the registry.

    Pure.
    """
    running = {
        name: service
        for name in registry.measured
        for service, entry in services.items()
        if entry.get("build", {}).get("args", {}).get("CODE") == registry.parties[name].code[0]
    }
    found = [
        f"{COMPOSE}: {name} has no container: add a service with `CODE: {registry.parties[name].code[0]}`"
        for name in registry.measured
        if name not in running
    ]
    for name, service in running.items():
        without = " ".join(registry.parties[name].without)
        if services[service]["build"]["args"].get("WITHOUT", "") != without:
            found.append(f"{COMPOSE}: services.{service}.build.args: {name} needs `WITHOUT: {without}`")
    everybodys = {registry.authorities.registry, registry.authorities.audit, registry.authorities.policy}
    """Every party connects to these, in the one network that all are in."""
    callees = {name for name in running if registry.answers(name)} - everybodys
    for name in callees:
        alias = registry.dns_name(name)
        networks = services[running[name]]["networks"]
        here = [one for one in networks if alias in _aliases(services[running[name]], one)]
        if not here:
            found.append(f"{COMPOSE}: services.{running[name]}.networks: none has the alias {alias}")
            continue
        for other in sorted(running.keys() - {name} - everybodys):
            inside = here[0] in services[running[other]]["networks"]
            allowed = name in registry.parties[other].may_call
            if inside and registry.dns_name(other) in _aliases(services[running[other]], here[0]):
                continue  # the one that publishes ports is the own network of each party that people reach
            if inside != allowed:
                what = "missing, and" if allowed else "too much:"
                may = "may" if allowed else "may not"
                found.append(
                    f"{COMPOSE}: services.{running[other]}.networks: {here[0]} is {what} {other} {may} call {name}"
                )
    return sorted([*found, *_data_problems(services, running, registry)])


def _aliases(service: Mapping[str, Any], network: str) -> list[str]:
    return list((service["networks"][network] or {}).get("aliases", []))


def _data_problems(services: Mapping[str, Any], running: Mapping[str, str], registry: Registry) -> Iterator[str]:
    """Yield the parties whose data another container can write, or of whose data it can read more than the journal."""
    for name, service in sorted((name, running[name]) for name in running if name in registry.launched):
        volumes = [source for source, target, _ in _mounts(services[service]) if target == DATA]
        if len(volumes) != 1:
            yield f"{COMPOSE}: services.{service}.volumes: {name} needs one volume at {DATA}: `{service}:{DATA}`"
        for other, entry in services.items():
            if other == service or (name, other) == (registry.authorities.registry, SETUP):
                continue
            for source, target, read_only in _mounts(entry):
                if source in volumes and not (read_only and target.startswith(JOURNALS)):
                    yield (
                        f"{COMPOSE}: services.{other}.volumes: {source} is the data of {name}: "
                        f"give {name} a volume of its own, or mount this one under {JOURNALS} with `:ro`"
                    )


def _mounts(service: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Yield source, target and whether it is read-only, of each volume of a service, in either form."""
    for volume in service.get("volumes", ()):
        if isinstance(volume, str):
            source, _, rest = volume.partition(":")
            target, _, mode = rest.partition(":")
            yield source, target.rstrip("/"), "ro" in mode.split(",")
        else:
            yield volume.get("source", ""), volume["target"].rstrip("/"), volume.get("read_only", False)
