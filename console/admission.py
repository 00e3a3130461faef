"""Lets a browser's request pass, or refuses it, before any page is made.

The gate in front takes requests without any credential here, because browsers have none that it knows; it bounds and
counts them.  Between the gate and the pages, the admission asks for a session at all paths but a few, in these steps:

(1) session  (2) limits  (3) token, renewed if need be  (4) for a form: sent by one of our own pages.

Then `current_principal()` is the person, as behind the gate of any other party.  The gate's own methods bound what a
person has under way, in all sessions together and with the streams, to `OF_A_PERSON` of the `OF_A_PARTY` places of all
people; end an answer with the person's token or rights; and record or count what is refused.
"""

from secrets import compare_digest
from typing import cast
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.pages import refused
from console.sessions import SESSION, ConsoleReason, Session, Sessions
from console.sign_in import Issuer
from zerotrust.call import Call
from zerotrust.context import REQUEST
from zerotrust.decision import Denied, Reason
from zerotrust.gate import Gate
from zerotrust.routes import MAX_TEXT
from zerotrust.transport.responses import cut_off

OPEN = {"/health", "/sign-in", "/callback"}
"""Paths that need no sign-in; and everything below `/static/`."""
HOME, SIGN_OUT = "/", "/sign-out"
"""The one page that is another one for a person who is signed in; and the form that waits for nothing."""
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
"""Headers of each answer but the gate's own refusals: only the page's own files run, and no other page frames it."""


class Admission:
    """The app behind the gate, for people who are signed in."""

    def __init__(self, app: ASGIApp, *, gate: Gate, sessions: Sessions, issuer: Issuer) -> None:
        """`app` raises the `Denied` of its handlers; `gate` is in front of it."""
        self._app, self._gate, self._sessions, self._issuer = app, gate, sessions, issuer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)  # control: pages-run-own-scripts
            await send(message)

        call, request = cast("Call", REQUEST.get()), Request(scope)
        request.state.session = None
        try:
            if scope["path"] not in OPEN and not scope["path"].startswith("/static/"):
                await self._admit(call, request)
            refusal = await self._gate.run(call, self._app, sending)
        except Denied as raised:
            refusal = raised
        if refusal is None:
            return
        if refusal.reason is Reason.REVOKED:
            refusal = Denied(ConsoleReason.NOT_SIGNED_IN, str(refusal))
        # Keycloak has ended the session, or an operator, or the user elsewhere.
        if request.state.session and refusal.reason is ConsoleReason.NOT_SIGNED_IN:
            self._sessions.end(request.state.session)
        refusal = await self._gate.note_refusal(call, refusal)
        if call.last is None:
            await refused(refusal, request)(scope, call.receive, sending)
        elif first := call.unfinished_answer:
            await cut_off(refusal, call.span.trace_id, sending, first=first)

    async def _admit(self, call: Call, request: Request) -> None:
        """Have a request go on in the name of a person, or as that of a stranger at `HOME`.  Raises `Denied`."""
        session = request.state.session = self._sessions.find(request.cookies.get(SESSION, ""))
        if session is None:
            if request.scope["path"] != HOME:
                raise Denied(ConsoleReason.NOT_SIGNED_IN)
            return
        if note_user := getattr(request.state, "note_user", None):
            note_user(session.principal.subject)
        if request.scope["path"] != SIGN_OUT:
            call.principal = session.principal
            await self._gate.limits(call)  # first, so that requests that wait for Keycloak are counted as well
            await self._issuer.renew(session)
            call.principal = session.principal
        if request.method != "GET":
            await self._check_form(call, request, session)

    async def _check_form(self, call: Call, request: Request, session: Session) -> None:
        """Refuse a form that none of our own pages sent (4).  Raises `Denied`."""
        if request.headers.getlist("origin") != [self._issuer.origin]:  # control: form-from-own-origin
            raise Denied(ConsoleReason.FORGED_REQUEST, "another origin")
        try:
            raw = await Request(request.scope, call.receive).body()  # which the gate has read, and bounded
            fields = parse_qs(raw.decode("ascii"), max_num_fields=MOST_FIELDS)
        except ValueError as error:
            raise Denied(Reason.MALFORMED_BODY, str(error)) from error
        sent = fields.pop("form_token", [])
        if [compare_digest(one.encode(), session.form_token.encode()) for one in sent] != [True]:  # control: form-token
            raise Denied(ConsoleReason.FORGED_REQUEST, "no token of this session")
        request.state.form = {name: values[0] for name, values in fields.items() if len(values) == 1}
