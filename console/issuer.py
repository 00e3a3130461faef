"""Signs people in at Keycloak: code flow with PKCE, as a confidential client that authenticates with its JWT-SVID.

The user's token stays in this process.  It names this console (`azp`), and the gate of the orchestrator takes it over
this console's certificate alone.  It is verified here exactly as there.
"""

from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import jwt

from console.reasons import ConsoleReason
from console.sessions import Session, Tokens, challenge_of, state_of, verifier_of
from zerotrust.decision import Denied, Reason
from zerotrust.identity import UnverifiedToken
from zerotrust.issuer.discovery import Discovery
from zerotrust.issuer.exchange import CLIENT_ASSERTION
from zerotrust.limits.answers import MAX_ANSWER, ask
from zerotrust.limits.strict_json import strict_object
from zerotrust.service import Service, expectations_of
from zerotrust.spiffe.workload import WorkloadError
from zerotrust.token_validation import key_id, verify_token

LASTING = 5
"""Seconds that a token must have left to be used again."""
LONGEST_NAME = 64
"""Characters of a user's name that are shown."""


class Issuer:
    """The realm, as this console uses it."""

    def __init__(self, service: Service) -> None:
        self._service, self._http = service, service.issuer_http
        self._discovery = Discovery(service.issuer, http=self._http)
        party, self.operated = service.registry.parties[service.name], service.registry.authorities.registry
        self._id, [self.redirect] = service.registry.id(service.name), party.redirect_uris
        [self.front] = {*party.may_call} - {self.operated}
        self.origin = f"https://{urlsplit(self.redirect).netloc}"
        """The address of this console."""

    def _scope(self, audience: str) -> str:
        """Return what a sign-in for this party asks for: it is the audience, and operators' scopes are for theirs."""
        registry = self._service.registry
        held, operators = registry.parties[self._service.name].delegates, registry.scopes_at(self.operated)
        wanted = [one for one in held if (one in operators) == (audience == self.operated)]
        return " ".join([*wanted, f"aud:{audience}"])

    async def address(self, secret: str, audience: str) -> str:
        """Return where a browser with this secret is sent to sign in, for this party.  Raises `Denied`."""
        metadata = await self._discovery.metadata("authorization_endpoint")
        asked = {
            "client_id": self._id,
            "response_type": "code",
            "redirect_uri": self.redirect,
            "scope": self._scope(audience),
            "state": state_of(secret),
            "code_challenge": challenge_of(secret),
            "code_challenge_method": "S256",
        }
        return f"{metadata.authorization_endpoint}?{urlencode(asked)}"

    async def redeem(self, code: str, secret: str, audience: str) -> Tokens:
        """Return the tokens for a code (RFC 6749 section 4.1.3), which are for this party.  Raises `Denied`."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect}
        return await self._ask(form | {"code_verifier": verifier_of(secret)}, audience)

    async def renew(self, session: Session, lasting: float = LASTING) -> None:
        """Get new tokens for a session if the old one does not last so many seconds.  Raises `Denied`."""
        async with session.turn:
            if session.tokens.principal.expires_at - self._service.clock() > lasting:
                return
            before = session.tokens
            form = {"grant_type": "refresh_token", "refresh_token": before.refresh_token}
            tokens = await self._ask(form, self.front)
            if tokens.principal.subject != before.principal.subject:
                raise Denied(ConsoleReason.SIGN_IN_REFUSED, "another user's token")
            session.tokens = tokens

    async def sign_out(self, session: Session) -> None:
        """End the session at Keycloak, and so all its tokens (OpenID Connect RP-Initiated Logout 1.0).

        Raises `Denied` if Keycloak cannot be asked.
        """
        metadata = await self._discovery.metadata("end_session_endpoint")
        await self._post(metadata.end_session_endpoint, {"refresh_token": session.tokens.refresh_token})

    async def _ask(self, form: dict[str, str], audience: str) -> Tokens:
        metadata = await self._discovery.metadata("token_endpoint")
        status, answer = await self._post(metadata.token_endpoint, form)
        try:
            content = strict_object(answer)
        except ValueError as error:
            raise Denied(Reason.ISSUER_UNAVAILABLE, f"status {status}") from error
        if status >= 500:
            raise Denied(Reason.ISSUER_UNAVAILABLE, f"status {status}")
        if status != 200:
            raise Denied(ConsoleReason.SIGN_IN_REFUSED, str(content.get("error", status)))
        return await self._verified(content, audience)

    async def _post(self, url: str, form: dict[str, str]) -> tuple[int, bytes]:
        try:
            assertion = await self._service.workload.assertion(self._discovery.issuer)
        except WorkloadError as error:
            raise Denied(Reason.IDENTITY_UNAVAILABLE, str(error)) from error
        own = {"client_id": self._id, "client_assertion_type": CLIENT_ASSERTION, "client_assertion": assertion}
        try:
            return await ask(self._http, "POST", url, most=MAX_ANSWER, data=form | own)
        except (httpx.HTTPError, ValueError) as error:
            raise Denied(Reason.ISSUER_UNAVAILABLE, type(error).__name__) from error

    async def _verified(self, content: dict[str, Any], audience: str) -> Tokens:
        """Return the tokens of an answer, verified as the party does that they are for.  Raises `Denied`."""
        registry = self._service.registry
        try:
            token, refresh_token = UnverifiedToken(str(content["access_token"])), str(content["refresh_token"])
        except KeyError as error:
            raise Denied(Reason.ISSUER_UNAVAILABLE, f"an answer without {error}") from error
        expected = expectations_of(audience, registry, self._service.issuer)
        key = await self._service.keys.key(key_id(token))
        principal = verify_token(token, key=key, expected=expected, now=self._service.clock())
        if principal.party != self._id or principal.actors:  # control: console-token-own
            raise Denied(Reason.NOT_BOUND, f"issued to {principal.party}")
        # It is verified by now; `Principal` has no name for people.
        named = jwt.decode(token, options={"verify_signature": False}).get("preferred_username", "")
        return Tokens(principal, str(named)[:LONGEST_NAME] or principal.subject, refresh_token)
