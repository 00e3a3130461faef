"""Lists what the running system must refuse: who tries what, the control that stops it, and the answer.

An attempt that needs more than a stranger has is made like an intruder inside a genuine workload would make it: with
the workload's own identity and the tokens that it receives.
"""

from typing import Any

from demo.checks import ALLOWED
from demo.intruder import NO_CONNECTION, tool_call
from demo.ways import HELLO, OTHERS, TASK, Try, call, exchange, read, repeat, stolen, task, tool
from zt.people.authorities import REGISTRY

TOO_BIG = {"request": "x" * (1 << 20)}
BROKEN = (b'{"request"', b'{"request":"a","request":"b"}', b"\xff\xfe{\x00", b"[" * 9000)
PARTIES = {"the orchestrator": "orchestrator", "the reader": "agent/reader", "the writer": "agent/writer"}
"""The party whose certificate is shown; other callers have none."""
SUSPEND: dict[str, Any] = {"path": "/parties/agent/writer/suspend", "json": {"cause": "the walkthrough tries it"}}
READ = {"path": "/mcp", **tool_call("read", id="ENG-101")}
ATTEMPTS: dict[str, tuple[Try, ...]] = {
    "a stranger": (Try("runs a task without a token", "gate: credentials", "401 no_token", task(None)),),
    "a user": (
        Try("runs a task with a token of another signature", "gate: signature", "401 not_verified", task("forged")),
        Try("takes their own token to the tool", "mutual TLS", NO_CONNECTION, read("t0")),
        Try(
            "opens the API's own pages",
            "gate: default deny",
            "403 no_permission_for_route",
            call("orchestrator", "/openapi.json", "t0", method="GET"),
        ),
    ),
    "a user in a department": (
        Try("sends too large a body", "gate: size of a body", "413 body_too_large", task("t0", json=TOO_BIG)),
        Try(
            "sends a body that is not a JSON object",
            "gate: strict JSON",
            "400 malformed_body",
            lambda user, who: task("t0", content=user.chance.choice(BROKEN))(user, who),
        ),
    ),
    "a thief of T0 and of olga's token": (
        Try(
            "runs a task with T0, as a bearer token",
            "gate: proof by its key",
            "401 unsupported_scheme",
            stolen("t0", "orchestrator", "/tasks", json=TASK),
        ),
        Try(
            "runs a task with T0 and a proof by its own key",
            "gate: proof by its key",
            "401 bad_proof",
            stolen("t0", "orchestrator", "/tasks", json=TASK, proven=True),
        ),
        Try("sends a whole request of the user's again", "gate: proof, once", "401 proof_used", repeat),
        Try(
            "suspends the writer with olga's token, as a bearer token",
            "gate: proof by its key",
            "401 unsupported_scheme",
            stolen("olgas", REGISTRY.party, **SUSPEND),
        ),
        Try(
            "suspends the writer with it and a proof by its own key",
            "gate: proof by its key",
            "401 bad_proof",
            stolen("olgas", REGISTRY.party, **SUSPEND, proven=True),
        ),
    ),
    "a thief of T1 and T2": (
        Try("takes T1 to the reader", "mutual TLS", NO_CONNECTION, stolen("t1", "agent/reader", "/a2a", json={})),
        Try(
            "reads a document with T2, as a bearer token",
            "mutual TLS",
            NO_CONNECTION,
            stolen("t2", "tool/documents", **READ),
        ),
        Try(
            "reads a document with T2 and a proof by its own key",
            "mutual TLS",
            NO_CONNECTION,
            stolen("t2", "tool/documents", **READ, proven=True),
        ),
    ),
    "the orchestrator": (
        Try(
            "shows the reader's token to the writer",
            "gate: audience",
            "401 audience_mismatch",
            call("agent/writer", "/a2a", "t1", json={}),
        ),
        Try("shows an ID token it got by exchange", "gate: token type", "401 not_verified", task("id_token")),
        Try(
            "asks for a scope that the user did not give",
            "realm: downscope policy",
            "400 invalid_scope",
            exchange("t0_reading", "agent/writer", "agent.invoke tool.write"),
        ),
        Try(
            "uses the model, with its token for listing the models",
            "gate: scope",
            "403 scope_missing",
            call("inference", "/v1/chat/completions", "listing", json=HELLO),
        ),
    ),
    "the reader": (
        Try("reads a document with its own token", ALLOWED, "200 ok", read("t2")),
        Try("uses a token one second too late", "gate: expiry", "401 expired", read("ended")),
        Try("runs a task with a user's token", "gate: binding", "401 not_bound", task("t0")),
        Try(
            "asks for a token for the writer",
            "realm: audience scopes",
            "400 invalid_request",
            exchange("t1", "agent/writer", "inference.run"),
        ),
        Try(
            "exchanges its own token to shorten the chain, and uses it",
            "realm: delegation.js",
            "401 expired",
            read("renewed"),
        ),
        Try(
            "exchanges the result once more, for a clean chain",
            "realm: delegation.js",
            "400 invalid_request",
            exchange("renewed", "tool/documents", "tool.read"),
        ),
        Try(
            "creates a document",
            "gate: scope of the tool",
            "403 scope_missing",
            tool("t2", "create", title="t", text="x"),
        ),
        Try(
            "calls an unregistered tool",
            "gate: default deny",
            "403 no_permission_for_route",
            tool("t2", "destroy", id="ENG-101"),
        ),
        Try(
            "lists the models, with its token for using one",
            "gate: scope",
            "403 scope_missing",
            call("inference", "/v1/models", "t3", method="GET"),
        ),
        Try(
            "calls the tool, with its token for using a model",
            "gate: audience",
            "401 audience_mismatch",
            tool("t3", "read", id="ENG-101"),
        ),
        Try(
            "uses the model, with its token for the tool",
            "gate: audience",
            "401 audience_mismatch",
            call("inference", "/v1/chat/completions", "t2", json=HELLO),
        ),
        Try(
            "reads a document of another department",
            "policy: department",
            "200 tool error",
            read("t2", OTHERS),
            recorded="resource_denied",
        ),
    ),
    "the writer": (
        Try("reads a document with the token it stole from the reader", "gate: binding", "401 not_bound", read("t2")),
        Try(
            "exchanges a token meant for the reader",
            "realm: audience",
            "403 access_denied",
            exchange("t1", "tool/documents", "tool.read"),
        ),
    ),
}
OF_USERS = ("a stranger", "a user", "a user in a department", "a thief of T0 and of olga's token")
BY_NAME = {
    "eve": ("eve, in no department", Try("runs a task", "policy", "403 policy_denied", task("t0"))),
    "olga": ("olga, an operator, in no department", Try("runs a task", "policy", "403 policy_denied", task("t0"))),
    "dana": (
        "dana, in two departments",
        Try("runs a task that names neither", "orchestrator: one department", "400 department_needed", task("t0")),
    ),
}
"""Attempts of these users alone."""
