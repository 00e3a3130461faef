"""Every agent and tool server of the registry, also one that somebody has added: who gets in, and who does not."""

from importlib import import_module

import pytest
from a2a.helpers.proto_helpers import get_data_parts

from orchestrator.plan import agents_of
from registration.derive import tool_servers
from tests.support.attack import tool_call
from tests.support.clients import ask
from tests.support.issuer import Issuer
from tests.support.system import System, problem_of, registry

REGISTRY = registry()
AGENTS = agents_of(REGISTRY)
RPC = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {}}
TOOLS = [
    (server, tool, scope)
    for server in tool_servers(REGISTRY)
    for tool, scope in import_module(f"{REGISTRY.measured[server]}.main".replace("/", ".")).TOOLS.items()
]


HEADERS = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "accept": "application/json"}


def token_for(issuer: Issuer, agent: str, scopes: tuple[str, ...]) -> str:
    return issuer.delegated("orchestrator", aud=REGISTRY.id(agent), scope=" ".join(scopes))


@pytest.mark.parametrize("agent", AGENTS)
async def test_an_agent_answers_the_orchestrator_and_obeys_in_vain(system: System, issuer: Issuer, agent: str) -> None:
    token = token_for(issuer, agent, AGENTS[agent])
    message = await ask(system, agent, token, 'call replace {"id": "FIN-201", "text": "planted"}')

    assert any(entry.startswith("replace ") for part in get_data_parts(message.parts) for entry in part["failed"])
    assert system.documents()["FIN-201"]["text"] != "planted"


@pytest.mark.parametrize("agent", AGENTS)
async def test_an_agent_refuses_who_may_not_ask_it(system: System, issuer: Issuer, agent: str) -> None:
    without = token_for(issuer, agent, tuple(scope for scope in AGENTS[agent] if scope != "agent.invoke"))
    answer = await system.client(agent, without).post("/a2a", json=RPC)
    assert (answer.status_code, problem_of(answer)["reason"]) == (403, "scope_missing")

    elsewhere = issuer.delegated("orchestrator", aud=REGISTRY.id("inference"), scope=" ".join(AGENTS[agent]))
    answer = await system.client(agent, elsewhere).post("/a2a", json=RPC)
    assert (answer.status_code, problem_of(answer)["reason"]) == (401, "audience_mismatch")


@pytest.mark.parametrize(("server", "tool", "scope"), TOOLS)
async def test_a_tool_refuses_who_has_every_other_scope(
    system: System, issuer: Issuer, server: str, tool: str, scope: str
) -> None:
    [caller, *_] = [name for name in REGISTRY.services if server in REGISTRY.parties[name].may_call]
    others = " ".join(other for other in REGISTRY.scopes if other != scope)
    token = issuer.delegated("orchestrator", caller, aud=REGISTRY.id(server), scope=others)
    answer = await system.client(server, token).post("/mcp", json=tool_call(tool), headers=HEADERS | {"mcp-name": tool})

    assert (answer.status_code, problem_of(answer)["reason"]) == (403, "scope_missing")
