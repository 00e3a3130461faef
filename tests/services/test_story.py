"""The story of the design, in process: a user's task through five parties, and both of its traps.

alice asks for a summary of her department's incident reports, filed as a new document.  One report is poisoned.  The
model obeys it, and so does the writer; what stops them is the authority of their tokens.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.support.issuer import Issuer
from tests.support.system import System
from zerotrust.audit.chain import first_bad_record

Stored = Callable[[], dict[str, dict[str, str]]]
TASK = {"request": "Summarise our incident reports and file the summary."}
ALICE: dict[str, Any] = {}
BOB: dict[str, Any] = {"sub": "bob", "groups": ["/finance"], "sid": "session-2"}


async def told(system: System, token: str) -> list[dict[str, Any]]:
    answer = await system.client("orchestrator", token).post("/tasks", json=TASK)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return [*body["steps"], body["result"]]


def requests(system: System, name: str) -> list[dict[str, Any]]:
    return [record for record in system.records(name) if record["event"] == "request"]


async def test_alice_gets_her_summary_and_neither_trap_springs(system: System, issuer: Issuer, stored: Stored) -> None:
    before = stored()

    started, read, writing, written, finished = await told(system, issuer.token())

    assert [e["event"] for e in (started, read, writing, written, finished)] == [
        *("started", "done", "started", "done"),
        "finished",
    ]
    # She has what she wanted ...
    (name,) = stored().keys() - before.keys()
    draft = stored()[name]
    assert finished["text"] == f"Filed as {name}."
    assert (draft["title"], draft["owner"], draft["state"]) == ("Summary of 4 documents", "alice", "draft")
    assert draft["department"] == "/engineering"
    # ... the model was talked into both crimes, twice ...
    assert [attempt.split(" ", 1)[0] for attempt in read["refused"]] == ["read", "replace"]
    assert [attempt.split(" ", 1)[0] for attempt in written["refused"]] == ["read", "replace"]
    # ... and none of them was done.
    assert {key: document for key, document in stored().items() if key != name} == before
    assert "Revenue" not in str([started, read, writing, written, finished])
    assert "Revenue" not in draft["text"]


async def test_the_records_of_all_parties_are_one_trace_one_transaction_and_one_tree_of_spans(
    system: System, issuer: Issuer
) -> None:
    events = await told(system, issuer.token(jti="the-root"))

    spans: dict[str, dict[str, str | None]] = {}
    for name in system.services:
        seen = [record for record in system.records(name) if "transaction" in record]
        assert seen, name
        assert {record["trace_id"] for record in seen} == {events[0]["trace_id"]}
        assert {record["transaction"] for record in seen} == {"the-root"}
        assert {record["subject"] for record in seen} == {"alice"}
        assert first_bad_record(system.folder / name.replace("/", "-") / "journal.jsonl") == 0
        called = [record for record in seen if record["event"] == "request"]
        spans[name] = {record["span_id"]: record["parent_id"] for record in called}
    [(root, above)] = spans["orchestrator"].items()
    assert above is None
    for agent in ("agent/reader", "agent/writer"):
        assert set(spans[agent].values()) == {root}
    agents = spans["agent/reader"].keys() | spans["agent/writer"].keys()
    assert set(spans["inference"].values()) == set(spans["tool/documents"].values()) == agents


async def test_on_every_hop_authority_shrinks_the_chain_grows_and_each_exchange_is_on_record(
    system: System, issuer: Issuer
) -> None:
    token = issuer.token(jti="the-root")
    await told(system, token)

    def short(party: str) -> str:
        return party.removeprefix("spiffe://agents.example/")

    calls = [record for name in system.services for record in requests(system, name)]
    hops = {
        (short(call["audience"]), " < ".join(map(short, call["actors"])), " ".join(call["scopes"])) for call in calls
    }
    assert hops == {
        ("orchestrator", "", "agent.invoke inference.run llama.chat task.run tool.read tool.write"),
        ("agent/reader", "orchestrator", "agent.invoke inference.run llama.chat tool.read"),
        ("agent/writer", "orchestrator", "agent.invoke inference.run llama.chat tool.write"),
        ("tool/documents", "agent/reader < orchestrator", "tool.read"),
        ("tool/documents", "agent/writer < orchestrator", "tool.write"),
        ("inference", "agent/reader < orchestrator", "inference.run llama.chat"),
        ("inference", "agent/writer < orchestrator", "inference.run llama.chat"),
    }
    for call in calls:
        assert len(call["lineage"]) == len(call["actors"])
        assert [*call["lineage"], call["token_id"]][0] == "the-root"
    made = {r["token_id"] for n in system.services for r in system.records(n) if r["event"] == "exchange"}
    assert {call["token_id"] for call in calls} == made | {"the-root"}
    assert len(made) == len(issuer.exchanges) == 6
    assert [form["subject_token"] for form in issuer.exchanges].count(token) == 2  # for the two agents


async def test_tasks_of_many_users_at_once_never_mix(system: System, issuer: Issuer, stored: Stored) -> None:
    before = stored()
    users = [(ALICE | {"sub": f"alice-{n}"}) if n % 2 else (BOB | {"sub": f"bob-{n}"}) for n in range(12)]
    tokens = [issuer.token(**user, jti=f"root of {user['sub']}".replace(" ", "-")) for user in users]

    outcomes = await asyncio.gather(*(told(system, token) for token in tokens))

    created = {document["owner"]: document for key, document in stored().items() if key not in before}
    assert created.keys() == {user["sub"] for user in users}
    for user, events in zip(users, outcomes, strict=True):
        engineering = user["sub"].startswith("alice")
        text = created[user["sub"]]["text"]
        assert ("certificate" in text, "invoice" in text) == (engineering, not engineering)
        assert created[user["sub"]]["id"] in events[-1]["text"]
        assert len({event["trace_id"] for event in events}) == 1
    # Whatever any party wrote down under a transaction, it wrote down for the user of that transaction and its trace.
    traces = {f"root-of-{user['sub']}": events[0]["trace_id"] for user, events in zip(users, outcomes, strict=True)}
    for name in system.services:
        for r in system.records(name):
            if "transaction" in r:
                assert r["transaction"] == f"root-of-{r['subject']}"
                assert r["trace_id"] == traces[r["transaction"]]
    assert {key: stored()[key] for key in before} == before
