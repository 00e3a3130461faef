"""Agent cards as anybody could make them, and what becomes of a task whose reader shows one."""

import base64
from collections.abc import Mapping
from typing import Any

import jwt
import orjson
from starlette.types import Receive, Scope, Send

from tests.support.attack import FILE_IT, Target, Tried, answering_with
from zerotrust.adapters.agent_card import CARD_PATH, agent_card, as_json, canonical
from zerotrust.spiffe.statement import chain_entry
from zerotrust.spiffe.svid import Svid

READER = "agent/reader"


def card_of(target: Target) -> dict[str, Any]:
    """Return the card that was approved."""
    return as_json(agent_card(READER, target.system.registry.address(READER), ["agent.invoke"]))


def signed_card(card: dict[str, Any], svid: Svid, **header: Any) -> dict[str, Any]:
    """Sign a card as A2A 1.0 section 8.4 has it, with anything at all in the header; `key` signs."""
    key: Any = header.pop("key", svid.key)
    said = {"alg": "ES256", "typ": "JOSE", "kid": svid.id, "x5c": [chain_entry(svid.certificate)]} | header
    protected = base64.urlsafe_b64encode(orjson.dumps(said)).rstrip(b"=")
    data = protected + b"." + base64.urlsafe_b64encode(canonical(card)).rstrip(b"=")
    algorithm = jwt.get_algorithm_by_name(said["alg"])
    signature = base64.urlsafe_b64encode(algorithm.sign(data, key)).rstrip(b"=").decode()
    return card | {"signatures": [{"protected": protected.decode(), "signature": signature}]}


async def shown_card(target: Target, card: bytes | Mapping[str, Any]) -> Tried:
    """Return what becomes of a task whose reader shows this card; the attack succeeds where it hears of the task."""
    heard: list[str] = []
    target.lured.clear()
    shows = answering_with(200, card if isinstance(card, bytes) else orjson.dumps(card))

    async def rogue(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != CARD_PATH:
            heard.append(scope["path"])
        await shows(scope, receive, send)

    with target.answered_by(rogue, at=target.system.addresses[READER]):
        tried = await target.give("orchestrator", FILE_IT)
    tried.effect = bool(heard) or bool(target.lured)
    return tried
