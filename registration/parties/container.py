"""The container of a party, and the network in which its callers reach it: the entries of `docker-compose.yml`."""

from typing import Any

from registration.compose_file import loaded
from registration.names import COMPOSE
from registration.parties.code import folder_of
from registration.parties.project import Project

JOURNALS = r"^(?=      - orchestrator:/journals/orchestrator:ro\n)"
"""Before it, in each service that reads the journals, goes that of another party."""


def services_of(project: Project) -> dict[str, Any]:
    """Return the services by name.  Raises `ComposeError`."""
    found: dict[str, Any] = loaded(project.text(COMPOSE))["services"]
    return found


def add_container(project: Project, party: str, *, callers: list[str], callees: list[str]) -> None:
    """Add a party's container, in the networks that its rights need.  Raises `PartyError`."""
    name, host = party.partition("/")[2], project.registry.dns_name(party)
    by_code = {entry.get("build", {}).get("args", {}).get("CODE"): key for key, entry in services_of(project).items()}
    service_of = {other: by_code[entry.code[0]] for other, entry in project.registry.parties.items() if entry.code}
    inside = "".join(f"      to-{service_of[callee]}: {{}}\n" for callee in callees)
    service = (
        f"  {name}:\n    <<: *party\n"
        f"    build: {{ context: ., target: party, args: {{ <<: *bases, CODE: {folder_of(party)} }} }}\n"
        f"    image: ${{COMPOSE_PROJECT_NAME:-zero-trust-agents}}/{name}\n"
        f"    environment: {{ <<: *party-settings, ZT_HOST: {host} }}\n"
        f'    volumes: ["identity:/run/identity:ro", "{name}:/data"]\n'
        f"    networks:\n      authorities: {{}}\n      to-{name}: {{ aliases: [{host}] }}\n{inside}"
        "    healthcheck: *own-address\n\n"
    )
    project.edit(COMPOSE, r"^(?=(?:  #[^\n]*\n)*  walkthrough:$)", service, f"+ service {name}")
    project.edit(COMPOSE, r"^(networks:\n)", rf"\1  to-{name}: {{ internal: true }}\n", f"+ network to-{name}")
    for caller in callers:
        block = rf"^(  {service_of[caller]}:\n(?:    [^\n]*\n)*?      authorities: \{{\}}\n)"
        project.edit(COMPOSE, block, rf"\1      to-{name}: {{}}\n", f"+ {service_of[caller]} in network to-{name}")
    project.edit(COMPOSE, r"^(volumes:\n)", rf"\1  {name}: {{}}\n", f"+ volume {name}")
    project.edit(COMPOSE, JOURNALS, _journal(party), "+ its journal, for those who read journals", times=0)


def _journal(party: str) -> str:
    return f"      - {party.partition('/')[2]}:/journals/{party.replace('/', '-')}:ro\n"
