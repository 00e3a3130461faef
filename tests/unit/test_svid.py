"""What a JWT-SVID says, and which ones the issuer takes for its own."""

import json
import time

import jwt
import pytest

from authorities.attestation.issuer import Issuer

NOW = int(time.time())
LONG = 3600  # outlives any run of the tests, which may have begun long ago
READER = "spiffe://agents.example/agent/reader"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer("agents.example")


def test_an_svid_says_who_for_whom_and_how_long_and_nothing_else(issuer: Issuer) -> None:
    token = issuer.jwt_svid(READER, ["realm"], now=NOW, life=60)

    claims = jwt.decode(token, options={"verify_signature": False})
    identifier = claims.pop("jti")
    assert claims == {"sub": READER, "aud": ["realm"], "iat": NOW, "exp": NOW + 60}
    assert len(identifier) >= 20


def test_the_header_names_algorithm_type_and_key_and_nothing_else(issuer: Issuer) -> None:
    header = jwt.get_unverified_header(issuer.jwt_svid(READER, ["realm"], now=NOW, life=60))

    [key] = json.loads(issuer.jwt_bundle())["keys"]
    assert header == {"alg": "ES256", "typ": "JWT", "kid": key["kid"]}


def test_no_two_svids_are_the_same(issuer: Issuer) -> None:
    tokens = [issuer.jwt_svid(READER, ["realm"], now=NOW, life=60) for _ in range(2)]

    assert len({jwt.decode(token, options={"verify_signature": False})["jti"] for token in tokens}) == 2


def test_the_bundle_holds_the_public_half_for_jwt_svids_alone_and_no_refresh_hint(issuer: Issuer) -> None:
    bundle = json.loads(issuer.bundle())

    assert bundle.keys() == {"keys"}
    [key] = bundle["keys"]
    assert key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert key["use"] == "jwt-svid"


def test_every_issuer_has_its_own_key_under_its_own_name() -> None:
    keys = [json.loads(Issuer("agents.example").jwt_bundle())["keys"][0] for _ in range(2)]

    assert keys[0]["kid"] != keys[1]["kid"]
    assert keys[0]["x"] != keys[1]["x"]


def test_its_own_svid_is_valid_for_its_audience(issuer: Issuer) -> None:
    claims = issuer.validate(issuer.jwt_svid(READER, ["realm"], now=NOW, life=LONG), "realm")

    assert claims["sub"] == READER


def test_an_svid_for_another_audience_is_invalid(issuer: Issuer) -> None:
    with pytest.raises(jwt.InvalidAudienceError):
        issuer.validate(issuer.jwt_svid(READER, ["elsewhere"], now=NOW, life=LONG), "realm")


def test_an_svid_past_its_end_is_invalid(issuer: Issuer) -> None:
    with pytest.raises(jwt.ExpiredSignatureError):
        issuer.validate(issuer.jwt_svid(READER, ["realm"], now=NOW - 61, life=60), "realm")


def test_right_words_under_another_key_are_invalid(issuer: Issuer) -> None:
    stranger = Issuer("agents.example")

    with pytest.raises(jwt.InvalidSignatureError):
        issuer.validate(stranger.jwt_svid(READER, ["realm"], now=NOW, life=LONG), "realm")
