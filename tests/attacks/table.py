"""The catalogue: each attack, the reason that goes on record, and the control that stops it.

Where a control is a piece of our own code, a test takes it away and shows that the attack then succeeds: so the table
cannot name the wrong one.  Its id is in a comment at that piece (`lab/without.py`).  A text in its place says what
stops the attack that is not ours to take away.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from authorities.audit.reasons import AuditReason
from authorities.policy.reasons import PolicyReason
from authorities.registry.reasons import RegistryReason
from inference.chat import ModelReason
from lab import realm as at_keycloak
from lab.realm import RealmControl
from lab.weak.forwards_token import Forwarding
from lab.weak.gate_as_dependency import GateAsDependency
from lab.weak.trusts_headers import BelievesHeaders
from lab.without import Control, where
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
    """How a control is told to a reader: its id, or what it is."""
    if isinstance(way, tuple):
        return " and ".join(map(described, way))
    return str(way) if isinstance(way, Control | RealmControl | str) else getattr(way, "instead_of", way.__name__)


def located(way: Missing | tuple[Missing, ...] | str) -> str:
    """The same, with the file and the function of what has an id."""
    if isinstance(way, tuple):
        return " and ".join(map(located, way))
    return f"`{way}` ({where(way)})" if isinstance(way, Control) else described(way)


DECIDE = Control("policy-decides", put="return GRANTED")
_MOST_GIVES_WAY = Control("most-connections-give-way", take="-held[other._holder.name]")
_BY_PARTY = Control("exchanges-by-party", take="name", put='"everybody"')
SIGNATURE = Control("token-signature", put='signed = jwt.PyJWS().decode(token, options={"verify_signature": False})')
NOT_BEYOND_ITS_LIFE = Control("answer-ends-with-token", put="left = 60.0")
FILE_BY_FILE = '"\\n".join(one.text for one in statements(content.policies))'
"""In the place of the document that is signed: the statements, each as it is in its file."""
OPERATOR_IN_PERSON = (Control("operator-in-group"), Control("operator-in-person"))
STANDS = (Control("caller-not-revoked"), Control("caller-not-revoked-when-served"))
"""Looked at when a call comes in, and again when its body has and it is on record."""
STILL_DRIFTED = (
    Control("reinstated-without-drift"),
    Control("reinstated-still-without-drift", take="name not in self._drifted"),
)
NO_IDENTITY = "no identity issued"
ASK_FOLLOWS = Control("issuer-not-redirected", put="headers=headers, follow_redirects=True", take="headers=headers")
ASKS_ONCE = Control(
    "step-asked-once",
    put="answer = await __import__('lab.weak.steps_up', fromlist=['lab']).ask_agent(service, step, text, token)",
)
_REST = "__import__('a2a.server.routes', fromlist=['a2a']).create_rest_routes(handler, _Context())"
NEEDS_SCOPE = (Control("scope-held"), Control("api-scope-held"))
ONLY_OWN_DRAFTS = (Control("changes-draft"), Control("changes-own"))
PERMITTED = Control("document-access-decided")
_KEEPING = "__import__('lab.weak.keeps_state', fromlist=['lab'])"
_AGAIN = "__import__('lab.weak.retrying', fromlist=['lab'])"
KEEPS_NO_TASK = Control("no-task-kept", put=f"answer = {_KEEPING}.as_task(context, parts)")

ROWS: dict[int, Row] = {
    # A. credentials and HTTP
    1: Row("no token, at every endpoint", Reason.NO_TOKEN, (Control("gate-admits"),)),
    2: Row("no token, at a route that an SDK registered", Reason.NO_TOKEN, (GateAsDependency,)),
    3: Row(
        "a token in the query or in a form",
        Reason.NO_TOKEN,
        (
            Control(
                "token-only-from-header",
                put='token = UnverifiedToken(call.scope["query_string"].decode().removeprefix("access_token="))',
            ),
        ),
    ),
    4: Row("two Authorization headers", Reason.MALFORMED_CREDENTIALS, (Control("one-authorization-header"),)),
    5: Row(
        "two tokens in one header, and other spellings",
        Reason.MALFORMED_CREDENTIALS,
        (
            Control("token-characters"),
            Control(
                "header-holds-one-token", put='(b"bearer", b"", given[0].split()[-1])', take='given[0].partition(b" ")'
            ),
        ),
    ),
    6: Row("another scheme; Bearer without a token", Reason.UNSUPPORTED_SCHEME, (Control("bearer-scheme"),)),
    7: Row(
        "a token or an identity in a proxy's header or a cookie",
        Reason.NO_TOKEN,
        (
            Control(
                "authorization-header-alone",
                put='name in (b"authorization", b"x-forwarded-access-token")',
                take='name == b"authorization"',
            ),
        ),
    ),
    8: Row(
        "request smuggling: one request inside another",
        "400, or no answer",
        (Control("one-host-header"), "llhttp: one length, and one way to give it"),
    ),
    9: Row(
        "other methods, and other spellings of a path",
        Reason.NO_PERMISSION_FOR_ROUTE,
        (
            (Control("route-listed"), DECIDE),
            Control(
                "unlisted-route-closed",
                put="Route('', __import__('zerotrust.routes').routes.Public())",
                take="UNLISTED",
            ),
        ),
    ),
    # B. JWT and JOSE
    10: Row(
        "what a refusal reveals about a forged token",
        Reason.BAD_SIGNATURE,
        (Control("refusal-detail-hidden", put="refusal.reason", take="refusal.public_reason"),),
    ),
    11: Row("an unsigned token", Reason.ALGORITHM_NOT_ALLOWED, ((Control("token-algorithm"), SIGNATURE),)),
    12: Row(
        "our public key as an HMAC secret",
        Reason.ALGORITHM_NOT_ALLOWED,
        ((Control("token-algorithm"), SIGNATURE), "PyJWT"),
    ),
    13: Row(
        "another algorithm, with a genuine signature",
        Reason.ALGORITHM_NOT_ALLOWED,
        (
            (
                Control("token-algorithm"),
                Control(
                    "token-signature",
                    put='signed = jwt.PyJWS().decode(token, key, algorithms=["RS256", "RS384", "PS256"])',
                ),
            ),
            Control("key-algorithm"),
        ),
    ),
    14: Row("the attacker's key under our key's id", Reason.BAD_SIGNATURE, (SIGNATURE,)),
    15: Row("a signature of other bytes, or an empty one", Reason.BAD_SIGNATURE, (SIGNATURE,)),
    16: Row(
        "a key id that is a path, a query or an address",
        Reason.UNKNOWN_KEY,
        (Control("key-known", put="return next(iter(self._keys.values()))"),),
    ),
    17: Row("a header that says where to fetch the key", Reason.FORBIDDEN_HEADER, (Control("token-header-known"),)),
    18: Row("a header that contains its own key", Reason.FORBIDDEN_HEADER, (Control("token-header-known"),)),
    19: Row(
        "a header that asks for another way of reading the token",
        Reason.FORBIDDEN_HEADER,
        (Control("token-header-known"),),
    ),
    20: Row("a token of another kind", Reason.WRONG_TYPE, (Control("token-type"),)),
    21: Row("JSON that two parsers would read differently", Reason.MALFORMED_TOKEN, (Control("json-names-unique"),)),
    22: Row(
        "claims of the wrong type",
        Reason.BAD_CLAIM,
        (Control("claims-valid", put="claims = _Claims.model_validate(strict_object(signed), strict=False)"),),
    ),
    23: Row("a key that can be guessed or factored", Reason.KEYS_UNAVAILABLE, (Control("key-strength"),)),
    24: Row("a token that is too large", Reason.TOKEN_TOO_LARGE, (Control("token-size"),)),
    25: Row("a deeply nested token", Reason.CHAIN_TOO_DEEP, (Control("chain-depth"),)),
    26: Row(
        "a key for another purpose, or one that was removed",
        Reason.UNKNOWN_KEY,
        (
            Control("key-use"),
            Control("key-operations"),
            Control("removed-keys-forgotten", put="self._keys.update(found)"),
        ),
    ),
    # C. issuer, audience, time, claims
    27: Row("a token for one party at another party", Reason.AUDIENCE_MISMATCH, (Control("token-audience"),)),
    28: Row("an audience that is not this party alone", Reason.AUDIENCE_MISMATCH, (Control("token-audience"),)),
    29: Row("a token of another issuer", Reason.ISSUER_MISMATCH, (Control("token-issuer"),)),
    30: Row(
        "an expired token",
        Reason.EXPIRED,
        ((Control("token-expiry"), NOT_BEYOND_ITS_LIFE), (Control("cached-token-in-time"), NOT_BEYOND_ITS_LIFE)),
    ),
    31: Row(
        "a token without a required claim",
        Reason.BAD_CLAIM,
        (
            Control(
                "claims-valid",
                put='{"sid": "-", "jti": "-", "iat": int(now), "exp": int(now) + 60} | strict_object(signed)',
                take="strict_object(signed)",
            ),
        ),
    ),
    32: Row("a longer lifetime than allowed", Reason.LIFETIME_EXCEEDED, (Control("token-lifetime"),)),
    33: Row(
        "a token before its time; one after its time, with a clock that was set back",
        Reason.NOT_YET_VALID,
        (Control("token-not-before"), Control("clock-non-decreasing")),
    ),
    34: Row(
        "a subject that is not a single user, or is a party",
        Reason.BAD_CLAIM,
        (
            Control(
                "claims-valid",
                put='claims = _Claims.model_validate((said := strict_object(signed)) | {"sub": "anybody"})'
                '.model_copy(update={"sub": ascii(said["sub"]).replace(" ", "_")})',  # records can hold that
            ),
            Control("subject-is-no-party"),
            ONLY_OWN_DRAFTS,
        ),
    ),
    35: Row(
        "the latest actor is not the party that the token was issued to",
        Reason.ACTOR_MISMATCH,
        (Control("first-actor-is-azp"),),
    ),
    413: Row(
        "a token that does not say of which groups the user is",
        Reason.BAD_CLAIM,
        (Control("claims-valid", put='claims = _Claims.model_validate({"groups": []} | strict_object(signed))'),),
    ),
    127: Row("a token that names two clients", Reason.BAD_CLAIM, (Control("client-id-is-azp"),)),
    # D. replay and theft: the connection is the proof, so there is none that could be recorded and sent again
    36: Row(
        "a stolen token, presented by every other party",
        Reason.NOT_BOUND,
        (Control("azp-is-peer"), (Control("peer-registered"), Control("azp-is-peer"))),
    ),
    37: Row(
        "a workload's token without a certificate, and a user's token over one",
        Reason.NO_CERTIFICATE,
        (
            (Control("certificate-required"), Control("azp-is-peer")),
            Control(
                "certificate-before-public-client",
                put="holder = principal.party if principal.party in expected.without_certificate else peer.id",
            ),
        ),
    ),
    38: Row(
        "a stolen token over any certificate that a thief can get",
        Reason.NOT_BOUND,
        (Control("azp-is-peer"), Control("one-spiffe-id"), "OpenSSL: one authority, and until its end"),
    ),
    39: Row(
        "a recorded request is sent again",
        Reason.NOT_BOUND,
        (Control("azp-is-peer"), "OpenSSL: keys of one connection"),
    ),
    40: Row(
        "an impostor at the other end of a connection",
        "a handshake that fails",
        (
            Control("server-is-who-was-called"),
            Control("tls-1-3"),
            "OpenSSL: one authority, one name, and until its end",
        ),
    ),
    41: Row(
        "a document changes between the decision and the act",
        Reason.GRANTED,
        (Control("document-unchanged-since-decision", put="return _documents.c.id == before.id"),),
    ),
    42: Row(
        "a client assertion is used again",
        Reason.EXCHANGE_REFUSED,
        (Control("azp-is-peer"), "Keycloak: exp and aud, though not within its 60 s"),
    ),
    43: Row(
        "an answer is cut off, so that the work is done twice",
        Reason.GRANTED,
        (
            Control(
                "request-sent-once",
                put=f"answer = await {_AGAIN}.twice(sending, request, options | {{'stream': True}})",
            ),
        ),
    ),
    44: Row(
        "a connection or TLS session that outlives its certificate",
        Reason.CERTIFICATE_ENDED,
        (
            (Control("certificate-not-ended"), NOT_BEYOND_ITS_LIFE),
            (Control("connection-ends-with-certificate"), Control("certificate-not-ended"), NOT_BEYOND_ITS_LIFE),
            (Control("no-tls-tickets"), Control("session-not-resumed")),
        ),
    ),
    45: Row(
        "a token in a place where somebody could read it",
        Reason.GRANTED,
        (
            Control("token-not-in-context"),
            Control("tokens-not-recorded", put="text[:200]", take='_TOKEN.sub("(a token)", text[:200])'),
        ),
    ),
    # E. scope and authorisation
    46: Row("a token without the scope of the route", Reason.SCOPE_MISSING, (DECIDE, NEEDS_SCOPE)),
    47: Row(
        "a token for one tool calls another tool",
        Reason.SCOPE_MISSING,
        (DECIDE, NEEDS_SCOPE, Control("party-may-hold-scope")),
    ),
    48: Row(
        "a tool that no policy knows",
        Reason.NO_PERMISSION_FOR_ROUTE,
        (Control("tool-known", put="permission = self.tools.get(tool, 'tool.read')"),),
    ),
    49: Row(
        "a scope that looks almost like the right one",
        Reason.SCOPE_MISSING,
        (
            NEEDS_SCOPE,
            Control("scopes-of-token", put="claims.scope.split()", take='claims.scope.split(" ")'),
            "pydantic",
        ),
    ),
    50: Row("a scope that seems to include another one", Reason.SCOPE_MISSING, (DECIDE, NEEDS_SCOPE)),
    51: Row("a refusal that names a scope to ask for", Reason.GRANTED, (ASKS_ONCE,)),
    52: Row("a party that refuses again and again, to make the caller retry", Reason.GRANTED, (ASKS_ONCE,)),
    53: Row(
        "somebody else's document by its id",
        Reason.RESOURCE_DENIED,
        (
            PERMITTED,
            Control("document-of-own-department"),
            (
                Control("search-result-permitted", put="found = matching"),
                Control("search-own-department", take="_documents.c.department == department"),
            ),
        ),
    ),
    54: Row("the id of somebody else's task", Reason.NO_PERMISSION_FOR_ROUTE, ((Control("route-listed"), DECIDE),)),
    55: Row(
        "a list shows what the caller cannot use",
        Reason.NO_PERMISSION_FOR_ROUTE,
        (Control("listed-tools-permitted", take='tools[tool["name"]] in usable'), DECIDE, "a2a-sdk"),
    ),
    56: Row(
        "a right that was revoked a moment ago",
        Reason.REVOKED,
        (
            STANDS,
            Control("caller-not-revoked-at-decision", put="decision = True"),
        ),
    ),
    57: Row("a parameter names another user", None, (BelievesHeaders,)),
    # F. token exchange and the chain; what is refused there is a refused exchange to our own client, too
    58: Row(
        "an exchange for a scope that the user did not give",
        Reason.EXCHANGE_REFUSED,
        (at_keycloak.DOWNSCOPE, at_keycloak.DELEGATES),
    ),
    59: Row(
        "an audience that a party may not call; several audiences; none",
        Reason.EXCHANGE_REFUSED,
        (at_keycloak.MAY_CALL, at_keycloak.ONE_AUDIENCE),
    ),
    255: Row("another party gets a token for the model server", Reason.EXCHANGE_REFUSED, (at_keycloak.MAY_CALL,)),
    60: Row(
        "a longer lifetime than the parent's, or than the party's ceiling",
        None,
        (at_keycloak.PARENTS_END, at_keycloak.ONLY_SHORTER, at_keycloak.MAX_TTL),
    ),
    61: Row(
        "a chain of actors that the requester wrote itself",
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
        "an exchange for a token of another user",
        Reason.EXCHANGE_REFUSED,
        (Control("exchanged-for-same-subject", take='claims["sub"] == caller.subject'), "Keycloak: no such parameter"),
    ),
    63: Row(
        "an exchange of a token that was issued to another party",
        Reason.EXCHANGE_REFUSED,
        ("Keycloak: only whom it names",),
    ),
    67: Row(
        "an exchange of an expired or revoked token",
        Reason.EXCHANGE_REFUSED,
        ("Keycloak: exp, session, revoked jti",),
    ),
    68: Row("a chain without an end", Reason.EXCHANGE_REFUSED, (at_keycloak.TOO_DEEP, at_keycloak.REPEATED)),
    69: Row(
        "a chain that loses its earlier actors",
        None,
        (at_keycloak.WHOLE_CHAIN, at_keycloak.WHOLE_LINEAGE, at_keycloak.ROOT),
    ),
    70: Row(
        "rights of an earlier actor",
        Reason.POLICY_DENIED,
        (
            Control("party-may-hold-scope"),
            Control(
                "policy-judges-who-acts", put="(principal.actors * 2 or (principal.party,))[1]", take="principal.party"
            ),
        ),
    ),
    71: Row(
        "an agent does what only a person may do", Reason.RESOURCE_DENIED, (PERMITTED, Control("published-in-person"))
    ),
    72: Row("a workload's token without an actor", Reason.ACTOR_MISSING, (Control("actor-required"),)),
    73: Row(
        "rights that are written into the chain",
        Reason.SCOPE_MISSING,
        (
            Control(
                "scopes-of-token",
                put='(claims.scope + " " + (claims.act or {}).get("scope", "")).split(" ")',
                take='claims.scope.split(" ")',
            ),
            Control(
                "groups-of-token", put='[*claims.groups, *(claims.act or {}).get("groups", [])]', take="claims.groups"
            ),
        ),
    ),
    74: Row(
        "a token that is passed on",
        Reason.AUDIENCE_MISMATCH,
        (
            (Control("token-audience"), Control("party-may-call")),
            (Forwarding, Control("token-audience"), Control("party-may-call")),
        ),
    ),
    75: Row(
        "an unknown client, or one without valid authentication",
        Reason.EXCHANGE_REFUSED,
        (
            at_keycloak.NO_SECRETS,
            (at_keycloak.BUILT_IN_DISABLED, at_keycloak.NO_PASSWORD_GRANT),
            "Keycloak: the bundle's keys",
        ),
    ),
    76: Row("a request that does not follow RFC 8693", Reason.EXCHANGE_REFUSED, ("Keycloak: each parameter once",)),
    77: Row(
        "a refresh token in the chain",
        Reason.EXCHANGE_REFUSED,
        (at_keycloak.NO_REFRESH_TOKEN, "Keycloak: access tokens only"),
    ),
    # G. revocation
    81: Row(
        "a revoked token is used again",
        Reason.REVOKED,
        (
            STANDS,
            Control("token-not-revoked"),
            Control("session-not-revoked"),
            Control("user-not-revoked"),
            Control("chain-started-after-revocation"),
            Control("chain-started-after-revocation", put="principal.issued_at", take="principal.chain_started_at"),
        ),
    ),
    82: Row(
        "a derived token outlives the revocation of its parent",
        Reason.REVOKED,
        (STANDS, Control("ancestors-not-revoked"), Control("no-exchange-if-revoked")),
    ),
    83: Row(
        "a suspended party continues",
        Reason.REVOKED,
        (
            STANDS,
            Control("peer-not-suspended"),
            Control("acting-parties-not-suspended"),
            Control(
                "acting-parties-not-suspended",
                put="*(('party', party) for party in (principal.client, principal.party))",
            ),
            Control(
                "acting-parties-not-suspended",
                put="*(('party', party) for party in (principal.actors or (principal.party,)))",
            ),
            (
                Control("no-exchange-for-suspended-audience", take="self._revocations.of_peer(wanted.audience)"),
                Control("no-call-to-suspended-peer"),
            ),
        ),
    ),
    84: Row(
        "the registry or Keycloak falls silent, so that no revocation arrives",
        Reason.REVOCATION_UNKNOWN,
        (
            STANDS,
            Control("revocations-fresh", put="return _GOOD"),
            Control("freshness-counts-from-oldest-read", put="self._good_until = self._clock() + self.bound"),
            Control("gap-ends-freshness"),
            Control("high-risk-introspected"),
            Control("introspection-active"),
        ),
    ),
    85: Row(
        "a stream outlives its token",
        Reason.REVOKED,
        (Control("answer-has-an-end", put="60", take="seconds"), Control("revocation-ends-answer", put="await work()")),
    ),
    389: Row(
        "an agent that is suspended while it is called goes on to answer",
        Reason.PEER_REVOKED,
        (Control("suspension-ends-call", put="yield"), Control("stream-of-suspended-peer")),
    ),
    86: Row(
        "an earlier answer of the introspection is used again",
        Reason.REVOKED,
        (
            Control("high-risk-introspected"),
            Control(
                "introspection-not-cached",
                put="permission not in self.high_risk"
                " or caller.token_id in (said := vars(self).setdefault('said', set())) or said.add(caller.token_id)",
                take="permission not in self.high_risk",
            ),
        ),
    ),
    87: Row(
        "a forged answer of the introspection",
        Reason.ISSUER_UNAVAILABLE,
        (
            ASK_FOLLOWS,
            Control("introspection-status", put='active = json.loads(answer)["active"]'),
            "OpenSSL: one authority, one name",
        ),
    ),
    88: Row(
        "a caller who is not an operator revokes or reinstates",
        Reason.POLICY_DENIED,
        (OPERATOR_IN_PERSON, Control("operator-in-group"), Control("azp-is-peer")),
    ),
    89: Row(
        "a party that tries to change its own registration",
        Reason.POLICY_DENIED,
        (
            OPERATOR_IN_PERSON,
            Control("operator-in-group"),
            Control("peer-admitted-by-route"),
            STILL_DRIFTED,
            Control("statement-signer"),
            Control("statement-chain", put="pass"),
            Control("state-not-older"),
            "pydantic",
        ),
    ),
    90: Row(
        "a token issued before the registry removed its right",
        Reason.POLICY_DENIED,
        (
            Control("party-may-hold-scope"),
            Control("party-may-call"),
            Control("new-policy-used", put="getattr(self, '_policy', policy)", take="policy"),
        ),
    ),
    91: Row(
        "forged logout tokens, and forged events on the feed",
        None,
        (
            Control("token-type"),
            Control(
                "logout-token-signature", put='signed = jwt.PyJWS().decode(token, options={"verify_signature": False})'
            ),
            Control("logout-token-issuer"),
            Control("logout-token-audience"),
            Control("logout-token-event"),
            Control("logout-token-without-nonce"),
            Control("logout-token-age"),
            Control("logout-token-once"),
            Control("statement-signer"),
            Control("statement-chain", put="pass"),
            Control("no-change-missed"),
        ),
    ),
    # H. attestation
    92: Row(
        "a process that nobody launched",
        NO_IDENTITY,
        (Control("caller-was-launched", put="launched = launched or self.running[0]"),),
    ),
    93: Row(
        "the identity of another party",
        NO_IDENTITY,
        (
            Control("jwt-svid-for-own-id", put="spiffe_id = request.spiffe_id or spiffe_id"),
            Control("jwt-svid-signature", put="claims = jwt.decode(token, options={'verify_signature': False})"),
        ),
    ),
    94: Row(
        "code that differs from what was approved",
        NO_IDENTITY,
        (
            (Control("code-as-locked"), Control("code-approved-for-party")),
            Control("code-approved-for-party"),
            Control("code-unchanged-since-launch"),
        ),
    ),
    95: Row(
        "a SPIFFE ID that looks almost like a party's",
        Reason.UNKNOWN_PEER,
        ((Control("peer-registered"), Control("azp-is-peer")), "OpenSSL: one authority"),
    ),
    96: Row(
        "code that changes while its party runs", Reason.REVOKED, (Control("drift-suspends"), STILL_DRIFTED, STANDS)
    ),
    97: Row(
        "a key in a place where somebody could take it",
        "not launched",
        (
            Control(
                "key-never-on-disk",
                put="__import__('tempfile').mkstemp()[0]",
                take='os.memfd_create("svid", os.MFD_CLOEXEC)',
            ),
            Control("launched-once"),
            "the kernel: PR_SET_DUMPABLE",
        ),
    ),
    # I. MCP
    98: Row(
        "the headers name one tool and the body another",
        Reason.SCOPE_MISSING,
        (
            (
                Control("tool-named-in-body", put="tool = dict(headers)[b'mcp-name'].decode()"),
                Control("mcp-era"),
                Control("draft-creation-decided"),
            ),
            "mcp",
        ),
    ),
    99: Row("an older revision of the protocol", Reason.LEGACY_ERA, (Control("mcp-era"),)),
    100: Row(
        "JSON-RPC that is not a request",
        Reason.MALFORMED_BODY,
        (
            Control("mcp-request-id", take="request_id(body) is None"),
            Control("mcp-method-known", put="return Need(('tool.read',), method[:100])"),
        ),
    ),
    101: Row(
        "a web page that found our address",
        Reason.WRONG_HOST,
        (
            Control(
                "mcp-host", put="transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False)"
            ),
        ),
    ),
    102: Row(
        "session fixation: a session id of the attacker's choice",
        Reason.LEGACY_ERA,
        ((Control("mcp-era"), Control("mcp-stateless")),),
    ),
    103: Row(
        "injection through the arguments of a tool",
        Reason.GRANTED,
        (
            Control(
                "document-id-is-data",
                put="__import__('sqlalchemy').text(f\"id = '{name}'\")",
                take="_documents.c.id == name",
            ),
            Control("search-word-escaped", take="autoescape=True"),
            Control("search-word-printable", take="word.isprintable()"),
            "pydantic",
        ),
    ),
    104: Row(
        "a tool whose description differs from the approved one",
        Reason.PEER_UNTRUSTED,
        (Control("tool-description-approved"),),
    ),
    105: Row("a tool in addition to the approved ones", Reason.PEER_UNTRUSTED, (Control("tool-description-approved"),)),
    106: Row(
        "an agent whose card leads to another address",
        Reason.GRANTED,
        (Control("token-for-its-audience"), "Connections: origins of the registry"),
    ),
    # J. A2A
    109: Row(
        "a card that another party serves",
        Reason.PEER_UNTRUSTED,
        (
            Control("peer-card-checked"),
            Control("card-header"),
            Control("statement-signer"),
            Control("statement-chain", put="pass"),
            Control("card-signature"),
            Control("card-digest"),
        ),
    ),
    110: Row(
        "an outdated card",
        Reason.PEER_UNTRUSTED,
        (
            Control("card-digest"),
            (Control("statement-certificate-in-time"), Control("statement-chain", put="pass")),
            Control("card-remembered-until-its-end", put="service.checked[good] = 2.0**40"),
            Control(
                "card-remembered-by-content",
                put="max((until for (known, *_), until in service.checked.items() if known == name), default=0.0)",
                take="service.checked.get(good, 0.0)",
            ),
        ),
    ),
    111: Row(
        "a card with additional members",
        Reason.PEER_UNTRUSTED,
        (Control("card-digest"), (Control("card-signature"), Control("card-digest"))),
    ),
    112: Row(
        "an agent that offers an older version or another binding",
        Reason.PEER_UNTRUSTED,
        (
            (
                Control("card-digest"),
                Control(
                    "peer-address-from-registry",
                    put="await __import__('lab.weak.trusts_cards', fromlist=['lab']).card_of(service, name)",
                    take="agent_card(name, service.addresses[name], service.registry.scopes_at(name))",
                ),
                Control("token-for-its-audience"),
            ),
            "a2a-sdk",
        ),
    ),
    113: Row("somebody else's task", Reason.GRANTED, (KEEPS_NO_TASK,)),
    114: Row(
        "somebody else's conversation",
        Reason.GRANTED,
        (
            Control(
                "no-conversation-kept",
                put=f"{_KEEPING}.with_what_was_said(self, context)",
                take="context.get_user_input()",
            ),
        ),
    ),
    115: Row(
        "a webhook address that is to be told about a task",
        Reason.GRANTED,
        (
            (
                KEEPS_NO_TASK,
                Control("card-offers-no-push", put="push_notifications=True", take="push_notifications=False"),
                Control(
                    "no-push-notifications",
                    put=f"agent_card=card, **{_KEEPING}.notifying(service)",
                    take="agent_card=card",
                ),
            ),
        ),
    ),
    116: Row("an agent that asks for a token in its answer", Reason.GRANTED, (Control("reply-is-message"),)),
    117: Row(
        "an agent whose answer is more than text",
        Reason.GRANTED,
        (Control("reply-is-message"), (Control("answer-size"), Control("agent-answer-bounded")), ONLY_OWN_DRAFTS),
    ),
    118: Row(
        "the same attack through another binding",
        Reason.NO_PERMISSION_FOR_ROUTE,
        (
            (
                Control(
                    "one-a2a-binding", put=f"jsonrpc_routes=routes, rest_routes={_REST}", take="jsonrpc_routes=routes"
                ),
                Control("served-routes-listed"),
                Control("exact-path-first"),
                Control("route-listed"),
                DECIDE,
            ),
        ),
    ),
    # K. keys and metadata
    119: Row("a flood of unknown key ids", Reason.UNKNOWN_KEY, (Control("key-set-cooldown"),)),
    120: Row(
        "an answer that sends a service to another address",
        Reason.GRANTED,
        (
            ASK_FOLLOWS,
            (
                Control(
                    "request-sent-once",
                    put="answer = await sending(request, **options | {'stream': True, 'follow_redirects': True})",
                ),
                Control("token-for-its-audience"),
            ),
        ),
    ),
    121: Row("another issuer, named in metadata or in a token", Reason.ISSUER_MISMATCH, (Control("token-issuer"),)),
    122: Row(
        "an invalid key set",
        Reason.KEYS_UNAVAILABLE,
        (
            Control("every-key-usable"),
            Control("key-strength"),
            Control("answer-size"),
            Control("key-set-status", put="found = _usable_keys(json.loads(answer))"),
            "PyJWT",
        ),
    ),
    # L. the model
    189: Row(
        "metadata of another issuer, or with endpoints elsewhere",
        Reason.ISSUER_UNTRUSTED,
        (Control("metadata-issuer"), Control("endpoints-at-issuer"), "Connections: origins of the registry"),
    ),
    123: Row(
        "a document gives orders to the model",
        Reason.RESOURCE_DENIED,
        (PERMITTED, Control("document-of-own-department"), ONLY_OWN_DRAFTS),
    ),
    124: Row(
        "a model that asks for more than its agent may do",
        Reason.RESOURCE_DENIED,
        (PERMITTED, Control("document-of-own-department"), (DECIDE, Control("draft-creation-decided"))),
    ),
    126: Row(
        "what one task leaves behind for another",
        Reason.GRANTED,
        (
            Control(
                "messages-of-one-task",
                put="(messages := vars(model).setdefault('said', [])).append({'role': 'user', 'content': task})",
            ),
            Control("exchange-cached-by-token", take="hashlib.sha256(caller.token.encode()).digest()"),
            Control("token-cached-by-digest", put="return b''"),
        ),
    ),
    128: Row(
        "a text that costs the model much time",
        Reason.GRANTED,
        (Control("orders-bounded", put="found", take="islice(found, MAX_ORDERS)"),),
    ),
    221: Row(
        "two operators revoke each other at the same moment, so that nobody can reinstate them",
        Reason.REVOKED,
        (Control("revoked-operator-revokes-nobody", put="pass"),),
    ),
    270: Row(
        "another account of the machine reads the `state` of an operator's sign-in in a browser's arguments",
        "not there",
        (Control("sign-in-address-in-file", put="opened(address)"),),
    ),
    271: Row(
        "an answer of the issuer that sends an operator to another site with a code",
        "not shown",
        (Control("device-page-at-issuer"),),
    ),
    # Y. The audit log, and exports of it
    310: Row(
        "a ledger that was restored from a backup goes on with another history",
        "nothing is published, and the ledger says why",
        ((Control("witness-signs-next"), Control("witness-signs-continued")),),
    ),
    311: Row(
        "a second ledger runs on a copy of the data, with the same key",
        "nothing is published, and the ledger says why",
        (Control("witness-signs-continued"),),
    ),
    312: Row(
        "a log of one's own, in the name of the ledger's, is offered to the registry with the ledger's certificate",
        "403",
        (Control("log-key-pinned", put="key = self._first(vkey)"),),
    ),
    313: Row(
        "records at the end of the log are rewritten on the ledger's disk, with all hashes there",
        "nothing is published, and the ledger says why",
        ((Control("log-as-signed"), Control("witness-signs-continued")),),
    ),
    314: Row(
        "whoever owns the ledger's database leads a search to another record",
        "the right record: the index is made again",
        (Control("index-not-believed"),),
    ),
    390: Row(
        "a caller's text with ends of lines, terminal codes and marks that turn text round, which a record repeats",
        Reason.NO_PERMISSION_FOR_ROUTE,
        (Control("text-escaped", put="Text(without)", take='Text(without.encode("unicode_escape").decode())'),),
    ),
    391: Row(
        "a caller acts while the journal cannot be written: its disk is full when the call comes in, or from then on",
        Reason.JOURNAL_UNAVAILABLE,
        (Control("recorded-before-served"), Control("no-act-without-record", put="pass")),
    ),
    386: Row(
        "further witnesses answer their cosignature again and again, until no reader takes the checkpoint",
        "the log goes on, with one of each",
        ((Control("one-of-each-witness", take="found[:1]", put="found"), Control("checkpoint-has-room")),),
    ),
    320: Row(
        "an export with a record changed, removed, moved, inserted or repeated, or with its end cut off",
        "the first one is named, and the export is at fault",
        ((Control("leaf-as-signed"), Control("leaves-followed")),),
    ),
    321: Row(
        "an export without the first records, where all were asked for",
        "truncated, the export is at fault",
        (Control("export-begins-where-expected"),),
    ),
    322: Row(
        "an export with records behind the last one",
        "inserted or duplicated, the export is at fault",
        (Control("nothing-after-the-last-leaf"),),
    ),
    323: Row(
        "an export of another history, which the log signed and its witness did not",
        "unsigned, the export is at fault",
        (Control("witnesses-enough"),),
    ),
    324: Row(
        "an export of a log of one's own, in the names of the right log and of its witness",
        "unsigned, the export is at fault",
        ((Control("log-signature"), Control("cosignature")),),
    ),
    325: Row(
        "an export of another log under the right checkpoint",
        "forked, the export is at fault",
        (Control("hashes-as-signed"),),
    ),
    326: Row(
        "a log, signed and cosigned, with two records of one number, or with one that does not continue its journal",
        "forked, the log is at fault; changed, the service is at fault",
        (Control("record-continues-its-journal"),),
    ),
    327: Row(
        "a log that leaves out the last records of a journal, signed and cosigned",
        "missing or changed, the log is at fault",
        (Control("heads-compared"), Control("heads-at-the-end")),
    ),
    328: Row(
        "an older state of the log, or another history, signed and cosigned, for a reader who has cosigned the log",
        "truncated or forked, the export is at fault",
        (Control("log-not-older-than-cosigned"), Control("log-as-cosigned")),
    ),
    329: Row(
        "a journal that was changed after its records were delivered",
        "changed, the service is at fault",
        (Control("journal-as-delivered"),),
    ),
    # Z. Receipts
    330: Row(
        "a party that leaves out of its receipt whom it called, also in another trace",
        "step 10, and the party",
        ((Control("log-call-on-receipt", put="continue"), Control("log-exchange-on-receipt", put="continue")),),
    ),
    331: Row(
        "a receipt that is not passed on",
        "step 5, and who has called",
        (Control("receipts-complete", put="if not (called := left.pop(asked.receipt, None)): continue"),),
    ),
    332: Row("a party that is said to have given no receipt", "step 5, and the party", (Control("receipt-needed"),)),
    333: Row(
        "a genuine receipt of a party that nobody has called", "step 5, and the party", (Control("no-extra-receipt"),)
    ),
    334: Row(
        "a receipt of another transaction, or of another call of the same party",
        "step 6, and the party",
        (Control("receipt-fits-its-call", put="pass"),),
    ),
    335: Row(
        "a party that alters the answer of another, or says to have asked something else",
        "step 7, and the party",
        (Control("receipt-answer"), Control("receipt-request")),
    ),
    336: Row(
        "the receipts of another answer, of another request or of another transaction",
        "step 4",
        (Control("answer-is-mine"), Control("request-is-mine"), Control("transaction-is-mine")),
    ),
    337: Row(
        "a statement of another kind, with a genuine signature, in the place of a receipt",
        "step 1",
        (
            Control(
                "receipt-kind",
                put="x5c = __import__('zerotrust.spiffe.statement').spiffe.statement._header(text)['x5c']",
            ),
        ),
    ),
    338: Row(
        "a key that was stolen signs after its certificate has ended, with an earlier time",
        "step 3, and the party",
        (Control("receipt-in-time"), Control("receipt-within-its-caller", put="pass"), Control("task-not-too-long")),
    ),
    339: Row(
        "a proof from a tree that no witness has seen, or of another record",
        "step 3",
        (
            (Control("witnesses-enough"), Control("receipt-seen", put="at = root.receipt.iat if at is None else at")),
            Control("receipt-named-by-leaf"),
        ),
    ),
    340: Row(
        "a receipt with a certificate of the attacker's own authority, or with a genuine one without its key",
        "step 2, and the party",
        (Control("statement-chain", put="pass"), Control("receipt-signature")),
    ),
    341: Row("a receipt with a member twice", "step 1", (Control("receipt-canonical"),)),
    342: Row(
        "a genuine party that ran code which was not approved, or did what it does not serve",
        "step 8, and the party",
        (Control("receipt-code"), Control("receipt-permission")),
    ),
    343: Row(
        "a genuine party that the client does not accept",
        "step 9, and the party",
        (Control("receipt-signer-accepted"),),
    ),
    344: Row(
        "a party that is no front door answers the client itself, with a whole tree of its own",
        "step 9, and the party",
        (Control("receipt-front-door"),),
    ),
    375: Row(
        "a party sends receipts without end, or junk beside its own, so that none of others fits or is believed",
        "its own are left out",
        (
            Control(
                "receipts-room-shared",
                put="share = max((s for s in self._shares.values() if s.calls), key=lambda s: s.calls[-1].number)",
            ),
            Control("receipts-named"),
        ),
    ),
    376: Row(
        "an export that ends before all calls of the task can be on record, or is made while a journal waits for its "
        "share at the ledger, so that a late one is in no receipt",
        "not complete",
        (
            Control("export-not-too-early", put="True", take="until >= over"),
            Control("export-not-too-early", put="True", take="not late"),
        ),
    ),
    395: Row(
        "an agent that answers so much that its caller's answer has no room for receipts",
        "its answer is not taken, and the task has receipts",
        (Control("agent-answer-bounded"),),
    ),
    396: Row(
        "a party that records that another one's journal is late, so that a call that it hides accuses nobody",
        "step 10, and the party",
        (
            Control(
                "sent-away-says-the-ledger",
                put="True",
                take="ledger in {None, event.service}",
            ),
        ),
    ),
    392: Row(
        "a party that says of a call that it belongs to another answer of the same sign-in, or to one without receipts",
        "step 10, or not complete",
        (
            Control(
                "log-call-on-receipt",
                take="not belongs_here(call.lineage)",
                put="key[1].trace_id in {other[1].trace_id for other in others}",
            ),
            Control("call-belongs-by-lineage", put="True", take="token not in used"),
            Control("call-belongs-by-lineage", put="True", take="others[got.by].receipts"),
        ),
    ),
    393: Row(
        "a record that the log takes and no reader can read, or with a name that imitates another part of a record",
        "nothing is stopped, or the record is not taken",
        (
            Control("only-what-has-a-trace", put="False", take="event.trace is None"),
            Control("delivered-names-have-a-form"),
        ),
    ),
    394: Row(
        "a party that records refusals without end, dated earlier, so that a genuine one is not explained",
        "explained",
        (Control("explained-by-shares", put="turns", take="sorted(turns, key=itemgetter(0))"),),
    ),
    346: Row(
        "a token exchanged behind a party's back, by an intruder inside it",
        "an alarm names the party and the token",
        (
            (Control("issued-exchange-journalled"), Control("silent-journal-noticed", put="return False, None")),
            Control("silent-journal-noticed", put="return False, None"),
            _BY_PARTY,
        ),
    ),
    347: Row(
        "an exchange in a journal that the issuer never made",
        "an alarm names the party and the token",
        (Control("journalled-exchange-issued"), Control("issuer-told-by-registry")),
    ),
    377: Row(
        "a party that records an exchange under a name which no record may have, so that the alarm about it silences "
        "the ledger's own journal",
        "what has no form is not recorded",
        ((Control("alarm-names-an-id"), Control("alarm-is-a-record")),),
    ),
    400: Row(
        "a party that invents exchanges until another party's are forgotten, so that this one is accused",
        "an alarm names the party and the token",
        (_BY_PARTY,),
    ),
    401: Row(
        "a record of a time to come, so that each later exchange of its party is an alarm before its journal is there",
        None,
        (Control("no-time-after-delivery"),),
    ),
    402: Row(
        "a party that invents exchanges until another alarm is one among thousands",
        "one record has the number of the others",
        (Control("alarms-of-a-cause-counted", take="seen[alarm.cause] <= IN_FULL", put="True"),),
    ),
    378: Row(
        "a party that records an alarm itself, so that the ledger does not raise it after a restart",
        "an alarm names the party and the token",
        (Control("alarm-of-the-ledger", put="True", take="content.event.service == self._ledger"),),
    ),
    # Y. Journals on their way to the audit log
    300: Row(
        "a party delivers records in another's name",
        AuditReason.JOURNAL_OF_ANOTHER,
        (Control("journal-of-the-caller"),),
    ),
    301: Row("a party delivers the same records again", None, (Control("delivered-once", put="return lines"),)),
    302: Row(
        "a party rewrites its journal after delivery, and goes on",
        AuditReason.JOURNAL_CHANGED,
        (Control("journal-goes-on-from-the-log", put="same = True"),),
    ),
    303: Row(
        "a workload that the registry does not know delivers a journal",
        Reason.UNKNOWN_PEER,
        ((Control("peer-registered"), Control("peer-admitted-by-route")),),
    ),
    304: Row(
        "parties deliver more than the log takes at the time, until the ledger has no memory left",
        AuditReason.JOURNAL_BUSY,
        (Control("deliveries-bounded"),),
    ),
    403: Row(
        "a party delivers valid records without end, until the ledger's disk is full",
        AuditReason.JOURNAL_TOO_FAST,
        (Control("deliveries-of-a-party-bounded"),),
    ),
    305: Row(
        "a party delivers what is refused, again and again, so that its refusals fill the ledger's disk",
        AuditReason.JOURNAL_OF_ANOTHER,
        (Control("alarms-bounded", put="True", take="abs(now - before) >= ALARM_EVERY"),),
    ),
    306: Row(
        "a party reads the log's key through the door of the log's files",
        AuditReason.NOT_IN_THE_LOG,
        (Control("only-the-log-is-read"),),
    ),
    379: Row(
        "a party delivers records whose callers have chains without end, which cost whoever reads them",
        AuditReason.JOURNAL_MALFORMED,
        (Control("delivered-chain-bounded"),),
    ),
    388: Row(
        "a party delivers an alarm that withdraws one of the audit authority, or what only another authority says",
        AuditReason.JOURNAL_OF_ANOTHER,
        (Control("authorities-words-their-own"),),
    ),
    373: Row(
        "a thief of the ledger acknowledges records that it never publishes, so that parties delete them",
        "nothing is deleted",
        (
            Control("deleted-when-proven", put="checkpoint = checkpoint_of(found.proof.checkpoint)"),
            Control("witnesses-enough"),
        ),
    ),
    374: Row(
        "a thief of the ledger and of the registry shows a party another history, so that it deletes its own records",
        "nothing is deleted",
        (Control("deleted-log-continues"),),
    ),
    # M. another process of the same user
    130: Row(
        "a process of the same user that reads the authority's memory, or opened it at its start",
        "not closed",
        ((Control("process-replaced"), Control("process-closed"), Control("issuer-in-closed-process")),),
    ),
    131: Row(
        "a certificate with a long lifetime, signed by the authority's own key",
        Reason.PEER_UNTRUSTED,
        (Control("certificate-lifetime"), Control("statement-certificate-lifetime")),
    ),
    132: Row(
        "a JWT-SVID with a long lifetime, signed by the authority's own key",
        Reason.EXCHANGE_REFUSED,
        (Control("jwt-svid-lifetime"), at_keycloak.ASSERTION_AGE),
    ),
    133: Row(
        "Keycloak's passwords in its arguments, variables or memory",
        None,
        (
            Control("interpreter-unreadable", put="os.fchmod(writable, 0o755)"),
            Control("keycloak-password-not-in-arguments", put="f'--bootstrap-admin-password={self.admin[1]}'"),
        ),
    ),
    134: Row(
        "a password or a token among the arguments of a typed command",
        None,
        (
            Control(
                "secrets-not-in-arguments",
                put="_STEPS.replace(\"@<(printf '\", '\"').replace('%s\\' \"$TOKEN\")', '$TOKEN\"')",
                take="_STEPS",
            ),
            Control("secrets-not-in-arguments", put="_STEPS.replace('alice <<<', 'alice --password')", take="_STEPS"),
        ),
    ),
    # N. what is started is what was signed
    135: Row(
        "a module planted in the project's folder",
        None,
        (Control("own-packages-only"), "scripts/run (-I, -B, -X pycache_prefix)"),
    ),
    136: Row(
        "another Keycloak, or another Java, in the cache",
        None,
        (Control("runtime-as-pinned", put="return place.exists()"),),
    ),
    137: Row(
        "a changed build of Keycloak, a changed script or a theme in Keycloak's folder",
        None,
        (
            Control("keycloak-build-measured", take="digest_of(measure_files(home, [BUILT]))"),
            Control(
                "keycloak-home-cleared",
                put="e.name in ('lib', 'conf', 'providers', 'data')",
                take="e.name not in stays and not e.name.startswith(_LOG)",
            ),
        ),
    ),
    138: Row("a changed package, a changed file or another key in a signed release", None, ("git verify-tag",)),
    # O. what one caller costs the others at a door
    140: Row(
        "a body that is costly to read, from a user without rights",
        Reason.POLICY_DENIED,
        (
            Control(
                "decided-before-body",
                put="await requests.body(headers, receive, most=1 << 20) and required",
                take="required",
            ),
        ),
    ),
    141: Row(
        "a body that is costly to read, from a user with rights",
        Reason.MALFORMED_BODY,
        (Control("json-size"), (Control("body-size"), Control("content-length"))),
    ),
    142: Row(
        "one party or one user opens connections until nobody else gets one",
        None,
        ((Control("connections-of-own-party", take="other._party == self._party"), _MOST_GIVES_WAY), _MOST_GIVES_WAY),
    ),
    143: Row(
        "one user's tasks, until there is no capacity for others",
        Reason.TOO_MANY_REQUESTS,
        (Control("calls-per-user"),),
    ),
    144: Row(
        "refusals, until the disk is full",
        Reason.POLICY_DENIED,
        (Control("repeated-calls-only-counted", put="return False"),),
    ),
    145: Row("unfinished handshakes at a service", None, (Control("handshakes-bounded"),)),
    146: Row(
        "a public route, called so often that nobody else in that process is served",
        None,
        (Control("requests-by-turns"),),
    ),
    147: Row(
        "silent connections at the endpoint of attestation's public keys",
        None,
        (Control("silent-connections-bounded"),),
    ),
    148: Row("unfinished handshakes at that endpoint", None, (Control("handshakes-bounded"),)),
    149: Row(
        "a caller that occupies that endpoint, so that nobody gets the keys",
        None,
        (Control("oldest-handshake-ends", put="return connection.close()"),),
    ),
    # P. revocation as a weapon
    150: Row(
        "a user revokes their own tokens without end",
        None,
        (Control("own-revocations-bounded"), Control("chain-started-after-revocation")),
    ),
    151: Row(
        "revoked tokens that are kept long after they expired",
        None,
        (Control("expired-revocations-dropped", put="passed = []"), Control("follower-drops-expired-revocations")),
    ),
    152: Row(
        "an agent revokes its tokens, so that its users lose their other work",
        None,
        (Control("revoked-for-its-client", take='event.get("clientId")'),),
    ),
    153: Row("a party follows the registry on hundreds of streams", None, (Control("streams-per-party"),)),
    154: Row("a party reconnects to the registry's feed again and again", None, (Control("follows-by-turns"),)),
    155: Row(
        "a suspended party continues to follow the registry",
        None,
        (
            Control("suspension-ends-stream"),
            Control(
                "suspended-party-may-not-follow", take="self._revocations.of_party(party).reason is Reason.REVOKED"
            ),
        ),
    ),
    156: Row(
        "a party follows the registry and reads nothing", None, (Control("follower-queue-bounded", take="MAX_BEHIND"),)
    ),
    157: Row(
        "the state of revocations, with a part left out",
        None,
        (Control("state-parts-in-order"), Control("state-complete", put="True", take="part == parts")),
    ),
    158: Row("an event for another trust domain", None, (Control("event-audience"),)),
    159: Row(
        "an agent ends its user's session, with an ID token that it got by exchange",
        Reason.GRANTED,
        (at_keycloak.NAMES_NO_SESSION,),
    ),
    # Q. what a restart forgets, and what nobody hears
    160: Row(
        "a password changed in a way that Keycloak does not record",
        None,
        (Control("user-change-ends-sessions", put="return enabled"),),
    ),
    161: Row(
        "cleared events, so that nobody finds a user's sessions",
        None,
        ((Control("cleared-events-noticed"), Control("cleared-events-end-sessions", put="earlier = ('before', '0')")),),
    ),
    162: Row(
        "a second factor is removed, and the session continues",
        None,
        (Control("credential-removed-ends-sessions", put="False", take="kind in SESSIONS_OF"),),
    ),
    163: Row(
        "a restart reinstates a suspended party or user",
        None,
        (Control("restart-repeats-suspensions", put="pending = set()"),),
    ),
    165: Row(
        "a restart deletes records",
        None,
        (Control("journals-kept", put="fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)"),),
    ),
    164: Row("strangers fill Keycloak's database with refusals", "invalid_client", (at_keycloak.NO_ERROR_EVENTS,)),
    # R. text between departments, and text without an end
    170: Row(
        "text of one department is filed in another",
        Reason.POLICY_DENIED,
        (
            Control("one-department"),
            (
                Control("one-department"),
                Control("department-named"),
                Control("token-for-one-department", take="department=step.department"),
            ),
        ),
    ),
    171: Row("an operator of no department runs a task", Reason.POLICY_DENIED, (Control("user-has-department"),)),
    172: Row(
        "an agent asks the realm for another department",
        Reason.EXCHANGE_REFUSED,
        (at_keycloak.OWN_DEPARTMENT, at_keycloak.FEWER_GROUPS),
    ),
    173: Row("a draft that is too long for anybody to read", Reason.GRANTED, (Control("document-size"),)),
    174: Row("drafts without end, until nobody has space", Reason.GRANTED, (Control("drafts-bounded"),)),
    175: Row(
        "documents that crowd others out of a search",
        Reason.GRANTED,
        (
            Control("search-own-department", take="_documents.c.department == department"),
            Control(
                "search-published-first",
                put="_documents.c.state == 'published'",
                take='_documents.c.state != "published"',
            ),
            Control("search-results-bounded", put="rows = await connection.execute(found)"),
            Control("search-owners-by-turns", put="nth = 0"),
            Control("search-own-drafts", take="_documents.c.owner == user"),
        ),
    ),
    176: Row(
        "the time of a refusal reveals which documents exist",
        Reason.RESOURCE_DENIED,
        (
            Control(
                "absent-document-decided",
                put="found is None or await service.decide(action, resource, otherwise=refusal, effect=done)",
            ),
        ),
    ),
    411: Row(
        "a report orders an agent to copy the user's own restricted document into a draft for the department",
        Reason.RESOURCE_DENIED,
        (Control("restricted-in-person"),),
    ),
    414: Row(
        "the words of a refusal reveal which documents exist",
        Reason.RESOURCE_DENIED,
        (
            Control(
                "unreadable-document-unnamed",
                put='refusal = ToolError(f"refused ({Reason.RESOURCE_DENIED})") if found else missing',
            ),
        ),
    ),
    177: Row("drafts that together are too long for a task", Reason.GRANTED, (Control("task-text-bounded"),)),
    178: Row("a model that asks for too many calls at once", Reason.GRANTED, (Control("tool-calls-bounded"),)),
    179: Row(
        "drafts in a user's name, so that the user can never file again",
        Reason.GRANTED,
        (
            Control("full-store-names-drafts", put="names = ''"),
            Control("failure-keeps-cause", put="return cut(f'{what}: {cause}', LONGEST_FAILURE)"),
        ),
    ),
    # S. operators, terminals, sessions
    180: Row("wrong passwords lock out the real user", "access_denied", (at_keycloak.NO_LOCK_OUT,)),
    181: Row("a session of a killed `zt` command continues", None, (at_keycloak.SHORT_REFRESH_TOKEN,)),
    182: Row(
        "a cause with terminal control characters, listed by zt",
        None,
        (Control("terminal-text-escaped", put="return text"),),
    ),
    183: Row(
        "a document whose markup ends the walkthrough",
        None,
        (
            (
                Control("progress-without-markup", put="console.print(text)"),
                Control("terminal-without-markup", take="markup=False", put="markup=True"),
            ),
        ),
    ),
    387: Row(
        "a party records calls with others' tokens, so that records of others seem to be about somebody else's calls",
        None,
        (
            Control("branch-as-claimed", put="return token.token_id"),
            Control("foreign-record-named", put="foreign = False"),
        ),
    ),
    184: Row(
        "a revocation whose name has terminal control characters",
        Reason.MALFORMED_BODY,
        ("registry: the pattern of names and causes",),
    ),
    185: Row("a user changes their own credentials", None, (at_keycloak.NO_REQUIRED_ACTIONS,)),
    188: Row(
        "a link that makes a signed-in browser send a code to an attacker's listener",
        "the password is asked for",
        (at_keycloak.ASKS_EACH_TIME,),
    ),
    412: Row(
        "another person's link, after which an operator only types the password",
        "confirmation is asked for",
        (at_keycloak.CONFIRMED, at_keycloak.CONFIRMED_EACH_TIME),
    ),
    222: Row(
        "the stolen code of an operator's sign-in, without the verifier; a sign-in link without a challenge",
        Reason.EXCHANGE_REFUSED,
        (at_keycloak.PKCE,),
    ),
    223: Row(
        "another person's code, or one of another issuer, is sent to zt's listener",
        "zt waits on, or ends",
        (Control("redirect-state"), Control("redirect-issuer")),
    ),
    224: Row(
        "a device code for a client without that grant, which a user is tricked into confirming",
        Reason.EXCHANGE_REFUSED,
        (at_keycloak.DEVICE_GRANT,),
    ),
    # M. another process of the same user
    186: Row(
        "a process of the same user that writes to the authority's process while it checks the installed files",
        "not opened",
        (Control("process-closed-before-checks"),),
    ),
    187: Row(
        "a variable that makes the authority's process load code through an OpenSSL configuration",
        None,
        (Control("environment-loads-no-code", take="not name.startswith(_LOAD_CODE)"),),
    ),
    # T. the registry's feed
    190: Row("an older version of the policies or of the registry, sent again", None, (Control("topic-not-older"),)),
    191: Row("stricter policies that never reach a party", None, (Control("topics-as-announced"),)),
    192: Row("policies that a party signs itself", None, (Control("statement-signer"),)),
    193: Row(
        "policies that are changed on the registry's disk",
        None,
        ("authorities/registry/published.py: read at the start alone, and verified as if brought (350, 356)",),
    ),
    350: Row("policies that the registry writes itself", None, (Control("statement-signer"),)),
    351: Row("a registry that names itself as the policy authority", None, (Control("registry-writes-no-policy"),)),
    352: Row("older policies, as news of the registry", None, (Control("policy-not-older"),)),
    353: Row("policies for another trust domain", None, (Control("bundle-audience"),)),
    354: Row("policies that outlive the certificate that signed them", None, (Control("bundle-life"),)),
    355: Row(
        "policies of which nothing was heard any more",
        Reason.POLICY_EXPIRED,
        (Control("policy-lives", put="return True"),),
    ),
    356: Row(
        "older policies, brought to the registry again",
        RegistryReason.POLICY_OLDER,
        (Control("kept-policy-not-older"),),
    ),
    357: Row(
        "somebody else brings policies to the registry",
        None,
        (Control("statement-signer"), Control("peer-admitted-by-route")),
    ),
    358: Row(
        "a caller who is not an operator works on the policies",
        Reason.POLICY_DENIED,
        (
            (Control("policy-operator-in-group"), Control("policy-operator-in-person")),
            Control("policy-operator-in-group"),
            Control("azp-is-peer"),
        ),
    ),
    360: Row(
        "an operator activates policies by which agents do what people may",
        PolicyReason.POLICY_UNFIT,
        (Control("activated-as-tested"),),
    ),
    361: Row(
        "an operator activates over a version that they have not seen",
        PolicyReason.POLICY_MOVED,
        (Control("activated-as-compared"),),
    ),
    380: Row(
        "an operator activates two files of which each, read alone, says what is right, and both together do not",
        PolicyReason.POLICY_UNFIT,
        (
            (
                Control("each-file-is-cedar"),
                Control("signed-text-judged", take="content.document.policies", put=FILE_BY_FILE),
            ),
        ),
    ),
    381: Row(
        "an operator activates policies that end the process that reads them, behind a quote that another file opens",
        PolicyReason.POLICY_UNFIT,
        (
            (
                Control("rules-bounded"),
                Control("files-bounded"),
                Control("bounded-where-parsed"),
                Control("bounded-where-validated"),
            ),
        ),
    ),
    382: Row(
        "an operator activates a rule that people read otherwise than Cedar: other ends of lines, invisible marks",
        PolicyReason.POLICY_UNFIT,
        (Control("policies-printable"),),
    ),
    383: Row(
        "an operator rolls back a version that another one has activated meanwhile",
        PolicyReason.POLICY_MOVED,
        (Control("activated-as-compared"),),
    ),
    384: Row(
        "an operator activates a rule with a name in which a letter only looks like the one that people read",
        PolicyReason.POLICY_UNFIT,
        (Control("policies-ascii"),),
    ),
    385: Row(
        "an operator activates policies with rows of the decision table that people see and the rules are not asked",
        PolicyReason.POLICY_UNFIT,
        (
            Control("table-without-html"),
            Control("table-cells-plain"),
            Control("table-names-once"),
        ),
    ),
    362: Row(
        "policies that the registry has refused stay in force at their authority",
        PolicyReason.POLICY_UNFIT,
        (Control("refused-version-withdrawn"),),
    ),
    410: Row(
        "a version of the policies that nobody activated, planted beside a signed release or unfit to be published",
        "the last version on record, or policies/, is in force",
        (
            Control("kept-version-recorded", put="True", take="(one.number, one.digest) in recorded"),
            Control("kept-version-tested", put="problems = []"),
        ),
    ),
    363: Row("a damaged version brings an older one back", None, (Control("newest-version-whole"),)),
    418: Row("a version whose file was deleted brings an older one back", None, (Control("newest-version-there"),)),
    364: Row("two versions of the policies with one number", None, (Control("numbers-used-once"),)),
    # U. what can be registered besides: a web console, and a server outside
    195: Row(
        "a console's token with another party, or without a certificate",
        Reason.NOT_BOUND,
        (
            Control("azp-is-peer"),
            Control(
                "certificate-before-public-client",
                put="holder = principal.party if principal.party in expected.initiating_clients else peer.id",
            ),
        ),
    ),
    196: Row(
        "a console's token at a party that it may not call",
        Reason.ACTOR_MISSING,
        ((Control("actor-required"), Control("party-may-call")),),
    ),
    197: Row(
        "another party connects to the server outside",
        None,
        (Control("outside-for-one-party", put="True", take="servers[name].reached_by == caller"),),
    ),
    198: Row("an impostor answers for the server outside", None, (Control("outside-key-pinned"),)),
    199: Row("our token is sent to the server outside", Reason.WOULD_WIDEN, (Control("token-for-its-audience"),)),
    251: Row(
        "a token for another audience is sent to the model server",
        Reason.WOULD_WIDEN,
        (Control("token-for-its-audience"),),
    ),
    252: Row(
        "another party has a token for the model server, and calls it",
        None,
        (Control("outside-for-one-party", put="True", take="servers[name].reached_by == caller"),),
    ),
    253: Row(
        "a model server that an operator has suspended is called",
        Reason.PEER_REVOKED,
        (Control("no-call-to-suspended-peer"),),
    ),
    254: Row(
        "a model server shows a token that it got to a party", Reason.AUDIENCE_MISMATCH, (Control("token-audience"),)
    ),
    208: Row("a registry that was edited and not approved", "not served", (Control("registry-as-approved"),)),
    209: Row(
        "policies that are nested so deeply that their parser ends the process",
        "not started",
        (Control("policy-depth"), Control("policy-path")),
    ),
    # V. containers
    200: Row(
        "a process beside the main one of a container: docker exec, a fork",
        NO_IDENTITY,
        (Control("main-process-of-container"),),
    ),
    201: Row(
        "a container with more rights",
        NO_IDENTITY,
        (
            Control("container-without-capabilities"),
            Control("container-no-new-privileges"),
            Control("container-seccomp"),
            Control("container-not-root", put="return None"),
        ),
    ),
    202: Row(
        "a container that could change what it runs",
        NO_IDENTITY,
        (
            Control("container-root-read-only"),
            Control("container-root-overlay"),
            Control("container-nothing-mounted", put="pass"),
            Control("container-mount-options"),
        ),
    ),
    203: Row(
        "an approved image that runs something else, or with other settings",
        NO_IDENTITY,
        (
            Control("container-command"),
            Control("container-environment"),
            Control("container-once-set"),
            Control("container-settings", put="return None"),
        ),
    ),
    204: Row(
        "an image with an additional file, or another image",
        NO_IDENTITY,
        (
            Control("container-as-built"),
            (Control("container-code", put="return self._images[0]"), Control("container-as-built")),
        ),
    ),
    205: Row("a second container of a running party", NO_IDENTITY, (Control("container-once"),)),
    206: Row(
        "a party is registered with the code of another one",
        "not started",
        (Control("images-differ"),),
    ),
    207: Row("the trust domain's keys are where others can read them", "not started", (Control("kept-keys-private"),)),
    220: Row(
        "a container's file changes while attestation has no descriptor left to notice it",
        NO_IDENTITY,
        (Control("unknown-gets-no-certificate"),),
    ),
    426: Row(
        "a container whose search path for programs (PATH) is another one",
        NO_IDENTITY,
        (Control("container-settings", put="return None"),),
    ),
    427: Row(
        "a container whose hosts file leads the registry's name elsewhere (extra_hosts)",
        NO_IDENTITY,
        (Control("container-hosts"),),
    ),
    428: Row(
        "a folder of the machine, or a file system of another kind, in the place of a container's own mount",
        NO_IDENTITY,
        (Control("container-mount-kind"), Control("container-mount-options"), Control("container-kept-by-docker")),
    ),
    # X. services that a stranger builds with the library
    210: Row(
        "a path with a control character, which the router takes for another path",
        Reason.MALFORMED_PATH,
        (
            (
                Control("path-characters"),
                Control(
                    "first-route-that-matches",
                    take="it.matches(scope)[0] is Match.FULL",
                    put="it.matches(scope)[0] is Match.FULL and ('{' in it.path or it.path == scope['path'])",
                ),
            ),
        ),
    ),
    211: Row(
        "a route that is in no row of the table, under a template that is in one",
        "not started",
        (
            (
                Control("served-routes-listed"),
                Control(
                    "first-route-that-matches",
                    take="it.matches(scope)[0] is Match.FULL",
                    put="it.matches(scope)[0] is Match.FULL and (scope['method'], it.path) in self._rows",
                ),
            ),
        ),
    ),
    212: Row("a service that serves its app without the gate", "not started", (Control("gate-served"),)),
    213: Row(
        "a handler that ignores the decision about a resource",
        Reason.POLICY_ERROR,
        (Control("denial-raised"),),
    ),
    366: Row(
        "a handler that forgets to await a decision that is made elsewhere",
        Reason.FAILED,
        (Control("decision-awaited"),),
    ),
    367: Row(
        "a decision point that answers something like a yes",
        Reason.POLICY_ERROR,
        (Control("decision-boolean"),),
    ),
    368: Row(
        "a decision point whose yes comes with an error or a redirect",
        Reason.POLICY_ERROR,
        (Control("decision-status"),),
    ),
    369: Row(
        "a decision point that permits a scope which the token lacks",
        Reason.SCOPE_MISSING,
        (Control("scope-held-before-asking"),),
    ),
    370: Row(
        "a right that is revoked while a decision point is asked about it",
        Reason.REVOKED,
        (Control("caller-not-revoked-when-decided", put="await concluded(decision)"),),
    ),
    230: Row(
        "a compromised agent that calls the model without end, with genuine tokens of one task",
        ModelReason.BUDGET_SPENT,
        (Control("model-calls-bounded"), Control("model-tokens-bounded")),
    ),
    231: Row(
        "a model that asks for the same call again and again: to file, to read, and a refused one",
        Reason.GRANTED,
        (Control("nothing-done-twice"), Control("same-call-bounded"), Control("idle-replies-bounded")),
    ),
    232: Row(
        "half a reply of a model, or of a model server, which asks to file an unfinished text",
        None,
        (
            Control("nothing-done-for-half-a-reply"),
            Control("half-a-reply-stays-half", take="choice.finish_reason", put='"stop"'),
        ),
    ),
    233: Row(
        "a model that uses tokens without end, and whose server misreports them",
        Reason.GRANTED,
        (
            Control("task-tokens-bounded"),
            Control("task-tokens-at-least", take="(MAX_CONVERSATION - self._room) // BYTES_PER_TOKEN", put="0"),
        ),
    ),
    234: Row(
        "a reply of a model that is huge or costly to read, with a call of a tool in it",
        None,
        (Control("answer-size"), Control("answer-elements")),
    ),
    261: Row(
        "a compromised agent that hides what it asks the model in descriptions of tools and arguments of calls",
        ModelReason.BUDGET_SPENT,
        (Control("model-tokens-at-least", take="size // BYTES_PER_TOKEN", put="0"),),
    ),
    262: Row(
        "a model server that says that one call used all tokens of the sign-in",
        Reason.GRANTED,
        (Control("model-tokens-at-most", take="size + UNSAID", put="counted.total"),),
    ),
    263: Row(
        "a compromised agent that holds all connections to the model server",
        ModelReason.MODEL_BUSY,
        (Control("model-connections-shared", take="not self._under_way.take(caller, OF_A_CALLER)", put="False"),),
    ),
    # W. what the answer of a compromised party costs its caller
    215: Row(
        "cookies in an agent's answer, which make the calls of other users too large",
        None,
        (Control("no-cookies"),),
    ),
    216: Row(
        "an agent's answer that is costly to read: tiny pieces, very many elements, interim answers",
        None,
        (
            Control("answer-pieces"),
            Control("answer-elements"),
            Control("answer-no-stream"),
            Control("answer-head"),
        ),
    ),
    217: Row(
        "a compressed answer of a server outside, which expands a thousandfold",
        None,
        ((Control("answer-uncompressed"), Control("answer-size")),),
    ),
    218: Row(
        "TLS key updates without end, or data byte by byte, from a stranger",
        None,
        (Control("records-without-data"), Control("records-for-their-data")),
    ),
    219: Row(
        "one user's tasks over a console, until its other users are refused",
        Reason.TOO_MANY_REQUESTS,
        (Control("calls-per-person", put="most = OF_A_USER"),),
    ),
    260: Row(
        "a text in an answer that names a codec which is costly to decode",
        None,
        (Control("answer-charset"),),
    ),
    240: Row(
        "a stream of a model server that is costly to read: without end, or of very many elements",
        None,
        (Control("stream-bounded"), Control("stream-line-ends"), Control("stream-event-elements")),
    ),
}


GROUPS = {
    "a": "Credentials and HTTP",
    "b": "JWT and JOSE",
    "c": "Issuer, audience, time, claims",
    "d": "Replay and theft",
    "e": "Scope and authorisation",
    "f": "Token exchange and the chain",
    "g": "Revocation",
    "h": "Attestation",
    "i": "MCP",
    "j": "A2A",
    "k": "Keys and metadata",
    "l": "The model",
    "m": "Another process of the same user",
    "n": "Only what was signed is started",
    "o": "What one caller can cost others",
    "p": "Revocation as a weapon",
    "q": "Restarts and lost events",
    "r": "Documents: departments and quotas",
    "s": "Operators, terminals, sessions",
    "t": "The registry's feed, and the policies in it",
    "u": "Further registered parties: a web console, and a server outside",
    "v": "Containers",
    "w": "What a compromised party's answer can cost its caller",
    "x": "Services that a stranger builds with the library",
    "y": "The audit log: exports, logs and journals that were changed",
    "z": "Receipts",
}
"""Titles, by the letter in the name of the file that tries a row (`test_a_credentials.py`)."""


@cache
def _groups() -> dict[int, str]:
    found = {}
    for file in Path(__file__).parent.glob("test_?_*.py"):
        for number in re.findall(r"^@(?:pytest\.mark\.)?attack\((\d+)", file.read_text(), re.MULTILINE):
            found[int(number)] = file.name.split("_")[1]
    return found


def group_of(number: int) -> str:
    """Return the letter of the group that a row is of."""
    return _groups()[number]


_INTRODUCTION = """\
`scripts/run tests.reference` writes this page. `make attacks` tries every row, and tries it again without the
control that stops it, to show that the attack then succeeds. If controls are joined by "and", each of them stops the
attack, so they are taken away together. If controls are separated by semicolons, each of them alone stops the attack or
a variant of it. A control of our own code has the id that a comment gives it there (`# control: azp-is-peer`)."""


def recorded(row: Row) -> str:
    """What a row leaves on record, for a reader."""
    if row.reason is Reason.GRANTED:
        return "granted, and nothing gained"
    return row.reason or "nothing to refuse"


def markdown() -> str:
    """The catalogue as it stands in `docs/reference/attacks.md`."""
    lines = ["# The catalogue of attacks", "", _INTRODUCTION, "", *_rows()]
    return "\n".join(lines) + "\n"


def _rows() -> list[str]:
    lines = []
    for letter, title in GROUPS.items():
        lines += [f"## {title}", "", "| row | attack | outcome | stopped by |", "|---|---|---|---|"]
        for number in sorted(number for number in ROWS if group_of(number) == letter):
            row = ROWS[number]
            by = dict.fromkeys(located(way) for way in row.stopped_by)
            lines.append(f"| {number} | {row.attack} | {recorded(row)} | {'; '.join(by)} |")
        lines.append("")
    return lines[:-1]
