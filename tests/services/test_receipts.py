"""Alice's task, whole and in process: what she gets back proves who took part."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from starlette.types import Receive, Scope, Send

from evidence import Evidence, Proven, approved, evidence_of, verify
from evidence.completeness import LATE
from evidence.signing_time import LONGEST_TASK
from tests.support.ca import the_ca
from tests.support.issuer import FOR_TASKS, Issuer
from tests.support.receipt_tree import names
from tests.support.receipts import carried, receipts, told
from tests.support.system import System, running
from tests.support.tlog import ORIGIN, Keys, Log, witness
from zerotrust.adapters.answer import LONGEST_REFUSAL, Answer
from zerotrust.agent.agent_loop import run_tool_loop
from zerotrust.audit.event_types import Counts, Outcome
from zerotrust.audit.record import event_of
from zerotrust.authority.ledger.leaf import Heads, heads_leaf
from zerotrust.authority.log.proofs import inclusion_proof
from zerotrust.decision import Denied, Reason
from zerotrust.hardening.in_flight import OF_A_USER
from zerotrust.identity import Principal
from zerotrust.issuer.exchange import ExchangedToken, TokenRequest
from zerotrust.limits.answers import MAX_ANSWER
from zerotrust.limits.bounded import Bounded
from zerotrust.orchestrator.agent_client import LONGEST_ANSWER, TOO_LONG
from zerotrust.receipts.carried import MAX_VALUE
from zerotrust.receipts.receipt import digest_of
from zerotrust.tlog.note import ED25519
from zerotrust.tlog.proof import MAX_EVIDENCE, Proof
from zerotrust.tlog.quorum import policy

FILE_IT = {"request": "Read the incident reports and file a summary."}
KEYS, WITNESS = Keys(ORIGIN, ED25519), witness("registry")
POLICY = policy(f"log {KEYS.public}\nwitness registry {WITNESS.public}\nquorum registry\n")


@pytest.fixture
async def system(tmp_path: Path, issuer: Issuer) -> AsyncIterator[System]:
    async with running(tmp_path, issuer=issuer) as found:
        yield found


@pytest.fixture(autouse=True)
def _long_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """In process, certificates outlive any test."""
    monkeypatch.setattr("evidence.verified_receipt.LONGEST_CERTIFICATE", 100_000)


async def asked(system: System, issuer: Issuer, **headers: str) -> httpx.Response:
    answer = await system.client("orchestrator", issuer.token()).post("/tasks", json=FILE_IT, headers=headers)
    assert answer.status_code == 200
    return answer


async def leaves(system: System) -> list[bytes]:
    """The lines of all journals, as a ledger would have them."""
    for service in system.services.values():
        await service.recorder.write(Counts())  # what rides on the next commit is written with it
    journals = sorted(system.folder.glob("*/journal.jsonl"))
    later = int((time.time() + LONGEST_TASK + LATE) * 1_000_000)  # when the task's tokens have ended
    lines = [line for journal in journals for line in journal.read_bytes().splitlines()]
    return [*lines, heads_leaf(Heads({}, later))]


def evidence_for(receipt: str, lines: list[bytes]) -> Evidence:
    """The proof that a log with these lines has this receipt."""
    ended = [(at, event_of(line).data) for at, line in enumerate(lines[:-1])]
    [index] = [at for at, data in ended if isinstance(data, Outcome) and data.receipt == receipt]
    log = Log(lines, KEYS)
    proof = Proof(index, tuple(inclusion_proof(index, len(lines), log.node)), log.note(WITNESS, at=int(time.time())))
    return Evidence(lines[index], proof)


def verified(system: System, answer: bytes, request: bytes, lines: list[bytes], **others: Any) -> Proven:
    own = digest_of(answer.split(b'"receipts":"')[1].split(b"~")[0].split(b'"')[0].decode())
    evidence = evidence_for(own, lines)
    believed: dict[str, Any] = {
        "authorities": the_ca().bundle,
        "accepted": approved(system.registry, system.snapshot.approved),
        "policy": POLICY,
        "evidence": evidence,
        "request": request,
        "leaves": lines,
    }
    return verify(answer, **(believed | others))


async def test_the_receipts_of_a_stream_prove_the_same(system: System, issuer: Issuer) -> None:
    answer = await asked(system, issuer, accept="text/event-stream")

    assert answer.content.rstrip().splitlines()[-2] == b"event: receipts"
    assert len(set(names(verified(system, answer.content, answer.request.content, await leaves(system))))) == 5


async def test_a_plan_before_a_task_takes_none_of_its_calls(system: System, issuer: Issuer) -> None:
    client = system.client("orchestrator", issuer.token(scope=f"reasoning.plan model.read llama.models {FOR_TASKS}"))
    plan = await client.post("/plan", json=FILE_IT)
    task = await client.post("/tasks", json=FILE_IT)
    lines = await leaves(system)

    for answer in plan, task:
        assert verified(system, answer.content, answer.request.content, lines).complete


@pytest.mark.parametrize("agent", ["reader", "writer"])
async def test_an_agent_that_answers_too_much_costs_its_own_task_only(
    system: System, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, agent: str
) -> None:
    """Without a receipt of that task, nobody could say that its calls belong to it."""
    client, [loop] = system.client("orchestrator", issuer.token()), [f"agents.{agent}.main.run_tool_loop"]
    with monkeypatch.context() as one:
        one.setattr(loop, _saying("x" * (MAX_ANSWER // 2)))
        long = await client.post("/tasks", json=FILE_IT)
    honest = await client.post("/tasks", json={"request": "Read the incident reports."})
    lines = await leaves(system)

    result = long.json()["result"]
    assert (result["event"], result["agent"], TOO_LONG in result["text"]) == ("unclear", f"agent/{agent}", True)
    assert receipts(long)
    assert verified(system, honest.content, honest.request.content, lines, also=[long.content]).complete


async def test_the_longest_answers_of_agents_leave_room_for_the_receipts(
    system: System, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "\x00" * ((LONGEST_ANSWER - len(Answer().model_dump_json())) // len(r"\u0000"))  # the longest in JSON
    for agent in "reader", "writer":
        monkeypatch.setattr(f"agents.{agent}.main.run_tool_loop", _saying(text))
    answer = await asked(system, issuer)

    assert answer.json()["result"]["text"] == text
    assert len(carried(answer).content) + MAX_VALUE <= MAX_ANSWER


async def test_of_what_an_agent_says_in_an_error_only_the_beginning_is_told(system: System, issuer: Issuer) -> None:
    error = {"code": -32603, "message": "x" * (MAX_ANSWER // 2)}
    said = orjson.dumps({"jsonrpc": "2.0", "id": "1", "error": error})
    genuine = system.apps[reader := system.addresses["agent/reader"]]

    async def failing_(scope: Scope, receive: Receive, send: Send) -> None:
        await (genuine if scope["method"] == "GET" else Answering(200, said))(scope, receive, send)

    system.apps[reader] = failing_
    answer = await system.client("orchestrator", issuer.token()).post("/tasks", json=FILE_IT)
    assert receipts(answer)
    assert len(answer.json()["result"]["text"]) < 2 * LONGEST_REFUSAL


def _saying(text: str) -> Any:
    """An agent's work, which ends with this text."""

    async def loop(*asked: Any, **more: Any) -> Answer:
        answer: Answer = await run_tool_loop(*asked, **more)
        return Answer(text=text) if len(text) < MAX_ANSWER // 2 else answer.model_copy(update={"text": text})

    return loop


@pytest.mark.parametrize("refused", [True, False])
async def test_an_exchange_that_takes_long_ends_before_the_answer(
    system: System, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    """The one for the list of models: it outlasts the refusal of the first step, or the time for the list."""
    monkeypatch.setattr("orchestrator.models.SECONDS_TO_CHOOSE", 0)
    exchanger = system.services["orchestrator"]._exchanger
    ask, answered = exchanger._ask, asyncio.Event()

    async def slow(caller: Principal, wanted: TokenRequest) -> ExchangedToken:
        if "agent.invoke" in wanted.scopes:
            raise Denied(Reason.EXCHANGE_REFUSED, "not now")
        await asyncio.wait([asyncio.create_task(answered.wait())], timeout=0.1)
        monkeypatch.setattr("orchestrator.models.SECONDS_TO_CHOOSE", 60)
        return await ask(caller, wanted)

    monkeypatch.setattr(exchanger, "_ask", slow)
    client = system.client("orchestrator", issuer.token(scope=f"reasoning.plan model.read llama.models {FOR_TASKS}"))
    answer = await client.post("/tasks" if refused else "/plan", json=FILE_IT)
    answered.set()
    await asyncio.gather(*exchanger._flights.values(), return_exceptions=True)

    assert answer.status_code == (403 if refused else 200)
    assert verified(system, answer.content, answer.request.content, await leaves(system)).complete


@pytest.mark.parametrize("refused", ["tool.read", "inference.run", None])
async def test_an_exchange_for_which_an_agent_no_longer_waits_ends_before_its_answer(
    system: System, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, refused: str | None
) -> None:
    """The other of the two that it begins with is refused, or its task has no time left for the next one."""
    exchanger = system.services["agent/reader"]._exchanger
    ask, answered = exchanger._ask, asyncio.Event()

    async def slow(caller: Principal, wanted: TokenRequest) -> ExchangedToken:
        if refused in wanted.scopes:
            raise Denied(Reason.EXCHANGE_REFUSED, "not now")
        await asyncio.wait([asyncio.create_task(answered.wait())], timeout=0.1)
        return await ask(caller, wanted)

    monkeypatch.setattr(exchanger, "_ask", slow)
    if refused is None:
        monkeypatch.setattr(exchanger, "_tokens", Bounded(0))
        monkeypatch.setattr("zerotrust.agent.agent_loop.MAX_SECONDS", 0)
    answer = await system.client("orchestrator", issuer.token()).post("/tasks", json=FILE_IT)
    answered.set()
    await asyncio.gather(*exchanger._flights.values(), return_exceptions=True)

    assert answer.json()["result"]["event"] in {"refused", "failed"}
    assert verified(system, answer.content, answer.request.content, await leaves(system)).complete


@pytest.mark.parametrize("busy", ["agent/reader", "tool/documents", "inference"])
async def test_a_call_that_is_refused_before_its_request_is_read_accuses_nobody(
    system: System, issuer: Issuer, busy: str
) -> None:
    """Its caller has as many of alice's calls under way there as it may."""
    caller = "orchestrator" if "agent" in busy else "agent/reader"
    for _ in range(OF_A_USER):
        system.services[busy]._gates[0].of_users.take(("alice", system.registry.id(caller)), OF_A_USER)
    answer = await system.client("orchestrator", issuer.token()).post("/tasks", json=FILE_IT)

    [refused] = [one for one in receipts(answer) if one.reason == "too_many_requests" and not one.calls]
    assert refused.token.aud == system.registry.id(busy)
    assert verified(system, answer.content, answer.request.content, await leaves(system)).complete


# the proof


async def test_the_client_gets_the_proof_through_the_orchestrator(system: System, issuer: Issuer) -> None:
    answer = await asked(system, issuer)
    own = digest_of(carried(answer).receipts[0])
    evidence = evidence_for(own, await leaves(system))
    sent = orjson.dumps({"entry": evidence.entry.decode(), "proof": str(evidence.proof)})
    system.apps[system.registry.address("authority/audit")] = ledger = Answering(404, b"{}")
    client = system.client("orchestrator", issuer.token())

    early = await client.get(f"/receipts/{own}")
    assert (early.status_code, told(early)["reason"]) == (404, "not_logged_yet")

    ledger.status, ledger.content = 200, sent
    found = await client.get(f"/receipts/{own}")
    assert (found.status_code, found.content, ledger.asked[-1]) == (200, sent, f"/proofs/{own}")
    assert evidence_of(found.content) == evidence
    for wrong in own.upper(), own[1:]:
        assert (await client.get(f"/receipts/{wrong}")).status_code == 400


async def test_without_the_ledger_there_is_no_proof_now(system: System, issuer: Issuer) -> None:
    gone = await system.client("orchestrator", issuer.token()).get(f"/receipts/{'ab' * 32}")

    assert (gone.status_code, told(gone)["reason"]) == (503, "peer_unavailable")


class Answering:
    """Somebody who answers always the same."""

    def __init__(self, status: int, content: bytes) -> None:
        self.status, self.content, self.asked = status, content, list[str]()

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": self.content})


@pytest.mark.parametrize(("status", "content"), [(500, b"{}"), (200, b"{}"), (200, b"x" * MAX_EVIDENCE)])
async def test_what_is_no_proof_is_not_passed_on(system: System, issuer: Issuer, status: int, content: bytes) -> None:
    system.apps[system.registry.address("authority/audit")] = Answering(status, content)
    answer = await system.client("orchestrator", issuer.token()).get(f"/receipts/{'ab' * 32}")

    assert (answer.status_code, told(answer)["reason"]) == (503, "peer_unavailable")


# somebody on the way


async def test_no_journal_and_no_log_has_a_receipt(
    system: System, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    found = carried(await asked(system, issuer))

    written = b"".join(await leaves(system)) + caplog.text.encode()
    assert not any(one.split(".")[2].encode() in written for one in found.receipts)
