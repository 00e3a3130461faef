"""A process's own identity, and the one client of the Workload API that it keeps; the real one is asked in
`tests/services/test_attestation.py`."""

import asyncio
import errno
import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from spiffe import SpiffeId, TrustDomain, X509Bundle, X509BundleSet
from spiffe.errors import PySpiffeError
from spiffe.workloadapi.x509_context import X509Context

from tests.support.ca import CA, TRUST_DOMAIN, the_ca
from tests.support.waiting import until
from zerotrust.spiffe import workload as module
from zerotrust.spiffe.svid import LONGEST_X509_SVID, Svid, WorkloadError
from zerotrust.spiffe.workload import Workload

PARTY = "agent/reader"
AUDIENCE = "https://keycloak.test/realms/agents"


class Client:
    """What the library's does; `fails` says when."""

    opened: list["Client"]
    fails = ""
    asked, away, life, jwt_life = 0, 0, 120.0, 60.0
    """How often it was asked for a certificate, how often it was away before, and how long they live, in seconds."""
    key: Any = None
    """Another key than the certificate's."""
    slow = False
    """Whether attestation still measures."""
    trusts = True
    """Whether there is a bundle."""

    def __init__(self, *, default_timeout: float) -> None:
        assert default_timeout == module.SECONDS_TO_WAIT
        if Client.fails == "to open":
            raise PySpiffeError("no socket")
        self.open, self.followed, self.meanwhile = True, True, list[Callable[[], object]]()
        Client.opened.append(self)

    def fetch_jwt_svid(self, audience: set[str]) -> Any:
        assert audience == {AUDIENCE}
        for do in self.meanwhile:
            do()
        if Client.fails.startswith("to answer"):
            raise PySpiffeError(f"away ({Client.fails.removeprefix('to answer: ')})")
        return SimpleNamespace(token=f"token {Client.opened.index(self)}", expiry=time.time() + Client.jwt_life)

    def stream_x509_contexts(self, on_success: Any, on_error: Any, *, retry_connect: bool) -> Any:
        assert not retry_connect
        self.send, Client.asked = on_success, Client.asked + 1
        if Client.asked <= Client.away:
            on_error(PySpiffeError("away (StatusCode.UNAVAILABLE)"))
        elif not Client.slow:
            on_success(context())
        return SimpleNamespace(cancel=lambda: setattr(self, "followed", False))

    def close(self) -> None:
        self.open = False


def context(*authorities: CA, signed_by: CA | None = None) -> X509Context:
    """What the Workload API sends."""
    svid = (signed_by or the_ca()).svid(PARTY, life=Client.life, trusts=authorities)
    found: Any = SimpleNamespace(
        spiffe_id=SpiffeId(svid.id), cert_chain=[*svid.chain], private_key=Client.key or svid.key
    )
    trusted = X509Bundle(TrustDomain(TRUST_DOMAIN), set(svid.bundle))
    bundles = X509BundleSet({trusted.trust_domain: trusted} if Client.trusts else {})
    return X509Context([found], bundles)


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    monkeypatch.setattr(module, "WorkloadApiClient", Client)
    monkeypatch.setattr(module, "SECONDS_BETWEEN_TRIES", 0.01)
    Client.opened, Client.fails = [], ""
    Client.asked, Client.away, Client.life, Client.key, Client.trusts = 0, 0, 120.0, None, True
    Client.jwt_life, Client.slow = 60.0, False
    return Client.opened


async def test_a_process_keeps_one_connection_until_it_closes_it(opened: list[Client]) -> None:
    workload = Workload()
    assert [await workload.assertion(AUDIENCE) for _ in range(3)] == ["token 0"] * 3
    workload.close()

    assert [client.open for client in opened] == [False]
    assert await workload.assertion(AUDIENCE) == "token 1"


@pytest.mark.parametrize(
    ("fails", "why", "left"),
    [
        ("to answer: StatusCode.UNAVAILABLE", "away", [False, True]),
        ("to answer: StatusCode.DEADLINE_EXCEEDED", "away", [True]),
        ("to answer: StatusCode.PERMISSION_DENIED", "away", [True]),
        ("to open", "no socket", [True]),
    ],
)
async def test_a_connection_that_is_lost_is_closed_and_the_next_call_opens_another(
    opened: list[Client], fails: str, why: str, left: list[bool]
) -> None:
    workload, Client.fails = Workload(), fails
    with pytest.raises(WorkloadError, match=why):
        await workload.assertion(AUDIENCE)
    Client.fails = ""

    assert await workload.assertion(AUDIENCE) == f"token {len(left) - 1}"
    assert [client.open for client in opened] == left


async def test_a_call_that_fails_late_closes_its_own_connection_and_not_its_successor(opened: list[Client]) -> None:
    workload = Workload()
    await workload.assertion(AUDIENCE)

    def another_call_has_failed_before() -> None:
        failed: Any = opened[0]
        workload._close(failed)
        workload._client = cast("Any", Client(default_timeout=module.SECONDS_TO_WAIT))

    opened[0].meanwhile.append(another_call_has_failed_before)
    Client.fails = "to answer: StatusCode.UNAVAILABLE"
    with pytest.raises(WorkloadError):
        await workload.assertion(AUDIENCE)
    Client.fails = ""

    assert await workload.assertion(AUDIENCE) == "token 1"
    assert [client.open for client in opened] == [False, True]


# certificates


async def test_a_slow_measurement_is_waited_for_and_a_slow_answer_of_another_kind_does_not_end_it(
    opened: list[Client], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    workload, Client.slow, waits = Workload(), True, list[float]()
    get = module._next

    async def waited(sent: Any, seconds: float) -> X509Context:
        waits.append(seconds)
        return await get(sent, seconds)

    monkeypatch.setattr(module, "_next", waited)
    running = workload.running()
    opening = asyncio.ensure_future(running.__aenter__())
    await until(lambda: bool(waits))
    Client.fails = "to answer: StatusCode.DEADLINE_EXCEEDED"
    for _ in range(module.THREADS + 1):
        with pytest.raises(WorkloadError):
            await workload.assertion(AUDIENCE)
    assert not opening.done()
    opened[0].send(context())
    await opening
    await until(lambda: len(waits) == 2)

    assert (Client.asked, [client.open for client in opened]) == (1, [True])
    assert waits == [LONGEST_X509_SVID, pytest.approx(0.9 * Client.life, rel=0.2)]
    assert [message.partition(":")[0] for message in caplog.messages] == ["waiting for the first SVID"]
    await running.__aexit__(None, None, None)


async def test_where_somebody_cannot_go_on_with_a_new_certificate_the_others_do_and_another_one_is_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    workload, told, tries = Workload(), list[Svid](), list[Svid]()

    def unable(svid: Svid) -> None:
        tries.append(svid)
        if len(tries) == 1:
            raise OSError(errno.EMFILE, "Too many open files")

    workload.on_renewal(unable)
    workload.on_renewal(told.append)
    async with workload.running():
        await until(lambda: len(told) == 2)
        assert tries == told
        assert workload.svid is told[1]
    assert [record.message for record in caplog.records] == ["a new SVID could not be used"]


async def test_a_process_waits_for_its_first_certificate_and_says_why(
    opened: list[Client], caplog: pytest.LogCaptureFixture
) -> None:
    workload, Client.away = Workload(), 2
    with pytest.raises(WorkloadError, match=r"no X\.509"):
        assert workload.svid
    before = time.monotonic()
    async with workload.running():
        assert workload.svid.id == f"spiffe://{the_ca().trust_domain}/{PARTY}"
        assert Client.asked == 3
        assert time.monotonic() - before >= 2 * module.SECONDS_BETWEEN_TRIES
    assert caplog.messages == ["no SVID: away (StatusCode.UNAVAILABLE)"]  # once, though it was tried twice
    await until(lambda: len(asyncio.all_tasks()) == 1)
    assert [(client.open, client.followed) for client in opened] == [(False, False)] * 3


async def test_whatever_is_sent_counts_at_once_and_whoever_asked_for_it_is_notified(opened: list[Client]) -> None:
    workload, told = Workload(), list[Svid]()
    async with workload.running():
        workload.on_renewal(told.append)
        first, other, between = workload.svid, CA(), CA(above=the_ca())
        sent = [context(), context(the_ca(), other), context(other), context(signed_by=between)]
        for number, news in enumerate(sent, 1):
            await asyncio.to_thread(opened[0].send, news)
            await until(partial(lambda number: len(told) == number, number))
            assert workload.svid is told[-1]

    assert [set(svid.bundle) for svid in [first, *told]] == [
        *[{the_ca().certificate}] * 2,
        {the_ca().certificate, other.certificate},
        {other.certificate},
        {the_ca().certificate},
    ]
    assert [svid.intermediates for svid in told] == [(), (), (), (between.certificate,)]
    assert len({first.certificate, *(svid.certificate for svid in told)}) == 5
    assert Client.asked == 1


async def test_where_nothing_is_sent_any_more_another_one_is_asked_for_before_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    workload, Client.life = Workload(), 4.0
    async with workload.running():
        first = workload.svid
        await until(lambda: workload._svid is not first)
        assert time.time() < first.not_after
    assert {record.levelname for record in caplog.records} == {"WARNING"}


@pytest.mark.parametrize("amiss", ["no bundle", "a key of another kind", "too long a life", "a mistake of ours"])
async def test_what_nobody_could_use_is_no_identity(
    amiss: str, signing_key: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if amiss == "no bundle":
        Client.trusts = False
    elif amiss == "a mistake of ours":
        monkeypatch.setattr(module, "svid_of", None)
    elif amiss == "too long a life":
        Client.life = 121.0
    else:
        Client.key = signing_key
    opening = asyncio.ensure_future(Workload().running().__aenter__())
    await until(lambda: Client.asked > 1)
    assert not opening.done()
    assert caplog.messages
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening


async def test_a_jwt_svid_that_lives_too_long_is_none() -> None:
    workload, Client.jwt_life = Workload(), 70.0
    with pytest.raises(WorkloadError, match="the longest allowed is 60 s"):
        await workload.assertion(AUDIENCE)
    workload.close()


async def test_a_certificate_that_has_ended_is_none_and_whoever_gives_them_is_asked_until_there_is_one() -> None:
    workload, Client.life = Workload(), 1.0
    async with workload.running():
        Client.away, Client.life = Client.asked + 1000, 120.0
        first = workload.svid
        await until(lambda: time.time() > first.not_after)
        with pytest.raises(WorkloadError, match="has expired"):
            assert workload.svid
        Client.away = 0
        await until(lambda: workload._svid is not first)
        assert workload.svid.not_after > time.time()
