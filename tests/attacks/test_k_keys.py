"""K. Keys and metadata: what makes a service ask the issuer, how often, and whether anybody can send it elsewhere."""

import asyncio
import warnings

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.utils import base64url_encode
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.attack import LURES, Target, Tried, Tries, Watched, answering_with, attack, redirecting
from tests.support.door import Clock
from tests.support.issuer import ISSUER, Issuer, metadata
from zerotrust.decision import Reason

ORCHESTRATOR, READER, TOOL = "orchestrator", "agent/reader", "tool/documents"
ISSUER_AT = "https://issuer.test"
FLOOD = 1000


@attack(119)
async def test_a_flood_of_keys_that_nobody_knows(target: Target) -> Tries:
    """Each might be a new key, so the issuer is asked; once, and then not until a pause is over."""
    keys, fresh, issuer = target.system.services[TOOL].keys, target.issuer.registry.freshness, target.issuer
    keys._clock = clock = Clock()

    async def is_let_in() -> bool:
        return (await target.send(TOOL, target.token(TOOL))).handled

    assert await is_let_in()
    clock.now += fresh.keys_cooldown
    reads, token = issuer.key_reads, target.token(TOOL)
    async with target.system.client(TOOL) as http:
        bearers = (f"Bearer {signed_by(f'nobody-{number}', token)}" for number in range(FLOOD))
        answers = await asyncio.gather(*(http.post("/mcp", headers={"authorization": bearer}) for bearer in bearers))
    assert {answer.status_code for answer in answers} == {401}
    tried = await target.send(TOOL, signed_by("nobody", token))
    tried.effect = issuer.key_reads > reads + 1
    yield tried

    # Whoever signs with a known key is not kept out, and a new key is found when the pause is over.
    assert await is_let_in()
    issuer.kid = "k2"
    assert await is_let_in() is tried.effect
    clock.now += fresh.keys_cooldown
    assert await is_let_in()

    # Without an issuer the keys are good for a while, and then nobody can tell.
    issuer.down = True
    clock.now += fresh.keys - fresh.keys_cooldown
    assert await is_let_in()
    clock.now += fresh.keys_cooldown + 1
    yield await target.send(TOOL, target.token(TOOL), reason=Reason.KEYS_UNAVAILABLE)


def signed_by(kid: str, token: str) -> str:
    """The token with another name of a key in its header."""
    header = base64url_encode(orjson.dumps({"alg": "RS256", "typ": "at+jwt", "kid": kid})).decode()
    return header + token[token.index(".") :]


# --- metadata ---------------------------------------------------------------------------------------------------------


@attack(120)
async def test_an_answer_that_sends_a_service_elsewhere(target: Target) -> Tries:
    """By a redirect or a challenge, from a tool, a model, an agent or the issuer: nobody asks for anything there."""
    places = {TOOL: READER, "inference": READER, READER: ORCHESTRATOR}
    at_a_party = {target.system.addresses[party]: caller for party, caller in places.items()}
    for lure in LURES:
        for origin, caller in at_a_party.items():
            for answer in (
                *(redirecting(status, f"{lure}/") for status in (301, 302, 303, 307, 308)),
                _challenge(lure),
            ):
                with target.answered_by(answer, at=origin):
                    yield _lured(target, await target.give(caller))
        for status in (302, 307):
            with target.answered_by(redirecting(status, f"{lure}/keys"), at=ISSUER_AT):
                yield _lured(target, await target.give(READER))
                _forget_keys(target, TOOL)
                yield _lured(target, await target.send(TOOL, target.token(TOOL), reason=Reason.KEYS_UNAVAILABLE))
            _forget_keys(target, TOOL)


@attack(121)
async def test_another_issuer_that_is_named_somewhere(target: Target) -> Tries:
    """In a tool's metadata, which nobody asks for; and in a token that came back from an exchange."""
    for lure in LURES:
        with target.answered_by(_challenge(lure), at=target.system.addresses[TOOL]):
            tried = _lured(target, await target.give(READER))
            tried.reason = Reason.GRANTED
            yield tried
        target.issuer.spoil = {"iss": f"{lure}/realms/agents"}
        tool = target.system.services[TOOL]
        assert isinstance(tool, Watched)
        before = len(tool.handled)
        tried = await target.give(READER, on_record_at=TOOL)
        tried.effect = len(tool.handled) > before
        yield tried
        target.issuer.spoil = {}


@attack(189)
async def test_metadata_of_another_issuer_or_that_lead_elsewhere(target: Target) -> Tries:
    """A realm beside ours whose keys the attacker has, and an address that takes users' tokens in for new ones."""
    mallory, other = target.attacker(), ISSUER.replace("agents", "other")
    taken = mallory.exchanges

    async def realms(scope: Scope, receive: Receive, send: Send) -> None:
        await (mallory if "/realms/other/" in scope["path"] else target.issuer).app(scope, receive, send)

    target.issuer.metadata = metadata(other)
    with target.answered_by(realms, at=ISSUER_AT):
        yield await target.send(TOOL, mallory.sign(target.claims(TOOL)), reason=Reason.KEYS_UNAVAILABLE)

    target.issuer.metadata = metadata()
    assert (await target.send(READER, target.token(READER))).handled  # its keys are known
    target.issuer.metadata = metadata(token_endpoint=f"{LURES[0]}/token")
    target.system.services[READER]._exchanger._issuer.realm._known = None
    with target.answered_by(mallory.app, at=LURES[0]):
        tried = await target.give(READER)
    tried.effect = bool(taken)
    yield tried


@attack(122)
async def test_a_key_set_that_is_not_as_it_should_be(target: Target) -> Tries:
    """The attacker's key is in it, and each time something that makes the whole of it worth nothing."""
    mine = target.attacker(kid="k2").key_set["keys"][0]
    good = target.issuer.key_set["keys"]
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()  # noqa: S505 - it is to be weak
    small = jwt.algorithms.RSAAlgorithm.to_jwk(weak, as_dict=True) | {"kid": "k3", "use": "sig", "alg": "RS256"}
    shared = {"kty": "oct", "k": "c2VjcmV0", "kid": "k4", "use": "sig", "alg": "RS256"}
    for status, document in [
        (200, {"keys": [*good, mine, mine]}),
        (200, {"keys": [*good, mine, small]}),
        (200, {"keys": [*good, mine, shared]}),
        (200, {"keys": [*good, mine], "more": "x" * 10_000_000}),
        (500, {"keys": [*good, mine]}),
        (302, {"keys": [*good, mine]}),
        (200, [*good, mine]),
        (200, {"keys": {"k2": mine}}),
    ]:
        assert (await target.send(TOOL, target.token(TOOL))).handled
        with target.answered_by(answering_with(status, orjson.dumps(document)), at=ISSUER_AT):
            _may_read_again(target, TOOL)
            forged = target.attacker(kid="k2").sign(target.claims(TOOL))
            yield await target.send(TOOL, forged)
            assert (await target.send(TOOL, target.token(TOOL))).handled  # what was known is kept


@attack(23)
async def test_a_key_that_can_be_guessed_or_factored(target: Target) -> Tries:
    """A token is genuine by a key of 1024 bits, on a curve or shared: were it registered, it would be worth nothing."""
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - it is to be weak
    small = jwt.algorithms.RSAAlgorithm.to_jwk(weak.public_key(), as_dict=True)
    curve = jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
    shared = {"kty": "oct", "k": "c2VjcmV0"}
    good = target.issuer.key_set["keys"]
    assert (await target.send(TOOL, target.token(TOOL))).handled
    for entry in (small, curve, shared):
        document = {"keys": [*good, entry | {"kid": "k3", "use": "sig", "alg": "RS256"}]}
        with target.answered_by(answering_with(200, orjson.dumps(document)), at=ISSUER_AT):
            _may_read_again(target, TOOL)
            by_it = Issuer(target.issuer.registry, key=weak, kid="k3", clock=target.clock)
            header = b'{"alg":"RS256","typ":"at+jwt","kid":"k3"}'
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the library, which only warns
                yield await target.send(TOOL, by_it.sign_bytes(header, orjson.dumps(target.claims(TOOL))))
            assert (await target.send(TOOL, target.token(TOOL))).handled  # what was known is kept


def _lured(target: Target, tried: Tried) -> Tried:
    """The attack succeeds where anything is asked for at the other address."""
    tried.effect = bool(target.lured)
    return tried


def _challenge(lure: str) -> ASGIApp:
    """Somebody who wants a token of another issuer, as RFC 9728 section 5.1 has it."""
    return answering_with(401, b"{}", (b"www-authenticate", f'Bearer resource_metadata="{lure}/metadata"'.encode()))


def _may_read_again(target: Target, party: str) -> None:
    """Time goes by, and a key that nobody knows is asked for at once."""
    target.system.services[party].keys._tried_at = float("-inf")


def _forget_keys(target: Target, party: str) -> None:
    """More time goes by: what was read is too old to be believed."""
    keys = target.system.services[party].keys
    keys._read_at = keys._tried_at = float("-inf")
