"""Signs and verifies policy bundles: versions of the policies that live as long as their signer's certificate.

A bundle is a statement (`spiffe/statement.py`).  The registry passes it on unread, and each service verifies the policy
authority's signature itself.  So the registry can withhold policies, but can neither write nor alter any.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zerotrust.registry.model import Digest, Registry
from zerotrust.registry.snapshot import Document, PolicyDocument
from zerotrust.spiffe.statement import InvalidStatement, certificates, chain_of, verify_statement
from zerotrust.spiffe.svid import Svid


def party_entities(registry: Registry) -> list[dict[str, Any]]:
    """Return the parties as Cedar entities: the scopes that each delegates and serves, and whom it may call."""

    def reference(name: str) -> dict[str, str]:
        return {"type": "Party", "id": registry.id(name)}

    return [
        {
            "uid": reference(name),
            "attrs": {
                "delegates": party.delegates,
                "may_call": [{"__entity": reference(callee)} for callee in party.may_call],
                "serves": registry.scopes_at(name),
            },
            "parents": [],
        }
        for name, party in registry.parties.items()
    ]


TYPE = "policy-bundle+jwt"
"""The `typ` in a bundle's header (RFC 8725 section 3.11), so that no other statement passes as a bundle."""
MAX_BUNDLE = 1_100_000
"""Characters of a bundle: the longest policies and schema, escaped and in base64, and the certificates."""
MAX_VERSION = 999_999_999
"""The last version; at one a second, it comes in 31 years."""
MAX_STEP = 1_000
"""The largest step from one version to the next: only versions that the registry has refused skip a number."""


class SignedPolicy(Document):
    """A bundle as the feed sends it."""

    bundle: Annotated[str, Field(max_length=MAX_BUNDLE)]


@dataclass(frozen=True, slots=True)
class Bundle:
    """One version of the policies, verified."""

    version: int
    document: PolicyDocument
    issued: float
    until: float
    """When its life ends, in seconds since the epoch."""

    @property
    def name(self) -> str:
        """The version and the beginning of the digest, as records name the policies: `3-8f2a41d3c5a0`."""
        return f"{self.version}-{self.document.digest[:12]}"

    @property
    def content(self) -> tuple[int, PolicyDocument]:
        """The version and the policies.  If two bundles have the same content, the newer only lives longer."""
        return self.version, self.document


class _Claims(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    iss: str
    aud: str
    iat: float
    exp: float
    version: Annotated[int, Field(ge=1, le=MAX_VERSION)]
    digest: Digest
    policies: str
    cedar_schema: str


def verify_bundle(text: str, *, signer: str, own: Svid, now: float) -> Bundle:
    """Return the content of a bundle of the policy authority `signer` (a SPIFFE ID); `now` in seconds since the epoch.

    `own` is the reader's SVID, as in `verify_statement`.  Raises `InvalidStatement`.
    """
    claims = verify_statement(text, kind=TYPE, signer=signer, own=own, now=now)
    try:
        said = _Claims.model_validate_json(orjson.dumps(claims))
        document = PolicyDocument(policies=said.policies, cedar_schema=said.cedar_schema)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidStatement(f"malformed policy bundle: {where}: {first['msg']}") from error
    if said.aud != f"spiffe://{own.trust_domain}":  # control: bundle-audience
        raise InvalidStatement(f"a policy bundle for {said.aud}")
    if said.digest != document.digest:
        raise InvalidStatement("the digest is not that of the policies")
    ends = chain_of(certificates(text, kind=TYPE))[0].not_valid_after_utc.timestamp()
    if not now < said.exp <= ends:  # control: bundle-life
        raise InvalidStatement("the life of the policy bundle has ended, or is longer than that of its certificate")
    return Bundle(said.version, document, said.iat, said.exp)
