"""An operator with `zt` at an authority that answers as the test says."""

import contextlib
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from typer.testing import CliRunner, Result

import zt.commands as program
from tests.support import waiting
from tests.support.pki import CA
from tests.support.system import System
from zerotrust.identity import UnverifiedToken
from zerotrust.possession import check_proof
from zerotrust.spiffe.tls import ExpiringTLS
from zt.operators import Settings
from zt.people import browser
from zt.people import sign_in as module
from zt.people.authorities import REGISTRY, Authority, Place
from zt.people.key import Key
from zt.people.login import Client, Login, Say

NO_PLACE = "/dev/null"
"""In the place of a runtime folder: no sign-in is kept, so each command signs in."""
KEY = Key()
"""What everybody's tokens are bound to."""


def token_of(user: str | None) -> str:
    return jwt.encode({"preferred_username": user} if user else {}, "", algorithm="none")


def login_of(user: str | None) -> Login:
    return Login(access_token=token_of(user), refresh_token="", id_token="", expires_in=60, key=KEY)


def check_proven(request: Request) -> None:
    """Raise `Denied` unless the request has a proof by the key of everybody's tokens."""
    token = UnverifiedToken(request.headers["authorization"].removeprefix("DPoP "))
    url = f"https://{request.headers['host']}{request.url.path}"
    proof = request.headers["dpop"]
    check_proof(proof, token=token, key=KEY.thumbprint, method=request.method, url=url, now=time.time())


NAMES = ("registry.authority.agents.example", "spiffe://agents.example/authority/registry")


@dataclass
class Registered:
    """A registry that answers what it is told to, and keeps what it was asked."""

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[tuple[str, Any, str | None]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        headers = dict(scope["headers"])
        what = f"{scope['method']} {scope['path']}"
        token = headers.get(b"authorization", b"").decode()
        if token.startswith("DPoP "):
            check_proven(Request(scope))
        self.asked.append((what, orjson.loads(body) if body else None, token))
        status, answer = self.answers.get(what, (404, {"error": "not_found", "reason": "unknown_party"}))
        raw = answer if isinstance(answer, bytes) else orjson.dumps(answer)
        length = (b"content-length", b"%d" % len(raw))
        await send({"type": "http.response.start", "status": status, "headers": [length]})
        await send({"type": "http.response.body", "body": raw})


def served(app: Registered, certificate: Path, key: Path) -> contextlib.AbstractContextManager[int]:
    """Serve it over TLS in a thread, as `zt` has a loop of its own; gives the port."""
    return waiting.served(app, ssl_certfile=certificate, ssl_keyfile=key, lifespan="off", ws="none")


Zt = Callable[..., Result]


signed_out: list[str] = []
"""The tokens of the sessions that ended with their command."""


def signs_in(
    monkeypatch: pytest.MonkeyPatch,
    user: str | None,
    place: Place | None = None,
    *,
    token: str = "",
    door: Authority = REGISTRY,
) -> None:
    """Whoever it is, in a browser."""

    async def sign_in(client: Client, *, say: Say, hint: str) -> Login:
        if place:
            assert (client.issuer, client.client_id, client.scope) == (place.issuer, door.client, door.scope)
            assert hint.lower() == "olga"
        assert client.tls.verify_mode is ssl.CERT_REQUIRED
        return replace(login_of(user), access_token=token) if token else login_of(user)

    monkeypatch.setattr(browser, "sign_in", sign_in)


def program_at(monkeypatch: pytest.MonkeyPatch, place: Place, port: int, ca: CA, door: Authority = REGISTRY) -> Zt:
    place.ca.write_bytes(ca.pem)
    monkeypatch.setattr(ExpiringTLS, "longest", float("inf"))  # `test_tls.py` has how long a certificate may be good

    async def sign_out(client: Client, login: Login) -> None:
        assert (client.issuer, client.client_id) == (place.issuer, door.client)
        assert client.tls.verify_mode is ssl.CERT_REQUIRED
        signed_out.append(login.access_token)

    signed_out.clear()
    there = replace(place, directory=replace(place.directory, places={NAMES[0]: ("127.0.0.1", port)}))
    signs_in(monkeypatch, "olga", place, door=door)
    monkeypatch.setattr(browser, "is_usable", lambda: True)
    monkeypatch.setattr(module, "sign_out", sign_out)
    monkeypatch.setattr(Settings, "place", lambda _: there)
    monkeypatch.setenv("XDG_RUNTIME_DIR", NO_PLACE)
    monkeypatch.setenv("ZT_USER", "olga")
    monkeypatch.setenv("ZT_JOURNALS", str(place.ca.parent / "journals"))
    return lambda *words, **more: CliRunner().invoke(program.app, words, **more)


def failed(shown: Result) -> str:
    assert shown.exit_code == 1
    assert shown.stdout == ""
    return shown.stderr.strip()


def zt(*words: str, **more: Any) -> Result:
    """Run a command that needs no authority."""
    return CliRunner().invoke(program.app, words, **more)


async def task(system: System, token: str) -> str:
    """Run a task, and return its trace id."""
    body = {"request": "Summarise our incident reports and file the summary."}
    answer = await system.client("orchestrator", token).post("/tasks", json=body)
    trace: str = answer.json()["result"]["trace_id"]
    return trace


def audit(what: str, system: System, *more: str) -> Result:
    return zt("--journals", str(system.folder), "audit", what, *more)
