"""Lets a browser's request pass, or refuses it, before any page is made.

The gate in front takes requests without any credential here, because browsers have none that it knows; it bounds and
counts them.  Between the gate and the pages, the admission asks for a session at all paths but a few, in these steps:

(1) session  (2) token, renewed if need be  (3) standing  (4) for a form: sent by one of our own pages.

Then `current_principal()` is the person, as behind the gate of any other party.
"""

from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.issuer import Issuer
from console.pages import refused
from console.reasons import ConsoleReason
from console.sessions import SESSION, Session, Sessions, cookie_of
from zerotrust.audit.counts import CallCounter
from zerotrust.context import REQUEST
from zerotrust.decision import Denied, Reason
from zerotrust.revocation import Revocations
from zerotrust.routes import MAX_TEXT
from zerotrust.transport.requests import read_body

OPEN = {"/health", "/sign-in", "/callback"}
"""Paths for which nobody has to be signed in; and everything below `/static/`."""
HOME = "/"
"""The one page that is another one for a person who is signed in."""
MAX_FORM, MOST_FIELDS = 2 * MAX_TEXT, 8
"""Bytes and fields of a form: a request of 10,000 characters has up to 120 KB, as a form encodes them."""
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with `no-referrer`, browsers send forms with `Origin: null` (Fetch)
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""The headers of every answer: only the page's own files run or show, and no other page frames it."""


class Admission:
    """The app behind the gate, for people who are signed in."""

    def __init__(
        self, app: ASGIApp, *, sessions: Sessions, issuer: Issuer, revocations: Revocations, counter: CallCounter
    ) -> None:
        self._app, self._sessions, self._issuer = app, sessions, issuer
        self._revocations, self._counter = revocations, counter
        self._headers = {name.encode(): value.encode() for name, value in HEADERS.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [one for one in message.get("headers", ()) if one[0] not in self._headers]
                message = {**message, "headers": [*own, *self._headers.items()]}  # control: pages-run-own-scripts
            await send(message)

        try:
            scope["state"] = {**scope.get("state", {}), "session": None}
            if scope["path"] not in OPEN and not scope["path"].startswith("/static/"):
                receive = await self._admit(scope, receive)
        except Denied as refusal:
            self._counter.count(_origin(scope), refusal.reason)
            await refused(refusal, scope)(scope, receive, sending)
            return
        await self._app(scope, receive, sending)

    async def _admit(self, scope: Scope, receive: Receive) -> Receive:
        """Return what the handler reads the body with.  Raises `Denied`."""
        session = await self._session(scope)
        if session is None:
            if scope["path"] == HOME and scope["method"] == "GET":
                return receive
            raise Denied(ConsoleReason.NOT_SIGNED_IN)
        if scope["method"] != "GET":
            receive = await self._check_form(scope, receive, session)
        scope["state"]["session"] = session
        REQUEST.get().principal = session.tokens.principal
        return receive

    async def _session(self, scope: Scope) -> Session | None:
        """Return the session of a request, while its user may go on (1 to 3).  Raises `Denied` if that is unknown."""
        session = self._sessions.find(cookie_of(scope["headers"], SESSION))
        if session is None:
            return None
        try:
            await self._issuer.renew(session)
        except Denied as refusal:
            if refusal.status == 503:
                raise
            self._sessions.end(session)  # Keycloak has ended it, or the user
            return None
        if not (standing := self._revocations.check_caller(session.tokens.principal)):  # control: person-not-revoked
            if standing.reason is not Reason.REVOKED:
                raise Denied(standing.reason, standing.detail)
            self._sessions.end(session)
            return None
        return session

    async def _check_form(self, scope: Scope, receive: Receive, session: Session) -> Receive:
        """Refuse a form that none of our own pages sent (4).  Raises `Denied`."""
        sent = Headers(scope=scope).getlist("origin")
        if sent != [self._issuer.origin]:  # control: form-from-own-origin
            raise Denied(ConsoleReason.FORGED_REQUEST, "another origin")
        receive, raw = await read_body(scope["headers"], receive, most=MAX_FORM)
        try:
            fields = parse_qs(raw.decode("ascii"), max_num_fields=MOST_FIELDS)
        except ValueError as error:
            raise Denied(Reason.MALFORMED_BODY, str(error)) from error
        if not session.owns(fields.pop("form_token", [])):  # control: form-token
            raise Denied(ConsoleReason.FORGED_REQUEST, "no token of this session")
        scope["state"]["form"] = {name: values[0] for name, values in fields.items() if len(values) == 1}
        return receive


def _origin(scope: Scope) -> str:
    return str(scope["client"][0]) if scope.get("client") else "unknown"
