"""docs/reference/settings.md and registry-yaml.md: variables, ports, folders and keys, from what reads them."""

import re
from collections.abc import Iterator
from inspect import getsourcefile
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import start
from authorities.policy.main import PolicySettings
from authorities.registry.main import RegistrySettings
from console.settings import ConsoleSettings
from inference.settings import ModelSettings
from tests.reference.bounds import Bound
from tests.reference.source import documented, text_of
from tests.support.system import ROOT, deployment
from zerotrust.registry.model import NAME, Authorities, Freshness, Outside, Party, Registry, Scope
from zerotrust.settings import Settings

SERVICES: dict[str, type[BaseModel]] = {
    "every party": Settings,
    "the registry": RegistrySettings,
    "the policy authority": PolicySettings,
    "inference, with a Llama Stack server": ModelSettings,
    "the console": ConsoleSettings,
}
PORTS = {
    "start/keycloak/options.py": ("PORT", "HEALTH_PORT"),
    "start/llama_stack/ogx.py": ("PORT",),
    "start/llama_stack/server.py": ("SCRIPT_PORT",),
    "lab/before/llama_stack/running.py": ("PORT",),
}
KEYS: dict[str, type[BaseModel]] = {
    "": Registry,
    "authorities": Authorities,
    "scopes": Scope,
    "parties": Party,
    "outside": Outside,
    "freshness": Freshness,
}
_SETTINGS = """\
# Settings, ports, folders

`start/run tests.reference` writes this page. No setting weakens a check: if a test needs anything else, it composes a
service from Python objects.

## Settings of a service

A party reads these variables when it starts. Without containers, the runner sets them. In containers,
`docker-compose.yml` does, and attestation gives no identity to a party whose values differ from attestation's own.
`SPIFFE_ENDPOINT_SOCKET`, the address of the SPIFFE Workload API from which a party gets its identity, is set as well.
Rights are not settings: [registry.yaml](registry-yaml.md) has them. [zt](../how-to/operate.md) has other variables.
"""
_MAKE = """\
## Variables of make

Set them on the command line (`make up MODEL=llama-stack`), or in the environment.
"""
_COMPOSE = """\
## Variables of the containers

Set them for each command of `docker compose`, or once in a file `.env`.
[Run it in containers](../how-to/containers.md#settings) says which to choose before the first start.
"""
_PORTS = """\
## Ports

All are on 127.0.0.1. In containers, only those are published for which the last column names the variable that changes
them. There, parties talk on port 443 of their own addresses. A sign-in at the client `walkthrough` returns to
`http://127.0.0.1:8000/callback`, and nothing listens there.
"""
_REGISTRY = """\
# registry.yaml

`start/run tests.reference` writes this page from [the model](../../zerotrust/registry/model.py).
[Registration](../explain/attestation.md) explains what is derived from the file, and who approves it. If the file has a
mistake, it is refused with file, key and reason. `registry.lock` holds a digest of every entry, so a file that was
edited and not approved is not served. Comments and the order of keys do not matter.
"""


def settings() -> str:
    """Return docs/reference/settings.md."""
    sections = {_SETTINGS: _of_services(), _MAKE: _of_make(), _COMPOSE: _of_compose(), _PORTS: _ports()}
    folders = text_of(start).split("\n\n", 2)[2]
    return "\n\n".join([*("\n".join([text, *rows]) for text, rows in sections.items()), "## Folders", f"{folders}\n"])


def _table(*columns: str) -> str:
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"


def _of_services() -> Iterator[str]:
    yield _table("variable", "read by", "meaning")
    for who, model in SERVICES.items():
        said = documented(Path(getsourcefile(model) or ""))
        for name in [name for name in vars(model)["__annotations__"] if name in model.model_fields]:
            yield f"| `ZT_{name.upper()}` | {who} | {said[f'{model.__name__}.{name}']} |"


def _of_make() -> Iterator[str]:
    makefile = (ROOT / "Makefile").read_text()
    given = re.findall(r"^override GIVEN := ((?:.*\\\n)*.*)", makefile, re.MULTILINE)[0].replace("\\", "").split()
    said = dict(re.findall(r"^#   ([A-Z0-9_]+): (.+)$", makefile, re.MULTILINE))
    yield _table("variable", "meaning")
    yield from (f"| `{name}` | {said[name]} |" for name in dict.fromkeys(["PYTHON", *given, *said]))


def _of_compose() -> Iterator[str]:
    yield _table("variable", "default", "read by")
    found: dict[str, tuple[str, str]] = {}
    for file in (ROOT / "docker-compose.yml", *sorted(ROOT.glob("start/compose.*.yaml"))):
        for name, default in re.findall(r"\$\{(\w+):-([^}]*)\}", file.read_text()):
            found.setdefault(name, (default and f"`{default}`", file.name))
    yield from (f"| `{name}` | {default} | {file} |" for name, (default, file) in found.items())


def _ports() -> Iterator[str]:
    compose = (ROOT / "docker-compose.yml").read_text()
    published = {port: name for name, port in re.findall(r'"127\.0\.0\.1:\$\{(\w+):-(\d+)\}:', compose)}
    ports = {str(place.port): name for name, place in deployment().parties.items()}
    constants = [Bound(file, name) for file, names in PORTS.items() for name in names]
    ports |= {str(constant.value): constant.why for constant in constants}
    yield _table("port", "who listens", "in containers")
    for port, who in sorted(ports.items()):
        yield f"| {port} | {who} | {f'`{published[port]}`' if port in published else ''} |"


def registry() -> str:
    """Return docs/reference/registry-yaml.md."""
    return "\n".join([_REGISTRY, *(part for key, model in KEYS.items() for part in _keys(key, model))])


def _keys(key: str, model: type[BaseModel]) -> Iterator[str]:
    said, schema = documented(Path(getsourcefile(model) or "")), model.model_json_schema()
    yield f"## {key or 'The whole file'}\n\n{text_of(model)}\n"
    yield _table("key", "value", "", "meaning")
    for name in model.model_fields:
        presence = "required" if name in schema["required"] else "optional"
        text = said[f"{model.__name__}.{name}"] or f"See [below](#{name})."
        yield f"| `{name}` | {_value(schema['properties'][name])} | {presence} | {text} |"
    yield ""


def _value(schema: dict[str, Any]) -> str:
    """Return what a JSON Schema says of one value, as a reader of YAML would."""
    if either := schema.get("anyOf"):
        return _value(either[0])
    if values := schema.get("enum"):
        return " or ".join(f"`{one}`" for one in values)
    if items := schema.get("items"):
        return f"list of {_value(items)}"
    if "additionalProperties" in schema or "patternProperties" in schema:
        return "an entry for each name"
    bounds = [f"{schema['minimum']} to {schema['maximum']}"] if "maximum" in schema else []
    if schema.get("pattern") == NAME:
        return "name of a party"
    form = [f"`{schema['pattern']}`".replace("|", "\\|")] if "pattern" in schema else []
    return ", ".join([schema.get("type", "entry"), *bounds, *form])
