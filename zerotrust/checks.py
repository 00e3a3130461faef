"""The checks of the gate, and their order: `STEPS`, at the end.  docs/how-to/add-a-check.md adds one.

Each step refuses a call by raising `Denied`, or prepares what later steps, the record or the receipt need.
`# control: id` marks what a test takes away, to show that the attack then succeeds (docs/reference/attacks.md).
"""

import logging
from asyncio import sleep
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from zerotrust.audit.counts import CallCounter
from zerotrust.audit.forms import sanitize
from zerotrust.audit.recorder import Recorder
from zerotrust.call import Call
from zerotrust.clock import NonDecreasingClock
from zerotrust.decision import Decision, Denied, PolicyEngine, Reason, ReasonCode
from zerotrust.hardening.in_flight import OF_A_PARTY, OF_A_PERSON, OF_A_USER, PEOPLE, InFlight
from zerotrust.hardening.turns import Turns
from zerotrust.identity import Principal
from zerotrust.issuer.jwks import SigningKeys
from zerotrust.possession import UsedProofs, check_proof
from zerotrust.revocation import Revocations
from zerotrust.routes import UNLISTED, Need
from zerotrust.routing import RouteTable, routed_by
from zerotrust.token_validation import Expected, TokenCache, Verifier, verify_token
from zerotrust.transport import requests

log = logging.getLogger(__name__)

PUBLIC, CERTIFICATE, TOKEN = frozenset({"nothing"}), frozenset({"certificate"}), frozenset({"token"})
"""Routes, by the credential that they require."""
ALL = PUBLIC | CERTIFICATE | TOKEN
CREDENTIAL_REASONS = Reason.NO_TOKEN, Reason.UNSUPPORTED_SCHEME, Reason.MALFORMED_CREDENTIALS, Reason.TOKEN_TOO_LARGE
TOKEN_REASONS = frozenset(reason for reason in Reason if reason.error == "invalid_token")
TOKEN_REASONS -= {Reason.NOT_VERIFIED, Reason.NOT_BOUND, Reason.REVOKED}
"""The faults of a token itself."""
PROOF_REASONS = Reason.NO_PROOF, Reason.BAD_PROOF, Reason.PROOF_USED
REVOCATION_REASONS = Reason.REVOKED, Reason.REVOCATION_UNKNOWN
POLICY_REASONS = frozenset(reason for reason in Reason if reason.startswith("policy_"))
POLICY_REASONS |= {Reason.SCOPE_MISSING, Reason.NO_PERMISSION_FOR_ROUTE}
ISSUER_REASONS = Reason.ISSUER_UNAVAILABLE, Reason.ISSUER_UNTRUSTED, Reason.IDENTITY_UNAVAILABLE
"""Why introspection may be impossible."""

Method = Callable[["Checks", Call], Awaitable[None]]


class Step:
    """One check: a method of `Checks`, whose docstring describes it and, after two spaces, which rule it follows.

    A step for all routes also takes calls without a token: of the caller it may read `call.peer` only.
    """

    def __init__(self, take: Method, routes: frozenset[str], *reasons: ReasonCode) -> None:
        """`routes`: those that it is for; `reasons`: all those for which it refuses."""
        self.id, self.take, self.routes, self.reasons = take.__name__, take, routes, frozenset(reasons)


def names_of(steps: Iterable[Step]) -> str:
    """Return the names of these steps, in their order, for the log of a service that starts."""
    return ", ".join(step.id for step in steps)


@dataclass(kw_only=True, eq=False)
class Checks:
    """The steps of one gate, what they need, and what they keep from call to call."""

    routes: RouteTable
    expected: Expected
    keys: SigningKeys
    policy: PolicyEngine
    revocations: Revocations
    confirm: Callable[[Principal, str], Awaitable[None]]
    """Introspects the token of a caller, if the permission in use is of high risk.  Raises `Denied`."""
    recorder: Recorder
    address: str
    """The origin at which callers reach this party: their proofs name it."""
    clock: Callable[[], float]
    verifier: Verifier = verify_token
    steps: Sequence[Step] = ()
    """Those of this gate, in their order: `STEPS`, unless it is given others."""
    turns: defaultdict[str | None, Turns] = field(default_factory=lambda: defaultdict(Turns))
    of_users: InFlight = field(default_factory=InFlight)
    of_senders: InFlight = field(default_factory=InFlight)

    def __post_init__(self) -> None:
        self.steps, self.tokens = self.steps or STEPS, TokenCache(self.verifier)
        self.clock, self.counter = NonDecreasingClock(self.clock), CallCounter(self.recorder)
        self.proofs = UsedProofs(self.clock())

    def use(self, *, expected: Expected, policy: PolicyEngine) -> None:
        """Switch to another registry snapshot, and drop the tokens that were verified under the previous one."""
        self.tokens = TokenCache(self.verifier)
        self.expected, self.policy = expected, policy  # control: new-policy-used

    async def admit(self, call: Call) -> None:
        """Take the steps in order.  Raises `Denied`."""
        try:
            for step in self.steps:
                if call.route.requires.credential in step.routes:
                    await step.take(self, call)
        finally:
            call.message = {}  # it may be large, and the handler, which may run for long, reads its own

    async def path(self, call: Call) -> None:
        """Refuses a path with a control character, and finds what the route requires.  RFC 3986 section 2."""
        call.route, call.routed_by = self.routes.find(call.scope), routed_by(call.scope)
        if call.route.requires.credential not in ALL:
            raise RuntimeError(f"no step checks the credential that {call.route.name} requires")

    async def peer(self, call: Call) -> None:
        """Refuses a certificate that has ended, none, or that of no registered party.  RFC 5280 section 6.1."""
        if call.peer.until <= self.clock():  # control: certificate-not-ended
            raise Denied(Reason.CERTIFICATE_ENDED)
        # control: certificate-required
        if call.peer.id is None and not (self.expected.without_certificate or self.expected.browsers):
            raise Denied(Reason.NO_CERTIFICATE)
        if call.peer.id is not None and call.peer.id not in self.expected.peers:  # control: peer-registered
            raise Denied(Reason.UNKNOWN_PEER, call.peer.id)

    async def turn(self, call: Call) -> None:
        """Lets few requests of one sender start at once, and refuses none.  This project."""
        await self.turns[call.peer.id].wait()  # control: requests-by-turns

    async def workload(self, call: Call) -> None:
        """Refuses a workload that the route does not name, and a suspended one.  This project."""
        name = self.expected.peers.get(str(call.peer.id))
        call.by_certificate = name is not None
        if name is None or not call.route.requires.admits(name):  # control: peer-admitted-by-route
            raise Denied(Reason.UNKNOWN_PEER, str(call.peer.id))
        if not (status := self.revocations.check_party(str(call.peer.id))):  # control: peer-not-suspended
            raise Denied(status.reason, status.detail)

    async def credentials(self, call: Call) -> None:
        """Refuses all but one token in one header: `Bearer` over a certificate, else `DPoP`.  RFC 9449 section 7."""
        call.permission = call.route.requires.hint
        scheme = b"bearer" if call.peer.id else b"dpop"
        # control: token-only-from-header
        call.token = requests.read_token(call.scope["headers"], scheme=scheme, hint=call.permission)

    async def verify(self, call: Call) -> None:
        """Refuses a wrong signature, type, issuer, audience, time or chain of actors.  RFC 9068 section 4."""
        kid = self.tokens.key_id(call.token)
        key = await self.keys.key(kid)
        now = self.clock()
        call.principal = self.tokens.verify(call.token, kid=kid, key=key, expected=self.expected, now=now)

    async def bind(self, call: Call) -> None:
        """Refuses a token that was issued to another party than the peer: `azp` says to whom.  RFC 9700 section 2.2.1.

        A client that is named by a client ID has no certificate: its token is valid only on a connection without one.
        """
        principal, expected, peer = call.caller, self.expected, call.peer
        # control: certificate-before-public-client
        holder = peer.id or (principal.party if principal.party in expected.without_certificate else None)
        if principal.party != holder:  # control: azp-is-peer
            presenter = peer.id or "a caller without a certificate"
            raise Denied(Reason.NOT_BOUND, f"issued to {principal.party}, presented by {presenter}")

    async def prove(self, call: Call) -> None:
        """Refuses a token without a certificate unless its key has signed this request.  RFC 9449 section 4.3."""
        key = call.caller.key_thumbprint
        if call.peer.id and not key:  # `bind` has compared it with the certificate
            return
        if not key:  # control: key-required
            raise Denied(Reason.NOT_BOUND, "the token names no key")
        scope, now = call.scope, self.clock()
        url = self.address + scope["raw_path"].decode("latin-1")
        sent = requests.read_proof(scope["headers"])  # control: possession-proven
        proof = check_proof(sent, token=call.token, key=key, method=scope["method"], url=url, now=now)
        if proof.made > now:  # by a clock ahead of ours: after a restart, it would look new once more
            await sleep(proof.made - now)  # control: proof-not-ahead
        self.proofs.remember(proof, user=call.caller.subject, now=self.clock())

    async def note(self, call: Call) -> None:
        """Notes the caller for its receipt, its connection and its trace, and refuses none.  This project."""
        call.note_caller()

    async def revoked(self, call: Call) -> None:
        """Refuses a revoked token, session, user or party, also further back in the chain.  RFC 7009 section 3."""
        if not (status := self.revocations.check_caller(call.caller)):  # control: caller-not-revoked
            raise Denied(status.reason, status.detail)

    async def listed(self, call: Call) -> None:
        """Refuses a route that is not in the table.  NIST SP 800-207 section 2.1."""
        if call.route is UNLISTED:  # control: route-listed
            raise Denied(Reason.NO_PERMISSION_FOR_ROUTE, call.scope["path"])

    async def protocol(self, call: Call) -> None:
        """Refuses a body of another media type than the protocol of the route has.  RFC 9110 section 15.5.16."""
        call.form.dialect.check(call.scope["headers"])

    async def decide_early(self, call: Call) -> None:
        """Refuses, before it reads the body, what no body would make permitted.  RFC 6750 section 3.1."""
        # control: decided-before-body
        if need := call.route.requires.need_before_body(call.scope["path"], call.caller.scopes):
            await self._decide(call, need)

    async def limits(self, call: Call) -> None:
        """Refuses more requests under way than a user or a party may have.  RFC 6585 section 4.

        A user's are counted for each sender, so that one party does not use up the user's share at another.
        """
        sender = call.peer.id or PEOPLE
        if call.principal:
            user = call.principal.subject, sender
            most = OF_A_USER if call.principal.delegated else OF_A_PERSON  # control: calls-per-person
            if not self.of_users.take(user, most):  # control: calls-per-user
                raise Denied(Reason.TOO_MANY_REQUESTS, f"this user has {most} under way, sent by {sender}")
            call.at_end.append(partial(self.of_users.give_back, user))
        if not self.of_senders.take(sender, OF_A_PARTY):
            raise Denied(Reason.BUSY, f"{sender}: {OF_A_PARTY} under way")
        call.at_end.append(partial(self.of_senders.give_back, sender))

    async def body(self, call: Call) -> None:
        """Refuses a body that is too large, too slow, or no strict JSON object.  RFC 9110 section 15.5.14."""
        read = requests.read_body if call.route.requires.raw_body else requests.read_json_body
        call.receive, found = await read(call.scope["headers"], call.receive, most=call.route.requires.max_body)
        if isinstance(found, dict):
            call.note_body(found)

    async def decide(self, call: Call) -> None:
        """Refuses what no policy permits this caller here.  NIST SP 800-207 section 3."""
        need = call.route.requires.need(call.scope["path"], call.scope["headers"], call.message)
        call.decision = await self._decide(call, need)

    async def introspect(self, call: Call) -> None:
        """Refuses a permission of high risk unless the issuer confirms the token now.  RFC 7662 section 2."""
        await self.confirm(call.caller, str(call.permission))  # control: high-risk-introspected

    async def record(self, call: Call) -> None:
        """Refuses a call whose decision cannot be written to the disk.  NIST SP 800-207 section 2.1."""
        await self.write(call, call.decision)  # control: recorded-before-served
        call.recorded = True

    async def count(self, call: Call) -> None:
        """Counts a call without a token; the first by a certificate are recorded, routine calls not.  This project."""
        if not call.by_certificate:
            self.counter.count(call.origin, "public")
            call.repeated = partial(self.repeated, call)
        elif not call.route.requires.routine and not self.repeated(call, Reason.GRANTED):
            self.recorder.append_lazily(call.request_event(Decision(allowed=True, reason=Reason.GRANTED)))
            call.recorded = True

    async def _decide(self, call: Call, need: Need) -> Decision:
        call.operation = need.operation
        decision = Decision(allowed=False, reason=need.otherwise, detail=need.operation)
        # Those that the caller holds come last: why these are refused is what it is told.
        for permission in sorted(need.permissions, key=call.caller.scopes.__contains__):  # control: policy-decides
            call.permission = permission
            decided = self.policy.decide(call.caller, permission, self.expected.audience)
            decision = decided if isinstance(decided, Decision) else await decided
            if decision:
                return decision
        # A scope hint helps only where a scope is what is missing.
        hint = " ".join(need.permissions) if decision.reason is Reason.SCOPE_MISSING else None
        raise Denied(decision.reason, decision.detail, scope=hint)

    async def write(self, call: Call, decision: Decision) -> None:
        """Record a decision, and return when it is on the disk.  Raises `Denied`."""
        call.policy = decision.policy or self.policy.version  # another one may be in force when the answer is signed
        record = self.recorder.append(call.request_event(decision, call.policy))
        await self.recorder.wait_until_written([record])
        call.record = record.result()

    async def note_refusal(self, call: Call, refusal: Denied) -> Denied:
        """Record or count a refusal.  Return it, or, in its place, the refusal that it cannot be recorded."""
        decision = Decision(allowed=False, reason=refusal.reason, detail=refusal.detail)
        if call.principal is None and not call.by_certificate:
            if self.counter.count(call.origin, refusal.reason) and refusal.reason.error == "invalid_token":
                detail, trace = sanitize(refusal.detail), call.span.trace_id
                log.warning("a token is refused: %s: %s (trace %s)", refusal.reason, detail or "-", trace)
        elif self.repeated(call, refusal.reason):
            pass
        elif call.principal is None:
            self.recorder.append_lazily(call.request_event(decision))
        else:
            try:
                await self.write(call, decision)
            except Denied as unrecorded:
                return unrecorded
        return refusal

    def repeated(self, call: Call, reason: ReasonCode) -> bool:
        """Return whether to count this call only, because as many like it were just recorded in full as may be."""
        subject, party = (call.principal.subject, call.principal.party) if call.principal else (None, None)
        return self.counter.count_verified(subject, party, call.peer.id, reason, call.route.name)


STEPS = (
    Step(Checks.path, ALL, Reason.MALFORMED_PATH),
    Step(Checks.peer, ALL, Reason.CERTIFICATE_ENDED, Reason.NO_CERTIFICATE, Reason.UNKNOWN_PEER),
    Step(Checks.turn, ALL),
    Step(Checks.workload, CERTIFICATE, Reason.UNKNOWN_PEER, *REVOCATION_REASONS),
    Step(Checks.credentials, TOKEN, *CREDENTIAL_REASONS),
    Step(Checks.verify, TOKEN, *TOKEN_REASONS, Reason.KEYS_UNAVAILABLE),
    Step(Checks.bind, TOKEN, Reason.NOT_BOUND),
    Step(Checks.prove, TOKEN, Reason.NOT_BOUND, *PROOF_REASONS, Reason.TOO_MANY_REQUESTS, Reason.BUSY),
    Step(Checks.note, TOKEN),
    Step(Checks.revoked, TOKEN, *REVOCATION_REASONS),
    Step(Checks.listed, TOKEN, Reason.NO_PERMISSION_FOR_ROUTE),
    Step(Checks.protocol, TOKEN, Reason.UNSUPPORTED_CONTENT),
    Step(Checks.decide_early, TOKEN, *POLICY_REASONS),
    Step(Checks.limits, CERTIFICATE | TOKEN, Reason.TOO_MANY_REQUESTS, Reason.BUSY),
    Step(Checks.body, ALL, Reason.BODY_TOO_LARGE, Reason.BODY_TOO_SLOW, Reason.MALFORMED_BODY),
    Step(Checks.decide, TOKEN, *POLICY_REASONS, Reason.MALFORMED_BODY, Reason.LEGACY_ERA, Reason.UNKNOWN_METHOD),
    Step(Checks.introspect, TOKEN, *ISSUER_REASONS, Reason.REVOKED),
    Step(Checks.record, TOKEN, Reason.JOURNAL_UNAVAILABLE),
    Step(Checks.count, PUBLIC | CERTIFICATE),
)
"""The steps, in the order in which a call takes them."""
