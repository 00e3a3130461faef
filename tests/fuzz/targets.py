"""What is fuzzed: each target takes any bytes, and fails where anything but a refusal or a right answer comes out.

Hypothesis (`test_properties.py`) and atheris (`fuzz.py`) drive the same targets.
"""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import orjson

from tests.support.door import NOW, TOOLS
from tests.support.issuer import ISSUER, Issuer
from tests.support.system import CHAIN, registry
from zerotrust.decision import Denied
from zerotrust.identity import MAX_ACTORS, Principal, UnverifiedToken
from zerotrust.limits.strict_json import strict_object
from zerotrust.token_validation import CLOCK_SKEW, Expected, key_id, verify_token
from zerotrust.tool.mcp_tools import ERA, McpTools
from zerotrust.transport.jsonrpc import LONGEST_ID, request_id
from zerotrust.transport.requests import read_token

HEADER = {"alg": "RS256", "typ": "at+jwt", "kid": "k1"}
CALL: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "read"}}


@cache
def issuer() -> Issuer:
    """Its key is made for this run, and nothing of it is kept."""
    return Issuer(registry(), clock=lambda: NOW)


@cache
def expected() -> Expected:
    """What a token for the documents tool must say; a public client's is taken, too, so that both ways are tried."""
    parties = registry().parties.items()
    starters = frozenset({"walkthrough"})
    max_ttls = {registry().id(name): party.max_ttl for name, party in parties if party.max_ttl}
    audience = registry().id("tool/documents")
    return Expected(
        issuer=ISSUER,
        audience=audience,
        chain_claim=CHAIN,
        max_ttls=max_ttls,
        initiating_clients=starters,
        without_certificate=starters,
        peers={},
    )


@cache
def good_claims() -> dict[str, Any]:
    good = {"aud": expected().audience, "scope": "tool.read"}
    return issuer().claims(**(issuer().chain("orchestrator", "agent/reader") | good))


@cache
def good_token() -> str:
    return issuer().sign(good_claims())


def principal_of(token: str) -> Principal | None:
    """The caller that a token describes, or None where it is refused; nothing else may come out."""
    unverified = UnverifiedToken(token)
    try:
        key_id(unverified)
        found = verify_token(unverified, key=issuer().key.public_key(), expected=expected(), now=NOW)
    except Denied:
        return None
    assert found.audience == expected().audience
    assert found.issued_at - CLOCK_SKEW <= NOW < found.expires_at
    assert len(found.lineage) == len(found.actors) == len(set(found.actors)) <= MAX_ACTORS
    assert found.party == (found.actors[0] if found.actors else "walkthrough")
    orjson.dumps([*found.scopes, *found.groups, *found.actors, *found.lineage])  # fit for the journal
    return found


def credentials(value: bytes) -> None:
    """Any value of the header `Authorization`: whoever gets in is the caller of the good token."""
    try:
        token = read_token([(b"authorization", value)], scheme=b"bearer", hint=None)
    except Denied:
        return
    if found := principal_of(token):
        assert found == principal_of(good_token())


def header(value: bytes) -> None:
    """Any bytes for the header of a token that the issuer really signed: a good one says three things at most."""
    if principal_of(issuer().sign_bytes(value, orjson.dumps(good_claims()))):
        said = orjson.loads(value)
        assert HEADER.keys() >= said.keys()
        assert (said["alg"], said["typ"]) == ("RS256", "at+jwt")


def claims(value: bytes) -> None:
    """Any bytes for the claims of a token that the issuer really signed."""
    if found := principal_of(issuer().sign_bytes(orjson.dumps(HEADER), value)):
        said = orjson.loads(value)
        assert (found.subject, found.party, found.expires_at) == (said["sub"], said["azp"], said["exp"])


def message(value: bytes) -> None:
    """Any body of an MCP request: every reader reads it alike, and it needs what its tool does."""
    try:
        found = strict_object(value)
    except ValueError:
        return
    assert found == orjson.loads(value) == json.loads(value)
    try:
        need = McpTools(TOOLS).need("/mcp", [(b"mcp-protocol-version", ERA)], found)
    except Denied:
        return
    assert request_id(found) == found["id"]
    assert len(str(request_id(found))) <= LONGEST_ID
    assert len(need.operation) <= 100
    if found["method"] == "tools/call":
        permission = TOOLS.get(found["params"]["name"])
        assert need.permissions == ((permission,) if permission else ())
    else:
        assert bool(need.permissions) == (found["method"] in ("tools/list", "server/discover"))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "credentials": credentials,
    "header": header,
    "claims": claims,
    "message": message,
}


def seeds(target: str) -> list[bytes]:
    """Valid examples to begin with, and a few that are nearly so."""
    login = good_claims() | {"azp": "walkthrough", CHAIN: None, "lineage": [], "txn": None}
    examples: dict[str, list[Any]] = {
        "header": [HEADER, *(HEADER | {name: "x"} for name in ("jku", "jwk", "crit", "alg", "typ"))],
        "claims": [good_claims(), login, good_claims() | {"aud": [expected().audience], "nbf": int(NOW)}],
        "message": [
            CALL,
            CALL | {"method": "tools/list", "id": "é\N{GRINNING FACE}"},
            CALL | {"params": {"name": "create", "arguments": {"id": [1.5e300, -0.0, None, True, {"a": "\\u00e9"}]}}},
        ],
    }
    if target == "credentials":
        return [f"Bearer {good_token()}".encode(), b"Basic YWxpY2U6c2VjcmV0", b"bearer a.b.c"]
    return [json.dumps(example).encode() for example in examples[target]]
