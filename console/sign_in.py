"""Signs people in at Keycloak, and out: code flow with PKCE, as a confidential client, which has its JWT-SVID for that.

The user's token stays in this process.  It names this console (`azp`), and the gate of the orchestrator takes it over
this console's certificate alone.  It is verified here exactly as there.  Keycloak asks for the password each time
(`registration/realm`), so neither a link nor a visit after a sign-out signs a person in.
"""

import asyncio
from contextlib import suppress
from ipaddress import IPv6Address
from secrets import compare_digest, token_urlsafe
from typing import Annotated, Any, Literal
from urllib.parse import urlencode, urlsplit
from weakref import WeakValueDictionary

import jwt
from fastapi import Depends, FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse

from console.sessions import SECONDS_TO_SIGN_IN, SESSION, SIGN_IN, ConsoleReason, Session, Sessions, state_of
from zerotrust.decision import Denied, Reason, ReasonCode, Resource
from zerotrust.identity import UnverifiedToken
from zerotrust.possession import hashed
from zerotrust.service import Service, expectations_of
from zerotrust.shielded import Shielding, shielded
from zerotrust.token_validation import key_id, verify_token

LASTING = 5
"""Seconds that a token must have left to be used again."""
LONGEST_NAME = 64
"""Characters of a user's name that are shown."""
AT_ONCE, MOST_AGAIN, MOST_CODES = 10, 10, 40
"""Codes that are redeemed at once, by turns, one of each address; that may wait if their address has another; and that
wait in all.  Strangers can send any, and each is a request to Keycloak over connections that renewals need, too."""


async def session_of(request: Request) -> Session | None:  # not in a thread, which would keep the request
    """Return the session of a request; None at the few paths where the admission asks for none."""
    found: Session | None = request.state.session
    return found


Signed = Annotated[Session, Depends(session_of)]
"""A handler's parameter: the session of its request, at all other paths."""


class Issuer(Shielding):
    """The realm, as this console uses it."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service, self._keycloak, self._senders = service, service.at_issuer, list[str]()
        self._turns, self._places = WeakValueDictionary[str, asyncio.Lock](), asyncio.Semaphore(AT_ONCE)
        party, self.operated = service.registry.parties[service.name], service.registry.authorities.registry
        self._id, [self._redirect] = service.registry.id(service.name), party.redirect_uris
        [self.front] = {*party.may_call} - {self.operated}
        self.origin = f"https://{urlsplit(self._redirect).netloc}"
        """The address of this console."""

    async def address(self, secret: str, state: str, audience: str) -> str:
        """Return where a browser with this secret is sent to sign in, for this party.  Raises `Denied`."""
        metadata, registry = await self._keycloak.realm.metadata("authorization_endpoint"), self._service.registry
        held, operators = registry.parties[self._service.name].delegates, registry.scopes_at(self.operated)
        scopes = [one for one in held if (one in operators) == (audience == self.operated)]  # operators' for theirs
        asked = {
            "client_id": self._id,
            "response_type": "code",
            "redirect_uri": self._redirect,
            "scope": " ".join([*scopes, f"aud:{audience}"]),
            "state": state,
            "code_challenge": hashed(secret),
            "code_challenge_method": "S256",
        }
        return f"{metadata.authorization_endpoint}?{urlencode(asked)}"

    async def redeem(self, code: str, secret: str, audience: str, sender: str) -> Session:
        """Return a session for a code that came from this network (RFC 6749 section 4.1.3).  Raises `Denied`."""
        most = MOST_AGAIN if sender in self._senders else MOST_CODES  # control: codes-room-for-others
        if len(self._senders) >= most:
            raise Denied(Reason.BUSY, "other codes are being redeemed")
        self._senders.append(sender)
        turn, place = self._turns.setdefault(sender, asyncio.Lock()), self._places  # control: codes-at-once-bounded
        try:
            async with turn, place:
                form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect}
                content = await self._ask(form | {"code_verifier": secret}, ConsoleReason.SIGN_IN_REFUSED)
                return await self._verified(content, audience)
        finally:
            self._senders.remove(sender)

    @shielded  # a refresh token works once, so what it brings is kept even if the request that needs it is cut off
    async def renew(self, session: Session, lasting: float = LASTING) -> None:
        """Get new tokens for a session if the old one does not last so many seconds.  Raises `Denied`."""
        async with session.turn:
            if not session.open:
                raise Denied(ConsoleReason.NOT_SIGNED_IN, "it has ended")
            if session.principal.expires_at - self._service.clock() > lasting:
                return
            form = {"grant_type": "refresh_token", "refresh_token": session.refresh_token}
            content = await self._ask(form, ConsoleReason.NOT_SIGNED_IN)
            # The old one was good once; so the new one is kept, even if the access token cannot be verified now.
            session.refresh_token = str(content.get("refresh_token"))
            renewed = (await self._verified(content, self.front)).principal
            if renewed.subject != session.principal.subject:
                raise Denied(ConsoleReason.NOT_SIGNED_IN, "another user's token")
            session.principal = renewed

    async def sign_out(self, session: Session) -> None:
        """End the session, and so all its tokens, at Keycloak (OpenID Connect RP-Initiated Logout 1.0), or raise."""
        with suppress(Denied):
            async with session.turn:  # a renewal under way replaces the refresh token
                form = {"refresh_token": session.refresh_token}
                if (await self._keycloak.post("end_session_endpoint", form))[0] == 204:
                    return
        raise Denied(ConsoleReason.SIGN_OUT_UNCONFIRMED)

    async def _ask(self, form: dict[str, str], refused: ReasonCode) -> dict[str, Any]:
        """Return what the token endpoint answers.  Raises `Denied`: `refused` if it refuses this code or token."""
        status, content = await self._keycloak.post("token_endpoint", form)
        if status == 200:
            return content
        # RFC 6749 section 5.2; any other error is about this console, or about the moment.
        wrong = content.get("error") == "invalid_grant"
        raise Denied(refused if wrong else Reason.ISSUER_UNAVAILABLE, str(content.get("error")))

    async def _verified(self, content: dict[str, Any], audience: str) -> Session:
        """Return a session by an answer, whose token is verified as the party does that it is for.  Raises `Denied`."""
        token = UnverifiedToken(str(content.get("access_token")))
        expected = expectations_of(audience, self._service.registry, self._service.issuer)
        key = await self._service.keys.key(key_id(token))
        principal = verify_token(token, key=key, expected=expected, now=self._service.clock())
        if principal.party != self._id or principal.actors:  # control: console-token-own
            raise Denied(Reason.NOT_BOUND, f"issued to {principal.party}")
        # It is verified by now; `Principal` has no name for people.
        named = jwt.decode(token, options={"verify_signature": False}).get("preferred_username", "")
        return Session(principal, str(named)[:LONGEST_NAME] or principal.subject, str(content.get("refresh_token")))


async def admit_operator(service: Service) -> None:
    """Record that the person sees all parties, or raise."""
    here = Resource("Console", service.registry.id(service.name))
    await service.decide("party.view", here, otherwise=HTTPException(404))  # control: parties-as-permitted


def add_sign_in_routes(app: FastAPI, service: Service, sessions: Sessions, issuer: Issuer) -> None:
    """Add `/sign-in`, `/operate/sign-in`, `/callback` and `/sign-out`."""

    async def leave(audience: str, session: Session | None = None) -> Response:
        secret, until = token_urlsafe(32), round(service.clock()) + SECONDS_TO_SIGN_IN
        state = state_of(secret, str(until))
        answer = RedirectResponse(await issuer.address(secret, state, audience), 303)
        if session:
            session.signing_in = state
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
        secret, back = request.cookies.get(SIGN_IN, ""), request.query_params
        state = back.get("state", "")
        until, _, _ = state.partition(".")
        ours = secret and compare_digest(state.encode(), state_of(secret, until).encode())
        if not ours or int(until) < service.clock():  # control: callback-of-this-browser
            raise Denied(ConsoleReason.ANOTHER_BROWSER)
        # The session of a second sign-in is found by `state`, because its cookie is Strict, and goes on if that fails.
        operating = request.state.session = sessions.signing_in(state)
        if back.get("iss") != service.issuer:  # control: callback-of-the-issuer
            raise Denied(ConsoleReason.ANOTHER_ISSUER)
        if not (code := back.get("code")):  # cancelled, or refused by Keycloak (RFC 6749 section 4.1.2.1)
            raise Denied(ConsoleReason.SIGN_IN_CANCELLED)
        host = request.client.host if request.client else "::"
        # In IPv6, a person has a whole network of 64 bits.
        sender = host if "." in host else IPv6Address(host).exploded[:19]  # control: codes-by-network
        begun = await issuer.redeem(code, secret, issuer.operated if operating else issuer.front, sender)
        # A redirect would still come from Keycloak's site, and a Strict cookie would not go with it; a refresh is ours.
        onward = {"refresh": f"0; url={'/parties' if operating else '/'}"}
        answer = HTMLResponse('<link rel="icon" href="/static/icon.svg">You are signed in.', headers=onward)
        if operating:
            own, other = operating.principal, begun.principal
            if (other.subject, other.session) != (own.subject, own.session):  # control: operator-is-who-signed-in
                await issuer.sign_out(begun)  # otherwise it would outlive the sign-out here
                raise Denied(ConsoleReason.ANOTHER_PERSON)
            operating.operator, operating.signing_in = other, ""
        else:
            _set(answer, SESSION, sessions.begin(begun), "strict")
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
