"""Reads the registry, `registry.yaml`: the parties, the scopes that they may hold, and the calls that are allowed.

An invalid file is refused as a whole, with file, key and reason.
"""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from zerotrust.revocation_list import LONGEST_LIFE
from zerotrust.spiffe.svid import LONGEST_JWT_SVID, LONGEST_X509_SVID

NAME = r"^[a-z]+(-[a-z]+)*(/[a-z]+)?$"
"""A party's name."""
Name = Annotated[str, Field(pattern=NAME)]
ScopeName = Annotated[str, Field(pattern=r"^[a-z]+\.[a-z]+$")]
Department = Annotated[str, Field(pattern=r"^/[a-z]+$", max_length=64)]
REDIRECT = r"^(https://[a-z0-9-]+(\.[a-z0-9-]+)+|http://127\.0\.0\.1)(:[0-9]+)?/[a-z0-9/-]*$"
"""Over TLS, to a host that is a full name, because it is in the party's certificate; or to a program on the user's own
machine (RFC 8252 section 7.3)."""
ISSUER = r"^https://[^\s/?#@]+(/[^\s?#]*)?$"
"""The name of an issuer: an https address without a query and a fragment (RFC 8414 section 2)."""
Folder = Annotated[str, Field(pattern=r"^[a-z]+(/[a-z]+)*$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256, in hex."""

OPERATORS = "/operators"
"""The group of users who may suspend, revoke and reinstate at the registry."""


class Entry(BaseModel):
    """A part of a file.  It is strict, so that a mistake is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Scope(Entry):
    """A permission at one kind of API.

    If it is of `high_risk`, each use of it introspects the token, and only a party with a SPIFFE ID may use it.
    """

    served_by: list[Name] = Field(min_length=1)
    """The parties where it is used."""
    high_risk: bool = False
    """Whether each use of it is of high risk."""
    operating: bool = False
    """Whether it is for parties that operate by themselves, and for no user's client, even if no party has it now."""


class Party(Entry):
    """A party.  Its kind of name, whether it starts chains, and its client at Keycloak are independent."""

    id: Literal["spiffe", "client"]
    """How it is named.  With a SPIFFE ID, its tokens work only over a certificate with that ID (`azp` is the peer).
    With a client ID, it is a program of a person without a certificate, and its tokens work only with a proof by the
    key of the sign-in (RFC 9449)."""
    starts_chains: bool = False
    """Whether users sign in with it, with PKCE: its tokens name no actor, and it cannot exchange any."""
    operates: bool = False
    """Whether it operates the registry and the policy authority by itself, for no user, with tokens of its own (RFC
    6749 section 4.4).  It may do what `delegates` says, and no other party can get these scopes.  It is started for one
    command, and so listens nowhere."""
    keycloak: Literal["public", "confidential", "none"]
    """Its type of client there.  A confidential client authenticates with its JWT-SVID.  A public one can only start
    chains.  With `none`, no token is issued to it or for it."""
    redirect_uris: list[Annotated[str, Field(pattern=REDIRECT, max_length=256)]] = []
    """The exact addresses at which a sign-in ends, without wildcards (RFC 9700 section 4.1).

    A loopback address without a port is good at any port (RFC 8252 section 7.3).
    """
    device_grant: bool = False
    """Whether users may also sign in by a code that they confirm in a browser elsewhere (RFC 8628)."""
    may_call: list[Name] = []
    """The only parties that it connects to, and the only audiences that Keycloak issues to it.  With `starts_chains`
    a public client has one.  Each sign-in at a confidential one names the audience that it is for: a token that names
    two is refused everywhere."""
    delegates: list[ScopeName] = []
    """The scopes that it may ask for.  Those that callers need at this party itself are not among them."""
    max_ttl: Annotated[int, Field(ge=1, le=LONGEST_LIFE)] | None = None
    """The longest lifetime of a token that is issued to it, in seconds; not longer than that of its caller."""
    port: Port | None = None
    """The port at which it listens where all parties run on one machine.  In containers and on Kubernetes it is 443."""
    code: Folder | None = None
    """The folder with its `main.py`.  It runs that folder, with what this imports, and nothing else of the project.  A
    process gets the identity of the party whose code it runs."""


Pin = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""The SHA-256, in hex, of a certificate's SubjectPublicKeyInfo, as in RFC 7469 section 2.4."""


class Outside(Entry):
    """A server that is not a party, such as a model server.  Only one party connects to it."""

    reached_by: Name
    """The one party that connects to it."""
    takes_tokens: bool = False
    """Whether tokens are issued for it.  Its client ID, and so its audience, is its name."""
    port: Port | None = None
    """The port at which it listens, wherever it runs."""
    spki_sha256: Pin | None = None
    """Its key: the SHA-256, in hex, of the `SubjectPublicKeyInfo` of its certificate (RFC 7469 section 2.4).  Without
    it here, the key has to be enrolled at the registry (`snapshot_files.py`)."""


class Approved(Entry):
    """The approval of one party."""

    code: Digest | None = None
    """Digest of its files, if it runs measured code."""
    card: Digest | None = None
    """Digest of an agent's card, without its signatures."""
    tools: dict[str, Digest] = Field(default={})
    """Digest of each tool's definition: its name, description, input and output."""


class Freshness(Entry):
    """The greatest age of data that decisions are based on, in seconds."""

    keys: Annotated[int, Field(ge=1, le=300)]
    """The life of the issuer's signing keys in a cache."""
    keys_cooldown: PositiveInt
    """The pause between two requests for them, when tokens name unknown keys."""
    svid: Annotated[int, Field(ge=1, le=LONGEST_JWT_SVID)]
    """The lifetime of a JWT-SVID."""
    x509_svid: Annotated[int, Field(ge=4, le=LONGEST_X509_SVID)]
    """The lifetime of a certificate."""
    revocations: Annotated[int, Field(ge=1, le=3)]
    """The age of news about revocations: with older news, a party refuses everything."""


class Authorities(Entry):
    """The parties that all others rely on."""

    registry: Name
    """Signs the feed, and acts at Keycloak for itself."""
    attestation: Name
    """Issues identities to workloads, and reports drift.  It is not launched by name."""
    audit: Name
    """Takes every party's journal, and publishes all records in one log.  No token is issued for it."""
    policy: Name
    """Signs the policies that all services decide by; operators change them there."""

    @model_validator(mode="after")
    def _divided(self) -> Self:
        """Every party checks this: a registry that was taken over must not write policies as well."""
        if self.policy == self.registry:  # control: registry-writes-no-policy
            raise ValueError(f"policy: {self.policy!r} is the registry")
        return self


class Registry(Entry):
    """The entries of the file.  Where it is read, they must be consistent (`authority/files/consistency.py`)."""

    trust_domain: Annotated[str, Field(pattern=r"^[a-z0-9.-]+$")]
    """The trust domain of all SPIFFE IDs, and the end of the DNS names in certificates."""
    realm: Annotated[str, Field(pattern=r"^[a-z]+$")]
    """The realm at Keycloak."""
    authorities: Authorities
    chain_claim: Literal["act", "zt_act"] = "act"
    """The claim that names the chain of actors.  Keycloak 26.8 exchanges no token that has `act` (RFC 8693 section 4.1)
    at its top; it does not look at a claim of ours, which has the same form."""
    departments: list[Department] = Field(min_length=1)
    """The groups of users that a task can be about."""
    scopes: dict[ScopeName, Scope]
    parties: dict[Name, Party]
    outside: dict[Name, Outside] = {}
    freshness: Freshness

    def id(self, name: str) -> str:
        """Return an identifier: the SPIFFE ID of a party, or its client ID; the client ID of an outside server."""
        named_by_client = name in self.outside or self.parties[name].id == "client"
        return name if named_by_client else f"spiffe://{self.trust_domain}/{name}"

    def dns_name(self, name: str) -> str:
        """Return the DNS name in a party's certificate: `quotes.agent.<trust domain>` for `agent/quotes`."""
        return dns_name(name, self.trust_domain)

    def browser_hosts(self, name: str) -> list[str]:
        """Return the hosts at which browsers reach a party, by its redirect URIs; none if they do not."""
        return [str(urlsplit(uri).hostname) for uri in self.parties[name].redirect_uris if uri.startswith("https:")]

    def dns_names(self, name: str) -> list[str]:
        """Return all DNS names in a party's certificate: its own, and those at which browsers reach it."""
        return [self.dns_name(name), *self.browser_hosts(name)]

    def address(self, name: str) -> str:
        """Return a party's origin, with its name in certificates: it does not depend on where the party runs."""
        return f"https://{self.dns_name(name)}"

    def scopes_at(self, name: str) -> list[str]:
        return [scope for scope, entry in self.scopes.items() if name in entry.served_by]

    @property
    def high_risk(self) -> frozenset[str]:
        """The scopes for which tokens are introspected each time that they are used."""
        return frozenset(name for name, scope in self.scopes.items() if scope.high_risk)

    @property
    def initiating_clients(self) -> frozenset[str]:
        """The ids of the parties that users sign in with; only they may present a token without an actor."""
        return frozenset(self.id(name) for name, party in self.parties.items() if party.starts_chains)

    @property
    def operating(self) -> frozenset[str]:
        """The ids of the parties that operate by themselves; only they are the subjects of their tokens."""
        return frozenset(self.id(name) for name, party in self.parties.items() if party.operates)

    @property
    def without_certificate(self) -> frozenset[str]:
        """The parties with a client ID, which therefore present their tokens without a certificate."""
        return frozenset(name for name, party in self.parties.items() if party.id == "client")

    @property
    def measured(self) -> dict[str, str]:
        """The parties that run measured code, launched or operating by themselves, each with its folder."""
        return {name: party.code for name, party in self.parties.items() if party.code}

    @property
    def launched(self) -> list[str]:
        """The parties that run for as long as the system does: the services, and the authorities that are launched."""
        return [name for name in self.measured if not self.parties[name].operates]

    @property
    def services(self) -> list[str]:
        """The parties that run measured code, without the authorities."""
        own = self.authorities.registry, self.authorities.audit, self.authorities.policy
        return [name for name in self.launched if name not in own]

    def takes_tokens(self, name: str) -> bool:
        """Return whether tokens are issued for it: it is a resource server, a party or outside."""
        server = self.outside.get(name)
        return self.serves(name) or (server is not None and server.takes_tokens)

    def serves(self, name: str) -> bool:
        """Return whether a party is a resource server, so that tokens are issued for it."""
        party = self.parties.get(name)
        return party is not None and party.keycloak == "confidential" and not (party.starts_chains or party.operates)

    def answers(self, name: str) -> bool:
        """Return whether others connect to a party: to a resource server by tokens, to the log by certificate alone."""
        return self.serves(name) or name == self.authorities.audit


def dns_name(name: str, trust_domain: str) -> str:
    """Return the DNS name in the certificate of the party `name`."""
    return ".".join([*reversed(name.split("/")), trust_domain])
