"""Mutual TLS over a real socket: who is at the other end is settled before a byte passes, and not for ever."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.ca import CA, LONG, TRUST_DOMAIN, the_ca
from tests.support.handshake import PARTIES, READER, READERS_NAME, WRITER, Handshake
from zerotrust.registry.model import dns_name
from zerotrust.spiffe import tls
from zerotrust.spiffe.svid import LONGEST_X509_SVID, NO_PEER, Peer, Svid
from zerotrust.spiffe.tls import client_context, issuer_context, server_context, use_svid, user_context

REFUSED = (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)


def id_of(party: str) -> str:
    return f"spiffe://{TRUST_DOMAIN}/{party}"


class Listening:
    """Somebody who listens: what came in, from whom, over which connection."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.received: list[bytes] = []
        self.peers: list[Peer] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.append(writer.get_extra_info("ssl_object").peer)
        self.writers.append(writer)
        try:
            while line := await reader.readline():
                self.received.append(line)
                writer.write(line)
        except (OSError, ValueError):
            pass
        finally:
            writer.close()


class Streams(asyncio.StreamReaderProtocol):
    """Those of `asyncio.start_server`, over a connection that is watched before its first byte."""

    def connection_made(self, transport: Any) -> None:
        transport.get_extra_info("ssl_object").watch(transport.abort)
        super().connection_made(transport)


@asynccontextmanager
async def listening(context: ssl.SSLContext) -> AsyncIterator[Listening]:
    there = Listening(context)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Streams(asyncio.StreamReader(), there._serve), "127.0.0.1", 0, ssl=context
    )
    there.port = server.sockets[0].getsockname()[1]
    try:
        yield there
    finally:
        server.close()
        for writer in there.writers:
            writer.transport.abort()


@asynccontextmanager
async def connected(
    there: Listening, context: ssl.SSLContext, name: str = READERS_NAME
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", there.port, ssl=context, server_hostname=name)
    if isinstance(end := writer.get_extra_info("ssl_object"), tls.ExpiringTLS):
        end.watch(writer.transport.abort)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, words: bytes) -> bytes:
    """Say something, and return the echo; whatever is the matter is raised."""
    async with asyncio.timeout(10):
        writer.write(words)
        await writer.drain()
        return await reader.readuntil(b"\n")


async def refused(there: Listening, context: ssl.SSLContext, name: str = READERS_NAME) -> None:
    """Try to say something to whoever listens there: it must not get through."""
    with pytest.raises(REFUSED):
        async with connected(there, context, name) as (reader, writer):
            await said(reader, writer, b"secret\n")
    assert there.received == []


def plain_client(svid: Svid, authority: CA | None = None) -> ssl.SSLContext:
    """A client of another make, which shows this certificate and believes our authority."""
    context = (authority or the_ca()).for_users()
    shown = client_context(svid, {})
    context.sslobject_class = shown.sslobject_class  # only so that `use_svid` finds what it wants
    use_svid(context, svid)
    context.sslobject_class = ssl.SSLObject
    return context


# who is at the other end


WRONG_SERVERS: dict[str, Any] = {
    "another party under its own name": lambda: the_ca().svid(WRITER),
    "another party with this one's DNS name": lambda: the_ca().svid(WRITER, dns=READERS_NAME),
    "the right party under another DNS name": lambda: the_ca().svid(READER, dns="reader.test"),
    "two SPIFFE IDs": lambda: the_ca().svid(READER, ids=[id_of(READER), id_of(WRITER)]),
    "the same SPIFFE ID twice": lambda: the_ca().svid(READER, ids=[id_of(READER)] * 2),
    "no SPIFFE ID": lambda: the_ca().svid(READER, ids=[]),
    "another trust domain": lambda: the_ca().svid(READER, ids=["spiffe://elsewhere.example/agent/reader"]),
    "an ID that only begins like it": lambda: the_ca().svid(READER, ids=[f"{id_of(READER)}/x"]),
    "another authority": lambda: CA().svid(READER),
    "an ended certificate": lambda: the_ca().svid(READER, age=200, life=100),
    "one that has not begun": lambda: the_ca().svid(READER, age=-100),
    "one that lives longer than ours": lambda: the_ca().svid(READER, life=LONG + 1),
    "one who is in no directory": lambda: the_ca().svid("inference"),
}


@pytest.mark.parametrize("server", WRONG_SERVERS.values(), ids=list(WRONG_SERVERS))
async def test_nothing_is_sent_to_whom_was_not_called(server: Any) -> None:
    svid, mine = server(), client_context(the_ca().svid(WRITER), PARTIES)
    async with listening(server_context(svid, certificate_needed=False)) as there:
        await refused(
            there, mine, dns_name("inference", TRUST_DOMAIN) if svid.id == id_of("inference") else READERS_NAME
        )


WRONG_CLIENTS: dict[str, Any] = {
    "another authority": lambda: CA().svid(WRITER),
    "an ended certificate": lambda: the_ca().svid(WRITER, age=200, life=100),
    "one that has not begun": lambda: the_ca().svid(WRITER, age=-100),
    "one that lives longer than the server's": lambda: the_ca().svid(WRITER, life=LONG + 1),
    "two SPIFFE IDs": lambda: the_ca().svid(WRITER, ids=[id_of(WRITER), id_of(READER)]),
    "no SPIFFE ID": lambda: the_ca().svid(WRITER, ids=[]),
    "a SPIFFE ID without a path": lambda: the_ca().svid(WRITER, ids=["spiffe://agents.example"]),
    "another kind of URI": lambda: the_ca().svid(WRITER, ids=["https://agents.example/agent/writer"]),
}


@pytest.mark.parametrize("certificate_needed", [True, False], ids=["needed", "optional"])
@pytest.mark.parametrize("client", WRONG_CLIENTS.values(), ids=list(WRONG_CLIENTS))
async def test_whoever_shows_a_bad_certificate_is_refused_where_none_is_needed_as_well(
    client: Any, certificate_needed: bool
) -> None:
    async with listening(server_context(the_ca().svid(READER), certificate_needed=certificate_needed)) as there:
        await refused(there, plain_client(client()))


async def test_the_issuer_is_known_by_its_dns_name_and_our_authority_and_sees_our_certificate() -> None:
    svid, mine = the_ca().svid(READER, ids=[], dns="keycloak.test"), the_ca().svid(WRITER)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # Keycloak's; none of ours would show such a certificate
    server.sslobject_class = type("_", (tls.ExpiringTLS,), {"watched": {}})
    server.load_verify_locations(cadata=the_ca().pem)
    server.verify_mode = ssl.CERT_REQUIRED
    use_svid(server, svid)
    async with (
        listening(server) as there,
        connected(there, issuer_context(mine, {}), "keycloak.test") as (reader, writer),
    ):
        assert await said(reader, writer, b"hello\n") == b"hello\n"
        assert writer.get_extra_info("ssl_object").peer.until == min(svid.not_after, mine.not_after)
    assert [peer.id for peer in there.peers] == [id_of(WRITER)]

    for name, certificate in (("issuer.test", svid), ("keycloak.test", CA().svid(READER, dns="keycloak.test"))):
        async with listening(server_context(certificate, certificate_needed=False)) as there:
            await refused(there, issuer_context(mine, {}), name)


@pytest.mark.parametrize(("life", "believed"), [(LONGEST_X509_SVID, True), (LONGEST_X509_SVID + 1, False)])
def test_who_has_no_certificate_believes_none_that_lives_longer_than_the_registry_may_say(
    life: int, believed: bool
) -> None:
    server = server_context(the_ca().svid(READER, life=life), certificate_needed=False)
    joined = Handshake(server, user_context(the_ca().pem, PARTIES))
    if believed:
        joined.done()
    else:
        with pytest.raises(ssl.SSLCertVerificationError, match="a certificate of 126 s"):
            joined.done()


# one handshake after the other, without a network


def test_no_session_is_taken_up_again_for_it_would_not_be_checked_again() -> None:
    server = server_context(the_ca().svid(READER), certificate_needed=True)
    client = plain_client(the_ca().svid(WRITER))

    first = Handshake(server, client).done()
    again = Handshake(server, client, first.client.session).done()

    assert not (first.client.session and first.client.session.has_ticket)
    assert not again.client.session_reused
    assert again.server.getpeercert()  # shown anew
    server.num_tickets = 1
    resumable = Handshake(server, client).done().client.session
    with pytest.raises(ssl.SSLCertVerificationError, match="a resumed session"):
        Handshake(server, client, resumable).done()


def test_showing_a_certificate_leaves_nothing_open() -> None:
    context = server_context(the_ca().svid(READER), certificate_needed=True)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        use_svid(context, the_ca().svid(READER))

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_no_data_is_read_from_a_connection_whose_end_nobody_watches() -> None:
    server = server_context(the_ca().svid(READER), certificate_needed=True)
    joined = Handshake(server, client_context(the_ca().svid(WRITER), PARTIES)).done()
    for end, other in ((joined.server, joined.client), (joined.client, joined.server)):
        other.write(b"x")
        end.unwatch()  # type: ignore[attr-defined]
        with pytest.raises(ssl.SSLError, match="end is not watched"):
            end.read(1)


# an authority comes, and goes


def met(server: ssl.SSLContext, client: ssl.SSLContext) -> Handshake:
    return Handshake(server, client).done()


def watched(*ends: Any) -> list[Any]:
    """Return a list in which those of these ends of connections are noted that are told to end."""
    ended: list[Any] = []
    for end in ends:
        end.watch(partial(ended.append, end))
    return ended


def test_a_new_authority_counts_at_once_at_both_ends() -> None:
    old, new = the_ca(), CA()
    server = server_context(old.svid(READER), certificate_needed=True)
    client = client_context(old.svid(WRITER), PARTIES)
    theirs = server_context(new.svid(READER, trusts=[old, new]), certificate_needed=True)
    ours = client_context(new.svid(WRITER, trusts=[old, new]), PARTIES)
    for pair in ((server, ours), (theirs, client)):
        with pytest.raises(ssl.SSLCertVerificationError):
            met(*pair)

    use_svid(server, old.svid(READER, trusts=[old, new]))
    use_svid(client, old.svid(WRITER, trusts=[old, new]))

    for pair in ((server, ours), (theirs, client), (server, client), (theirs, ours)):
        met(*pair)


async def test_a_connection_without_a_handshake_is_ended_at_once() -> None:
    context = server_context(the_ca().svid(READER), certificate_needed=True)
    end = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    assert watched(end) == [end]


async def test_a_removed_authority_counts_no_more_at_either_end_until_it_comes_back() -> None:
    old, new = the_ca(), CA()
    server = server_context(new.svid(READER, trusts=[old, new]), certificate_needed=True)
    client = client_context(new.svid(WRITER, trusts=[old, new]), PARTIES)
    theirs = server_context(old.svid(READER, trusts=[old, new]), certificate_needed=True)
    ours = client_context(old.svid(WRITER, trusts=[old, new]), PARTIES)
    taken, called, good = met(server, ours), met(theirs, client), met(server, client)
    ended = watched(taken.server, called.client, good.server, good.client)

    use_svid(server, new.svid(READER, trusts=[new]))
    use_svid(client, new.svid(WRITER, trusts=[new]))

    assert ended == [taken.server, called.client]  # what was open before
    assert watched(taken.server, good.server) == [taken.server]  # also for who begins to watch only now
    for pair in ((server, ours), (theirs, client)):
        joined = Handshake(*pair)
        with pytest.raises(ssl.SSLCertVerificationError, match="was removed"):
            joined.done()
        assert NO_PEER in (joined.server.peer, joined.client.peer)  # type: ignore[attr-defined]
    met(server, client)
    use_svid(server, old.svid(READER, trusts=[old]))  # and counts again where it comes back
    met(server, client_context(old.svid(WRITER), PARTIES))


async def test_a_renewed_certificate_of_the_same_authority_is_the_same_authority() -> None:
    """A trust anchor is a name and a key (RFC 5280 section 6.1.1)."""
    old = the_ca()
    renewed = CA(renews=old)
    server = server_context(old.svid(READER), certificate_needed=True)
    joined = met(server, client_context(old.svid(WRITER), PARTIES))

    ended = watched(joined.server)
    use_svid(server, renewed.svid(READER))

    assert ended == []
    met(server, client_context(renewed.svid(WRITER), PARTIES))


async def test_intermediates_are_shown_and_lead_to_an_authority() -> None:
    root = CA(path_length=1)
    first, second = CA(above=root), CA(above=root)
    server = server_context(first.svid(READER), certificate_needed=True)
    joined = met(server, client_context(second.svid(WRITER), PARTIES))
    assert joined.server.peer.id == id_of(WRITER)  # type: ignore[attr-defined]
    assert joined.server.peer.dns_names == ("writer.agent.agents.example",)  # type: ignore[attr-defined]
    with pytest.raises(ssl.SSLCertVerificationError):
        met(server, client_context(CA(above=CA(path_length=1)).svid(WRITER, trusts=[root]), PARTIES))

    ended = watched(joined.server)
    use_svid(server, CA().svid(READER))  # the root is gone

    assert ended == [joined.server]
