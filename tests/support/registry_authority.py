"""The registry in process, what its realm is told, and who comes to its doors or follows it."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from authorities.registry.app import create_app
from authorities.registry.keycloak.admin import Administration, AdministrationError
from authorities.registry.keycloak.events import Apply
from authorities.registry.policies import KEPT
from authorities.registry.policies import PATH as POLICY_AT
from authorities.registry.state import Entry, State
from authorities.registry.stream import Stream
from testkit.issuer import USERS_PRIVATE_KEY
from tests.support.ca import NO_CERTIFICATE, the_ca, verifier, workload
from tests.support.issuer import Issuer
from tests.support.policies import AUTHORITY as POLICY_AUTHORITY
from tests.support.policies import keep, signed
from tests.support.system import System, Wire, lifespan, registry, svid_of
from zerotrust.registry.events import RevocationEvents
from zerotrust.registry.feed import PATH
from zerotrust.registry.policy_bundle import SignedPolicy
from zerotrust.registry.snapshot import RegistrySnapshot
from zerotrust.registry.topics import REVOCATIONS
from zerotrust.revocation import Revocations
from zerotrust.revocation_list import Kind
from zerotrust.service import Service
from zerotrust.spiffe.statement import statement_type, verify_statement
from zerotrust.spiffe.svid import Peer, Svid
from zt.people.key import BoundToken, Key

NAME, READER, ATTESTATION_PARTY = "authority/registry", "agent/reader", "authority/attestation"


READERS_ID = "spiffe://agents.example/agent/reader"


ME = "spiffe://agents.example/authority/registry"


ADDRESS = registry().address("authority/registry")


FOLLOWER = "spiffe://agents.example/inference"


OPENING = 4
"""Lines with which the feed begins where little is revoked: registry, policies, state, heartbeat."""


class Realm(Administration):
    """The realm's clients, without a Keycloak, and what the registry thought at the time it told them."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, bool]] = []
        self.away, self.imported = False, "the first import"
        self.revocations: Revocations | None = None

    async def _tell(self, what: str, client_id: str) -> None:
        assert self.revocations
        revoked = {name for _, name in self.revocations.revoked}
        self.told.append((what, client_id, client_id not in revoked))
        if self.away:
            raise AdministrationError("Keycloak is away")

    async def enable_client(self, client_id: str) -> None:
        await self._tell("enable", client_id)

    async def disable_client(self, client_id: str) -> None:
        await self._tell("disable", client_id)

    async def identity(self, client_id: str) -> str:
        assert client_id == ME
        return self.imported

    async def user_id(self, name: str) -> str | None:
        if self.away:
            raise AdministrationError("Keycloak is away")
        return {"alice": "alices-id"}.get(name)

    async def disable_user(self, user: str) -> None:
        await self._tell("disable user", user)

    async def enable_user(self, user: str) -> None:
        await self._tell("enable user", user)

    async def end_session(self, session: str) -> None:
        await self._tell("end session", session)


async def follow_nobody(_apply: Apply, _heard: Callable[[float], None]) -> None:
    """Nothing is heard of the issuer here."""


class Authority:
    """The registry, alive, and who comes to its doors."""

    def __init__(self, folder: Path, issuer: Issuer, *, first: bool = False) -> None:
        """At its very `first` start, it has no policies yet."""
        self.system, self.issuer, self.realm = (
            System(folder, issuer.registry, issuer, Service, time.time),
            issuer,
            Realm(),
        )
        self.realm.revocations = self.revocations = self.system.revocations
        self.found: Callable[[], RegistrySnapshot] = lambda: self.system.snapshot
        service = self.system.service(NAME)
        if not first and not (service.data / KEPT).exists():
            keep(service.data)
        self.app = create_app(service, self.realm, self._found, follow_nobody)

    def _found(self) -> RegistrySnapshot:
        return self.found()

    async def bring(self, sent: SignedPolicy, *, by: str = POLICY_AUTHORITY) -> httpx.Response:
        """What a party brings as policies."""
        async with httpx.AsyncClient(transport=Wire({ADDRESS: self.app}, workload(by)), base_url=ADDRESS) as http:
            return await http.post(POLICY_AT, content=sent.bundle)

    def operators_token(self, **changed: Any) -> str:
        good = {"azp": "zt", "aud": ME, "scope": "registry.admin", "groups": ["/operators"], "sub": "olivia"}
        return self.issuer.token(**(good | changed))

    async def ask(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, peer: Peer = NO_CERTIFICATE
    ) -> httpx.Response:
        """One request, by whoever is at the other end."""
        by_key = BoundToken(Key(private=USERS_PRIVATE_KEY), token) if token else None  # by the registry's own clock
        auth = self.issuer.presenting(token, peer) if token and peer.id else by_key
        async with httpx.AsyncClient(transport=Wire({ADDRESS: self.app}, peer), base_url=ADDRESS, auth=auth) as http:
            return await http.request(method, path, json=body)

    async def operate(self, method: str, path: str, body: Any = None) -> Any:
        """One request of an operator's, which succeeds."""
        answer = await self.ask(method, path, body, token=self.operators_token())
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def report(self, parties: dict[str, str], at: float | None = None, *, node: str = "local") -> list[str]:
        """What a verifier says runs at its node, and differs from what was approved."""
        answer = await self.ask(
            "POST",
            "/attestation",
            {"parties": parties, "at": time.time() if at is None else at},
            peer=verifier(node),
        )
        assert answer.status_code == 200, answer.text
        return list(answer.json()["suspended"])

    async def heard(self, party: str = READER, *, tries: Sequence[float] = (0.05, 0.5, 5, 30)) -> list[dict[str, Any]]:
        """What a party hears that follows, verified: all that a feed begins with, however slow this machine is.

        A connection ends a second before its certificate does; `tries` are seconds until then.
        """
        for seconds in tries:
            peer = Peer(self.issuer.registry.id(party), time.time() + 1 + seconds)
            answer = await self.ask("GET", PATH, peer=peer)
            assert answer.status_code == 200, answer.text
            if len(said := answer.text.splitlines()) >= OPENING:
                break
        return [read(line) for line in said]

    @property
    def events(self) -> list[tuple[str, str]]:
        """What was done, as the journal has it."""
        return [
            (record.get("action", record["event"]), record.get("target", ""))
            for record in self.system.records(NAME)
            if record["event"] not in {"request", "counts"}
        ]


def read(line: str) -> dict[str, Any]:
    """What the registry says in one line of its stream."""
    own = the_ca().svid("agent/reader")
    said = verify_statement(line, kind=statement_type(line), signer=ME, own=own, now=time.time())
    return said | {"kind": statement_type(line)}


@asynccontextmanager
async def authority_in(folder: Path, issuer: Issuer, imported: str = "the first import") -> AsyncIterator[Authority]:
    authority = Authority(folder, issuer)
    authority.realm.imported = imported
    async with lifespan(authority.app):
        yield authority


class Follower:
    """A party's own view of what it hears."""

    def __init__(self) -> None:
        self.revocations = Revocations(clock=time.monotonic)
        self.numbers: list[int] = []

    async def follow(self, stream: Stream, until: int) -> None:
        await self.apply_event(stream.follow(FOLLOWER, time.time() + 60), until)

    async def apply_event(self, lines: AsyncIterator[str], until: int) -> None:
        async for line in lines:
            said = read(line.rstrip("\n"))
            if said["kind"] == REVOCATIONS.type:
                RevocationEvents(self.revocations).take(said)
                self.numbers.append(self.revocations.number or 0)
                if self.numbers[-1] == until:
                    return


@asynccontextmanager
async def streaming(folder: Path, issuer: Issuer, identity: Callable[[], Svid] | None = None) -> AsyncIterator[Stream]:
    kept, revocations = State(folder / "revocations.db"), Revocations(clock=time.monotonic)
    snapshot = System(folder, issuer.registry, issuer, Service, time.time).snapshot
    svid = svid_of(NAME)
    async with kept.open():
        stream = Stream(kept, revocations=revocations, identity=identity or (lambda: svid))
        await stream.publish(snapshot)
        await stream.publish_policy(signed(), math.inf)
        revocations.replace(kept.number, kept.revoked)
        yield stream


async def put(state: State, kind: Kind, name: str, cause: str | None, *, pending: bool = False) -> int:
    """One change; its number."""
    return await state.change([Entry((kind, name), cause, pending)])


HANG = 60


async def told(authority: Authority, least: int) -> list[tuple[str, str]]:
    """What the realm was told, once that is all and no less than so much."""
    async with asyncio.timeout(HANG):
        while len(authority.realm.told) < least:
            await asyncio.sleep(0.01)
        count = -1
        while count != (count := len(authority.realm.told)):
            await asyncio.sleep(0.1)
    return [(what, name) for what, name, _ in authority.realm.told]
