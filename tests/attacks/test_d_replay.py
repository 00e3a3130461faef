"""D. Replay and theft: a token in hands it was not issued to.

There is no proof that travels with a request, and so none to record and send again: the connection is the proof.  In
process its other end is injected; where the connection itself is attacked, there are real ones.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import orjson
import pytest

import zerotrust.spiffe.tls
from tests.support.attack import DOORS, FILE_IT, Attempt, Target, Tried, Tries, attack, reasons, tool_call
from tests.support.attack_wire import (
    as_server,
    asked,
    asked_once,
    connected,
    request,
    served,
    told_in_place_of_the_reader,
    with_certificate,
)
from tests.support.ca import CA, NO_CERTIFICATE, TRUST_DOMAIN, the_ca, workload
from tests.support.issuer import metadata
from tests.support.leaks import holds_token
from tests.support.receipts import unreceipted
from tests.support.system import MCPWire, Wire
from tools.documents.document import Document
from tools.documents.store import Store
from zerotrust.agent import a2a
from zerotrust.decision import Reason
from zerotrust.registry.model import dns_name
from zerotrust.spiffe.svid import Peer

READER, WRITER, TOOL = "agent/reader", "agent/writer", "tool/documents"
PARTIES = ("orchestrator", READER, WRITER, TOOL, "inference", "authority/registry", "authority/attestation")


@attack(36)
async def test_a_token_in_other_hands(target: Target) -> Tries:
    """Every party with every other's token at every door; and somebody with a certificate whom nobody knows."""
    for party in DOORS:
        token = target.token(party)
        issued_to = target.claims(party)["azp"]
        for other in PARTIES:
            if (thief := workload(other)).id != issued_to:
                yield await target.send(party, token, peer=thief)
        stranger = workload("agent/stranger")
        yield await target.send(party, token, peer=stranger, reason=Reason.UNKNOWN_PEER)


@attack(37)
async def test_a_bound_token_as_a_mere_bearer_token(target: Target) -> Tries:
    """A workload's token without the certificate; and the other way round, a user's over somebody's certificate."""
    for party, door in DOORS.items():
        if door.chain:
            yield await target.send(party, target.token(party), peer=NO_CERTIFICATE)
    last = target.issuer.chain("orchestrator", READER)
    bound = target.token("orchestrator", **last)
    yield await target.send("orchestrator", bound, peer=NO_CERTIFICATE, reason=Reason.NOT_BOUND)
    users = target.token("orchestrator")
    for party in PARTIES:
        yield await target.send("orchestrator", users, peer=workload(party), reason=Reason.NOT_BOUND)


@attack(38)
async def test_another_certificate(target: Target) -> Tries:
    """The orchestrator's token at the reader's door, over whatever certificate a thief can come by."""
    good, other = the_ca().svid("orchestrator"), the_ca().svid(WRITER)
    name = good.id
    ours = dns_name("orchestrator", TRUST_DOMAIN)
    async with served(target, READER) as port:
        sent = request(target, READER, target.token(READER))
        assert b" 200 " in await asked_once(port, READER, with_certificate(good), sent)
        by_openssl = "OpenSSL: a certificate, of one authority, and until its end"
        for shown, by in (
            (CA().svid("orchestrator"), by_openssl),  # right names, of somebody else's making
            (CA("evil.example").svid("orchestrator", ids=[name]), by_openssl),
            (the_ca().svid("orchestrator", age=200, life=100), by_openssl),
            (the_ca().svid("orchestrator", age=-100), by_openssl),
            (the_ca().svid(WRITER, ids=[name, other.id], dns=ours), "one-spiffe-id"),  # each reader might choose one
            (
                the_ca().svid(WRITER, ids=[], dns=ours),
                "the certificate names no party",
            ),  # as Keycloak's: a server, and no party
            (the_ca().svid("orchestrator", ids=["spiffe://agents.example"]), "the certificate names no party"),
        ):
            yield _attempt(await asked_once(port, READER, with_certificate(shown), sent)).stopped_by(by)
        yield _attempt(await asked_once(port, READER, the_ca().for_users(), sent)).stopped_by(by_openssl)
        before = len(target.system.records(READER))
        answer = await asked_once(port, READER, with_certificate(other), sent)
        found = reasons(target.system.records(READER)[before:])
        tried = Attempt("401", answer.startswith(b"HTTP/1.1 200 "), found, Reason.NOT_BOUND)
        yield tried.stopped_by("azp-is-peer")


def _attempt(answer: bytes) -> Attempt:
    return Attempt(answer[9:12].decode() or "no connection", answer.startswith(b"HTTP/1.1 200 "))


@attack(39)
async def test_a_recorded_request_is_sent_again(target: Target) -> Tries:
    """As it went over the wire, by whoever listened there; and as it was inside, by an intruder in another party."""
    async with served(target, READER) as port:
        recorded: list[bytes] = []
        async with _listening(port, recorded) as tapped:
            genuine = with_certificate(the_ca().svid("orchestrator"))
            sent = request(target, READER, target.token(READER))
            assert b" 200 " in await asked_once(tapped, READER, genuine, sent)
        assert sent not in b"".join(recorded)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield _attempt(await asked(reader, writer, b"".join(recorded)))
        writer.close()

    stolen = target.token(READER)
    async with target.system.client(READER, stolen, peer=workload(WRITER)) as http:
        door = DOORS[READER]
        headers = dict(door.headers)
        again = (http.post(door.path, json=door.body, headers=headers) for _ in range(50))
        answers = await asyncio.gather(*again)
    tried = await target.send(READER, stolen, peer=workload(WRITER))
    tried.effect = tried.handled or any(answer.status_code == 200 for answer in answers)
    yield tried


@contextlib.asynccontextmanager
async def _listening(port: int, recorded: list[bytes]) -> Any:
    """Somebody in the middle, who hands everything on and keeps what callers send; yields their port."""

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: list[bytes]) -> None:
        with contextlib.suppress(OSError):
            while said := await reader.read(65536):
                kept.append(said)
                writer.write(said)
        writer.close()

    async def tap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(hand_on(reader, ours, recorded), hand_on(theirs, writer, []))

    async with await asyncio.start_server(tap, "127.0.0.1", 0) as between:
        yield between.sockets[0].getsockname()[1]


@attack(40)
async def test_somebody_else_is_at_the_other_end(target: Target) -> Tries:
    """In the reader's place, with certificates of all kinds: the orchestrator sends them nothing."""
    mine, reader = the_ca().svid("orchestrator"), the_ca().svid(READER)
    reads = dns_name(READER, TRUST_DOMAIN)
    older = as_server(reader)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    assert await told_in_place_of_the_reader(target, as_server(reader), mine)
    by_openssl, named = "OpenSSL: one authority, one name, and until its end", "server-is-who-was-called"
    for tls, by in (
        (as_server(the_ca().svid(WRITER)), by_openssl),
        (as_server(the_ca().svid(WRITER, dns=reads)), named),  # a genuine party, by a name that is not its own
        (as_server(the_ca().svid(READER, ids=[reader.id, mine.id])), "row 38: one-spiffe-id"),
        (as_server(the_ca().svid(READER, ids=[])), "the certificate names no party"),
        (as_server(the_ca().svid(READER, dns="reader.evil.example")), by_openssl),
        (as_server(the_ca().svid(READER, age=200, life=100)), by_openssl),
        (as_server(CA().svid(READER)), by_openssl),
        (older, "tls-1-3"),
    ):
        heard = await told_in_place_of_the_reader(target, tls, mine)
        yield Attempt("told everything" if heard else "no connection", bool(heard)).stopped_by(by)


@attack(41)
async def test_a_decision_about_a_document_that_has_changed_since(target: Target) -> Tries:
    """Between the decision and the act the draft is published, or given to somebody else."""
    tool = target.system.services[TOOL]
    for name, value in (("state", "published"), ("owner", "carol"), ("department", "/finance"), ("text", "Carol's.")):
        drafted = await target.send(TOOL, target.writing(), body=tool_call("create", title="Mine", text="Mine."))
        assert isinstance(drafted, Tried)
        id_ = drafted.answer.json()["result"]["structuredContent"]["id"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tool, "decide", _and_then(tool.decide, target, id_, name, value))
            again = await target.send(
                TOOL, target.writing(), body=tool_call("replace", id=id_, text="Mine again."), reason=Reason.GRANTED
            )
        again.effect = target.system.documents()[id_]["text"] == "Mine again."
        assert again.effect or "has changed since" in again.answer.text
        yield again


def _and_then(decide: Any, target: Target, id_: str, name: str, value: str) -> Any:
    """Decide, and let somebody else change the document before anything is done about it."""

    async def decided(*asked: Any, **more: Any) -> None:
        await decide(*asked, **more)
        store = Store(target.system.folder / "tool-documents" / "documents.db")
        async with store.open():
            before = await store.find(id_)
            assert before
            await _changed(store, before, name, value)

    return decided


async def _changed(store: Store, before: Document, name: str, value: str) -> None:
    from sqlalchemy import text

    async with store._writing() as connection:
        change = text(f"update documents set {name} = :value where id = :id")  # noqa: S608 - our own names
        await connection.execute(change, {"value": value, "id": before.id})


@attack(42)
async def test_a_client_assertion_is_used_again(target: Target) -> Tries:
    """While it lives, a thief gets tokens by it (see the realm's side of this row), and no door opens to them."""
    form = {
        "client_assertion": f"assertion of {target.issuer.registry.id(READER)}",
        "subject_token": target.token(READER),
        "audience": target.issuer.registry.id(TOOL),
        "scope": "tool.read",
    }
    async with httpx.AsyncClient(transport=Wire(target.system.apps, workload(WRITER))) as http:
        for _ in range(2):
            answer = await http.post(metadata()["token_endpoint"], data=form)
            gained = answer.json()["access_token"]
            assert (await target.send(TOOL, gained)).handled  # it is a good one, in the reader's hands
            yield await target.send(TOOL, gained, peer=workload(WRITER), reason=Reason.NOT_BOUND)


@attack(43)
async def test_an_answer_that_is_kept_back_so_that_it_is_done_twice(target: Target) -> Tries:
    """Who is in the middle cuts the answer off; a client that tried again would file the same thing twice."""
    for party in (TOOL, WRITER):
        before = target.system.documents()
        with _cut_off(target, party):
            tried = await target.give("orchestrator", FILE_IT)
        new = target.system.documents().keys() - before.keys()
        assert new
        tried.effect = len(new) > 1
        assert tried.effect or tried.answer.json()["result"]["event"] == "unclear"
        yield tried


@contextlib.contextmanager
def _cut_off(target: Target, party: str) -> Iterator[None]:
    """Let no answer through to a request of a writer at that party's door."""
    with pytest.MonkeyPatch.context() as patch:
        for wire, error in ((Wire, httpx.ReadError), (MCPWire, httpx2.ReadError)):
            handle: Any = wire.handle_async_request

            async def losing(self: Any, asked: Any, handle: Any = handle, error: Any = error) -> Any:
                answer = await handle(self, asked)
                words = b"create" if party == TOOL else b"SendMessage"
                if str(asked.url).startswith(target.system.addresses[party]) and words in asked.content:
                    raise error("cut off", request=asked)
                return answer

            patch.setattr(wire, "handle_async_request", losing)
        yield


@attack(44)
async def test_a_connection_from_before(target: Target) -> Tries:
    """Certificates end, and with them all that was begun by them: kept connections, and sessions to be resumed."""
    ended = Peer(target.issuer.registry.id("orchestrator"), target.clock() - 1)
    yield await target.send(READER, target.token(READER), peer=ended, by="certificate-not-ended")

    async with served(target, READER) as port:
        mine = with_certificate(the_ca().svid("orchestrator"))
        resumed = await asyncio.to_thread(_resumed, port, mine)
        yield Attempt("not resumed", resumed).stopped_by("session-not-resumed")

        reader, writer = await connected(port, READER, mine)
        assert b" 200 " in await asked(reader, writer, request(target, READER, target.token(READER)))
        target.clock.now += 7200
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(zerotrust.spiffe.tls, "_clock", target.clock)
            with contextlib.suppress(TimeoutError):  # without it, the connection does not end
                await asyncio.wait_for(reader.read(1), 3 * zerotrust.spiffe.tls.LOOK)
            answer = await asked(reader, writer, request(target, READER, target.token(READER)))
            yield _attempt(answer).stopped_by("connection-ends-with-certificate")
        writer.close()


def _resumed(port: int, tls: ssl.SSLContext) -> bool:
    """Whether a session that was begun earlier can be gone on with."""
    name, session = dns_name(READER, TRUST_DOMAIN), None
    for _ in range(2):
        sanitize = socket.create_connection(("127.0.0.1", port))
        with tls.wrap_socket(sanitize, server_hostname=name, session=session) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            session, used = connection.session, connection.session_reused
    return bool(used)


@attack(45)
async def test_a_token_where_it_could_be_read(target: Target) -> Tries:
    """After a whole story, and after what goes wrong in many ways, no token is anywhere but in one header."""
    noted: list[str] = []
    for party in DOORS:
        _tap(target, party, noted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(a2a._Executor, "execute", _noting(a2a._Executor.execute, noted))
        tried = await target.give("orchestrator", FILE_IT)
        assert tried.answer.json()["result"]["event"] == "finished"
        user = target.issuer.token()
        wrong: list[Any] = [{"request": [user]}, {"request": {"x": user}}, [user], user.encode(), {user: user}]
        for body in wrong:
            noted.append(said(await target.send("orchestrator", user, path="/tasks", body=body)))
        for party in DOORS:
            noted.append(said(await target.send(party, target.token(party), path=f"/{user}")))
            noted.append(said(await target.send(party, target.token(party), query=f"?access_token={user}")))
        task = await target.send(READER, target.token(READER), body={"method": "ListTasks", "id": 1, "jsonrpc": "2.0"})
        noted.append(said(task))
    noted += [orjson.dumps(list(target.system.documents().values())).decode()]
    noted += [said(tried)]
    tried.effect = target.leaks or any(map(holds_token, noted))
    assert len(noted) > 20
    yield tried


def said(tried: Tried) -> str:
    """An answer without its receipts, which are signed as tokens are."""
    return unreceipted(tried.answer.content).decode()


def _tap(target: Target, party: str, noted: list[str]) -> None:
    """Note every body that a party is sent by another: prompts, tasks, the arguments of tools."""
    address = target.system.addresses[party]
    genuine = target.system.apps[address]

    async def tapped(scope: Any, receive: Any, send: Any) -> None:
        async def heard() -> Any:
            message = await receive()
            if scope["state"]["peer"].id:
                noted.append(message.get("body", b"").decode())
            return message

        await genuine(scope, heard, send)

    target.system.apps[address] = tapped


def _noting(execute: Any, noted: list[str]) -> Any:
    """Note what the SDK hands to an agent together with what it is asked."""

    async def executed(self: Any, context: Any, queue: Any) -> None:
        noted.append(repr(vars(context)) + repr(context.call_context.state))
        await execute(self, context, queue)

    return executed
