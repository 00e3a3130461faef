"""What the real Keycloak revokes, as the registry hears of it: logouts are pushed, everything else is polled.

In a realm of its own, which is the committed one under another name: the sessions of other tests live on.
"""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from keycloak import KeycloakAdmin

from authorities.registry.keycloak import poll as module
from authorities.registry.keycloak.admin import Administration
from authorities.registry.keycloak.backchannel_logout import PATH as LOGOUT_PATH
from authorities.registry.keycloak.backchannel_logout import Logouts
from authorities.registry.keycloak.events import Change
from registration.realm import realm as derive
from start.keycloak.server import Keycloak
from testkit.browser import sign_in
from tests.support.ca import REGISTRY_PARTY
from tests.support.pki import CA
from tests.support.real import EVERYTHING, imported
from tests.support.realm import Realm, claims
from tests.support.svid import TrustDomain
from zerotrust.issuer.discovery import Discovery
from zerotrust.issuer.jwks import SigningKeys
from zerotrust.registry.model import Registry
from zerotrust.revocation_list import Revocable
from zt.people.login import Client, Login, LoginError, sign_out

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

REALM = "revocations"
READER = "spiffe://agents.example/agent/reader"
SECONDS = 60
"""How long anything may take on a busy machine; nothing fails sooner."""


class Heard:
    """What the registry would know: revoked subjects, each with its cause, and everything that took effect."""

    def __init__(self) -> None:
        self.revoked: dict[Revocable, str] = {}
        self.changes: list[tuple[float, Change]] = []
        self.complete = 0.0

    async def apply(self, change: Change) -> None:
        if change.takes_effect(self.revoked.get(change.subject)):
            self.changes.append((time.monotonic(), change))
            if change.cause:
                self.revoked[change.subject] = change.cause
            else:
                del self.revoked[change.subject]

    def heard(self, began: float) -> None:
        self.complete = began

    async def until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not met():
                await asyncio.sleep(0.01)

    async def of(self, kind: str, name: str) -> str:
        """Wait until it is revoked, and return the cause."""
        await self.until(lambda: (kind, name) in self.revoked)
        return self.revoked[kind, name]  # type: ignore[index] # compared with what it is

    def forget_seconds(self) -> None:
        """So that another cause for the same second is seen."""
        self.revoked = {subject: cause for subject, cause in self.revoked.items() if subject[0] != "before"}

    async def reinstated(self, kind: str, name: str) -> None:
        await self.until(lambda: (kind, name) not in self.revoked)

    async def everything(self) -> None:
        """Wait for a complete read that began after now."""
        now = time.monotonic()
        await self.until(lambda: self.complete > now)


class Place:
    """The realm, and who does what in it."""

    def __init__(self, keycloak: Keycloak, realm: Realm, admin: KeycloakAdmin, own: Administration) -> None:
        self.keycloak, self.realm, self.admin, self.own = keycloak, realm, admin, own
        self.pushed: list[float] = []

    @property
    def path(self) -> str:
        return f"admin/realms/{REALM}"

    async def sign_in(self, user: str = "alice") -> Login:
        password = self.keycloak.passwords[user]
        return await sign_in(self.realm.issuer, "walkthrough", user, password, EVERYTHING, verify=self.keycloak.tls)

    async def tell(self, endpoint: str, **form: str) -> None:
        """Call an endpoint as the public client."""
        answer = await self.realm.http.post(
            f"{self.realm.endpoint}/{endpoint}", data={"client_id": "walkthrough", **form}
        )
        assert answer.is_success, answer.text

    async def user(self, name: str = "alice") -> str:
        return str(await self.admin.a_get_user_id(name))


@pytest.fixture(scope="module")
def heard() -> Heard:
    return Heard()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(
    keycloak: Keycloak,
    http: httpx.AsyncClient,
    trust_domain: TrustDomain,
    registry: Registry,
    own_ca: CA,
    heard: Heard,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Place]:
    """The realm, its registry's door for logouts, and the poll."""
    folder, issuer = tmp_path_factory.mktemp("registry"), keycloak.issuer.replace("/agents", f"/{REALM}")
    shown = own_ca.workload(folder, registry.id(REGISTRY_PARTY))
    own = Administration(issuer, Assertions(trust_domain), http=httpx.AsyncClient(verify=shown, timeout=10))
    keys = SigningKeys(Discovery(issuer, http=http), http=http, freshness=registry.freshness, clock=time.monotonic)
    logouts = Logouts(keys, issuer=issuer, clients=lambda: registry.initiating_clients, apply=heard.apply)
    pushed: list[float] = []

    async def door(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split("\r\n")[0])
        await logouts.receive(await reader.readexactly(length))
        pushed.append(time.monotonic())
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(
        door, "127.0.0.1", ssl=served(own_ca, folder, registry.dns_name(REGISTRY_PARTY))
    )
    port = server.sockets[0].getsockname()[1]
    derived = {**derive(registry), "realm": REALM}
    told = f"{registry.address(REGISTRY_PARTY)}{LOGOUT_PATH}"  # at the real registry's port, which may be running
    there = f"{registry.address(REGISTRY_PARTY)}:{port}{LOGOUT_PATH}"
    derived = json.loads(json.dumps(derived).replace(told, there))
    async with imported(keycloak, http, trust_domain, derived) as realm, keycloak.administration(REALM) as admin:
        polling = asyncio.create_task(
            module.poll(own, heard.apply, heard.heard, own=registry.id(REGISTRY_PARTY), since=time.time())
        )
        place = Place(keycloak, realm, admin, own)
        place.pushed = pushed
        yield place
        polling.cancel()
    await own.aclose()
    server.close()


class Assertions:
    """The registry's JWT-SVIDs."""

    def __init__(self, trust_domain: TrustDomain) -> None:
        self._trust_domain = trust_domain

    async def assertion(self, audience: str) -> str:
        return self._trust_domain.assertion(REGISTRY_PARTY, audience)


def served(ca: CA, folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.party(folder, name))
    return context


# --- pushed -----------------------------------------------------------------------------------------------------------


async def test_a_logout_is_pushed_and_polled_and_taken_once(place: Place, heard: Heard) -> None:
    login = await place.sign_in()
    session = claims(login.access_token)["sid"]
    before = len(place.pushed)

    await sign_out(Client(place.realm.issuer, "walkthrough", "", place.keycloak.tls), login)

    assert await heard.of("session", session) == "keycloak: logout"
    await heard.until(lambda: len(place.pushed) > before)
    await heard.everything()
    [change] = [change for _, change in heard.changes if change.subject == ("session", session)]
    assert change == Change(("session", session), "keycloak: logout")
    assert change.instead
    until, *whose = change.instead[1].split(" ")
    token = claims(login.access_token)
    assert (int(until) >= token["iat"], whose) == (True, [token["sub"]])


# --- polled -----------------------------------------------------------------------------------------------------------


async def test_a_revoked_token_is_revoked_and_its_session_is_not(place: Place, heard: Heard) -> None:
    login = await place.sign_in()
    token = claims(login.access_token)

    await place.tell("revoke", token=login.access_token)

    assert await heard.of("token", token["jti"]) == "keycloak: revoked"
    [change] = [change for _, change in heard.changes if change.subject == ("token", token["jti"])]
    assert change.instead  # what would be revoked of a user who does that without end
    until, *whose = change.instead[1].split(" ")
    assert (int(until) >= token["iat"], whose) == (True, [token["sub"], "walkthrough"])
    assert ("session", token["sid"]) not in heard.revoked


async def test_a_revoked_refresh_token_ends_its_session(place: Place, heard: Heard) -> None:
    login = await place.sign_in()

    await place.tell("revoke", token=login.refresh_token)

    assert await heard.of("session", claims(login.access_token)["sid"]) == "keycloak: revoked"


async def test_a_session_that_an_administrator_ends_is_revoked_and_the_others_are_not(
    place: Place, heard: Heard
) -> None:
    ended, other = [claims((await place.sign_in()).access_token)["sid"] for _ in range(2)]

    await place.admin.connection.a_raw_delete(f"{place.path}/sessions/{ended}")

    assert await heard.of("session", ended) in ("keycloak: ended", "keycloak: logout")
    await heard.everything()
    assert ("session", other) not in heard.revoked


async def _logout(place: Place) -> None:
    await place.admin.a_user_logout(await place.user())


async def _password(place: Place) -> None:
    await place.admin.a_set_user_password(await place.user(), place.keycloak.passwords["alice"], temporary=False)


async def _credential(place: Place) -> None:
    [credential] = await place.admin.a_get_credentials(await place.user())
    await place.admin.a_delete_credential(await place.user(), credential["id"])
    await _password(place)


async def _group(place: Place) -> None:
    user, [group] = await place.user(), [g for g in await place.admin.a_get_groups() if g["name"] == "engineering"]
    await place.admin.a_group_user_remove(user, group["id"])
    await place.admin.a_group_user_add(user, group["id"])


@pytest.mark.parametrize("act", [_logout, _password, _credential, _group])
async def test_every_session_of_the_user_until_then_is_revoked_and_a_new_one_is_not(
    place: Place, heard: Heard, act: Callable[[Place], Awaitable[None]]
) -> None:
    open_ones = [claims((await place.sign_in()).access_token)["sid"] for _ in range(2)]
    bobs = claims((await place.sign_in("bob")).access_token)["sid"]

    await act(place)
    new = claims((await place.sign_in()).access_token)["sid"]

    for session in open_ones:
        assert (await heard.of("session", session)).startswith("keycloak: ")
    await heard.everything()
    assert not {("session", new), ("session", bobs)} & heard.revoked.keys()


async def test_a_disabled_user_is_revoked_until_it_is_enabled(place: Place, heard: Heard) -> None:
    bob = await place.user("bob")

    await place.admin.a_update_user(bob, {"enabled": False})
    assert await heard.of("user", bob) == "keycloak: disabled"
    with pytest.raises(LoginError, match="bob: Account is disabled, contact your administrator"):
        await place.sign_in("bob")

    await place.admin.a_update_user(bob, {"enabled": True})
    await heard.reinstated("user", bob)


async def test_a_deleted_user_is_revoked(place: Place, heard: Heard) -> None:
    user = await place.admin.a_create_user({"username": "carol", "enabled": True})

    await place.admin.a_delete_user(user)

    assert await heard.of("user", user) == "keycloak: deleted"


async def test_a_disabled_client_is_revoked_until_it_is_enabled(place: Place, heard: Heard) -> None:
    client = str(await place.admin.a_get_client_id(READER))

    await place.admin.a_update_client(client, {"enabled": False})
    assert await heard.of("party", READER) == "keycloak: disabled"

    await place.admin.a_update_client(client, {"enabled": True})
    await heard.reinstated("party", READER)


async def test_a_deleted_client_is_revoked(place: Place, heard: Heard) -> None:
    client = await place.admin.a_create_client({"clientId": "agent/late"})

    await place.admin.a_delete_client(client)

    assert await heard.of("party", "agent/late") == "keycloak: deleted"


async def test_what_was_issued_before_a_day_that_the_realm_or_a_client_names_is_revoked(
    place: Place, heard: Heard
) -> None:
    client = str(await place.admin.a_get_client_id(READER))

    await place.admin.a_update_realm(REALM, {"notBefore": 1_700_000_000})
    await place.admin.a_update_client(client, {"notBefore": 1_700_000_001})

    assert await heard.of("before", "1700000000") == "keycloak: not before"
    assert await heard.of("before", "1700000001") == "keycloak: not before"


@pytest.mark.parametrize("what", ["all logged out", "a group changed"])
async def test_where_nobody_can_tell_whose_tokens_are_concerned_all_until_then_are_revoked(
    place: Place, heard: Heard, what: str
) -> None:
    heard.forget_seconds()
    now = time.time()

    if what == "all logged out":
        await place.admin.connection.a_raw_post(f"{place.path}/logout-all", data="")
    else:
        group = await place.admin.a_create_group({"name": "short-lived"})
        await place.admin.a_delete_group(str(group))

    await heard.until(lambda: f"keycloak: {what}" in heard.revoked.values())
    [until] = [int(name) for (_, name), cause in heard.revoked.items() if cause == f"keycloak: {what}"]
    assert int(now) <= until <= time.time()


# --- nothing missed, nothing of our own -------------------------------------------------------------------------------


async def test_what_the_registry_does_there_itself_is_no_news(place: Place, heard: Heard) -> None:
    before = len(heard.changes)

    await place.own.disable_client(READER)
    await heard.everything()
    await place.own.enable_client(READER)
    await heard.everything()

    assert [change for _, change in heard.changes[before:] if change.subject == ("party", READER)] == []


async def test_more_than_is_asked_for_at_first_is_not_lost(
    place: Place, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_EVENTS", 2)
    users = [await place.admin.a_create_user({"username": f"crowd-{n}", "enabled": True}) for n in range(7)]

    await asyncio.gather(*(place.admin.a_delete_user(user) for user in users))

    for user in users:
        assert await heard.of("user", user) == "keycloak: deleted"


@pytest.mark.parametrize("switch", ["eventsEnabled", "adminEventsEnabled", "adminEventsDetailsEnabled"])
async def test_while_events_are_switched_off_no_read_is_complete_and_then_all_tokens_until_now_are_revoked(
    place: Place, heard: Heard, switch: str
) -> None:
    await heard.everything()
    heard.forget_seconds()

    await place.admin.a_update_realm(REALM, {switch: False})
    off = time.monotonic()
    await asyncio.sleep(3 * module.SECONDS_BETWEEN_READS)
    assert heard.complete < off
    await place.admin.a_update_realm(REALM, {switch: True})

    await heard.everything()
    assert "keycloak: events may have been lost" in heard.revoked.values()


async def test_events_that_somebody_clears_are_missed(place: Place, heard: Heard) -> None:
    await place.admin.a_update_user(await place.user("eve"), {"firstName": "Eve"})
    await heard.everything()
    heard.forget_seconds()

    await place.admin.connection.a_raw_delete(f"{place.path}/admin-events")

    await heard.until(lambda: "keycloak: events may have been lost" in heard.revoked.values())
