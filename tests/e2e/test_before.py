"""The pass-through of figure 3 is attacked on a real Llama Stack server and succeeds; the same is refused here."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
import yaml

from demo.intruder import NO_CONNECTION, Intruder, User, answer_to, tool_call
from demo.story import injected_attempts
from demo.ways import TASK
from lab.before.llama_stack.attacks import ATTACKS, PUBLISHED, SECRET, attack_all
from lab.before.llama_stack.running import PassThrough, pass_through
from lab.before.tool import SEED
from registration.realm.users import USERS
from start.program import console
from start.system import System
from tests.support.model_server import needs_server
from tests.support.real_tasks import asked, task, traced
from zerotrust.audit.event_types import Access, Request
from zt.people.key import BoundToken, Key
from zt.people.login import Client, sign_out

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

DOCUMENTS = {one["id"]: one["text"] for one in yaml.safe_load(SEED.read_text())}
FORECAST = DOCUMENTS[SECRET].partition(".")[0]
HELLO = {"model": "default", "messages": [{"role": "user", "content": "Hello"}]}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def there(system: System) -> AsyncIterator[PassThrough]:
    """The pass-through, at the same Keycloak."""
    needs_server()
    async with pass_through(system.keycloak, system.authority.ca_file, system.folder / "before") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def alice(system: System) -> AsyncIterator[User]:
    """A session here, with what an intruder could get of it."""
    async with AsyncExitStack() as stack:
        yield User("alice", Intruder(system, stack))


async def test_there_only_the_stranger_is_refused(there: PassThrough, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_width", 80)
    with console.capture() as told:
        outcomes = await attack_all(there)

    assert [what for what in ATTACKS if not outcomes[what].succeeded] == [next(iter(ATTACKS))]
    assert f"{next(iter(ATTACKS))}\n  did not succeed; 401\n" in told.get()
    assert [line for line in told.get().splitlines() if len(line) > 80] == []
    assert [what for what in ATTACKS if what not in told.get()] == []


async def test_here_the_poisoned_report_is_obeyed_and_gets_nothing(system: System, alice: User) -> None:
    done = await task(system, "alice")

    attempts = injected_attempts(traced(system, done["result"]["trace_id"]))
    assert [attempt.what for attempt in attempts if not attempt.as_expected] == []
    assert FORECAST not in json.dumps(done)
    read = await alice.intruder.call_tool("agent/reader", await alice.t2(), "read", id=PUBLISHED)
    assert read.json()["result"]["structuredContent"]["text"] == DOCUMENTS[PUBLISHED]


async def test_here_a_user_of_no_department_has_no_task(system: System) -> None:
    answer = await asked(system, "eve")

    assert (answer.status_code, answer.json()["reason"]) == (403, "policy_denied")


async def test_here_a_token_opens_one_api_of_one_party_to_one_caller(alice: User) -> None:
    t0, t3 = await alice.t0(), await alice.t3()
    send = alice.intruder.send

    async def answered(who: str | None, to: str, path: str, token: str, method: str = "POST", **body: object) -> str:
        return await answer_to(send(who, to, path, token, method=method, **body))

    chat = "/v1/chat/completions"
    assert await answered(None, "inference", chat, t0, json=HELLO) == NO_CONNECTION
    assert await answered("agent/reader", "inference", chat, t0, json=HELLO) == "401 audience_mismatch"
    assert await answered("agent/reader", "inference", chat, t3, json=HELLO) == "200 ok"
    assert await answered("agent/writer", "inference", chat, t3, json=HELLO) == "401 not_bound"
    assert await answered("agent/reader", "inference", "/v1/models", t3, method="GET") == "403 scope_missing"
    reading = tool_call("read", id=PUBLISHED)
    assert await answered("agent/reader", "tool/documents", "/mcp", t3, **reading) == "401 audience_mismatch"
    assert await answered("agent/reader", "inference", chat, await alice.t2(), json=HELLO) == "401 audience_mismatch"
    listing = await alice.intruder.token("orchestrator", t0, "inference", "model.read")
    assert await answered("orchestrator", "inference", "/v1/models", listing, method="GET") == "200 ok"
    assert await answered("orchestrator", "inference", chat, listing, json=HELLO) == "403 scope_missing"
    by_key = await answer_to(send(None, "orchestrator", "/tasks", None, auth=BoundToken(Key(), t3), json=TASK))
    assert by_key == "401 audience_mismatch"


async def test_here_no_key_opens_the_tool(alice: User) -> None:
    key, reading = secrets.token_hex(16), tool_call("read", id=SECRET)
    send = alice.intruder.send

    assert await answer_to(send("agent/reader", "tool/documents", "/mcp", key, **reading)) == "401 not_verified"
    assert await answer_to(send(None, "tool/documents", "/mcp", key, **reading)) == NO_CONNECTION


async def test_here_a_token_ends_with_the_session(system: System, alice: User) -> None:
    async def planned() -> str:
        return await answer_to(alice.send(None, "orchestrator", "/plan", alice.t0, json=TASK))

    assert await planned() == "200 ok"

    await sign_out(Client(system.keycloak.issuer, "walkthrough", "", system.keycloak.tls), alice.login)

    async with asyncio.timeout(60):
        while (answered := await planned()) == "200 ok":  # until the registry has told everyone
            await asyncio.sleep(0.01)
    assert answered == "401 revoked"


async def test_here_the_record_says_for_whom_and_through_whom(system: System) -> None:
    users = {}
    for user in ("alice", "bob"):
        done = await task(system, user, "Summarise the incident reports.")
        events = [event for event in traced(system, done["result"]["trace_id"]) if "documents" in event.service]
        decided = [event.data for event in events if isinstance(event.data, Request | Access)]
        users[user] = {(data.principal.subject, data.principal.actors) for data in decided if data.principal}

    actors = tuple(system.registry.id(name) for name in ("agent/reader", "orchestrator"))
    assert users == {user: {(USERS[user][0], actors)} for user in ("alice", "bob")}
