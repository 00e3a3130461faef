"""What the project's own files say: ports, issuer, and the name of the Compose project.  Pure.

Read with patterns, because the standard library has no YAML.  A test compares it with what YAML says.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

SERVICES = {
    "setup": "passwords and realm",
    "attestation": "identities",
    "database": "Keycloak's database",
    "keycloak": "tokens",
    "registry": "who may call whom",
    "policy": "the policies",
    "audit": "the log of all records",
    "orchestrator": "a party",
    "reader": "a party",
    "writer": "a party",
    "documents": "a party",
    "inference": "a party",
}
"""All services of docker-compose.yml that `up` starts, in the order in which one's failure explains the next one's."""
OF_LLAMA_STACK = {"scripted-model": "a model server", "llama-stack": "the Llama Stack server"}
"""The services that compose.llama-stack.yaml adds, in the same order."""
ONCE = "setup"
"""The service that ends after its work."""


@dataclass(frozen=True, slots=True)
class Project:
    """The facts about this tree."""

    name: str
    """Of the Compose project."""
    issuer: str
    ports: dict[int, dict[str, str]]
    """Who needs a port, by the way of starting: `containers` or `local`."""


def project(compose: str, deployment: str, keycloak: str, variables: Mapping[str, str]) -> Project:
    """Return the facts from docker-compose.yml, deploy/local.yaml and local/keycloak_options.py.

    `variables`: those that Compose has.  Raises `LookupError` if a text is another than expected.
    """
    compose = re.sub(r"\$\{(\w+):-(\w*)\}", lambda found: variables.get(found[1]) or found[2], compose)
    ports: dict[int, dict[str, str]] = {}
    service = ""
    for line in compose.splitlines():
        if found := re.fullmatch(r"  ([a-z]+):", line):
            service = found[1]
        elif found := re.fullmatch(r'    ports: \["127\.0\.0\.1:(\d+):\d+"\]', line):
            ports.setdefault(int(found[1]), {})["containers"] = service
    for party, port in re.findall(r"^  (\S+): \{.*port: (\d+)", deployment, re.MULTILINE):
        ports.setdefault(int(port), {})["local"] = party
    for port in re.findall(r"^(?:HEALTH_)?PORT = (\d+)", keycloak, re.MULTILINE):
        ports.setdefault(int(port), {})["local"] = "Keycloak"
    [written] = re.findall(r"^name: (\S+)", compose, re.MULTILINE)[:1] or [""]
    [issuer] = re.findall(r"ZT_ISSUER: (?:&\w+ )?(\S+)", compose)[:1] or [""]
    if not (ports and written and issuer):
        raise LookupError("docker-compose.yml is not as this program knows it")
    return Project(variables.get("COMPOSE_PROJECT_NAME") or written, issuer, ports)
