"""The console in process, with all that it reads and calls: a browser without a certificate, and a realm.
The realm here gives codes and tokens, and refuses only a wrong verifier; the real one is tried in `tests/e2e`.
"""

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import orjson
import pytest
from starlette.types import ASGIApp

from authorities.audit import intake
from console import log, parties, stream
from console.run import Runs
from console.sessions import Session
from testkit.issuer import ISSUER
from testkit.wire import Wire, fresh_revocations, lifespan
from tests.support.audit_log import Ledger
from tests.support.audited import ledger_of
from tests.support.ca import NO_CERTIFICATE
from tests.support.issuer import Issuer
from tests.support.registry_authority import NAME as REGISTRY_NAME
from tests.support.registry_authority import authority_in
from tests.support.system import System, registry
from zerotrust.audit.log_client import RemoteLedger
from zerotrust.call import Call
from zerotrust.context import REQUEST
from zerotrust.registry.model import Registry

CONSOLE, AT = "console", "https://console.localhost:8109"
REDIRECT = f"{AT}/callback"
FRONT = "orchestrator"
PEOPLE = {"alice": ["/engineering"], "bob": ["/finance"], "eve": [], "olga": ["/operators"], "omar": ["/operators"]}


def _form(body: bytes) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(body.decode()).items()}


class Realm(Issuer):
    """An issuer at which people sign in at the console."""

    def __init__(self, registry: Registry, **how: Any) -> None:
        super().__init__(registry, **how)
        self.codes: dict[str, tuple[str, str, str]] = {}
        """Who signed in, the challenge, and the scopes, by code."""
        self.refresh: dict[str, tuple[str, str]] = {}
        """Whose the refresh tokens are that have not been used, and their scopes."""
        self.signed_out: list[str] = []
        self.life = 300
        self.spoilt: dict[str, Any] = {}
        """Claims of people's tokens that replace the right ones."""

    def t0(self, user: str, scope: str) -> str:
        own, now = self.registry.id(CONSOLE), int(self.clock())
        audiences = [self.registry.id(one[4:]) for one in scope.split() if one.startswith("aud:")]
        good: dict[str, Any] = {
            "aud": audiences,
            "scope": " ".join(one for one in scope.split() if not one.startswith("aud:")),
            "sub": user,
            "azp": own,
            "client_id": own,
            "sid": f"session of {user}".replace(" ", "-"),
        }
        good |= {"groups": PEOPLE[user], "preferred_username": user, "zt_cnf": None, "exp": now + self.life}
        return self.token(**(good | self.spoilt))

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        form = _form(body) if body.startswith(b"grant_type=") or b"refresh_token" in body else {}
        if path.endswith("/logout"):
            user, _ = self.refresh.pop(form["refresh_token"], ("", ""))
            self.signed_out += [user] if user else []
            return (204, {}) if user else (400, {"error": "invalid_grant"})
        kind = form.get("grant_type", "")
        if kind not in ("authorization_code", "refresh_token"):
            return super().answer(path, body)
        if form["client_assertion"] != f"assertion of {self.registry.id(CONSOLE)}":
            return 401, {"error": "invalid_client"}
        if kind == "refresh_token":
            user, scope = self.refresh.pop(form["refresh_token"], ("", ""))
        else:
            user, challenge, scope = self.codes.pop(form["code"], ("", "", ""))
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != challenge:
                user = ""
        if not user:
            return 400, {"error": "invalid_grant"}
        self.refresh[again := f"refresh-{len(self.refresh)}-{id(form)}"] = user, scope
        t0 = self.t0(user, scope)
        return 200, {"access_token": t0, "refresh_token": again, "token_type": "Bearer", "expires_in": 300}


class Browser:
    """A person's browser: it has cookies, and no certificate."""

    def __init__(self, apps: dict[str, ASGIApp], realm: Realm) -> None:
        self.http = httpx.AsyncClient(transport=Wire(apps, NO_CERTIFICATE), base_url=AT, timeout=30)
        self._realm = realm

    async def begin(self, at: str = "/sign-in") -> dict[str, str]:
        """Begin a sign-in, and return what Keycloak is asked."""
        answer = await self.http.get(at)
        assert answer.status_code == 303, answer.text
        assert answer.headers["location"].startswith(f"{ISSUER}/authorize?")
        return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}

    def code(self, user: str, asked: dict[str, str]) -> str:
        """The code that Keycloak gives when that user has signed in."""
        code = f"code-{len(self._realm.codes)}-{user}"
        self._realm.codes[code] = user, asked["code_challenge"], asked["scope"]
        return code

    async def back(self, **query: str) -> httpx.Response:
        """Come back from Keycloak."""
        return await self.http.get(f"/callback?{urlencode(query)}")

    async def sign_in(self, user: str, at: str = "/sign-in") -> "Browser":
        asked = await self.begin(at)
        answer = await self.back(code=self.code(user, asked), state=asked["state"], iss=ISSUER)
        assert answer.status_code == 200, answer.text
        return self

    async def form_token(self) -> str:
        found = re.search(r'name="form_token" value="([^"]+)"', (await self.http.get("/")).text)
        assert found
        return found[1]

    async def send(self, path: str, **fields: str) -> httpx.Response:
        """Send a form of one of the console's own pages."""
        form = {"form_token": await self.form_token()} | fields
        return await self.http.post(path, data=form, headers={"origin": AT})

    async def start(self, request: str) -> str:
        """Start a task, and return the path of its page."""
        answer = await self.send("/tasks", request=request)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    async def hops(self, path: str, **headers: str) -> list[dict[str, Any]]:
        """The events of a task's stream, until the last; each with its kind as `event`."""
        events = list[dict[str, Any]]()
        while not events or events[-1]["event"] != "end":
            answer = await self.http.get(f"{path}/hops", headers=headers)
            assert answer.status_code == 200, answer.text
            events += events_of(answer.text)
            if hops := [one["n"] for one in events if one["event"] == "hop"]:
                headers["last-event-id"] = str(hops[-1])
        return events


def events_of(text: str) -> list[dict[str, Any]]:
    """The events in a stream."""
    found = []
    for block in re.split(r"\r?\n\r?\n", text):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and line[0] != ":")
        if "data" in fields:
            found.append(orjson.loads(fields["data"]) | {"event": fields.get("event", "")})
    return found


class Consoled:
    """The console, alive, with all that it needs."""

    def __init__(self, system: System, realm: Realm) -> None:
        self.system, self.realm = system, realm

    def browser(self) -> Browser:
        return Browser(self.system.apps, self.realm)

    async def person(self, user: str) -> Browser:
        """The browser of a user who is signed in."""
        return await self.browser().sign_in(user)


def reading(answer: Callable[[httpx.Request], Any]) -> Any:
    """What a reader of the log needs of its service, if the authorities answer so."""
    transport = httpx.MockTransport(answer)
    egress = SimpleNamespace(to_authorities=transport, authorities=httpx.AsyncClient(transport=transport))
    return SimpleNamespace(registry=registry(), egress=egress)


def running(answer: bytes) -> Runs:
    """Tasks at an orchestrator that always gives this answer."""

    async def renew(*_: object) -> None:
        pass

    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, content=answer)))
    service: Any = SimpleNamespace(addresses={FRONT: "https://front"}, egress=SimpleNamespace(http=http))
    issuer: Any = SimpleNamespace(front=FRONT, renew=renew)
    return Runs(service, issuer)


async def answered(runs: Runs, session: Session) -> str:
    """Start a task, and return its trace as soon as there is an answer, kept or not."""
    gate = AsyncMock(revocations=fresh_revocations(), clock=lambda: 0.0)
    REQUEST.set(Call(scope={}, receive=AsyncMock(), peer=NO_CERTIFICATE, principal=session.principal, gate=gate))
    trace = await runs.start(session, "Read.", None)
    while (run := runs.find(session, trace)) and run.sending:
        await asyncio.sleep(0)
    return trace


def published(ledger: Ledger, note: Callable[[], object] | None = None) -> Callable[[httpx.Request], httpx.Response]:
    """What the registry and the ledger answer, if the log is this one; `note`: another checkpoint."""

    def answer(request: httpx.Request) -> httpx.Response:
        match request.url.path.removeprefix("/log/"):
            case "/audit-policy":
                return httpx.Response(200, content=ledger.policy_text)
            case "checkpoint":
                return httpx.Response(200, content=str(note() if note else ledger.log.note(*ledger.witnesses)))
            case path:
                return httpx.Response(200, content=ledger.log.files[path])

    return answer


@contextmanager
def quick() -> Iterator[None]:
    """Have records published, and streams ended, without the pauses that spare a real system."""
    with pytest.MonkeyPatch.context() as patch:
        for pause in ("EVERY", "GATHER", "SHORTEST_PAUSE", "LONGEST_PAUSE"):
            patch.setattr(intake, pause, 0.002)
        patch.setattr(log, "EVERY", 0.01)
        patch.setattr(log, "AGAIN", 0)
        patch.setattr(stream, "LOOK", 0.01)
        patch.setattr(stream, "LATE", 0.3)
        patch.setattr(parties, "LONGEST", 0.5)
        yield


@asynccontextmanager
async def consoled(folder: Path, realm: Realm) -> AsyncIterator[Consoled]:
    """All services with the registry and the audit authority, to which they deliver."""
    with quick():
        async with authority_in(folder, realm) as authority, AsyncExitStack() as stack:
            system = authority.system
            system.apps[system.registry.address(REGISTRY_NAME)] = authority.app
            await stack.enter_async_context(ledger_of(system))
            ledger = system.registry.address(system.registry.authorities.audit)
            for name in (*system.registry.services, REGISTRY_NAME):
                if name != REGISTRY_NAME:
                    module = import_module(f"{system.registry.measured[name]}.main".replace("/", "."))
                    app = system.service(name).app_from(module.create_app)
                    system.apps[AT if name == CONSOLE else system.addresses[name]] = app
                    await stack.enter_async_context(lifespan(app))
                service = system.services[name]
                delivery = service.delivery(RemoteLedger(service.egress.authorities, ledger))
                stack.callback(asyncio.create_task(delivery.run()).cancel)
            yield Consoled(system, realm)
