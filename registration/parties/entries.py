"""The entries of a party and of a scope, in the registry, the deployments and the schema of the policies."""

import re

import yaml

from registration.names import CONTAINERS, LOCAL, PLANNER, SCHEMA
from registration.parties.code import folder_of
from registration.parties.project import Project
from zerotrust.registry.lock import REGISTRY
from zerotrust.registry.model import Registry

FIRST_PORT, LAST_PORT = 8101, 8199


def add_scope(project: Project, scope: str, server: str) -> None:
    """Add a scope that one party serves.  Raises `PartyError`."""
    line = f"  {scope}: {{ served_by: [{server}] }}\n"
    project.edit(REGISTRY, r"^(scopes:\n(?:  [^\n]*\n)*)", rf"\1{line}", f"+ scope {scope}, served by {server}")
    project.edit(SCHEMA, r'(?<=")(\s*in \[Action::"use"\])', rf', "{scope}"\1', f'+ action "{scope}"')


def add_party(project: Project, party: str, rights: str) -> None:
    """Add a party and where it listens.  `rights`: lines of its entry.  Raises `PartyError`."""
    entry = (
        f"  {party}:\n    id: spiffe\n    keycloak: confidential\n{rights}    code: [{folder_of(party)}, zerotrust]\n\n"
    )
    before = re.escape(project.registry.authorities.registry)
    project.edit(REGISTRY, rf"^(?=  {before}:$)", entry, f"+ party {party}")
    taken = [place["port"] for place in yaml.safe_load(project.text(LOCAL))["parties"].values()]
    port = next(number for number in range(FIRST_PORT, LAST_PORT + 1) if number not in taken)
    for file, host, number in (LOCAL, "127.0.0.1", port), (CONTAINERS, project.registry.dns_name(party), 443):
        line = f"  {party}: {{ host: {host}, port: {number} }}\n"
        project.edit(file, rf"^(?=  {before}:)", line, f"+ {party} at port {number}")


def on_the_way(registry: Registry) -> list[str]:
    """Return who has to delegate a scope before an agent gets it: the planner, and the clients that call it."""
    parties = registry.parties.items()
    return [PLANNER, *(name for name, party in parties if party.starts_chains and PLANNER in party.may_call)]
