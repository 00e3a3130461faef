"""A Workload API that changes its trust bundle while a party runs; the party reads it by the official client."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from grpclib.const import Cardinality, Handler
from grpclib.server import Server
from spiffe._proto import workload_pb2 as pb

from tests.support.ca import CA, the_ca
from tests.support.handshake import PARTIES, READER, WRITER, Handshake
from tests.support.waiting import until
from zerotrust.spiffe.svid import Svid
from zerotrust.spiffe.tls import client_context, server_context, use_svid
from zerotrust.spiffe.workload import Workload


class Agent:
    """Sends an SVID and a bundle to whoever asks, and again when a test changes them."""

    def __init__(self) -> None:
        self._svid, self._changed = the_ca().svid(READER, life=60), asyncio.Event()

    def send(self, svid: Svid) -> None:
        """Send this to all who listen."""
        self._svid = svid
        self._changed.set()
        self._changed = asyncio.Event()

    def __mapping__(self) -> dict[str, Handler]:
        handler = Handler(self._fetch, Cardinality.UNARY_STREAM, pb.X509SVIDRequest, pb.X509SVIDResponse)
        return {"/SpiffeWorkloadAPI/FetchX509SVID": handler}

    async def _fetch(self, stream: Any) -> None:
        await stream.recv_message()
        while True:
            svid, changed = self._svid, self._changed
            key = svid.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            sent = pb.X509SVID(spiffe_id=svid.id, x509_svid=der(svid.chain), x509_svid_key=key, bundle=der(svid.bundle))
            await stream.send_message(pb.X509SVIDResponse(svids=[sent]))
            await changed.wait()


def der(certificates: Any) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.DER) for certificate in certificates)


@pytest.fixture
async def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Agent]:
    agent = Agent()
    server, path = Server([agent]), str(tmp_path / "api.sock")
    await server.start(path=path)
    monkeypatch.setenv("SPIFFE_ENDPOINT_SOCKET", f"unix:{path}")
    yield agent
    server.close()


def taken(server: ssl.SSLContext, ca: CA) -> bool:
    """Whether a caller of this authority gets through."""
    caller = ca.svid(WRITER, life=60, trusts=[the_ca(), ca])
    try:
        Handshake(server, client_context(caller, PARTIES)).done()
    except ssl.SSLError:
        return False
    return True


async def test_a_running_party_goes_by_the_bundle_that_was_sent_last(agent: Agent) -> None:
    workload, new = Workload(), CA(path_length=1)
    below = CA(above=new)
    async with workload.opened():
        server = server_context(workload.svid, certificate_needed=True)
        workload.on_renewal(lambda svid: use_svid(server, svid))
        assert (taken(server, the_ca()), taken(server, new)) == (True, False)

        agent.send(the_ca().svid(READER, life=60, trusts=[the_ca(), new]))
        await until(lambda: new.certificate in workload.svid.bundle)
        assert (taken(server, the_ca()), taken(server, new), taken(server, below)) == (True, True, True)

        agent.send(below.svid(READER, life=60))
        await until(lambda: the_ca().certificate not in workload.svid.bundle)
        assert workload.svid.intermediates == below.chain
        assert (taken(server, the_ca()), taken(server, new), taken(server, below)) == (False, True, True)
