"""Measures one warm call of a service behind `guard`, beside a dependency that people write by hand."""

import time
from pathlib import Path
from typing import Annotated

import httpx
import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import ASGIApp, Message

from testkit import Issuer
from testkit.issuer import ISSUER
from testkit.wire import lifespan
from zerotrust import Scope, guard
from zerotrust.registry.model import Registry

HERE, SCOPE, PATH = "https://quotes.example", "quote.read", "/quotes/{item}"
ROUNDS, CALLS = 20, 100
KEYS = jwt.PyJWKClient(f"{ISSUER}/keys")


async def by_hand(presented: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> None:
    """Check what is usual, on each call; nothing is recorded."""
    try:
        key = KEYS.get_signing_key_from_jwt(presented.credentials)
        claims = jwt.decode(presented.credentials, key, algorithms=["RS256"], issuer=ISSUER, audience=HERE)
    except jwt.PyJWTError as error:
        raise HTTPException(401, "invalid_token") from error
    if SCOPE not in claims.get("scope", "").split():
        raise HTTPException(403, "insufficient_scope")


async def measure_calls(registry: Registry, folder: Path) -> dict[str, list[float]]:
    """Return the CPU time of one call in seconds, by check and round: with all threads, and without an HTTP server."""
    plain, checked = FastAPI(openapi_url=None), FastAPI(openapi_url=None)

    @plain.get(PATH)
    @checked.get(PATH, dependencies=[Depends(by_hand)])
    async def quote(item: str) -> dict[str, str]:
        return {"item": item}

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        if message.get("status", 200) != 200:
            raise RuntimeError(str(message))

    issuer = Issuer(registry)
    if KEYS.jwk_set_cache:  # as after the first call
        KEYS.jwk_set_cache.put(jwt.PyJWKSet.from_dict(issuer.key_set))
    http, routes = httpx.AsyncClient(transport=httpx.ASGITransport(issuer.app)), {("GET", PATH): Scope(SCOPE)}
    journal = folder / "calls.jsonl"
    guarded = guard(plain, issuer=ISSUER, audience=HERE, routes=routes, journal=journal, http=http)
    apps: dict[str, ASGIApp] = {"call_by_hand": checked, "call_guard": guarded}
    token = issuer.token(aud=HERE, scope=SCOPE, azp=None, client_id="shop", zt_cnf=None, exp=int(time.time()) + 3600)
    headers = [(b"host", b"quotes.example"), (b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "method": "GET", "path": "/quotes/tea", "query_string": b"", "headers": headers}
    took: dict[str, list[float]] = {name: [] for name in apps}
    async with lifespan(guarded):
        for number in range(ROUNDS + 1):  # the first warms up
            for name in apps if number % 2 else reversed(apps):
                began = time.process_time()
                for _ in range(CALLS):
                    await apps[name]({**scope}, receive, send)
                took[name].append((time.process_time() - began) / CALLS)
    return {name: rounds[1:] for name, rounds in took.items()}
