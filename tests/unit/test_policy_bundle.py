"""Policy bundles: what the policy authority signed, in its own name, for this trust domain, while it lives."""

import time
from typing import Any

import orjson
import pytest

from authorities.policy.publisher import sign_bundle
from tests.support.ca import the_ca
from tests.support.system import POLICY
from zerotrust.registry.policy_bundle import MAX_BUNDLE, MAX_VERSION, TYPE, Bundle, SignedPolicy, verify_bundle
from zerotrust.registry.snapshot import MAX_POLICY, PolicyDocument
from zerotrust.spiffe.statement import InvalidStatement, sign
from zerotrust.spiffe.svid import Svid

AUTHORITY, READER = "spiffe://agents.example/authority/policy", the_ca().svid("agent/reader")
NOW = time.time()


@pytest.fixture(scope="module")
def svid() -> Svid:
    return the_ca().svid("authority/policy")


def verified(text: str) -> Bundle:
    return verify_bundle(text, signer=AUTHORITY, own=READER, now=time.time())


def claims(svid: Svid, **changed: Any) -> bytes:
    """What a bundle says, but for what is `changed`; None leaves a claim out."""
    good = {
        "iss": svid.id,
        "aud": "spiffe://agents.example",
        "iat": NOW,
        "exp": svid.not_after,
        "version": 3,
        "digest": POLICY.digest,
        "policies": POLICY.policies,
        "cedar_schema": POLICY.cedar_schema,
    } | changed
    return orjson.dumps({name: value for name, value in good.items() if value is not None})


WRONG: dict[str, dict[str, Any]] = {
    "ended": {"exp": NOW},
    "without an end": {"exp": None},
    "version 0": {"version": 0},
    "a version after which no other has room": {"version": MAX_VERSION + 1},
    "a version that is no number": {"version": "3"},
    "a version that is a truth value": {"version": True},
    "another digest": {"digest": "0" * 64},
    "no policies": {"policies": None},
    "other policies": {"policies": "permit (principal, action, resource);"},
    "another schema": {"cedar_schema": ""},
    "more than it has to say": {"rules": []},
}


@pytest.mark.parametrize("changed", WRONG.values(), ids=WRONG)
def test_what_is_not_wholly_a_bundle_is_none(changed: dict[str, Any], svid: Svid) -> None:
    with pytest.raises(InvalidStatement):
        verified(sign(claims(svid, **changed), svid, kind=TYPE))


@pytest.mark.parametrize("at", [0, 40, 400, -1])
def test_no_character_of_it_can_be_changed(at: int, svid: Svid) -> None:
    text = sign_bundle(3, POLICY, svid, now=NOW)
    other = text[:at] + ("A" if text[at] != "A" else "E") + text[at:][1:]

    with pytest.raises(InvalidStatement):
        verified(other)


def test_the_longest_policies_fit_into_a_bundle_that_may_be_sent(svid: Svid) -> None:
    longest = PolicyDocument(policies="\x01" * MAX_POLICY, cedar_schema="\x01" * MAX_POLICY)

    assert 1_000_000 < len(text := sign_bundle(MAX_VERSION, longest, svid, now=NOW)) <= MAX_BUNDLE
    assert verified(text).version == MAX_VERSION
    assert SignedPolicy(bundle="x" * MAX_BUNDLE)
    with pytest.raises(ValueError, match="at most"):
        SignedPolicy(bundle="x" * (MAX_BUNDLE + 1))
    for name in "policies", "cedar_schema":
        with pytest.raises(ValueError, match=f"{name}\n.*at most"):
            PolicyDocument.model_validate(longest.model_dump() | {name: "x" * (MAX_POLICY + 1)})
