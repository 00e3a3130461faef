"""A service as people have it, before a gate is in front of it, and its table."""

from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from zerotrust import Public, Routes, Scope, current_principal

HERE = "https://quotes.example"
ROUTES: Routes = {
    ("GET", "/quotes/{item}"): Scope("quote.read"),
    ("POST", "/v1/quotes"): Scope("quote.write"),
    ("GET", "/mounted/{path:path}"): Scope("quote.read"),
    ("GET", "/health"): Public(),
}


def existing() -> FastAPI:
    """Return an app as people have it: routes of its own, a router, and a mounted app."""
    app, router = FastAPI(openapi_url=None), APIRouter(prefix="/v1")

    @app.get("/quotes/{item}")
    async def quote(item: str) -> dict[str, str]:
        return {"item": item, "for": current_principal().subject}

    @app.get("/health")
    async def health() -> str:
        return "ok"

    @router.post("/quotes")
    async def write() -> str:
        return "written"

    async def mounted(_request: object) -> PlainTextResponse:
        return PlainTextResponse("mounted")

    app.include_router(router)
    app.mount("/mounted", Starlette(routes=[Route("/{path:path}", mounted)]))
    return app


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def plain_claims(**changed: Any) -> dict[str, Any]:
    """Return claims as RFC 9068 wants them, without any of this project's."""
    of_ours = dict.fromkeys(("sid", "groups", "zt_cnf", "azp"))
    return {"aud": HERE, "client_id": "shop", "scope": "quote.read", **of_ours, **changed}
