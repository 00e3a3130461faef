"""The sessions of people who are signed in, in the memory of this process alone: a restart signs everybody out.

A browser has one cookie with random bits, and no token.  Before the sign-in ends, it holds a secret of its own,
which is the PKCE verifier, too; and `state` is signed here.  So a stranger who begins many sign-ins fills nothing here.
"""

import asyncio
import hmac
import secrets
from dataclasses import dataclass, field

from zerotrust.decision import ReasonCode
from zerotrust.identity import Principal
from zerotrust.limits.bounded import Bounded
from zerotrust.possession import hashed

SESSION, SIGN_IN = "__Host-session", "__Host-sign-in"
"""Cookies.  With this prefix a browser takes them from this very host alone, over TLS (RFC 6265bis section 4.1.3.2)."""
SECONDS_TO_SIGN_IN = 300
_KEY = secrets.token_bytes(32)
"""This process's key, for `state`."""
MOST, MOST_OF_A_USER = 1_000, 5
"""Sessions in all, and of one user.  One more ends the user's oldest one, and otherwise the oldest of all."""


class ConsoleReason(ReasonCode):
    """The console's own refusals to a browser, before any policy is asked."""

    NOT_SIGNED_IN = "not_signed_in", (401, None)
    FORGED_REQUEST = "forged_request", (403, "invalid_request")
    ANOTHER_BROWSER = "another_browser", (400, "invalid_request")
    ANOTHER_ISSUER = "another_issuer", (400, "invalid_request")
    ANOTHER_PERSON = "another_person", (400, "invalid_request")
    SIGN_IN_CANCELLED = "sign_in_cancelled", (400, "invalid_request")
    SIGN_IN_REFUSED = "sign_in_refused", (400, "invalid_request")
    SIGN_OUT_UNCONFIRMED = "sign_out_unconfirmed", (503, "temporarily_unavailable")
    OPERATOR_NOT_SIGNED_IN = "operator_not_signed_in", (403, "insufficient_scope")
    TASKS_UNDER_WAY = "tasks_under_way", (429, "temporarily_unavailable")
    THIEF_BUSY = "thief_busy", (429, "temporarily_unavailable")
    THIEF_UNAVAILABLE = "thief_unavailable", (503, "temporarily_unavailable")


@dataclass(slots=True, eq=False)
class Session:
    """One person in one browser, with what Keycloak gave for a code or a refresh token."""

    principal: Principal
    name: str
    """The user's, for people."""
    refresh_token: str = field(repr=False)
    form_token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """The token in each form of its pages."""
    operator: Principal | None = None
    """Whom a second sign-in gave a token for the registry.  There is no refresh token: it ends with that token."""
    signing_in: str = ""
    """The `state` of that sign-in, while it is under way."""
    open: bool = True
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by what uses the refresh token: it can be used once."""


class Sessions:
    """All sessions, by the hashes of their cookies."""

    def __init__(self) -> None:
        self._all: dict[str, Session] = {}
        self.names = Bounded[str, str](MOST)
        """The names of people who have signed in, by their ids."""

    def begin(self, session: Session) -> str:
        """Take in a session, and return its cookie, which no browser had before."""
        subject, cookie = session.principal.subject, secrets.token_urlsafe(32)
        own = [one for one in self._all.values() if one.principal.subject == subject]
        for one in own[: 1 - MOST_OF_A_USER]:  # control: sessions-of-a-user-bounded
            self.end(one)
        for one in [*self._all.values()][: 1 - MOST]:
            self.end(one)
        self.names[subject], self._all[hashed(cookie)] = session.name, session
        return cookie

    def find(self, cookie: str) -> Session | None:
        return self._all.get(hashed(cookie))

    def signing_in(self, state: str) -> Session | None:
        """Return the session in which a second sign-in is under way."""
        return next((one for one in self._all.values() if one.signing_in == state), None)

    def end(self, session: Session) -> None:
        session.open = False
        self._all = {key: one for key, one in self._all.items() if one is not session}


def state_of(secret: str, until: str) -> str:
    """Return the `state` of the sign-in with this secret (RFC 6749 section 10.12), which this process alone can make.

    `until`: the last second at which it is good, since the epoch.
    """
    return f"{until}.{hmac.digest(_KEY, f'{until} {secret}'.encode(), 'sha256').hex()}"
