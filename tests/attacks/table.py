"""The catalogue: each attack, the reason that goes on record, and the control that stops it.

Where a control is a piece of our own code, a test takes it away and shows that the attack then succeeds: so the table
cannot name the wrong function.  A text in its place says what stops the attack that is not ours to take away.
"""

import sys
from dataclasses import dataclass

from lab import realm as at_keycloak
from lab.realm import RealmControl
from lab.weak.forwards_token import Forwarding
from lab.weak.gate_as_dependency import GateAsDependency
from lab.weak.trusts_headers import BelievesHeaders
from lab.without import Control
from zerotrust.decision import Reason, ReasonCode
from zerotrust.service import Service

Missing = Control | RealmControl | type[Service]
"""One control that is taken away: a piece of source, of the realm, or a service composed without it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One attack."""

    attack: str
    reason: ReasonCode | str | None
    """None where there is nothing to refuse: what the attacker sends is not read at all.  A text where it is not one of
    our services that refuses."""
    stopped_by: tuple[Missing | tuple[Missing, ...] | str, ...]
    """Each stops it, or a variant of it, alone; those in a tuple stop it one behind the other."""

    @property
    def removable(self) -> list[tuple[Missing, ...]]:
        """The ways to take its controls away from our own code."""
        return [way for way in self._ways() if not isinstance(way[0], RealmControl)]

    @property
    def removable_at_the_realm(self) -> list[tuple[Missing, ...]]:
        """The ways to take its controls away from the realm."""
        return [way for way in self._ways() if isinstance(way[0], RealmControl)]

    def _ways(self) -> list[tuple[Missing, ...]]:
        ways = [by for by in self.stopped_by if not isinstance(by, str)]
        return [by if isinstance(by, tuple) else (by,) for by in ways]


def described(way: Missing | tuple[Missing, ...] | str) -> str:
    """How a control is told to a reader: the file and the function."""
    if isinstance(way, tuple):
        return " and ".join(dict.fromkeys(map(described, way)))
    return str(way) if isinstance(way, Control | RealmControl | str) else getattr(way, "instead_of", way.__name__)


def _verify(take: str, put: str = "") -> Control:
    return Control("zerotrust.verify", "verify", take, put)


def _key_id(take: str) -> Control:
    return Control("zerotrust.verify", "key_id", take)


def _gate(function: str, take: str, put: str = "") -> Control:
    return Control("zerotrust.gate", function, take, put)


def _valid(take: str, put: str = "") -> Control:
    return Control("zerotrust.validity", "while_valid", take, put)


def _bearer(take: str, put: str = "") -> Control:
    return Control("zerotrust.transport.requests", "bearer", take, put)


def _mcp(take: str, put: str = "") -> Control:
    return Control("zerotrust.adapters.mcp_tools", "McpTools.need", take, put)


def _card(take: str) -> Control:
    return Control("zerotrust.adapters.agent_card", "check_card", take)


def _keys(take: str) -> Control:
    return Control("zerotrust.issuer.jwks", "_usable_keys", take)


def _launch(function: str, take: str) -> Control:
    return Control("authorities.attestation.local.launch", f"Launcher.{function}", take)


_CLOSED = "authorities.attestation.local.closed"
_ACCEPTING = "zerotrust.transport.accepting"


def _policy(rule: str, line: str, put: str) -> Control:
    """A line of the policies, which come as text."""
    text = "document.policies"
    put = f"{text}.replace({line!r}, {put!r})"
    return Control("zerotrust.runtime", "policy_of", text, put, f"policies.cedar {rule}")


def _revoked(take: str, put: str = "") -> Control:
    return Control("zerotrust.revocation", "_subjects", take, put)


def _begun_before(take: str, put: str = "") -> Control:
    return Control("zerotrust.revocation", "Revocations._revoked_from", take, put)


def _logout(function: str, take: str, put: str = "") -> Control:
    return Control("authorities.registry.keycloak.backchannel_logout", function, take, put)


_USED_UP = "if wish.instead and not self._shares.take(subject[0], wish.instead, entries=len(self._kept.revoked)):"
ADMIT = _gate("Gate._serve", "receive = await self._admit(call, receive)")
"""The gate itself."""
UNLISTED = _gate("Gate._admit", "if call.route is UNLISTED:")
DECIDE = _gate("Gate._decide", "for permission in need.permissions:", "return")
_DECIDE_FIRST = "required.need_before_body(path, call.principal.scopes)"
_READ_FIRST = f"await requests.body(headers, receive, most=1 << 20) and {_DECIDE_FIRST}"
_MOST_GIVES_WAY = Control("zerotrust.transport.server", "Protocol._make_room", "-held[other._holder]", "0")
ONE_ALGORITHM = _key_id('if header.get("alg") != ALGORITHM:')
KNOWN_HEADERS_ONLY = _key_id("if not header.keys() <= KNOWN_HEADERS:")
_DECODE = "jwt.PyJWS(algorithms=[ALGORITHM]).decode(token, key, algorithms=[ALGORITHM])"
SIGNATURE = _verify(_DECODE, 'jwt.PyJWS().decode(token, options={"verify_signature": False})')
_CLAIMS = "_Claims.model_validate(strict_object(signed))"
_ONLY_THESE = "self._keys = {kid: self._keys[kid] if self._keys.get(kid) == key else key for kid, key in found.items()}"
FOR_THIS_PARTY = _verify("if claims.aud not in (expected.audience, [expected.audience]):")
NOT_BEYOND_ITS_LIFE = _gate(
    "Gate._run", "left = min(call.principal.expires_at, call.peer.until) - self._clock()", "left = 60.0"
)
BOUND = _gate("Gate._bind", "if principal.party != holder:")
KNOWN_PEER = _gate("Gate._check_peer", "if peer.id is not None and peer.id not in self._expected.peers:")
CERTIFICATE_NEEDED = _gate("Gate._check_peer", "if peer.id is None and not self._expected.without_certificate:")
_HOLDER = "peer.id or (principal.party if principal.party in self._expected.without_certificate else None)"
ONE_ID = Control("zerotrust.spiffe.svid", "_one_id", "if len(names) != 1 or not _SPIFFE_ID.fullmatch(names[0]):")
WHO_WAS_CALLED = Control(
    "zerotrust.spiffe.tls", "user_context", "if peer.id != parties.get(str(self.server_hostname), 'nobody'):"
)
_ALL_WHO_ACT = "*(('party', party) for party in (principal.client, *principal.actors))"
OPERATOR_IN_PERSON = _policy("operate", 'context.groups.contains("/operators") &&\n  !context.delegated', "true")
_STANDS = "if not (status := self._revocations.of(call.principal)):"
STANDS = (_gate("Gate._admit", _STANDS), _valid("if not (found := revocations.of(principal)):"))
"""Looked at when a call comes in, and again when its body has and it is on record."""
STILL_DRIFTED = (
    Control("authorities.registry.operators", "Parties.reinstate", "if why := self._drifted.get(name):"),
    Control("authorities.registry.operators", "Parties.reinstate", "name not in self._drifted", "True"),
)
NOTHING_OLDER = Control(
    "zerotrust.registry.topics",
    "LatestDocument.take",
    "if self.number is not None and number <= self.number and (number, document) != (self.number, self.document):",
)
REGISTRY_PARTY = Control("zerotrust.spiffe.statement", "trusted_key", "if name != signer:")
OUR_AUTHORITY = Control(
    "zerotrust.spiffe.statement", "_check_chain", "if verifier.verify(leaf, intermediates).chain[:-1] != chain:"
)
NO_IDENTITY = "no identity issued"
APPROVED_FOR_IT = "if entry is None or entry.code != digest_of(stage.code):"
_VALIDATED = "jwt.decode(token, key, [ALGORITHM], audience=audience, options={'require': required})"
APPROVED_TOOLS = Control(
    "zerotrust.adapters.agent_loop", "ToolClient._check", "if approved.get(tool.name) != tool_digest(described):"
)
TO_ITS_PARTY = Control(
    "zerotrust.transport.egress",
    "EgressClients._attach_token",
    "if (token := _token.get()).audience != party:",
    "token = _token.get()",
)
FOLLOWS = Control(
    "zerotrust.transport.egress",
    "_whole",
    "answer = await sending(request, **options | {'stream': True})",
    "answer = await sending(request, **options | {'stream': True, 'follow_redirects': True})",
    "zerotrust/transport/egress.py: no redirect is followed",
)
ASK_FOLLOWS = Control(
    "zerotrust.limits.answers",
    "ask",
    "http.stream(method, url, headers=PLAIN, **options)",
    "http.stream(method, url, headers=PLAIN, follow_redirects=True, **options)",
    "zerotrust/limits/answers.py: no redirect is followed",
)
ASKS_ONCE = Control(
    "orchestrator.main",
    "create_app",
    'ask_agent(service, step.agent, f"{step.instruction}\\n{text}", token)',
    "__import__('lab.weak.steps_up', fromlist=['lab']).ask_agent(service, step, text, token)",
    "orchestrator/main.py: a step is asked for once, with the scopes of the plan",
)
NO_WEAK_KEY = _keys(
    "if any(not isinstance(key, RSAPublicKey) or key.key_size < MIN_KEY_BITS for key in keys.values()):"
)
CONFIRM = _gate("Gate._admit", "await self._introspect(call.principal, str(call.permission))")
CARD_SIGNATURE = _card(
    "jwt.PyJWS([ALGORITHM]).decode(f\"{protected}.{body}.{signature['signature']}\", key, [ALGORITHM])"
)
CARD_DIGEST = _card("if card_digest(card) != digest:")
BELIEVES_CARD = Control(
    "zerotrust.adapters.a2a",
    "ask_agent",
    "agent_card(name, service.addresses[name])",
    "await __import__('lab.weak.trusts_cards', fromlist=['lab']).card_of(service, name)",
)
MOST_OF_AN_ANSWER = Control("zerotrust.limits.answers", "read", "if len(body) > most:")
_ONE_BINDING = "add_a2a_routes_to_fastapi(app, jsonrpc_routes=routes)"
_REST = "__import__('a2a.server.routes', fromlist=['a2a']).create_rest_routes(handler, _Context())"
NEEDS_SCOPE = (
    Control("zerotrust.policy", "CedarPolicy.decide", "if permission not in principal.scopes:"),
    _policy("use-an-api", "context.scopes.contains(context.permission) &&", "true &&"),
)
MAY_HOLD = _policy("use-an-api", "principal.delegates.contains(context.permission) &&", "true &&")
MAY_CALL = _policy("use-an-api", "principal.may_call.contains(resource) &&", "true &&")
_READERS = 'context.scopes.contains("tool.read") && context.departments.contains(resource.department)'
OWN_DEPARTMENT = _policy("read-own-department", _READERS, 'context.scopes.contains("tool.read")')
_TOO_MANY = "drafts >= MOST_DRAFTS"
_TOO_LONG = "together + len(document.text.encode()) > MOST_BYTES"
_NTH = "func.row_number().over(partition_by=(_documents.c.state, _documents.c.owner), order_by=_documents.c.id)"
_ONE_DEPARTMENT = "(!context.delegated || context.one_department)"
ONE_DEPARTMENT = _policy("use-an-api", _ONE_DEPARTMENT, "true")
OF_A_DEPARTMENT = _policy("use-an-api", "!context.departments.isEmpty() &&", "")
NAMED = Control("zerotrust.service", "Service.department", "if named is None and len(own) != 1:")
NARROWED = Control(
    "orchestrator.main",
    "create_app",
    "service.exchange(step.agent, *step.scopes, department=step.department)",
    "service.exchange(step.agent, *step.scopes)",
    "orchestrator/main.py work",
)
ONLY_OWN_DRAFTS = _policy(
    "change-own-draft", 'resource.state == "draft" &&\n  resource.owner == context.subject', "true"
)
PERMITTED = Control(
    "tools.documents.tools",
    "declare",
    "not allowed or found is None",
    "found is None",
    "tools/documents/tools.py permitted",
)
FILED = Control(
    "tools.documents.tools",
    "declare",
    "not await service.decide('document.create', draft.as_resource())",
    "False",
    "tools/documents/tools.py create",
)
NAMED_IN_BODY = _mcp("body['params']['name']", "dict(headers)[b'mcp-name'].decode()")
ERA = _mcp("if versions != [ERA]:")
_SERVED = """server.streamable_http_app(
    streamable_http_path=PATH,
    stateless_http=True,
    json_response=True,
    transport_security=TransportSecuritySettings(allowed_hosts=[urlsplit(address).netloc]),
)"""
STATELESS = Control(
    "zerotrust.adapters.mcp", "tool_app", _SERVED, _SERVED.replace("stateless_http=True", "stateless_http=False")
)


def _a2a(function: str, take: str, put: str = "") -> Control:
    return Control("zerotrust.adapters.a2a", function, take, put)


def _answering(take: str, put: str) -> Control:
    return _a2a("_Executor.execute", take, put)


_KEEPING = "__import__('lab.weak.keeps_state', fromlist=['lab'])"
_SAID = f"{_KEEPING}.with_what_was_said(self, context)"
_HANDLER = "_Handler(agent_executor=_Executor(answer), task_store=InMemoryTaskStore(), agent_card=card)"
_AGAIN = "__import__('lab.weak.retrying', fromlist=['lab'])"
KEEPS_NO_TASK = _answering(
    "new_message(parts, context_id=context.context_id, role=Role.ROLE_AGENT)", f"{_KEEPING}.as_task(context, parts)"
)

PRINTED = Control(
    "zt.terminal", "printable", "c if c.isprintable() or c == '\\n' else c.encode('unicode_escape').decode()", "c"
)
PLAIN_PROGRESS = Control(
    "local.program",
    "say",
    "console.print(Text.assemble((f'{time.monotonic() - _began:5.1f} s', 'dim'), '  ', text))",
    "console.print(text)",
)

ROWS: dict[int, Row] = {
    # A. credentials and HTTP
    1: Row("no token, at any door", Reason.NO_TOKEN, (ADMIT,)),
    2: Row("no token, at a route that an SDK registered", Reason.NO_TOKEN, (GateAsDependency,)),
    3: Row(
        "a token in the query or in a form",
        Reason.NO_TOKEN,
        (
            _gate(
                "Gate._admit",
                "token = requests.bearer(headers, hint=required.hint)",
                'token = UnverifiedToken(call.scope["query_string"].decode().removeprefix("access_token="))',
            ),
        ),
    ),
    4: Row(
        "two Authorization headers",
        Reason.MALFORMED_CREDENTIALS,
        (_bearer("if len(given) > 1:"),),
    ),
    5: Row(
        "two tokens in one header, and other spellings",
        Reason.MALFORMED_CREDENTIALS,
        (
            _bearer("if not token or token.translate(None, _TOKEN_BYTES):"),
            _bearer('given[0].partition(b" ")', 'b"bearer", b"", given[0].split()[-1]'),
        ),
    ),
    6: Row(
        "another scheme; a bearer of nothing",
        Reason.UNSUPPORTED_SCHEME,
        (_bearer('if kind.lower() != b"bearer":'),),
    ),
    7: Row(
        "token or identity in a proxy's header or a cookie",
        Reason.NO_TOKEN,
        (_bearer('name == b"authorization"', 'name in (b"authorization", b"x-forwarded-access-token")'),),
    ),
    8: Row(
        "one request inside another",
        "400, or no answer",
        (
            Control(
                "zerotrust.transport.server",
                "Protocol.on_headers_complete",
                'if self.parser.should_upgrade() or [name for name, _ in self.headers].count(b"host") != 1:',
            ),
            "llhttp: one length, and one way to give it",
        ),
    ),
    9: Row(
        "other methods, other spellings of a path",
        Reason.NO_PERMISSION_FOR_ROUTE,
        (
            (UNLISTED, DECIDE),
            Control("zerotrust.routes", "RouteTable.find", "UNLISTED", "Route('', Public())"),
        ),
    ),
    # B. JWT and JOSE
    10: Row(
        "what a refusal tells about a forged token",
        Reason.BAD_SIGNATURE,
        (Control("zerotrust.transport.responses", "problem", "refusal.public_reason", "refusal.reason"),),
    ),
    11: Row("nobody signed it", Reason.ALGORITHM_NOT_ALLOWED, ((ONE_ALGORITHM, SIGNATURE),)),
    12: Row("our public key as a shared secret", Reason.ALGORITHM_NOT_ALLOWED, ((ONE_ALGORITHM, SIGNATURE), "PyJWT")),
    13: Row(
        "another algorithm, genuinely signed",
        Reason.ALGORITHM_NOT_ALLOWED,
        (
            (ONE_ALGORITHM, _verify(_DECODE, _DECODE.replace("[ALGORITHM]", '["RS256", "RS384", "PS256"]'))),
            Control("zerotrust.issuer.jwks", "_signs", 'entry.get("alg") == ALGORITHM', "True"),
        ),
    ),
    14: Row("the attacker's key under our key's name", Reason.BAD_SIGNATURE, (SIGNATURE,)),
    15: Row("a signature of other bytes, or of none", Reason.BAD_SIGNATURE, (SIGNATURE,)),
    16: Row(
        "a key by another name",
        Reason.UNKNOWN_KEY,
        (
            Control(
                "zerotrust.issuer.jwks",
                "SigningKeys.key",
                "if kid not in self._keys:",
                "return next(iter(self._keys.values()))",
            ),
        ),
    ),
    17: Row("a header that says where the key is", Reason.FORBIDDEN_HEADER, (KNOWN_HEADERS_ONLY,)),
    18: Row("a header that brings its own key", Reason.FORBIDDEN_HEADER, (KNOWN_HEADERS_ONLY,)),
    19: Row("a header that asks for another reading", Reason.FORBIDDEN_HEADER, (KNOWN_HEADERS_ONLY,)),
    20: Row("another kind of token", Reason.WRONG_TYPE, (_key_id('if header.get("typ") != typ:'),)),
    21: Row(
        "what two parsers would read differently",
        Reason.MALFORMED_TOKEN,
        (
            Control(
                "zerotrust.limits.strict_json",
                "_unique",
                "if len(found := dict(given)) != len(given):",
                "found = dict(given)",
            ),
        ),
    ),
    22: Row("claims of another type", Reason.BAD_CLAIM, (_verify(_CLAIMS, _CLAIMS.replace("))", "), strict=False)")),)),
    23: Row("a key that can be guessed or factored", Reason.KEYS_UNAVAILABLE, (NO_WEAK_KEY,)),
    24: Row("a token that is too large", Reason.TOKEN_TOO_LARGE, (_bearer("if len(token) > MAX_TOKEN:"),)),
    25: Row(
        "a token that is nested deep",
        Reason.CHAIN_TOO_DEEP,
        (Control("zerotrust.verify", "_check_actors", "if len(actors) > MAX_ACTORS:"),),
    ),
    26: Row(
        "a key for something else, or of yesterday",
        Reason.UNKNOWN_KEY,
        (
            Control("zerotrust.issuer.jwks", "_signs", 'entry.get("use") == "sig"', "True"),
            Control("zerotrust.issuer.jwks", "_signs", '"verify" in entry.get("key_ops", ["verify"])', "True"),
            Control("zerotrust.issuer.jwks", "SigningKeys._read", _ONLY_THESE, "self._keys.update(found)"),
        ),
    ),
    # C. issuer, audience, time, claims
    27: Row("a token for one party at another", Reason.AUDIENCE_MISMATCH, (FOR_THIS_PARTY,)),
    28: Row("an audience that is not this party alone", Reason.AUDIENCE_MISMATCH, (FOR_THIS_PARTY,)),
    29: Row("another issuer", Reason.ISSUER_MISMATCH, (_verify("if claims.iss != expected.issuer:"),)),
    30: Row(
        "a token after its end",
        Reason.EXPIRED,
        (
            (Control("zerotrust.verify", "_check_time", "if ends <= now:"), NOT_BEYOND_ITS_LIFE),
            (
                Control(
                    "zerotrust.verify",
                    "TokenCache.verify",
                    "_check_time(known[2].issued_at, known[2].expires_at, now)",
                ),
                NOT_BEYOND_ITS_LIFE,
            ),
        ),
    ),
    31: Row(
        "a token without a claim",
        Reason.BAD_CLAIM,
        (
            _verify(
                _CLAIMS,
                '_Claims.model_validate({"sid": "-", "jti": "-", "iat": int(now), "exp": int(now) + 60}'
                " | strict_object(signed))",
            ),
        ),
    ),
    32: Row(
        "a life that nobody may have",
        Reason.LIFETIME_EXCEEDED,
        (_verify("if not begins < claims.exp <= claims.iat + life + TICK:"),),
    ),
    33: Row(
        "before its time; after it, by a clock set back",
        Reason.NOT_YET_VALID,
        (
            Control("zerotrust.verify", "_check_time", "if begins > now + CLOCK_SKEW:"),
            Control(
                "zerotrust.clock",
                "NonDecreasingClock.__call__",
                "self._latest = max(self._latest, self._clock())",
                "self._latest = self._clock()",
            ),
        ),
    ),
    34: Row(
        "a user who is none, or a party",
        Reason.BAD_CLAIM,
        (
            _verify(
                _CLAIMS,
                '_Claims.model_validate((said := strict_object(signed)) | {"sub": "anybody"})'
                '.model_copy(update={"sub": said["sub"]})',
            ),
            _verify("if claims.sub in expected.max_ttls or claims.sub in expected.peers:"),
            ONLY_OWN_DRAFTS,
        ),
    ),
    35: Row(
        "issued to somebody else than who acts",
        Reason.ACTOR_MISMATCH,
        (Control("zerotrust.verify", "_check_actors", "if actors[0] != claims.azp:"),),
    ),
    127: Row("a token that names two clients", Reason.BAD_CLAIM, (_verify("if claims.client_id != claims.azp:"),)),
    # D. replay and theft: the connection is the proof, so there is none that could be recorded and sent again
    36: Row("a token in other hands", Reason.NOT_BOUND, (BOUND, (KNOWN_PEER, BOUND))),
    37: Row(
        "a bound token as a mere bearer token",
        Reason.NO_CERTIFICATE,
        (
            (CERTIFICATE_NEEDED, BOUND),
            _gate(
                "Gate._bind",
                _HOLDER,
                "principal.party if principal.party in self._expected.without_certificate else peer.id",
            ),
        ),
    ),
    38: Row("another certificate", Reason.NOT_BOUND, (BOUND, ONE_ID, "OpenSSL: one authority, and until its end")),
    39: Row("a recorded request is sent again", Reason.NOT_BOUND, (BOUND, "OpenSSL: keys of one connection")),
    40: Row(
        "somebody else is at the other end",
        "a handshake that fails",
        (
            WHO_WAS_CALLED,
            Control("zerotrust.spiffe.tls", "_context", "context.minimum_version = ssl.TLSVersion.TLSv1_3"),
            "OpenSSL: one authority, one name, and until its end",
        ),
    ),
    41: Row(
        "a decision about what has changed since",
        Reason.GRANTED,
        (
            Control(
                "tools.documents.store",
                "_unchanged",
                "and_(*(_documents.c[name] == value for name, value in before.model_dump().items()))",
                "_documents.c.id == before.id",
            ),
        ),
    ),
    42: Row(
        "a client assertion is used again",
        Reason.EXCHANGE_REFUSED,
        (BOUND, "Keycloak: exp and aud, though not within its 60 s"),
    ),
    43: Row(
        "an answer kept back, so that it is done twice",
        Reason.GRANTED,
        (
            Control(
                "zerotrust.transport.egress",
                "_whole",
                "answer = await sending(request, **options | {'stream': True})",
                f"answer = await {_AGAIN}.twice(sending, request, options | {{'stream': True}})",
                "zerotrust/transport/egress.py: nothing is tried twice",
            ),
        ),
    ),
    44: Row(
        "a connection from before",
        Reason.CERTIFICATE_ENDED,
        (
            (_gate("Gate._check_peer", "if peer.until <= self._clock():"), NOT_BEYOND_ITS_LIFE),
            (
                Control("zerotrust.spiffe.tls", "ExpiringTLS._check_void", "if _clock() >= self.peer.until:"),
                _gate("Gate._check_peer", "if peer.until <= self._clock():"),
                NOT_BEYOND_ITS_LIFE,
            ),
            (
                Control("zerotrust.spiffe.tls", "server_context", "context.num_tickets = 0"),
                Control("zerotrust.spiffe.tls", "ExpiringTLS.do_handshake", "if shown and not chain:"),
            ),
        ),
    ),
    45: Row(
        "a token where it could be read",
        Reason.GRANTED,
        (
            _a2a("_Context.build", "context.state['headers'].pop('authorization', None)"),
            Control("zerotrust.audit.event", "sanitize", "_TOKEN.sub('(a token)', text[:200])", "text[:200]"),
        ),
    ),
    # E. scope and authorisation
    46: Row("without the scope of the door", Reason.SCOPE_MISSING, (DECIDE, NEEDS_SCOPE)),
    47: Row("a token for one tool calls another", Reason.SCOPE_MISSING, (DECIDE, NEEDS_SCOPE, MAY_HOLD)),
    48: Row(
        "a tool that no policy knows",
        Reason.NO_PERMISSION_FOR_ROUTE,
        (_mcp("self.tools.get(tool)", "self.tools.get(tool, 'tool.read')"),),
    ),
    49: Row(
        "a scope that nearly reads like the right one",
        Reason.SCOPE_MISSING,
        (NEEDS_SCOPE, _verify("frozenset(claims.scope.split(' '))", "frozenset(claims.scope.split())"), "pydantic"),
    ),
    50: Row("a scope that seems to include another", Reason.SCOPE_MISSING, (DECIDE, NEEDS_SCOPE)),
    51: Row("a refusal that names a scope to ask for", Reason.GRANTED, (ASKS_ONCE,)),
    52: Row("a door that refuses for ever", Reason.GRANTED, (ASKS_ONCE,)),
    53: Row(
        "somebody else's document by its id",
        Reason.RESOURCE_DENIED,
        (
            PERMITTED,
            OWN_DEPARTMENT,
            (
                Control(
                    "tools.documents.tools",
                    "declare",
                    "service.permits('document.read', d.as_resource())",
                    "True",
                    "tools/documents/tools.py search",
                ),
                Control("tools.documents.store", "Store.search", "_documents.c.department == department", "True"),
            ),
        ),
    ),
    54: Row(
        "a handle of somebody else's task",
        Reason.NO_PERMISSION_FOR_ROUTE,
        ((UNLISTED, DECIDE),),
    ),
    55: Row(
        "a listing shows what the caller cannot use",
        Reason.NO_PERMISSION_FOR_ROUTE,
        (
            Control(
                "zerotrust.adapters.mcp",
                "tool_server",
                "service.may_use(tools[tool['name']])",
                "True",
                "zerotrust/adapters/mcp.py only_what_is_served",
            ),
            DECIDE,
            "a2a-sdk",
        ),
    ),
    56: Row(
        "what was allowed a moment ago",
        Reason.REVOKED,
        (
            STANDS,
            Control(
                "zerotrust.service",
                "Service.decide",
                "decision = self.revocations.of(caller)",
                "decision = Decision(allowed=True, reason=Reason.GRANTED)",
            ),
        ),
    ),
    57: Row("a parameter says who the user is", None, (BelievesHeaders,)),
    # F. token exchange and the chain; what is refused there is a refused exchange to our own client, too
    58: Row(
        "a scope that was not given",
        Reason.EXCHANGE_REFUSED,
        (at_keycloak.DOWNSCOPE, at_keycloak.DELEGATES),
    ),
    59: Row(
        "an audience that a party may not call, several, or none",
        Reason.EXCHANGE_REFUSED,
        (at_keycloak.MAY_CALL, at_keycloak.ONE_AUDIENCE),
    ),
    60: Row(
        "a life longer than the parent's, or than a party's",
        None,
        (at_keycloak.PARENTS_END, at_keycloak.ONLY_SHORTER, at_keycloak.MAX_TTL),
    ),
    61: Row(
        "a chain that the requester made itself",
        Reason.EXCHANGE_REFUSED,
        (
            at_keycloak.ACTOR,
            at_keycloak.DEAD_FIRST,
            (at_keycloak.OWN_TOKEN, at_keycloak.REPEATED),
            (at_keycloak.NO_SERVICE_ACCOUNTS, at_keycloak.CHAIN_MISSING),
            "Keycloak: signature",
        ),
    ),
    62: Row(
        "a token of another user",
        Reason.EXCHANGE_REFUSED,
        (
            Control("zerotrust.issuer.exchange", "Exchanger._checked", 'claims["sub"] == caller.subject', "True"),
            "Keycloak: no such parameter",
        ),
    ),
    63: Row("a token that was given to somebody else", Reason.EXCHANGE_REFUSED, ("Keycloak: only whom it names",)),
    67: Row(
        "a token whose time is over, or that was revoked",
        Reason.EXCHANGE_REFUSED,
        ("Keycloak: exp, session, revoked jti",),
    ),
    68: Row(
        "a chain that never ends",
        Reason.EXCHANGE_REFUSED,
        (at_keycloak.TOO_DEEP, at_keycloak.REPEATED),
    ),
    69: Row(
        "a chain that loses its past", None, (at_keycloak.WHOLE_CHAIN, at_keycloak.WHOLE_LINEAGE, at_keycloak.ROOT)
    ),
    70: Row(
        "rights of somebody who acted before",
        Reason.POLICY_DENIED,
        (
            MAY_HOLD,
            Control(
                "zerotrust.policy",
                "CedarPolicy._evaluate",
                "{'type': 'Party', 'id': principal.party}",
                "{'type': 'Party', 'id': (principal.actors * 2 or (principal.party,))[1]}",
            ),
        ),
    ),
    71: Row(
        "an agent does what is for a person alone",
        Reason.RESOURCE_DENIED,
        (
            PERMITTED,
            _policy(
                "replace-published-in-person",
                'resource.state == "published" &&\n  !context.delegated',
                'resource.state == "published"',
            ),
        ),
    ),
    72: Row(
        "a token that names nobody who acts",
        Reason.ACTOR_MISSING,
        (Control("zerotrust.verify", "_check_actors", "if claims.azp not in expected.initiating_clients:"),),
    ),
    73: Row(
        "rights that stand in the chain",
        Reason.SCOPE_MISSING,
        (
            _verify(
                'frozenset(claims.scope.split(" "))',
                'frozenset(claims.scope.split(" ")) | frozenset((claims.act or {}).get("scope", "").split(" "))',
            ),
            _verify(
                "frozenset(claims.groups)", 'frozenset(claims.groups) | frozenset((claims.act or {}).get("groups", []))'
            ),
        ),
    ),
    74: Row(
        "a token that is passed on",
        Reason.AUDIENCE_MISMATCH,
        ((FOR_THIS_PARTY, MAY_CALL), (Forwarding, FOR_THIS_PARTY, MAY_CALL)),
    ),
    75: Row(
        "a client that is none or does not prove it",
        Reason.EXCHANGE_REFUSED,
        (
            at_keycloak.NO_SECRETS,
            (at_keycloak.BUILT_IN_DISABLED, at_keycloak.NO_PASSWORD_GRANT),
            "Keycloak: the bundle's keys",
        ),
    ),
    76: Row("a request that is not as RFC 8693 has it", Reason.EXCHANGE_REFUSED, ("Keycloak: each parameter once",)),
    77: Row(
        "a refresh token in the chain",
        Reason.EXCHANGE_REFUSED,
        (at_keycloak.NO_REFRESH_TOKEN, "Keycloak: access tokens only"),
    ),
    # G. standing
    81: Row(
        "a token that was revoked is used again",
        Reason.REVOKED,
        (
            STANDS,
            _revoked('("token", principal.token_id)', "('party', '')"),
            _revoked('("session", principal.session)', "('party', '')"),
            _revoked('("user", principal.subject)', "('party', '')"),
            _begun_before("if principal.chain_started_at <= until:"),
            _begun_before("principal.chain_started_at <= until", "principal.issued_at <= until"),
        ),
    ),
    82: Row(
        "what was derived outlives what it came from",
        Reason.REVOKED,
        (
            STANDS,
            _revoked("*(('token', ancestor) for ancestor in principal.lineage)", "*(('token', '') for _ in ())"),
            Control("zerotrust.issuer.exchange", "Exchanger.exchange", "if not status:"),
        ),
    ),
    83: Row(
        "a party that was suspended goes on",
        Reason.REVOKED,
        (
            STANDS,
            _gate("Gate._admit_peer", "if not (status := self._revocations.of_party(str(call.peer.id))):"),
            _revoked(_ALL_WHO_ACT, "*(('party', actor) for actor in ())"),
            _revoked(_ALL_WHO_ACT, "*(('party', party) for party in (principal.client, principal.party))"),
            _revoked(_ALL_WHO_ACT, "*(('party', party) for party in (principal.actors or (principal.party,)))"),
            (
                Control(
                    "zerotrust.issuer.exchange",
                    "Exchanger.exchange",
                    "self._revocations.of_peer(audience)",
                    "self._revocations.of(caller)",
                ),
                Control(
                    "zerotrust.transport.egress",
                    "EgressClients._attach_token",
                    "if not (status := self._revocations.of_peer(party)):",
                ),
            ),
        ),
    ),
    84: Row(
        "those who would have to say no say nothing",
        Reason.REVOCATION_UNKNOWN,
        (
            STANDS,
            Control("zerotrust.revocation", "Revocations._decision", "_GOOD if self.fresh else _UNKNOWN", "_GOOD"),
            Control(
                "zerotrust.revocation",
                "Revocations.confirm",
                "self._good_until = self._clock() + self.bound - oldest",
                "self._good_until = self._clock() + self.bound",
            ),
            Control(
                "zerotrust.revocation", "Revocations.forget", "self._good_until, self._whole = float('-inf'), False"
            ),
            CONFIRM,
            Control("zerotrust.issuer.introspection", "Introspector.__call__", "if active is not True:"),
        ),
    ),
    85: Row(
        "a stream outlives its token",
        Reason.REVOKED,
        (
            _valid("asyncio.timeout(seconds)", "asyncio.timeout(60)"),
            _valid("with revocations.watching(principal, lost):", "await work()"),
        ),
    ),
    86: Row(
        "a yes from before",
        Reason.REVOKED,
        (
            CONFIRM,
            Control(
                "zerotrust.issuer.introspection",
                "Introspector.__call__",
                "if permission not in self.high_risk:",
                "if permission not in self.high_risk"
                " or caller.token_id in (said := vars(self).setdefault('said', set()))"
                " or said.add(caller.token_id): return",
                "zerotrust/issuer/introspection.py: no answer is kept",
            ),
        ),
    ),
    87: Row(
        "an answer of the issuer that somebody else gave",
        Reason.ISSUER_UNAVAILABLE,
        (
            ASK_FOLLOWS,
            Control(
                "zerotrust.issuer.introspection",
                "Introspector.__call__",
                'active = json.loads(answer)["active"] if status == 200 else None',
                'active = json.loads(answer)["active"]',
            ),
            "OpenSSL: one authority, one name",
        ),
    ),
    88: Row(
        "somebody else revokes, or reinstates",
        Reason.POLICY_DENIED,
        (
            OPERATOR_IN_PERSON,
            _policy("operate", 'context.groups.contains("/operators") &&', "true &&"),
            BOUND,
        ),
    ),
    89: Row(
        "a party that makes itself what it likes",
        Reason.POLICY_DENIED,
        (
            OPERATOR_IN_PERSON,
            _policy("operate", 'context.groups.contains("/operators") &&', "true &&"),
            _gate("Gate._admit_peer", "if name is None or not required.admits(name):"),
            STILL_DRIFTED,
            REGISTRY_PARTY,
            OUR_AUTHORITY,
            Control(
                "zerotrust.revocation", "Revocations.replace", "if self._number is not None and number < self._number:"
            ),
            "pydantic",
        ),
    ),
    90: Row(
        "a token from before the registry took it away",
        Reason.POLICY_DENIED,
        (
            MAY_HOLD,
            MAY_CALL,
            _gate(
                "Gate.use",
                "self._expected, self._policy, self._token_cache = expected, policy, TokenCache()",
                "self._expected, self._policy, self._token_cache = "
                "expected, getattr(self, '_policy', policy), TokenCache()",
            ),
        ),
    ),
    91: Row(
        "somebody else says that a session has ended, or that nobody was revoked",
        None,
        (
            _key_id('if header.get("typ") != typ:'),
            _logout("logout_of", _DECODE, 'jwt.PyJWS().decode(token, options={"verify_signature": False})'),
            _logout("logout_of", "if claims.iss != issuer:"),
            _logout("logout_of", "if len(audience) != 1 or audience[0] not in clients:"),
            _logout("logout_of", "if claims.events.keys() != {EVENT}:"),
            _logout("logout_of", 'if "nonce" in said:'),
            _logout("logout_of", "if claims.exp <= now or claims.iat + MAX_AGE <= now:"),
            _logout("Logouts.receive", "if logout.token_id in self._seen:"),
            REGISTRY_PARTY,
            OUR_AUTHORITY,
            Control(
                "zerotrust.revocation", "Revocations.change", "if self._number is None or number != self._number + 1:"
            ),
        ),
    ),
    # H. attestation
    92: Row(
        "a process that nobody launched",
        NO_IDENTITY,
        (
            Control(
                "authorities.attestation.local.workload_api",
                "WorkloadApi._launched",
                "if launched is None:",
                "launched = launched or self._launcher.running[0]",
            ),
        ),
    ),
    93: Row(
        "an identity of somebody else",
        NO_IDENTITY,
        (
            Control(
                "authorities.attestation.local.workload_api",
                "WorkloadApi._fetch_jwt_svid",
                "if request.spiffe_id not in ('', spiffe_id):",
                "spiffe_id = request.spiffe_id or spiffe_id",
            ),
            Control(
                "authorities.attestation.local.svid_issuer",
                "Issuer.validate",
                _VALIDATED,
                "jwt.decode(token, options={'verify_signature': False})",
            ),
        ),
    ),
    94: Row(
        "code that is not what was approved",
        NO_IDENTITY,
        (
            (
                _launch("_check_approved", "if wrong := changed(self.lock.files_of(launch.code), stage.code):"),
                _launch("_check_approved", APPROVED_FOR_IT),
            ),
            _launch("_check_approved", APPROVED_FOR_IT),
            Control(
                "authorities.attestation.local.workload_api",
                "WorkloadApi._attested",
                "if files := self._drift.check(launched.target):",
            ),
        ),
    ),
    95: Row("a name that nearly is somebody's", Reason.UNKNOWN_PEER, ((KNOWN_PEER, BOUND), "OpenSSL: one authority")),
    96: Row(
        "code that changes under a running party",
        Reason.REVOKED,
        (
            Control(
                "authorities.registry.operators",
                "Parties.attested",
                "await self._revoke(name, f'drift: {drifted[name]}')",
            ),
            STILL_DRIFTED,
            STANDS,
        ),
    ),
    97: Row(
        "a key where it could be taken",
        "not launched",
        (
            Control(
                "zerotrust.spiffe.tls",
                "use_svid",
                "os.memfd_create('svid', os.MFD_CLOEXEC)",
                "__import__('tempfile').mkstemp()[0]",
            ),
            _launch("_check_free", "if (other.launch.name, other.launch.party_id) == (launch.name, launch.party_id):"),
            "the kernel: PR_SET_DUMPABLE",
        ),
    ),
    # I. MCP
    98: Row(
        "the headers name one tool and the body another",
        Reason.SCOPE_MISSING,
        ((NAMED_IN_BODY, ERA, FILED), "mcp"),
    ),
    99: Row("an older era of the protocol", Reason.LEGACY_ERA, (ERA,)),
    100: Row(
        "what is JSON-RPC but no request",
        Reason.MALFORMED_BODY,
        (
            _mcp("request_id(body) is None", "False"),
            _mcp("Need((), method[:100], Reason.UNKNOWN_METHOD)", "Need(('tool.read',), method[:100])"),
        ),
    ),
    101: Row(
        "a web page that found our address",
        Reason.WRONG_HOST,
        (
            Control(
                "zerotrust.adapters.mcp",
                "tool_app",
                "TransportSecuritySettings(allowed_hosts=[urlsplit(address).netloc])",
                "TransportSecuritySettings(enable_dns_rebinding_protection=False)",
            ),
        ),
    ),
    102: Row("a session of the attacker's choice", Reason.LEGACY_ERA, ((ERA, STATELESS),)),
    103: Row(
        "arguments that are more than arguments",
        Reason.GRANTED,
        (
            Control(
                "tools.documents.store",
                "Store.find",
                "_documents.c.id == name",
                "__import__('sqlalchemy').text(f\"id = '{name}'\")",
            ),
            Control(
                "tools.documents.store",
                "Store.search",
                "_documents.c.title.icontains(word, autoescape=True)",
                "_documents.c.title.icontains(word)",
            ),
            Control("tools.documents.store", "Store.search", "word.isprintable()", "True"),
            "pydantic",
        ),
    ),
    104: Row("a tool that is not described as it was approved", Reason.PEER_UNTRUSTED, (APPROVED_TOOLS,)),
    105: Row("a tool beside those that were approved", Reason.PEER_UNTRUSTED, (APPROVED_TOOLS,)),
    106: Row(
        "an agent that is pointed somewhere else",
        Reason.GRANTED,
        (TO_ITS_PARTY, "Connections: origins of the registry"),
    ),
    # J. A2A
    109: Row(
        "a card that somebody else shows",
        Reason.PEER_UNTRUSTED,
        (
            _a2a("ask_agent", "await check_agent(service, name)"),
            _card("if header.keys() != _HEADER or header['alg'] != ALGORITHM or header['kid'] != signer:"),
            REGISTRY_PARTY,
            OUR_AUTHORITY,
            CARD_SIGNATURE,
            CARD_DIGEST,
        ),
    ),
    110: Row(
        "a card from before",
        Reason.PEER_UNTRUSTED,
        (
            CARD_DIGEST,
            (
                Control(
                    "zerotrust.spiffe.statement",
                    "_check_chain",
                    "if not leaf.not_valid_before_utc <= at < leaf.not_valid_after_utc:",
                ),
                OUR_AUTHORITY,
            ),
            _a2a("check_agent", "service.checked[good] = until", "service.checked[good] = 2.0**40"),
            _a2a(
                "check_agent",
                "service.checked.get(good, 0.0)",
                "max((until for (known, *_), until in service.checked.items() if known == name), default=0.0)",
            ),
        ),
    ),
    111: Row("a card with more in it", Reason.PEER_UNTRUSTED, (CARD_DIGEST, (CARD_SIGNATURE, CARD_DIGEST))),
    112: Row(
        "an agent that offers an older or a plainer way",
        Reason.PEER_UNTRUSTED,
        ((CARD_DIGEST, BELIEVES_CARD, TO_ITS_PARTY), "a2a-sdk"),
    ),
    113: Row("the task of somebody else", Reason.GRANTED, (KEEPS_NO_TASK,)),
    114: Row(
        "the conversation of somebody else",
        Reason.GRANTED,
        (_answering("self._answer(context.get_user_input())", f"self._answer({_SAID})"),),
    ),
    115: Row(
        "a web address to be told of a task",
        Reason.GRANTED,
        (
            (
                KEEPS_NO_TASK,
                Control(
                    "zerotrust.adapters.agent_card",
                    "agent_card",
                    "AgentCapabilities(streaming=False, push_notifications=False)",
                    "AgentCapabilities(streaming=False, push_notifications=True)",
                ),
                _a2a("agent_app", _HANDLER, f"{_HANDLER[:-1]}, **{_KEEPING}.notifying(service))"),
            ),
        ),
    ),
    116: Row(
        "an agent that asks for a token in its answer",
        Reason.GRANTED,
        (_a2a("ask_agent", "if not reply.HasField('message'):"),),
    ),
    117: Row(
        "an agent that answers more than it was asked",
        Reason.GRANTED,
        (
            _a2a("ask_agent", "if not reply.HasField('message'):"),
            MOST_OF_AN_ANSWER,
            ONLY_OWN_DRAFTS,
        ),
    ),
    118: Row(
        "the same by another binding",
        Reason.NO_PERMISSION_FOR_ROUTE,
        (
            (
                _a2a("agent_app", _ONE_BINDING, f"{_ONE_BINDING[:-1]}, rest_routes={_REST})"),
                UNLISTED,
                DECIDE,
            ),
        ),
    ),
    # K. keys and metadata
    119: Row(
        "a flood of keys that nobody knows",
        Reason.UNKNOWN_KEY,
        (
            Control(
                "zerotrust.issuer.jwks",
                "SigningKeys._start_reading",
                "if self._clock() - self._tried_at < self._freshness.keys_cooldown:",
            ),
        ),
    ),
    120: Row(
        "an answer that sends a service elsewhere",
        Reason.GRANTED,
        (
            ASK_FOLLOWS,
            (FOLLOWS, TO_ITS_PARTY),
        ),
    ),
    121: Row(
        "another issuer that is named somewhere",
        Reason.ISSUER_MISMATCH,
        (_verify("if claims.iss != expected.issuer:"),),
    ),
    122: Row(
        "a key set that is not as it should be",
        Reason.KEYS_UNAVAILABLE,
        (
            _keys("if not keys or len(keys) != len(entries):"),
            NO_WEAK_KEY,
            MOST_OF_AN_ANSWER,
            Control(
                "zerotrust.issuer.jwks",
                "SigningKeys._read",
                "json.loads(answer) if status == 200 else None",
                "json.loads(answer)",
            ),
            "PyJWT",
        ),
    ),
    # L. the model
    189: Row(
        "metadata of another issuer, or that lead elsewhere",
        Reason.ISSUER_UNTRUSTED,
        (
            Control("zerotrust.issuer.discovery", "checked", "if metadata.issuer != issuer:"),
            Control("zerotrust.issuer.discovery", "checked", "if urlsplit(address)[:2] != origin:"),
            "Connections: origins of the registry",
        ),
    ),
    123: Row(
        "a document tells the model what to do", Reason.RESOURCE_DENIED, (PERMITTED, OWN_DEPARTMENT, ONLY_OWN_DRAFTS)
    ),
    124: Row(
        "a model that wants more than it was given",
        Reason.RESOURCE_DENIED,
        (PERMITTED, OWN_DEPARTMENT, (DECIDE, FILED)),
    ),
    126: Row(
        "what one task leaves behind for another",
        Reason.GRANTED,
        (
            Control(
                "zerotrust.adapters.agent_loop",
                "run_tool_loop",
                "messages: list[dict[str, Any]] = [{'role': 'user', 'content': task}]",
                "(messages := vars(model).setdefault('said', [])).append({'role': 'user', 'content': task})",
            ),
            Control(
                "zerotrust.issuer.exchange",
                "Exchanger.exchange",
                "hashlib.sha256(caller.token.encode()).digest()",
                "b''",
            ),
            Control("zerotrust.verify", "_fingerprint", "hashlib.sha256(token.encode()).digest()", "b''"),
        ),
    ),
    128: Row(
        "a text that costs the model much",
        Reason.GRANTED,
        (Control("inference.script", "_orders", "islice(found, MAX_ORDERS)", "found"),),
    ),
    # M. another process of the same user
    130: Row(
        "a process of the same user that reads the memory of the authority, or opened it at its start",
        "not closed",
        (
            (
                Control(_CLOSED, "continue_closed", "_begin_again()"),
                Control(_CLOSED, "continue_closed", "check_closed()"),
                Control("authorities.attestation.local.authority", "issuer_of_closed_process", "check_closed()"),
            ),
        ),
    ),
    131: Row(
        "a certificate of a long life, by the authority's own key",
        Reason.PEER_UNTRUSTED,
        (
            Control("zerotrust.spiffe.tls", "ExpiringTLS._checked", "if end - begin > self.longest:"),
            Control("zerotrust.spiffe.statement", "trusted_key", "if life_of(leaf) > own.life:"),
        ),
    ),
    132: Row(
        "a JWT-SVID of a long life, by the authority's own key",
        Reason.EXCHANGE_REFUSED,
        (
            Control(
                "authorities.attestation.local.svid_issuer",
                "Issuer.validate",
                "if int(claims['exp']) - int(claims['iat']) > life:",
            ),
            at_keycloak.ASSERTION_AGE,
        ),
    ),
    133: Row(
        "the passwords that Keycloak was given, in its arguments, variables or memory",
        None,
        (
            Control(
                "authorities.attestation.local.interpreter",
                "Interpreter.__init__",
                "os.fchmod(writable, _EXECUTABLE_BY_ALL)",
                "os.fchmod(writable, 0o755)",
                "local/keycloak.py Keycloak._launch (Java from a file that nobody may read)",
            ),
            Control(
                "local.keycloak",
                "Keycloak._launch",
                "f'--config-file={link}'",
                "f'--bootstrap-admin-password={self.admin[1]}'",
            ),
        ),
    ),
    134: Row(
        "a password or a token among the arguments of what a person types",
        None,
        (
            Control(
                "local.manual_steps",
                "steps",
                "_STEPS",
                """_STEPS.replace("@<(printf '", '"').replace('%s\\' "$TOKEN")', '$TOKEN"')""",
            ),
            Control("local.manual_steps", "steps", "_STEPS", """_STEPS.replace('<<< "$OLGA"', '--password "$OLGA"')"""),
        ),
    ),
    # N. what is started is what was signed
    135: Row(
        "a module planted in the project's folder",
        None,
        (
            Control("scripts.run", "Project.find_spec", "if path is not None or name not in PACKAGES:"),
            "scripts/run (-I, -B, -X pycache_prefix)",
        ),
    ),
    136: Row(
        "another Keycloak, or another Java, in the cache from which they are run",
        None,
        (
            Control(
                "local.keycloak_runtime",
                "holds",
                "digest_of(measure_files(place, folders, leave_out=BYTECODE_CACHES)) == digest",
                "place.exists()",
            ),
        ),
    ),
    137: Row(
        "a changed build of Keycloak, a changed script or a theme where Keycloak runs",
        None,
        (
            Control(
                "local.keycloak_instance", "Instance._digest", "digest_of(measure_files(self.home, [BUILT]))", "''"
            ),
            Control(
                "local.keycloak_instance",
                "Instance._lay_out",
                "e.name not in stays and not e.name.startswith(_LOG)",
                "e.name in ('lib', 'conf', 'providers')",
            ),
        ),
    ),
    138: Row("a package that was changed and pinned again", None, ("make verify-release",)),
    139: Row(
        "a file more, a changed file or another key, where a release is signed",
        None,
        (
            Control("scripts.release", "differences", "signed.keys() | found.keys()", "signed"),
            Control("scripts.release", "differences", "signed.get(path) != found.get(path)", "path not in signed"),
            Control(
                "scripts.release",
                "verify",
                '_output([*command, "-s", str(tree / SIGNATURE)], text, otherwise=no_signature)',
            ),
        ),
    ),
    # O. what one caller costs the others at a door
    140: Row(
        "a body that is costly to read, from a user without rights",
        Reason.POLICY_DENIED,
        (_gate("Gate._admit", _DECIDE_FIRST, _READ_FIRST),),
    ),
    141: Row(
        "a body that is costly to read, from a user with rights",
        Reason.MALFORMED_BODY,
        (
            Control("zerotrust.limits.strict_json", "strict_object", "_check_size(text, most)"),
            (
                Control("zerotrust.transport.requests", "whole", "if len(raw) > most:"),
                Control(
                    "zerotrust.transport.requests",
                    "whole",
                    "if any((name == b'content-length' and int(value) > most for name, value in headers)):",
                ),
            ),
        ),
    ),
    142: Row(
        "one party, or one user, opens connections until nobody else gets one",
        None,
        (
            (
                Control(
                    "zerotrust.transport.server",
                    "Protocol._make_room",
                    "isinstance(other, Protocol) and other._party == self._party",
                    "isinstance(other, Protocol)",
                ),
                _MOST_GIVES_WAY,
            ),
            _MOST_GIVES_WAY,
        ),
    ),
    143: Row(
        "one user's tasks, until there is no room for another's",
        Reason.TOO_MANY_REQUESTS,
        (Control("zerotrust.limits.in_flight", "Limits.enter", "if not self._of_users.take((user, sender), most):"),),
    ),
    144: Row(
        "refusals, until the disk is full",
        Reason.POLICY_DENIED,
        (Control("zerotrust.audit.counts", "CallCounter.repeated", "self._repeated[what] > IN_FULL", "False"),),
    ),
    145: Row(
        "handshakes that are begun at a service, and not finished",
        None,
        (Control(_ACCEPTING, "Accepting._speaks", "if len(self._answered) >= self._most:"),),
    ),
    146: Row(
        "a public route, asked for so often that nobody else in that process has a turn",
        None,
        (_gate("Gate._admit", "await self._turns[call.peer.id].wait()", "pass"),),
    ),
    147: Row(
        "connections that say nothing, at the door where attestation shows its public keys",
        None,
        (Control(_ACCEPTING, "Accepting._take", "if len(self._silent) >= MOST_SILENT:"),),
    ),
    148: Row(
        "handshakes that are begun there, and not finished",
        None,
        (Control(_ACCEPTING, "Accepting._speaks", "if len(self._answered) >= self._most:"),),
    ),
    149: Row(
        "whoever keeps all places there, so that nobody hears of the keys",
        None,
        (
            Control(
                _ACCEPTING,
                "Accepting._speaks",
                "self._end(_oldest([*self._answered.items()]))",
                "return connection.close()",
            ),
        ),
    ),
    # P. revocation as a weapon
    150: Row(
        "a user revokes their own tokens without end",
        None,
        (
            Control("authorities.registry.stream", "Stream._entries", _USED_UP),
            _begun_before("if principal.chain_started_at <= until:"),
        ),
    ),
    151: Row(
        "a token that was revoked is carried along long after its end",
        None,
        (
            Control(
                "authorities.registry.state",
                "State.change",
                "self._all.passed(at, MOST_FORGOTTEN + len(entries))",
                "[]",
            ),
            Control("zerotrust.revocation", "Revocations.change", "for passed in self._all.passed(now):"),
        ),
    ),
    152: Row(
        "an agent revokes what it was given, so that its users lose what they work with elsewhere",
        None,
        (Control("authorities.registry.keycloak.events", "of_user_event", "event.get('clientId')", "None"),),
    ),
    153: Row(
        "a party follows the registry on hundreds of streams",
        None,
        (Control("authorities.registry.followers", "Followers.following", "if len(streams) >= STREAMS_EACH:"),),
    ),
    154: Row(
        "a party begins to follow the registry again and again",
        None,
        (Control("authorities.registry.stream", "Stream.follow", "await self._followers.turn(party, follower)"),),
    ),
    155: Row(
        "a party that was suspended goes on following the registry",
        None,
        (
            Control("authorities.registry.stream", "Stream._write", 'if kind == "party":'),
            Control(
                "authorities.registry.stream",
                "Stream.follow",
                "self._revocations.of_party(party).reason is Reason.REVOKED",
                "False",
            ),
        ),
    ),
    156: Row(
        "a party follows the registry and reads nothing",
        None,
        (
            Control(
                "authorities.registry.followers", "Follower.__init__", "asyncio.Queue(MAX_BEHIND)", "asyncio.Queue()"
            ),
        ),
    ),
    157: Row(
        "the state of what is revoked, with a part left out",
        None,
        (
            Control("zerotrust.revocation", "Revocations.replace", "if (number, part, parts) != self._next_part:"),
            Control("zerotrust.revocation", "Revocations.replace", "part == parts", "True"),
        ),
    ),
    158: Row(
        "an event that is for somebody else",
        None,
        (Control("zerotrust.registry.feed", "RegistryFeed._take", 'if claims.get("aud") != ours:'),),
    ),
    159: Row(
        "an agent ends the session of the user whom it acts for, by an ID token got by exchange",
        Reason.GRANTED,
        (at_keycloak.NAMES_NO_SESSION,),
    ),
    # Q. what a restart forgets, and what nobody hears
    160: Row(
        "a password changed in a way that Keycloak does not record",
        None,
        (
            Control(
                "authorities.registry.keycloak.events",
                "_of_a_user",
                "[*enabled, Sessions(user, at, OURS + _PARTS.get(what[0] if what else '', 'user changed'))]",
                "enabled",
            ),
        ),
    ),
    161: Row(
        "events cleared, so that nobody finds a user's sessions",
        None,
        (
            (
                Control(
                    "authorities.registry.keycloak.poll",
                    "Reader._read_some",
                    "self._blind |= users.lost or admins.lost or any(map(switches_off, admins.new))",
                ),
                Control(
                    "authorities.registry.keycloak.poll",
                    "Reader._ended",
                    "of_user_until(sessions.until // 1000 - 1, sessions.user)",
                    "('before', '0')",
                ),
            ),
        ),
    ),
    162: Row(
        "a second factor removed, and the session goes on",
        None,
        (Control("authorities.registry.keycloak.events", "of_user_event", "kind in SESSIONS_OF", "False"),),
    ),
    163: Row(
        "a restart reinstates whoever was suspended",
        None,
        (
            Control(
                "authorities.registry.state",
                "State.told_anew",
                "pending = {one for one in self.revoked if one[0] in ('user', 'party') and one[1] != but}",
                "pending = set()",
            ),
        ),
    ),
    165: Row(
        "a restart wipes what is on record",
        None,
        (
            Control(
                "local.past",
                "put_aside",
                "file.rename(place / (f'{file.parent.name}.jsonl' if file.name == JOURNAL else file.name))",
                "file.unlink()",
            ),
        ),
    ),
    164: Row("strangers fill Keycloak's database with refusals", "invalid_client", (at_keycloak.NO_ERROR_EVENTS,)),
    # R. text between departments, and text without an end
    170: Row(
        "text of one department is filed in another",
        Reason.POLICY_DENIED,
        (ONE_DEPARTMENT, (ONE_DEPARTMENT, NAMED, NARROWED)),
    ),
    171: Row("an operator of no department runs a task", Reason.POLICY_DENIED, (OF_A_DEPARTMENT,)),
    172: Row(
        "an agent asks the realm for another department",
        Reason.EXCHANGE_REFUSED,
        (at_keycloak.OWN_DEPARTMENT, at_keycloak.FEWER_GROUPS),
    ),
    173: Row(
        "a draft that is too long for anybody to read",
        Reason.GRANTED,
        (Control("tools.documents.document", "_fitting", "if size(text) > MAX_TEXT:"),),
    ),
    174: Row(
        "drafts without end, until nobody has room",
        Reason.GRANTED,
        (Control("tools.documents.store", "_check_room", f"if {_TOO_MANY} or {_TOO_LONG}:"),),
    ),
    175: Row(
        "documents that drive others out of a search",
        Reason.GRANTED,
        (
            Control("tools.documents.store", "Store.search", "_documents.c.department == department", "True"),
            Control(
                "tools.documents.store",
                "Store.search",
                "_documents.c.state != 'published'",
                "_documents.c.state == 'published'",
            ),
            Control("tools.documents.store", "Store.search", "found.order_by(*order).limit(MOST_FOUND)", "found"),
            Control("tools.documents.store", "Store.search", _NTH, "0"),
            Control("tools.documents.store", "Store.search", "_documents.c.owner == user", "False"),
        ),
    ),
    176: Row(
        "the work of a refusal tells which documents there are",
        Reason.RESOURCE_DENIED,
        (
            Control(
                "tools.documents.tools",
                "declare",
                "allowed = await service.decide(action, (found or absent(name)).as_resource())",
                "allowed = found is not None and await service.decide(action, found.as_resource())",
                "tools/documents/tools.py permitted",
            ),
        ),
    ),
    177: Row(
        "drafts that are too long together for anybody's task",
        Reason.GRANTED,
        (Control("zerotrust.adapters.agent_loop", "_Talk.do", "if _size(result) > self._room:"),),
    ),
    178: Row(
        "a model that never has enough",
        Reason.GRANTED,
        (Control("zerotrust.adapters.agent_loop", "_Talk.do", "if self._calls > MAX_CALLS:"),),
    ),
    179: Row(
        "drafts in a user's name, so that the user can never file again",
        Reason.GRANTED,
        (
            Control(
                "tools.documents.store",
                "_check_room",
                "', '.join(await connection.scalars(latest))",
                "''",
            ),
            Control(
                "zerotrust.adapters.agent_loop",
                "_failure",
                "f'{_cut(what, LONGEST_FAILURE - len(cause) - 2)}: {cause}'",
                "_cut(f'{what}: {cause}', LONGEST_FAILURE)",
            ),
        ),
    ),
    # S. operators, terminals, sessions
    180: Row("wrong passwords lock out whoever has the right one", "access_denied", (at_keycloak.NO_LOCK_OUT,)),
    181: Row("what a killed command of an operator leaves goes on", None, (at_keycloak.SHORT_REFRESH_TOKEN,)),
    182: Row("a cause that a terminal would obey, listed by zt", None, (PRINTED,)),
    183: Row("a document whose markup ends the walkthrough", None, (PLAIN_PROGRESS,)),
    184: Row(
        "a revocation named so that a terminal would obey",
        Reason.MALFORMED_BODY,
        ("registry: the pattern of names and causes",),
    ),
    185: Row("a user changes what they sign in with", None, (at_keycloak.NO_REQUIRED_ACTIONS,)),
    188: Row(
        "a link by which a signed-in browser sends a code to a listener of the attacker",
        "the password is asked for",
        (at_keycloak.ASKS_EACH_TIME,),
    ),
    # M. another process of the same user
    186: Row(
        "a process of the same user that writes to the authority's process while it checks what is installed",
        "not opened",
        (Control("scripts.run", "main", "continue_closed()"),),
    ),
    187: Row(
        "a variable that names a configuration of OpenSSL, and so code to load, for the authority's process",
        None,
        (Control(_CLOSED, "_begin_again", "not name.startswith(_LOAD_CODE)", "True"),),
    ),
    # T. the registry's feed
    190: Row("an older version of the policies or of the registry, sent again", None, (NOTHING_OLDER,)),
    191: Row(
        "stricter policies that never reach a party",
        None,
        (Control("zerotrust.registry.feed", "RegistryFeed._confirm", "if numbers != here:"),),
    ),
    192: Row("policies that a party signs itself", None, (REGISTRY_PARTY,)),
    193: Row(
        "policies that are changed on the disk",
        None,
        ("authorities/registry/app.py: read at the start and at an operator's reload, by nobody else",),
    ),
}


_INTRODUCTION = """\
Written by `scripts/run tests.attacks.table`. `make attacks` tries every row, and tries it again without the control
that stops it: then the attack succeeds. Controls joined by "and" stand one behind the other and are taken away
together; those between semicolons each stop the attack, or a variant of it, alone."""


def recorded(row: Row) -> str:
    """What a row leaves on record, for a reader."""
    if row.reason is Reason.GRANTED:
        return "granted, and nothing gained"
    return row.reason or "nothing to refuse"


def markdown() -> str:
    """The catalogue as it stands in `docs/attacks.md`."""
    lines = ["# The catalogue of attacks", "", _INTRODUCTION, "", *_rows()]
    return "\n".join(lines) + "\n"


def _rows() -> list[str]:
    lines = ["| row | attack | outcome | stopped by |", "|---|---|---|---|"]
    for number, row in sorted(ROWS.items()):
        by = dict.fromkeys(described(way) for way in row.stopped_by)
        lines.append(f"| {number} | {row.attack} | {recorded(row)} | {'; '.join(by)} |")
    return lines


if __name__ == "__main__":
    sys.stdout.write(markdown())
