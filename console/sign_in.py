"""Signing in and out: what a browser does, and the two cookies that it has.

Keycloak asks for the password each time (`registration/realm`), so nobody is signed in by a link, nor after a sign-out.
"""

from secrets import compare_digest, token_urlsafe
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse

from console.issuer import Issuer
from console.reasons import ConsoleReason
from console.sessions import SECONDS_TO_SIGN_IN, SESSION, SIGN_IN, Session, Sessions, cookie_of, state_of
from zerotrust.decision import Denied, Resource
from zerotrust.service import Service


def session_of(request: Request) -> Session | None:
    """Return the session of a request; None at the few paths where the admission asks for none."""
    found: Session | None = request.state.session
    return found


Signed = Annotated[Session, Depends(session_of)]
"""A handler's parameter: the session of its request, at all other paths."""


async def admit_operator(service: Service) -> None:
    """Record that the person sees all parties, or raise."""
    here = Resource("Console", service.registry.id(service.name))
    await service.decide("party.view", here, otherwise=HTTPException(404))  # control: parties-as-permitted


def add_sign_in_routes(app: FastAPI, service: Service, sessions: Sessions, issuer: Issuer) -> None:
    """Add `/sign-in`, `/operate/sign-in`, `/callback` and `/sign-out`."""

    async def leave(audience: str, session: Session | None = None) -> Response:
        secret = token_urlsafe(32)
        answer = RedirectResponse(await issuer.address(secret, audience), 303)
        if session:
            session.signing_in = state_of(secret)
        # The redirect from Keycloak comes from another site, so it is not Strict.
        _set(answer, SIGN_IN, secret, "lax", SECONDS_TO_SIGN_IN)
        return answer

    @app.get("/sign-in")
    async def sign_in() -> Response:
        return await leave(issuer.front)

    @app.get("/operate/sign-in")
    async def sign_in_to_operate(session: Signed) -> Response:
        await admit_operator(service)
        return await leave(issuer.operated, session)

    @app.get("/callback")
    async def callback(request: Request) -> Response:
        secret, back = cookie_of(request.scope["headers"], SIGN_IN), request.query_params
        state = back.get("state", "")
        # control: callback-of-this-browser
        if secret is None or not compare_digest(state.encode(), state_of(secret).encode()):
            raise Denied(ConsoleReason.ANOTHER_BROWSER)
        # The session of a second sign-in is found by `state`, because its cookie is Strict, and goes on if that fails.
        operating = request.state.session = sessions.signing_in(state)
        if back.get("iss") != service.issuer:  # control: callback-of-the-issuer
            raise Denied(ConsoleReason.ANOTHER_ISSUER)
        if not (code := back.get("code")):  # cancelled, or refused by Keycloak (RFC 6749 section 4.1.2.1)
            raise Denied(ConsoleReason.SIGN_IN_CANCELLED)
        sender = request.client.host if request.client else "unknown"
        tokens = await issuer.redeem(code, secret, issuer.operated if operating else issuer.front, sender)
        # A redirect would still come from Keycloak's site, and a Strict cookie would not go with it; a refresh is ours.
        answer = HTMLResponse("You are signed in.", headers={"refresh": f"0; url={'/parties' if operating else '/'}"})
        if operating:
            subject = operating.tokens.principal.subject
            if tokens.principal.subject != subject:  # control: operator-is-who-signed-in
                raise Denied(ConsoleReason.ANOTHER_PERSON)
            operating.operator, operating.signing_in = tokens.principal, ""
        else:
            _set(answer, SESSION, sessions.begin(tokens), "strict")
        _set(answer, SIGN_IN, "", "lax", 0)
        return answer

    @app.post("/sign-out")
    async def sign_out(session: Signed) -> Response:
        sessions.end(session)
        await issuer.sign_out(session)
        answer = RedirectResponse("/", 303)
        _set(answer, SESSION, "", "strict", 0)
        return answer


def _set(answer: Response, name: str, value: str, same_site: Literal["lax", "strict"], age: int | None = None) -> None:
    answer.set_cookie(name, value, age, path="/", secure=True, httponly=True, samesite=same_site)
