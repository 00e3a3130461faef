"""A confidential client that starts chains: its tokens name no actor, and are good over its own certificate alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from registration.realm import realm
from tests.support.ca import workload
from tests.support.console import CONSOLE, REDIRECT, with_console
from tests.support.door import NOW, Door
from tests.support.issuer import Issuer
from zerotrust.decision import Reason
from zerotrust.registry.model import Registry


@pytest.fixture
def issuer(registry: Registry, signing_key: RSAPrivateKey) -> Issuer:
    return Issuer(with_console(registry), key=signing_key, clock=lambda: NOW)


@pytest.fixture
def door(tmp_path: Path, issuer: Issuer) -> Iterator[Door]:
    """The orchestrator's."""
    door = Door(tmp_path, issuer)
    yield door
    door.close()


def token(issuer: Issuer, **changed: Any) -> str:
    """What alice gets when she signs in at the console."""
    return issuer.token(azp=issuer.registry.id(CONSOLE), **changed)


async def test_its_token_is_good_over_its_certificate(door: Door, issuer: Issuer) -> None:
    reply = await door.ask(token(issuer), peer=workload(CONSOLE))

    assert reply.status == 200
    [request] = door.requests
    assert (request["party"], request["client"], request["actors"]) == (*[issuer.registry.id(CONSOLE)] * 2, [])


async def test_who_starts_no_chain_needs_an_actor_still(door: Door, issuer: Issuer) -> None:
    reply = await door.ask(issuer.token(azp=issuer.registry.id("agent/reader")), peer=workload("agent/reader"))

    assert reply.reason == Reason.ACTOR_MISSING


def test_at_keycloak_it_authenticates_with_its_svid_and_exchanges_nothing(registry: Registry) -> None:
    [client] = [c for c in realm(with_console(registry))["clients"] if c["clientId"].endswith("/console")]

    assert client["standardFlowEnabled"]
    assert (client["publicClient"], client["clientAuthenticatorType"]) == (False, "federated-jwt")
    assert client["redirectUris"] == [REDIRECT]
    assert client["defaultClientScopes"] == ["basic", "groups", "aud:orchestrator"]
    attributes = client["attributes"]
    assert attributes["jwt.credential.sub"] == "spiffe://agents.example/console"
    assert attributes["pkce.code.challenge.method"] == "S256"
    assert attributes["standard.token.exchange.enabled"] == "false"
    assert attributes["backchannel.logout.url"].endswith("/backchannel-logout")
