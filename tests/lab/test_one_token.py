"""The system of figure 1, in parts: what is checked at its front door and nowhere else; and what an attack in vain is.

The attacks on the whole of it: tests/e2e/test_compare.py.
"""

import inspect
import json
import time
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from lab.before import attacks
from lab.before.attacks import LOOT, SECRET, Run, try_attack
from lab.before.expected import EXPECTED
from lab.before.one_token.orchestrator import orchestrator_app
from lab.before.one_token.realm import AUDIENCE, representation
from lab.before.system import Answer, Credentials
from lab.before.tool import SEED
from lab.conformance.serving import hosting
from registration.realm.users import USERS
from start.manual_steps import REQUEST
from tests.support.closed import Closed

ISSUER = "https://issuer.example"
ALL = [one.run for one in EXPECTED]


@pytest.mark.parametrize("run", ALL)
async def test_an_attack_that_is_refused_has_not_succeeded(run: Run) -> None:
    seen = await try_attack(Closed("401 no"), run)

    assert not seen.succeeded


@pytest.mark.parametrize("run", [attacks.call_whom_nobody_foresaw, attacks.take_an_identity])
async def test_an_attack_that_gets_no_credentials_has_not_succeeded(run: Run) -> None:
    seen = await try_attack(Closed("no identity", gives=False), run)

    assert (seen.succeeded, seen.happened) == (False, "no identity")


@pytest.mark.parametrize("run", [attacks.go_on_after_sign_out, attacks.go_on_with_changed_code])
@pytest.mark.parametrize(("patience", "succeeded"), [(60.0, False), (0.0, True)])
async def test_after_a_change_a_call_is_repeated_for_as_long_as_the_system_may_take(
    run: Run, patience: float, succeeded: bool
) -> None:
    answers = ["200 ok", "200 ok", "200 ok", "401 revoked"]

    class Slow(Closed):
        async def call(self, target: str, credentials: Credentials, *, by: str | None) -> Answer:  # noqa: ARG002
            return Answer(answers.pop(0))

        async def tool(self, name: str, credentials: Credentials, **_: str | None) -> Answer:  # noqa: ARG002
            return Answer(answers.pop(0))

    system = Slow()
    system.patience = patience

    seen = await try_attack(system, run)

    assert (seen.succeeded, "401 revoked" in seen.happened) == (succeeded, not succeeded)


@pytest.mark.parametrize(
    "run", [attacks.go_on_after_sign_out, attacks.go_on_with_changed_code, attacks.use_it_from_elsewhere]
)
async def test_a_refusal_proves_nothing_where_the_same_call_was_refused_before(run: Run) -> None:
    seen = await try_attack(Closed("503 away"), run)

    assert (seen.succeeded, seen.happened) == (False, "not even before: 503 away")


def test_each_attack_is_made_once() -> None:
    functions = [one for _, one in inspect.getmembers(attacks, inspect.iscoroutinefunction)]
    of_a_system = [one for one in functions if not one.__name__.startswith("_") and one is not try_attack]

    assert sorted(ALL, key=lambda run: run.__name__) == of_a_system
    assert LOOT in SEED.read_text().partition(f"id: {SECRET}")[2].partition("- id")[0]  # which is ordered to be read


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


SPOILED: dict[str, dict[str, Any]] = {
    "as it should be": {},
    "for somebody else": {"aud": "other"},
    "of another issuer": {"iss": "https://other.example"},
    "too late": {"exp": 1},
    "without an end": {"exp": None},
}


@pytest.mark.parametrize("spoiled", SPOILED)
async def test_the_front_door_wants_a_token_and_checks_it(key: rsa.RSAPrivateKey, spoiled: str) -> None:
    good = spoiled == "as it should be"
    assert await _asked(key, key, SPOILED[spoiled]) == (200 if good else 401)
    if good:
        another = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        assert [await _asked(key, signer, {}) for signer in (another, None)] == [401, 401]


async def _asked(known: rsa.RSAPrivateKey, signer: rsa.RSAPrivateKey | None, spoiled: dict[str, Any]) -> int:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(known.public_key()))
    keys = jwt.PyJWKSet.from_dict({"keys": [public | {"kid": "k", "alg": "RS256"}]})
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 3600} | spoiled
    claims = {name: value for name, value in claims.items() if value is not None}
    headers = {"authorization": f"Bearer {jwt.encode(claims, signer, 'RS256', {'kid': 'k'})}"} if signer else {}

    async def agent(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b'{"text": "done"}'})

    async with hosting(agent) as url:
        front = httpx.ASGITransport(orchestrator_app(ISSUER, keys, {"agent/reader": url, "agent/writer": url}))
        async with httpx.AsyncClient(transport=front, base_url="http://front") as http:
            return (await http.post("/tasks", json={"request": REQUEST}, headers=headers)).status_code


def test_no_secret_of_the_realm_is_in_what_is_committed() -> None:
    made = representation({user: f"of {user}" for user in USERS}, "of the app")

    assert {user["username"]: user["credentials"][0]["value"] for user in made["users"]} == {
        user: f"of {user}" for user in USERS
    }
    assert [client["secret"] for client in made["clients"] if "secret" in client] == ["of the app"]
