"""K. Keys: what makes a service ask the issuer, and how often anybody can make it."""

import asyncio

import orjson
from jwt.utils import base64url_encode

from tests.support.attack import Target, Tries, attack
from tests.support.door import Clock
from zerotrust.policy import Reason

TOOL = "tool/documents"
FLOOD = 1000


@attack(119)
async def test_a_flood_of_keys_that_nobody_knows(target: Target) -> Tries:
    """Each might be a new key, so the issuer is asked; once, and then not until a pause is over."""
    keys, fresh, issuer = target.system.services[TOOL]._keys, target.issuer.registry.freshness, target.issuer
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
