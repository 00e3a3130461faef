"""The issuer's keys: read once for all who wait, again before they are old, and never from a set that is spoilt."""

import asyncio
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from tests.support.door import Clock
from tests.support.issuer import Known
from zerotrust.decision import Denied, Reason, ReasonCode
from zerotrust.issuer.jwks import MAX_KEY_SET_BYTES, SigningKeys
from zerotrust.registry.model import Freshness

FRESH = Freshness(keys=300, keys_cooldown=10, svid=60, x509_svid=120, revocations=3)


def entry(key: RSAPrivateKey | RSAPublicKey, kid: str = "k1", **changed: Any) -> dict[str, Any]:
    return jwt.algorithms.RSAAlgorithm.to_jwk(key, as_dict=True) | {"kid": kid, "use": "sig", "alg": "RS256"} | changed


class Issuing:
    """An issuer whose key set a test changes, and the keys read from it."""

    def __init__(self, *entries: dict[str, Any]) -> None:
        self.entries, self.reads, self.clock = list(entries), 0, Clock(0)
        self.answer: httpx.Response | Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.keys = SigningKeys(Known(), http=http, freshness=FRESH, clock=self.clock)

    async def _answer(self, _request: httpx.Request) -> httpx.Response:
        self.reads += 1
        await self.open.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or httpx.Response(200, json={"keys": self.entries})

    async def refusal(self, kid: str) -> ReasonCode:
        with pytest.raises(Denied) as refused:
            await self.keys.key(kid)
        return refused.value.reason

    async def settled(self) -> None:
        """Wait for a read that was started aside."""
        if self.keys._reading:
            await self.keys._reading


@pytest.fixture
async def issuing(signing_key: RSAPrivateKey) -> Issuing:
    return Issuing(entry(signing_key.public_key()))


async def test_many_who_come_at_once_wait_for_one_read_which_a_caller_who_leaves_does_not_stop(
    issuing: Issuing,
) -> None:
    issuing.open.clear()
    first, *others = (asyncio.create_task(issuing.keys.key("k1")) for _ in range(50))
    await asyncio.sleep(0)
    first.cancel()
    issuing.open.set()

    assert len({id(key) for key in await asyncio.gather(*others)}) == 1
    assert issuing.reads == 1


async def test_keys_are_read_again_early_and_aside(issuing: Issuing) -> None:
    await issuing.keys.key("k1")
    issuing.clock.now = 150
    await issuing.keys.key("k1")
    assert issuing.keys._reading
    assert issuing.keys._reading.done()  # half their time is not over yet

    issuing.open.clear()
    issuing.clock.now = 151
    await issuing.keys.key("k1")  # is not kept waiting, though the issuer is slow
    issuing.open.set()
    await issuing.settled()
    assert issuing.reads == 2

    issuing.clock.now = 400
    issuing.answer = httpx.ConnectError("down")
    assert await issuing.keys.key("k1")  # counted from the second read, these are young enough


OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = jwt.algorithms.RSAAlgorithm.to_jwk(OTHER.public_key(), as_dict=True)
PRIVATE = {n: v for n, v in jwt.algorithms.RSAAlgorithm.to_jwk(OTHER, as_dict=True).items() if n != "key_ops"}
OURS = {"kid": "k2", "use": "sig", "alg": "RS256"}
GOOD = PUBLIC | OURS


def key_set(*keys: Any, status: int = 200, **more: Any) -> httpx.Response:
    return httpx.Response(status, json={"keys": [*keys], **more})


def said(content: bytes) -> httpx.Response:
    return httpx.Response(200, content=content)


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param(key_set(entry(OTHER, "k2")), id="private, for signing"),
        pytest.param(key_set(PRIVATE | OURS), id="private"),
        pytest.param(key_set(GOOD | {"n": "AQ"}), id="a tiny n"),
        pytest.param(key_set(GOOD | {"n": 7}), id="n a number"),
        pytest.param(key_set(), id="no keys"),
        pytest.param(key_set(GOOD | {"use": "enc"}), id="for encryption only"),
        pytest.param(key_set(GOOD | {"alg": "RS512"}), id="other algorithm"),
        pytest.param(key_set(PUBLIC | {"use": "sig", "alg": "RS256"}), id="no name"),
        pytest.param(key_set(GOOD, x="x" * MAX_KEY_SET_BYTES), id="huge"),
        pytest.param(key_set(7), id="a key a number"),
        pytest.param(said(b'{"keys": "k1"}'), id="keys a text"),
        pytest.param(said(b'{"keys": 7}'), id="keys a number"),
        pytest.param(said(b"null"), id="null"),
        pytest.param(said(b"<html>"), id="a page"),
        pytest.param(said(b"\xff\xfe"), id="no text"),
        pytest.param(said(b"[" * 60_000), id="nested deep"),
        pytest.param(httpx.ConnectError("down"), id="nobody there"),
        pytest.param(httpx.ReadTimeout("slow"), id="too slow"),
    ],
)
async def test_a_key_set_that_cannot_be_trusted_changes_nothing(issuing: Issuing, spoilt: Any) -> None:
    known = await issuing.keys.key("k1")
    issuing.answer = spoilt
    issuing.clock.now = 10

    assert await issuing.refusal("k2") is Reason.KEYS_UNAVAILABLE  # who knows whether it is a new one
    assert issuing.reads == 2
    assert await issuing.keys.key("k1") is known

    issuing.answer, issuing.clock.now = None, 20
    assert await issuing.refusal("k2") is Reason.UNKNOWN_KEY


@pytest.mark.parametrize("absent", ["use", "alg"])
async def test_a_key_need_not_say_what_it_is_for(issuing: Issuing, attackers_key: RSAPrivateKey, absent: str) -> None:
    """RFC 7517 sections 4.2 and 4.4: both are optional; the verifier takes one algorithm alone, whatever they say."""
    said = entry(attackers_key.public_key(), "k2")
    del said[absent]
    issuing.entries.append(said)

    assert await issuing.keys.key("k2")
