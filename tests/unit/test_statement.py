"""Statements signed with an SVID: the one who is to say it, in its own name, while its certificate lives."""

import hmac
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.ca import CA, LONG, the_ca
from tests.support.issuer import encode
from zerotrust.spiffe import statement as module
from zerotrust.spiffe.statement import MAX_CHAIN, InvalidStatement, chain_entry, sign, statement_type, verify_statement
from zerotrust.spiffe.svid import Svid

REGISTRY, READER = "spiffe://agents.example/authority/registry", "spiffe://agents.example/agent/reader"
KIND = "agents-registry+jwt"
SAID = b'{"parties": {}}'


@pytest.fixture(scope="module")
def registry() -> Svid:
    return the_ca().svid("authority/registry")


def check(statement: str, *, now: float | None = None) -> dict[str, Any]:
    when = time.time() if now is None else now
    return verify_statement(statement, kind=KIND, signer=REGISTRY, own=the_ca().svid("agent/writer"), now=when)


def forged(svid: Svid, *, key: Any = None, **header: Any) -> str:
    """A statement with another header; None leaves a name out."""
    good = {"typ": KIND, "x5c": [chain_entry(svid.certificate)]} | header
    given = {name: value for name, value in good.items() if value is not None}
    return jwt.PyJWS().encode(SAID, svid.key if key is None else key, "ES256", headers=given)


def said(party: str = "authority/registry", kind: str = KIND, **svid: Any) -> str:
    """What a party has signed, with a certificate that is otherwise."""
    return sign(SAID, the_ca().svid(party, **svid), kind=kind)


ANOTHER: dict[str, tuple[Callable[[], str], str]] = {
    "of another kind": (lambda: said(kind="secevent+jwt"), "not a statement of kind agents-registry"),
    "by another key": (
        lambda: forged(the_ca().svid("authority/registry"), key=the_ca().svid("authority/registry").key),
        "the signature is not that of",
    ),
    "by too long a life": (lambda: said(life=LONG - 4), "longer than 3605 s"),
    "by a key for nothing": (lambda: said(signs=None), "is not for signing"),
    "by a key that certifies": (lambda: said(signs=False), "must not assert keyCertSign"),
    "by an authority": (lambda: said(is_ca=True), "cA must not be asserted"),
    "by a server and no client": (lambda: said(usages=[ExtendedKeyUsageOID.SERVER_AUTH]), "EKU"),
    **{
        f"of the SPIFFE IDs {ids}": (partial(said, ids=ids), "not exactly one SVID")
        for ids in ([], [REGISTRY, READER], ["https://agents.example/x"], ["spiffe://agents.example"])
    },
}


@pytest.mark.parametrize(("statement", "why"), ANOTHER.values(), ids=ANOTHER)
def test_what_somebody_else_says_or_by_a_certificate_for_something_else_is_not_believed(
    statement: Callable[[], str], why: str
) -> None:
    assert check(said(life=LONG - 5))
    with pytest.raises(InvalidStatement, match=why):
        check(statement())


@pytest.mark.parametrize(("at", "good"), [(-10.0, False), (0.0, True), (59.0, True), (60.0, False), (3600.0, False)])
def test_a_statement_is_good_while_the_certificate_lives(at: float, good: bool) -> None:
    svid = the_ca().svid("authority/registry", life=60)
    statement, begun = sign(SAID, svid, kind=KIND), svid.not_after - 60

    if good:
        assert check(statement, now=begun + at)
    else:
        with pytest.raises(InvalidStatement, match="has expired, or is not valid yet"):
            check(statement, now=begun + at)


def test_a_key_of_another_kind_signs_nothing_here(signing_key: RSAPrivateKey) -> None:
    with pytest.raises(InvalidStatement, match="is not for signing"):
        check(forged(the_ca().svid("authority/registry", key=signing_key), key=the_ca().key))


ROOT = CA(path_length=2)
BETWEEN = CA(above=ROOT)


def read_under(ca: CA, statement: str) -> dict[str, Any]:
    return verify_statement(statement, kind=KIND, signer=REGISTRY, own=ca.svid("agent/writer"), now=time.time())


def test_intermediates_lead_to_an_authority() -> None:
    lower = CA(above=CA(above=ROOT, path_length=1))
    for ca, certificates in ((BETWEEN, 2), (lower, 3)):
        signer = ca.svid("authority/registry")
        assert len(signer.chain) == certificates
        assert read_under(ROOT, sign(SAID, signer, kind=KIND)) == {"parties": {}}


BAD_CHAINS: dict[str, Any] = {
    "none": list,
    "not the one that issued it": lambda: [CA(above=ROOT).certificate],
    "one too many": lambda: [*BETWEEN.chain, BETWEEN.certificate],
    "the authority itself, too": lambda: [*BETWEEN.chain, ROOT.certificate],
    "a leaf": lambda: [ROOT.svid("agent/reader").certificate],
}


@pytest.mark.parametrize("chain", BAD_CHAINS.values(), ids=list(BAD_CHAINS))
def test_intermediates_that_do_not_lead_there_are_refused(chain: Any) -> None:
    signer = BETWEEN.svid("authority/registry")
    with pytest.raises(InvalidStatement):
        read_under(ROOT, forged(signer, x5c=[chain_entry(one) for one in (signer.certificate, *chain())]))


def test_a_header_has_certificates_and_none_that_leads_nowhere(registry: Svid) -> None:
    own, other = chain_entry(registry.certificate), chain_entry(the_ca().svid("agent/reader").certificate)
    for chain in ([], [own, own], [own, other], own, None, 7, {"a": own}, ["!!!"], [7], [encode(b"x")], [f"{own}\n"]):
        with pytest.raises(InvalidStatement):
            check(forged(registry, x5c=chain))
    for header in [], [own] * (MAX_CHAIN + 1), {own: own}:
        with pytest.raises(ValueError, match=f"not 1 to {MAX_CHAIN} certificates"):
            module.chain_of(header)


@pytest.mark.parametrize("name", ["jku", "jwk", "kid", "x5u", "crit", "zip"])
def test_a_header_says_three_things_and_no_more(registry: Svid, name: str) -> None:
    header: dict[str, Any] = {name: ["x"] if name == "crit" else "x"}
    with pytest.raises(InvalidStatement, match="not a statement of kind"):
        check(forged(registry, **header))


def test_the_algorithm_is_ours_to_choose(registry: Svid) -> None:
    public = registry.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    chain = [chain_entry(registry.certificate)]
    for algorithm in ("none", "HS256", "ES384", "es256", "RS256", None, 7):
        header = encode(orjson.dumps({"alg": algorithm, "typ": KIND, "x5c": chain}))
        _, body, signature = sign(SAID, registry, kind=KIND).split(".")
        for spoiled in (f"{header}.{body}.{signature}", f"{header}.{body}."):
            with pytest.raises(InvalidStatement, match="not a statement of kind"):
                check(spoiled)
    signed = f"{encode(orjson.dumps({'alg': 'HS256', 'typ': KIND, 'x5c': chain}))}.{encode(SAID)}"
    with pytest.raises(InvalidStatement, match="not a statement of kind"):
        check(f"{signed}.{encode(hmac.digest(public, signed.encode(), 'sha256'))}")


@pytest.mark.parametrize(
    "statement", ["", ".", "..", "a.b.c", "é.b.c", encode(b"[]") + ".b.c", encode(b'{"typ": "a", "typ": "b"}') + ".b.c"]
)
def test_what_is_no_statement_is_said_to_be_none(statement: str) -> None:
    with pytest.raises(InvalidStatement):
        check(statement)
    with pytest.raises(InvalidStatement, match="not a statement"):
        statement_type(statement)
