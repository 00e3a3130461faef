"""An attack is written once and tried twice: on the system as it is, and on the same one without the control.

    @attack(29)
    async def test_a_token_of_another_issuer(target: Target) -> Tries:
        yield await target.send("orchestrator", target.token("orchestrator", iss="http://elsewhere.test"))

As it is, each attempt must be answered, recorded and told apart as the row of `tests/attacks/catalogue.md` says, and
no handler may have run.  Without any one of the row's controls, at least one in two of the attempts must get through.
Where a control stops some of the attempts only, these name it, and no others count:

        yield await target.send("orchestrator", other, by="token-issuer")

What is no request to a door, such as a handshake or a launch, is an `Attempt`; where it happens is a scene.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from lab.without import Control, without
from tests.attacks.table import ROWS, Missing, Row
from tests.support.attack_cases import Try, cases, check_that_half_succeed, check_what_they_are_about
from tests.support.ca import holder, workload
from tests.support.door import Clock
from tests.support.issuer import Issuer
from tests.support.leaks import holds_token
from tests.support.receipts import receipts
from tests.support.records import counted_in, records
from tests.support.system import System, Wire, problem_of, running
from tests.support.waiting import until
from zerotrust.audit.event_types import Counts
from zerotrust.decision import BEFORE_SIGNATURE, Denied, Reason, ReasonCode
from zerotrust.gate import Gate
from zerotrust.hardening.in_flight import OF_A_PERSON
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.receipts.carried import HEADER
from zerotrust.revocation_list import Revocable
from zerotrust.routes import Routes
from zerotrust.service import Service
from zerotrust.spiffe.svid import Peer
from zt.audit.journals import first_bad_record

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "attacker", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
MCP_HEADERS = [(b"mcp-protocol-version", b"2026-07-28"), (b"accept", b"application/json, text/event-stream")]
A2A_HEADERS = [(b"a2a-version", b"1.0")]


def rpc(method: str, **params: Any) -> dict[str, Any]:
    """The body of any JSON-RPC request."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def tool_call(name: str, **arguments: Any) -> dict[str, Any]:
    """The body of an MCP request that calls a tool."""
    return rpc("tools/call", name=name, arguments=arguments, _meta=META)


def message(text: str, **more: Any) -> dict[str, Any]:
    """The body of an A2A request that sends a message."""
    said = {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": text}], **more}
    return rpc("SendMessage", message=said)


FILE_IT = "Read the incident reports and file a summary."
WRITE = tool_call("create", title="Mine", text="Mine.")
"""A call by which the writer files a document."""


@cache
def attackers_key() -> rsa.RSAPrivateKey:
    """A key that nobody else has."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _repeated(body: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """What an MCP client says once more in headers: the method, and of a call the tool."""
    called = body["params"].get("name") if isinstance(body.get("params"), dict) else None
    named = {b"mcp-method": body.get("method"), b"mcp-name": called}
    return [(header, str(value).encode()) for header, value in named.items() if value is not None]


@dataclass(frozen=True)
class Door:
    """One party's door, with a good request for it and who holds a good token: the chain, and its scope."""

    path: str
    body: Mapping[str, Any]
    chain: tuple[str, ...]
    scope: str
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


_THINK = {"model": "scripted", "messages": [{"role": "user", "content": "Think."}]}
_HI = message("Hi.")
_READ = tool_call("read", id="ENG-101")
READING, WRITING = (f"agent.invoke {tool} inference.run llama.chat" for tool in ("tool.read", "tool.write"))
DOORS = {
    "orchestrator": Door("/plan", {"request": "Summarise."}, (), f"reasoning.plan {READING}"),
    "agent/reader": Door("/a2a", _HI, ("orchestrator",), READING, A2A_HEADERS),
    "agent/writer": Door("/a2a", _HI, ("orchestrator",), WRITING, A2A_HEADERS),
    "tool/documents": Door("/mcp", _READ, ("orchestrator", "agent/reader"), "tool.read", MCP_HEADERS),
    "inference": Door("/v1/chat/completions", _THINK, ("orchestrator", "agent/reader"), "inference.run"),
}
REGISTRY = "authority/registry"
OPERATORS = Door("/parties", {}, (), "registry.admin")
"""The registry's door, for the rows that bring that authority to life."""


POLICY_AUTHORITY = "authority/policy"
VERSIONS = Door("/versions", {}, (), "policy.admin")
"""The policy authority's, likewise."""


def _door(party: str) -> Door:
    return {REGISTRY: OPERATORS, POLICY_AUTHORITY: VERSIONS}.get(party) or DOORS[party]


def _holder(token: str | None, party: str) -> Peer:
    issued_to = holder(token, at=party)
    chain = _door(party).chain
    return workload(chain[-1]) if chain and (token is None or issued_to.id is None) else issued_to


@dataclass
class Tried(Try):
    """One attempt: what the caller saw, what was recorded at the door, and whether a handler ran."""

    answer: httpx.Response
    recorded: list[dict[str, Any]]
    handled: bool
    reason: ReasonCode | None = None
    """What must be on record, where it is not the row's own reason."""
    effect: bool | None = None
    """Whether the attacker got what it wanted, where that is more, or less, than a handler that ran."""

    @property
    def succeeded(self) -> bool:
        """Whether the attack did."""
        return self.handled if self.effect is None else self.effect

    @property
    def problem(self) -> dict[str, Any]:
        """What the refusal says, in JSON or in JSON-RPC."""
        return problem_of(self.answer)

    @property
    def reasons(self) -> list[str]:
        """The reasons on record."""
        return reasons(self.recorded)

    @property
    def told(self) -> str:
        """The answer, for the table."""
        return str(self.answer.status_code)


def reasons(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The reasons in some records, those that were only counted among them."""
    return [str(r["reason"]) for record in records for r in counted_in(record) if "reason" in r]


@dataclass
class Attempt(Try):
    """One attempt that is no request to a door: what came of it, and whether the attacker got what it wanted."""

    told: str
    """What came of it, for the table."""
    succeeded: bool
    recorded: Sequence[str] = ()
    """The reasons on record; a handshake that fails leaves none."""
    reason: str | None = None
    """The one that must be among them."""


Tries = AsyncIterator[Tried | Attempt]


class Watched(Service):
    """A service that notes what gets past its gate."""

    handled: list[str]
    required: Routes
    guarded_app: Starlette
    entered: Callable[[], None] | None = None
    """Called as soon as a request is past the gate."""

    def guard(self, app: Starlette, routes: Routes, **how: Any) -> ASGIApp:
        self.handled, self.required, self.guarded_app = [], routes, app
        app.add_middleware(self._watching)
        return super().guard(app, routes, **how)

    def _watching(self, app: ASGIApp) -> ASGIApp:
        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                self.handled.append(f"{scope['method']} {scope['path']}")
                if self.entered:
                    self.entered()
            await app(scope, receive, send)

        return watched


def redirecting(status: int, url: str) -> ASGIApp:
    """Somebody who sends whoever asks to another address."""

    async def redirect(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"location", url.encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body"})

    return redirect


LURES = ("http://attacker.test", "http://169.254.169.254")
"""Where a token or a message may try to send a service; somebody listens there, and must not hear anything."""


class Scene:
    """Where attacks are made: a folder.  Here nothing runs, nobody is lured anywhere, and nothing is written down."""

    lured: Sequence[str] = ()
    """What was asked for at the addresses of `LURES`."""
    missing: Sequence[Control] = ()
    """What is taken away, for an attack that starts processes of its own."""

    def __init__(self, place: Path) -> None:
        self.place = place

    @property
    def leaks(self) -> bool:
        """Whether a token or a key was written down."""
        return False

    def check_journals(self) -> None:
        """Raise `AssertionError` where what was written down is not whole."""


class Target(Scene):
    """The system in process, as somebody meets it who can send what they like and holds any token they name."""

    lured: list[str]

    def __init__(self, system: System, issuer: Issuer, clock: Clock | None = None) -> None:
        super().__init__(system.folder)
        self.system, self.issuer = system, issuer
        self.clock = issuer.clock = clock or Clock(time.time())
        """Stands still, for the issuer as well, until an attack moves it."""
        self.lured = []
        system.apps |= dict.fromkeys(LURES, self._lure)

    async def _lure(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.lured.append(f"{scope['server'][0]}{scope['path']}")
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body"})

    @contextmanager
    def answered_by(self, app: ASGIApp, *, at: str) -> Iterator[None]:
        """Let somebody else answer at an address."""
        genuine, self.system.apps[at] = self.system.apps[at], app
        yield
        self.system.apps[at] = genuine

    def attacker(self, kid: str = "k1") -> Issuer:
        """Somebody who says what our issuer says, with a key of their own under any name."""
        return Issuer(self.issuer.registry, key=attackers_key(), kid=kid, clock=self.clock)

    def revoke(self, subject: Revocable, cause: str | None = "a theft") -> None:
        """Revoke somebody, or reinstate them without a cause; everybody hears of it at once."""
        revocations = self.system.revocations
        revocations.change((revocations.number or 0) + 1, subject, cause)

    def claims(self, party: str, **changed: Any) -> dict[str, Any]:
        """What a good token for that party's door says, with `changed` claims; None leaves a claim out."""
        door = _door(party)
        good: dict[str, Any] = {"aud": self.issuer.registry.id(party), "scope": door.scope}
        if door.chain:
            good |= self.issuer.chain(*door.chain)
        return self.issuer.claims(**(good | changed))

    def token(self, party: str, *, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """A token for that party's door, good but for what is `changed`."""
        return self.issuer.sign(self.claims(party, **changed), header=header)

    def scheme(self, party: str) -> bytes:
        """The scheme of the holder of a good token for that party's door."""
        return b"Bearer" if _door(party).chain else b"DPoP"

    def writing(self, **changed: Any) -> str:
        """A token that the writer holds for the documents tool."""
        return self.token(
            "tool/documents", **(self.issuer.chain("orchestrator", "agent/writer") | {"scope": "tool.write"} | changed)
        )

    async def send(
        self,
        party: str,
        token: str | None,
        *,
        reason: ReasonCode | None = None,
        method: str = "POST",
        path: str | None = None,
        headers: Sequence[tuple[bytes, bytes | None]] = (),
        body: Mapping[str, Any] | bytes | None = None,
        query: str = "",
        proven: str | None = None,
        peer: Peer | None = None,
        by: str | tuple[str, ...] = (),
        on_record_at: str = "",
    ) -> Tried:
        """Send one request to a door: a good one but for what is given.

        A header that is given stands for the good one of that name; None leaves it out.  `peer` is who is at the other
        end, by default whom the token was issued to, or who else may hold a good one for this door: but for the rows
        that are about the binding, each is about what that one can do.  `proven`: the token that a proof is for, if it
        is sent in another way.
        `by`: what stops this try (`Try.about`).  `on_record_at`: whose records count, if not the door's.
        """
        door, watched = _door(party), self.system.services[party]
        assert isinstance(watched, Watched)
        at, handled = on_record_at or party, len(watched.handled)
        records = len(await self.records(at))
        asked = door.body if body is None else body
        content = asked if isinstance(asked, bytes) else orjson.dumps(asked)
        good = [(b"content-type", b"application/json"), *door.headers]
        if door.path == "/mcp" and not isinstance(asked, bytes):
            good += _repeated(asked)
        changed = {name for name, _ in headers}
        given = [(name, value) for name, value in good if name not in changed]
        given += [(name, value) for name, value in headers if value is not None]
        url = f"{self.system.addresses[party]}{door.path if path is None else path}{query}"
        peer = peer or _holder(token, party)
        if (shown := proven or token) is not None:
            presented = self.issuer.headers(shown, peer, method, url)
            left_out = changed if token else {*changed, b"authorization"}
            given += [(name.encode(), presented[name].encode()) for name in presented if name.encode() not in left_out]
        async with httpx.AsyncClient(transport=Wire(self.system.apps, peer)) as http:
            request = httpx.Request(method, url, headers=given, content=content)
            answer = await http.send(request)
        ran = len(watched.handled) > handled
        new = (await self.records(at))[records:]
        return Tried(answer, new, ran, reason, about=(by,) if isinstance(by, str) else by)

    async def give(self, party: str, request: str = "Read the incident reports.", **how: Any) -> Tried:
        """Give the orchestrator a task, or an agent its part of one."""
        if party == "orchestrator":
            return await self.send(party, self.issuer.token(), path="/tasks", body={"request": request}, **how)
        return await self.send(party, self.token(party), body=message(request), **how)

    async def tasks_at_once(self, given: Callable[[str], Awaitable[Tried]], another: str = "") -> Tried:
        """Give one task more for alice than a person may have under way; the attack succeeds where all have begun.

        `another`: a user who gives one as well, which begins in any case.
        """
        go_on, running = asyncio.Event(), list[str]()

        async def waits(audience: str, *_scopes: str, **_how: object) -> ExchangedToken:
            running.append(audience)
            await go_on.wait()
            raise Denied(Reason.ISSUER_UNAVAILABLE)

        with patch.object(self.system.services["orchestrator"], "exchange", waits):
            alices = [asyncio.ensure_future(given("alice")) for _ in range(OF_A_PERSON + 1)]
            await until(lambda: len(running) + sum(task.done() for task in alices) > OF_A_PERSON)
            begun = len(running)
            others = [asyncio.ensure_future(given(another))] if another else []
            await until(lambda: len(running) == begun + len(others))
            go_on.set()
            tries = await asyncio.gather(*alices, *others)
        tried = next((one for one in tries if one.answer.status_code == 429), tries[0])
        tried.effect = begun > OF_A_PERSON
        return tried

    async def records(self, party: str) -> list[dict[str, Any]]:
        """All that a party has written down, with what it has only counted so far."""
        gate = self.system.apps[self.system.addresses[party]]
        if isinstance(gate, Gate):
            await gate.counter.flush()
            await gate.recorder.append(Counts())  # a commit, for what rides on one
        return records(self.system.folder / party.replace("/", "-") / "journal.jsonl", by_certificate=True)

    def check_journals(self) -> None:
        """Every journal is whole."""
        for journal in self._journals:
            assert first_bad_record(journal) == 0

    @property
    def leaks(self) -> bool:
        """Whether a token is in any journal."""
        return any(holds_token(journal.read_bytes()) for journal in self._journals)

    @property
    def _journals(self) -> list[Path]:
        return list(self.system.folder.glob("*/journal.jsonl"))


def check_refused(tried: Tried | Attempt, row: Row) -> None:
    """What every refusal owes: an answer, a record, and nothing done."""
    assert not tried.succeeded, tried
    if isinstance(tried, Attempt):
        assert tried.reason is None or tried.reason in tried.recorded, tried
        return
    if tried.effect is not None:  # a handler refused, or answered without doing it; the attack knows how
        assert row.reason is None or (tried.reason or row.reason) in tried.reasons
        return
    reason = tried.reason or row.reason
    assert isinstance(reason, ReasonCode)
    told = Reason.NOT_VERIFIED if reason in BEFORE_SIGNATURE else reason
    assert (tried.answer.status_code, tried.problem["reason"]) == (reason.status, told)
    more: dict[ReasonCode, set[str]] = {
        Reason.LEGACY_ERA: {"supported", "requested"},  # as MCP wants it
        Reason.UNSUPPORTED_SCHEME: {"advice"},
    }
    assert tried.problem.keys() <= {
        "error",
        "reason",
        "trace_id",
        "scope",
        *more.get(reason, set()),
    }  # and no word more
    if HEADER in tried.answer.headers:  # a caller whose token was verified: one, of this refusal
        [own] = receipts(tried.answer)
        assert (own.verdict, own.reason, own.resources, own.calls) == ("refused", told, (), ())
    assert tried.reasons == [reason]
    traces = [record["trace_id"] for record in tried.recorded if "trace_id" in record]
    assert traces in ([], [tried.problem["trace_id"]])  # none, where callers that nobody knows are counted
    assert tried.answer.headers["cache-control"] == "no-store"


def check_log(caplog: pytest.LogCaptureFixture) -> None:
    """No token is in the log; what the attacker's own client says is not the services'."""
    said = [caplog.handler.format(record) for record in caplog.records if not record.name.startswith("http")]
    assert not holds_token("".join(said))


Place = Callable[[Path, Issuer, type[Service]], AbstractAsyncContextManager[Any]]
"""Builds a scene: in a folder, with an issuer and a kind of service, for as long as the block runs."""


@asynccontextmanager
async def in_process(folder: Path, issuer: Issuer, kind: type[Service]) -> AsyncIterator[Target]:
    """All services, alive."""
    clock = Clock(time.time())
    async with running(folder, issuer=issuer, kind=kind, clock=clock) as system:
        clock.now = time.time()  # the start may have taken seconds, and no certificate made after it may lie ahead
        yield Target(system, issuer, clock)


def alone(scene: type[Scene]) -> Place:
    """A scene that is made of its folder."""

    @asynccontextmanager
    async def made(folder: Path, _issuer: Issuer, _kind: type[Service]) -> AsyncIterator[Scene]:
        yield scene(folder)

    return made


TRIES: dict[int, Callable[[Any], Tries]] = {}
"""What tries each row, by its number."""


def attack(
    number: int, place: Place | type[Scene] = in_process
) -> Callable[[Callable[..., Tries]], Callable[..., Any]]:
    """Make two kinds of tests of one attack; see the head of this file."""
    row, build = ROWS[number], alone(place) if isinstance(place, type) else place

    def decorate(try_it: Callable[..., Tries]) -> Callable[..., Any]:
        TRIES[number] = try_it

        @pytest.mark.parametrize("missing", cases(number, row.removable))
        async def test(
            missing: tuple[Missing, ...],
            tmp_path: Path,
            issuer: Issuer,
            record_property: Callable[[str, object], None],
            caplog: pytest.LogCaptureFixture,
        ) -> None:
            caplog.set_level(logging.INFO)  # as a service logs
            controls = [control for control in missing if isinstance(control, Control)]
            kinds = [kind for kind in missing if isinstance(kind, type)]
            kind: type[Service] = type("Weakened", (Watched, *kinds), {})
            with without(*controls):
                async with build(tmp_path, issuer, kind) as target:
                    target.missing = controls
                    scene = [target] if signature(try_it).parameters else []
                    tries = [tried async for tried in try_it(*scene)]
                    target.check_journals()
                    assert missing or not target.leaks
            assert tries
            check_log(caplog)
            if missing:
                check_that_half_succeed(tries, missing, record_property)
                return
            check_what_they_are_about(tries, row, record_property)
            for tried in tries:
                check_refused(tried, row)
            assert not target.lured
            record_property("answers", ", ".join(sorted({tried.told for tried in tries})))

        test.__name__, test.__doc__ = try_it.__name__, try_it.__doc__
        return test

    return decorate


def answering_with(status: int, body: bytes, *more: tuple[bytes, bytes]) -> ASGIApp:
    """Somebody who answers with this, whatever is asked."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *more]

    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer
