"""Derives `docker-compose.yml`: what `start/compose.yaml` has, and a container for each service.

A service listens in a network of its own, which it shares with those that may call it; or in `edge`, with a published
port, if people call it.
"""

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import yaml

from registration.derived.kubernetes import label
from zerotrust.registry.model import Registry

TEMPLATE, FILE, OTHERS = "start/compose.yaml", "docker-compose.yml", "start/compose.*.yaml"
HEADER = f"# Written by `make register` from registry.yaml and {TEMPLATE}: change those.\n"


def service(name: str) -> str:
    """Return the name of a party's service, and of its volume: the last part of its own."""
    return name.rpartition("/")[2]


def with_packages(registry: Registry, root: Path) -> set[str]:
    """Return the parties with packages of their own: their images are built by a target of that name."""
    return {name for name in registry.services if (root / f"start/locks/requirements.{service(name)}.lock").exists()}


def text(registry: Registry, template: str, packaged: Collection[str]) -> str:
    """Return `docker-compose.yml`.  Pure.

    `template`: `start/compose.yaml`.  The lines of all services replace its comments `# parties: ...`.
    """
    services = registry.services
    parts = {
        "services": "\n".join(_service(registry, name, packaged) for name in services),
        "networks": "".join(f"  {_network(name)}: {{ internal: true }}\n" for name in _inside(registry)),
        "volumes": "".join(f"  {service(name)}: {{}}\n" for name in services),
        "journals": "".join(f"      - {service(name)}:/journals/{label(name)}:ro\n" for name in services),
    }
    return HEADER + re.sub(r"^ *# parties: (\w+)\n", lambda found: parts[found[1]], template, flags=re.MULTILINE)


def names_in_use(root: Path) -> dict[str, str]:
    """Return the kind and file of each service, volume and network by its name: `volume keys in docker-compose.yml`."""
    files = [root / FILE, *sorted(root.glob(OTHERS))]
    contents = [(str(file.relative_to(root)), yaml.safe_load(file.read_text())) for file in files]
    return {
        name: f"{kind[:-1]} {name} in {file}"
        for kind in ("networks", "volumes", "services")
        for file, content in reversed(contents)
        for name in content.get(kind) or {}
    }


def _network(name: str) -> str:
    return f"to-{service(name)}"


def _for_people(registry: Registry, name: str) -> bool:
    """Return whether programs of people call a party, or browsers reach it."""
    people = [party for party in registry.parties.values() if party.id == "client"]
    return bool(registry.browser_hosts(name)) or any(name in party.may_call for party in people)


def _inside(registry: Registry) -> list[str]:
    """Return the parties that listen in a network of their own."""
    return [name for name in registry.services if not _for_people(registry, name)]


def _service(registry: Registry, name: str, packaged: Collection[str]) -> str:
    own, host = service(name), registry.dns_name(name)
    target = own if name in packaged else "party"
    inside = _inside(registry)
    joined: dict[str, Any] = {"authorities": {}}
    joined[_network(name) if name in inside else "edge"] = {"aliases": [host]}
    joined |= {_network(callee): {} for callee in registry.parties[name].may_call if callee in inside}
    return "\n".join(
        [
            f"  {own}:",
            "    <<: *party",
            f"    build: {{ <<: *build, target: {target}, args: {{ <<: *bases, CODE: {registry.measured[name]} }} }}",
            f"    image: ${{COMPOSE_PROJECT_NAME:-zero-trust-agents}}/{own}",
            f"    environment: {{ <<: *party-settings, ZT_HOST: {host} }}",
            f'    volumes: ["identity:/run/identity:ro", "{own}:/data"]',
            "    networks:",
            *(f"      {network}: {_flow(options)}" for network, options in joined.items()),
            *_published(registry, name),
            "    healthcheck: *listens\n",
        ]
    )


def _published(registry: Registry, name: str) -> Iterable[str]:
    """Yield a party's published port.  Where a sign-in ends there, its address has the port, which then is fixed."""
    port = registry.parties[name].port
    if registry.browser_hosts(name):
        yield f'    ports: ["127.0.0.1:{port}:443"] # as in its redirect URI in registry.yaml'
    elif _for_people(registry, name):
        yield f'    ports: ["127.0.0.1:${{ZT_{service(name).upper()}_PORT:-{port}}}:443"]'


def _flow(options: dict[str, Any]) -> str:
    return yaml.safe_dump(options, default_flow_style=True).strip()
