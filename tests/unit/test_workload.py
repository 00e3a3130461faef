"""A process's own identity, and the one client of the Workload API that it keeps; the real one is asked in
`tests/services/test_attestation.py`."""

import asyncio
import errno
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from spiffe import SpiffeId
from spiffe.errors import PySpiffeError

from tests.support.ca import the_ca
from zerotrust import workload as module
from zerotrust.svid import Svid
from zerotrust.workload import Workload, WorkloadError

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
    trusts = True
    """Whether there is a bundle."""

    def __init__(self, *, default_timeout: float) -> None:
        assert default_timeout == module.SECONDS_TO_WAIT
        if Client.fails == "to open":
            raise PySpiffeError("no socket")
        self.open, self.meanwhile = True, list[Callable[[], object]]()
        Client.opened.append(self)

    def fetch_jwt_svid(self, audience: set[str]) -> Any:
        assert audience == {AUDIENCE}
        for do in self.meanwhile:
            do()
        if Client.fails == "to answer":
            raise PySpiffeError("away")
        return SimpleNamespace(token=f"token {Client.opened.index(self)}", expiry=time.time() + Client.jwt_life)

    def fetch_x509_context(self) -> Any:
        Client.asked += 1
        if Client.asked <= Client.away:
            raise PySpiffeError("away")
        svid = the_ca().svid(PARTY, life=Client.life)
        found = SimpleNamespace(spiffe_id=SpiffeId(svid.id), leaf=svid.certificate, private_key=Client.key or svid.key)
        bundle = SimpleNamespace(x509_authorities=svid.bundle) if Client.trusts else None
        bundles = SimpleNamespace(get_bundle_for_trust_domain=lambda _: bundle)
        return SimpleNamespace(default_svid=found, x509_bundle_set=bundles)

    def close(self) -> None:
        self.open = False


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    monkeypatch.setattr(module, "WorkloadApiClient", Client)
    monkeypatch.setattr(module, "SECONDS_BETWEEN_TRIES", 0.01)
    Client.opened, Client.fails = [], ""
    Client.asked, Client.away, Client.life, Client.key, Client.trusts = 0, 0, 120.0, None, True
    Client.jwt_life = 60.0
    return Client.opened


async def test_a_process_keeps_one_connection_until_it_closes_it(opened: list[Client]) -> None:
    workload = Workload()
    assert [await workload.assertion(AUDIENCE) for _ in range(3)] == ["token 0"] * 3
    workload.close()

    assert [client.open for client in opened] == [False]
    assert await workload.assertion(AUDIENCE) == "token 1"


async def test_what_has_failed_is_closed_and_the_next_call_opens_another(opened: list[Client]) -> None:
    workload, Client.fails = Workload(), "to answer"
    with pytest.raises(WorkloadError, match="away"):
        await workload.assertion(AUDIENCE)
    Client.fails = ""

    assert await workload.assertion(AUDIENCE) == "token 1"
    assert [client.open for client in opened] == [False, True]


async def test_a_connection_that_cannot_be_opened_is_no_identity_either() -> None:
    workload, Client.fails = Workload(), "to open"
    with pytest.raises(WorkloadError, match="no socket"):
        await workload.assertion(AUDIENCE)
    workload.close()
    Client.fails = ""

    assert await workload.assertion(AUDIENCE) == "token 0"


async def test_a_call_that_fails_late_closes_its_own_connection_and_not_its_successor(opened: list[Client]) -> None:
    workload = Workload()
    await workload.assertion(AUDIENCE)

    def another_call_has_failed_before() -> None:
        failed: Any = opened[0]
        workload._close(failed)
        workload._client = cast("Any", Client(default_timeout=module.SECONDS_TO_WAIT))

    opened[0].meanwhile.append(another_call_has_failed_before)
    Client.fails = "to answer"
    with pytest.raises(WorkloadError):
        await workload.assertion(AUDIENCE)
    Client.fails = ""

    assert await workload.assertion(AUDIENCE) == "token 1"
    assert [client.open for client in opened] == [False, True]


# certificates


async def test_where_somebody_cannot_go_on_with_a_new_certificate_the_others_do_and_another_one_is_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    workload, Client.life, told, tries = Workload(), 2.0, list[Svid](), list[Svid]()

    def unable(svid: Svid) -> None:
        tries.append(svid)
        if len(tries) == 1:
            raise OSError(errno.EMFILE, "Too many open files")

    workload.on_renewal(unable)
    workload.on_renewal(told.append)
    async with workload.opened():
        Client.life = 120.0  # of the next ones: what could not be used is not waited out
        await until(lambda: len(told) == 2)
        assert tries == told
        assert workload.svid is told[1]
    assert [record.message for record in caplog.records] == ["a new SVID could not be used"]


async def until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not check():
            await asyncio.sleep(0.005)


async def test_a_process_waits_for_its_first_certificate_and_says_why(
    opened: list[Client], caplog: pytest.LogCaptureFixture
) -> None:
    workload, Client.away = Workload(), 2
    with pytest.raises(WorkloadError, match=r"no X\.509"):
        assert workload.svid
    before = time.monotonic()
    async with workload.opened():
        assert workload.svid.id == f"spiffe://{the_ca().trust_domain}/{PARTY}"
        assert Client.asked == 3
        assert time.monotonic() - before >= 2 * module.SECONDS_BETWEEN_TRIES
    assert caplog.messages == ["no SVID: away"] * 2
    assert not any(client.open for client in opened)


async def test_a_certificate_is_renewed_at_half_of_its_life_and_whoever_wants_to_know_is_told() -> None:
    workload, Client.life, told = Workload(), 2.0, list[Svid]()
    workload.on_renewal(told.append)
    async with workload.opened():
        first = workload.svid
        await asyncio.sleep(0.2)
        assert (workload.svid, Client.asked) == (first, 1)
        await until(lambda: told)
        assert told == [workload.svid] != [first]
        assert time.time() < first.not_after
    asked = Client.asked
    await asyncio.sleep(1.5)
    assert Client.asked == asked


@pytest.mark.parametrize("amiss", ["no bundle", "a key of another kind", "too long a life"])
async def test_what_nobody_could_use_is_no_identity(amiss: str, signing_key: RSAPrivateKey) -> None:
    if amiss == "no bundle":
        Client.trusts = False
    elif amiss == "too long a life":
        Client.life = 121.0
    else:
        Client.key = signing_key
    workload = Workload()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), workload.opened():
            pass
    assert Client.asked > 1


async def test_a_jwt_svid_that_lives_too_long_is_none() -> None:
    workload, Client.jwt_life = Workload(), 70.0
    with pytest.raises(WorkloadError, match="where none may live longer than 60"):
        await workload.assertion(AUDIENCE)
    workload.close()


async def test_a_certificate_that_has_ended_is_none_and_whoever_gives_them_is_asked_until_there_is_one() -> None:
    workload, Client.life = Workload(), 1.0
    async with workload.opened():
        Client.away, Client.life = Client.asked + 1000, 120.0
        first = workload.svid
        await until(lambda: time.time() > first.not_after)
        with pytest.raises(WorkloadError, match="has ended"):
            assert workload.svid
        Client.away = 0
        await until(lambda: workload._svid is not first)
        assert workload.svid.not_after > time.time()
