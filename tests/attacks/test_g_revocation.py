"""G. Revocation: attempts to use what is revoked, to prolong that use, or to have something revoked."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import httpx2
import jwt
import orjson
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from authorities.registry.keycloak.backchannel_logout import EVENT, MAX_AGE
from tests.support.attack import (
    DOORS,
    REGISTRY,
    WRITE,
    Attempt,
    Scene,
    Target,
    Tried,
    Tries,
    Watched,
    answering_with,
    attack,
    reasons,
)
from tests.support.attack_operated import on_the_feed
from tests.support.attack_registry import Registered, spiffe_id, with_registry
from tests.support.ca import CA, FOREVER, NO_CERTIFICATE, the_ca
from tests.support.door import NOW, Door
from tests.support.issuer import ISSUER, Issuer
from tests.support.system import fresh_revocations
from zerotrust.context import REQUEST, RequestContext
from zerotrust.decision import Denied, Reason
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.registry.events import heartbeat, one_change, read_heartbeat
from zerotrust.registry.topics import REVOCATIONS
from zerotrust.revocation_list import Revocable
from zerotrust.service import Service
from zerotrust.transport.egress import EgressClients, calling_with
from zt.audit.journals import first_bad_record

ORCHESTRATOR, READER, WRITER, TOOL = "orchestrator", "agent/reader", "agent/writer", "tool/documents"
ISSUER_AT = "https://issuer.test"


def held(target: Target, party: str, root: str) -> str:
    """A token for that door, after the exchanges that lead there from the token `root`."""
    chain = [f"{root}>{number}" if number else root for number in range(len(DOORS[party].chain) + 1)]
    past: dict[str, Any] = {"lineage": chain[:-1], "txn": root} if chain[1:] else {}
    return target.token(party, jti=chain[-1], **past)


@attack(81)
async def test_a_token_that_was_revoked_is_used_again(target: Target) -> Tries:
    """By itself, with its session, with its user, or with all that were issued until then; at every door."""
    for number, kind in enumerate(("token", "session", "user", "before")):
        for party in DOORS:
            token_id = f"T{number} {party}".replace(" ", "-").replace("/", "-")
            token = target.token(party, jti=token_id)
            names = {"token": token_id, "session": "session-1", "user": "alice", "before": "9999999999"}
            subject: Any = (kind, names[kind])
            assert (await target.send(party, token)).handled
            target.revoke(subject)
            by = "chain-started-after-revocation" if kind == "before" else f"{kind}-not-revoked"
            yield await target.send(party, token, by=("caller-not-revoked", by))
            target.revoke(subject, None)
            assert (await target.send(party, token)).handled
    now = int(target.issuer.clock())
    target.revoke(("before", str(now - 1)))
    for party in DOORS:
        if DOORS[party].chain:  # exchanged since then, and from what was issued before
            assert (await target.send(party, target.token(party))).handled
            tried = await target.send(party, target.token(party, root={"azp": "walkthrough", "iat": now - 1}))
            by = "chain-started-after-revocation"
            yield tried.stopped_by("caller-not-revoked", by, f"{by} (by the time of the token)")


@attack(82)
async def test_what_was_derived_outlives_what_it_came_from(target: Target) -> Tries:
    """A token takes with it all that came from it, also what would have come next; its siblings live."""
    tokens = {party: held(target, party, "T0") for party in DOORS if DOORS[party].chain}
    siblings = {party: held(target, party, "T0-b") for party in DOORS}
    for party, token in (*tokens.items(), *siblings.items()):
        assert (await target.send(party, token)).handled
    target.revoke(("token", "T0"))
    for party, token in tokens.items():
        yield await target.send(party, token, by=("caller-not-revoked", "ancestors-not-revoked"))
    for party, token in siblings.items():
        assert (await target.send(party, token)).handled

    orchestrator = target.system.services[ORCHESTRATOR]
    assert isinstance(orchestrator, Watched)
    orchestrator.entered = lambda: target.revoke(("token", "T1"))
    exchanges = len(target.issuer.exchanges)
    body = {"request": "Summarise our incident reports."}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zerotrust.lifetime.REVOCATION_GRACE", 60)  # so that it is not cut off before
        tried = await target.send(ORCHESTRATOR, target.issuer.token(jti="T1"), path="/tasks", body=body)
    tried.effect = len(target.issuer.exchanges) > exchanges
    yield tried.stopped_by("no-exchange-if-revoked")


@attack(84)
async def test_those_who_would_have_to_say_no_say_nothing(target: Target) -> Tries:
    """The registry is silent, or has not read the realm for too long, or may have missed something; and the realm."""
    revocations, registrar = target.system.revocations, the_ca().svid(REGISTRY).id

    def heard(**sources: float) -> None:
        number = revocations.number or 0
        said = orjson.loads(heartbeat(registrar, {"revocations": number}, sources))
        revocations.confirm(number, read_heartbeat(said, now=time.time())[1])

    def silent() -> None:
        heard(registry=FOREVER + 1)

    def blind() -> None:
        heard(attestation=0.0, keycloak=FOREVER + 1, registry=0.0)

    for what, by in (
        (silent, "revocations-fresh"),
        (blind, "freshness-counts-from-oldest-read"),
        (revocations.forget, "gap-ends-freshness"),
    ):
        tokens = {party: target.token(party) for party in DOORS}
        for party, token in tokens.items():
            assert (await target.send(party, token)).handled
        what()
        for party, token in tokens.items():
            yield _with_retry(await target.send(party, token)).stopped_by("caller-not-revoked", "revocations-fresh", by)
        revocations.replace(revocations.number or 0, {})
        heard(registry=0.0)

    yes, no = b'{"active": true}', b'{"active": '
    unclear = answering_with(403, yes), answering_with(200, b'{"active": "true"}')
    for answer in (*unclear, answering_with(200, no), _never, _gone):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("zerotrust.limits.answers.SECONDS", 0.05)
            with _at_the_issuer(target, answer):
                unheard = await target.send(TOOL, target.writing(), body=WRITE, reason=Reason.ISSUER_UNAVAILABLE)
                alone = ["introspection-active"] if answer in unclear else []
                yield _with_retry(unheard).stopped_by("high-risk-introspected", *alone)


def _with_retry(tried: Tried) -> Tried:
    """Who cannot be answered is told when to ask again."""
    assert tried.succeeded or tried.answer.headers["retry-after"] == "1"
    return tried


class Streaming(Scene):
    """A door behind which somebody tells something for a while."""

    def __init__(self, folder: Path, issuer: Issuer) -> None:
        super().__init__(folder)
        self.issuer = issuer
        self.door = Door(folder, issuer, handler=self._tell)
        self.issuer.clock = self.door.clock
        self.meanwhile: Callable[[], None] = lambda: None

    def check_journals(self) -> None:
        """It is whole."""
        assert first_bad_record(self.door.folder / "journal.jsonl") == 0

    async def _tell(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: first\r\n\r\n", "more_body": True})
        self.meanwhile()
        await asyncio.sleep(0.5)
        await send({"type": "http.response.body", "body": b"data: second\r\n\r\n", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@asynccontextmanager
async def streaming(folder: Path, issuer: Issuer, _kind: type[Service]) -> AsyncIterator[Streaming]:
    """One door, with little patience for last words."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zerotrust.lifetime.REVOCATION_GRACE", 0.05)
        scene = Streaming(folder, issuer)
        yield scene
        scene.door.close()


@attack(85, streaming)
async def test_a_stream_outlives_its_token(target: Streaming) -> Tries:
    """What began while the token was good ends with it, and says that this is no proper end."""
    door, number = target.door, 0

    async def streamed(reason: Reason, token: str) -> Attempt:
        before = len(door.records)
        answer = await door.ask(token)
        assert answer.body.startswith(b"data: first")
        outlived = b"second" in answer.body
        assert outlived or b"event: error" in answer.body
        return Attempt("cut off", outlived, reasons(door.records[before:]), reason)

    subjects: list[Revocable] = [("user", "alice"), ("session", "session-1"), ("token", "T0")]
    for subject in subjects:
        target.meanwhile = lambda: door.revocations.change(number + 1, subject, "a theft")  # noqa: B023 - called at once
        tried = await streamed(Reason.REVOKED, target.issuer.token(jti="T0"))
        yield tried.stopped_by("revocation-ends-answer")
        door.revocations.change(number + 2, subject, None)
        number += 2
    target.meanwhile = lambda: None
    token = target.issuer.token()
    door.clock.now = NOW + 59.95
    yield (await streamed(Reason.EXPIRED, token)).stopped_by("answer-has-an-end")


@attack(86)
async def test_a_yes_from_before(target: Target) -> Tries:
    """What the issuer said of a token a moment ago, or says of another one, is no answer to whether it is active."""
    token = target.writing(jti="T2w")
    assert (await target.send(TOOL, token, body=WRITE)).handled
    target.issuer.inactive.add("T2w")
    yield await target.send(TOOL, token, body=WRITE)
    assert (await target.send(TOOL, target.writing(jti="T2w-b"), body=WRITE)).handled
    yield await target.send(TOOL, token, body=WRITE)
    target.issuer.inactive.discard("T2w")
    assert (await target.send(TOOL, token, body=WRITE)).handled


@attack(87)
async def test_an_answer_of_the_issuer_that_somebody_else_gave(target: Target) -> Tries:
    """A redirect to who says yes, a yes that is none by its status, and one that says more than it was asked."""
    yes = b'{"active": true}'
    elsewhere = "http://attacker.test"
    target.system.apps[elsewhere] = answering_with(200, yes)
    for status in (301, 302, 307, 308):
        with _at_the_issuer(target, answering_with(status, yes, (b"location", f"{elsewhere}/introspect".encode()))):
            yield await target.send(TOOL, target.writing(), body=WRITE)
    more = orjson.dumps({"active": True, "sub": "bob", "groups": ["/finance"], "scope": "tool.read tool.write"})
    with _at_the_issuer(target, answering_with(200, more)):
        before = target.system.documents()
        tried = await target.send(TOOL, target.writing(), body=WRITE, reason=Reason.GRANTED)
        [new] = [document for id_, document in target.system.documents().items() if id_ not in before]
        tried.effect = (new["owner"], new["department"]) != ("alice", "/engineering")
        yield tried


@attack(88, with_registry)
async def test_somebody_else_revokes_or_reinstates(target: Registered) -> Tries:
    """A rival's token, a user that was locked out, or a look at what is revoked: for operators, in person."""
    of_alice = {"kind": "user", "name": "alice", "cause": "a rival"}
    doors = [
        ("POST", "/revocations", of_alice),
        ("POST", "/revocations", {"kind": "token", "name": "T0", "cause": "a rival"}),
        ("POST", "/reinstatements", of_alice),
        ("GET", "/revocations", b""),
    ]
    for method, path, body in doors:
        async for tried in target.by_no_operator(method=method, path=path, body=body):
            yield tried
        revoked: dict[str, Any] = target.system.revocations.revoked  # type: ignore[assignment] # whatever it holds
        assert revoked.keys() <= {("user", "alice"), ("token", "T0")}


@attack(91, with_registry)
async def test_somebody_else_says_that_a_session_has_ended_or_that_nobody_was_revoked(target: Registered) -> Tries:
    """Logout tokens that the realm did not mean so, at the door that is open to everybody; and events on the stream."""
    now, elsewhere = int(target.clock()), ISSUER.replace("agents", "elsewhere")
    forged = target.attacker()

    def logout(by: Issuer = target.issuer, typ: str = "logout+jwt", **changed: Any) -> str:
        good = {"iss": ISSUER, "aud": "walkthrough", "iat": now, "exp": now + 120, "jti": f"L{len(sent)}"}
        claims = good | {"sid": f"session-{len(sent)}", "events": {EVENT: {}}} | changed
        return by.sign({name: value for name, value in claims.items() if value is not None}, header={"typ": typ})

    sent: list[str] = []

    async def brought(token: str) -> Tried:
        sent.append(token)
        told: dict[str, Any] = {"path": "/backchannel-logout", "peer": NO_CERTIFICATE}
        form = urlencode({"logout_token": token}).encode()
        before = dict(target.system.revocations.revoked)
        tried = await target.send(REGISTRY, None, **told, headers=FORM, body=form)
        tried.effect = tried.answer.status_code == 204 or target.system.revocations.revoked != before
        return tried

    good = logout()
    ended = jwt.decode(good, options={"verify_signature": False})["sid"]
    assert (await brought(good)).succeeded
    assert ("session", ended) in target.system.revocations.revoked
    yield (await brought(good)).stopped_by("logout-token-once")
    yield (await brought(logout(forged))).stopped_by("logout-token-signature")
    yield (await brought(logout(typ="at+jwt"))).stopped_by("token-type")
    yield (await brought(logout(typ="JWT"))).stopped_by("token-type")
    yield (await brought(logout(iss=elsewhere))).stopped_by("logout-token-issuer")
    yield (await brought(logout(aud=spiffe_id(ORCHESTRATOR)))).stopped_by("logout-token-audience")
    ended_elsewhere: dict[str, Any] = {"https://schemas.openid.net/secevent/caep/event-type/session-revoked": {}}
    yield (await brought(logout(events=ended_elsewhere))).stopped_by("logout-token-event")
    yield (await brought(logout(nonce="n"))).stopped_by("logout-token-without-nonce")
    yield (await brought(logout(iat=now - MAX_AGE, exp=now + 9999))).stopped_by("logout-token-age")
    for attempt in _on_the_stream(target):
        yield attempt


def _on_the_stream(target: Registered) -> list[Attempt]:
    """Who is not the registry revokes nobody and reinstates nobody, and neither does what it signed before."""
    registrar, reader = the_ca().svid(REGISTRY), the_ca().svid(READER)
    session: Revocable = ("session", "session-1")
    lines = (
        (reader, one_change(registrar.id, 8, ("user", "alice"), "a rival"), "statement-signer"),
        (CA().svid(REGISTRY), one_change(registrar.id, 8, ("user", "alice"), "a rival"), "statement-chain"),
        (reader, one_change(registrar.id, 8, session, None), "statement-signer"),
        (registrar, one_change(registrar.id, 7, session, None), "no-change-missed"),  # heard already
        (registrar, one_change(registrar.id, 9, session, None), "no-change-missed"),  # one is missing
    )
    return on_the_feed(
        target, {session: "a theft"}, ((signer, REVOCATIONS, payload, by) for signer, payload, by in lines)
    )


FORM: list[tuple[bytes, bytes | None]] = [(b"content-type", b"application/x-www-form-urlencoded")]


async def _never(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Takes longer than anybody waits."""
    await asyncio.sleep(0.5)
    await answering_with(200, b'{"active": true}')(_scope, _receive, send)


async def _gone(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise ConnectionResetError


def _at_the_issuer(target: Target, answer: ASGIApp) -> AbstractContextManager[None]:
    """Let somebody else answer introspection, and the issuer all the rest."""
    genuine = target.system.apps[ISSUER_AT]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (answer if scope["path"].endswith("/introspect") else genuine)(scope, receive, send)

    return target.answered_by(app, at=ISSUER_AT)


@attack(389)
async def test_a_party_that_answers_after_its_suspension(target: Target) -> Tries:
    """It was called before, and nobody makes it stop; its caller stops to listen."""
    revocations, reader = fresh_revocations(), target.system.registry.id(READER)

    def suspend() -> None:
        revocations.change((revocations.number or 0) + 1, ("party", reader), "compromised")

    async def answer() -> AsyncIterator[bytes]:
        yield b"1"
        suspend()
        yield b"poison"

    egress = EgressClients(
        {reader: "https://reader.test"},
        revocations=revocations,
        transport=httpx.MockTransport(lambda _: httpx.Response(200, content=answer())),
        mcp_transport=httpx2.MockTransport(lambda _: httpx2.Response(500)),
    )
    got, told = b"", "its answer"
    REQUEST.set(RequestContext())
    try:
        with calling_with(ExchangedToken(reader, "t", time.time() + 60, "T")):
            got = (await egress.http.post("https://reader.test")).content
    except Denied as refusal:
        told = str(refusal.reason)
    await egress.close()
    yield Attempt(told, succeeded=b"poison" in got, recorded=[told], reason=Reason.PEER_REVOKED)
