"""E. Scope and authorisation: a genuine token, and more wanted than it says."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.attack import DOORS, META, Target, Tried, Tries, attack, message, rpc, tool_call
from tests.support.receipts import heard
from tests.support.system import POLICY, registry
from tools.documents.tools import TOOLS
from zerotrust.decision import Reason
from zerotrust.policy import PolicyError
from zerotrust.runtime import policy_of

READ = [(b"mcp-name", b"read")]
ARGUMENTS = {
    "search": {"query": "incident"},
    "read": {"id": "ENG-101"},
    "create": {"title": "x", "text": "x"},
    "replace": {"id": "ENG-101", "text": "x"},
    "delete": {"id": "ENG-101"},
}


@attack(46)
async def test_the_scope_that_a_door_asks_for_is_missing(target: Target) -> Tries:
    for party, door in DOORS.items():
        needed, *others = door.scope.split()
        for scope in ("", *others, " ".join(others), "model.read"):
            yield refused_with_a_hint(await target.send(party, target.token(party, scope=scope)), needed)


@attack(47)
async def test_a_token_for_one_tool_calls_another(target: Target) -> Tries:
    """Every tool with every scope, by the agent that may hold the right one; and by the one that may not."""
    for tool, needed in TOOLS.items():
        body = tool_call(tool, **ARGUMENTS[tool])
        able, unable = ("agent/reader", "agent/writer") if needed == "tool.read" else ("agent/writer", "agent/reader")
        for scope in registry().scopes:
            token = target.token("tool/documents", **target.issuer.chain("orchestrator", able), scope=scope)
            tried = await target.send("tool/documents", token, body=body)
            if scope == needed:
                assert tried.handled
            else:
                yield refused_with_a_hint(tried, needed).stopped_by("scope-held", "policy-decides")
        # The issuer should never have given that: the registry does not let this agent hold it.
        token = target.token("tool/documents", **target.issuer.chain("orchestrator", unable), scope=needed)
        tried = await target.send("tool/documents", token, body=body, reason=Reason.POLICY_DENIED)
        yield tried.stopped_by("party-may-hold-scope", "policy-decides")


@attack(48)
async def test_a_tool_that_no_policy_knows(target: Target) -> Tries:
    for tool in (
        "delete_all",
        "READ",
        "read ",
        "",
        "*",
        "\u0442ool",
        "__init__",
        "read\0",
        "tools/call",
        "x" * 100_000,
    ):
        body = tool_call(tool, id="ENG-101")
        yield await target.send("tool/documents", target.token("tool/documents"), body=body, headers=READ)
    for none in (None, 7, True):
        body = tool_call("read", id="ENG-101")
        body["params"]["name"] = none
        yield await target.send("tool/documents", target.token("tool/documents"), body=body, headers=READ)


@pytest.mark.parametrize("broken", ["permit", "permit (principal, action, resource) when { context.wish };"])
def test_nobody_starts_with_policies_that_cannot_be_understood(broken: str) -> None:
    assert policy_of(POLICY, registry())

    with pytest.raises(PolicyError):
        policy_of(POLICY.model_copy(update={"policies": broken}), registry())


@attack(49)
async def test_a_scope_that_nearly_reads_like_the_right_one(target: Target) -> Tries:
    """A scope is a list of names with single spaces between them (RFC 6749 section 3.3), and each name is exact."""
    party = "tool/documents"
    for scope in ("tool.read", "tool.read tool.read", "model.read tool.read", " tool.read  tool.write "):
        assert (await target.send(party, target.token(party, scope=scope))).handled
    for space in ("\t", "\n", "\r\n", "\v", "\u00a0", "\u2003"):
        tried = await target.send(party, target.token(party, scope=f"tool.read{space}model.read"))
        yield tried.stopped_by("scopes-of-token", "scope-held")
    for scope in nearly("tool.read"):
        yield await target.send(party, target.token(party, scope=scope), by="scope-held")
    for claim in (["tool.read"], {"tool.read": True}, 7, True):
        yield await target.send(party, target.token(party, scope=claim), reason=Reason.BAD_CLAIM, by="pydantic")


def nearly(scope: str) -> Iterator[str]:
    for between in (",", ";", "+", "%20", "\u200b", "\0"):
        yield f"{scope}{between}model.read"
    yield from (scope[:-1], scope + "s", scope + ".all", scope.upper(), scope.title(), scope.replace(".", ":"))
    yield from ("*", "tool.*", "tool", ".*", "tool.rea%", "tool\uff0eread", "t\u043eol.read", f'"{scope}"', f"!{scope}")


@attack(53)
async def test_somebody_elses_document_by_its_id(target: Target) -> Tries:
    """Whether it is there and not hers, or not there at all, alice hears the same."""
    tool, reading, writing = "tool/documents", target.token("tool/documents"), target.writing()
    missing = await target.send(tool, reading, body=tool_call("read", id="FIN-999"))
    foreign = await target.send(tool, reading, body=tool_call("read", id="FIN-201"))
    foreign.effect = "Revenue" in foreign.answer.text
    assert foreign.effect or heard(foreign.answer) == tuple(
        said.replace("FIN-999", "FIN-201") for said in heard(missing.answer)
    )
    yield foreign.stopped_by("document-access-decided", "document-of-own-department")

    found = await target.send(tool, reading, body=tool_call("search", query="invoice"), reason=Reason.GRANTED)
    found.effect = "FIN-202" in found.answer.text
    yield found.stopped_by("search-result-permitted")

    draft = await target.send(tool, target.writing(sub="carol"), body=tool_call("create", title="Mine", text="Mine."))
    drafted = draft.answer.json()["result"]["structuredContent"]["id"]
    for other in (drafted, "FIN-201", "ENG-101"):
        before = target.system.documents()
        tried = await target.send(tool, writing, body=tool_call("replace", id=other, text="Gone."))
        tried.effect = target.system.documents() != before
        yield tried.stopped_by("document-access-decided")


@attack(55)
async def test_a_listing_shows_what_the_caller_cannot_use(target: Target) -> Tries:
    for token, foreign in ((target.token("tool/documents"), "create"), (target.writing(), "search")):
        tried = await target.send("tool/documents", token, body=rpc("tools/list", _meta=META), reason=Reason.GRANTED)
        names = [tool["name"] for tool in tried.answer.json()["result"]["tools"]]
        assert names
        tried.effect = foreign in names
        yield tried.stopped_by("listed-tools-permitted")
    for method in ("resources/list", "prompts/list", "resources/templates/list", "logging/setLevel"):
        body, token = rpc(method, _meta=META), target.token("tool/documents")
        yield await target.send("tool/documents", token, body=body, reason=Reason.UNKNOWN_METHOD, by="policy-decides")
    token, reason = target.token("inference"), Reason.SCOPE_MISSING
    yield await target.send("inference", token, method="GET", path="/v1/models", reason=reason, by="policy-decides")
    body = rpc("GetExtendedAgentCard")
    tried = await target.send("agent/reader", target.token("agent/reader"), body=body, reason=Reason.GRANTED)
    tried.effect = "result" in tried.answer.json()
    yield tried.stopped_by("a2a-sdk")


@attack(57)
async def test_a_parameter_says_who_the_user_is(target: Target) -> Tries:
    """Alice's agent says bob, wherever a word can be put; nothing but the token says who asks."""
    for body in map(named_bob, (tool_call("create", title="x", text="x"), tool_call("create", title="x", text="x"))):
        before = target.system.documents()
        tried = await target.send("tool/documents", target.writing(), body=body, headers=SAID_BOB)
        [new] = [document for id_, document in target.system.documents().items() if id_ not in before]
        tried.effect = (new["owner"], new["department"]) != ("alice", "/engineering")
        yield tried
    body = named_bob(tool_call("read", id="FIN-201"))
    tried = await target.send("tool/documents", target.token("tool/documents"), body=body, headers=SAID_BOB)
    tried.effect = "Revenue" in tried.answer.text
    yield tried
    reader, asked = target.token("agent/reader"), named_bob(message("Read the incident reports."))
    yield as_bob(target, await target.send("agent/reader", reader, body=asked, headers=SAID_BOB))
    alice = target.issuer.token()
    asked = {"request": "Read the incident reports."} | NAMED_BOB
    yield as_bob(target, await target.send("orchestrator", alice, path="/tasks", body=asked, headers=SAID_BOB))


SAID_BOB = [(name, b"bob") for name in (b"x-user", b"x-forwarded-user", b"x-remote-user", b"from")]
SAID_BOB += [(name, b"/finance") for name in (b"x-groups", b"x-forwarded-groups")]
NAMED_BOB = {"on_behalf_of": "bob", "sub": "bob", "user": "bob", "owner": "bob", "department": "/finance"}


def named_bob(body: dict[str, Any]) -> dict[str, Any]:
    """The same request with bob's name in every place that takes words."""
    params = body["params"]
    named: dict[str, Any] = {name: value | NAMED_BOB for name, value in params.items() if isinstance(value, dict)}
    if "message" in params:
        said = params["message"] | {"metadata": NAMED_BOB}
        named = {"message": said, "metadata": NAMED_BOB, "tenant": "bob"}
    return body | NAMED_BOB | {"params": params | named}


def as_bob(target: Target, tried: Tried) -> Tried:
    """Whether anything on the way was done in bob's name."""
    assert tried.handled
    tried.effect = any(r.get("subject") == "bob" for party in DOORS for r in target.system.records(party))
    return tried


def refused_with_a_hint(tried: Tried, scope: str) -> Tried:
    """A caller who is refused for a scope is told which one would help."""
    if not tried.succeeded:
        assert scope in tried.problem["scope"].split()
        assert f'scope="{tried.problem["scope"]}"' in tried.answer.headers["www-authenticate"]
    return tried
