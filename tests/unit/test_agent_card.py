"""Agent cards: the agent's own word, signed with its SVID, that it is the one that was approved."""

import json
import time

import jwt
import pytest
from a2a.types import AgentCard
from a2a.utils.signing import create_signature_verifier
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]
from jwt.algorithms import ECAlgorithm

from tests.support.ca import the_ca
from zerotrust.adapters.agent_card import agent_card, as_json, card_digest, check_card, sign_card
from zerotrust.spiffe.statement import InvalidStatement

READER = "spiffe://agents.example/agent/reader"
CARD = agent_card("agent/reader", "https://reader.agent.agents.example", ["agent.invoke"])


def test_a_card_offers_no_stream_and_no_push_and_is_found_by_what_the_agent_is() -> None:
    assert as_json(CARD)["capabilities"] == {"streaming": False, "pushNotifications": False}
    assert CARD.skills[0].tags == ["agent"]
    assert agent_card("reader", "https://reader.agents.example", []).skills[0].tags == ["reader"]


def test_it_is_signed_as_the_sdk_would_have_it() -> None:
    """By its public functions, so that any other A2A client can verify it, too."""
    svid = the_ca().svid("agent/reader")
    sent = ParseDict(sign_card(CARD, svid), AgentCard())
    seen: list[tuple[str | None, str | None]] = []

    def key(kid: str | None, jku: str | None) -> jwt.PyJWK:
        seen.append((kid, jku))
        return jwt.PyJWK(ECAlgorithm.to_jwk(svid.key.public_key(), as_dict=True), "ES256")

    create_signature_verifier(key, ["ES256"])(sent)

    assert seen == [(READER, None)]


def test_a_card_ends_with_its_certificate() -> None:
    ended = json.dumps(sign_card(CARD, the_ca().svid("agent/reader", age=200, life=100))).encode()
    with pytest.raises(InvalidStatement, match="has expired"):
        check_card(
            ended, signer=READER, digest=card_digest(as_json(CARD)), own=the_ca().svid("agent/writer"), now=time.time()
        )


@pytest.mark.parametrize("signatures", [[], [{}, {}]])
def test_a_card_has_exactly_one_signature(signatures: list[dict[str, str]]) -> None:
    sent = json.dumps(as_json(CARD) | {"signatures": signatures}).encode()

    with pytest.raises(InvalidStatement, match="no signed card"):
        check_card(sent, signer=READER, digest=None, own=the_ca().svid("agent/writer"), now=time.time())
