"""From an unverified token to a principal: what no row of the attack table tries."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from tests.support.issuer import ISSUER, Issuer
from tests.support.system import CHAIN
from zerotrust.decision import Denied, Reason, ReasonCode
from zerotrust.identity import Principal, UnverifiedToken
from zerotrust.registry.model import Registry
from zerotrust.token_validation import CLOCK_SKEW, Expected, TokenCache, key_id, verify_token

NOW = 1_800_000_000
ORCHESTRATOR = "spiffe://agents.example/orchestrator"
READER = "spiffe://agents.example/agent/reader"
DOCUMENTS = "spiffe://agents.example/tool/documents"


@pytest.fixture(scope="module")
def issuer(registry: Registry, signing_key: RSAPrivateKey) -> Issuer:
    """One for all, its clock standing still: no test here changes it."""
    return Issuer(registry, key=signing_key, clock=lambda: NOW)


@pytest.fixture(scope="module")
def key(signing_key: RSAPrivateKey) -> RSAPublicKey:
    return signing_key.public_key()


FRONT_DOOR = Expected(
    issuer=ISSUER,
    audience=ORCHESTRATOR,
    chain_claim=CHAIN,
    max_ttls={"walkthrough": 300, ORCHESTRATOR: 120, READER: 60},
    initiating_clients=frozenset({"walkthrough"}),
    without_certificate=frozenset({"walkthrough"}),
    peers={},
)
TOOL_DOOR = replace(FRONT_DOOR, audience=DOCUMENTS, initiating_clients=frozenset(), without_certificate=frozenset())


def check(token: str, key: RSAPublicKey, expected: Expected = FRONT_DOOR, now: float = NOW) -> Principal:
    """What the gate does with a token, in its order."""
    unverified = UnverifiedToken(token)
    key_id(unverified)
    return verify_token(unverified, key=key, expected=expected, now=now)


def reason_of(attempt: Callable[[], object]) -> ReasonCode:
    with pytest.raises(Denied) as refused:
        attempt()
    return refused.value.reason


def refusal(token: str, key: RSAPublicKey, expected: Expected = FRONT_DOOR, now: float = NOW) -> ReasonCode:
    return reason_of(lambda: check(token, key, expected, now))


def at_the_tool(issuer: Issuer, **changed: Any) -> str:
    """The good token of the last hop."""
    return issuer.delegated("orchestrator", "agent/reader", **({"aud": DOCUMENTS, "scope": "tool.read"} | changed))


GOOD_HEADER = b'{"alg": "RS256", "typ": "at+jwt", "kid": "k1"}'

# what is right


def test_a_login_token_becomes_a_principal(issuer: Issuer, key: RSAPublicKey) -> None:
    token = issuer.token(jti="token-1", scope="task.run tool.read", groups=["/engineering", "/staff"])

    assert check(token, key) == Principal(
        subject="alice",
        party="walkthrough",
        actors=(),
        audience=ORCHESTRATOR,
        scopes=frozenset({"task.run", "tool.read"}),
        groups=frozenset({"/engineering", "/staff"}),
        token_id="token-1",
        lineage=(),
        client="walkthrough",
        chain_started_at=NOW,
        session="session-1",
        issued_at=NOW,
        expires_at=NOW + 60,
        key_thumbprint=issuer.user_key.thumbprint,
        token=token,
    )


# (4) type, and the key's name


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "AT+JWT", "Application/At+Jwt"])
def test_a_type_is_one_media_type_however_it_is_spelled(typ: str, issuer: Issuer, key: RSAPublicKey) -> None:
    assert check(issuer.token(header={"typ": typ}), key).subject == "alice"


# (6) claims present and well typed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("sid", value) for value in ("", "a b", "é", "x" * 513, 7)],
        *[(name, value) for name in ("iat", "exp", "nbf") for value in (f"{NOW + 60}", True, -1, 1.5, [NOW])],
        ("aud", 7),
        ("aud", [7]),
        ("scope", ["task.run"]),
        ("groups", "/engineering"),
        ("groups", [7]),
        ("lineage", "ancestor"),
        ("lineage", [""]),
        ("txn", 7),
        ("act", "a text"),
        ("act", {"sub": READER, "act": "b"}),
    ],
)
def test_a_claim_of_another_type_is_refused(issuer: Issuer, key: RSAPublicKey, name: str, value: object) -> None:
    token = issuer.sign_bytes(GOOD_HEADER, json.dumps(issuer.claims() | {name: value}).encode())

    assert refusal(token, key) is Reason.BAD_CLAIM


# (9) time


@pytest.mark.parametrize("party", ["someone", "spiffe://agents.example/agent/ghost", DOCUMENTS, "Walkthrough"])
def test_a_party_that_may_hold_no_token_is_refused(issuer: Issuer, key: RSAPublicKey, party: str) -> None:
    assert refusal(issuer.token(azp=party), key) is Reason.UNKNOWN_PARTY


# (10) the chain of actors


@pytest.mark.parametrize(("claim", "other"), [("act", "zt_act"), ("zt_act", "act")])
def test_the_chain_is_read_from_the_claim_that_the_registry_names(
    issuer: Issuer, key: RSAPublicKey, claim: str, other: str
) -> None:
    expected = replace(TOOL_DOOR, chain_claim=claim)
    chain = issuer.chain("orchestrator", "agent/reader")
    act = chain.pop(issuer.chain_claim)

    there = at_the_tool(issuer, **chain, **{issuer.chain_claim: None, claim: act})
    elsewhere = at_the_tool(issuer, **chain, **{issuer.chain_claim: None, other: act})

    assert check(there, key, expected).actors == (READER, ORCHESTRATOR)
    assert refusal(elsewhere, key, expected) is Reason.ACTOR_MISSING


def chained(issuer: Issuer, actors: list[str]) -> str:
    """A token with this chain, the reader first, and as many ancestors."""
    act: dict[str, Any] | None = None
    for actor in reversed([READER, *actors]):
        act = {"sub": actor} | ({"act": act} if act else {})
    lineage = [f"ancestor-{number}" for number in range(1 + len(actors))]
    return at_the_tool(issuer, act=act, lineage=lineage, txn=lineage[0])


ITSELF = "spiffe://agents.example/automation/ci"
REGISTRY_DOOR = replace(
    FRONT_DOOR,
    audience="spiffe://agents.example/authority/registry",
    max_ttls={"zt": 60, ITSELF: 60},
    initiating_clients=frozenset({"zt"}),
    operating=frozenset({ITSELF}),
)
OWN: dict[str, Any] = {
    "aud": REGISTRY_DOOR.audience,
    "azp": ITSELF,
    "sub": ITSELF,
    "sid": None,
    "groups": [],
    "scope": "registry.revoke",
}


def test_a_party_that_operates_is_the_subject_of_its_token_without_a_session(issuer: Issuer, key: RSAPublicKey) -> None:
    token = issuer.token(**OWN)

    principal = check(token, key, REGISTRY_DOOR)

    assert (principal.subject, principal.party, principal.client) == (ITSELF, ITSELF, ITSELF)
    assert (principal.actors, principal.session, principal.delegated) == ((), "", False)


@pytest.mark.parametrize(
    ("changed", "expected", "reason"),
    [
        ({}, replace(REGISTRY_DOOR, operating=frozenset()), Reason.BAD_CLAIM),
        ({"sub": "alice", "sid": "s"}, REGISTRY_DOOR, Reason.ACTOR_MISSING),
        ({"sub": "alice"}, REGISTRY_DOOR, Reason.BAD_CLAIM),
        ({"azp": "zt"}, REGISTRY_DOOR, Reason.BAD_CLAIM),
        ({"azp": "zt", "sub": "alice"}, REGISTRY_DOOR, Reason.BAD_CLAIM),
    ],
    ids=["elsewhere", "for a user", "for a user without a session", "of somebody else", "of a user without a session"],
)
def test_no_other_token_names_a_party_or_no_session(
    issuer: Issuer, key: RSAPublicKey, changed: dict[str, Any], expected: Expected, reason: Reason
) -> None:
    token = issuer.token(**(OWN | changed))

    assert reason_of(lambda: check(token, key, expected)) is reason


def test_eight_actors_are_enough_and_nine_too_many(issuer: Issuer, key: RSAPublicKey) -> None:
    actors = [f"actor-{number}" for number in range(8)]

    assert len(check(chained(issuer, actors[:7]), key, TOOL_DOOR).actors) == 8
    assert refusal(chained(issuer, actors), key, TOOL_DOOR) is Reason.CHAIN_TOO_DEEP
    assert refusal(chained(issuer, [READER]), key, TOOL_DOOR) is Reason.ACTOR_REPEATED
    assert refusal(issuer.token(azp=READER), key) is Reason.ACTOR_MISSING


# (11) the lineage


@pytest.mark.parametrize(
    "changed",
    [
        {"lineage": None},
        {"lineage": []},
        {"lineage": ["ancestor-0"]},
        {"lineage": ["ancestor-0", "ancestor-1", "ancestor-2"]},
        {"txn": None},
        {"txn": "ancestor-1"},
        {"txn": "something-else"},
        {"root": None},
    ],
)
def test_each_exchange_leaves_one_ancestor_and_the_first_names_the_transaction(
    issuer: Issuer, key: RSAPublicKey, changed: dict[str, Any]
) -> None:
    assert refusal(at_the_tool(issuer, **changed), key, TOOL_DOOR) is Reason.LINEAGE_MISMATCH


def test_it_says_by_which_client_the_user_came_and_when(issuer: Issuer, key: RSAPublicKey) -> None:
    for begun, found in ((NOW - 200, NOW - 200), (NOW + 1, NOW)):  # never later than the token itself
        caller = check(at_the_tool(issuer, root={"azp": "console", "iat": begun}), key, TOOL_DOOR)
        assert (caller.client, caller.chain_started_at) == ("console", found)


@pytest.mark.parametrize("root", ["walkthrough", {}, {"azp": "a"}, {"azp": "", "iat": 1}, {"azp": "a", "iat": "1"}])
def test_a_root_that_is_none_is_refused(issuer: Issuer, key: RSAPublicKey, root: object) -> None:
    assert refusal(at_the_tool(issuer, root=root), key, TOOL_DOOR) is Reason.BAD_CLAIM


def test_a_login_token_has_no_ancestors(issuer: Issuer, key: RSAPublicKey) -> None:
    root = {"azp": "walkthrough", "iat": NOW}
    for changed in {"lineage": ["ancestor"], "txn": "ancestor"}, {"txn": "ancestor"}, {"root": root}:
        assert refusal(issuer.token(**changed), key) is Reason.LINEAGE_MISMATCH


# remembered


def remember(memory: TokenCache, token: str, key: RSAPublicKey, now: float = NOW) -> Principal:
    unverified = UnverifiedToken(token)
    kid = memory.key_id(unverified)
    return memory.verify(unverified, kid=kid, key=key, expected=FRONT_DOOR, now=now)


def test_a_remembered_token_still_ends_and_is_checked_anew_when_its_key_was_replaced(
    issuer: Issuer, key: RSAPublicKey, attackers_key: RSAPrivateKey
) -> None:
    memory, token = TokenCache(), issuer.token()
    remember(memory, token, key)

    assert reason_of(lambda: remember(memory, token, key, NOW + 60)) is Reason.EXPIRED
    set_back = NOW - CLOCK_SKEW - 1
    assert reason_of(lambda: remember(memory, token, key, set_back)) is Reason.NOT_YET_VALID
    assert reason_of(lambda: remember(memory, token, attackers_key.public_key())) is Reason.BAD_SIGNATURE


def test_memory_is_bounded_and_the_oldest_is_checked_anew(issuer: Issuer, key: RSAPublicKey) -> None:
    memory = TokenCache(capacity=3)
    tokens = [issuer.token(jti=f"{number}") for number in range(4)]
    first = [remember(memory, token, key) for token in tokens]

    assert [remember(memory, token, key) for token in tokens[1:]] == first[1:]
    assert all(remember(memory, token, key) is known for token, known in zip(tokens[1:], first[1:], strict=True))
    assert remember(memory, tokens[0], key) is not first[0]
