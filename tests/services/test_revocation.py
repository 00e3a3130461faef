"""The whole system in process, and what becomes of it when a user, a session, a token or a party is revoked."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import jwt
import orjson
import pytest
from a2a.client import A2AClientError
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.clients import ask, use
from tests.support.issuer import Issuer
from tests.support.system import System
from tests.support.tasks import FILE_IT, READ, worked

Token = Callable[..., str]
Stored = Callable[[], dict[str, dict[str, str]]]
ORCHESTRATOR, READER = "spiffe://agents.example/orchestrator", "spiffe://agents.example/agent/reader"


def revoke(system: System, kind: Any = "user", name: str = "alice") -> None:
    system.revocations.change((system.revocations.number or 0) + 1, (kind, name), "a theft")


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler has all the time it wants for its last words, so that no test fails on a slow machine."""
    monkeypatch.setattr("zerotrust.lifetime.REVOCATION_GRACE", 60)


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zerotrust.lifetime.REVOCATION_GRACE", 0.05)


# between two steps of a task


def after(system: System, party: str, path: str, then: Callable[[], None]) -> None:
    """Have something happen as soon as that party has answered a request for `path`."""
    genuine = system.apps[system.addresses[party]]

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        await genuine(scope, receive, send)
        if scope["path"] == path:
            then()

    system.apps[system.addresses[party]] = answered


async def told(system: System, token: str, accept: str) -> tuple[list[str], dict[str, Any]]:
    """Do the task that files something; return what happened, as `agent event`, and the last of it."""
    if accept == "application/json":
        return await worked(system, token)
    headers = {"accept": accept}
    answer = await system.client("orchestrator", token).post("/tasks", json=FILE_IT, headers=headers)
    events = [orjson.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert events.pop().keys() == {"receipts"}
    return [f"{event['agent']} {event['event']}" for event in events[:-1]], events[-1]


both = pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])


@both
@pytest.mark.usefixtures("patience")
async def test_a_task_whose_caller_is_revoked_stops_before_its_next_step_and_says_so(
    system: System, issuer: Issuer, stored: Stored, accept: str
) -> None:
    before = stored()
    after(system, "agent/reader", "/a2a", lambda: revoke(system, "session", "session-1"))

    steps, last = await told(system, issuer.token(), accept)

    assert steps == [*READ, "agent/writer started"]
    assert (last["event"], last["agent"], last["text"]) == ("failed", "agent/writer", "revoked")
    assert (last["done"], last["unclear"]) == ([], [])
    assert system.records("agent/writer") == []
    assert stored() == before
    assert [r["reason"] for r in system.records("orchestrator") if r["event"] == "exchange"][-1] == "revoked"


@pytest.mark.parametrize("kind", ["party", "token"])
async def test_who_is_refused_from_the_start_is_told_that_it_failed_and_not_that_it_is_unclear(
    system: System, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Also with a token from before: `revoked` at the next gate is a refusal as any other."""
    orchestrator = system.services["orchestrator"]
    exchange = orchestrator.exchange

    async def exchanging(audience: str, *scopes: str, **wishes: Any) -> Any:
        token = await exchange(audience, *scopes, **wishes)
        if kind == "party":
            revoke(system, "party", ORCHESTRATOR)
        else:
            revoke(system, "token", token.token_id)
        return token

    monkeypatch.setattr(orchestrator, "exchange", exchanging)
    _, last = await worked(system, issuer.token())

    assert (last["event"], last["text"]) == ("failed", "agent/reader: refused with 401, revoked")
    assert last["unclear"] == []


# in flight


@pytest.fixture
async def hanging(system: System) -> AsyncIterator[Callable[..., ASGIApp]]:
    """Makes an app that is good until it has heard some words; then something happens, and it never answers."""
    over = asyncio.Event()

    def until(party: str, words: bytes, then: Callable[[], None]) -> ASGIApp:
        genuine = system.apps[system.addresses[party]]

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            message = await receive()
            if words in message.get("body", b""):
                then()
                await over.wait()
                await send({"type": "http.response.start", "status": 503, "headers": []})
                await send({"type": "http.response.body"})
                return
            again = [message]

            async def replay() -> Any:
                return again.pop() if again else await receive()

            await genuine(scope, replay, send)

        system.apps[system.addresses[party]] = app
        return app

    yield until
    over.set()


@pytest.mark.usefixtures("no_patience")
async def test_an_agent_that_is_cut_off_does_not_go_on_behind_the_back_of_everybody(
    system: System, asking: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, over = asyncio.Event(), asyncio.Event()

    async def endless(*_: object, **__: object) -> Any:
        try:
            revoke(system)
            await over.wait()
        finally:
            ended.set()

    monkeypatch.setattr("agents.reader.main.run_tool_loop", endless)
    try:
        async with asyncio.timeout(30):
            with pytest.raises(A2AClientError):
                await ask(system, "agent/reader", asking(), "Summarise.")
            await ended.wait()
    finally:
        over.set()


@both
@pytest.mark.usefixtures("no_patience")
async def test_a_task_that_hangs_is_ended_for_the_revoked_and_nothing_half_done_is_called_done(
    system: System, issuer: Issuer, stored: Stored, hanging: Callable[..., ASGIApp], accept: str
) -> None:
    before = stored()
    hanging("inference", b"DRAFT-", lambda: revoke(system))  # the draft is filed, and the writer has just heard so
    client = system.client("orchestrator", issuer.token())

    async with asyncio.timeout(30):
        answer = await client.post("/tasks", json=FILE_IT, headers={"accept": accept})

    assert len(stored()) == len(before) + 1  # which nobody can tell any more
    if accept == "application/json":
        assert (answer.status_code, answer.json()["reason"]) == (401, "revoked")
    else:
        *_, event, data = [line for line in answer.text.splitlines() if line]
        assert (event, orjson.loads(data[6:])["reason"]) == ("event: error", "revoked")
        kinds = [line[7:] for line in answer.text.splitlines() if line.startswith("event: ")]
        assert kinds == ["started", "done", "started", "error"]
    assert system.reasons("orchestrator")[-1] == "revoked"


# what is worth asking the issuer


async def test_another_version_of_the_registry_says_what_is_worth_asking_for_from_the_next_call_on(
    system: System, issuer: Issuer, reading: Token
) -> None:
    raw = system.registry.model_dump()
    raw["scopes"]["tool.read"]["high_risk"] = True
    other = type(system.registry).model_validate(raw)
    documents = system.services["tool/documents"]
    documents.use(system.snapshot.model_copy(update={"registry": other}), documents._decider.policy)

    assert not (await use(system, reading(jti="T2"), "read", id="ENG-101")).is_error

    assert {jwt.decode(f["token"], options={"verify_signature": False})["jti"] for f in issuer.introspections} == {"T2"}
