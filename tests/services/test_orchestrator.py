"""The orchestrator: what it promises, what it tells while it works, and what it says when something fails."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from starlette.types import Receive, Scope, Send

from orchestrator import main, plan
from orchestrator.models import REMEMBERED, SECONDS_REMEMBERED, Models
from tests.support.issuer import FOR_TASKS, Issuer
from tests.support.system import System
from tests.support.tasks import FILE_IT, NOT_READ, READ, READ_IT, worked
from zerotrust.adapters.answer import NONSENSE, TASK_LIFE, Answer
from zerotrust.service import Service

Stored = Callable[[], dict[str, dict[str, str]]]


async def test_an_agent_is_asked_with_a_token_that_outlasts_its_work(system: System, issuer: Issuer) -> None:
    def exchanged() -> int:
        return [form["audience"] for form in issuer.exchanges].count(system.registry.id("agent/reader"))

    now = int(time.time())
    token = issuer.token(exp=now + 300)
    issuer.spoil = {"exp": now + TASK_LIFE - 10}
    await worked(system, token, READ_IT)

    issuer.spoil, before = {}, exchanged()
    for _ in range(2):
        await worked(system, token, READ_IT)
        assert exchanged() == before + 1

    ending = issuer.token(exp=now + TASK_LIFE - 10)  # there is none that lasts longer
    await worked(system, ending, READ_IT)
    assert exchanged() == before + 2


async def test_an_agent_that_has_moved_is_found_where_the_registry_says_it_is_now(
    system: System, issuer: Issuer
) -> None:
    moved, orchestrator = "https://127.0.0.1:9999", system.services["orchestrator"]
    system.apps[moved] = system.apps.pop(system.addresses["agent/reader"])
    addresses = {**system.snapshot.addresses, "agent/reader": moved}
    orchestrator.use(system.snapshot.model_copy(update={"addresses": addresses}), orchestrator._decider.policy)

    _, result = await worked(system, issuer.token(), READ_IT)
    assert result["event"] == "finished"


async def test_progress_is_streamed_to_whom_asks_for_it_and_says_the_same(system: System, issuer: Issuer) -> None:
    client = system.client("orchestrator", issuer.token())

    streamed = await client.post("/tasks", json=READ_IT, headers={"accept": "text/event-stream"})
    whole = (await client.post("/tasks", json=READ_IT)).json()

    assert streamed.headers["content-type"].startswith("text/event-stream")
    lines = streamed.text.splitlines()
    events = [orjson.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert events.pop().keys() == {"receipts"}  # the last event has only them
    *named, last = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert (named, last) == ([event["event"] for event in events], "receipts")

    def without_trace(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [event | {"trace_id": ""} for event in told]

    assert without_trace(events) == without_trace([*whole["steps"], whole["result"]])
    assert {event["trace_id"] for event in events} == {system.records("orchestrator")[0]["trace_id"]}


async def test_a_plan_is_shown_without_anything_being_done(system: System, issuer: Issuer) -> None:
    client = system.client("orchestrator", issuer.token(scope="reasoning.plan"))
    plan = (await client.post("/plan", json=FILE_IT)).json()["steps"]

    assert [(step["agent"], step["scopes"]) for step in plan] == [
        ("agent/reader", ["agent.invoke", "tool.read", "inference.run", "llama.chat"]),
        ("agent/writer", ["agent.invoke", "tool.write", "inference.run", "llama.chat"]),
    ]
    assert issuer.exchanges == []
    assert system.records("agent/reader") == []


BOTH = ["/engineering", "/finance"]
FORECAST = {"request": "Summarise the forecast and file it."}
PLANNING = "reasoning.plan model.read llama.models"
ALL = f"{FOR_TASKS} {PLANNING}"
NO_TASKS: list[dict[str, Any]] = [
    {},
    *({"request": request} for request in ("", "x" * 10_001, 7)),
    {"request": "x", "departmen": "engineering"},
    *({**FILE_IT, "department": name} for name in (7, "", "engineering", "/" + "x" * 64, "/engineering/", "/a\n")),
]
SEVERAL = {
    "reason": "department_needed",
    "departments": BOTH,
    "advice": "Name one of your departments in the field department: /engineering, /finance.",
}
REFUSED: list[tuple[str, dict[str, Any], dict[str, Any] | None, int, dict[str, Any]]] = [
    ("/plan", {}, FILE_IT, 403, {"scope": "reasoning.plan"}),
    ("/tasks", {"scope": "reasoning.plan"}, FILE_IT, 403, {"scope": "task.run"}),
    ("/tasks", {"scope": "task.run"}, READ_IT, 403, {"reason": "would_widen"}),
    ("/models", {"scope": "model.read"}, None, 403, {"reason": "scope_missing"}),
    ("/models", {"scope": "reasoning.plan"}, None, 403, {"reason": "would_widen"}),
    *(("/tasks", {}, task, 400, {"reason": "malformed_body"}) for task in NO_TASKS),
    *((path, {"groups": BOTH, "scope": ALL}, FORECAST, 400, SEVERAL) for path in ("/tasks", "/plan")),
    *(
        (
            "/tasks",
            {"groups": ["/engineering", "/operators"]},
            FILE_IT | {"department": name},
            403,
            {"reason": "would_widen"},
        )
        for name in ("/finance", "/operators", "/nobody")
    ),
]
"""Where a request goes, what its token has, the request, and how it is refused."""


@pytest.mark.parametrize(("path", "claims", "body", "status", "told"), REFUSED)
async def test_what_is_refused_at_the_door_begins_nothing(
    system: System,
    issuer: Issuer,
    path: str,
    claims: dict[str, Any],
    body: dict[str, Any] | None,
    status: int,
    told: dict[str, Any],
) -> None:
    client = system.client("orchestrator", issuer.token(**claims))
    answer = await (client.get(path) if body is None else client.post(path, json=body))

    assert answer.status_code == status
    assert answer.json().items() >= told.items()
    assert "agent" not in answer.json()  # only a suspended one is named
    assert issuer.exchanges == []
    assert system.records("inference") == []
    assert system.reasons("orchestrator")[-1] == answer.json()["reason"]


# the models


async def test_the_models_are_listed_for_who_holds_both_scopes(system: System, issuer: Issuer) -> None:
    answer = await system.client("orchestrator", issuer.token(scope=PLANNING)).get("/models")

    assert (answer.status_code, answer.json()["models"]) == (200, ["scripted"])
    [form] = issuer.exchanges
    assert (form["audience"], form["scope"]) == (issuer.registry.id("inference"), "llama.models model.read")


@pytest.mark.parametrize("said", [b"no JSON", b"[]", b'{"data": [{}]}', b'{"data": 7}', b""])
async def test_a_list_of_models_that_is_none_is_reported_as_unavailable(
    system: System, issuer: Issuer, said: bytes
) -> None:
    async def inference(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200 if said else 500, "headers": []})
        await send({"type": "http.response.body", "body": said})

    system.apps[system.addresses["inference"]] = inference
    answer = await system.client("orchestrator", issuer.token(scope=PLANNING)).get("/models")

    assert (answer.status_code, answer.json()["reason"]) == (503, "peer_unavailable")


@pytest.fixture
def asked_for(system: System) -> list[str]:
    """The models that the inference service is asked for, and `list` for each time that it is asked for all."""
    genuine, asked = system.apps[system.addresses["inference"]], list[str]()

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/v1/models":
            asked.append("list")
            await genuine(scope, receive, send)
            return
        body = [await receive()]
        asked.append(orjson.loads(body[0]["body"])["model"])

        async def again() -> Any:  # once; then it waits for the client to leave, as a server does
            return body.pop() if body else await receive()

        await genuine(scope, again, send)

    system.apps[system.addresses["inference"]] = noted
    return asked


@pytest.mark.parametrize(("scope", "model"), [(ALL, "scripted"), (FOR_TASKS, "default")])
async def test_the_model_of_the_plan_is_what_the_agents_ask_for(
    system: System, issuer: Issuer, asked_for: list[str], scope: str, model: str
) -> None:
    answer = await system.client("orchestrator", issuer.token(scope=scope)).post("/tasks", json=FILE_IT)

    started = [step["model"] for step in answer.json()["steps"] if step["event"] == "started"]
    assert started == [model, model]
    assert answer.json()["result"]["event"] == "finished"
    assert asked_for.count("list") == (scope == ALL)
    assert set(asked_for) - {"list"} == {model}


@pytest.mark.parametrize("path", ["/tasks", "/plan"])
async def test_the_models_are_asked_for_in_the_one_department_of_the_task(
    system: System, issuer: Issuer, path: str
) -> None:
    task = FORECAST | {"department": "/finance"}
    await system.client("orchestrator", issuer.token(groups=BOTH, scope=ALL)).post(path, json=task)

    [listing] = [form for form in issuer.exchanges if "model.read" in form["scope"]]
    assert listing["requested_department"] == "/finance"


async def test_the_models_are_asked_for_once_for_the_tasks_of_one_token(
    system: System, issuer: Issuer, asked_for: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    orchestrator, token = system.services["orchestrator"], issuer.token(scope=ALL)
    for holder, times in ((token, 1), (token, 1), (issuer.token(scope=ALL), 2)):
        await worked(system, holder, READ_IT)
        assert asked_for.count("list") == times

    later = orchestrator.clock() + SECONDS_REMEMBERED + 1
    monkeypatch.setattr(orchestrator, "clock", lambda: later)
    await worked(system, token, READ_IT)
    assert asked_for.count("list") == 3


@pytest.mark.parametrize("said", [b"", b"no JSON", b'{"data": []}', b'{"data": [{"id": "a b"}]}', None])
async def test_a_task_goes_on_with_the_default_where_no_models_are_listed(
    system: System, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, said: bytes | None
) -> None:
    """Also where the list never comes (None): a task waits for it no longer than it has to."""
    genuine, over = system.apps[system.addresses["inference"]], asyncio.Event()
    monkeypatch.setattr("orchestrator.models.SECONDS_TO_CHOOSE", 60 if said is not None else 0)

    async def inference(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/v1/models":
            await genuine(scope, receive, send)
            return
        if said is None:
            await over.wait()
        await send({"type": "http.response.start", "status": 200 if said else 500, "headers": []})
        await send({"type": "http.response.body", "body": said or b""})

    system.apps[system.addresses["inference"]] = inference
    client = system.client("orchestrator", issuer.token(scope=ALL))
    answer, plan = await client.post("/tasks", json=READ_IT), await client.post("/plan", json=READ_IT)
    over.set()

    told = answer.json()
    assert (told["steps"][0]["model"], told["result"]["event"]) == ("default", "finished")
    [step] = plan.json()["steps"]
    why = "no answer in time" if said is None else "peer_unavailable"
    listed = said == b'{"data": []}'
    assert step["model_because"] == (
        "the inference service lists no model" if listed else f"the models could not be listed: {why}"
    )


def test_only_so_many_lists_are_remembered(system: System) -> None:
    lists = Models(system.services["orchestrator"])._lists
    for number in range(REMEMBERED + 1):
        lists[str(number)] = 0.0, []

    assert len(lists) == REMEMBERED


# what it says when something fails


async def test_a_scope_the_user_did_not_give_ends_the_task_before_that_step(
    system: System, issuer: Issuer, stored: Stored
) -> None:
    before = stored()
    steps, result = await worked(system, issuer.token(scope="task.run agent.invoke tool.read inference.run llama.chat"))

    assert steps == [*READ, "agent/writer started"]
    assert (result["event"], result["agent"], result["text"]) == ("failed", "agent/writer", "would_widen")
    assert result["status"] == 200
    assert system.records("agent/writer") == []
    assert stored() == before
    assert system.reasons("orchestrator")[-1] == "would_widen"


def planned(monkeypatch: pytest.MonkeyPatch, agent: str) -> None:
    """Let the plan have a second step, for that agent."""

    def make_plan(*of: Any) -> list[plan.Step]:
        [first] = plan.make_plan(*of)
        return [first, first.model_copy(update={"agent": agent})]

    monkeypatch.setattr(main, "make_plan", make_plan)


async def test_an_agent_that_is_suspended_is_named_to_the_user_and_in_the_record_whichever_step_it_is(
    system: System, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(monkeypatch, "agent/writer")
    writer, reader = (issuer.registry.id(f"agent/{name}") for name in ("writer", "reader"))

    system.revocations.change((system.revocations.number or 0) + 1, ("party", writer), "odd")
    steps, result = await worked(system, issuer.token(), READ_IT)
    assert steps == [*READ, "agent/writer started"]
    assert (result["agent"], result["text"]) == ("agent/writer", "peer_revoked")

    system.revocations.change((system.revocations.number or 0) + 1, ("party", reader), "odd")
    answer = await system.client("orchestrator", issuer.token()).post("/tasks", json=READ_IT)
    assert (answer.status_code, answer.json()["reason"], answer.json()["agent"]) == (
        403,
        "peer_revoked",
        "agent/reader",
    )
    details = [r["detail"] for r in system.records("orchestrator") if r.get("reason") == "peer_revoked"]
    assert {f"party {party}: odd" for party in (writer, reader)} == {*details}


async def test_an_agent_that_is_not_registered_costs_its_own_step_only(
    system: System, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(monkeypatch, "agent/auditor")
    steps, result = await worked(system, issuer.token(), READ_IT)

    assert steps == [*READ, "agent/auditor started"]
    assert (result["event"], result["agent"], result["text"]) == ("failed", "agent/auditor", "peer_untrusted")
    [record] = [record for record in system.records("orchestrator") if record.get("reason") == "peer_untrusted"]
    assert (record["party"], record["detail"]) == ("agent/auditor", "not registered")


async def test_a_bug_in_a_step_costs_that_step_only(
    system: System, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask(service: Service, agent: str, *_: Any, **_how: str) -> Answer:
        if agent == "agent/writer":
            raise KeyError("a bug")
        return Answer(text="read")

    monkeypatch.setattr(main, "ask_agent", ask)
    steps, result = await worked(system, issuer.token())

    assert steps == [*READ, "agent/writer started"]
    assert (result["event"], result["agent"], result["status"]) == ("unclear", "agent/writer", 500)
    assert result["text"] == "agent/writer: failed; it may have been done"
    assert "a bug" in caplog.text  # the cause is in the log, and not in the answer


@pytest.mark.parametrize(
    ("away", "agent", "text"),
    [
        ("agent/reader", "agent/reader", "peer_unavailable"),  # its card is asked for first
        ("agent/writer", "agent/writer", "peer_unavailable"),
        ("tool/documents", "agent/reader", "agent/reader: tool/documents: refused (peer_unavailable)"),
        ("inference", "agent/reader", "agent/reader: inference: could not be reached"),
    ],
)
async def test_a_party_that_is_away_is_named_and_found_again_when_it_is_back(
    system: System, issuer: Issuer, stored: Stored, away: str, agent: str, text: str
) -> None:
    before, app = stored(), system.apps.pop(system.addresses[away])

    steps, result = await worked(system, issuer.token())
    assert (result["event"], result["agent"], result["text"], result["status"]) == ("failed", agent, text, 503)
    assert f"{agent} done" not in steps
    assert stored() == before

    system.apps[system.addresses[away]] = app
    assert (await worked(system, issuer.token()))[1]["event"] == "finished"


async def test_an_agent_that_goes_away_after_it_has_shown_its_card_is_named_as_well(
    system: System, issuer: Issuer
) -> None:
    await worked(system, issuer.token(), READ_IT)
    del system.apps[system.addresses["agent/reader"]]

    _, result = await worked(system, issuer.token(), READ_IT)

    assert (result["event"], result["text"], result["status"]) == ("failed", "agent/reader: could not be reached", 503)


async def test_only_a_task_of_which_nothing_was_done_is_to_be_asked_again(system: System, issuer: Issuer) -> None:
    async def answered() -> tuple[int, str | None]:
        answer = await system.client("orchestrator", issuer.token()).post("/tasks", json=FILE_IT)
        return answer.status_code, answer.headers.get("retry-after")

    del system.apps[system.addresses["agent/writer"]]
    assert await answered() == (503, None)  # the reader has read
    del system.apps[system.addresses["agent/reader"]]
    assert await answered() == (503, "1")


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (500, b"<html>", "answered with status 500"),
        (404, b"{}", "answered with status 404"),
        (403, b'{"reason": "policy_denied"}', "refused with 403, policy_denied"),
        (200, b"[" * 100_000, "gave no answer"),  # none that is read
        *[
            (200, body, NONSENSE)
            for body in (
                b"<html>",
                b"\xff",
                b"[]",
                b"{}",
                *[
                    b'{"jsonrpc": "2.0", "id": 1, %s}' % part
                    for part in (
                        b'"result": 7',
                        b'"result": {}',
                        b'"result": {"task": {"id": "x"}}',
                        b'"result": {"message": {"parts": [{"data": 7}]}}',
                        b'"result": {"message": {"parts": [{"data": {"failed": 7}}]}}',
                        b'"error": 7',
                        b'"error": {"code": -1, "message": "x", "data": 7}',
                    )
                ],
            )
        ],
    ],
)
async def test_an_agent_that_answers_nonsense_has_failed(
    system: System, issuer: Issuer, status: int, body: bytes, told: str
) -> None:
    system.behind_its_card("agent/reader", _answering(status, body))

    steps, result = await worked(system, issuer.token())

    refused = told.startswith("refused")  # by a gate, from the start; else nobody knows what was done
    assert (steps, result["event"], result["status"]) == (NOT_READ, *(("failed", 200) if refused else ("unclear", 502)))
    assert result["text"] == f"agent/reader: {told}" + ("" if refused else "; it may have been done")
    assert system.records("agent/writer") == []


def _answering(status: int, body: bytes) -> Any:
    """A party that always says the same."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app
