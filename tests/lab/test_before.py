"""The pass-through of figure 3, in parts: an attack in vain is told as such, and no secret is committed.

The attacks on the whole of it, on real servers: tests/e2e/test_before.py.
"""

from typing import cast

import httpx
import pytest

from lab.before.llama_stack.attacks import ATTACKS, Run
from lab.before.llama_stack.running import PassThrough, config, representation
from lab.before.realm import Users
from lab.before.tool import Documents
from registration.realm.users import USERS
from tests.support.system import ROOT
from zt.people.key import Key
from zt.people.login import Login


class _Users:
    """Everybody signs in."""

    async def sign_in(self, user: str) -> Login:
        token = f"token of {user}"
        return Login(access_token=token, refresh_token="r", id_token="i", expires_in=60, key=Key())

    async def sign_out(self, _login: Login) -> None:
        pass


def system_that(answers: httpx.MockTransport) -> PassThrough:
    http = httpx.AsyncClient(transport=answers)
    at = "http://a", "http://s", "http://t"
    return PassThrough(cast("Users", _Users()), Documents("key"), *at, "key", http)


@pytest.mark.parametrize("attack", [attack for attack, _ in ATTACKS.values()], ids=ATTACKS)
@pytest.mark.parametrize("status", [200, 401, 403])
async def test_an_attack_that_gets_nothing_has_not_succeeded(attack: Run, status: int) -> None:
    """Also where the answer is polite: but for those of which the answer itself is the loot."""
    seen = await attack(system_that(httpx.MockTransport(lambda _: httpx.Response(status, json={}))))

    answer_is_loot = attack.__name__ in {"ask_without_a_token", "spend_the_token_elsewhere", "go_on_after_sign_out"}
    assert seen.succeeded == (status == 200 and answer_is_loot)


def test_no_secret_is_in_what_is_committed_and_each_user_has_a_password_of_this_run() -> None:
    made = representation({user: f"of {user}" for user in USERS})

    assert {user["username"]: user["credentials"][0]["value"] for user in made["users"]} == {
        user: f"of {user}" for user in USERS
    }
    auth = config("http://m", "https://i", ROOT / "ca.pem", ROOT)["server"]["auth"]["provider_config"]
    assert (auth["issuer"], auth["audience"]) == ("https://i", "llama-stack")
