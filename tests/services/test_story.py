"""The story of the design, in process: alice's task through five parties, and with which authority each hop asks."""

from typing import Any

from tests.support.issuer import Issuer
from tests.support.system import System

TASK = {"request": "Summarise our incident reports and file the summary."}


async def told(system: System, token: str) -> list[dict[str, Any]]:
    answer = await system.client("orchestrator", token).post("/tasks", json=TASK)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return [*body["steps"], body["result"]]


def requests(system: System, name: str) -> list[dict[str, Any]]:
    return [record for record in system.records(name) if record["event"] == "request"]


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
