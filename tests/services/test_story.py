"""The story of the design, in process: a user's task through five parties, and both of its traps.

alice asks for a summary of her department's incident reports, filed as a new document.  One report is poisoned.  The
model obeys it, and so does the writer; what stops them is the authority of their tokens.
"""

from collections.abc import Callable
from typing import Any

from tests.support.issuer import Issuer
from tests.support.system import System

Stored = Callable[[], dict[str, dict[str, str]]]
TASK = {"request": "Summarise our incident reports and file the summary."}


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
