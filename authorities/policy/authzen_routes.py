"""Serves the AuthZEN API to workloads, by their certificates.  `authzen_api.py` answers; here is HTTP only.

An admitted call is not recorded: the enforcement point has the decision in its own journal.
"""

from collections import defaultdict
from collections.abc import Callable

from fastapi import FastAPI, Request, Response
from starlette.responses import JSONResponse, PlainTextResponse

from authorities.policy.authzen_api import METADATA, DecisionPoint, metadata, respond
from zerotrust.hardening.turns import Turns
from zerotrust.routes import MutualTLS, Routes

API = "/access/v1/{api:path}"
MAX_REQUEST = 128 * 1024
"""Bytes of a request: 100 questions, each with a resource of a kilobyte."""
IN_A_PASS = 4
"""Questions in batches of one caller that are decided in one pass of the event loop: up to 2 ms of work."""
ROUTES: Routes = {
    ("GET", METADATA): MutualTLS(any_workload=True, routine=True),
    ("GET", API): MutualTLS(any_workload=True, routine=True),
    ("POST", API): MutualTLS(any_workload=True, routine=True, raw_body=True, max_body=MAX_REQUEST),
}
_NO_STORE = {"cache-control": "no-store"}


def add_authzen_routes(app: FastAPI, point: Callable[[], DecisionPoint], address: str) -> None:
    """Add the routes of `ROUTES` to an app.

    `point` returns the decision point, or raises `Denied`.  `address`: this party's, as others call it.
    The questions of a batch are decided by turns, so that no caller's batches hold up what else this party does.
    """

    turns = defaultdict[str | None, Turns](lambda: Turns(IN_A_PASS))

    @app.get(METADATA)
    async def configuration() -> Response:
        return JSONResponse(metadata(address), headers=_NO_STORE)

    @app.get(API)
    async def only_posted(request: Request) -> Response:
        known = {"x-request-id": found} if (found := request.headers.get("x-request-id")) is not None else {}
        return PlainTextResponse("send the question by POST", 405, {"allow": "POST", **known})

    @app.post(API)
    async def ask(request: Request) -> Response:
        status, body, headers = await respond(
            point(),
            request.url.path,
            await request.body(),
            turns[request.state.peer.id].wait,
            content_type=request.headers.get("content-type", ""),
            request_id=request.headers.get("x-request-id"),
        )
        kind = JSONResponse if isinstance(body, dict) else PlainTextResponse
        return kind(body, status, {**headers, **_NO_STORE})
