"""Guards a service that exists already, with access tokens of any issuer (RFC 9068).

    app = guard(app, issuer="https://sso.example/realms/shop", audience="https://quotes.example", routes=ROUTES)

It is the same gate as that of every party here, with fewer steps: `STEPS` below.  It needs no registry, no certificate
and no claim of this project, so it does not know who presents a token, and hears of no revocation before a token ends.
"""

import logging
import math
import re
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import BaseModel, ConfigDict
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from zerotrust import checks
from zerotrust.app import refusing
from zerotrust.audit.journal import Journal
from zerotrust.audit.recorder import Recorder
from zerotrust.call import Call
from zerotrust.checks import TOKEN, Checks, Step, names_of
from zerotrust.decision import Decision, Denied, PolicyEngine, Question, Reason, Resource
from zerotrust.dialect import BEARER
from zerotrust.gate import Gate
from zerotrust.identity import Principal, UnverifiedToken
from zerotrust.issuer.discovery import Discovery
from zerotrust.issuer.jwks import SigningKeys
from zerotrust.registry.model import ISSUER, Freshness
from zerotrust.revocation import Revocations
from zerotrust.routes import MutualTLS, Routes
from zerotrust.routing import RouteTable
from zerotrust.spiffe.svid import Peer
from zerotrust.token_validation import Expected, Seconds, Text, check_time, signed_claims
from zerotrust.transport import requests

log = logging.getLogger(__name__)


class Claims(BaseModel):
    """The claims of RFC 9068 section 2.2.  Keycloak calls `client_id` `azp`."""

    model_config = ConfigDict(strict=True)

    iss: str
    aud: str | list[str]
    sub: Text
    jti: Text
    iat: Seconds
    exp: Seconds
    nbf: Seconds = 0
    client_id: Text | None = None
    azp: Text | None = None
    sid: Text | None = None
    scope: str = ""
    groups: list[str] = []
    cnf: Any = None
    zt_cnf: Any = None
    act: Any = None
    zt_act: Any = None

    def chain(self, claim: str | None) -> Any:
        """Return the chain of actors that this claim has.  Raises `Denied` if another claim has one."""
        chains = {"act": self.act, "zt_act": self.zt_act}
        found = chains.pop(claim, None) if claim else None
        if any(other is not None for other in chains.values()):  # control: delegated-token-refused
            raise Denied(Reason.BAD_CLAIM, f"{' or '.join(chains)}: an agent acts for the user, and none may here")
        return found

    def check(self, token: UnverifiedToken, expected: Expected, now: float) -> Principal:
        """Return the caller that these claims of `token` describe, if they are valid here (RFC 9068 section 4).

        Of `expected`, it takes the issuer and the audience, which may be one of several; `now` is in seconds since the
        epoch.  Raises `Denied`.
        """
        if self.iss != expected.issuer:  # control: any-issuer
            raise Denied(Reason.ISSUER_MISMATCH, f"its issuer is {self.iss}, and not {expected.issuer}")
        audiences = [self.aud] if isinstance(self.aud, str) else self.aud
        if expected.audience not in audiences:  # control: any-issuer-audience
            raise Denied(Reason.AUDIENCE_MISMATCH, f"it is for {self.aud}, and this is {expected.audience}")
        named = {self.client_id, self.azp} - {None}
        if len(named) != 1:  # control: any-issuer-one-client
            raise Denied(Reason.BAD_CLAIM, "client_id")
        begins = max(self.iat, self.nbf)
        check_time(begins, self.exp, now)
        client = str(named.pop())
        return Principal(
            subject=self.sub,
            party=client,
            client=client,
            actors=(),
            audience=expected.audience,
            scopes=frozenset(self.scope.split(" ")) - {""},
            groups=frozenset(self.groups),
            token_id=self.jti,
            lineage=(),
            chain_started_at=begins,
            session=self.sid or self.jti,
            issued_at=begins,
            expires_at=self.exp,
            token=token,
        )


def verify_any(token: UnverifiedToken, *, key: RSAPublicKey, expected: Expected, now: float) -> Principal:
    """Return the principal of a token of any issuer, which its bearer may use.  Raises `Denied`."""
    claims = signed_claims(token, key, Claims)
    if claims.cnf is not None or claims.zt_cnf is not None:  # control: bound-token-refused
        raise Denied(Reason.NOT_BOUND, "a token with a key, and nothing here takes its proof")
    claims.chain(None)
    return claims.check(token, expected, now)


async def credentials(gate: Checks, call: Call) -> None:  # noqa: ARG001 - a step
    """Refuses all but one token in one header, as `Bearer`.  RFC 6750 section 2.1."""
    call.permission = call.route.requires.hint
    call.token = requests.read_token(call.scope["headers"], scheme=b"bearer", hint=call.permission)


_EVERY = {step.id: step for step in checks.STEPS}


def listed(*steps: str | Step) -> tuple[Step, ...]:
    """Return the steps of a rung: its own, and those of every party that are named here, so that it gets no other."""
    return tuple(_EVERY[step] if isinstance(step, str) else step for step in steps)


STEPS = listed(
    *("path", "turn"),
    Step(credentials, TOKEN, *checks.CREDENTIAL_REASONS),
    Step(Checks.verify, TOKEN, *_EVERY["verify"].reasons, Reason.NOT_BOUND),
    *("note", "listed", "protocol", "decide_early", "limits", "body", "decide", "record", "count"),
)
"""The steps of this gate.  It lacks those that need a certificate, a proof, the registry's news, or a client of its
own: peer, workload, bind, prove, revoked and introspect."""


FRESHNESS = Freshness(keys=300, keys_cooldown=5, svid=60, x509_svid=120, revocations=3)
"""How old the issuer's keys may get."""
SOMEBODY = Peer(None, math.inf)
"""Every caller: TLS ends at this server or before it, and says nothing about them."""


class ByScope:
    """Permits what the token's scopes permit, and nothing about single resources."""

    version = "scopes"

    def decide(self, principal: Principal, permission: str, audience: str) -> Decision:  # noqa: ARG002 - an engine
        """Decide whether the token has this scope."""
        if permission not in principal.scopes:  # control: any-issuer-scope
            return Decision(allowed=False, reason=Reason.SCOPE_MISSING, detail=f"needs {permission}")
        return Decision(allowed=True, reason=Reason.GRANTED)

    def decide_on(self, principal: Principal, action: str, resource: Resource) -> Decision:  # noqa: ARG002
        """Refuse: no scope says anything about one resource."""
        return Decision(allowed=False, reason=Reason.RESOURCE_DENIED, detail=f"{action} {resource.kind}")

    def decide_each(self, principal: Principal, questions: Sequence[Question]) -> Sequence[Decision]:
        """Decide several questions, in their order."""
        return [
            self.decide_on(principal, action, at) if isinstance(at, Resource) else self.decide(principal, action, at)
            for action, at in questions
        ]


class _WithinScopes:
    """Asks another engine about what the token's scopes permit."""

    def __init__(self, engine: PolicyEngine) -> None:
        self._scopes, self._engine, self.version = ByScope(), engine, engine.version
        self.decide_on, self.decide_each = engine.decide_on, engine.decide_each

    def decide(self, principal: Principal, permission: str, audience: str) -> Decision | Awaitable[Decision]:
        """Decide by the scopes, and then by the engine."""
        if not (decision := self._scopes.decide(principal, permission, audience)):  # control: engine-within-scopes
            return decision
        return self._engine.decide(principal, permission, audience)


def within_scopes(engine: PolicyEngine | None) -> PolicyEngine:
    """Return an engine that decides by scopes alone, or by this one within them."""
    return _WithinScopes(engine) if engine else ByScope()


class NoneKnown(Revocations):
    """Nothing is known to be revoked: no news of it comes to this gate."""

    def __init__(self) -> None:
        super().__init__(clock=time.monotonic)

    @property
    def fresh(self) -> bool:
        return True


def check_issuer(issuer: str, audience: str) -> list[str]:
    """Return what is wrong with these, each with its repair."""
    wrong = []
    if not re.fullmatch(ISSUER, issuer):
        wrong.append(f"issuer={issuer!r}: its name is an https address (RFC 8414 section 2)")
    if not re.fullmatch(r"[\x21-\x7e]{1,512}", audience):
        wrong.append(f"audience={audience!r}: write how tokens name this service in `aud`")
    return wrong


async def _never(_principal: Principal, _permission: str) -> None:
    raise RuntimeError("this gate introspects no token")


def guard(  # noqa: PLR0913 - what a gate needs, by name
    app: Starlette,
    *,
    issuer: str,
    audience: str,
    routes: Routes,
    engine: PolicyEngine | None = None,
    journal: Path = Path("journal.jsonl"),
    http: httpx.AsyncClient | None = None,
) -> ASGIApp:
    """Return the app behind a gate that admits callers by access tokens of this issuer alone.

    `issuer`: its name, an https address; `audience`: this service, as its tokens name it; `routes`: what each route
    requires; `engine`: decides instead of the scopes alone, such as `AuthZEN`; `journal`: the file for the decisions of
    this process; `http`: reaches the issuer, if the system's authorities do not vouch for it.
    Raises `ValueError`, which names all that is missing, and `JournalError`.
    """
    wrong = check_issuer(issuer, audience)
    # control: no-certificate-is-known
    if unknown := [f"{method} {path}" for (method, path), row in routes.items() if isinstance(row, MutualTLS)]:
        wrong.append(f"{', '.join(unknown)}: no certificate is known here; write Scope(…) or Public()")
    try:
        table = RouteTable(routes, app)
    except ValueError as error:
        wrong.append(str(error))
    if wrong:
        raise ValueError("\n".join(wrong))
    reaching = http or httpx.AsyncClient(timeout=10)
    recorder = Recorder(Journal(journal), audience)
    app.add_exception_handler(Denied, refusing(recorder))
    gate = Gate(
        app=app,
        routes=table,
        expected=Expected(issuer=issuer, audience=audience),
        keys=SigningKeys(Discovery(issuer, http=reaching), http=reaching, freshness=FRESHNESS, clock=time.monotonic),
        policy=within_scopes(engine),
        revocations=NoneKnown(),
        confirm=_never,
        recorder=recorder,
        address="",
        clock=time.time,
        challenge=BEARER,
        verifier=verify_any,
        steps=STEPS,
    )
    what = "Rung 1, any issuer: a token of %s for %s is taken from anybody until it ends.  Steps: %s."
    log.warning(what, issuer, audience, names_of(STEPS))

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "state": {**scope.get("state", {}), "peer": SOMEBODY}}
        await gate(scope, receive, send)
        if scope["type"] == "lifespan":
            recorder.close()
            if reaching is not http:
                await reaching.aclose()

    return guarded
