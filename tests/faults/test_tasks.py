"""A party fails in mid-task: the answer says what was done, what was not, and what nobody knows."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import httpx2
import orjson
import pytest
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.issuer import Issuer
from tests.support.system import MCPWire, System, Wire
from tests.support.tasks import FILE_IT, NOT_READ, READ, worked
from zerotrust.adapters.answer import Answer
from zerotrust.decision import Reason
from zerotrust.transport import egress

TOOL = "spiffe://agents.example/tool/documents"
Stored = Callable[[], dict[str, dict[str, str]]]
Hang = Callable[[str], ASGIApp]
Lose = Callable[[str, bytes], None]


@pytest.fixture
def lose(system: System, monkeypatch: pytest.MonkeyPatch) -> Lose:
    """From now on, whoever sends a party something with these words in it gets no answer; it was handled, though."""

    def lost(party: str, words: bytes) -> None:
        for wire, error in ((Wire, httpx.ReadError), (MCPWire, httpx2.ReadError)):
            handle: Any = wire.handle_async_request

            async def losing(self: Any, request: Any, handle: Any = handle, error: Any = error) -> Any:
                answer = await handle(self, request)
                asked = request.method == "POST" and str(request.url).startswith(system.addresses[party])
                if asked and words in request.content:
                    raise error("cut off", request=request)
                return answer

            monkeypatch.setattr(wire, "handle_async_request", losing)

    return lost


@pytest.fixture
async def hang(system: System, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hang]:
    """Returns an app for a party that takes what it is asked, and says nothing; its caller's time is over then.

    No other call has less time than usual, so that a stall of the machine changes nothing.
    """
    over, time_left, lives = asyncio.Event(), egress._time_left, dict[str, asyncio.Timeout]()

    def noted() -> asyncio.Timeout:
        token, _ = egress._outgoing.get(egress._WITHOUT_TOKEN)
        lives[token.audience if token else ""] = life = time_left()
        return life

    monkeypatch.setattr(egress, "_time_left", noted)

    def hanging(party: str) -> ASGIApp:
        async def silent(_scope: Scope, _receive: Receive, send: Send) -> None:
            lives[system.registry.id(party)].reschedule(0)
            await over.wait()
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body"})

        return silent

    yield hanging
    over.set()


@pytest.mark.parametrize(
    ("party", "words", "told", "unclear"),
    [
        ("tool/documents", b'"create"', "tool/documents: gave no answer (answer_lost)", ["create"]),
        ("agent/writer", b"", "agent/writer: gave no answer", []),
    ],
    ids=["the tool's answer", "the agent's answer"],
)
async def test_a_document_that_was_filed_without_an_answer_may_have_been_filed(
    system: System, issuer: Issuer, stored: Stored, lose: Lose, party: str, words: bytes, told: str, unclear: list[str]
) -> None:
    before = stored()
    lose(party, words)

    steps, result = await worked(system, issuer.token())

    assert len(stored()) == len(before) + 1  # which nobody but the tool knows
    assert steps == [*READ, "agent/writer started"]
    assert (result["event"], result["agent"]) == ("unclear", "agent/writer")
    assert result["text"].endswith(f"{told}; it may have been done")
    assert [call.partition(" ")[0] for call in result["unclear"]] == unclear
    assert (result["done"], result["status"]) == ([], 502)


@pytest.mark.parametrize(
    ("suspended", "within"),
    [(TOOL, "tool/documents: "), ("spiffe://agents.example/agent/writer", "")],
    ids=["the tool", "the agent"],
)
async def test_what_was_done_in_a_call_whose_party_is_suspended_meanwhile_is_not_known(
    system: System, issuer: Issuer, stored: Stored, suspended: str, within: str
) -> None:
    before, tool = stored(), system.apps[system.addresses["tool/documents"]]

    async def filed(scope: Scope, receive: Receive, send: Send) -> None:
        await tool(scope, receive, send)
        if (b"mcp-name", b"create") in scope["headers"]:
            system.revocations.change(1, ("party", suspended), "odd")

    system.apps[system.addresses["tool/documents"]] = filed

    steps, result = await worked(system, issuer.token())

    assert len(stored()) == len(before) + 1
    assert steps == [*READ, "agent/writer started"]
    assert (result["event"], result["agent"]) == ("unclear", "agent/writer")
    assert result["text"] == f"agent/writer: {within}gave no answer (peer_revoked); it may have been done"
    assert [call.partition(" ")[0] for call in result["unclear"]] == (["create"] if within else [])
    assert (result["done"], result["status"]) == ([], 502)


@pytest.mark.parametrize("why", [Reason.PEER_UNAVAILABLE, Reason.PEER_REVOKED])
async def test_a_tool_that_goes_away_between_two_calls_makes_no_summary_of_half_the_documents(
    system: System, issuer: Issuer, stored: Stored, why: Reason
) -> None:
    before, tool = stored(), system.apps[system.addresses["tool/documents"]]
    model, searched = system.apps[system.addresses["inference"]], asyncio.Event()

    async def leaving(scope: Scope, receive: Receive, send: Send) -> None:
        await tool(scope, receive, send)
        if (b"mcp-name", b"search") in scope["headers"]:
            searched.set()

    async def meanwhile(scope: Scope, receive: Receive, send: Send) -> None:
        if searched.is_set():
            searched.clear()
            if why is Reason.PEER_UNAVAILABLE:
                del system.apps[system.addresses["tool/documents"]]
            else:
                system.revocations.change(1, ("party", TOOL), "drift")
        await model(scope, receive, send)

    system.apps[system.addresses["tool/documents"]] = leaving
    system.apps[system.addresses["inference"]] = meanwhile

    steps, result = await worked(system, issuer.token())

    assert (steps, result["event"]) == (NOT_READ, "failed")
    assert result["status"] == (503 if why is Reason.PEER_UNAVAILABLE else 200)  # a suspension is a rule
    assert result["text"] == f"agent/reader: tool/documents: refused ({why})"
    assert [call.partition(" ")[0] for call in result["done"]] == ["search"]
    assert [call.partition(" ")[0] for call in result["refused"]] == ["read"]
    assert result["unclear"] == []
    system.apps[system.addresses["tool/documents"]] = tool
    assert stored() == before


@pytest.mark.parametrize(("party", "status"), [("agent/reader", 504), ("tool/documents", 502), ("inference", 504)])
async def test_a_party_that_hangs_is_not_waited_for_for_ever(
    system: System, issuer: Issuer, hang: Hang, party: str, status: int
) -> None:
    """How long is the token's to say: see `tests/unit/test_egress.py`."""
    if party.startswith("agent/"):
        system.behind_its_card(party, hang(party))
    else:
        system.apps[system.addresses[party]] = hang(party)

    steps, result = await worked(system, issuer.token())

    assert (steps, result["agent"], result["status"]) == (NOT_READ, "agent/reader", status)
    assert result["event"] in {"failed", "unclear"}
    assert "gave no answer" in result["text"] or "answer_lost" in result["text"]


# Keycloak in mid-task


async def test_without_the_first_token_nothing_begins_and_the_user_is_told_when_to_come_back(
    system: System, issuer: Issuer
) -> None:
    await worked(system, issuer.token())  # so that the keys are known
    begun = len(system.records("agent/reader"))
    issuer.down = True

    for accept in ("application/json", "text/event-stream"):
        client = system.client("orchestrator", issuer.token())
        answer = await client.post("/tasks", json=FILE_IT, headers={"accept": accept})
        assert (answer.status_code, answer.json()["reason"]) == (503, "issuer_unavailable")
        assert answer.headers["retry-after"]
    assert len(system.records("agent/reader")) == begun


async def test_an_issuer_that_goes_down_between_two_steps_leaves_the_first_one_done(
    system: System, issuer: Issuer, stored: Stored
) -> None:
    before, reader = stored(), system.apps[system.addresses["agent/reader"]]

    async def last_act(scope: Scope, receive: Receive, send: Send) -> None:
        await reader(scope, receive, send)
        issuer.down = True

    system.behind_its_card("agent/reader", last_act)

    steps, result = await worked(system, issuer.token())

    assert steps == [*READ, "agent/writer started"]
    assert (result["event"], result["agent"], result["text"]) == ("failed", "agent/writer", "issuer_unavailable")
    assert (stored(), result["status"]) == (before, 503)


async def test_an_agent_that_answers_with_an_error_of_its_own_may_have_done_it(system: System, issuer: Issuer) -> None:
    async def failing(_scope: Scope, _receive: Receive, send: Send) -> None:
        error = orjson.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "Internal error"}})
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": error})

    system.behind_its_card("agent/reader", failing)

    _, result = await worked(system, issuer.token())

    assert (result["event"], result["agent"]) == ("unclear", "agent/reader")
    assert result["text"].startswith("agent/reader: ")


def test_nobody_changes_an_account() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Answer().text = "done"  # type: ignore[misc]
