"""B. The token's form and its signature (JWS): nothing in a header is believed, and one algorithm is ours.

Most of these tokens carry a genuine signature, by the issuer's own key: only then does it show which check stands.
"""

import json
import time
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.attack import DOORS, Target, Tries, attack
from tests.support.issuer import ISSUER, encode, metadata
from tests.support.svid import TrustDomain
from tests.support.system import CHAIN
from zerotrust.decision import Reason
from zerotrust.identity import MAX_ACTORS
from zerotrust.limits.strict_json import MAX_DEPTH
from zerotrust.transport.requests import MAX_TOKEN


@cache
def attackers_curve() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def header(**changed: Any) -> bytes:
    """A good header, with `changed` members; None leaves one out."""
    good = {"alg": "RS256", "typ": "at+jwt", "kid": "k1"} | changed
    return json.dumps({name: value for name, value in good.items() if value is not None}).encode()


def claims(target: Target, party: str, **changed: Any) -> bytes:
    """What a good token for that party's door says, as bytes."""
    return json.dumps(target.claims(party, **changed)).encode()


def genuine(target: Target, party: str, **changed: Any) -> str:
    """A token for that party's door with anything at all in its header, and the issuer's own signature."""
    return target.issuer.sign_bytes(header(**changed), claims(target, party))


def put_together(head: bytes, payload: bytes, signature: bytes) -> str:
    return f"{encode(head)}.{encode(payload)}.{encode(signature)}"


@attack(11)
async def test_a_token_that_nobody_signed(target: Target) -> Tries:
    for party in DOORS:
        for algorithm in ("none", "None", "nOnE", "NONE", "", "null"):
            for signature in (b"", b"x" * 256):
                token = put_together(header(alg=algorithm), claims(target, party), signature)
                yield await target.send(party, token)
        yield await target.send(party, put_together(header(alg=None), claims(target, party), b""))


@attack(12)
async def test_our_public_key_as_a_shared_secret(target: Target) -> Tries:
    """Everybody can read the public key, and a verifier that follows the header takes it for a secret."""
    public = target.issuer.key.public_key()
    hmac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    secrets = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        json.dumps(target.issuer.key_set["keys"][0]).encode(),
    ]
    for party in DOORS:
        head, payload = header(alg="HS256"), claims(target, party)
        for secret in secrets:
            signature = hmac.sign(f"{encode(head)}.{encode(payload)}".encode(), secret)
            yield await target.send(party, put_together(head, payload, signature))


@attack(13)
async def test_another_algorithm_though_the_signature_is_genuine(target: Target) -> Tries:
    for_other_things = target.issuer.key_set["keys"][0] | {"kid": "k2", "alg": "PS256"}
    target.issuer.more_keys = [for_other_things]
    for party in DOORS:
        good, named = target.claims(party), {"typ": "at+jwt", "kid": "k1"}
        for algorithm in ("RS384", "RS512", "PS256", "PS512"):
            tried = await target.send(party, jwt.encode(good, target.issuer.key, algorithm, headers=named))
            yield tried.stopped_by("token-algorithm and token-signature (any RSA)")
        tried = await target.send(party, jwt.encode(good, attackers_curve(), "ES256", headers=named))
        yield tried.stopped_by("PyJWT: an RSA key verifies no ECDSA signature")
        # The other way round: our algorithm, by a key that the issuer has published for another one.
        tried = await target.send(party, target.token(party, header={"kid": "k2"}), reason=Reason.UNKNOWN_KEY)
        yield tried.stopped_by("key-algorithm")


@attack(14)
async def test_a_signature_by_the_attackers_key_under_the_name_of_ours(target: Target) -> Tries:
    for party in DOORS:
        yield await target.send(party, target.attacker().sign(target.claims(party)))


@attack(15)
async def test_a_signature_that_belongs_to_other_bytes_or_to_none(target: Target) -> Tries:
    """Among them the forms that broken verifiers took for good: zero, one, the modulus (CVE-2022-21449 for curves)."""
    modulus = target.issuer.key.public_key().public_numbers().n
    for party in DOORS:
        head, payload, signature = target.token(party).split(".")
        grander = encode(claims(target, party, sub="bob", groups=["/engineering", "/finance"]))
        yield await target.send(party, f"{head}.{grander}.{signature}")
        flipped = bytearray(claims(target, party))
        flipped[flipped.index(b"alice")] ^= 1
        yield await target.send(party, f"{head}.{encode(bytes(flipped))}.{signature}")
        yield await target.send(party, f"{head}.{payload}.{signature[:-4]}")
        yield await target.send(party, f"{head}.{payload}.{signature}AAAA")
        yield await target.send(party, f"{head}.{payload}.")
        yield await target.send(party, f"{head}.{payload}")
        for number in (0, 1, modulus - 1, modulus):
            yield await target.send(party, f"{head}.{payload}.{encode(number.to_bytes(256, 'big'))}")
        psychic = put_together(header(alg="ES256"), claims(target, party), bytes(64))
        yield await target.send(party, psychic, reason=Reason.ALGORITHM_NOT_ALLOWED)


@attack(16)
async def test_a_key_by_another_name(target: Target) -> Tries:
    """The name of a key is looked up among those we have; it is no path, no query, no address."""
    began, cooldown = time.monotonic(), target.issuer.registry.freshness.keys_cooldown
    for party in DOORS:
        for kid in (
            "../../../../dev/null",
            "' OR 1=1--",
            "http://attacker.test/keys",
            "http://169.254.169.254/latest/meta-data",
            "k1\r\nset-cookie: a=b",
            "k1\0",
            "K1",
            " k1",
            "",
            "k\u0661",  # an Arabic one
            "k" * 2000,
            7,
            ["k1"],
            {"kid": "k1"},
            True,
            None,
        ):
            yield await target.send(party, genuine(target, party, kid=kid))
        yield await target.send(party, genuine(target, party, kid="k" * 10_000), reason=Reason.TOKEN_TOO_LARGE)
        yield await target.send(party, target.attacker(kid="theirs").sign(target.claims(party)))
    periods = 1 + (time.monotonic() - began) // cooldown  # on a busy machine more than one
    assert len(DOORS) <= target.issuer.key_reads <= len(DOORS) * periods  # the issuer is not asked for every such name


@attack(17)
async def test_a_header_that_says_where_the_key_is(target: Target) -> Tries:
    """Nobody goes there: what listens at these addresses must not be asked."""
    for party in DOORS:
        for name in ("jku", "x5u"):
            for address in ("http://attacker.test/keys", "http://169.254.169.254/keys", "file:///etc/passwd"):
                yield await target.send(party, genuine(target, party, **{name: address}))
                forged = target.attacker().sign(target.claims(party), header={name: address})
                yield await target.send(party, forged)
        yield await target.send(party, genuine(target, party, jku=metadata()["jwks_uri"]))


@attack(18)
async def test_a_header_that_brings_its_own_key(target: Target) -> Tries:
    own = target.attacker().key_set["keys"][0]
    for party in DOORS:
        for brought in ({"jwk": own}, {"x5c": ["MIIB"]}, {"x5t": "AQID"}, {"x5t#S256": "AQID"}):
            yield await target.send(party, target.attacker().sign(target.claims(party), header=brought))
            yield await target.send(party, genuine(target, party, **brought))


@attack(19)
async def test_a_header_that_asks_for_another_reading(target: Target) -> Tries:
    asking: list[dict[str, Any]] = [
        {"crit": ["exp"], "exp": 1},
        {"crit": ["b64"], "b64": False},
        {"crit": []},
        {"b64": False},
        {"b64": True},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"enc": "A256GCM"},
        {"iss": "somebody"},
        {"ALG": "none"},
    ]
    for party in DOORS:
        for asked in asking:
            yield await target.send(party, genuine(target, party, **asked))
        sealed = ".".join(encode(part) for part in (header(enc="A256GCM"), b"key", b"iv", b"text", b"tag"))
        yield await target.send(party, sealed)
        sealed = ".".join(encode(part) for part in (header(alg="RSA-OAEP", enc="A256GCM"), b"k", b"i", b"t", b"t"))
        yield await target.send(party, sealed, reason=Reason.ALGORITHM_NOT_ALLOWED)


@attack(20)
async def test_another_kind_of_token_by_the_same_issuer(target: Target) -> Tries:
    """One key signs ID tokens, logout tokens and more (RFC 9068 section 4): all else about these is good."""
    for party in DOORS:
        for same in "at+jwt", "application/at+jwt", "AT+JWT", "Application/AT+jwt":  # one media type (RFC 7515 4.1.9)
            assert (await target.send(party, genuine(target, party, typ=same))).handled
        for kind in (
            "JWT",  # an ID token, a refresh token, a client assertion
            "logout+jwt",
            "secevent+jwt",
            "token-introspection+jwt",
            "oauth-id-jag+jwt",
            "dpop+jwt",
            "jose",
            "application/JWT",
            "application/logout+jwt",
            "application/application/at+jwt",
            "application/",
            "text/at+jwt",
            "at+jwt/application/",
            "at+jwt; version=1",
            "at+jwt ",
            "",
            None,
            7,
            ["at+jwt"],
        ):
            yield await target.send(party, genuine(target, party, typ=kind))
        svid = TrustDomain(target.issuer.registry).assertion("agent/reader", target.issuer.registry.id(party))
        yield await target.send(party, svid, reason=Reason.ALGORITHM_NOT_ALLOWED)
        proof = genuine(target, party, typ="dpop+jwt", jwk=target.attacker().key_set["keys"][0])
        yield await target.send(party, proof, reason=Reason.FORBIDDEN_HEADER)


@attack(21)
async def test_what_two_parsers_would_read_differently(target: Target) -> Tries:
    for party in DOORS:
        good = claims(target, party)
        assert (await target.send(party, target.issuer.sign_bytes(header(), good))).handled
        for payload in (
            good[:-1] + b', "sub": "bob"}',
            good[:-1] + b', "s\\u0075b": "bob"}',
            b'{"sub": "bob", ' + good[1:],
            good[:-1] + b', "%s": {"sub": "a", "sub": "b"}}' % CHAIN.encode(),
        ):
            tried = await target.send(party, target.issuer.sign_bytes(header(), payload), reason=Reason.BAD_CLAIM)
            yield tried.stopped_by("json-names-unique")
        for head in (
            header()[:-1] + b', "alg": "RS256"}',
            b'{"alg": "none", ' + header()[1:],
            b'{"k\\u0069d": "k2", ' + header()[1:],
        ):
            yield await target.send(party, target.issuer.sign_bytes(head, good), by="json-names-unique")
        for payload in (
            good + b"x",
            good + b"{}",
            good + b"\0",
            b"\xef\xbb\xbf" + good,
            good.replace(b"alice", b"ali\xffce"),
            good.replace(b"alice", b"\\ud800"),
            good.decode().encode("utf-16"),
            b"[" + good + b"]",
            json.dumps(good.decode()).encode(),
            b"null",
            b"",
        ):
            tried = await target.send(party, target.issuer.sign_bytes(header(), payload), reason=Reason.BAD_CLAIM)
            yield tried.stopped_by("json: a single object, in UTF-8")
        for head in (
            header() + b"x",
            b"\xef\xbb\xbf" + header(),
            header().decode().encode("utf-16"),
            b"[" + header() + b"]",
            b"null",
            b"",
        ):
            yield await target.send(party, target.issuer.sign_bytes(head, good), by="json: a single object, in UTF-8")


@attack(22)
async def test_claims_of_another_type(target: Target) -> Tries:
    later = int(target.clock.now) + 60
    for party in DOORS:
        for end in (f'"{later}"', f"{later}.0"):
            payload = claims(target, party, exp="END").replace(b'"END"', end.encode())
            yield await target.send(party, target.issuer.sign_bytes(header(), payload), by="claims-valid (of any type)")
        for name in ("iat", "nbf"):
            payload = claims(target, party, **{name: str(later - 60)})
            yield await target.send(party, target.issuer.sign_bytes(header(), payload), by="claims-valid (of any type)")
        for end in (f"{later}.5", "NaN", "Infinity", "1e400", "-1", "true", f"[{later}]", "{}"):
            payload = claims(target, party, exp="END").replace(b'"END"', end.encode())
            yield await target.send(party, target.issuer.sign_bytes(header(), payload), by="pydantic")
        for name, value in (
            ("aud", {target.issuer.registry.id(party): 1}),
            ("aud", [[target.issuer.registry.id(party)]]),
            ("scope", DOORS[party].scope.split()),
            ("scope", 7),
            ("groups", "/engineering"),
            ("sub", 7),
            ("sub", ["alice"]),
            ("iss", [ISSUER]),
            ("jti", 7),
            (CHAIN, "orchestrator"),
            (CHAIN, ["orchestrator"]),
            (CHAIN, {}),
            (CHAIN, {"sub": ["orchestrator"]}),
            ("lineage", "ancestor-0"),
            ("txn", 7),
        ):
            payload = claims(target, party, **{name: value})
            yield await target.send(party, target.issuer.sign_bytes(header(), payload), by="pydantic")


@attack(24)
async def test_a_token_that_is_too_large(target: Target) -> Tries:
    """Genuine ones, too: nobody spends any work on them."""
    for party in DOORS:
        large = target.token(party, more="x" * 4000)
        assert (await target.send(party, large)).handled
        for size in (MAX_TOKEN, 64 * 1024, 1 << 20):
            yield await target.send(party, target.token(party, more="x" * size))
        yield await target.send(party, large.ljust(MAX_TOKEN + 1, "A"))


@attack(25)
async def test_a_token_that_is_nested_deep(target: Target) -> Tries:
    for party in DOORS:
        azp = target.claims(party)["azp"]
        for actors in (MAX_ACTORS + 1, MAX_DEPTH - 1):
            act: dict[str, Any] = {"sub": "actor-0"}
            for number in range(1, actors - 1):
                act = {"sub": f"actor-{number}", "act": act}
            lineage = [f"ancestor-{number}" for number in range(MAX_ACTORS + 1)]
            nested: dict[str, Any] = {CHAIN: {"sub": azp, "act": act}, "lineage": lineage, "txn": lineage[0]}
            yield await target.send(party, target.token(party, **nested), by="chain-depth")
        nested[CHAIN] = {"sub": azp, "act": {"sub": "one too many", "act": act}}
        yield await target.send(party, target.token(party, **nested), reason=Reason.BAD_CLAIM, by="json-size")
        for deep in (b"[" * 4000, b'{"a":' * 900):
            payload = claims(target, party)[:-1] + b', "x": ' + deep
            tried = await target.send(party, target.issuer.sign_bytes(header(), payload), reason=Reason.BAD_CLAIM)
            yield tried.stopped_by("json: a single object, in UTF-8")
            head = header()[:-1] + b', "x": ' + deep
            tried = await target.send(party, target.issuer.sign_bytes(head, b"{}"), reason=Reason.MALFORMED_TOKEN)
            yield tried.stopped_by("json: a single object, in UTF-8")


@attack(26)
async def test_a_key_that_is_not_for_this_or_not_any_more(target: Target) -> Tries:
    published = target.attacker().key_set["keys"][0]
    target.issuer.more_keys = [
        published | {"kid": "to encrypt", "use": "enc"},
        published | {"kid": "as Keycloak has one", "use": "enc", "alg": "RSA-OAEP"},
        published | {"kid": "to wrap", "key_ops": ["wrapKey", "encrypt"]},
    ]
    for party in DOORS:
        for key in target.issuer.more_keys:
            tried = await target.send(party, target.attacker(kid=key["kid"]).sign(target.claims(party)))
            yield tried.stopped_by("key-use" if key["use"] == "enc" else "key-operations")
    old = {party: target.token(party) for party in DOORS}
    for party, token in old.items():
        assert (await target.send(party, token)).handled
        target.system.services[party].keys._tried_at = float("-inf")  # time goes by, and the issuer changes its key
    target.issuer.kid, target.issuer.key = "k2", target.attacker().key
    for party, token in old.items():
        assert (await target.send(party, target.token(party))).handled
        yield await target.send(party, token, by="removed-keys-forgotten")
