"""Attempts that the running system must refuse: who tries what, the control that stops it, and the answer.

An attempt that needs more than a stranger has is made like an intruder inside a genuine workload would make it: with
the workload's own identity and the tokens that it receives.  The walkthrough makes each once; `lab/load` makes most of
them all the time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from typing import Any, Literal, NamedTuple, cast

import httpx
from spiffe import WorkloadApiClient
from spiffe.errors import PySpiffeError

from demo.checks import ALLOWED, Attempt
from demo.intruder import NO_CONNECTION, Intruder, User, answer_to, end_of, tool_call
from demo.running import Compromised, Running
from zerotrust.audit.event import Access

TASK = {"request": "Summarise the incident reports."}
HELLO = {"model": "default", "messages": [{"role": "user", "content": "Hello"}]}
TOO_BIG = {"request": "x" * (1 << 20)}
BROKEN = (b'{"request"', b'{"request":"a","request":"b"}', b"\xff\xfe{\x00", b"[" * 9000)
OWN, OTHERS = {"alice": "ENG-101", "bob": "FIN-201"}, {"alice": "FIN-201", "bob": "ENG-101"}
"""A document of a user's own department, and one of another."""


Ask = Callable[[User, str | None], Awaitable[httpx.Response]]
"""Sends a request for a user, as a workload or, without one, as a program without a certificate."""
Name = Literal["t0", "t0_reading", "t1", "t2", "t3", "listing", "forged", "ended", "id_token", "renewed"]
"""Of a user's token."""


class Try(NamedTuple):
    """What somebody may try, and the answer that it must get."""

    what: str
    control: str
    expected: str
    ask: Ask
    recorded: str = ""
    """The reason in the tool's journal, if the answer does not tell it."""


def call(to: str, path: str, token: Name | None, **more: Any) -> Ask:
    """Send a request to a party."""
    return lambda user, who: user.send(who, to, path, token and getattr(user, token), **more)


def task(token: Name | None, **more: Any) -> Ask:
    """Ask the orchestrator for a task."""
    return call("orchestrator", "/tasks", token, **more or {"json": TASK})


def tool(token: Name, name: str, **arguments: str) -> Ask:
    """Call a tool of the documents server."""
    return call("tool/documents", "/mcp", token, **tool_call(name, **arguments))


def read(token: Name, documents: dict[str, str] = OWN) -> Ask:
    """Read a document: of these, the user's."""
    return lambda user, who: tool(token, "read", id=documents.get(user.name, "ENG-101"))(user, who)


def exchange(token: Name, audience: str, scopes: str) -> Ask:
    """Exchange a token at Keycloak."""

    async def ask(user: User, who: str | None) -> httpx.Response:
        return await user.intruder.exchange(str(who), await getattr(user, token)(), audience, scopes)

    return ask


PARTIES = {"the orchestrator": "orchestrator", "the reader": "agent/reader", "the writer": "agent/writer"}
"""Whose certificate is shown; no other caller has one."""
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
            "sends what is no JSON object",
            "gate: strict JSON",
            "400 malformed_body",
            lambda user, who: task("t0", content=user.chance.choice(BROKEN))(user, who),
        ),
    ),
    "a script of the same user": (
        Try("reads a document with the reader's token", "mutual TLS", NO_CONNECTION, read("t2")),
        Try(
            "takes a stolen T1 to the reader", "mutual TLS", NO_CONNECTION, call("agent/reader", "/a2a", "t1", json={})
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
OF_USERS = ("a stranger", "a user", "a user in a department")
BY_NAME = {
    "eve": ("eve, in no department", Try("runs a task", "policy", "403 policy_denied", task("t0"))),
    "olga": ("olga, an operator, in no department", Try("runs a task", "policy", "403 policy_denied", task("t0"))),
    "dana": (
        "dana, in two departments",
        Try("runs a task that names neither", "orchestrator: one department", "400 department_needed", task("t0")),
    ),
}
"""What only these users try."""


async def attempts(system: Compromised, endpoint: str) -> AsyncIterator[Attempt]:
    """Make all attempts, one after the other.  `endpoint` is the address of the Workload API."""
    async with AsyncExitStack() as stack:
        intruder = Intruder(system, stack)
        async for attempt in _all(intruder, ATTEMPTS):
            yield attempt
        yield await _other_department(intruder)
    yield await no_identity(endpoint, system.keycloak.issuer)


async def attempts_of_users(system: Running) -> AsyncIterator[Attempt]:
    """Make those attempts that need no workload."""
    async with AsyncExitStack() as stack:
        intruder = Intruder(cast("Compromised", system), stack)  # what it lacks is for intruders inside workloads
        async for attempt in _all(intruder, OF_USERS):
            yield attempt


async def _all(intruder: Intruder, groups: Iterable[str]) -> AsyncIterator[Attempt]:
    alice = User("alice", intruder)
    for who in groups:
        for one in ATTEMPTS[who]:
            yield await _made(alice, who, one)
    for name, (who, one) in BY_NAME.items():
        yield await _made(User(name, intruder), who, one)


async def _made(user: User, who: str, one: Try) -> Attempt:
    answered, expected = await answer_to(one.ask(user, PARTIES.get(who))), one.expected
    if one.recorded:
        events = user.intruder.system.events("tool/documents")
        reason = [event.data.decision.reason for event in events if isinstance(event.data, Access)][-1]
        answered, expected = (
            f"{said.removeprefix('200 ')}: {why}" for said, why in ((answered, reason), (expected, one.recorded))
        )
    return Attempt(who, one.what, one.control, expected, answered)


async def _other_department(intruder: Intruder) -> Attempt:
    """A token for a group that the subject token does not name has ended when it is issued."""
    dana, ours, theirs = User("dana", intruder), "/engineering", "/finance"
    t1 = dana.exchanged(dana.t0, "orchestrator", "agent/reader", "agent.invoke tool.read", requested_department=ours)
    t2 = dana.exchanged(t1, "agent/reader", "tool/documents", "tool.read", requested_department=theirs)
    who, what = "the reader, in a task of dana's about engineering", "asks for a token for finance"
    return Attempt(who, what, "realm: delegation.js", "exp 1", f"exp {end_of(await t2()):.0f}")


async def no_identity(endpoint: str, issuer: str) -> Attempt:
    """Have this program, which is no party, ask for an identity at the Workload API."""
    try:
        with WorkloadApiClient(endpoint) as stranger:
            await asyncio.to_thread(stranger.fetch_jwt_svid, {issuer})
        answered = "an identity"
    except PySpiffeError as error:
        answered = "no identity issued" if "no identity issued" in str(error) else str(error)
    return Attempt("a program that is no party", "asks for an identity", "attestation", "no identity issued", answered)
