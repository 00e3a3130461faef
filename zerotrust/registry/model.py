"""Reads `registry.yaml`: which parties exist, what each may hold and whom it may call.

A mistake in the file is refused with file, key and reason; nobody starts on half a registry.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from zerotrust.errors import ZeroTrustError
from zerotrust.spiffe.svid import LONGEST_JWT_SVID, LONGEST_X509_SVID

NAME = r"^[a-z]+(/[a-z]+)?$"
"""What a party can be called."""
Name = Annotated[str, Field(pattern=NAME)]
ScopeName = Annotated[str, Field(pattern=r"^[a-z]+\.[a-z]+$")]
Department = Annotated[str, Field(pattern=r"^/[a-z]+$", max_length=64)]
Folder = Annotated[str, Field(pattern=r"^[a-z]+(/[a-z]+)*$")]

OPERATORS = "/operators"
"""The group of those who suspend, revoke and reinstate at the registry."""


class RegistryError(ZeroTrustError):
    """The registry cannot be used. The text names file, key and reason."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Scope(_Entry):
    """A permission at one kind of API; `high_risk` ones are confirmed with the issuer on every use."""

    served_by: list[Name] = Field(min_length=1)
    high_risk: bool = False


class Party(_Entry):
    """Somebody who takes part: a public client, a workload, or an authority outside the services."""

    kind: Literal["public client", "workload", "authority"]
    calls: list[Name] = []
    hands_on: list[ScopeName] = []
    life: Annotated[int, Field(ge=1, le=300)] | None = None
    code: list[Folder] = []
    port: Annotated[int, Field(ge=1024, le=65535)] | None = None


class Freshness(_Entry):
    """How old knowledge may get, in seconds.  It may be made shorter, and no longer than the README says."""

    keys: Annotated[int, Field(ge=1, le=300)]
    keys_cooldown: PositiveInt
    svid: Annotated[int, Field(ge=1, le=LONGEST_JWT_SVID)]
    x509_svid: Annotated[int, Field(ge=4, le=LONGEST_X509_SVID)]
    revocations: Annotated[int, Field(ge=1, le=3)]


class Registry(_Entry):
    """The whole file, checked against itself."""

    trust_domain: Annotated[str, Field(pattern=r"^[a-z0-9.-]+$")]
    realm: Annotated[str, Field(pattern=r"^[a-z]+$")]
    departments: list[Department] = Field(min_length=1)
    scopes: dict[ScopeName, Scope]
    parties: dict[Name, Party]
    freshness: Freshness

    def id(self, name: str) -> str:
        """The one name a party has everywhere: a workload's SPIFFE ID, a public client's client id."""
        if self.parties[name].kind == "public client":
            return name
        return f"spiffe://{self.trust_domain}/{name}"

    def dns_name(self, name: str) -> str:
        """The one DNS name in a party's certificate: `agent/reader` is `reader.agent.<trust domain>`."""
        return dns_name(name, self.trust_domain)

    def address(self, name: str) -> str:
        """A party's origin by its name in certificates: the same wherever it runs, and no place to connect to."""
        return f"https://{self.dns_name(name)}:{self.parties[name].port}"

    def scopes_at(self, name: str) -> list[str]:
        """The scopes that open this party's own APIs."""
        return [scope for scope, entry in self.scopes.items() if name in entry.served_by]

    @property
    def high_risk(self) -> frozenset[str]:
        """The scopes that are confirmed with the issuer on every use."""
        return frozenset(name for name, scope in self.scopes.items() if scope.high_risk)

    @property
    def public_clients(self) -> frozenset[str]:
        """The parties a person signs in with; only they may present a token without an actor."""
        return frozenset(name for name, party in self.parties.items() if party.kind == "public client")

    @property
    def workloads(self) -> list[str]:
        """The services: parties that take part in the tasks of users."""
        return [name for name, party in self.parties.items() if party.kind == "workload"]

    @property
    def launched(self) -> list[str]:
        """The parties that run measured code: the services, and authorities outside them."""
        return [name for name, party in self.parties.items() if party.code]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [
            *self._department_problems(),
            *self._scope_problems(),
            *self._party_problems(),
            *self._port_problems(),
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _department_problems(self) -> list[str]:
        return (
            [f"departments: {OPERATORS} runs this system, and is no department"]
            if OPERATORS in self.departments
            else []
        )

    def _scope_problems(self) -> list[str]:
        found = []
        for scope, entry in self.scopes.items():
            for name in entry.served_by:
                if name not in self.parties or self.parties[name].kind == "public client":
                    found.append(f"scopes.{scope}.served_by: {name!r} is no party that serves anything")
        return found

    def _party_problems(self) -> list[str]:
        found = []
        for name, party in self.parties.items():
            key = f"parties.{name}"
            found += [
                f"{key}.hands_on: unknown scope {scope!r}" for scope in party.hands_on if scope not in self.scopes
            ]
            if bool(party.calls) != bool(party.life):
                found.append(f"{key}.life: needed where there are calls, and only there")
            if party.kind == "workload" and not party.code:
                found.append(f"{key}.code: a workload runs measured code")
            if party.kind == "public client" and party.code:
                found.append(f"{key}.code: a public client runs none of ours")
            for callee in party.calls:
                found += self._call_problems(f"{key}.calls", name, callee)
        return found

    def _call_problems(self, key: str, name: str, callee: str) -> list[str]:
        target, caller = self.parties.get(callee), self.parties[name]
        if target is None or target.kind == "public client" or callee == name:
            return [f"{key}: {callee!r} is nobody this party could call"]
        if not set(self.scopes_at(callee)) & set(caller.hands_on):
            return [f"{key}: {callee!r} serves none of the scopes that {name!r} may hand on"]
        if target.life and caller.life and target.life > caller.life:
            return [f"parties.{callee}.life: {target.life} s is longer than the {caller.life} s of its caller {name!r}"]
        return []

    def _port_problems(self) -> list[str]:
        seen: dict[int, str] = {}
        found = []
        for name, party in self.parties.items():
            if party.port is None and party.kind != "public client":
                found.append(f"parties.{name}.port: missing")
            elif party.port is not None and (other := seen.setdefault(party.port, name)) != name:
                found.append(f"parties.{name}.port: {party.port} is already the port of {other!r}")
        return found


def dns_name(name: str, trust_domain: str) -> str:
    """The one DNS name in the certificate of a party of that name."""
    return ".".join([*reversed(name.split("/")), trust_domain])


class _StrictLoader(yaml.SafeLoader):
    """YAML, but a name given twice is a mistake and not a quiet overwrite."""


def _unique_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    for position, key in enumerate(keys):
        if key in keys[:position]:
            raise yaml.constructor.ConstructorError(
                None, None, f"duplicate name {key!r}", node.value[position][0].start_mark
            )
    return loader.construct_mapping(node)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def content(path: Path, *, hint: str = "") -> bytes:
    """Read a file.  Raises `RegistryError`, with a `hint`, where that cannot be done."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RegistryError(f"{path}: cannot be read ({error.strerror}){hint}") from error


def load_registry(path: Path) -> Registry:
    """Read and check the registry.  Raises `RegistryError` naming the file, the key and the reason."""
    return registry_of(content(path), path)


def registry_of(text: bytes, path: Path) -> Registry:
    """Check a registry that was read from `path`.  Raises `RegistryError` naming the file, the key and the reason."""
    try:
        return Registry.model_validate(yaml.load(text.decode(), _StrictLoader))  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RegistryError(f"{path}: {error}") from error
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            key = ".".join(str(part) for part in problem["loc"])
            why = problem["msg"].removeprefix("Value error, ")
            lines += [f"{path}: {key + ': ' if key else ''}{line}" for line in why.splitlines()]
        raise RegistryError("\n".join(lines)) from error


def party_entities(registry: Registry) -> list[dict[str, Any]]:
    """The registry's parties as Cedar entities: what each may hand on, whom it may call, what it serves."""

    def reference(name: str) -> dict[str, str]:
        return {"type": "Party", "id": registry.id(name)}

    return [
        {
            "uid": reference(name),
            "attrs": {
                "hands_on": party.hands_on,
                "calls": [{"__entity": reference(callee)} for callee in party.calls],
                "serves": registry.scopes_at(name),
            },
            "parents": [],
        }
        for name, party in registry.parties.items()
    ]
