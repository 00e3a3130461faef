"""O. What one caller costs the others at a door: what is read for whom, and who gets how much."""

import asyncio
from typing import Any
from unittest.mock import patch

import orjson

from tests.support.attack import Attempt, Target, Tried, Tries, attack
from tests.support.attack_bundle import client_hello
from tests.support.attack_wire import asked, connected, request, served, with_certificate
from tests.support.ca import the_ca
from zerotrust.audit.counts import IN_FULL
from zerotrust.decision import Reason
from zerotrust.gate import Gate
from zerotrust.hardening.turns import IN_A_PASS
from zerotrust.limits import strict_json
from zerotrust.routes import MAX_TEXT
from zerotrust.transport.requests import read_body

ORCHESTRATOR, READER, WRITER, TOOL = "orchestrator", "agent/reader", "agent/writer", "tool/documents"
REFUSED = 100
PASSES = 100
"""Of the event loop, after which what has been decided has been done."""
MEBIBYTE = 1 << 20
COSTLY = {
    "nested": b'{"a":' + b"[" * (MEBIBYTE // 2) + b"]" * (MEBIBYTE // 2 - 6) + b"}",
    "objects": b'{"a":[' + b'{"":0},' * (MEBIBYTE // 7 - 2) + b"0]}",
    "numbers": b'{"a":[' + b"0," * (MEBIBYTE // 2 - 5) + b"0]}",
}
"""What costs a parser most: a mebibyte of such JSON held a party's loop for up to half a second."""


async def parsed(target: Target, party: str, token: str, body: bytes, *, reason: Reason | None = None) -> Tried:
    """Send a body; the attacker gets what it wants where the parser has to read it."""
    with patch.object(strict_json, "_DECODER", wraps=strict_json._DECODER) as parser:
        tried = await target.send(party, token, body=body, reason=reason)
    tried.effect = len(body) in {len(call.args[0]) for call in parser.decode.call_args_list}
    return tried


@attack(140)
async def test_a_costly_body_of_a_user_without_rights(target: Target) -> Tries:
    """Nobody's body is read before it is known that the route is open to them."""
    first = "decided-before-body"
    for body in (b'{"request": "Summarise."}', b'{"a": 1, "a": 2}'):
        yield (await parsed(target, ORCHESTRATOR, target.token(ORCHESTRATOR, groups=[]), body)).stopped_by(first)
    for body in COSTLY.values():
        tried = await parsed(target, ORCHESTRATOR, target.token(ORCHESTRATOR, groups=[]), body)
        yield tried.stopped_by(f"{first} and json-size")
    for party in (READER, TOOL):
        token = target.token(party, scope="model.read")
        tried = await parsed(target, party, token, COSTLY["numbers"], reason=Reason.SCOPE_MISSING)
        yield tried.stopped_by(f"{first} and json-size")


@attack(141)
async def test_a_costly_body_of_a_user_with_rights(target: Target) -> Tries:
    """It has a bound in bytes, by the route, and one in elements, which are counted before they are parsed."""
    large = orjson.dumps({"request": "x" * MAX_TEXT})
    for body, by in (
        *((body, "json-size and body-size and content-length") for body in COSTLY.values()),
        (large, "body-size and content-length"),
    ):
        tried = await parsed(target, ORCHESTRATOR, target.token(ORCHESTRATOR), body, reason=Reason.BODY_TOO_LARGE)
        yield tried.stopped_by(by)
    many = b'{"a":[' + b"0," * strict_json.MAX_ELEMENTS + b"0]}"
    for party in (ORCHESTRATOR, READER, TOOL):
        yield (await parsed(target, party, target.token(party), many)).stopped_by("json-size")


@attack(142)
async def test_connections_until_nobody_else_gets_one(target: Target) -> Tries:
    """Whoever opens one too many loses one of its own."""
    ways = {"reader": with_certificate(the_ca().svid(READER)), "writer": with_certificate(the_ca().svid(WRITER))}

    def sent_by(who: str) -> bytes:
        if who in ways:
            return b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
        return request(target, ORCHESTRATOR, target.token(ORCHESTRATOR, sub=who))

    own, any_ = "connections-of-own-party and most-connections-give-way", "most-connections-give-way"
    for attacker, victim, by in (
        ("reader", "writer", own),
        ("reader", "bob", own),
        ("alice", "bob", any_),
        ("alice", "writer", own),
    ):
        with patch.multiple("zerotrust.hardening.server", MAX_CONNECTIONS=3, MAX_OF_A_PARTY=3):
            async with served(target, ORCHESTRATOR) as port:

                async def opened(who: str, port: int = port) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
                    connection = await connected(port, ORCHESTRATOR, ways.get(who) or the_ca().for_users())
                    assert await asked(*connection, sent_by(who))
                    return connection

                theirs = await opened(victim)
                crowd = [await opened(attacker) for _ in range(8)]
                left = await asked(*theirs, sent_by(victim))
                for _, writer in (theirs, *crowd):
                    writer.close()
                yield Attempt("the end of one of its own", succeeded=not left).stopped_by(by)


@attack(143)
async def test_one_users_tasks_until_there_is_no_room_for_anothers(target: Target) -> Tries:
    async def given(user: str) -> Tried:
        token = target.token(ORCHESTRATOR, sub=user, scope="task.run")
        return await target.send(ORCHESTRATOR, token, path="/tasks", body={"request": "Summarise."})

    yield await target.tasks_at_once(given, another="bob")


@attack(144)
async def test_refusals_until_the_disk_is_full(target: Target) -> Tries:
    """The first are written in full, and all are counted."""
    gate = target.system.apps[target.system.addresses[ORCHESTRATOR]]
    assert isinstance(gate, Gate)
    gate.counter._interval = 3600  # all of it in one interval, however slow the machine is
    async with target.system.client(ORCHESTRATOR, target.token(ORCHESTRATOR, groups=[])) as eve:
        for _ in range(REFUSED):
            answer = await eve.post("/plan", json={"request": "Summarise."})
    written = await target.records(ORCHESTRATOR)

    in_full = [record for record in written if record["event"] == "request"]
    counted = sum(seen["times"] for record in written for seen in record.get("repeated") or [])
    assert len(in_full) + counted >= REFUSED
    yield Tried(answer, written, handled=False, effect=len(in_full) > IN_FULL)


@attack(145)
async def test_handshakes_that_are_begun_at_a_service(target: Target) -> Tries:
    """The newest takes the place of the oldest, so a caller who goes on is served all the same."""
    with patch("zerotrust.hardening.server.MAX_HANDSHAKES", 3):
        async with served(target, ORCHESTRATOR) as port:
            begun = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
            for _, writer in begun:
                writer.write(client_hello())
            waits_for_the_end = asyncio.create_task(begun[0][0].read())
            genuine = await connected(port, ORCHESTRATOR, the_ca().for_users())
            assert await asked(*genuine, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            for _ in range(PASSES):
                await asyncio.sleep(0)
            yield Attempt("the end of the oldest", succeeded=not waits_for_the_end.done())
            for _, writer in (genuine, *begun):
                writer.close()
            await asyncio.gather(waits_for_the_end, return_exceptions=True)  # the end may be a reset


@attack(146)
async def test_a_public_route_asked_for_without_end(target: Target) -> Tries:
    """What counts is how much of it is done while everybody else waits: in one pass of the event loop."""
    in_this_pass, passes = 0, list[int]()

    async def count(*arguments: Any, **more: Any) -> Any:
        nonlocal in_this_pass
        in_this_pass += 1
        return await read_body(*arguments, **more)

    async def everybody_else() -> None:
        nonlocal in_this_pass
        while True:
            passes.append(in_this_pass)
            in_this_pass = 0
            await asyncio.sleep(0)

    others = asyncio.create_task(everybody_else())
    with patch("zerotrust.transport.requests.read_body", count):
        async with target.system.client(ORCHESTRATOR) as stranger:
            answers = await asyncio.gather(*(stranger.get("/health") for _ in range(20 * IN_A_PASS)))
    others.cancel()
    assert {answer.status_code for answer in answers} == {200}
    yield Attempt("few in a pass", succeeded=max(passes) > IN_A_PASS)
