"""A. Proofs of possession: somebody has a user's token, and not the key that it is bound to (RFC 9449 section 11)."""

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from testkit.issuer import USERS_PRIVATE_KEY, encode
from tests.support.attack import DOORS, Target, Tried, Tries, attack
from zerotrust import checks, possession
from zerotrust.decision import Reason
from zerotrust.gate import Gate
from zerotrust.possession import AHEAD, LIFE, UsedProofs
from zerotrust.transport.requests import MAX_PROOF

FRONT = "orchestrator"
THIEFS_KEY = ec.generate_private_key(ec.SECP256R1())


def _jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    return jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)


def _proof(
    target: Target,
    token: str,
    *,
    key: Any = USERS_PRIVATE_KEY,
    algorithm: str = "ES256",
    header: dict[str, Any] | None = None,
    **changed: Any,
) -> str:
    """A proof by a user's key for a good request, but for what is changed."""
    claims = {
        "jti": str(uuid.uuid4()),
        "htm": "POST",
        "htu": target.system.addresses[FRONT] + DOORS[FRONT].path,
        "iat": int(target.clock()),
        "ath": encode(hashlib.sha256(token.encode()).digest()),
    }
    headers = {"typ": "dpop+jwt", "jwk": _jwk(USERS_PRIVATE_KEY)} | (header or {})
    return jwt.encode(claims | changed, key, algorithm, headers)


async def _sent(target: Target, token: str, *proofs: str | None, **how: Any) -> Tried:
    """A good request, with these proofs in the place of the right one."""
    return await target.send(
        FRONT, token, headers=[(b"dpop", proof.encode() if proof else None) for proof in proofs], **how
    )


@contextmanager
def _limits(**lower: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, limit in lower.items():
            patch.setattr(possession, name, limit)
        yield


@attack(429)
async def test_a_users_token_alone(target: Target) -> Tries:
    token = target.token(FRONT)
    assert (await _sent(target, token, _proof(target, token))).handled
    yield await _sent(target, token, None)
    yield await _sent(target, token, token, reason=Reason.BAD_PROOF)


@attack(430)
async def test_a_users_token_with_a_proof_by_the_thief(target: Target) -> Tries:
    token = target.token(FRONT)
    own = _proof(target, token, key=THIEFS_KEY, header={"jwk": _jwk(THIEFS_KEY)})
    yield await _sent(target, token, own, by="proof-key-of-token")
    yield await _sent(target, token, _proof(target, token, key=THIEFS_KEY), by="proof-signature")


@attack(431)
async def test_a_token_that_is_bound_to_no_key(target: Target) -> Tries:
    """The realm issues none (`binding.js`); whoever gets hold of one has a bearer token."""
    yield await target.send(FRONT, target.token(FRONT, zt_cnf=None))


@attack(432)
async def test_a_proof_that_nobody_needs_a_key_for(target: Target) -> Tries:
    token = target.token(FRONT)
    for algorithm, key in (("none", None), ("HS256", "x" * 32)):
        proof = _proof(target, token, algorithm=algorithm, key=key)
        yield await _sent(target, token, proof, by="proof-signature")
    for header in ({"typ": "JWT"}, {"typ": "at+jwt"}):
        yield await _sent(target, token, _proof(target, token, header=header), by="proof-type")
    critical = _proof(target, token, header={"crit": ["x"], "x": 1})
    yield await _sent(target, token, critical, by="PyJWT: a critical header")


@attack(433)
async def test_a_proof_that_gives_its_private_key_away_or_is_too_large(target: Target) -> Tries:
    token, private = target.token(FRONT), jwt.algorithms.ECAlgorithm.to_jwk(USERS_PRIVATE_KEY, as_dict=True)
    yield await _sent(target, token, _proof(target, token, header={"jwk": private}), by="proof-key-public")
    yield await _sent(target, token, _proof(target, token, header={"kid": "x" * MAX_PROOF}), by="proof-size")


@attack(434)
async def test_a_captured_proof_for_something_else(target: Target) -> Tries:
    token, other = target.token(FRONT), target.token(FRONT)
    own, host = target.system.addresses[FRONT], "attacker.test"
    for name, value in (("htm", "GET"), ("htm", "post"), ("htu", f"{own}/tasks"), ("htu", f"https://{host}/plan")):
        proof = _proof(target, token, **{name: value})  # type: ignore[arg-type]
        headers = [(b"dpop", proof.encode()), (b"host", host.encode())]  # what a caller says of the host is not asked
        yield await target.send(FRONT, token, headers=headers, by="proof-for-this-request")
    yield await _sent(target, token, _proof(target, other), by="proof-for-this-token")


@attack(435)
async def test_a_proof_at_another_time(target: Target) -> Tries:
    now = int(target.clock())
    token = target.token(FRONT, exp=now + 200)
    for made in (now - LIFE - 1, now + AHEAD + 1):
        yield await _sent(target, token, _proof(target, token, iat=made), by="proof-fresh")
    captured = _proof(target, token)
    assert (await _sent(target, token, captured)).handled
    for _ in range(2):  # until it is forgotten
        target.clock.now += LIFE + AHEAD + 1
        later = target.token(FRONT)
        assert (await _sent(target, later, _proof(target, later))).handled
    target.clock.now = now
    yield await _sent(target, token, captured, by="clock-non-decreasing")


@attack(436)
async def test_a_proof_again(target: Target) -> Tries:
    token = target.token(FRONT)
    captured = _proof(target, token)
    assert (await _sent(target, token, captured)).handled
    yield await _sent(target, token, captured, by="proof-used-once")
    target.clock.now += 2
    gate = target.system.apps[target.system.addresses[FRONT]]
    assert isinstance(gate, Gate)
    gate.proofs = UsedProofs(target.clock())  # what is left after a restart
    yield await _sent(target, token, captured, by="proof-since-start", reason=Reason.BAD_PROOF)
    made_ahead = _proof(target, token, iat=int(target.clock()) + AHEAD)

    async def pass_(seconds: float) -> None:
        target.clock.now += seconds

    with patch.object(checks, "sleep", pass_):
        assert (await _sent(target, token, made_ahead)).handled
    target.clock.now += 1
    gate.proofs = UsedProofs(target.clock())
    yield await _sent(target, token, made_ahead, by="proof-not-ahead", reason=Reason.BAD_PROOF)
    two = _proof(target, token), _proof(target, token)
    yield await _sent(target, token, *two, by="one-proof", reason=Reason.BAD_PROOF)


@attack(437)
async def test_a_flood_of_proofs(target: Target) -> Tries:
    """By a thief of alice's token, and by bob: neither costs alice her place in the memory."""
    alices, bobs = target.token(FRONT), target.token(FRONT, sub="bob")
    with _limits(MAX_OF_A_USER=3, MAX_OF_ALL=5):
        for _ in range(4):
            thiefs = _proof(target, alices, key=THIEFS_KEY, header={"jwk": _jwk(THIEFS_KEY)})
            tried = await _sent(target, alices, thiefs, reason=Reason.BAD_PROOF)
            yield tried.stopped_by("proof-key-of-token")
        for _ in range(5):
            flood = await _sent(target, bobs, _proof(target, bobs))
        flood.effect = not (await _sent(target, alices, _proof(target, alices))).handled
        assert flood.reasons == [Reason.TOO_MANY_REQUESTS] or flood.effect
        yield flood.stopped_by("proofs-per-user")
