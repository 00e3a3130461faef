"""What notebooks change, who takes a party's place in them, and how they tell it."""

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature

from authorities.attestation.local.launch import Launch
from authorities.policy.fit import problems
from authorities.policy.versions import content_of
from lab.before.system import Answer
from lab.notebooks import temporary
from lab.notebooks.certificate import said
from lab.notebooks.copies import changed_back, reading
from lab.notebooks.impostor import MOST, Received, listening
from lab.notebooks.rules import edited, rule, rules_in
from lab.notebooks.temporary import until
from local.alone import DemoError
from local.system import HOST, ROOT
from tests.support.system import registry
from tests.support.waiting import until as met
from zerotrust.spiffe.tls import server_context, user_context
from zerotrust.testing.ca import CA

READER, NAME = "agent/reader", "reader.agent.agents.example"
REQUEST = b"POST /a2a HTTP/1.1\r\nauthorization: Bearer eyJhbGciOi\r\n\r\n"


def test_a_copy_that_was_changed_or_is_missing_is_made_anew(tmp_path: Path) -> None:
    assert changed_back(tmp_path)
    assert not changed_back(tmp_path)

    (tmp_path / "local.yaml").unlink()
    assert changed_back(tmp_path)
    (tmp_path / "local.yaml").write_text("parties: {}")
    assert changed_back(tmp_path)

    assert (tmp_path / "local.yaml").read_text() == (ROOT / "deploy" / "local.yaml").read_text()


def test_the_registry_of_the_notebooks_reads_the_copies_and_is_otherwise_as_ever(tmp_path: Path) -> None:
    launch = Launch(
        party_id="spiffe://agents.example/x", name="x", code=("x",), env={"ZT_PORT": "1", "ZT_DEPLOYMENT": "/"}
    )

    copied = reading(launch, tmp_path)

    assert copied.env == {"ZT_PORT": "1", "ZT_DEPLOYMENT": str(tmp_path / "local.yaml")}
    assert (copied.party_id, copied.name, copied.code) == (launch.party_id, launch.name, launch.code)


def test_a_change_of_a_rule_leaves_out_the_rows_that_say_otherwise_and_is_then_fit() -> None:
    content, known = content_of(ROOT / "policies"), registry()
    old = rule("read-own-department")

    changed, left_out = edited(content, old, old.replace("\n};", "\n  && !context.delegated\n};"), known)
    assert left_out > 10
    assert problems(changed, known) == []

    wrong, none = edited(content, old, old.replace("\n};", "\n  && !context.delegate\n};"), known)
    assert (none, wrong.table) == (0, content.table)
    with pytest.raises(ValueError, match="no file has the text"):
        edited(content, "no such text", "", known)


def test_a_policy_is_found_by_its_id_and_whole() -> None:
    text = content_of(ROOT / "policies").document.policies

    found = rules_in(text)

    assert rule("read-own-department") == found["read-own-department"]
    assert found.keys() >= {"use-an-api", "operate", "read-own-department"}
    for name, policy in found.items():
        assert policy in text
        assert policy.count("@id(") == policy.count("permit (") == 1, name


def test_a_certificate_is_told_by_its_names_its_life_and_its_signer() -> None:
    ca = CA("agents.example")
    pem = ca.pem.encode()

    assert said(ca.svid(READER, life=120).certificate, signed_by=pem).splitlines() == [
        "SPIFFE ID        spiffe://agents.example/agent/reader",
        f"host name        {NAME}",
        "valid for        125 s",
        "signed by        agents.example",
        "may sign others  no",
    ]
    assert said(ca.svid(READER, is_ca=True).certificate, signed_by=pem).endswith("may sign others  yes")
    with pytest.raises((InvalidSignature, ValueError)):
        said(CA("agents.example").svid(READER).certificate, signed_by=pem)


@pytest.mark.parametrize(
    ("received", "told"),
    [
        (Received(), "no connection"),
        (Received(1, b""), "no TLS, without a token, and 0 bytes of a request"),
        (Received(1, b"\x16\x03\x01\x02\x00\x01rest"), "a TLS greeting, without a token, and 0 bytes of a request"),
        (Received(1, REQUEST), "no TLS, with a token, and 0 bytes of a request"),
        (Received(1, b"\x16\x03\x01\x02\x00\x01", REQUEST), "a TLS greeting, with a token, and 56 bytes of a request"),
    ],
)
def test_what_an_impostor_got_is_told(received: Received, told: str) -> None:
    assert str(received) == told


async def send(port: int, tls: ssl.SSLContext) -> None:
    _, writer = await asyncio.open_connection(HOST, port, ssl=tls, server_hostname=NAME)
    writer.write(REQUEST)
    await writer.drain()
    writer.transport.abort()


def careless() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def test_an_impostor_reads_what_a_careless_caller_sends() -> None:
    tls = server_context(CA("agents.example").svid(READER), certificate_needed=False)

    async with listening(tls) as (port, received):
        await send(port, careless())
        await met(lambda: received.read == REQUEST)

    assert str(received) == f"a TLS greeting, with a token, and {len(REQUEST)} bytes of a request"


@pytest.mark.parametrize("party", [None, READER, "agent/writer"])
async def test_an_impostor_gets_a_greeting_of_a_caller_that_checks(party: str | None) -> None:
    """It shows no certificate; one of its own for the reader; or the writer's, of the caller's authority."""
    known, own = CA("agents.example"), CA("agents.example")
    svid = known.svid(party) if party == "agent/writer" else own.svid(party) if party else None
    parties = {NAME: "spiffe://agents.example/agent/reader"}

    tls = server_context(svid, certificate_needed=False) if svid else None

    async with listening(tls) as (port, received):
        with pytest.raises((ssl.SSLError, OSError)):
            await send(port, user_context(known.pem, parties))

    assert str(received) == "a TLS greeting, without a token, and 0 bytes of a request"


async def test_an_impostor_keeps_no_more_than_it_tells() -> None:
    async with listening(None) as (port, received):
        _, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"x" * 2 * MOST)
        with contextlib.suppress(OSError):  # it hangs up after its first read
            await writer.drain()
        writer.transport.abort()
        await met(lambda: received.sent)

    assert len(received.sent) <= MOST


async def test_an_impostor_reads_no_more_than_it_keeps() -> None:
    tls = server_context(CA("agents.example").svid(READER), certificate_needed=False)

    async with listening(tls) as (port, received):
        _, writer = await asyncio.open_connection(HOST, port, ssl=careless(), server_hostname=NAME)
        writer.write(b"x" * 2 * MOST)
        await met(lambda: len(received.sent) >= MOST)
        writer.transport.abort()

    assert len(received.sent) == MOST
    assert 0 < len(received.read) < MOST


async def test_what_does_not_take_effect_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> Answer:
        return Answer("200 ok")

    async def fail() -> None:
        raise DemoError("the rule is refused")

    assert await until("200 ok", ask) >= 0
    with pytest.raises(DemoError, match="the rule is refused"):
        await until("401 revoked", ask, after=asyncio.create_task(fail()))
    monkeypatch.setattr(temporary, "SECONDS", 0.01)
    with pytest.raises(TimeoutError, match="the answer is still '200 ok', and not '401 revoked'"):
        await until("401 revoked", ask)
