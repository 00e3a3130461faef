"""Signing in and out: what a browser does, and the two cookies that it has.

Keycloak asks for the password each time (`registration/realm`), so nobody is signed in by a link, nor after a sign-out.
"""

from dataclasses import replace
from secrets import compare_digest, token_urlsafe
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from console.issuer import Issuer
from console.pages import page
from console.reasons import ConsoleReason
from console.sessions import SECONDS_TO_SIGN_IN, SESSION, SIGN_IN, Session, Sessions, cookie_of, state_of
from zerotrust.decision import Denied, Resource
from zerotrust.service import Service


def session_of(request: Request) -> Session | None:
    """Return the session of a request, if it has one."""
    found: Session | None = request.state.session
    return found


def session_needed(request: Request) -> Session:
    """Return the session of a request.  Raises `Denied`."""
    if (session := session_of(request)) is None:
        raise Denied(ConsoleReason.NOT_SIGNED_IN)
    return session


Signed = Annotated[Session, Depends(session_needed)]
"""A handler's parameter: the session of its request."""


async def admit_operator(service: Service) -> None:
    """Record that the person sees all parties, or raise."""
    here = Resource("Console", service.registry.id(service.name))
    await service.decide("party.view", here, otherwise=HTTPException(404))  # control: parties-as-permitted


def add_sign_in_routes(app: FastAPI, service: Service, sessions: Sessions, issuer: Issuer) -> None:
    """Add `/sign-in`, `/operate/sign-in`, `/callback` and `/sign-out`."""

    async def leave(secret: str, audience: str) -> Response:
        answer = RedirectResponse(await issuer.address(secret, audience), 303)
        # The redirect from Keycloak comes from another site, so it is not Strict.
        _set(answer, SIGN_IN, secret, "lax", SECONDS_TO_SIGN_IN)
        return answer

    @app.get("/sign-in")
    async def sign_in() -> Response:
        return await leave(token_urlsafe(32), issuer.front)

    @app.get("/operate/sign-in")
    async def sign_in_to_operate(session: Signed) -> Response:
        await admit_operator(service)
        secret = token_urlsafe(32)
        session.signing_in = state_of(secret)
        return await leave(secret, issuer.operated)

    @app.get("/callback")
    async def callback(request: Request) -> Response:
        secret, back = cookie_of(request.scope["headers"], SIGN_IN), request.query_params
        # control: callback-of-this-browser
        if secret is None or not compare_digest(back.get("state", "").encode(), state_of(secret).encode()):
            return page(None, "refused", 400, why="This sign-in was begun in another browser, or too long ago.")
        if back.get("iss") != service.issuer:  # control: callback-of-the-issuer
            return page(None, "refused", 400, why="The answer did not come from Keycloak.")
        if not (code := back.get("code")):  # cancelled, or refused by Keycloak (RFC 6749 section 4.1.2.1)
            return page(None, "refused", 400, why="The sign-in was cancelled.")
        operating, sender = sessions.signing_in(secret), request.client.host if request.client else "unknown"
        tokens = await issuer.redeem(code, secret, issuer.operated if operating else issuer.front, sender)
        subject = tokens.principal.subject
        if operating and subject != operating.tokens.principal.subject:  # control: operator-is-who-signed-in
            return page(None, "refused", 403, why="Somebody else has signed in than the person whose session this is.")
        # A page, and no redirect: that would still come from Keycloak's site, and a Strict cookie would not go with it.
        answer = page(None, "entered", to="/parties" if operating else "/")
        if operating:
            operating.operator, operating.signing_in = replace(tokens, refresh_token=""), ""
        else:
            _set(answer, SESSION, sessions.begin(tokens), "strict")
        _set(answer, SIGN_IN, "", "lax", 0)
        return answer

    @app.post("/sign-out")
    async def sign_out(session: Signed) -> Response:
        sessions.end(session)
        try:
            await issuer.sign_out(session)
            answer: Response = RedirectResponse("/", 303)
        except Denied:
            answer = page(None, "refused", 503, why="Keycloak did not confirm it: your session there ends by itself.")
        _set(answer, SESSION, "", "strict", 0)
        return answer


def _set(answer: Response, name: str, value: str, same_site: Literal["lax", "strict"], age: int | None = None) -> None:
    answer.set_cookie(name, value, age, path="/", secure=True, httponly=True, samesite=same_site)
