"""E. Scope and authorisation, as time goes by: what was allowed before, what is asked for next, and what was begun."""

import orjson
import pytest
from starlette.types import Receive, Scope, Send

from tests.support.attack import DOORS, META, WRITE, Target, Tries, Watched, answering_with, attack, rpc, tool_call
from tools.documents.tools import TOOLS
from zerotrust.decision import Reason

ORCHESTRATOR, READER, TOOL = "orchestrator", "agent/reader", "tool/documents"


class Refusing:
    """Somebody who refuses whatever is asked, because a scope is missing, and counts."""

    def __init__(self, scope: str) -> None:
        self.asked = 0
        said = {"error": "insufficient_scope", "reason": "scope_missing", "scope": scope}
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'.encode()
        self._answer = answering_with(403, orjson.dumps(said), (b"www-authenticate", challenge))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        await self._answer(scope, receive, send)


@attack(50)
async def test_a_scope_that_seems_to_include_another(target: Target) -> Tries:
    """No scope implies another: not the wider the narrower, not to write to read, nor all others together one."""
    scopes = target.issuer.registry.scopes
    for tool, needed in TOOLS.items():
        for scope in ("tool", "tool.admin", "registry.admin", " ".join(other for other in scopes if other != needed)):
            yield await target.send(TOOL, target.token(TOOL, scope=scope), body=tool_call(tool, id="ENG-101"))
    for party, door in DOORS.items():
        needed = door.scope.split()[0]
        every_other = " ".join(scope for scope in scopes if scope != needed)
        if party != TOOL:
            yield await target.send(party, target.token(party, scope=every_other))


@attack(51)
async def test_a_refusal_that_names_a_scope_to_ask_for(target: Target) -> Tries:
    """An agent that was taken over answers that more would help (RFC 6750 section 3.1); nobody goes and gets more."""
    target.system.behind_its_card(READER, Refusing("agent.invoke tool.read tool.write"))
    before = len(target.issuer.exchanges)
    tried = await target.give(ORCHESTRATOR, "Summarise our incident reports.", reason=Reason.GRANTED)
    asked = [form["scope"] for form in target.issuer.exchanges[before:]]
    assert asked
    tried.effect = any("tool.write" in said.split() for said in asked)
    yield tried


@attack(52)
async def test_a_door_that_refuses_for_ever(target: Target) -> Tries:
    """Whoever is refused says so, and does not come again with the same, or with a new token."""
    answering = Refusing("agent.invoke")
    target.system.behind_its_card(READER, answering)
    before = len(target.issuer.exchanges)
    tried = await target.give(ORCHESTRATOR, "Summarise our incident reports.", reason=Reason.GRANTED)
    assert answering.asked
    assert b"failed" in tried.answer.content
    tried.effect = answering.asked > 1 or len(target.issuer.exchanges) > before + 1
    yield tried


@attack(54)
async def test_a_handle_of_somebody_elses_task(target: Target) -> Tries:
    """Nothing that was begun has a name by which anybody could come back to it: neither a trace nor an id is one."""
    alice = await target.give(ORCHESTRATOR, "Summarise our incident reports.")
    trace = alice.recorded[0]["trace_id"]
    bob = target.issuer.token(sub="bob", sid="session-2")
    for name in (trace, alice.recorded[0]["token_id"], "1"):
        for method, path in (("GET", f"/tasks/{name}"), ("POST", f"/tasks/{name}"), ("DELETE", f"/tasks/{name}")):
            yield await target.send(ORCHESTRATOR, bob, method=method, path=path, body=b"")


@attack(56)
async def test_what_was_allowed_a_moment_ago(target: Target) -> Tries:
    """Between the list of tools and a call of one; and between the gate and the moment a handler touches something."""
    token = target.writing(jti="T2w")
    listed = await target.send(TOOL, token, body=rpc("tools/list", _meta=META))
    assert "create" in listed.answer.text
    target.revoke(("token", "T2w"))
    yield await target.send(TOOL, token, body=WRITE)

    tool = target.system.services[TOOL]
    assert isinstance(tool, Watched)
    tool.entered = lambda: target.revoke(("token", "T2w-b"))
    before = target.system.documents()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zerotrust.lifetime.REVOCATION_GRACE", 60)  # so that it is not cut off before
        tried = await target.send(TOOL, target.writing(jti="T2w-b"), body=WRITE)
    tried.effect = target.system.documents() != before
    yield tried
