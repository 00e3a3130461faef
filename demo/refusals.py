"""Tries refusals against the running system: who tries what, the answer, and the control that stopped it.

An attempt that needs more than a stranger has is made like an intruder inside a genuine workload would make it: with
the workload's own identity and the tokens that it receives.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

from spiffe import WorkloadApiClient
from spiffe.errors import PySpiffeError

from demo.intruder import NO_CONNECTION, Intruder, User, answer_to, end_of, said
from local.system import System
from zerotrust.audit.event import Access

TASK = {"request": "Summarise the incident reports."}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, with its expected and its actual answer."""

    who: str
    what: str
    control: str
    expected: str
    answered: str

    @property
    def as_expected(self) -> bool:
        """Whether the answer is the expected one."""
        return self.answered == self.expected


async def attempts(system: System) -> AsyncIterator[Attempt]:
    """Make all attempts, one after the other."""
    async with AsyncExitStack() as stack:
        intruder = Intruder(system, stack)
        alice = User("alice", intruder)
        t0, t1, t2, t3 = [await token() for token in (alice.t0, alice.t1, alice.t2, alice.t3)]
        for group in (
            _wrong_credentials(alice),
            _stolen(intruder, t0, t1, t2),
            _refused_exchanges(intruder, t1, t2),
            _too_little_authority(intruder, system, t0, t2, t3),
        ):
            async for attempt in group:
                yield attempt
    yield await _no_identity(system)


async def _wrong_credentials(alice: User) -> AsyncIterator[Attempt]:
    intruder, t0, t1 = alice.intruder, await alice.t0(), await alice.t1()
    answer = await intruder.post(None, "orchestrator", "/tasks", None, json=TASK)
    yield Attempt("a stranger", "runs a task without a token", "gate: credentials", "401 no_token", said(answer))

    answer = await intruder.post("orchestrator", "agent/writer", "/a2a", t1, json={})
    yield Attempt(
        "the orchestrator",
        "shows the reader's token to the writer",
        "gate: audience",
        "401 audience_mismatch",
        said(answer),
    )

    answer = await intruder.call_tool("agent/reader", await alice.ended(), "read", id="ENG-101")
    yield Attempt("the reader", "uses a token one second too late", "gate: expiry", "401 expired", said(answer))

    wanted = "urn:ietf:params:oauth:token-type:id_token"
    id_token = await intruder.token("orchestrator", t0, "agent/reader", "agent.invoke", requested_token_type=wanted)
    answer = await intruder.post("orchestrator", "orchestrator", "/tasks", id_token, json=TASK)
    yield Attempt(
        "the orchestrator", "shows an ID token it got by exchange", "gate: token type", "401 not_verified", said(answer)
    )


async def _stolen(intruder: Intruder, t0: str, t1: str, t2: str) -> AsyncIterator[Attempt]:
    """Genuine tokens for the right audience, presented by another party; the first attempt is by their own party."""
    answer = await intruder.call_tool("agent/reader", t2, "read", id="ENG-101")
    yield Attempt("the reader", "reads a document with its own token", "nobody", "200 ok", said(answer))

    answer = await intruder.call_tool("agent/writer", t2, "read", id="ENG-101")
    yield Attempt(
        "the writer",
        "reads a document with the token it stole from the reader",
        "gate: binding",
        "401 not_bound",
        said(answer),
    )

    answered = await answer_to(intruder.call_tool(None, t2, "read", id="ENG-101"))
    yield Attempt(
        "a script of the same user", "reads a document with that token", "mutual TLS", NO_CONNECTION, answered
    )

    answered = await answer_to(intruder.post(None, "agent/reader", "/a2a", t1, json={}))
    yield Attempt("a script of the same user", "takes a stolen T1 to the reader", "mutual TLS", NO_CONNECTION, answered)

    answered = await answer_to(intruder.call_tool(None, t0, "read", id="ENG-101"))
    yield Attempt("alice", "takes her own token to the tool", "mutual TLS", NO_CONNECTION, answered)

    answer = await intruder.post("agent/reader", "orchestrator", "/tasks", t0, json=TASK)
    yield Attempt("the reader", "runs a task with alice's token", "gate: binding", "401 not_bound", said(answer))


async def _refused_exchanges(intruder: Intruder, t1: str, t2: str) -> AsyncIterator[Attempt]:
    t0_reading = await intruder.login("alice", "task.run agent.invoke tool.read")
    answer = await intruder.exchange("orchestrator", t0_reading, "agent/writer", "agent.invoke tool.write")
    yield Attempt(
        "the orchestrator",
        "asks for a scope that alice did not give",
        "realm: downscope policy",
        "400 invalid_scope",
        said(answer),
    )

    answer = await intruder.exchange("agent/writer", t1, "tool/documents", "tool.read")
    yield Attempt(
        "the writer", "exchanges a token meant for the reader", "realm: audience", "403 access_denied", said(answer)
    )

    answer = await intruder.exchange("agent/reader", t1, "agent/writer", "inference.run")
    yield Attempt(
        "the reader", "asks for a token for the writer", "realm: audience scopes", "400 invalid_request", said(answer)
    )

    laundered = await intruder.token("agent/reader", t2, "tool/documents", "tool.read")
    answer = await intruder.call_tool("agent/reader", laundered, "read", id="ENG-101")
    yield Attempt(
        "the reader",
        "exchanges its own token to shorten the chain, and uses it",
        "delegation.js: dead first",
        "401 expired",
        said(answer),
    )
    answer = await intruder.exchange("agent/reader", laundered, "tool/documents", "tool.read")
    yield Attempt(
        "the reader",
        "exchanges the result once more, for a clean chain",
        "delegation.js: dead first",
        "400 invalid_request",
        said(answer),
    )


async def _too_little_authority(
    intruder: Intruder, system: System, t0: str, t2: str, t3: str
) -> AsyncIterator[Attempt]:
    answer = await intruder.call_tool("agent/reader", t2, "create", title="t", text="x")
    yield Attempt("the reader", "creates a document", "gate: scope of the tool", "403 scope_missing", said(answer))

    answer = await intruder.get("agent/reader", "inference", "/v1/models", t3)
    yield Attempt(
        "the reader", "lists the models, with its token for using one", "gate: scope", "403 scope_missing", said(answer)
    )

    answer = await intruder.call_tool("agent/reader", t2, "read", id="FIN-201")
    # The tool answers as for a document that does not exist; the reason is only in its journal.
    reason = [e.data.decision.reason for e in system.events("tool/documents") if isinstance(e.data, Access)][-1]
    yield Attempt(
        "the reader",
        "reads a document of finance for alice",
        "policy: department",
        "200 tool error, resource_denied",
        f"{said(answer)}, {reason}",
    )

    answer = await intruder.post(None, "orchestrator", "/tasks", await intruder.login("eve"), json=TASK)
    yield Attempt("eve, in no department", "runs a task", "policy", "403 policy_denied", said(answer))

    answer = await intruder.post(None, "orchestrator", "/tasks", await intruder.login("olga"), json=TASK)
    yield Attempt("olga, an operator, in no department", "runs a task", "policy", "403 policy_denied", said(answer))

    dana = await intruder.login("dana")
    answer = await intruder.post(None, "orchestrator", "/tasks", dana, json=TASK)
    yield Attempt(
        "dana, in two departments",
        "runs a task that names neither",
        "orchestrator: one department",
        "400 department_needed",
        said(answer),
    )

    engineering, reading = {"requested_department": "/engineering"}, "agent.invoke tool.read"
    t1 = await intruder.token("orchestrator", dana, "agent/reader", reading, **engineering)
    finance = {"requested_department": "/finance"}
    token = await intruder.token("agent/reader", t1, "tool/documents", "tool.read", **finance)
    yield Attempt(
        "the reader, in a task of dana's about engineering",
        "asks for a token for finance",
        "delegation.js: groups",
        "exp 1",
        f"exp {end_of(token):.0f}",
    )

    answer = await intruder.get(None, "orchestrator", "/openapi.json", t0)
    yield Attempt(
        "alice", "opens the API's own pages", "gate: default deny", "403 no_permission_for_route", said(answer)
    )


async def _no_identity(system: System) -> Attempt:
    try:
        with WorkloadApiClient(system.authority.endpoint) as stranger:
            await asyncio.to_thread(stranger.fetch_jwt_svid, {system.keycloak.issuer})
        answered = "an identity"
    except PySpiffeError as error:
        answered = "no identity issued" if "no identity issued" in str(error) else str(error)
    return Attempt("a program nobody launched", "asks for an identity", "attestation", "no identity issued", answered)
