"""Agent cards (A2A 1.0 section 8.4): each agent signs its own with its SVID.

A caller uses a card only to check that the agent is still the approved one.  The registry has its name, its address and
all else.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
import rfc8785
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    HTTPAuthSecurityScheme,
    MutualTlsSecurityScheme,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]

from zerotrust.limits.strict_json import strict_object
from zerotrust.spiffe.statement import ALGORITHM, InvalidStatement, chain_entry, chain_of, trusted_key
from zerotrust.spiffe.svid import Svid

PATH = "/a2a"
CARD_PATH = "/.well-known/agent-card.json"
INPUT_MODES = ("text/plain",)
OUTPUT_MODES = ("text/plain", "application/json")
"""Media types of the parts of an answer: the text, and the account."""
ROLE = "workload"
"""The kind of party that the caller's certificate names."""
_HEADER = {"alg", "kid", "typ", "x5c"}


def agent_card(name: str, address: str, scopes: Sequence[str]) -> AgentCard:
    """Return the card of an agent, from its name, its address and the scopes that it serves in the registry."""
    kind, _, short = name.rpartition("/")
    skill = AgentSkill(id=short, name=short, description=f"What the {short} does for a user.", tags=[kind or short])
    return AgentCard(
        name=name,
        description=f"The {short} agent. Takes text, answers with text.",
        version="1.0",
        supported_interfaces=[
            AgentInterface(url=f"{address}{PATH}", protocol_binding="JSONRPC", protocol_version="1.0")
        ],
        capabilities=AgentCapabilities(streaming=False, push_notifications=False),  # control: card-offers-no-push
        default_input_modes=INPUT_MODES,
        default_output_modes=OUTPUT_MODES,
        skills=[skill],
        security_schemes={
            "certificate": SecurityScheme(
                mtls_security_scheme=MutualTlsSecurityScheme(description="An X.509-SVID of the agent's trust domain.")
            ),
            "token": SecurityScheme(
                http_auth_security_scheme=HTTPAuthSecurityScheme(
                    scheme="Bearer", bearer_format="JWT", description="Issued to the party that the certificate names."
                )
            ),
        },
        security_requirements=[
            # Both together.  The certificate has a role because the SDK leaves empty lists out of what it signs.
            SecurityRequirement(schemes={"certificate": StringList(list=[ROLE]), "token": StringList(list=scopes)})
        ],
    )


def as_json(card: AgentCard) -> dict[str, Any]:
    """Return a card as it is sent."""
    sent: dict[str, Any] = MessageToDict(card)
    return sent


def sign_card(card: AgentCard, svid: Svid) -> dict[str, Any]:
    """Return a card as it is sent, with a signature that is valid until this SVID expires."""
    unsigned = as_json(card)
    header = {"typ": "JOSE", "kid": svid.id, "x5c": [chain_entry(one) for one in svid.chain]}
    protected, _, signature = jwt.PyJWS().encode(canonical(unsigned), svid.key, ALGORITHM, headers=header).split(".")
    return unsigned | {"signatures": [{"protected": protected, "signature": signature}]}


def canonical(value: Mapping[str, Any]) -> bytes:
    """Return the canonical form of this JSON (RFC 8785).  Raises `ValueError` if it has none."""
    return rfc8785.dumps(dict(value))


def card_digest(card: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hex, of an agent's card as sent, without its signatures (A2A 1.0 section 8.4).

    Whoever writes `registry.lock`, and a caller that compares with it, use the same function.
    """
    return hashlib.sha256(canonical({key: value for key, value in card.items() if key != "signatures"})).hexdigest()


def check_card(sent: bytes, *, signer: str, digest: str | None, own: Svid, now: float) -> float:
    """Check that `signer` (a SPIFFE ID) signed its approved card; return when the signature expires.

    `digest` is the approved one, `own` the reader's SVID; times are in seconds since the epoch.  Raises
    `InvalidStatement`: no signature, or several; another algorithm, party or trust domain; expired; or another card.
    """
    try:
        card = strict_object(sent)
        (signature,) = card.pop("signatures")
        protected = str(signature["protected"])
        header = strict_object(base64.urlsafe_b64decode(protected + "=" * (-len(protected) % 4)))
        # The certificate names the signer, `kid` does not; this party chooses the algorithm.
        if header.keys() != _HEADER:  # control: card-header
            raise InvalidStatement("its signature has more in its header than certificates, or none")
        key = trusted_key(header["x5c"], signer=signer, own=own, now=now)
        body = base64.urlsafe_b64encode(canonical(card)).rstrip(b"=").decode()
        # control: card-signature
        jwt.PyJWS([ALGORITHM]).decode(f"{protected}.{body}.{signature['signature']}", key, [ALGORITHM])
    except (KeyError, TypeError, json.JSONDecodeError, jwt.InvalidTokenError) as error:
        raise InvalidStatement(f"no signature of {signer}") from error
    except ValueError as error:
        raise error if isinstance(error, InvalidStatement) else InvalidStatement(f"no signed card: {error}") from error
    if card_digest(card) != digest:  # control: card-digest
        raise InvalidStatement("not the card that was approved")
    return chain_of(header["x5c"])[0].not_valid_after_utc.timestamp()
