"""Agent cards: the agent's own word, signed with its SVID, that it is the one that was approved."""

import hmac
import json
import time
from typing import Any

import jwt
import pytest
from a2a.types import AgentCard
from a2a.utils.signing import create_agent_card_signer, create_signature_verifier
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]
from jwt.algorithms import ECAlgorithm

from tests.support.ca import CA, the_ca
from tests.support.issuer import encoded
from zerotrust.adapters.agent_card import agent_card, as_json, check_card, signed_card
from zerotrust.adapters.digests import canonical, card_digest
from zerotrust.spiffe.statement import InvalidStatement, chain_entry
from zerotrust.spiffe.svid import Svid

READER = "spiffe://agents.example/agent/reader"
CARD = agent_card("agent/reader", "https://reader.agent.agents.example:8102")
APPROVED = card_digest(as_json(CARD))


@pytest.fixture(scope="module")
def svid() -> Svid:
    return the_ca().svid("agent/reader")


def check(sent: dict[str, Any] | bytes, *, now: float | None = None, digest: str | None = APPROVED) -> float:
    raw = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    when = time.time() if now is None else now
    return check_card(raw, signer=READER, digest=digest, own=the_ca().svid("agent/writer"), now=when)


def forged(svid: Svid, *, key: Any = None, **header: Any) -> dict[str, Any]:
    """The right card, signed with another header; None leaves a name out."""
    sanitize = as_json(CARD)
    good = {"typ": "JOSE", "kid": READER, "x5c": [chain_entry(svid.certificate)]} | header
    given = {name: value for name, value in good.items() if value is not None}
    signed = jwt.PyJWS().encode(canonical(sanitize), svid.key if key is None else key, "ES256", headers=given)
    protected, _, signature = signed.split(".")
    return sanitize | {"signatures": [{"protected": protected, "signature": signature}]}


def test_a_signed_card_is_believed_for_as_long_as_its_certificate_lives(svid: Svid) -> None:
    assert check(signed_card(CARD, svid)) == svid.not_after


def test_it_is_signed_as_the_sdk_would_have_it(svid: Svid) -> None:
    """By its public functions, so that any other A2A client can verify it, too."""
    sent = ParseDict(signed_card(CARD, svid), AgentCard())
    seen: list[tuple[str | None, str | None]] = []

    def key(kid: str | None, jku: str | None) -> jwt.PyJWK:
        seen.append((kid, jku))
        return jwt.PyJWK(ECAlgorithm.to_jwk(svid.key.public_key(), as_dict=True), "ES256")

    create_signature_verifier(key, ["ES256"])(sent)

    assert seen == [(READER, None)]


def test_a_card_that_the_sdk_signed_with_the_same_header_is_the_same_to_us(svid: Svid) -> None:
    header: Any = {"alg": "ES256", "typ": "JOSE", "kid": READER, "x5c": [chain_entry(svid.certificate)]}
    sign = create_agent_card_signer(svid.key, header)  # type: ignore[arg-type]
    given = AgentCard()
    given.CopyFrom(CARD)

    assert check(as_json(sign(given))) == svid.not_after


def test_a_card_without_a_signature_is_nobodys(svid: Svid) -> None:
    sanitize = as_json(CARD)
    for stripped in (
        sanitize,
        sanitize | {"signatures": []},
        sanitize | {"signatures": None},
        sanitize | {"signatures": [{}]},
    ):
        with pytest.raises(InvalidStatement, match="no sign"):
            check(stripped)


def test_two_signatures_are_one_too_many(svid: Svid) -> None:
    good = signed_card(CARD, svid)
    for other in (good, forged(the_ca().svid("agent/writer"))):
        for signatures in (good["signatures"] + other["signatures"], other["signatures"] + good["signatures"]):
            with pytest.raises(InvalidStatement, match="too many values to unpack"):
                check(good | {"signatures": signatures})


def test_the_algorithm_is_ours_to_choose(svid: Svid) -> None:
    public = svid.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for algorithm in ("HS256", "none", "ES384", "es256", None):
        header = {"alg": algorithm, "typ": "JOSE", "kid": READER, "x5c": [chain_entry(svid.certificate)]}
        protected = encoded(json.dumps(header).encode())
        with_public_key = hmac.digest(public, f"{protected}.{encoded(canonical(as_json(CARD)))}".encode(), "sha256")
        for signature in ("", encoded(with_public_key)):
            with pytest.raises(InvalidStatement, match="not signed by"):
                check(as_json(CARD) | {"signatures": [{"protected": protected, "signature": signature}]})


def test_another_authoritys_certificate_proves_nothing() -> None:
    with pytest.raises(InvalidStatement, match="not of this trust domain's authority"):
        check(forged(CA().svid("agent/reader")))


def test_another_party_cannot_say_what_this_one_is() -> None:
    with pytest.raises(InvalidStatement, match="not signed by"):
        check(signed_card(CARD, the_ca().svid("agent/writer")))
    with pytest.raises(InvalidStatement, match=r"^signed by spiffe://agents\.example/agent/writer, not"):
        check(forged(the_ca().svid("agent/writer")))  # although it says it is the reader


def test_the_right_certificate_beside_another_key_is_no_signature(svid: Svid) -> None:
    with pytest.raises(InvalidStatement, match="no signature of"):
        check(forged(svid, key=the_ca().svid("agent/reader").key))


def test_a_card_ends_with_its_certificate(svid: Svid) -> None:
    sent = signed_card(CARD, svid)

    assert check(sent, now=svid.not_after - 1)
    with pytest.raises(InvalidStatement, match="has expired"):
        check(sent, now=svid.not_after)
    with pytest.raises(InvalidStatement, match="has expired"):
        check(signed_card(CARD, the_ca().svid("agent/reader", age=200, life=100)))


def test_another_card_is_not_the_approved_one_however_well_it_is_signed(svid: Svid) -> None:
    elsewhere = agent_card("agent/reader", "https://elsewhere.test")

    with pytest.raises(InvalidStatement, match="not the card that was approved"):
        check(signed_card(elsewhere, svid))
    for nothing in (None, "", "0" * 64):
        with pytest.raises(InvalidStatement, match="not the card that was approved"):
            check(signed_card(CARD, svid), digest=nothing)


@pytest.mark.parametrize("changed", [{"description": "Does more."}, {"extra": 1}, {"skills": []}, {"name": "x"}])
def test_what_was_changed_after_signing_breaks_the_signature(svid: Svid, changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidStatement, match="no signature of"):
        check(signed_card(CARD, svid) | changed)


@pytest.mark.parametrize("name", ["jku", "jwk", "x5u", "crit", "zip"])
def test_a_header_that_leads_elsewhere_is_not_followed(svid: Svid, name: str) -> None:
    header: dict[str, Any] = {name: ["x"] if name == "crit" else "http://attacker.test"}
    with pytest.raises(InvalidStatement, match="not signed by"):
        check(forged(svid, **header))


@pytest.mark.parametrize(
    "sent", [b"", b"{", b"[]", b"\xff", b'{"signatures": 7}', b'{"signatures": [{"protected": "!"}]}', b"{" * 10_000]
)
def test_what_is_no_card_is_untrusted_and_nothing_worse(sent: bytes) -> None:
    with pytest.raises(InvalidStatement):
        check(sent)


def test_a_name_given_twice_is_no_card(svid: Svid) -> None:
    good = json.dumps(signed_card(CARD, svid))

    with pytest.raises(InvalidStatement, match="a name occurs twice"):
        check(good.replace("{", '{"name": "agent/writer", ', 1).encode())
