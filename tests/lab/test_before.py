"""The pass-through of figure 3, in parts: what its tool and its agent do, and that an attack in vain is told as such.

The attacks on the whole of it, on real servers: tests/e2e/test_before.py.
"""

from typing import Any, cast

import httpx
import jwt
import pytest

from lab.before.llama_stack.agent import agent_app
from lab.before.llama_stack.attacks import ATTACKS, PUBLISHED, Run
from lab.before.llama_stack.realm import representation
from lab.before.llama_stack.running import Before
from lab.before.llama_stack.stack import config
from lab.before.realm import Users
from lab.before.tool import Documents
from lab.conformance.serving import served
from registration.realm.users import USERS
from tests.support.system import ROOT
from zt.login import Login


class _Users:
    """Everybody signs in."""

    async def sign_in(self, user: str) -> Login:
        return Login(access_token=f"token of {user}", refresh_token="r", id_token=None, expires_in=60)

    async def sign_out(self, _login: Login) -> None:
        pass


def system_that(answers: httpx.MockTransport) -> Before:
    http = httpx.AsyncClient(transport=answers)
    at = "http://a", "http://s", "http://t"
    return Before(cast("Users", _Users()), Documents("key"), *at, "key", http)


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
@pytest.mark.parametrize("status", [200, 401, 403])
async def test_an_attack_that_gets_nothing_has_not_succeeded(attack: Run, status: int) -> None:
    """Also where the answer is polite: but for those of which the answer itself is the loot."""
    seen = await attack(system_that(httpx.MockTransport(lambda _: httpx.Response(status, json={}))))

    answer_is_loot = attack.__name__ in {
        "ask_without_a_token",
        "spend_the_token_elsewhere",
        "go_on_after_sign_out",
    }
    assert seen.succeeded == (status == 200 and answer_is_loot)


async def test_the_agent_passes_on_its_callers_own_token_and_the_tools_key() -> None:
    seen: list[httpx.Request] = []

    async def stack(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        body = (await receive())["body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        seen.append(httpx.Request("POST", "http://stack" + scope["path"], headers=headers, content=body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async with served(stack) as url:
        agent = httpx.ASGITransport(agent_app(url, "http://tool/mcp", "the key"))
        async with httpx.AsyncClient(transport=agent, base_url="http://agent") as http:
            await http.post("/tasks", json={"request": "x"}, headers={"authorization": "Bearer alice's"})

    assert seen[0].headers["authorization"] == "Bearer alice's"
    assert b'"authorization":"the key"' in seen[0].content.replace(b": ", b":")


@pytest.mark.parametrize(("key", "status"), [("key", 200), ("another", 401), ("", 401)])
async def test_the_tool_looks_at_its_key_and_at_nothing_else(key: str, status: int) -> None:
    documents = Documents("key")
    call = {"name": "replace", "arguments": {"id": PUBLISHED, "text": "gone"}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    headers = {"accept": "application/json, text/event-stream"} | ({"authorization": f"Bearer {key}"} if key else {})
    async with served(documents.app()) as url, httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{url}/mcp", json=body, headers=headers)

    assert answer.status_code == status
    assert (documents.all[PUBLISHED]["text"] == "gone") == (status == 200)
    assert documents.record == ([f"replace {PUBLISHED}, with the key"] if status == 200 else [])


async def test_beside_its_key_the_tool_records_the_client_of_the_token_that_came_along() -> None:
    documents = Documents("key", header="x-api-key")
    token = jwt.encode({"azp": "app", "sub": "x"}, "a key that is long enough for it", algorithm="HS256")
    call = {"name": "read", "arguments": {"id": PUBLISHED}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    accept = {"accept": "application/json, text/event-stream", "x-api-key": "key"}
    async with served(documents.app()) as url, httpx.AsyncClient(trust_env=False, headers=accept) as http:
        await http.post(f"{url}/mcp", json=body, headers={"authorization": f"Bearer {token}"})
        await http.post(f"{url}/mcp", json=body, headers={"authorization": ""})

    assert documents.record == [f"read {PUBLISHED}, with the key, azp=app", f"read {PUBLISHED}, with the key"]


def test_no_secret_is_in_what_is_committed_and_each_user_has_a_password_of_this_run() -> None:
    made = representation({user: f"of {user}" for user in USERS})

    assert {user["username"]: user["credentials"][0]["value"] for user in made["users"]} == {
        user: f"of {user}" for user in USERS
    }
    auth = config("http://m", "https://i", ROOT / "ca.pem", ROOT)["server"]["auth"]["provider_config"]
    assert (auth["issuer"], auth["audience"]) == ("https://i", "llama-stack")
