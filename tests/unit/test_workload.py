"""The client of the Workload API that a process keeps: one, for as long as it works; what it asks is in
`tests/services/test_attestation.py`."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from spiffe.errors import PySpiffeError

from zerotrust import workload as module
from zerotrust.workload import Workload, WorkloadError

AUDIENCE = "https://keycloak.test/realms/agents"


class Client:
    """What the library's does; `fails` says when."""

    opened: list["Client"]
    fails = ""

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
        return SimpleNamespace(token=f"token {Client.opened.index(self)}")

    def close(self) -> None:
        self.open = False


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    monkeypatch.setattr(module, "WorkloadApiClient", Client)
    Client.opened, Client.fails = [], ""
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
