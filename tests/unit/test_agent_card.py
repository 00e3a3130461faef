"""Agent cards: the agent's own word, signed with its SVID, that it is the one that was approved."""

import json
import time
from typing import Any

import jwt
import pytest
from a2a.types import AgentCard
from a2a.utils.signing import create_agent_card_signer, create_signature_verifier
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]
from jwt.algorithms import ECAlgorithm

from tests.support.ca import the_ca
from zerotrust.adapters.agent_card import agent_card, as_json, check_card, signed_card
from zerotrust.adapters.digests import card_digest
from zerotrust.spiffe.statement import InvalidStatement, chain_entry
from zerotrust.spiffe.svid import Svid

READER = "spiffe://agents.example/agent/reader"
CARD = agent_card("agent/reader", "https://reader.agent.agents.example", ["agent.invoke"])
APPROVED = card_digest(as_json(CARD))


@pytest.fixture(scope="module")
def svid() -> Svid:
    return the_ca().svid("agent/reader")


def check(sent: dict[str, Any] | bytes, *, now: float | None = None, digest: str | None = APPROVED) -> float:
    raw = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    when = time.time() if now is None else now
    return check_card(raw, signer=READER, digest=digest, own=the_ca().svid("agent/writer"), now=when)


def test_a_card_offers_no_stream_and_no_push_and_is_found_by_what_the_agent_is() -> None:
    assert as_json(CARD)["capabilities"] == {"streaming": False, "pushNotifications": False}
    assert CARD.skills[0].tags == ["agent"]
    assert agent_card("reader", "https://reader.agents.example", []).skills[0].tags == ["reader"]


def test_a_signed_card_is_believed_for_as_long_as_its_certificate_lives(svid: Svid) -> None:
    assert check(signed_card(CARD, svid)) == svid.not_after


def test_a_card_says_the_scopes_that_a_caller_needs_a_token_for() -> None:
    [needed] = agent_card("agent/quotes", "https://quotes.test", ["quote.ask", "quote.give"]).security_requirements

    assert [*needed.schemes["token"].list] == ["quote.ask", "quote.give"]


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


def test_a_card_ends_with_its_certificate(svid: Svid) -> None:
    sent = signed_card(CARD, svid)

    assert check(sent, now=svid.not_after - 1)
    with pytest.raises(InvalidStatement, match="has expired"):
        check(sent, now=svid.not_after)
    with pytest.raises(InvalidStatement, match="has expired"):
        check(signed_card(CARD, the_ca().svid("agent/reader", age=200, life=100)))


def test_another_card_is_not_the_approved_one_however_well_it_is_signed(svid: Svid) -> None:
    elsewhere = agent_card("agent/reader", "https://elsewhere.test", ["agent.invoke"])

    with pytest.raises(InvalidStatement, match="not the card that was approved"):
        check(signed_card(elsewhere, svid))
    for nothing in (None, "", "0" * 64):
        with pytest.raises(InvalidStatement, match="not the card that was approved"):
            check(signed_card(CARD, svid), digest=nothing)
