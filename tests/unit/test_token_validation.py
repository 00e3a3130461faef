"""From an unverified token to a principal: every way in which a token can be wrong, each beside one that is right."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.issuer import ISSUER, Issuer, encoded
from zerotrust.decision import BEFORE_SIGNATURE, Denied, Reason, ReasonCode
from zerotrust.identity import Principal, UnverifiedToken
from zerotrust.registry.model import Registry
from zerotrust.token_validation import CLOCK_SKEW, TICK, Expected, TokenCache, key_id, verify_token

NOW = 1_800_000_000
ORCHESTRATOR = "spiffe://agents.example/orchestrator"
READER = "spiffe://agents.example/agent/reader"
DOCUMENTS = "spiffe://agents.example/tool/documents"


@pytest.fixture(scope="module")
def module_issuer(registry: Registry, signing_key: RSAPrivateKey) -> Issuer:
    """One for all, its clock standing still: no test here changes it."""
    return Issuer(registry, key=signing_key, clock=lambda: NOW)


@pytest.fixture(scope="module")
def issuer(module_issuer: Issuer) -> Issuer:
    return module_issuer


@pytest.fixture(scope="module")
def key(signing_key: RSAPrivateKey) -> RSAPublicKey:
    return signing_key.public_key()


FRONT_DOOR = Expected(
    issuer=ISSUER,
    audience=ORCHESTRATOR,
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
        token=token,
    )


def test_a_delegated_token_names_its_actors_and_its_ancestors(issuer: Issuer, key: RSAPublicKey) -> None:
    found = check(at_the_tool(issuer), key, TOOL_DOOR)

    assert found.actors == (READER, ORCHESTRATOR)
    assert found.party == READER
    assert found.lineage == ("ancestor-0", "ancestor-1")
    assert found.transaction == "ancestor-0"
    assert found.subject == "alice"


def test_claims_that_nobody_here_knows_are_ignored_and_what_may_be_missing_is_empty(
    issuer: Issuer, key: RSAPublicKey
) -> None:
    found = check(issuer.token(scope=None, groups=[], admin=True, cnf={"x": 1}), key)

    assert (found.scopes, found.groups) == (frozenset(), frozenset())
    with pytest.raises(Denied, match="bad_claim") as refused:
        check(issuer.token(groups=None), key)
    assert refused.value.detail == "groups"


# (1) form


@given(st.text() | st.binary().map(lambda part: encoded(part) + ".e30.x"))
def test_arbitrary_text_names_a_key_or_is_refused_with_a_reason_nobody_is_told(token: str) -> None:
    try:
        assert isinstance(key_id(UnverifiedToken(token)), str)
    except Denied as refused:
        assert refused.reason in BEFORE_SIGNATURE  # noqa: PT017 - nothing may be raised, but this may


# (2) the one algorithm


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "PS512"])
def test_a_genuine_signature_by_another_algorithm_is_refused(issuer: Issuer, key: RSAPublicKey, algorithm: str) -> None:
    token = jwt.encode(issuer.claims(), issuer.key, algorithm, headers={"typ": "at+jwt", "kid": "k1"})

    assert refusal(token, key) is Reason.ALGORITHM_NOT_ALLOWED
    # And not by the header's word alone: the signature's step refuses it, too.
    unverified = UnverifiedToken(token)
    again = reason_of(lambda: verify_token(unverified, key=key, expected=FRONT_DOOR, now=NOW))
    assert again is Reason.BAD_SIGNATURE


# (4) type, and the key's name


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "AT+JWT", "Application/At+Jwt"])
def test_a_type_is_one_media_type_however_it_is_spelled(typ: str, issuer: Issuer, key: RSAPublicKey) -> None:
    assert check(issuer.token(header={"typ": typ}), key).subject == "alice"


@pytest.mark.parametrize("typ", ["JWT", "text/at+jwt", "application/application/at+jwt", "application/", "at+jwt;v=1"])
def test_another_type_is_not_taken_for_it(typ: str, issuer: Issuer, key: RSAPublicKey) -> None:
    assert refusal(issuer.token(header={"typ": typ}), key) is Reason.WRONG_TYPE


# (6) claims present and well typed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[
            (name, value)
            for name in ("sub", "azp", "client_id", "jti", "sid")
            for value in ("", "a\nb", "a\0b", "a b", "é", "x" * 513)
        ],
        *[
            (name, value)
            for name in ("sub", "azp", "client_id", "jti", "sid", "iss")
            for value in (7, True, ["alice"], {"a": 1})
        ],
        *[(name, value) for name in ("iat", "exp", "nbf") for value in (f"{NOW + 60}", True, -1, 1.5, [NOW])],
        ("aud", 7),
        ("aud", {ORCHESTRATOR: 1}),
        ("aud", [7]),
        ("scope", ["task.run"]),
        ("scope", 7),
        ("groups", "/engineering"),
        ("groups", [7]),
        ("lineage", "ancestor"),
        ("lineage", [7]),
        ("lineage", [""]),
        ("txn", 7),
        ("act", "a text"),
        ("act", [READER]),
        ("act", {}),
        ("act", {"sub": ""}),
        ("act", {"sub": READER, "act": "b"}),
    ],
)
def test_a_claim_of_another_type_is_refused(issuer: Issuer, key: RSAPublicKey, name: str, value: object) -> None:
    token = issuer.sign_bytes(GOOD_HEADER, json.dumps(issuer.claims() | {name: value}).encode())

    assert refusal(token, key) is Reason.BAD_CLAIM


# (9) time


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (NOW + 59.9, None),
        (NOW + 60, Reason.EXPIRED),
        (NOW + 60.1, Reason.EXPIRED),
        (NOW + 60 + CLOCK_SKEW - 1, Reason.EXPIRED),  # the skew is never added to a token's end
        (NOW, None),
        (NOW - CLOCK_SKEW, None),
        (NOW - CLOCK_SKEW - 0.1, Reason.NOT_YET_VALID),
    ],
)
def test_a_token_is_good_from_its_issue_to_its_end(
    issuer: Issuer, key: RSAPublicKey, now: float, reason: ReasonCode | None
) -> None:
    token = issuer.token()

    if reason is None:
        assert check(token, key, now=now)
    else:
        assert refusal(token, key, now=now) is reason


def test_a_token_lives_no_longer_than_its_party_may_hold_one(issuer: Issuer, key: RSAPublicKey) -> None:
    assert check(issuer.token(exp=NOW + 300 + TICK), key)
    assert refusal(issuer.token(exp=NOW + 301 + TICK), key) is Reason.LIFETIME_EXCEEDED
    assert check(at_the_tool(issuer, exp=NOW + 60 + TICK), key, TOOL_DOOR)
    assert refusal(at_the_tool(issuer, exp=NOW + 61 + TICK), key, TOOL_DOOR) is Reason.LIFETIME_EXCEEDED


@pytest.mark.parametrize("party", ["someone", "spiffe://agents.example/agent/ghost", DOCUMENTS, "Walkthrough"])
def test_a_party_that_may_hold_no_token_is_refused(issuer: Issuer, key: RSAPublicKey, party: str) -> None:
    assert refusal(issuer.token(azp=party), key) is Reason.UNKNOWN_PARTY


# (10) the chain of actors


def test_only_a_login_client_needs_no_actor_and_only_at_its_own_door(issuer: Issuer, key: RSAPublicKey) -> None:
    assert refusal(issuer.token(azp=ORCHESTRATOR), key) is Reason.ACTOR_MISSING
    assert refusal(issuer.token(aud=DOCUMENTS), key, TOOL_DOOR) is Reason.ACTOR_MISSING
    assert refusal(at_the_tool(issuer, act=None, lineage=None, txn=None), key, TOOL_DOOR) is Reason.ACTOR_MISSING


def test_what_an_act_says_besides_names_changes_nothing(issuer: Issuer, key: RSAPublicKey) -> None:
    act = {"sub": READER, "scope": "tool.write", "aud": "x", "act": {"sub": ORCHESTRATOR, "groups": ["/finance"]}}
    found = check(at_the_tool(issuer, act=act), key, TOOL_DOOR)

    assert found.actors == (READER, ORCHESTRATOR)
    assert found.scopes == {"tool.read"}
    assert found.groups == {"/engineering"}


def chained(issuer: Issuer, actors: list[str]) -> str:
    """A token with this chain, the reader first, and as many ancestors."""
    act: dict[str, Any] | None = None
    for actor in reversed([READER, *actors]):
        act = {"sub": actor} | ({"act": act} if act else {})
    lineage = [f"ancestor-{number}" for number in range(1 + len(actors))]
    return at_the_tool(issuer, act=act, lineage=lineage, txn=lineage[0])


def test_eight_actors_are_enough_and_nine_too_many(issuer: Issuer, key: RSAPublicKey) -> None:
    actors = [f"actor-{number}" for number in range(8)]

    assert len(check(chained(issuer, actors[:7]), key, TOOL_DOOR).actors) == 8
    assert refusal(chained(issuer, actors), key, TOOL_DOOR) is Reason.CHAIN_TOO_DEEP
    assert refusal(chained(issuer, [READER]), key, TOOL_DOOR) is Reason.ACTOR_REPEATED


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


# scopes are names, and nothing but exact names


@settings(max_examples=50)
@given(st.lists(st.text("abc.,\t\u00a0\u2003\u3000*", max_size=6), max_size=5))
def test_scopes_are_what_stands_between_the_spaces(module_issuer: Issuer, key: RSAPublicKey, names: list[str]) -> None:
    assert check(module_issuer.token(scope=" ".join(names)), key).scopes == set(names) - {""}


# remembered


def remember(memory: TokenCache, token: str, key: RSAPublicKey, now: float = NOW) -> Principal:
    unverified = UnverifiedToken(token)
    kid = memory.key_id(unverified)
    return memory.verify(unverified, kid=kid, key=key, expected=FRONT_DOOR, now=now)


def test_a_remembered_token_is_the_same_principal_without_another_look_at_its_signature(
    issuer: Issuer, key: RSAPublicKey
) -> None:
    memory, token = TokenCache(), issuer.token()
    first = remember(memory, token, key)

    assert remember(memory, token, key) is first
    assert remember(memory, issuer.token(sub="bob"), key).subject == "bob"


def test_a_remembered_token_still_ends_and_is_checked_anew_when_its_key_was_replaced(
    issuer: Issuer, key: RSAPublicKey, attackers_key: RSAPrivateKey
) -> None:
    memory, token = TokenCache(), issuer.token()
    remember(memory, token, key)

    assert reason_of(lambda: remember(memory, token, key, NOW + 60)) is Reason.EXPIRED
    set_back = NOW - CLOCK_SKEW - 1
    assert reason_of(lambda: remember(memory, token, key, set_back)) is Reason.NOT_YET_VALID
    assert reason_of(lambda: remember(memory, token, attackers_key.public_key())) is Reason.BAD_SIGNATURE


def test_a_refused_token_is_not_remembered(issuer: Issuer, key: RSAPublicKey) -> None:
    memory, token = TokenCache(), issuer.token(aud=READER)
    for _ in range(2):
        assert reason_of(lambda: remember(memory, token, key)) is Reason.AUDIENCE_MISMATCH


def test_memory_is_bounded_and_the_oldest_is_checked_anew(issuer: Issuer, key: RSAPublicKey) -> None:
    memory = TokenCache(capacity=3)
    tokens = [issuer.token(jti=f"{number}") for number in range(4)]
    first = [remember(memory, token, key) for token in tokens]

    assert [remember(memory, token, key) for token in tokens[1:]] == first[1:]
    assert all(remember(memory, token, key) is known for token, known in zip(tokens[1:], first[1:], strict=True))
    assert remember(memory, tokens[0], key) is not first[0]
