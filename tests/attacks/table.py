"""The catalogue: each attack, the reason that goes on record, and the control that stops it.

Where a control is a piece of our own code, a test takes it away and shows that the attack then succeeds: so the table
cannot name the wrong one.  Its id is in a comment at that piece (`lab/without.py`).  A text in its place says what
stops the attack that is not ours to take away.
"""

import re
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
from tests.attacks import instead
from tests.attacks.hooks import (
    DROP,
    FAILS,
    FALSE,
    FIRST_TERM,
    GO_ON,
    HOLDS,
    PASS_OVER,
    SKIP,
    TRUE,
    UNWRAP,
    WHOLE,
    argument,
    call,
    condition,
    element,
    gives,
    gives_argument,
    index,
    operand,
    with_arguments,
)
from zerotrust.decision import Reason, ReasonCode
from zerotrust.service import Service

Missing = Control | RealmControl | type[Service]
"""One control that is taken away: a piece of source, of the realm, or a service composed without it."""


class Row:
    """One attack: what it tries, the reason that goes on record, and what stops it."""

    def __init__(
        self, attack: str, reason: ReasonCode | str | None, *stopped_by: Missing | tuple[Missing, ...] | str
    ) -> None:
        """`reason`: None where there is nothing to refuse, because what the attacker sends is not read at all; a text
        where it is not one of our services that refuses.

        `stopped_by`: each stops the attack, or a variant of it, alone; those in a tuple stop it one behind the other.
        A text is not ours to take away, or is taken away in another row, whose number it begins with.
        """
        self.attack, self.reason, self.stopped_by = attack, reason, stopped_by

    @property
    def removable(self) -> list[tuple[Missing, ...]]:
        """The ways to take its controls away from our own code."""
        return [way for way in self._ways() if not isinstance(way[0], RealmControl)]

    @property
    def removable_at_the_realm(self) -> list[tuple[Missing, ...]]:
        """The ways to take its controls away from the realm."""
        return [way for way in self._ways() if isinstance(way[0], RealmControl)]

    @property
    def names(self) -> set[str]:
        """What its controls, and what else stops it, are called."""
        ways = [way if isinstance(way, tuple) else (way,) for way in self.stopped_by]
        return {described(one) for way in ways for one in (*way, way)}

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
    if isinstance(way, Control):
        return f"`{way.id}` ({', '.join(filter(None, (where(way), way.how)))})"
    return described(way)


DECIDE = Control("policy-decides", instead.granted)
_MOST_GIVES_WAY = Control("most-connections-give-way", element(0, DROP))
_DECIDED_FIRST = Control("decided-before-body", condition(instead.after_the_body))
_BY_PARTY = Control("exchanges-by-party", index(gives("everybody")))
SIGNATURE = Control("token-signature", instead.unverified)
NOT_BEYOND_ITS_LIFE = Control("answer-ends-with-token", gives(60.0))
OPERATOR_IN_PERSON = (Control("operator-in-group"), Control("operator-in-person"))
STANDS = (Control("caller-not-revoked"), Control("caller-not-revoked-when-served"))
"""Looked at when a call comes in, and again when its body has and it is on record."""
STILL_DRIFTED = (
    Control("reinstated-without-drift"),
    Control("reinstated-still-without-drift", operand(1, DROP)),
)
NO_IDENTITY = "no identity issued"
ASK_FOLLOWS = Control("issuer-not-redirected", call(1, with_arguments(follow_redirects=True)))
ASKS_ONCE = Control("step-asked-once", instead.asked_with_more_scopes)
NEEDS_SCOPE = (Control("scope-held"), Control("api-scope-held"))
ONLY_OWN_DRAFTS = (Control("changes-draft"), Control("changes-own"))
PERMITTED = Control("document-access-decided")
LATEST, NOT_THE_CLIENT, OF_THE_TOKEN = "the latest party alone", "without the client", "by the time of the token"
KEEPS_NO_TASK = Control("no-task-kept", instead.kept_task)

ROWS: dict[int, Row] = {
    # A. credentials and HTTP
    1: Row("no token, at every endpoint", Reason.NO_TOKEN, Control("gate-admits")),
    2: Row("no token, at a route that an SDK registered", Reason.NO_TOKEN, GateAsDependency),
    3: Row(
        "a token in the query or in a form",
        Reason.NO_TOKEN,
        Control("token-only-from-header", instead.token_of_the_query),
    ),
    4: Row("two Authorization headers", Reason.MALFORMED_CREDENTIALS, Control("one-authorization-header")),
    5: Row(
        "two tokens in one header, and other spellings",
        Reason.MALFORMED_CREDENTIALS,
        Control("token-characters"),
        Control("header-holds-one-token", instead.last_word),
        "PyJWT: it is no token",
    ),
    6: Row("another scheme; Bearer without a token", Reason.UNSUPPORTED_SCHEME, Control("bearer-scheme")),
    7: Row(
        "a token or an identity in a proxy's header or a cookie",
        Reason.NO_TOKEN,
        Control("authorization-header-alone", condition(instead.also_from_a_proxy)),
        "nothing reads it",
    ),
    8: Row(
        "request smuggling: one request inside another",
        "400, or no answer",
        Control("one-host-header"),
        "llhttp: one length, and one way to give it",
    ),
    9: Row(
        "another method, or another spelling of a path, reaches the router",
        Reason.NO_PERMISSION_FOR_ROUTE,
        (Control("route-listed"), DECIDE),
        Control("unlisted-route-closed", instead.open_route),
    ),
    # B. JWT and JOSE
    10: Row(
        "what a refusal reveals about a forged token",
        Reason.BAD_SIGNATURE,
        Control("refusal-detail-hidden", instead.with_its_own_reason),
    ),
    11: Row("an unsigned token", Reason.ALGORITHM_NOT_ALLOWED, (Control("token-algorithm"), SIGNATURE)),
    12: Row(
        "our public key as an HMAC secret",
        Reason.ALGORITHM_NOT_ALLOWED,
        (Control("token-algorithm"), SIGNATURE),
        "PyJWT",
    ),
    13: Row(
        "another algorithm, with a genuine signature",
        Reason.ALGORITHM_NOT_ALLOWED,
        (Control("token-algorithm"), Control("token-signature", instead.verified_with_any_rsa)),
        Control("key-algorithm"),
        "PyJWT: an RSA key is for no curve",
    ),
    14: Row("the attacker's key under our key's id", Reason.BAD_SIGNATURE, SIGNATURE),
    15: Row("a signature of other bytes, or an empty one", Reason.BAD_SIGNATURE, SIGNATURE),
    16: Row(
        "a key id that is a path, a query or an address", Reason.UNKNOWN_KEY, Control("key-known", instead.any_key)
    ),
    17: Row("a header that says where to fetch the key", Reason.FORBIDDEN_HEADER, Control("token-header-known")),
    18: Row("a header that contains its own key", Reason.FORBIDDEN_HEADER, Control("token-header-known")),
    19: Row(
        "a header that asks for another way of reading the token",
        Reason.FORBIDDEN_HEADER,
        Control("token-header-known"),
    ),
    20: Row("a token of another kind", Reason.WRONG_TYPE, Control("token-type")),
    21: Row(
        "JSON that two parsers would read differently",
        Reason.MALFORMED_TOKEN,
        Control("json-names-unique"),
        "json: one object, in UTF-8",
    ),
    22: Row(
        "claims of the wrong type", Reason.BAD_CLAIM, Control("claims-valid", instead.claims_of_any_type), "pydantic"
    ),
    23: Row("a key that can be guessed or factored", Reason.KEYS_UNAVAILABLE, Control("key-strength")),
    24: Row("a token that is too large", Reason.TOKEN_TOO_LARGE, Control("token-size")),
    25: Row(
        "a deeply nested token",
        Reason.CHAIN_TOO_DEEP,
        Control("chain-depth"),
        (Control("json-size"), Control("chain-depth")),
        "json: one object, in UTF-8",
    ),
    26: Row(
        "a key for another purpose, or one that was removed",
        Reason.UNKNOWN_KEY,
        Control("key-use"),
        Control("key-operations"),
        Control("removed-keys-forgotten", instead.added_to_the_old_keys),
    ),
    # C. issuer, audience, time, claims
    27: Row("a token for one party at another party", Reason.AUDIENCE_MISMATCH, Control("token-audience")),
    28: Row("an audience that is not this party alone", Reason.AUDIENCE_MISMATCH, Control("token-audience")),
    29: Row("a token of another issuer", Reason.ISSUER_MISMATCH, Control("token-issuer")),
    30: Row(
        "an expired token",
        Reason.EXPIRED,
        (Control("token-expiry"), NOT_BEYOND_ITS_LIFE),
        (Control("cached-token-in-time"), NOT_BEYOND_ITS_LIFE),
    ),
    31: Row("a token without a required claim", Reason.BAD_CLAIM, Control("claims-valid", instead.claims_completed)),
    32: Row("a longer lifetime than allowed", Reason.LIFETIME_EXCEEDED, Control("token-lifetime")),
    33: Row(
        "a token before its time; one after its time, with a clock that was set back",
        Reason.NOT_YET_VALID,
        Control("token-not-before"),
        Control("clock-non-decreasing"),
    ),
    34: Row(
        "a subject that is not a single user, or is a party",
        Reason.BAD_CLAIM,
        Control("claims-valid", instead.claims_of_any_subject),
        Control("subject-is-no-party"),
        ONLY_OWN_DRAFTS,
    ),
    35: Row(
        "the latest actor is not the party that the token was issued to",
        Reason.ACTOR_MISMATCH,
        Control("first-actor-is-azp"),
    ),
    413: Row(
        "a token that does not say of which groups the user is",
        Reason.BAD_CLAIM,
        Control("claims-valid", instead.claims_with_groups),
    ),
    127: Row("a token that names two clients", Reason.BAD_CLAIM, Control("client-id-is-azp")),
    # D. replay and theft: the connection is the proof, so there is none that could be recorded and sent again
    36: Row(
        "a stolen token, presented by every other party",
        Reason.NOT_BOUND,
        Control("azp-is-peer"),
        (Control("peer-registered"), Control("azp-is-peer")),
    ),
    37: Row(
        "a workload's token without a certificate, and a user's token over one",
        Reason.NO_CERTIFICATE,
        (Control("certificate-required"), Control("azp-is-peer")),
        Control("certificate-before-public-client", instead.holder_without_a_certificate_first),
    ),
    38: Row(
        "a stolen token over any certificate that a thief can get",
        Reason.NOT_BOUND,
        Control("azp-is-peer"),
        Control("one-spiffe-id"),
        (Control("one-spiffe-id"), Control("peer-registered"), Control("azp-is-peer")),
        "OpenSSL: a certificate, of one authority, and until its end",
    ),
    39: Row(
        "a recorded request is sent again", Reason.NOT_BOUND, Control("azp-is-peer"), "OpenSSL: keys of one connection"
    ),
    40: Row(
        "an impostor at the other end of a connection",
        "a handshake that fails",
        Control("server-is-who-was-called"),
        Control("one-spiffe-id"),
        Control("tls-1-3"),
        "OpenSSL: one authority, one name, and until its end",
    ),
    41: Row(
        "a document changes between the decision and the act",
        Reason.GRANTED,
        Control("document-unchanged-since-decision", instead.same_id),
    ),
    42: Row(
        "a client assertion is used again",
        Reason.EXCHANGE_REFUSED,
        Control("azp-is-peer"),
        "Keycloak: exp and aud, though not within its 60 s",
    ),
    43: Row(
        "an answer is cut off, so that the work is done twice",
        Reason.GRANTED,
        Control("request-sent-once", instead.sent_twice),
    ),
    44: Row(
        "a connection or TLS session that outlives its certificate",
        Reason.CERTIFICATE_ENDED,
        (Control("certificate-not-ended"), NOT_BEYOND_ITS_LIFE),
        (Control("connection-ends-with-certificate"), Control("certificate-not-ended"), NOT_BEYOND_ITS_LIFE),
        (Control("no-tls-tickets"), Control("session-not-resumed")),
    ),
    45: Row(
        "a token in a place where somebody could read it",
        Reason.GRANTED,
        Control("token-not-in-context"),
        Control("tokens-not-recorded", gives_argument(1)),
    ),
    # E. scope and authorisation
    46: Row("a token without the scope of the route", Reason.SCOPE_MISSING, DECIDE, NEEDS_SCOPE),
    47: Row(
        "a token for one tool calls another tool",
        Reason.SCOPE_MISSING,
        DECIDE,
        NEEDS_SCOPE,
        Control("party-may-hold-scope"),
    ),
    48: Row(
        "a tool that no policy knows", Reason.NO_PERMISSION_FOR_ROUTE, Control("tool-known", instead.tool_that_reads)
    ),
    49: Row(
        "a scope that looks almost like the right one",
        Reason.SCOPE_MISSING,
        NEEDS_SCOPE,
        Control("scopes-of-token", instead.split_at_any_space),
        "pydantic",
    ),
    50: Row("a scope that seems to include another one", Reason.SCOPE_MISSING, DECIDE, NEEDS_SCOPE),
    51: Row("a refusal that names a scope to ask for", Reason.GRANTED, ASKS_ONCE),
    52: Row("a party that refuses again and again, to make the caller retry", Reason.GRANTED, ASKS_ONCE),
    53: Row(
        "somebody else's document by its id",
        Reason.RESOURCE_DENIED,
        PERMITTED,
        Control("document-of-own-department"),
        (Control("search-result-permitted", gives_argument(1)), Control("search-own-department", argument(0, DROP))),
    ),
    54: Row("the id of somebody else's task", Reason.NO_PERMISSION_FOR_ROUTE, (Control("route-listed"), DECIDE)),
    55: Row(
        "a list shows what the caller cannot use",
        Reason.NO_PERMISSION_FOR_ROUTE,
        Control("listed-tools-permitted", condition(DROP)),
        DECIDE,
        "a2a-sdk",
    ),
    56: Row(
        "a right that was revoked a moment ago", Reason.REVOKED, STANDS, Control("caller-not-revoked-at-decision", TRUE)
    ),
    57: Row("a parameter names another user", None, BelievesHeaders),
    # F. token exchange and the chain; what is refused there is a refused exchange to our own client, too
    58: Row(
        "an exchange for a scope that the user did not give",
        Reason.EXCHANGE_REFUSED,
        at_keycloak.DOWNSCOPE,
        at_keycloak.DELEGATES,
    ),
    59: Row(
        "an audience that a party may not call; several audiences; none",
        Reason.EXCHANGE_REFUSED,
        at_keycloak.MAY_CALL,
        at_keycloak.ONE_AUDIENCE,
    ),
    255: Row("another party gets a token for the model server", Reason.EXCHANGE_REFUSED, at_keycloak.MAY_CALL),
    60: Row(
        "a longer lifetime than the parent's, or than the party's ceiling",
        None,
        at_keycloak.PARENTS_END,
        at_keycloak.ONLY_SHORTER,
        at_keycloak.MAX_TTL,
    ),
    61: Row(
        "a chain of actors that the requester wrote itself",
        Reason.EXCHANGE_REFUSED,
        at_keycloak.ACTOR,
        at_keycloak.DEAD_FIRST,
        (at_keycloak.OWN_TOKEN, at_keycloak.REPEATED),
        (at_keycloak.NO_SERVICE_ACCOUNTS, at_keycloak.CHAIN_MISSING),
        "Keycloak: signature",
    ),
    62: Row(
        "an exchange for a token of another user",
        Reason.EXCHANGE_REFUSED,
        Control("exchanged-for-same-subject", operand(0, DROP)),
        "Keycloak: no such parameter",
    ),
    63: Row(
        "an exchange of a token that was issued to another party",
        Reason.EXCHANGE_REFUSED,
        "Keycloak: only whom it names",
    ),
    67: Row(
        "an exchange of an expired or revoked token", Reason.EXCHANGE_REFUSED, "Keycloak: exp, session, revoked jti"
    ),
    68: Row("a chain without an end", Reason.EXCHANGE_REFUSED, at_keycloak.TOO_DEEP, at_keycloak.REPEATED),
    69: Row(
        "a chain that loses its earlier actors",
        None,
        at_keycloak.WHOLE_CHAIN,
        at_keycloak.WHOLE_LINEAGE,
        at_keycloak.ROOT,
    ),
    70: Row(
        "rights of an earlier actor",
        Reason.POLICY_DENIED,
        Control("party-may-hold-scope"),
        Control("policy-judges-who-acts", instead.actor_behind),
    ),
    71: Row(
        "an agent does what only a person may do", Reason.RESOURCE_DENIED, PERMITTED, Control("published-in-person")
    ),
    72: Row("a workload's token without an actor", Reason.ACTOR_MISSING, Control("actor-required")),
    73: Row(
        "rights that are written into the chain",
        Reason.SCOPE_MISSING,
        Control("scopes-of-token", instead.scopes_of_the_actor_too),
        Control("groups-of-token", instead.groups_of_the_actor_too),
        "nothing reads it",
    ),
    74: Row(
        "a token that is passed on",
        Reason.AUDIENCE_MISMATCH,
        (Control("token-audience"), Control("party-may-call")),
        (Forwarding, Control("token-audience"), Control("party-may-call")),
    ),
    75: Row(
        "an unknown client, or one without valid authentication",
        Reason.EXCHANGE_REFUSED,
        at_keycloak.NO_SECRETS,
        (at_keycloak.BUILT_IN_DISABLED, at_keycloak.NO_PASSWORD_GRANT),
        "Keycloak: the bundle's keys",
    ),
    76: Row("a request that does not follow RFC 8693", Reason.EXCHANGE_REFUSED, "Keycloak: each parameter once"),
    77: Row(
        "a refresh token in the chain",
        Reason.EXCHANGE_REFUSED,
        at_keycloak.NO_REFRESH_TOKEN,
        "Keycloak: access tokens only",
    ),
    # G. revocation
    81: Row(
        "a revoked token is used again",
        Reason.REVOKED,
        STANDS,
        Control("token-not-revoked"),
        Control("session-not-revoked"),
        Control("user-not-revoked"),
        Control("chain-started-after-revocation"),
        Control("chain-started-after-revocation", condition(instead.issued_before), OF_THE_TOKEN),
    ),
    82: Row(
        "a derived token outlives the revocation of its parent",
        Reason.REVOKED,
        STANDS,
        Control("ancestors-not-revoked"),
        Control("no-exchange-if-revoked"),
    ),
    83: Row(
        "a suspended party continues",
        Reason.REVOKED,
        STANDS,
        Control("peer-not-suspended"),
        Control("acting-parties-not-suspended"),
        Control("acting-parties-not-suspended", instead.client_and_latest_party, LATEST),
        Control("acting-parties-not-suspended", instead.actors_without_the_client, NOT_THE_CLIENT),
        (Control("no-exchange-for-suspended-audience", element(1, DROP)), Control("no-call-to-suspended-peer")),
    ),
    84: Row(
        "the registry or Keycloak falls silent, so that no revocation arrives",
        Reason.REVOCATION_UNKNOWN,
        STANDS,
        Control("revocations-fresh", HOLDS),
        Control("freshness-counts-from-oldest-read", FIRST_TERM),
        Control("gap-ends-freshness"),
        Control("high-risk-introspected"),
        Control("introspection-active"),
    ),
    85: Row(
        "a stream outlives its token",
        Reason.REVOKED,
        Control("answer-has-an-end", argument(0, gives(60))),
        Control("revocation-ends-answer", UNWRAP),
    ),
    389: Row(
        "an agent that is suspended while it is called goes on to answer",
        Reason.PEER_REVOKED,
        Control("suspension-ends-call", UNWRAP),
        Control("stream-of-suspended-peer"),
    ),
    86: Row(
        "an earlier answer of the introspection is used again",
        Reason.REVOKED,
        Control("high-risk-introspected"),
        Control("introspection-not-cached", condition(instead.or_asked_before)),
    ),
    87: Row(
        "a forged answer of the introspection",
        Reason.ISSUER_UNAVAILABLE,
        ASK_FOLLOWS,
        Control("introspection-status", HOLDS),
        "OpenSSL: one authority, one name",
    ),
    88: Row(
        "a caller who is not an operator revokes or reinstates",
        Reason.POLICY_DENIED,
        OPERATOR_IN_PERSON,
        Control("operator-in-group"),
        Control("azp-is-peer"),
        "row 1: gate-admits",
        "row 72: actor-required",
    ),
    89: Row(
        "a party that tries to change its own registration",
        Reason.POLICY_DENIED,
        OPERATOR_IN_PERSON,
        Control("operator-in-group"),
        Control("peer-admitted-by-route"),
        STILL_DRIFTED,
        Control("statement-signer"),
        Control("statement-chain", SKIP),
        Control("state-not-older"),
        "row 1: gate-admits",
        "row 9: route-listed",
        "row 36: azp-is-peer",
        "row 72: actor-required",
        "row 83: caller-not-revoked",
        "row 91: no-change-missed",
        "row 110: statement-certificate-in-time",
        "there is no such party",
        "no line of that kind",
        "pydantic",
    ),
    90: Row(
        "a token issued before the registry removed its right",
        Reason.POLICY_DENIED,
        Control("party-may-hold-scope"),
        Control("party-may-call"),
        Control("new-policy-used", instead.with_the_first_policy),
    ),
    91: Row(
        "forged logout tokens, and forged events on the feed",
        None,
        Control("token-type"),
        Control("logout-token-signature", instead.unverified),
        Control("logout-token-issuer"),
        Control("logout-token-audience"),
        Control("logout-token-event"),
        Control("logout-token-without-nonce"),
        Control("logout-token-age"),
        Control("logout-token-once"),
        Control("statement-signer"),
        Control("statement-chain", SKIP),
        Control("no-change-missed"),
    ),
    # H. attestation
    92: Row("a process that nobody launched", NO_IDENTITY, Control("caller-was-launched", instead.any_launched)),
    93: Row(
        "the identity of another party",
        NO_IDENTITY,
        Control("jwt-svid-for-own-id", instead.id_that_was_asked_for),
        Control("jwt-svid-signature", instead.unverified_claims),
        "PyJWT: the audience",
    ),
    94: Row(
        "code that differs from what was approved",
        NO_IDENTITY,
        (Control("code-as-locked"), Control("code-approved-for-party")),
        Control("code-approved-for-party"),
        Control("code-unchanged-since-launch"),
    ),
    95: Row(
        "a SPIFFE ID that looks almost like a party's",
        Reason.UNKNOWN_PEER,
        (Control("peer-registered"), Control("azp-is-peer")),
        "OpenSSL: one authority",
    ),
    96: Row("code that changes while its party runs", Reason.REVOKED, Control("drift-suspends"), STILL_DRIFTED, STANDS),
    97: Row(
        "a key in a place where somebody could take it",
        "not launched",
        Control("key-never-on-disk", instead.file_on_the_disk),
        Control("launched-once"),
        "the kernel: PR_SET_DUMPABLE",
        "nothing puts it there",
    ),
    # I. MCP
    98: Row(
        "the headers name one tool and the body another",
        Reason.SCOPE_MISSING,
        (
            Control("tool-named-in-body", instead.tool_of_the_headers),
            Control("mcp-era"),
            Control("draft-creation-decided"),
        ),
        "mcp",
    ),
    99: Row(
        "an older revision of the protocol",
        Reason.LEGACY_ERA,
        Control("mcp-era"),
        (Control("mcp-era"), Control("mcp-method-known", instead.method_that_reads)),
        "row 9: route-listed",
    ),
    100: Row(
        "JSON-RPC that is not a request",
        Reason.MALFORMED_BODY,
        Control("mcp-request-id", operand(1, DROP)),
        Control("mcp-method-known", instead.method_that_reads),
        "it names no method, or no tool",
    ),
    101: Row(
        "a web page that found our address",
        Reason.WRONG_HOST,
        Control("mcp-host", instead.any_host),
        "row 1: gate-admits",
    ),
    102: Row(
        "session fixation: a session id of the attacker's choice",
        Reason.LEGACY_ERA,
        (Control("mcp-era"), Control("mcp-stateless")),
        "mcp: ids are its own",
        "nothing reads it",
    ),
    103: Row(
        "injection through the arguments of a tool",
        Reason.GRANTED,
        Control("document-id-is-data", call(1, instead.id_as_sql)),
        Control("search-word-escaped", argument("autoescape", DROP)),
        Control("search-word-printable", operand(1, DROP)),
        "row 53: document-access-decided",
        "row 141: json-size",
        "nothing reads it as more",
        "pydantic",
    ),
    104: Row(
        "a tool whose description differs from the approved one",
        Reason.PEER_UNTRUSTED,
        Control("tool-description-approved"),
    ),
    105: Row("a tool in addition to the approved ones", Reason.PEER_UNTRUSTED, Control("tool-description-approved")),
    106: Row(
        "an agent whose card leads to another address",
        Reason.GRANTED,
        Control("token-for-its-audience"),
        "Connections: origins of the registry",
    ),
    # J. A2A
    109: Row(
        "a card that another party serves",
        Reason.PEER_UNTRUSTED,
        Control("peer-card-checked"),
        Control("card-header"),
        Control("statement-signer"),
        Control("statement-chain", SKIP),
        Control("card-signature"),
        Control("card-digest"),
    ),
    110: Row(
        "an outdated card",
        Reason.PEER_UNTRUSTED,
        Control("card-digest"),
        (Control("statement-certificate-in-time"), Control("statement-chain", SKIP)),
        Control("card-remembered-until-its-end", gives(2.0**40)),
        Control("card-remembered-by-content", instead.remembered_of_any_content),
    ),
    111: Row(
        "a card with additional members",
        Reason.PEER_UNTRUSTED,
        Control("card-digest"),
        (Control("card-signature"), Control("card-digest")),
    ),
    112: Row(
        "an agent that offers an older version or another binding",
        Reason.PEER_UNTRUSTED,
        (
            Control("card-digest"),
            Control("peer-address-from-registry", instead.card_as_served),
            Control("token-for-its-audience"),
        ),
        "a2a-sdk",
    ),
    113: Row("somebody else's task", Reason.GRANTED, KEEPS_NO_TASK),
    114: Row(
        "somebody else's conversation",
        Reason.GRANTED,
        Control("no-conversation-kept", call(2, instead.with_what_was_said)),
    ),
    115: Row(
        "a webhook address that is to be told about a task",
        Reason.GRANTED,
        (
            KEEPS_NO_TASK,
            Control("card-offers-no-push", with_arguments(push_notifications=True)),
            Control("no-push-notifications", instead.with_notifications),
        ),
    ),
    116: Row(
        "an agent that asks for a token in its answer",
        Reason.GRANTED,
        Control("reply-is-message"),
        "row 1: gate-admits",
        "nothing gives one out",
    ),
    117: Row(
        "an agent whose answer is more than text",
        Reason.GRANTED,
        Control("reply-is-message"),
        (Control("answer-size"), Control("agent-answer-bounded")),
        ONLY_OWN_DRAFTS,
        "nothing fetches it",
    ),
    118: Row(
        "the same attack through another binding",
        Reason.NO_PERMISSION_FOR_ROUTE,
        (
            Control("one-a2a-binding", instead.with_rest),
            Control("served-routes-listed"),
            Control("exact-path-first"),
            Control("route-listed"),
            DECIDE,
        ),
    ),
    # K. keys and metadata
    119: Row("a flood of unknown key ids", Reason.UNKNOWN_KEY, Control("key-set-cooldown")),
    120: Row(
        "an answer that sends a service to another address",
        Reason.GRANTED,
        ASK_FOLLOWS,
        (Control("request-sent-once", instead.sent_wherever_it_leads), Control("token-for-its-audience")),
    ),
    121: Row("another issuer, named in metadata or in a token", Reason.ISSUER_MISMATCH, Control("token-issuer")),
    122: Row(
        "an invalid key set",
        Reason.KEYS_UNAVAILABLE,
        Control("every-key-usable"),
        Control("key-strength"),
        Control("answer-size"),
        Control("key-set-status", HOLDS),
        "PyJWT",
    ),
    # L. the model
    189: Row(
        "metadata of another issuer, or with endpoints elsewhere",
        Reason.ISSUER_UNTRUSTED,
        Control("metadata-issuer"),
        Control("endpoints-at-issuer"),
        "Connections: origins of the registry",
    ),
    123: Row(
        "a document gives orders to the model",
        Reason.RESOURCE_DENIED,
        PERMITTED,
        Control("document-of-own-department"),
        ONLY_OWN_DRAFTS,
        "row 48: tool-known",
    ),
    124: Row(
        "a model that asks for more than its agent may do",
        Reason.RESOURCE_DENIED,
        PERMITTED,
        Control("document-of-own-department"),
        (DECIDE, Control("draft-creation-decided")),
        "row 48: tool-known",
    ),
    126: Row(
        "what one task leaves behind for another",
        Reason.GRANTED,
        Control("messages-of-one-task", instead.messages_of_every_task),
        Control("exchange-cached-by-token", element(0, DROP)),
        Control("token-cached-by-digest", gives(b"")),
    ),
    128: Row("a text that costs the model much time", Reason.GRANTED, Control("orders-bounded", gives_argument(0))),
    221: Row(
        "two operators revoke each other at the same moment, so that nobody can reinstate them",
        Reason.REVOKED,
        Control("revoked-operator-revokes-nobody", SKIP),
    ),
    270: Row(
        "another account of the machine reads the `state` of an operator's sign-in in a browser's arguments",
        "not there",
        Control("sign-in-address-in-file", instead.opened_by_its_address),
    ),
    271: Row(
        "an answer of the issuer that sends an operator to another site with a code",
        "not shown",
        Control("device-page-at-issuer"),
    ),
    # Y. The audit log, and exports of it
    310: Row(
        "a ledger that was restored from a backup goes on with another history",
        "nothing is published, and the ledger says why",
        (Control("witness-signs-next"), Control("witness-signs-continued")),
    ),
    311: Row(
        "a second ledger runs on a copy of the data, with the same key",
        "nothing is published, and the ledger says why",
        Control("witness-signs-continued"),
    ),
    312: Row(
        "a log of one's own, in the name of the ledger's, is offered to the registry with the ledger's certificate",
        "403",
        Control("log-key-pinned", FAILS),
    ),
    313: Row(
        "records at the end of the log are rewritten on the ledger's disk, with all hashes there",
        "nothing is published, and the ledger says why",
        (Control("log-as-signed"), Control("witness-signs-continued")),
    ),
    314: Row(
        "whoever owns the ledger's database leads a search to another record",
        "the right record: the index is made again",
        Control("index-not-believed"),
    ),
    390: Row(
        "a caller's text with ends of lines, terminal codes and marks that turn text round, which a record repeats",
        Reason.NO_PERMISSION_FOR_ROUTE,
        Control("text-escaped", instead.unescaped),
    ),
    391: Row(
        "a caller acts while the journal cannot be written: its disk is full when the call comes in, or from then on",
        Reason.JOURNAL_UNAVAILABLE,
        Control("recorded-before-served"),
        Control("no-act-without-record", SKIP),
    ),
    386: Row(
        "further witnesses answer their cosignature again and again, until no reader takes the checkpoint",
        "the log goes on, with one of each",
        (Control("one-of-each-witness", WHOLE), Control("checkpoint-has-room")),
    ),
    320: Row(
        "an export with a record changed, removed, moved, inserted or repeated, or with its end cut off",
        "the first one is named, and the export is at fault",
        (Control("leaf-as-signed"), Control("leaves-followed")),
    ),
    321: Row(
        "an export without the first records, where all were asked for",
        "truncated, the export is at fault",
        Control("export-begins-where-expected"),
    ),
    322: Row(
        "an export with records behind the last one",
        "inserted or duplicated, the export is at fault",
        Control("nothing-after-the-last-leaf"),
    ),
    323: Row(
        "an export of another history, which the log signed and its witness did not",
        "unsigned, the export is at fault",
        Control("witnesses-enough"),
    ),
    324: Row(
        "an export of a log of one's own, in the names of the right log and of its witness",
        "unsigned, the export is at fault",
        (Control("log-signature"), Control("cosignature")),
    ),
    325: Row(
        "an export of another log under the right checkpoint",
        "forked, the export is at fault",
        Control("hashes-as-signed"),
    ),
    326: Row(
        "a log, signed and cosigned, with two records of one number, or with one that does not continue its journal",
        "forked, the log is at fault; changed, the service is at fault",
        Control("record-continues-its-journal"),
    ),
    327: Row(
        "a log that leaves out the last records of a journal, signed and cosigned",
        "missing or changed, the log is at fault",
        Control("heads-compared"),
        Control("heads-at-the-end"),
    ),
    328: Row(
        "an older state of the log, or another history, signed and cosigned, for a reader who has cosigned the log",
        "truncated or forked, the export is at fault",
        Control("log-not-older-than-cosigned"),
        Control("log-as-cosigned"),
    ),
    329: Row(
        "a journal that was changed after its records were delivered",
        "changed, the service is at fault",
        Control("journal-as-delivered"),
    ),
    # Z. Receipts
    330: Row(
        "a party that leaves out of its receipt whom it called, also in another trace",
        "step 10, and the party",
        (Control("log-call-on-receipt", GO_ON), Control("log-exchange-on-receipt", GO_ON)),
    ),
    331: Row("a receipt that is not passed on", "step 5, and who has called", Control("receipts-complete", PASS_OVER)),
    332: Row("a party that is said to have given no receipt", "step 5, and the party", Control("receipt-needed")),
    333: Row(
        "a genuine receipt of a party that nobody has called", "step 5, and the party", Control("no-extra-receipt")
    ),
    334: Row(
        "a receipt of another transaction, or of another call of the same party",
        "step 6, and the party",
        Control("receipt-fits-its-call", SKIP),
    ),
    335: Row(
        "a party that alters the answer of another, or says to have asked something else",
        "step 7, and the party",
        Control("receipt-answer"),
        Control("receipt-request"),
    ),
    336: Row(
        "the receipts of another answer, of another request or of another transaction",
        "step 4",
        Control("answer-is-mine"),
        Control("request-is-mine"),
        Control("transaction-is-mine"),
    ),
    337: Row(
        "a statement of another kind, with a genuine signature, in the place of a receipt",
        "step 1",
        Control("receipt-kind", instead.certificates_of_any_kind),
    ),
    338: Row(
        "a key that was stolen signs after its certificate has ended, with an earlier time",
        "step 3, and the party",
        Control("receipt-in-time"),
        Control("receipt-within-its-caller", SKIP),
        Control("task-not-too-long"),
    ),
    339: Row(
        "a proof from a tree that no witness has seen, or of another record",
        "step 3",
        (Control("witnesses-enough"), Control("receipt-seen", instead.time_of_the_receipt)),
        Control("receipt-named-by-leaf"),
    ),
    340: Row(
        "a receipt with a certificate of the attacker's own authority, or with a genuine one without its key",
        "step 2, and the party",
        Control("statement-chain", SKIP),
        Control("receipt-signature"),
    ),
    341: Row("a receipt with a member twice", "step 1", Control("receipt-canonical")),
    342: Row(
        "a genuine party that ran code which was not approved, or did what it does not serve",
        "step 8, and the party",
        Control("receipt-code"),
        Control("receipt-permission"),
    ),
    343: Row(
        "a genuine party that the client does not accept", "step 9, and the party", Control("receipt-signer-accepted")
    ),
    344: Row(
        "a party that is no front door answers the client itself, with a whole tree of its own",
        "step 9, and the party",
        Control("receipt-front-door"),
    ),
    375: Row(
        "a party sends receipts without end, or junk beside its own, so that none of others fits or is believed",
        "its own are left out",
        Control("receipts-room-shared", instead.share_of_the_latest_call),
        Control("receipts-named"),
    ),
    376: Row(
        "an export that ends before all calls of the task can be on record, or is made while a journal waits for its "
        "share at the ledger, so that a late one is in no receipt",
        "not complete",
        Control("export-not-too-early", operand(2, DROP), "its end"),
        Control("export-not-too-early", operand(1, DROP), "late journals"),
    ),
    395: Row(
        "an agent that answers so much that its caller's answer has no room for receipts",
        "its answer is not taken, and the task has receipts",
        Control("agent-answer-bounded"),
    ),
    396: Row(
        "a party that records that another one's journal is late, so that a call that it hides accuses nobody",
        "step 10, and the party",
        Control("sent-away-says-the-ledger", HOLDS),
    ),
    392: Row(
        "a party that says of a call that it belongs to another answer of the same sign-in, or to one without receipts",
        "step 10, or not complete",
        Control("log-call-on-receipt", operand(2, instead.in_the_same_trace)),
        Control("call-belongs-by-lineage", operand(0, DROP), "its token"),
        Control("call-belongs-by-lineage", operand(2, DROP), "its receipt"),
    ),
    393: Row(
        "a record that the log takes and no reader can read, or with a name that imitates another part of a record",
        "nothing is stopped, or the record is not taken",
        Control("only-what-has-a-trace", operand(1, DROP)),
        Control("delivered-names-have-a-form"),
    ),
    394: Row(
        "a party that records refusals without end, dated earlier, so that a genuine one is not explained",
        "explained",
        Control("explained-by-shares", gives_argument(0)),
    ),
    346: Row(
        "a token exchanged behind a party's back, by an intruder inside it",
        "an alarm names the party and the token",
        (Control("issued-exchange-journalled"), Control("silent-journal-noticed", FAILS)),
        Control("silent-journal-noticed", FAILS),
        _BY_PARTY,
    ),
    347: Row(
        "an exchange in a journal that the issuer never made",
        "an alarm names the party and the token",
        Control("journalled-exchange-issued"),
        Control("issuer-told-by-registry"),
    ),
    377: Row(
        "a party that records an exchange under a name which no record may have, so that the alarm about it silences "
        "the ledger's own journal",
        "what has no form is not recorded",
        (Control("alarm-names-an-id"), Control("alarm-is-a-record")),
    ),
    400: Row(
        "a party that invents exchanges until another party's are forgotten, so that this one is accused",
        "an alarm names the party and the token",
        _BY_PARTY,
    ),
    401: Row(
        "a record of a time to come, so that each later exchange of its party is an alarm before its journal is there",
        None,
        Control("no-time-after-delivery"),
    ),
    402: Row(
        "a party that invents exchanges until another alarm is one among thousands",
        "one record has the number of the others",
        Control("alarms-of-a-cause-counted", HOLDS),
    ),
    378: Row(
        "a party that records an alarm itself, so that the ledger does not raise it after a restart",
        "an alarm names the party and the token",
        Control("alarm-of-the-ledger", HOLDS),
    ),
    # Y. Journals on their way to the audit log
    300: Row(
        "a party delivers records in another's name", AuditReason.JOURNAL_OF_ANOTHER, Control("journal-of-the-caller")
    ),
    301: Row("a party delivers the same records again", None, Control("delivered-once", WHOLE)),
    302: Row(
        "a party rewrites its journal after delivery, and goes on",
        AuditReason.JOURNAL_CHANGED,
        Control("journal-goes-on-from-the-log", TRUE),
    ),
    303: Row(
        "a workload that the registry does not know delivers a journal",
        Reason.UNKNOWN_PEER,
        (Control("peer-registered"), Control("peer-admitted-by-route")),
    ),
    304: Row(
        "parties deliver more than the log takes at the time, until the ledger has no memory left",
        AuditReason.JOURNAL_BUSY,
        Control("deliveries-bounded"),
    ),
    403: Row(
        "a party delivers valid records without end, until the ledger's disk is full",
        AuditReason.JOURNAL_TOO_FAST,
        Control("deliveries-of-a-party-bounded"),
    ),
    305: Row(
        "a party delivers what is refused, again and again, so that its refusals fill the ledger's disk",
        AuditReason.JOURNAL_OF_ANOTHER,
        Control("alarms-bounded", operand(1, DROP)),
    ),
    306: Row(
        "a party reads the log's key through the door of the log's files",
        AuditReason.NOT_IN_THE_LOG,
        Control("only-the-log-is-read"),
    ),
    379: Row(
        "a party delivers records whose callers have chains without end, which cost whoever reads them",
        AuditReason.JOURNAL_MALFORMED,
        Control("delivered-chain-bounded"),
    ),
    388: Row(
        "a party delivers an alarm that withdraws one of the audit authority, or what only another authority says",
        AuditReason.JOURNAL_OF_ANOTHER,
        Control("authorities-words-their-own"),
    ),
    373: Row(
        "a thief of the ledger acknowledges records that it never publishes, so that parties delete them",
        "nothing is deleted",
        Control("deleted-when-proven", instead.checkpoint_alone),
        Control("witnesses-enough"),
    ),
    374: Row(
        "a thief of the ledger and of the registry shows a party another history, so that it deletes its own records",
        "nothing is deleted",
        Control("deleted-log-continues"),
    ),
    # M. another process of the same user
    130: Row(
        "a process of the same user that reads the authority's memory, or opened it at its start",
        "not closed",
        (Control("process-replaced"), Control("process-closed"), Control("issuer-in-closed-process")),
    ),
    131: Row(
        "a certificate with a long lifetime, signed by the authority's own key",
        Reason.PEER_UNTRUSTED,
        Control("certificate-lifetime"),
        Control("statement-certificate-lifetime"),
    ),
    132: Row(
        "a JWT-SVID with a long lifetime, signed by the authority's own key",
        Reason.EXCHANGE_REFUSED,
        Control("jwt-svid-lifetime"),
        at_keycloak.ASSERTION_AGE,
    ),
    133: Row(
        "Keycloak's passwords in its arguments, variables or memory",
        None,
        Control("interpreter-unreadable", argument(1, gives(493))),
        Control("keycloak-password-not-in-arguments", instead.password_as_argument),
    ),
    134: Row(
        "a password or a token among the arguments of a typed command",
        None,
        Control("secrets-not-in-arguments", instead.token_as_argument, "the token"),
        Control("secrets-not-in-arguments", instead.password_typed, "the password"),
    ),
    # N. what is started is what was signed
    135: Row(
        "a module planted in the project's folder",
        None,
        Control("own-packages-only"),
        "scripts/run (-I, -B, -X pycache_prefix)",
    ),
    136: Row("another Keycloak, or another Java, in the cache", None, Control("runtime-as-pinned", instead.fetched)),
    137: Row(
        "a changed build of Keycloak, a changed script or a theme in Keycloak's folder",
        None,
        Control("keycloak-build-measured", element(-1, DROP)),
        Control("keycloak-home-cleared", condition(instead.of_the_distribution)),
    ),
    138: Row("a changed package, a changed file or another key in a signed release", None, "git verify-tag"),
    # O. what one caller costs the others at a door
    140: Row(
        "a body that is costly to read, from a user without rights",
        Reason.POLICY_DENIED,
        _DECIDED_FIRST,
        (_DECIDED_FIRST, Control("json-size")),
    ),
    141: Row(
        "a body that is costly to read, from a user with rights",
        Reason.MALFORMED_BODY,
        Control("json-size"),
        (Control("body-size"), Control("content-length")),
        (Control("json-size"), Control("body-size"), Control("content-length")),
    ),
    142: Row(
        "one party or one user opens connections until nobody else gets one",
        None,
        (Control("connections-of-own-party", operand(1, DROP)), _MOST_GIVES_WAY),
        _MOST_GIVES_WAY,
    ),
    143: Row(
        "one user's tasks, until there is no capacity for others", Reason.TOO_MANY_REQUESTS, Control("calls-per-user")
    ),
    144: Row("refusals, until the disk is full", Reason.POLICY_DENIED, Control("repeated-calls-only-counted", FALSE)),
    145: Row("unfinished handshakes at a service", None, Control("handshakes-bounded")),
    146: Row(
        "a public route, called so often that nobody else in that process is served", None, Control("requests-by-turns")
    ),
    147: Row(
        "silent connections at the endpoint of attestation's public keys", None, Control("silent-connections-bounded")
    ),
    148: Row("unfinished handshakes at that endpoint", None, Control("handshakes-bounded")),
    149: Row(
        "a caller that occupies that endpoint, so that nobody gets the keys",
        None,
        Control("oldest-handshake-ends", instead.newest_closed),
        "row 147: silent-connections-bounded",
        "what is no handshake is ended",
    ),
    # P. revocation as a weapon
    150: Row(
        "a user revokes their own tokens without end",
        None,
        Control("own-revocations-bounded"),
        Control("chain-started-after-revocation"),
    ),
    151: Row(
        "revoked tokens that are kept long after they expired",
        None,
        Control("expired-revocations-dropped", gives([])),
        Control("follower-drops-expired-revocations"),
    ),
    152: Row(
        "an agent revokes its tokens, so that its users lose their other work",
        None,
        Control("revoked-for-its-client", argument(1, DROP)),
    ),
    153: Row("a party follows the registry on hundreds of streams", None, Control("streams-per-party")),
    154: Row("a party reconnects to the registry's feed again and again", None, Control("follows-by-turns")),
    155: Row(
        "a suspended party continues to follow the registry",
        None,
        Control("suspension-ends-stream"),
        Control("suspended-party-may-not-follow", operand(1, DROP)),
    ),
    156: Row(
        "a party follows the registry and reads nothing", None, Control("follower-queue-bounded", argument(0, DROP))
    ),
    157: Row(
        "the state of revocations, with a part left out",
        None,
        Control("state-parts-in-order"),
        Control("state-complete", HOLDS),
    ),
    158: Row("an event for another trust domain", None, Control("event-audience")),
    159: Row(
        "an agent ends its user's session, with an ID token that it got by exchange",
        Reason.GRANTED,
        at_keycloak.NAMES_NO_SESSION,
    ),
    # Q. what a restart forgets, and what nobody hears
    160: Row(
        "a password changed in a way that Keycloak does not record",
        None,
        Control("user-change-ends-sessions", element(1, DROP)),
    ),
    161: Row(
        "cleared events, so that nobody finds a user's sessions",
        None,
        (Control("cleared-events-noticed"), Control("cleared-events-end-sessions", gives(("before", "0")))),
    ),
    162: Row(
        "a second factor is removed, and the session continues",
        None,
        Control("credential-removed-ends-sessions", FAILS),
    ),
    163: Row(
        "a restart reinstates a suspended party or user", None, Control("restart-repeats-suspensions", gives(set()))
    ),
    165: Row("a restart deletes records", None, Control("journals-kept", instead.emptied)),
    164: Row("strangers fill Keycloak's database with refusals", "invalid_client", at_keycloak.NO_ERROR_EVENTS),
    # R. text between departments, and text without an end
    170: Row(
        "text of one department is filed in another",
        Reason.POLICY_DENIED,
        Control("one-department"),
        (
            Control("one-department"),
            Control("department-named"),
            Control("token-for-one-department", argument("department", DROP)),
        ),
    ),
    171: Row("an operator of no department runs a task", Reason.POLICY_DENIED, Control("user-has-department")),
    172: Row(
        "an agent asks the realm for another department",
        Reason.EXCHANGE_REFUSED,
        at_keycloak.OWN_DEPARTMENT,
        at_keycloak.FEWER_GROUPS,
    ),
    173: Row("a draft that is too long for anybody to read", Reason.GRANTED, Control("document-size")),
    174: Row("drafts without end, until nobody has space", Reason.GRANTED, Control("drafts-bounded")),
    175: Row(
        "documents that crowd others out of a search",
        Reason.GRANTED,
        Control("search-own-department", argument(0, DROP)),
        Control("search-published-first", element(0, instead.negated)),
        Control("search-results-bounded", instead.unordered_and_unlimited),
        Control("search-owners-by-turns", gives(0)),
        Control("search-own-drafts", call(1, argument(1, DROP))),
    ),
    176: Row(
        "the receipt of a refusal, or its record, reveals which documents exist",
        Reason.RESOURCE_DENIED,
        Control("absent-document-decided", instead.is_absent),
    ),
    411: Row(
        "a report orders an agent to copy the user's own restricted document into a draft for the department",
        Reason.RESOURCE_DENIED,
        Control("restricted-in-person"),
    ),
    414: Row(
        "the words of a refusal reveal which documents exist",
        Reason.RESOURCE_DENIED,
        Control("unreadable-document-unnamed", condition(instead.is_there)),
    ),
    177: Row("drafts that together are too long for a task", Reason.GRANTED, Control("task-text-bounded")),
    178: Row("a model that asks for too many calls at once", Reason.GRANTED, Control("tool-calls-bounded")),
    179: Row(
        "drafts in a user's name, so that the user can never file again",
        Reason.GRANTED,
        Control("full-store-names-drafts", gives("")),
        Control("failure-keeps-cause", instead.as_long_as_before),
    ),
    # S. operators, terminals, sessions
    180: Row("wrong passwords lock out the real user", "access_denied", at_keycloak.NO_LOCK_OUT),
    181: Row("a session of a killed `zt` command continues", None, at_keycloak.SHORT_REFRESH_TOKEN),
    182: Row(
        "a cause with terminal control characters, listed by zt",
        None,
        Control("terminal-text-escaped", instead.as_it_came),
    ),
    183: Row(
        "a document whose markup ends the walkthrough",
        None,
        (
            Control("progress-without-markup", instead.printed_as_markup),
            Control("terminal-without-markup", with_arguments(markup=True)),
        ),
    ),
    387: Row(
        "a party records calls with others' tokens, so that records of others seem to be about somebody else's calls",
        None,
        Control("branch-as-claimed", instead.id_alone),
        Control("foreign-record-named", FALSE),
    ),
    184: Row(
        "a revocation whose name has terminal control characters",
        Reason.MALFORMED_BODY,
        Control("names-printable"),
    ),
    185: Row("a user changes their own credentials", None, at_keycloak.NO_REQUIRED_ACTIONS),
    188: Row(
        "a link that makes a signed-in browser send a code to an attacker's listener",
        "the password is asked for",
        at_keycloak.ASKS_EACH_TIME,
    ),
    412: Row(
        "another person's link, after which an operator only types the password",
        "confirmation is asked for",
        at_keycloak.CONFIRMED,
        at_keycloak.CONFIRMED_EACH_TIME,
    ),
    222: Row(
        "the stolen code of an operator's sign-in, without the verifier; a sign-in link without a challenge",
        Reason.EXCHANGE_REFUSED,
        at_keycloak.PKCE,
    ),
    223: Row(
        "another person's code, or one of another issuer, is sent to zt's listener",
        "zt waits on, or ends",
        Control("redirect-state"),
        Control("redirect-issuer"),
    ),
    224: Row(
        "a device code for a client without that grant, which a user is tricked into confirming",
        Reason.EXCHANGE_REFUSED,
        at_keycloak.DEVICE_GRANT,
    ),
    # M. another process of the same user
    186: Row(
        "a process of the same user that writes to the authority's process while it checks the installed files",
        "not opened",
        Control("process-closed-before-checks"),
    ),
    187: Row(
        "a variable that makes the authority's process load code through an OpenSSL configuration",
        None,
        Control("environment-loads-no-code", condition(DROP)),
    ),
    # T. the registry's feed
    190: Row(
        "an older version of the policies or of the registry, sent again",
        None,
        Control("topic-not-older"),
        (Control("topic-not-older"), Control("policy-not-older")),
    ),
    191: Row("stricter policies that never reach a party", None, Control("topics-as-announced")),
    192: Row("policies that a party signs itself", None, Control("statement-signer")),
    193: Row(
        "policies that are changed on the registry's disk",
        None,
        "authorities/registry/published.py: read at the start alone, and verified as if brought (350, 356)",
    ),
    350: Row("policies that the registry writes itself", None, Control("statement-signer")),
    351: Row("a registry that names itself as the policy authority", None, Control("registry-writes-no-policy")),
    352: Row("older policies, as news of the registry", None, Control("policy-not-older")),
    353: Row("policies for another trust domain", None, Control("bundle-audience")),
    354: Row("policies that outlive the certificate that signed them", None, Control("bundle-life")),
    355: Row("policies of which nothing was heard any more", Reason.POLICY_EXPIRED, Control("policy-lives", TRUE)),
    356: Row(
        "older policies, brought to the registry again", RegistryReason.POLICY_OLDER, Control("kept-policy-not-older")
    ),
    357: Row(
        "somebody else brings policies to the registry",
        None,
        Control("statement-signer"),
        Control("peer-admitted-by-route"),
        (Control("statement-signer"), Control("peer-admitted-by-route")),
    ),
    358: Row(
        "a caller who is not an operator works on the policies",
        Reason.POLICY_DENIED,
        (Control("policy-operator-in-group"), Control("policy-operator-in-person")),
        Control("policy-operator-in-group"),
        Control("azp-is-peer"),
        "row 1: gate-admits",
    ),
    360: Row(
        "an operator activates policies by which agents do what people may",
        PolicyReason.POLICY_UNFIT,
        Control("activated-as-tested"),
    ),
    361: Row(
        "an operator activates over a version that they have not seen",
        PolicyReason.POLICY_MOVED,
        Control("activated-as-compared"),
    ),
    380: Row(
        "an operator activates two files of which each, read alone, says what is right, and both together do not",
        PolicyReason.POLICY_UNFIT,
        (Control("each-file-is-cedar"), Control("signed-text-judged", instead.files_that_are_cedar)),
    ),
    381: Row(
        "an operator activates policies that end the process that reads them, behind a quote that another file opens",
        PolicyReason.POLICY_UNFIT,
        Control("bounded-where-parsed"),
    ),
    382: Row(
        "an operator activates a rule that people read otherwise than Cedar: other ends of lines, invisible marks",
        PolicyReason.POLICY_UNFIT,
        Control("policies-printable"),
    ),
    383: Row(
        "an operator rolls back a version that another one has activated meanwhile",
        PolicyReason.POLICY_MOVED,
        Control("activated-as-compared"),
    ),
    384: Row(
        "an operator activates a rule with a name in which a letter only looks like the one that people read",
        PolicyReason.POLICY_UNFIT,
        Control("policies-ascii"),
    ),
    385: Row(
        "an operator activates policies with rows of the decision table that people see and the rules are not asked",
        PolicyReason.POLICY_UNFIT,
        Control("table-without-html"),
        Control("table-cells-plain"),
        Control("table-names-once"),
        "a row begins with a bar",
    ),
    362: Row(
        "policies that the registry has refused stay in force at their authority",
        PolicyReason.POLICY_UNFIT,
        Control("refused-version-withdrawn"),
    ),
    410: Row(
        "a version of the policies that nobody activated, planted beside a signed release or unfit to be published",
        "the last version on record, or policies/, is in force",
        Control("kept-version-recorded", HOLDS),
        Control("kept-version-tested", gives([])),
    ),
    363: Row("a damaged version brings an older one back", None, Control("newest-version-whole")),
    418: Row("a version whose file was deleted brings an older one back", None, Control("newest-version-there")),
    364: Row("two versions of the policies with one number", None, Control("numbers-used-once")),
    # U. what can be registered besides: a web console, and a server outside
    195: Row(
        "a console's token with another party, or without a certificate",
        Reason.NOT_BOUND,
        Control("azp-is-peer"),
        Control("certificate-before-public-client", instead.initiating_client_first),
    ),
    196: Row(
        "a console's token at a party that it may not call",
        Reason.ACTOR_MISSING,
        (Control("actor-required"), Control("party-may-call")),
    ),
    197: Row("another party connects to the server outside", None, Control("outside-for-one-party", condition(DROP))),
    198: Row("an impostor answers for the server outside", None, Control("outside-key-pinned")),
    199: Row("our token is sent to the server outside", Reason.WOULD_WIDEN, Control("token-for-its-audience")),
    251: Row(
        "a token for another audience is sent to the model server",
        Reason.WOULD_WIDEN,
        Control("token-for-its-audience"),
    ),
    252: Row(
        "another party has a token for the model server, and calls it",
        None,
        Control("outside-for-one-party", condition(DROP)),
    ),
    253: Row(
        "a model server that an operator has suspended is called",
        Reason.PEER_REVOKED,
        Control("no-call-to-suspended-peer"),
    ),
    254: Row(
        "a model server shows a token that it got to a party", Reason.AUDIENCE_MISMATCH, Control("token-audience")
    ),
    208: Row("a registry that was edited and not approved", "not served", Control("registry-as-approved")),
    209: Row(
        "policies that are nested so deeply that their parser ends the process",
        "not started",
        Control("policy-depth"),
        Control("policy-path"),
    ),
    # V. containers
    200: Row(
        "a process beside the main one of a container: docker exec, a fork",
        NO_IDENTITY,
        Control("main-process-of-container"),
    ),
    201: Row(
        "a container with more rights",
        NO_IDENTITY,
        Control("container-without-capabilities"),
        Control("container-no-new-privileges"),
        Control("container-seccomp"),
        Control("container-not-root", FAILS),
    ),
    202: Row(
        "a container that could change what it runs",
        NO_IDENTITY,
        Control("container-root-read-only"),
        Control("container-root-overlay"),
        Control("container-nothing-mounted", SKIP),
        Control("container-mount-options"),
    ),
    203: Row(
        "an approved image that runs something else, or with other settings",
        NO_IDENTITY,
        Control("container-command"),
        Control("container-environment"),
        Control("container-once-set"),
        Control("container-settings", FAILS),
    ),
    204: Row(
        "an image with an additional file, or another image",
        NO_IDENTITY,
        Control("container-as-built"),
        (Control("container-code", instead.any_image), Control("container-as-built")),
    ),
    205: Row("a second container of a running party", NO_IDENTITY, Control("container-once")),
    206: Row("a party is registered with the code of another one", "not started", Control("images-differ")),
    207: Row("the trust domain's keys are where others can read them", "not started", Control("kept-keys-private")),
    220: Row(
        "a container's file changes while attestation has no descriptor left to notice it",
        NO_IDENTITY,
        Control("unknown-gets-no-certificate"),
    ),
    426: Row(
        "a container whose search path for programs (PATH) is another one",
        NO_IDENTITY,
        Control("container-settings", FAILS),
    ),
    427: Row(
        "a container whose hosts file leads the registry's name elsewhere (extra_hosts)",
        NO_IDENTITY,
        Control("container-hosts"),
    ),
    428: Row(
        "a folder of the machine, or a file system of another kind, in the place of a container's own mount",
        NO_IDENTITY,
        Control("container-mount-kind"),
        Control("container-mount-options"),
        Control("container-kept-by-docker"),
    ),
    # X. services that a stranger builds with the library
    210: Row(
        "a path with a control character, which the router takes for another path",
        Reason.MALFORMED_PATH,
        (Control("path-characters"), Control("first-route-that-matches", condition(instead.route_of_its_spelling))),
    ),
    211: Row(
        "a route that is in no row of the table, under a template that is in one",
        "not started",
        (Control("served-routes-listed"), Control("first-route-that-matches", condition(instead.route_with_a_row))),
    ),
    212: Row("a service that serves its app without the gate", "not started", Control("gate-served")),
    213: Row("a handler that ignores the decision about a resource", Reason.POLICY_ERROR, Control("denial-raised")),
    366: Row(
        "a handler that forgets to await a decision that is made elsewhere", Reason.FAILED, Control("decision-awaited")
    ),
    367: Row("a decision point that answers something like a yes", Reason.POLICY_ERROR, Control("decision-boolean")),
    368: Row(
        "a decision point whose yes comes with an error or a redirect", Reason.POLICY_ERROR, Control("decision-status")
    ),
    369: Row(
        "a decision point that permits a scope which the token lacks",
        Reason.SCOPE_MISSING,
        Control("scope-held-before-asking"),
    ),
    370: Row(
        "a right that is revoked while a decision point is asked about it",
        Reason.REVOKED,
        Control("caller-not-revoked-when-decided", HOLDS),
    ),
    230: Row(
        "a compromised agent that calls the model without end, with genuine tokens of one task",
        ModelReason.BUDGET_SPENT,
        Control("model-calls-bounded"),
        Control("model-tokens-bounded"),
    ),
    231: Row(
        "a model that asks for the same call again and again: to file, to read, and a refused one",
        Reason.GRANTED,
        Control("nothing-done-twice"),
        Control("same-call-bounded"),
        Control("idle-replies-bounded"),
    ),
    232: Row(
        "half a reply of a model, or of a model server, which asks to file an unfinished text",
        None,
        Control("nothing-done-for-half-a-reply"),
        Control("half-a-reply-stays-half", argument(0, gives("stop"))),
    ),
    233: Row(
        "a model that uses tokens without end, and whose server misreports them",
        Reason.GRANTED,
        Control("task-tokens-bounded"),
        Control("task-tokens-at-least", gives_argument(0)),
    ),
    234: Row(
        "a reply of a model that is huge or costly to read, with a call of a tool in it",
        None,
        Control("answer-size"),
        Control("answer-elements"),
    ),
    261: Row(
        "a compromised agent that hides what it asks the model in descriptions of tools and arguments of calls",
        ModelReason.BUDGET_SPENT,
        Control("model-tokens-at-least", gives_argument(0)),
    ),
    262: Row(
        "a model server that says that one call used all tokens of the sign-in",
        Reason.GRANTED,
        Control("model-tokens-at-most", gives_argument(0)),
    ),
    263: Row(
        "a compromised agent that holds all connections to the model server",
        ModelReason.MODEL_BUSY,
        Control("model-connections-shared", FAILS),
    ),
    # W. what the answer of a compromised party costs its caller
    215: Row(
        "cookies in an agent's answer, which make the calls of other users too large", None, Control("no-cookies")
    ),
    216: Row(
        "an agent's answer that is costly to read: tiny pieces, very many elements, interim answers",
        None,
        Control("answer-pieces"),
        Control("answer-elements"),
        Control("answer-no-stream"),
        Control("answer-head"),
    ),
    217: Row(
        "a compressed answer of a server outside, which expands a thousandfold",
        None,
        (Control("answer-uncompressed"), Control("answer-size")),
    ),
    218: Row(
        "TLS key updates without end, or data byte by byte, from a stranger",
        None,
        Control("records-without-data"),
        Control("records-for-their-data"),
    ),
    219: Row(
        "one user's tasks over a console, until its other users are refused",
        Reason.TOO_MANY_REQUESTS,
        Control("calls-per-person", HOLDS),
    ),
    260: Row("a text in an answer that names a codec which is costly to decode", None, Control("answer-charset")),
    240: Row(
        "a stream of a model server that is costly to read: without end, or of very many elements",
        None,
        Control("stream-bounded"),
        Control("stream-line-ends"),
        Control("stream-event-elements"),
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
a variant of it. A control of our own code has the id that a comment gives it there (`# control: azp-is-peer`). Without
a control, at least one in two of the tries that it is about succeeds; `make attacks` prints how many. What is not taken
away in a row is named in words; if these begin with the number of a row, that row takes it away."""


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
