"""`zt --as`: a party operates by its own identity; what it asks for, and what it says where that fails."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import zt.itself as module
from testkit.issuer import ISSUER
from tests.support.ca import the_ca
from tests.support.operator import NAMES, Registered, Zt, failed, program_at, served
from tests.support.pki import CA
from tests.support.system import deployment
from zerotrust.decision import Denied, Reason
from zerotrust.hardening.pools import Connections
from zerotrust.issuer.client import IssuerClient
from zerotrust.registry.model import Registry
from zerotrust.spiffe.svid import Svid, WorkloadError
from zerotrust.spiffe.tls import user_context
from zerotrust.spiffe.workload import Workload
from zt.people.authorities import Place

SUSPEND = "POST /parties/agent/reader/suspend"
COMMAND = "party", "suspend", "agent/reader", "--because", "a test"


class Attested:
    """What the Workload API answers."""

    def __init__(self, answer: Svid | WorkloadError) -> None:
        self.answer, self.open, self.unknown = answer, True, 0

    async def fetch(self) -> Svid:
        self.unknown -= 1
        if self.unknown >= 0:
            raise WorkloadError("no identity issued")
        if isinstance(self.answer, WorkloadError):
            raise self.answer
        return self.answer

    def close(self) -> None:
        self.open = False


@pytest.fixture
def attested(monkeypatch: pytest.MonkeyPatch) -> Attested:
    attested = Attested(the_ca().svid("automation/ci"))
    monkeypatch.setattr(module, "Workload", lambda _: attested)
    monkeypatch.setattr(module, "SECONDS_TO_BE_KNOWN", 0)
    return attested


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What Keycloak is asked; the last entry is its answer."""
    asked: list[Any] = [(200, {"access_token": "T"})]

    async def post(_: IssuerClient, endpoint: str, form: dict[str, str]) -> Any:
        asked.insert(0, (endpoint, form))
        if isinstance(asked[-1], Denied):
            raise asked[-1]
        return asked[-1]

    monkeypatch.setattr(IssuerClient, "post", post)
    return asked


@pytest.fixture
def registered() -> Registered:
    party = {"name": "agent/reader", "state": "suspended", "cause": "a test", "since": 1795000000}
    return Registered({SUSPEND: (200, {"party": party, "keycloak": "notified"})})


@pytest.fixture
def zt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, registered: Registered, ca: CA, registry: Registry
) -> Iterator[Zt]:
    """Run `zt` as that party, against the genuine registry."""

    def trusting(directory: Any, svid: Svid, *_: Any) -> Connections:  # the registry's certificate is of another CA
        pem = ca.pem.decode()
        return Connections(directory, svid, lambda _svid, parties: user_context(pem, parties))

    monkeypatch.setattr(module, "Connections", trusting)
    place = Place.of(registry, deployment(), issuer=ISSUER, ca=tmp_path / "ca.pem")
    with served(registered, *ca.party(tmp_path, *NAMES)) as port:
        program = program_at(monkeypatch, place, port, ca)
        monkeypatch.setenv("ZT_AS", "automation/ci")
        yield program


def test_it_asks_for_what_its_registration_names_at_this_authority_and_shows_its_own_token(
    zt: Zt, attested: Attested, asked: list[Any], registered: Registered
) -> None:
    done = zt(*COMMAND)

    assert (done.exit_code, done.stderr) == (0, "")
    scope = "aud:authority/registry registry.reinstate registry.revoke registry.suspend"
    assert asked[0] == ("token_endpoint", {"grant_type": "client_credentials", "scope": scope})
    assert registered.asked == [(SUSPEND, {"cause": "a test"}, "Bearer T")]
    assert not attested.open


@pytest.mark.parametrize("name", ["agent/reader", "zt", "nobody"])
def test_who_is_not_registered_to_operate_asks_nobody(
    zt: Zt, attested: Attested, asked: list[Any], registered: Registered, name: str
) -> None:
    assert failed(zt("--as", name, *COMMAND)).startswith(f"registry.yaml lets {name} do nothing at the registry")
    assert (len(asked), registered.asked) == (1, [])


def test_a_process_without_an_identity_is_told_where_there_is_one(
    zt: Zt, attested: Attested, monkeypatch: pytest.MonkeyPatch
) -> None:
    attested.answer = WorkloadError("no identity issued")
    told = "Attestation gives this process no identity ({}): see docs/how-to/operate.md."
    assert failed(zt(*COMMAND)) == told.format("no identity issued")

    monkeypatch.setattr(module, "Workload", Workload)
    monkeypatch.delenv("SPIFFE_ENDPOINT_SOCKET", raising=False)
    assert "SPIFFE endpoint socket" in failed(zt(*COMMAND))


def test_a_process_that_spires_agent_does_not_know_yet_asks_again(
    zt: Zt, attested: Attested, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS_TO_BE_KNOWN", 60)
    monkeypatch.setattr(module, "SECONDS_BETWEEN_TRIES", 0)
    attested.unknown = 3

    assert zt(*COMMAND).exit_code == 0
    assert attested.unknown < 0


def test_a_workload_api_that_does_not_answer_is_not_waited_for(
    zt: Zt, attested: Attested, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "SECONDS_TO_BE_ATTESTED", 0.2)
    monkeypatch.setattr(module, "Workload", Workload)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "api.sock"))
        silent.listen()
        monkeypatch.setenv("SPIFFE_ENDPOINT_SOCKET", f"unix:{tmp_path}/api.sock")

        assert failed(zt(*COMMAND)).startswith("Attestation gives this process no identity (no SVID: ")


def test_a_process_is_who_attestation_says_it_is(zt: Zt, attested: Attested, asked: list[Any]) -> None:
    attested.answer = the_ca().svid("agent/reader")

    assert failed(zt(*COMMAND)) == "This process is spiffe://agents.example/agent/reader, and not automation/ci."
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((401, {"error": "invalid_client"}), "Keycloak gave automation/ci no token: invalid_client."),
        (Denied(Reason.ISSUER_UNAVAILABLE, "status 503"), "Keycloak gave automation/ci no token: status 503."),
    ],
)
def test_what_keycloak_refuses_is_told(zt: Zt, attested: Attested, asked: list[Any], answer: Any, told: str) -> None:
    asked[-1] = answer

    assert failed(zt(*COMMAND)) == told
