"""The reader, through its gate and the official A2A client: what it may do, what it keeps (nothing), what it tells."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from a2a.client import A2ACardResolver, A2AClientError
from a2a.helpers.proto_helpers import get_data_parts
from a2a.server.agent_execution import RequestContext
from a2a.server.events import EventQueue
from a2a.types import CancelTaskRequest, GetTaskRequest, ListTasksRequest
from a2a.utils.errors import A2AError, TaskNotFoundError

from tests.support.ca import workload
from tests.support.clients import agent, ask, question, text_of
from tests.support.issuer import Issuer
from tests.support.system import System, problem_of
from zerotrust.adapters import a2a

Token = Callable[..., str]
READ_IT = "Summarise our incident reports."
RPC = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {}}


def failed(message: Any) -> list[str]:
    return [entry for part in get_data_parts(message.parts) for entry in part["failed"]]


async def test_it_answers_with_one_message_and_with_what_it_tried_in_vain(system: System, asking: Token) -> None:
    message = await ask(system, "agent/reader", asking(), READ_IT)

    assert text_of(message).startswith("Summary of 4 documents:\n- Incident report: certificate expired:")
    forecast, overwriting = failed(message)
    assert forecast.startswith('read {"id": "FIN-201"}: ')
    assert forecast.endswith("there is no document FIN-201 for document.read")
    assert overwriting.startswith('replace {"id": "ENG-101"')
    assert overwriting.endswith("refused (scope_missing)")


async def test_it_sees_what_its_user_may_see(system: System, asking: Token) -> None:
    message = await ask(system, "agent/reader", asking(sub="bob", groups=["/finance"]), READ_IT)

    assert "invoice paid twice" in text_of(message)
    assert "certificate" not in text_of(message)
    assert failed(message) == []


@pytest.mark.parametrize(
    ("changed", "status", "reason"),
    [
        ({"scope": "tool.read inference.run"}, 403, "scope_missing"),
        ({"groups": []}, 403, "policy_denied"),
        ({"aud": "spiffe://agents.example/agent/writer"}, 401, "audience_mismatch"),
        ({"act": None, "lineage": None, "txn": None}, 401, "actor_missing"),
        ({"azp": "walkthrough", "act": None, "lineage": None, "txn": None}, 401, "actor_missing"),
        ({"act": {"sub": "spiffe://agents.example/agent/writer"}}, 401, "actor_mismatch"),
    ],
)
async def test_whom_it_does_not_work_for(
    system: System, issuer: Issuer, asking: Token, changed: dict[str, Any], status: int, reason: str
) -> None:
    # Over the orchestrator's connection, whoever the token says it was issued to: without one the door stays shut.
    client = system.client("agent/reader", asking(**changed), peer=workload("orchestrator"))
    answer = await client.post("/a2a", json=RPC)

    assert (answer.status_code, problem_of(answer)["reason"]) == (status, reason)
    assert issuer.exchanges == []
    with pytest.raises(A2AClientError):
        await ask(system, "agent/reader", asking(**changed), READ_IT)


async def test_a_stranger_is_refused_though_the_sdk_registered_the_route(system: System) -> None:
    answer = await system.client("agent/reader").post("/a2a", json=RPC)

    assert (answer.status_code, problem_of(answer)["reason"]) == (401, "no_token")


async def test_its_card_is_public_and_says_where_to_send_what(system: System) -> None:
    card = await A2ACardResolver(system.client("agent/reader"), system.addresses["agent/reader"]).get_agent_card()

    assert card.name == "agent/reader"
    [interface] = card.supported_interfaces
    assert (interface.url, interface.protocol_binding, interface.protocol_version) == (
        "https://reader.agent.agents.example:8102/a2a",  # by its name: the same wherever it runs
        "JSONRPC",
        "1.0",
    )
    assert not card.capabilities.streaming
    assert not card.capabilities.push_notifications
    [needed] = card.security_requirements
    kinds = {name: card.security_schemes[name].WhichOneof("scheme") for name in needed.schemes}
    assert set(kinds.values()) == {"mtls_security_scheme", "http_auth_security_scheme"}  # both at once
    assert {name: list(scopes.list) for name, scopes in needed.schemes.items()} == {
        "certificate": ["workload"],
        "token": ["agent.invoke"],
    }


async def test_it_takes_and_gives_what_its_card_says(system: System, asking: Token) -> None:
    card = await A2ACardResolver(system.client("agent/reader"), system.addresses["agent/reader"]).get_agent_card()
    message = await ask(system, "agent/reader", asking(), READ_IT)

    assert list(card.default_input_modes) == ["text/plain"]
    assert [part.WhichOneof("content") for part in message.parts] == ["text", "data"]
    assert list(card.default_output_modes) == ["text/plain", "application/json"]


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/.well-known/agent.json", "/v1/message:send"])
async def test_no_other_route_of_the_framework_or_the_sdk_is_open(system: System, asking: Token, path: str) -> None:
    for method in ("GET", "POST"):
        answer = await system.client("agent/reader", asking()).request(method, path)
        assert (answer.status_code, answer.json()["reason"]) == (403, "no_permission_for_route")


# nothing is kept


async def test_after_a_task_there_is_no_task(system: System, asking: Token) -> None:
    token = asking()
    message = await ask(system, "agent/reader", token, READ_IT)
    client = agent(system, "agent/reader", token)

    assert list((await client.list_tasks(ListTasksRequest())).tasks) == []
    for name in (message.task_id or "unknown", message.context_id or "unknown", message.message_id):
        with pytest.raises(TaskNotFoundError):
            await client.get_task(GetTaskRequest(id=name))
        with pytest.raises(TaskNotFoundError):
            await client.cancel_task(CancelTaskRequest(id=name))


async def test_one_user_cannot_go_on_with_anothers_task(system: System, asking: Token) -> None:
    first = await ask(system, "agent/reader", asking(), READ_IT)
    follow_up = question("And what did you read just now?")
    follow_up.message.context_id = first.context_id

    bob = agent(system, "agent/reader", asking(sub="bob", groups=["/finance"]))
    [reply] = [reply async for reply in bob.send_message(follow_up)]
    assert "certificate" not in text_of(reply.message)
    assert "Incident" not in text_of(reply.message)

    follow_up.message.task_id = first.task_id or "a-task-of-alices"
    with pytest.raises(A2AError):
        assert [reply async for reply in bob.send_message(follow_up)]


async def test_the_sdk_does_not_keep_the_bearer(system: System, asking: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts: list[RequestContext] = []
    execute = a2a._Executor.execute

    async def noted(executor: a2a._Executor, context: RequestContext, queue: EventQueue) -> None:
        contexts.append(context)
        await execute(executor, context, queue)

    monkeypatch.setattr(a2a._Executor, "execute", noted)
    token = asking()
    await ask(system, "agent/reader", token, READ_IT)

    [context] = contexts
    assert context.call_context
    kept = repr(vars(context)) + repr(context.call_context.state)
    assert "a2a-version" in kept.lower()  # so there are headers to look through
    assert "bearer" not in kept.lower()
    assert token.split(".")[2] not in kept


# many users


async def test_fifty_users_at_once_get_each_their_own_answer(system: System, issuer: Issuer, asking: Token) -> None:
    users = [
        {"sub": f"user-{number}", "groups": ["/engineering" if number % 2 else "/finance"]} for number in range(50)
    ]
    tokens = [asking(**user) for user in users]

    messages = await asyncio.gather(*(ask(system, "agent/reader", token, READ_IT) for token in tokens))

    for user, message in zip(users, messages, strict=True):
        engineering = user["groups"] == ["/engineering"]
        assert ("certificate" in text_of(message)) is engineering
        assert ("invoice" in text_of(message)) is not engineering
    # Whatever a tool or a model saw, it saw for the user of the trace that it belongs to.
    traces = {r["trace_id"]: r["subject"] for r in system.records("agent/reader") if r["event"] == "request"}
    for name in ("tool/documents", "inference"):
        seen = [r for r in system.records(name) if r["event"] == "request"]
        assert {r["subject"] for r in seen} == {user["sub"] for user in users}
        assert all(traces[r["trace_id"]] == r["subject"] for r in seen)
        assert all(r["actors"][0].endswith("agent/reader") for r in seen)
    assert len(issuer.exchanges) == 2 * len(users)


async def test_the_same_token_twice_costs_one_exchange_for_each_need(
    system: System, issuer: Issuer, asking: Token
) -> None:
    token = asking()
    for _ in range(2):
        await ask(system, "agent/reader", token, READ_IT)

    assert len(issuer.exchanges) == 2
