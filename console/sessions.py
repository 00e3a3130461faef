"""The sessions of people who are signed in, in the memory of this process alone: a restart signs everybody out.

A browser has one cookie with random bits, and no token.  What it has before the sign-in ends is a secret of its own,
from which `state` and the PKCE verifier are derived: so a stranger who begins many sign-ins fills nothing here.
"""

import asyncio
import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from zerotrust.identity import Principal
from zerotrust.limits.bounded import Bounded

SESSION, SIGN_IN = "__Host-session", "__Host-sign-in"
"""Cookies.  With this prefix a browser takes them from this very host alone, over TLS (RFC 6265bis section 4.1.3.2)."""
SECONDS_TO_SIGN_IN = 300
MOST, MOST_OF_A_USER = 1_000, 5
"""Sessions in all, and of one user.  One more ends the user's oldest one, and otherwise the oldest of all."""
MOST_RUNS = 20
"""Answers of tasks that a session keeps."""

_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the issuer gave for a code or a refresh token."""

    principal: Principal
    name: str
    """The user's name, for people."""
    refresh_token: str = field(repr=False)


class Answered(NamedTuple):
    """A task that was answered: what was sent and what came, byte for byte."""

    request: bytes
    answer: bytes


@dataclass(slots=True, eq=False)
class Session:
    """One person in one browser."""

    tokens: Tokens
    form_token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """What each form of its pages carries."""
    operator: Tokens | None = None
    """What a second sign-in gave for the registry, without a refresh token: it ends with the token."""
    signing_in: str = ""
    """The `state` of that sign-in, while it is under way."""
    open: bool = True
    runs: Bounded[str, Answered | None] = field(default_factory=lambda: Bounded(MOST_RUNS))
    """The answers of its tasks by the trace under which they were sent; None until there is one."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Of who refreshes its tokens: a refresh token can be used once."""

    def owns(self, sent: Sequence[str]) -> bool:
        """Return whether exactly the form token of this session was sent."""
        return len(sent) == 1 and secrets.compare_digest(sent[0].encode(), self.form_token.encode())


class Sessions:
    """All sessions, by the SHA-256 of their cookies."""

    def __init__(self) -> None:
        self._all: dict[bytes, Session] = {}
        self.names = Bounded[str, str](MOST)
        """The names of people who have signed in, by their ids."""

    def begin(self, tokens: Tokens) -> str:
        """Begin a session, and return its cookie, which no browser had before."""
        own = [one for one in self._all.values() if one.tokens.principal.subject == tokens.principal.subject]
        for one in own[: 1 - MOST_OF_A_USER]:  # control: sessions-of-a-user-bounded
            self.end(one)
        for one in [*self._all.values()][: 1 - MOST]:
            self.end(one)
        self.names[tokens.principal.subject] = tokens.name
        cookie = secrets.token_urlsafe(32)
        self._all[_digest(cookie)] = Session(tokens)
        return cookie

    def find(self, cookie: str | None) -> Session | None:
        return self._all.get(_digest(cookie)) if cookie else None

    def signing_in(self, secret: str) -> Session | None:
        """Return the session whose person signs in a second time with this secret: its own cookie does not come along.

        That is Strict, and the answer comes from Keycloak's site.
        """
        return next((one for one in self._all.values() if one.signing_in == state_of(secret)), None)

    def end(self, session: Session) -> None:
        session.open = False
        for key in [key for key, one in self._all.items() if one is session]:
            del self._all[key]


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()


def cookie_of(headers: Iterable[tuple[bytes, bytes]], name: str) -> str | None:
    """Return the value of the one cookie of this name, if it has the form of ours (RFC 6265 section 5.4)."""
    pairs = [pair for key, value in headers if key == b"cookie" for pair in value.decode("latin-1").split(";")]
    found = [value for pair in pairs for key, _, value in [pair.strip().partition("=")] if key == name]
    return found[0] if len(found) == 1 and _COOKIE.fullmatch(found[0]) else None


def state_of(secret: str) -> str:
    """Return the `state` of the sign-in with this secret (RFC 6749 section 10.12)."""
    return _derived("state", secret)


def verifier_of(secret: str) -> str:
    """Return its PKCE verifier (RFC 7636 section 4.1)."""
    return _derived("verifier", secret)


def challenge_of(secret: str) -> str:
    """Return the challenge of that verifier, by S256."""
    return _base64(hashlib.sha256(verifier_of(secret).encode()).digest())


def _derived(what: str, secret: str) -> str:
    return _base64(hashlib.sha256(f"{what} {secret}".encode()).digest())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
