"""A request comes from the holder of the key that its token is bound to, or it is refused (RFC 9449 section 4.3)."""

import base64
import hashlib
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from zerotrust.decision import Denied, Reason
from zerotrust.identity import UnverifiedToken
from zerotrust.possession import AHEAD, LIFE, MAX_OF_A_USER, MAX_OF_ALL, Proof, UsedProofs, check_proof, thumbprint
from zt.people.key import Key

TOKEN, URL, NOW = UnverifiedToken("a.b.c"), "https://orchestrator.agents.example/tasks", 1_800_000_000
PRIVATE = ec.generate_private_key(ec.SECP256R1())
JWK = jwt.algorithms.ECAlgorithm.to_jwk(PRIVATE.public_key(), as_dict=True)
ATH = base64.urlsafe_b64encode(hashlib.sha256(TOKEN.encode()).digest()).rstrip(b"=").decode()
CLAIMS = {"jti": "proof-1", "htm": "POST", "htu": URL, "iat": NOW, "ath": ATH}


def made(header: dict[str, Any] | None = None, *, key: Any = PRIVATE, **changed: Any) -> str:
    """A proof, right but for what is given; None leaves a claim or a member of the header out."""
    said = {name: value for name, value in (CLAIMS | changed).items() if value is not None}
    head = {"typ": "dpop+jwt", "jwk": JWK} | (header or {})
    return jwt.encode(said, key, str(head.pop("alg", "ES256")), {name: value for name, value in head.items() if value})


def checked(proof: str, *, key: str = thumbprint(JWK), now: float = NOW) -> Proof:
    return check_proof(proof, token=TOKEN, key=key, method="POST", url=URL, now=now)


def reason(proof: str, **changed: Any) -> str:
    with pytest.raises(Denied) as refused:
        checked(proof, **changed)
    return refused.value.reason


def test_a_right_proof_is_taken() -> None:
    assert checked(made()) == Proof(thumbprint(JWK), "proof-1", NOW)


def test_the_example_of_the_standard_has_the_thumbprint_that_it_says() -> None:
    """RFC 7638 section 3.1 has RSA; RFC 9449 section 6.1 has this one."""
    public = {
        "kty": "EC",
        "crv": "P-256",
        "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    }

    assert thumbprint(public) == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def test_a_clients_own_proof_is_taken() -> None:
    key = Key(clock=lambda: NOW)
    proof = key.prove("POST", f"{URL}?a=b", TOKEN)

    assert (
        check_proof(proof, token=TOKEN, key=key.thumbprint, method="POST", url=URL, now=NOW).thumbprint
        == key.thumbprint
    )


def test_an_address_is_the_same_however_it_is_spelled() -> None:
    other = URL.replace("https://orchestrator", "HTTPS://Orchestrator").replace(".example", ".example:443")
    for named in (f"{URL}?a=b#c", f"{URL}#c", other):
        assert checked(made(htu=named)).id == "proof-1"


@pytest.mark.parametrize("name", ["EdDSA", "Ed25519"])
def test_ed25519_does_as_well(name: str) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    public = jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    jws, header = jwt.PyJWS(), {"typ": "dpop+jwt", "jwk": public | {"kid": "mine", "use": "sig"}}
    jws.register_algorithm("Ed25519", jwt.algorithms.OKPAlgorithm())
    proof = jws.encode(json.dumps(CLAIMS).encode(), key, name, header)

    assert checked(proof, key=thumbprint(public)).id == "proof-1"


@pytest.mark.parametrize(
    "proof",
    [
        pytest.param(made({"typ": "JWT"}), id="another type"),
        pytest.param(made({"jwk": JWK | {"d": "x"}}), id="a private key"),
        pytest.param(made({"jwk": JWK | {"crv": "P-384"}}), id="another curve"),
        pytest.param(made(key=ec.generate_private_key(ec.SECP256R1())), id="signed by another key"),
        pytest.param(made(jti="x" * 129), id="a long id"),
        pytest.param(made(htm="GET"), id="another method"),
        pytest.param(made(htu="https://elsewhere.example/tasks"), id="another address"),
        pytest.param(made(htu="https://["), id="no address"),
        pytest.param(made(htu=URL.replace("/tasks", "/%74asks")), id="an escaped address"),
        pytest.param(made(htu=URL.replace("/tasks", "/./tasks")), id="an address with a dot"),
        pytest.param(made(ath=ATH[::-1]), id="another token"),
        pytest.param(made(iat=float(NOW)), id="a time that is no integer"),
        pytest.param(made(iat=NOW - LIFE - 1), id="old"),
        pytest.param(made(iat=NOW + AHEAD + 1), id="of the future"),
    ],
)
def test_any_other_proof_is_refused(proof: str) -> None:
    assert reason(proof) == Reason.BAD_PROOF


def test_a_proof_by_another_key_than_the_tokens_is_refused() -> None:
    assert reason(made(), key=Key().thumbprint) == Reason.BAD_PROOF


def test_a_proof_is_good_once() -> None:
    used = UsedProofs(since=NOW)
    for proof in [Proof("key", "1", NOW), Proof("key", "2", NOW), Proof("other", "1", NOW)]:
        used.remember(proof, user="alice", now=NOW)

    for later in (0, LIFE + AHEAD, LIFE + AHEAD + 1):  # then the memory begins anew, and still has the last ones
        with pytest.raises(Denied) as refused:
            used.remember(Proof("key", "1", NOW), user="alice", now=NOW + later)

        assert refused.value.reason is Reason.PROOF_USED


def test_a_proof_from_before_the_start_is_refused_because_its_use_is_not_remembered() -> None:
    with pytest.raises(Denied) as refused:
        UsedProofs(since=NOW).remember(Proof("key", "1", NOW - 1), user="alice", now=NOW)

    assert refused.value.reason is Reason.BAD_PROOF


@pytest.mark.parametrize(
    ("users", "most", "why"), [(1, MAX_OF_A_USER, Reason.TOO_MANY_REQUESTS), (MAX_OF_ALL, MAX_OF_ALL, Reason.BUSY)]
)
def test_a_full_memory_refuses_until_what_it_has_is_too_old_to_be_used(users: int, most: int, why: Reason) -> None:
    used = UsedProofs(since=NOW)
    for number in range(most):
        used.remember(Proof("key", str(number), NOW), user=f"user-{number % users}", now=NOW)

    with pytest.raises(Denied) as refused:
        used.remember(Proof("key", "new", NOW), user="user-0", now=NOW)
    assert refused.value.reason is why
    used.remember(Proof("key", "new", NOW + LIFE), user="user-0", now=NOW + LIFE + AHEAD + 1)
