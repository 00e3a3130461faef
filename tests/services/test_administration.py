"""The registry's hand at a Keycloak that is slow, broken or away; the real one is in `tests/e2e`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from authorities.registry.keycloak import admin as module
from authorities.registry.keycloak.admin import Administration, AdministrationError, UnknownError
from testkit import Identity
from tests.support.issuer import ISSUER, metadata
from tests.support.system import svid_of
from zerotrust.issuer.discovery import WELL_KNOWN

READER = "spiffe://agents.example/agent/reader"
TOKEN = {"access_token": "ours", "expires_in": 60}

Answer = Callable[[httpx.Request], httpx.Response]


class Keycloak:
    """Answers by path, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.token: Answer = lambda _: httpx.Response(200, json=TOKEN)
        self.clients: Answer = lambda _: httpx.Response(200, json=[{"id": "internal", "clientId": READER}])
        self.change: Answer = lambda _: httpx.Response(204)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(WELL_KNOWN):
            return httpx.Response(200, json=metadata())
        self.asked.append(request)
        await asyncio.sleep(0)  # as on a wire: others ask meanwhile
        if request.url.path.endswith("/token"):
            return self.token(request)
        return self.clients(request) if request.method == "GET" else self.change(request)


@pytest.fixture
def keycloak() -> Keycloak:
    return Keycloak()


@pytest.fixture
async def administration(keycloak: Keycloak) -> AsyncIterator[Administration]:
    http = httpx.AsyncClient(transport=httpx.MockTransport(keycloak.answer))
    administration = Administration(ISSUER, Identity(svid_of("authority/registry")), http=http)
    yield administration
    await administration.aclose()


async def test_what_is_asked_at_the_same_time_is_asked_with_one_token(
    administration: Administration, keycloak: Keycloak
) -> None:
    assert await asyncio.gather(*(administration.identity(READER) for _ in range(3))) == ["internal"] * 3

    assert [request.url.path.rpartition("/")[2] for request in keycloak.asked].count("token") == 1


@pytest.mark.parametrize(
    ("where", "answer", "told"),
    [
        ("token", httpx.Response(401, json={"error": "invalid_client"}), "Keycloak: no token: 401, invalid_client"),
        ("token", httpx.Response(502, text="<html>"), "Keycloak: issuer_unavailable: "),
        ("token", httpx.Response(200, json=[]), "Keycloak: issuer_unavailable: NotAnObject"),
        ("token", httpx.Response(200, json={"access_token": "ours"}), "Keycloak: 'expires_in'"),
        ("token", httpx.Response(200, text="[" * 100_000), "Keycloak: "),
        ("clients", httpx.Response(403, json={"error": "forbidden"}), "Keycloak: 403"),
        ("clients", httpx.Response(200, json={}), "Keycloak: Unexpected response type"),
        ("clients", httpx.Response(200, json=[]), "it has no client"),
        ("change", httpx.Response(500, json={"error": "unknown_error"}), "Keycloak: 500"),
        ("change", httpx.Response(200, json={}), "Keycloak: 200"),
    ],
)
async def test_what_keycloak_does_not_do_is_reported(
    administration: Administration, keycloak: Keycloak, where: str, answer: httpx.Response, told: str
) -> None:
    setattr(keycloak, where, lambda _: answer)

    with pytest.raises(AdministrationError) as failed:
        await administration.disable_client(READER)

    assert str(failed.value).startswith(told)
    assert len(str(failed.value)) <= 300


async def test_nobody_waits_for_keycloak_for_ever(
    administration: Administration, keycloak: Keycloak, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: Any) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError("waited for ever")

    monkeypatch.setattr(module, "SECONDS", 0.05)
    administration._connection.async_s = httpx.AsyncClient(transport=httpx.MockTransport(never))

    async with asyncio.timeout(10):  # else this test would wait for ever, too
        with pytest.raises(AdministrationError, match=r"^Keycloak gave no answer within 0\.05 s$"):
            await administration.disable_client(READER)


async def test_a_session_is_ended_and_a_user_disabled_and_enabled(
    administration: Administration, keycloak: Keycloak
) -> None:
    await administration.end_session("a1b2-c3_d4")
    await administration.disable_user("alices-id")
    await administration.enable_user("alices-id")

    users = "/admin/realms/agents/users/alices-id"
    assert [(r.method, r.url.path, r.content) for r in keycloak.asked if not r.url.path.endswith("/token")] == [
        ("DELETE", "/admin/realms/agents/sessions/a1b2-c3_d4", b""),
        ("PUT", users, b'{"enabled": false}'),
        ("POST", f"{users}/logout", b""),
        ("PUT", users, b'{"enabled": true}'),
    ]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        *((status, f"^Keycloak: {status}") for status in (200, 401, 403, 500)),
        (404, r"^it has no such session: .* or its id has a typo$"),
    ],
)
async def test_a_session_that_keycloak_does_not_end_is_reported(
    administration: Administration, keycloak: Keycloak, status: int, told: str
) -> None:
    keycloak.change = lambda _: httpx.Response(status, json={})

    with pytest.raises(UnknownError if status == 404 else AdministrationError, match=told):
        await administration.end_session("s")


@pytest.mark.parametrize("session", ["", ".", "..", "../users/alices-id", "a/b", "a?b", "a#b", "a%2fb", "a b", "é"])
async def test_what_is_no_sessions_id_leads_nowhere_else(
    administration: Administration, keycloak: Keycloak, session: str
) -> None:
    with pytest.raises(UnknownError, match=r"^no session has such an id$"):  # or it would be tried for ever
        await administration.end_session(session)

    assert keycloak.asked == []


async def test_a_user_is_found_by_name_or_not_at_all(administration: Administration, keycloak: Keycloak) -> None:
    keycloak.clients = lambda _: httpx.Response(200, json=[{"id": "alices-id"}])
    assert await administration.user_id("alice") == "alices-id"
    asked = dict(keycloak.asked[-1].url.params)
    assert (asked["username"], asked["exact"].lower()) == ("alice", "true")

    keycloak.clients = lambda _: httpx.Response(200, json=[])
    assert await administration.user_id("nobody") is None

    keycloak.clients = lambda _: httpx.Response(500, json={})
    with pytest.raises(AdministrationError, match=r"^Keycloak: 500"):
        await administration.user_id("alice")


# connections


async def test_a_reading_call_whose_connection_breaks_is_repeated_at_once_and_no_other(
    administration: Administration, keycloak: Keycloak
) -> None:
    found, broken = keycloak.clients, list[str]()

    def breaks(request: httpx.Request) -> httpx.Response:
        if request.method not in broken:
            broken.append(request.method)
            raise httpx.ReadError("a certificate of this connection has expired", request=request)
        return found(request) if request.method == "GET" else httpx.Response(204)

    keycloak.clients = keycloak.change = breaks
    with pytest.raises(AdministrationError, match=r"^Keycloak: Can't connect to server$"):
        await administration.disable_client(READER)

    assert [r.method for r in keycloak.asked if r.method != "POST"] == ["GET", "GET", "PUT"]


async def test_a_reading_call_is_repeated_once_only(administration: Administration, keycloak: Keycloak) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("All connection attempts failed", request=request)

    keycloak.clients = away
    with pytest.raises(AdministrationError, match=r"^Keycloak: Can't connect to server$"):
        await administration.identity(READER)

    assert [r.method for r in keycloak.asked] == ["POST", "GET", "GET"]
