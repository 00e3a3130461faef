"""Whatever is sent, a refusal or a right answer comes out; and what was changed in a good token is not good."""

import asyncio
import json
import string
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import CALL, claims, credentials, good_claims, good_token, header, message, principal_of
from tests.support.door import NOW, Door, Headers
from tests.support.issuer import Issuer
from zerotrust.decision import Reason
from zerotrust.registry.model import Registry

quick = settings(max_examples=150)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def changed(good: bytes) -> st.SearchStrategy[bytes]:
    """The same bytes with a piece of them replaced by something else, or left out, or said twice."""

    def change(place: int, length: int, piece: bytes, times: int) -> bytes:
        return good[:place] + piece + good[place : place + length] * times + good[place + length :]

    size = st.integers(0, len(good))
    return st.builds(change, size, st.integers(0, 20), st.binary(max_size=5), st.sampled_from([0, 0, 1, 2]))


@quick
@given(st.binary() | st.binary().map(b"Bearer ".__add__) | changed(f"Bearer {good_token()}".encode()))
def test_no_credentials_but_the_good_ones_make_a_caller(value: bytes) -> None:
    credentials(value)


@quick
@given(st.text(string.ascii_letters + string.digits + "-_.=") | st.text())
def test_a_token_that_nobody_signed_is_refused_whatever_it_is(token: str) -> None:
    assert principal_of(token) is None


@quick
@given(st.integers(0, len(good_token()) - 6), st.sampled_from(string.ascii_letters + string.digits + "-_."))
def test_a_good_token_with_one_character_changed_is_refused(place: int, character: str) -> None:
    token = good_token()
    other = token[:place] + character + token[place + 1 :]

    assert other == token or principal_of(other) is None


@quick
@given(st.binary() | changed(b'{"alg":"RS256","typ":"at+jwt","kid":"k1"}'))
def test_a_header_that_is_not_the_issuers_is_refused(value: bytes) -> None:
    header(value)


@quick
@given(st.sampled_from(sorted(good_claims())), json_values)
def test_a_claim_of_another_kind_is_refused_or_right(name: str, value: object) -> None:
    claims(json.dumps(good_claims() | {name: value}).encode())


@quick
@given(st.binary())
def test_claims_that_are_none_are_refused(value: bytes) -> None:
    claims(value)


@quick
@given(
    st.binary()
    | changed(b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{}}}')
    | st.builds(
        lambda name, value: json.dumps(CALL | {name: value}).encode(), st.sampled_from(sorted(CALL)), json_values
    )
)
def test_a_body_is_read_alike_by_everybody_or_by_nobody(value: bytes) -> None:
    message(value)


names = st.sampled_from([b"authorization", b"traceparent", b"mcp-protocol-version", b"content-length", b"host"])
headers = st.lists(st.tuples(names | st.binary(), st.binary() | st.integers().map(b"%d".__mod__)), max_size=5)


def test_whatever_is_asked_at_a_gate_is_answered(
    tmp_path: Path, registry: Registry, signing_key: RSAPrivateKey
) -> None:
    issuer = Issuer(registry, key=signing_key, clock=lambda: NOW)
    paths = st.sampled_from(["/tasks", "/health", "/plan"]) | st.text()
    methods = st.sampled_from(["POST", "GET"]) | st.text()
    with asyncio.Runner() as runner:
        door = runner.run(_door(tmp_path, issuer))

        @quick
        @given(st.booleans(), methods, paths, headers, st.lists(st.binary(), max_size=3))
        def ask(known: bool, method: str, path: str, given_headers: Headers, body: list[bytes]) -> None:
            token = issuer.token() if known else None
            reply = runner.run(door.ask(token, method, path, headers=given_headers, body=body or b""))
            assert reply.status < 500
            assert reply.status == 200 or reply.reason in set(Reason)

        ask()
        door.close()


async def _door(folder: Path, issuer: Issuer) -> Door:
    return Door(folder, issuer)
