"""What `driver.py` asks: HTTP requests to each party, exchanges at Keycloak, and commands of `zt`."""

from typing import Any

from demo.intruder import mcp_request, tool_call

FRONT, READER, WRITER, TOOL, MODEL = "orchestrator", "agent/reader", "agent/writer", "tool/documents", "inference"
REGISTRY, AUDIT, POLICY = "authority/registry", "authority/audit", "authority/policy"
TASK = {"json": {"request": "Summarise the incident reports of my department and file the result."}}
CHAT = {"model": "default", "messages": [{"role": "user", "content": "Hello"}]}
A2A = {"a2a-version": "1.0"}
WRITER_ID, ASKING = "spiffe://agents.example/agent/writer", "spiffe://agents.example/orchestrator"
MINE = {"department": "/engineering", "state": "draft", "owner": "alice", "classification": "internal"}
QUESTION = {
    "subject": {"type": "user", "id": "alice", "properties": {"groups": ["/engineering"]}},
    "action": {"name": "document.replace"},
    "resource": {"type": "Document", "id": "D-1", "properties": MINE},
    "context": {"agent": WRITER_ID, "actors": [WRITER_ID, ASKING], "scopes": ["tool.write"]},
}
Request = tuple[str, str | None, str, str, str, str | None, dict[str, Any]]
"""Its name, the workload whose certificate it uses, to whom, method, path, which token, and what else httpx takes."""


def message(text: str, **more: Any) -> dict[str, Any]:
    """Return body and headers of an A2A request."""
    said = {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": text}]}
    call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": said}}
    return {"json": call | more, "headers": A2A}


def headers(**given: str) -> dict[str, Any]:
    return TASK | {"headers": {name.replace("_", "-"): value for name, value in given.items()}}


AT_THE_FRONT: list[Request] = [
    (name, None, FRONT, method, path, token, more)
    for name, method, path, token, more in (
        ("a task", "POST", "/tasks", "t0", TASK),
        ("a stream", "POST", "/tasks", "t0", headers(accept="text/event-stream")),
        ("a plan", "POST", "/plan", "t0", TASK),
        ("models", "GET", "/models", "t0", {}),
        ("an unknown proof", "GET", f"/receipts/{'a' * 64}", "t0", {}),
        ("no digest", "GET", "/receipts/none", "t0", {}),
        ("no token", "POST", "/tasks", None, TASK),
        ("no bearer", "POST", "/tasks", None, headers(authorization="Basic YTpi")),
        ("garbage", "POST", "/tasks", None, headers(authorization="Bearer garbage")),
        ("a token in the query", "POST", "/tasks?access_token=x", None, TASK),
        ("forged", "POST", "/tasks", "forged", TASK),
        ("an agent's token", "POST", "/tasks", "t1", TASK),
        ("an ID token", "POST", "/tasks", "id_token", TASK),
        ("a token for less", "POST", "/plan", "t0_reading", TASK),
        ("bob", "POST", "/plan", "bob", TASK),
        ("dana", "POST", "/plan", "dana", TASK),
        ("dana in one department", "POST", "/plan", "dana", {"json": TASK["json"] | {"department": "/finance"}}),
        ("eve", "POST", "/tasks", "eve", TASK),
        ("an operator", "POST", "/tasks", "olga", TASK),
        ("another department", "POST", "/tasks", "t0", {"json": TASK["json"] | {"department": "/finance"}}),
        ("no route", "POST", "/elsewhere", "t0", TASK),
        ("no route and no token", "POST", "/elsewhere", None, TASK),
        ("another method", "GET", "/tasks", "t0", {}),
        ("a line feed in the path", "POST", "/tasks%0A", "t0", TASK),
        ("another host", "POST", "/plan", "t0", headers(host="elsewhere.example")),
        ("an origin", "POST", "/plan", "t0", headers(origin="https://elsewhere.example")),
        ("text", "POST", "/plan", "t0", {"content": b"{}", "headers": {"content-type": "text/plain"}}),
        ("a packed body", "POST", "/plan", "t0", headers(content_encoding="gzip")),
        ("a token that is too long", "POST", "/plan", None, headers(authorization=f"Bearer {'a' * 9000}")),
        ("no JSON", "POST", "/tasks", "t0", {"content": b"{"}),
        ("no object", "POST", "/tasks", "t0", {"json": []}),
        ("a name twice", "POST", "/tasks", "t0", {"content": b'{"request": "a", "request": "b"}'}),
        ("no request", "POST", "/tasks", "t0", {"json": {}}),
        ("a field more", "POST", "/tasks", "t0", {"json": TASK["json"] | {"more": 1}}),
        ("too large", "POST", "/tasks", "t0", {"json": {"request": "x" * 1_000_000}}),
        ("a false trace", "POST", "/plan", "t0", headers(traceparent="none")),
        ("a trace", "POST", "/plan", "t0", headers(traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01")),
    )
]
HEALTH: list[Request] = [
    (f"health of {name}", READER if name != FRONT else None, name, "GET", "/health", None, {})
    for name in (FRONT, WRITER, TOOL, MODEL, REGISTRY, AUDIT, POLICY)
]
AMONG_PARTIES: list[Request] = [
    ("a card", FRONT, READER, "GET", "/.well-known/agent-card.json", None, {}),
    ("a card, without a certificate", None, READER, "GET", "/.well-known/agent-card.json", None, {}),
    ("a message", FRONT, READER, "POST", "/a2a", "t1", message("Summarise the incident reports.")),
    ("another A2A method", FRONT, READER, "POST", "/a2a", "t1", message("Hello", method="GetTask")),
    ("no A2A version", FRONT, READER, "POST", "/a2a", "t1", message("Hello") | {"headers": {}}),
    ("no JSON-RPC", FRONT, READER, "POST", "/a2a", "t1", {"json": {}, "headers": A2A}),
    ("a message without a token", FRONT, READER, "POST", "/a2a", None, message("Hello")),
    ("a message of the wrong party", WRITER, READER, "POST", "/a2a", "t1", message("Hello")),
    ("a message with a user's token", FRONT, READER, "POST", "/a2a", "t0", message("Hello")),
    ("no route of the reader", FRONT, READER, "POST", "/elsewhere", "t1", {}),
    ("metadata", READER, TOOL, "GET", "/.well-known/oauth-protected-resource/mcp", None, {}),
    ("discovery", READER, TOOL, "POST", "/mcp", "t2", mcp_request("server/discover")),
    ("tools", READER, TOOL, "POST", "/mcp", "t2", mcp_request("tools/list")),
    ("search", READER, TOOL, "POST", "/mcp", "t2", tool_call("search", text="incident")),
    ("read", READER, TOOL, "POST", "/mcp", "t2", tool_call("read", id="ENG-101")),
    ("read nothing", READER, TOOL, "POST", "/mcp", "t2", tool_call("read", id="ENG-999")),
    ("read another's", READER, TOOL, "POST", "/mcp", "t2", tool_call("read", id="FIN-201")),
    ("read with too much", READER, TOOL, "POST", "/mcp", "t2", tool_call("read", id="ENG-101", more="x")),
    ("write", READER, TOOL, "POST", "/mcp", "t2", tool_call("create", title="a", text="b")),
    ("an unknown tool", READER, TOOL, "POST", "/mcp", "t2", tool_call("erase")),
    ("an unknown MCP method", READER, TOOL, "POST", "/mcp", "t2", mcp_request("prompts/list")),
    ("an older MCP", READER, TOOL, "POST", "/mcp", "t2", mcp_request("initialize") | {"headers": {}}),
    ("no MCP", READER, TOOL, "POST", "/mcp", "t2", {"content": b"{"}),
    ("MCP by GET", READER, TOOL, "GET", "/mcp", "t2", {}),
    ("MCP without a token", READER, TOOL, "POST", "/mcp", None, tool_call("read", id="ENG-101")),
    ("MCP with a stolen token", WRITER, TOOL, "POST", "/mcp", "t2", tool_call("read", id="ENG-101")),
    ("MCP with an ended token", READER, TOOL, "POST", "/mcp", "ended", tool_call("read", id="ENG-101")),
    ("MCP with the token of the message", READER, TOOL, "POST", "/mcp", "t1", tool_call("read", id="ENG-101")),
    ("MCP without a certificate", None, TOOL, "POST", "/mcp", "t2", tool_call("read", id="ENG-101")),
    ("a chat", READER, MODEL, "POST", "/v1/chat/completions", "t3", {"json": CHAT}),
    ("a streamed chat", READER, MODEL, "POST", "/v1/chat/completions", "t3", {"json": CHAT | {"stream": True}}),
    ("no chat", READER, MODEL, "POST", "/v1/chat/completions", "t3", {"json": {}}),
    ("another model", READER, MODEL, "POST", "/v1/chat/completions", "t3", {"json": CHAT | {"model": "none"}}),
    ("the models of a chat", READER, MODEL, "GET", "/v1/models", "t3", {}),
    ("the models", FRONT, MODEL, "GET", "/v1/models", "listing", {}),
    ("one model", FRONT, MODEL, "GET", "/v1/models/scripted", "listing", {}),
    ("no model", FRONT, MODEL, "GET", "/v1/models/none", "listing", {}),
    ("the audit policy", FRONT, REGISTRY, "GET", "/audit-policy", None, {}),
    ("a report of drift by another", FRONT, REGISTRY, "POST", "/attestation", None, {"json": {"drifted": {}, "at": 1}}),
    ("policies by another", FRONT, REGISTRY, "POST", "/policy", None, {"content": b"x"}),
    ("a checkpoint by another", FRONT, REGISTRY, "POST", "/add-checkpoint", None, {"content": b"x"}),
    ("a logout without a token", None, REGISTRY, "POST", "/backchannel-logout", None, {"data": {}}),
    ("a logout with garbage", None, REGISTRY, "POST", "/backchannel-logout", None, {"data": {"logout_token": "x"}}),
    ("the parties, for alice", None, REGISTRY, "GET", "/parties", "t0", {}),
    ("the feed, without a certificate", None, REGISTRY, "GET", "/feed", None, {}),
    ("the journal that the log expects", FRONT, AUDIT, "GET", "/journal", None, {}),
    ("no journal", FRONT, AUDIT, "POST", "/journal", None, {"content": b"x"}),
    ("the checkpoint", FRONT, AUDIT, "GET", "/log/checkpoint", None, {}),
    ("no tile", FRONT, AUDIT, "GET", "/log/tile/9/999", None, {}),
    ("no proof", FRONT, AUDIT, "GET", f"/proofs/{'a' * 64}", None, {}),
    ("the log, without a certificate", None, AUDIT, "GET", "/log/checkpoint", None, {}),
    ("AuthZEN's metadata", TOOL, POLICY, "GET", "/.well-known/authzen-configuration", None, {}),
    ("a question", TOOL, POLICY, "POST", "/access/v1/evaluation", None, {"json": QUESTION}),
    ("two questions", TOOL, POLICY, "POST", "/access/v1/evaluations", None, {"json": {"evaluations": [QUESTION] * 2}}),
    ("actions", TOOL, POLICY, "POST", "/access/v1/search/action", None, {"json": QUESTION}),
    ("no question", TOOL, POLICY, "POST", "/access/v1/evaluation", None, {"json": {}}),
    ("a question by GET", TOOL, POLICY, "GET", "/access/v1/evaluation", None, {}),
    ("the versions, for alice", None, POLICY, "GET", "/versions", "t0", {}),
]
OF_OPERATORS: list[Request] = [
    ("operator: the parties", None, REGISTRY, "GET", "/parties", "registry", {}),
    ("operator: a party", None, REGISTRY, "GET", "/parties/agent/reader", "registry", {}),
    ("operator: no party", None, REGISTRY, "GET", "/parties/agent/none", "registry", {}),
    ("operator: without a cause", None, REGISTRY, "POST", "/parties/agent/reader/suspend", "registry", {"json": {}}),
    ("operator: revocations", None, REGISTRY, "GET", "/revocations", "registry", {}),
    ("operator: no revocation", None, REGISTRY, "POST", "/revocations", "registry", {"json": {"kind": "none"}}),
    ("operator: no reinstatement", None, REGISTRY, "POST", "/reinstatements", "registry", {"json": {}}),
    ("operator: versions", None, POLICY, "GET", "/versions", "policy", {}),
    ("operator: version 1", None, POLICY, "GET", "/versions/1", "policy", {}),
    ("operator: no version", None, POLICY, "GET", "/versions/99", "policy", {}),
    ("operator: no policies", None, POLICY, "POST", "/versions/test", "policy", {"json": {}}),
    ("operator: no difference", None, POLICY, "GET", "/differences/1/9", "policy", {}),
    ("operator: what may the writer", None, POLICY, "GET", "/may/agent/writer", "policy", {}),
    ("operator: the registry's token", None, POLICY, "GET", "/versions", "registry", {}),
]
EXCHANGES = (
    ("further than it may", "orchestrator", "t0", TOOL, "tool.read"),
    ("more than it may", "agent/reader", "t1", TOOL, "tool.write"),
    ("another's token", "agent/writer", "t1", TOOL, "tool.read"),
    ("no token", "agent/reader", "forged", TOOL, "tool.read"),
    ("as it should be", "orchestrator", "t0", READER, "agent.invoke tool.read"),
)
"""What each is called, who exchanges which token, for whom, and for which scopes."""

OFFLINE = (
    "status|audit show {trace}|audit show {txn}|audit show party:agent/reader|audit show document:FIN-201|"
    "audit show user:a11ce000-0000-4000-8000-000000000000|audit show {none}|audit show nothing|"
    "audit verify|audit verify {export}|audit verify {changed}|audit verify {absent}|audit export --log {log}|"
    "audit export --log {absent}|audit proof tool/documents:1 --log {log}|audit proof tool/documents:99999 --log {log}|"
    "audit policy|audit show {trace} --export {export}|receipt digest {answer}|receipt digest {absent}|"
    "receipt verify {answer}|receipt verify {answer} --request {request} --transaction {txn}|"
    "receipt verify {answer} --export {export}|receipt verify {answer} --request {absent}|receipt verify {altered}|"
    "receipt verify {answer} --transaction {none}|token show|nothing|audit nothing"
)
ONLINE = (
    "party list|party show agent/reader|party show agent/none|party suspend agent/reader --because tried|party list|"
    "party reinstate agent/reader|party suspend zt --because tried|party reinstate agent/none|"
    "revoke session {none} --because tried|revoke session {none} --in-advance --because tried|"
    "revoke token {txn} --because tried|revoke token onrtac:{none} --because tried|revoke user bob --because tried|"
    "revocations|reinstate bob|reinstate nobody|reload|policy list|policy show|policy show 9|policy diff|"
    "policy test|policy test {absent}|policy may agent/writer|policy may agent/none|policy explain {trace}|"
    "policy explain {trace} --all|policy explain {none}|policy activate --because tried|"
    "policy activate {policies} --because tried|policy list|policy diff 1 2|policy rollback 1 --because tried"
)
"""Commands of `zt`, each tried with and without `--json`; those of `ONLINE` sign olga in."""
