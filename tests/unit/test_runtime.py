"""From settings to a running party, over real sockets: the registry is followed, and the party is known by its SVID."""

import asyncio
import gc
import math
import socket
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
import uvicorn
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.types import ASGIApp

from authorities.registry.app import create_app as create_registry
from inference.main import create_app as create_inference
from tests.support.ca import ATTESTATION_PARTY, REGISTRY_PARTY, the_ca
from tests.support.policies import AUTHORITY, keep
from tests.support.system import POLICY, ROOT, registry
from tests.support.waiting import until
from zerotrust import runtime
from zerotrust.authority.files.lock import load_lock
from zerotrust.decision import Reason
from zerotrust.hardening.server import server
from zerotrust.policy_in_force import NoPolicy
from zerotrust.registry.policy_bundle import Bundle
from zerotrust.registry.snapshot import RegistrySnapshot
from zerotrust.revocation import Revocations
from zerotrust.runtime import compose, freeze_loaded, policy_of, registry_feed, serve
from zerotrust.service import Service
from zerotrust.settings import Settings
from zerotrust.spiffe.svid import Svid, WorkloadError
from zerotrust.spiffe.tls import client_context
from zerotrust.spiffe.workload import Workload

INFERENCE = "inference"
ISSUER = "https://127.0.0.1:1/realms/agents"


class Launched:
    """Stands for the Workload API: an SVID, and another when a test says so."""

    def __init__(self, party: str) -> None:
        self.party, self.svid = party, the_ca().svid(party)
        self._renewed: list[Callable[[Svid], None]] = []

    def on_renewal(self, call: Callable[[Svid], None]) -> None:
        self._renewed.append(call)

    def renew(self, svid: Svid) -> None:
        self.svid = svid
        for call in self._renewed:
            call(svid)

    async def assertion(self, audience: str) -> str:
        raise WorkloadError(f"none for {audience}")


def launched(party: str) -> Workload:
    return cast("Workload", Launched(party))


@pytest.fixture
def ports() -> dict[str, int]:
    found = {}
    for name in (REGISTRY_PARTY, AUTHORITY, INFERENCE):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            found[name] = free.getsockname()[1]
    return found


@pytest.fixture
def snapshot(ports: dict[str, int]) -> RegistrySnapshot:
    places = {name: f"https://127.0.0.1:{port}" for name, port in ports.items()}
    approved = load_lock(ROOT / "registry.lock").parties
    found = registry()
    addresses = {name: found.address(name) for name in ports}
    return RegistrySnapshot(registry=found, addresses=addresses, places=places, approved=approved)


def settings(snapshot: RegistrySnapshot, folder: Path, name: str = INFERENCE, **changed: Any) -> Settings:
    told: dict[str, Any] = {
        "registry": snapshot.places[REGISTRY_PARTY],
        "registry_party": REGISTRY_PARTY,
        "issuer": ISSUER,
        "issuer_at": ISSUER,
        "host": "127.0.0.1",
        "port": httpx.URL(snapshot.places[name]).port,
        "data": folder,
    }
    return Settings(**told | changed)


def composed(
    party: str, snapshot: RegistrySnapshot, folder: Path, workload: Workload, revocations: Revocations
) -> Service:
    return compose(
        party, snapshot, policy_of(POLICY, snapshot.registry), settings(snapshot, folder), workload, revocations
    )


@pytest.fixture(autouse=True)
def _collector_as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@asynccontextmanager
async def serving(service: Service, app: ASGIApp, workload: Workload) -> AsyncIterator[None]:
    """Serve a party until the block ends."""
    servers: list[uvicorn.Server] = []
    told = settings(service.snapshot, service.data, service.name)
    with pytest.MonkeyPatch.context() as patch:

        def noted(*arguments: Any, **named: Any) -> uvicorn.Server:
            servers.append(server(*arguments, **named))
            return servers[-1]

        patch.setattr(runtime, "server", noted)
        task = asyncio.create_task(serve(service, app, workload, told))
        await until(lambda: servers and servers[0].started)
    try:
        yield
    finally:
        servers[0].should_exit = True
        await task


async def follow_nobody(_apply: object, heard: Callable[[float], None]) -> None:
    """Nothing was revoked at the issuer, time and again."""
    while True:
        heard(time.monotonic())
        await asyncio.sleep(0.1)


@asynccontextmanager
async def registry_alive(snapshot: RegistrySnapshot, folder: Path) -> AsyncIterator[Service]:
    revocations, workload = Revocations(clock=time.monotonic), launched(REGISTRY_PARTY)
    service = composed(REGISTRY_PARTY, snapshot, folder / "registry", workload, revocations)
    clients: Any = None  # nobody is suspended here
    keep(service.data)
    app = create_registry(service, clients, lambda: snapshot, follow_nobody)
    async with serving(service, app, workload):
        yield service


async def test_a_party_follows_the_registry_and_is_served_and_called_by_its_svid(
    snapshot: RegistrySnapshot, tmp_path: Path
) -> None:
    workload = launched(INFERENCE)
    async with registry_alive(snapshot, tmp_path):
        feed = registry_feed(settings(snapshot, tmp_path), workload)
        # Attestation was not heard of yet: nothing is fresh, and a party that starts now would wait.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3), feed.running():
                pass
        assert feed.revocations.check_party(workload.svid.id).reason is Reason.REVOCATION_UNKNOWN

        await report(snapshot)
        feed = registry_feed(settings(snapshot, tmp_path), workload)
        async with feed.running():
            assert feed.snapshot == snapshot
            service = composed(INFERENCE, feed.snapshot, tmp_path, workload, feed.revocations)
            async with serving(service, create_inference(service), workload):
                assert gc.get_threshold() == runtime.COLLECTED_AFTER
                url = f"{snapshot.addresses[INFERENCE]}/health"
                async with caller(snapshot, "agent/reader") as reader:
                    assert (await reader.get(url)).json() == {"status": "ok"}
                    cast("Launched", workload).renew(the_ca().svid(INFERENCE))
                    assert (await reader.get(url)).status_code == 200
                async with caller(snapshot, "agent/writer") as writer:  # on a connection that is new
                    tls = (await writer.get(url)).extensions["network_stream"].get_extra_info("ssl_object")
                    assert tls.getpeercert(binary_form=True) == workload.svid.certificate.public_bytes(Encoding.DER)
                async with httpx.AsyncClient(verify=the_ca().for_users(), trust_env=False) as user:
                    url = f"{snapshot.places[INFERENCE]}/health"
                    with pytest.raises(httpx.TransportError):
                        await user.get(url, extensions={"sni_hostname": "inference.agents.example"})


class Coming(Revocations):
    """Nobody knows who is revoked, until it was asked for several times; notes whether somebody listened by then."""

    def __init__(self, port: int) -> None:
        super().__init__(clock=time.monotonic)
        self.port, self.listened, self.turned = port, list[bool](), list[None]()

    @property
    def fresh(self) -> bool:
        if len(self.listened) > 3:
            return True
        assert len(self.turned) == len(self.listened)  # between two looks, the loop goes on
        asyncio.get_running_loop().call_soon(self.turned.append, None)
        with socket.socket() as caller:
            self.listened.append(caller.connect_ex(("127.0.0.1", self.port)) == 0)
        return False


async def test_a_service_listens_once_it_knows_who_is_revoked_and_an_authority_at_once(
    snapshot: RegistrySnapshot, ports: dict[str, int], tmp_path: Path
) -> None:
    coming = Coming(ports[INFERENCE])
    service = composed(INFERENCE, snapshot, tmp_path, launched(INFERENCE), coming)
    async with serving(service, create_inference(service), launched(INFERENCE)):
        assert coming.fresh
        assert not any(coming.listened)
        assert service._delivery
    await until(lambda: len(asyncio.all_tasks()) == 1)
    unknown = Revocations(clock=time.monotonic)
    service = composed(REGISTRY_PARTY, snapshot, tmp_path / "registry", launched(REGISTRY_PARTY), unknown)
    async with serving(service, create_inference(service), launched(REGISTRY_PARTY)):
        assert not unknown.fresh


@asynccontextmanager
async def caller(snapshot: RegistrySnapshot, party: str) -> AsyncIterator[httpx.AsyncClient]:
    async with runtime.client(snapshot.directory(), launched(party), client_context, seconds=5) as http:
        yield http


async def report(snapshot: RegistrySnapshot) -> None:
    """As the verifier of a node: everything is as it was approved."""
    verifier = cast("Launched", launched(ATTESTATION_PARTY))
    verifier.renew(the_ca().svid(ATTESTATION_PARTY, dns=f"local.{snapshot.registry.dns_name(ATTESTATION_PARTY)}"))
    async with runtime.client(snapshot.directory(), cast("Workload", verifier), client_context, seconds=5) as http:
        answer = await http.post(
            f"{snapshot.addresses[REGISTRY_PARTY]}/attestation", json={"parties": {}, "at": time.time()}
        )
        assert answer.json()["suspended"] == []


async def test_what_a_party_calls_with_is_renewed_with_it(snapshot: RegistrySnapshot, tmp_path: Path) -> None:
    workload = launched(INFERENCE)
    service = composed(INFERENCE, snapshot, tmp_path, workload, Revocations(clock=time.monotonic))
    alone = runtime.client(snapshot.directory(), workload, client_context, seconds=5)
    cast("Launched", workload).renew(the_ca().svid(INFERENCE))

    calling: list[Any] = [*service.egress._transports, service._identity_http._transport, alone._transport]
    assert [connections._svid for connections in calling] == [workload.svid] * 4
    assert calling[2]._directory.places == {"127.0.0.1": ("127.0.0.1", 1)}
    for connections in calling:
        await connections.aclose()


async def test_no_client_of_a_party_calls_who_is_suspended_but_for_the_registry(
    snapshot: RegistrySnapshot, tmp_path: Path
) -> None:
    """Nor an authority, which takes no token: AuthZEN goes that way.  Without the registry, everything would end."""
    revocations, own = Revocations(clock=time.monotonic), snapshot.registry
    service = composed("agent/reader", snapshot, tmp_path, launched("agent/reader"), revocations)
    to = service.egress
    clients = {REGISTRY_PARTY: to.authorities, AUTHORITY: to.authorities, INFERENCE: to.without_token}
    for why in "Connect call failed", "the party is suspended":
        for name, http in clients.items():
            with pytest.raises(httpx.ConnectError, match="Connect call failed" if name == REGISTRY_PARTY else why):
                await http.get(snapshot.addresses[name])
        revocations.replace(1, {("party", own.id(name)): "its code has changed" for name in clients})
    await service.egress.close()


@pytest.mark.parametrize("its_gate", ["served", "dropped"])
def test_a_party_is_composed_of_its_settings_and_what_the_registry_says(
    snapshot: RegistrySnapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, its_gate: str
) -> None:
    """`run`, but for its two ends: a Workload API, and a registry to follow."""
    workload, revocations = launched(INFERENCE), Revocations(clock=time.monotonic)
    news: list[Callable[[RegistrySnapshot, Bundle | None], None]] = []
    made, served = list[ASGIApp](), list[Service]()

    class Followed:
        def __init__(self) -> None:
            self.snapshot, self.policies = snapshot, Bundle(1, POLICY, 0.0, math.inf)
            self.revocations, self.on_change = revocations, news.append

        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            yield

    @asynccontextmanager
    async def opened() -> AsyncIterator[None]:
        yield

    async def noted(service: Service, app: ASGIApp, *who: object) -> None:
        assert ([app], *who) == (made, workload, told)
        served.append(service)
        assert service._decider.policy.version == f"1-{POLICY.digest[:12]}"
        news[0](other, Bundle(2, stricter, 0.0, math.inf))
        assert service.snapshot == other
        assert service._decider.policy.version == f"2-{stricter.digest[:12]}"
        news[0](other, None)
        assert service._decider.policy.version == NoPolicy.version
        await service.egress.close()

    other = snapshot.model_copy(update={"read_from": {"registry.yaml": "0" * 64}})
    stricter = POLICY.model_copy(update={"policies": POLICY.policies + "// stricter"})
    told = settings(snapshot, tmp_path)
    log: list[object] = []
    workload.running = opened  # type: ignore[method-assign] # it is open already
    for name, instead in {
        "Workload": lambda: workload,
        "Settings": lambda: told,
        "registry_feed": lambda given, _: Followed() if given is told else None,
        "serve": noted,
        "log_json_lines": lambda: log.append(True),
        "os": SimpleNamespace(getpid=lambda: 1),
        "signal": SimpleNamespace(SIGTERM="TERM", signal=lambda number, _: log.append(number)),
    }.items():
        monkeypatch.setattr(runtime, name, instead)

    def create_app(service: Service) -> ASGIApp:
        made.append(create_inference(service))
        return made[0] if its_gate == "served" else service.app()

    if its_gate == "dropped":
        with pytest.raises(TypeError, match=r"what service\.guard returns"):
            runtime.run(INFERENCE, create_app)
        assert served == []
        return
    runtime.run(INFERENCE, create_app)

    assert [service.name for service in served] == [INFERENCE]
    assert log == ["TERM", True]


async def test_who_was_launched_as_somebody_else_does_not_serve(snapshot: RegistrySnapshot, tmp_path: Path) -> None:
    workload = launched("agent/reader")
    service = composed(INFERENCE, snapshot, tmp_path, workload, Revocations(clock=time.monotonic))

    with pytest.raises(WorkloadError, match=r"launched as .*/agent/reader, and started as inference"):
        await serve(service, create_inference(service), workload, settings(snapshot, tmp_path))


class Ring:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.ring = self


def test_the_garbage_of_requests_is_found_and_what_was_loaded_is_not_looked_through() -> None:
    loaded = weakref.ref(Ring())
    kept = Ring()
    freeze_loaded()
    assert loaded() is None

    loaded, made = weakref.ref(kept), weakref.ref(Ring())
    del kept
    gc.collect()

    assert made() is None
    assert loaded() is not None
    assert gc.get_threshold() == runtime.COLLECTED_AFTER
