"""What the attacked code does where a control is missing: functions, each with how it comes into the place of code.

`hooks.py` has how they get there.  What `calls` takes has the called function first, then its arguments;
keyword-only parameters are local variables there.  All others have local variables as parameters; `was` is the value
that is replaced.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import sqlalchemy
from a2a.server.routes import create_rest_routes
from mcp.server.transport_security import TransportSecuritySettings

from lab import weak
from lab.without import Hook
from start import program
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
    calls,
    condition,
    element,
    gives,
    gives_argument,
    index,
    operand,
    returns,
    sets,
    unless,
    with_arguments,
)
from tests.support.system import CHAIN
from zerotrust.decision import Decision, Reason
from zerotrust.identity import UnverifiedToken
from zerotrust.routes import Public, Route
from zerotrust.tlog.checkpoint import checkpoint_of
from zerotrust.transport import requests

Call = Callable[..., Any]


def all_owners(tasks: Any) -> Any:
    return tasks.owners


def first_holder(self: Any) -> Any:
    return next(iter(self.of))


def any_token(session: Any) -> Any:
    return session.operator or session.tokens.principal


HOOKS: dict[str, Hook] = {
    "alarm-of-the-ledger": HOLDS,
    "alarms-bounded": operand(1, DROP),
    "alarms-of-a-cause-counted": HOLDS,
    "answer-ends-with-token": gives(60.0),
    "answer-has-an-end": argument(0, gives(60)),
    "call-belongs-by-lineage (its receipt)": operand(2, DROP),
    "call-belongs-by-lineage (its token)": operand(0, DROP),
    "caller-not-revoked-at-decision": TRUE,
    "caller-not-revoked-when-decided": HOLDS,
    "calls-per-person": HOLDS,
    "card-offers-no-push": with_arguments(push_notifications=True),
    "card-remembered-until-its-end": gives(2.0**40),
    "cleared-events-end-sessions": gives(("before", "0")),
    "connections-of-own-party": operand(1, DROP),
    "connection-ends-with-certificate": operand(0, DROP),
    "container-not-root": FAILS,
    "container-nothing-mounted": SKIP,
    "container-settings": FAILS,
    "credential-removed-ends-sessions": FAILS,
    "delivered-once": WHOLE,
    "environment-loads-no-code": condition(DROP),
    "exchange-cached-by-token": element(0, DROP),
    "exchanged-for-same-subject": operand(0, DROP),
    "exchanges-by-party": index(gives("everybody")),
    "expired-revocations-dropped": gives([]),
    "explained-by-shares": gives_argument(0),
    "export-not-too-early (its end)": operand(2, DROP),
    "export-not-too-early (late journals)": operand(1, DROP),
    "failed-calls-cost": gives(0),
    "follower-queue-bounded": argument(0, DROP),
    "foreign-record-named": FALSE,
    "freshness-counts-from-oldest-read": FIRST_TERM,
    "full-store-names-drafts": gives(""),
    "half-a-reply-stays-half": argument(0, gives("stop")),
    "interpreter-unreadable": argument(1, gives(0o755)),
    "introspection-status": HOLDS,
    "header-holds-one-receipt": operand(2, DROP),
    "issuer-not-redirected": call(1, with_arguments(follow_redirects=True)),
    "journal-goes-on-from-the-log": TRUE,
    "kept-version-recorded": HOLDS,
    "kept-version-tested": gives([]),
    "key-set-status": HOLDS,
    "keycloak-build-measured": element(-1, DROP),
    "listed-as-permitted": gives(all_owners),
    "listed-tools-permitted": condition(DROP),
    "log-call-on-receipt": GO_ON,
    "log-exchange-on-receipt": GO_ON,
    "log-key-pinned": FAILS,
    "mcp-request-id": operand(1, DROP),
    "model-connections-shared": FAILS,
    "model-tokens-at-least": gives_argument(0),
    "model-tokens-at-most": gives_argument(0),
    "most-connections-give-way": element(0, DROP),
    "no-act-without-record": SKIP,
    "no-exchange-for-suspended-audience": element(1, DROP),
    "one-of-each-witness": WHOLE,
    "operator-signs-in-again": gives(any_token),
    "orders-bounded": gives_argument(0),
    "outside-for-one-party": condition(DROP),
    "policy-lives": TRUE,
    "receipt-fits-its-call": SKIP,
    "receipt-of-one-call": PASS_OVER,
    "receipt-within-its-caller": SKIP,
    "receipts-complete": PASS_OVER,
    "reinstated-still-without-drift": operand(1, DROP),
    "repeated-calls-only-counted": FALSE,
    "restart-repeats-suspensions": gives(set()),
    "revocation-ends-answer": UNWRAP,
    "revocations-fresh": HOLDS,
    "revoked-for-its-client": argument(1, DROP),
    "revoked-operator-revokes-nobody": SKIP,
    "search-own-department": argument(0, DROP),
    "search-own-drafts": call(1, argument(1, DROP)),
    "search-owners-by-turns": gives(0),
    "search-result-permitted": gives_argument(1),
    "share-of-an-owner": gives(first_holder),
    "search-word-escaped": argument("autoescape", DROP),
    "search-word-printable": operand(1, DROP),
    "sent-away-says-the-ledger": HOLDS,
    "silent-journal-noticed": FAILS,
    "state-complete": HOLDS,
    "statement-chain": SKIP,
    "stream-ends-with-session": operand(1, DROP),
    "suspended-party-may-not-follow": operand(1, DROP),
    "suspension-ends-call": UNWRAP,
    "task-tokens-at-least": gives_argument(0),
    "terminal-without-markup": with_arguments(markup=True),
    "token-cached-by-digest": gives(b""),
    "token-for-one-department": argument("department", DROP),
    "tokens-not-recorded": gives_argument(1),
    "user-change-ends-sessions": element(1, DROP),
}
"""What happens in the place of a control, where it is not just deleted: here without a function, and below with one.
Where that can be one of several things, a few words in brackets after the control's id say which."""


def at(
    how: Callable[[Any], Hook], *controls: str, where: Callable[[Hook], Hook] | None = None
) -> Callable[[Any], Hook]:
    """Have a function happen in the place of these controls: how, and where in the statement."""

    def put(function: Any) -> Hook:
        hook = how(function)
        HOOKS.update(dict.fromkeys(controls, where(hook) if where else hook))
        return hook

    return put


# Credentials and tokens


@at(returns, "policy-decides")
def granted() -> Decision:
    return Decision(allowed=True, reason=Reason.GRANTED)


@at(gives, "token-only-from-header")
def token_of_the_query(call: Any) -> UnverifiedToken:
    return UnverifiedToken(call.scope["query_string"].decode().removeprefix("access_token="))


@at(calls, "header-holds-one-token")
def last_word(partition: Any, _separator: bytes, *, scheme: bytes) -> tuple[bytes, bytes, bytes]:
    return scheme, b"", partition.__self__.split()[-1]


@at(gives, "authorization-header-alone", where=condition)
def also_from_a_proxy(was: bool, name: bytes) -> bool:
    return was or name in {b"x-forwarded-access-token", b"x-forwarded-authorization", b"proxy-authorization"}


@at(returns, "possession-proven")
def unproven() -> None:
    """The step ends here, as if a proof had been found right."""


@at(calls, "unlisted-route-closed")
def open_route(get: Call, key: object, _unlisted: Route) -> Route:
    return get(key, Route("", Public()))  # type: ignore[no-any-return]


@at(gives, "refusal-detail-hidden")
def with_its_own_reason(was: dict[str, Any], refusal: Any) -> dict[str, Any]:
    return was | {"reason": refusal.reason}


@at(calls, "logout-token-signature", "proof-signature", "token-signature")
def unverified(_decode: Call, token: str, *_: object, **_how: object) -> bytes:
    return jwt.PyJWS().decode(token, options={"verify_signature": False})  # type: ignore[no-any-return]


@at(calls, "jwt-svid-signature")
def unverified_claims(_decode: Call, token: str, *_: object, **_how: object) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


@at(calls, "token-signature (any RSA)")
def verified_with_any_rsa(_decode: Call, token: str, key: Any, **_how: object) -> bytes:
    return jwt.PyJWS().decode(token, key, algorithms=["RS256", "RS384", "RS512", "PS256", "PS512"])  # type: ignore[no-any-return]


@at(returns, "key-known")
def any_key(self: Any) -> Any:
    return next(iter(self._keys.values()))


@at(gives, "removed-keys-forgotten")
def added_to_the_old_keys(was: dict[str, Any], self: Any) -> dict[str, Any]:
    return dict(self._keys | was)


@at(calls, "claims-valid (of any type)")
def claims_of_any_type(validate: Call, claims: object) -> Any:
    return validate(claims, strict=False)


@at(calls, "claims-valid (completed)")
def claims_completed(validate: Call, claims: dict[str, Any]) -> Any:
    now = int(time.time())
    clients = {"azp": claims.get("client_id"), "client_id": claims.get("azp")}
    return validate({"sub": "-", "sid": "-", "jti": "-", "iat": now, "exp": now + 60} | clients | claims)


@at(calls, "claims-valid (of any subject)")
def claims_of_any_subject(validate: Call, claims: dict[str, Any]) -> Any:
    subject = ascii(claims["sub"]).replace(" ", "_")  # records can hold that
    return validate(claims | {"sub": "anybody"}).model_copy(update={"sub": subject})


@at(calls, "claims-valid (with groups)")
def claims_with_groups(validate: Call, claims: dict[str, Any]) -> Any:
    return validate({"groups": []} | claims)


@at(calls, "scopes-of-token")
def split_at_any_space(_set: Call, words: Iterable[str]) -> frozenset[str]:
    return frozenset(" ".join(words).split())


@at(gives, "scopes-of-token (the actor's too)")
def scopes_of_the_actor_too(claims: Any) -> frozenset[str]:
    return frozenset(f"{claims.scope} {(getattr(claims, CHAIN) or {}).get('scope', '')}".split(" ")) - {""}


@at(gives, "groups-of-token")
def groups_of_the_actor_too(claims: Any) -> frozenset[str]:
    return frozenset([*claims.groups, *(getattr(claims, CHAIN) or {}).get("groups", [])])


@at(gives, "certificate-before-public-client")
def holder_without_a_certificate_first(principal: Any, expected: Any, peer: Any) -> Any:
    return principal.party if principal.party in expected.without_certificate else peer.id


@at(gives, "certificate-before-public-client (of initiating clients)")
def initiating_client_first(principal: Any, expected: Any, peer: Any) -> Any:
    return principal.party if principal.party in expected.initiating_clients else peer.id


# Calls of others


@at(calls, "request-sent-once")
async def sent_twice(sending: Call, request: Any, **options: Any) -> Any:
    return await weak.send_twice(sending, request, options)


@at(calls, "request-sent-once (sent wherever it leads)")
async def sent_wherever_it_leads(sending: Call, request: Any, **options: Any) -> Any:
    return await sending(request, **options | {"follow_redirects": True})


@at(gives, "step-asked-once")
async def asked_with_more_scopes(service: Any, step: Any, text: Any, token: Any) -> Any:
    return await weak.ask_agent(service, step, text, token)


@at(gives, "peer-address-from-registry")
async def card_as_served(service: Any, name: str) -> Any:
    return await weak.card_of(service, name)


@at(calls, "card-remembered-by-content")
def remembered_of_any_content(get: Any, good: tuple[Any, ...], default: float) -> float:
    return max((until for (known, *_), until in get.__self__.items() if known == good[0]), default=default)


@at(gives, "no-task-kept")
def kept_task(context: Any, parts: Any) -> Any:
    return weak.as_task(context, parts)


@at(calls, "no-conversation-kept", where=partial(call, 2))
def with_what_was_said(get_user_input: Any, *, self: Any) -> str:
    return weak.with_history(self, get_user_input.__self__)


@at(calls, "no-push-notifications")
def with_notifications(handler: Call, *, service: Any, **how: Any) -> Any:
    return handler(**how, **weak.push_options(service))


@at(calls, "one-a2a-binding")
def with_rest(add: Call, app: Any, *, handler: Any, **routes: Any) -> None:
    add(app, **routes, rest_routes=create_rest_routes(handler))


@at(gives, "messages-of-one-task")
def messages_of_every_task(was: list[Any], model: Any) -> list[Any]:
    said: list[Any] = vars(model).setdefault("said", [])
    said += was
    return said


# Decisions


@at(gives, "policy-judges-who-acts")
def actor_behind(was: dict[str, str], principal: Any) -> dict[str, str]:
    behind = principal.actors[1:] or principal.actors or (principal.party,)
    return was | {"id": behind[0]}


@at(gives, "chain-started-after-revocation (by the time of the token)", where=condition)
def issued_before(principal: Any, until: int) -> bool:
    return bool(principal.issued_at <= until)


@at(gives, "acting-parties-not-suspended (the latest party alone)")
def client_and_latest_party(principal: Any) -> list[tuple[str, str]]:
    return [("party", party) for party in (principal.client, principal.party)]


@at(gives, "acting-parties-not-suspended (without the client)")
def actors_without_the_client(principal: Any) -> list[tuple[str, str]]:
    return [("party", party) for party in (principal.actors or (principal.party,))]


@at(gives, "introspection-not-cached", where=condition)
def or_asked_before(was: bool, self: Any, caller: Any) -> bool:
    said: set[str] = vars(self).setdefault("said", set())
    known = caller.token_id in said
    said.add(caller.token_id)
    return was or known


@at(gives, "new-policy-used")
def with_the_first_policy(was: tuple[Any, Any, Any], self: Any) -> tuple[Any, Any, Any]:
    expected, _, cache = was
    return expected, self.policy, cache


@at(gives, "decided-before-body", where=condition)
async def after_the_body(was: Any, call: Any) -> Any:
    return await requests.read_json_body(call.scope["headers"], call.receive, most=1 << 20) and was


@at(gives, "tool-named-in-body")
def tool_of_the_headers(headers: Sequence[tuple[bytes, bytes]]) -> str:
    return dict(headers)[b"mcp-name"].decode()


@at(calls, "tool-known")
def tool_that_reads(get: Call, tool: str) -> Any:
    return get(tool, "tool.read")


@at(calls, "mcp-method-known")
def method_that_reads(need: Call, _permissions: object, method: str, _reason: object) -> Any:
    return need(("tool.read",), method)


@at(calls, "mcp-host")
def any_host(settings: Call, **_how: object) -> TransportSecuritySettings:
    return settings(enable_dns_rebinding_protection=False)  # type: ignore[no-any-return]


@at(gives, "first-route-that-matches (by its spelling)", where=condition)
def route_of_its_spelling(was: bool, it: Any, scope: Mapping[str, Any]) -> bool:
    return was and ("{" in it.path or it.path == scope["path"])


@at(gives, "first-route-that-matches (with a row)", where=condition)
def route_with_a_row(was: bool, it: Any, scope: Mapping[str, Any], self: Any) -> bool:
    return was and (scope["method"], it.path) in self._rows


# Documents


@at(calls, "document-unchanged-since-decision")
def same_id(_all: Call, *conditions: Any) -> Any:
    return next(one for one in conditions if one.left.name == "id")


@at(calls, "document-id-is-data", where=partial(call, 1))
def id_as_sql(execute: Call, statement: Any, _parameters: Any, *, name: str) -> Any:
    return execute(sqlalchemy.select(*statement.selected_columns).where(sqlalchemy.text(f"id = '{name}'")))


@at(calls, "search-results-bounded")
def unordered_and_unlimited(execute: Call, statement: Any) -> Any:
    return execute(statement.order_by(None).limit(None))


@at(gives, "search-published-first", where=partial(element, 0))
def negated(was: Any) -> Any:
    return sqlalchemy.not_(was)


@at(unless, "absent-document-decided")
def is_absent(found: object) -> bool:
    return found is None


@at(gives, "unreadable-document-unnamed", where=condition)
def is_there(found: object) -> bool:
    return bool(found)


@at(gives, "failure-keeps-cause")
def as_long_as_before(was: str, what: str, cause: str) -> str:
    return f"{what}: {cause}"[: len(was)]


# Attestation, registry, keys


@at(sets, "caller-was-launched")
def any_launched(launched: Any, self: Any) -> Any:
    return launched or self.running[0]


@at(sets, "jwt-svid-for-own-id")
def id_that_was_asked_for(spiffe_id: str, request: Any) -> str:
    return request.spiffe_id or spiffe_id


@at(returns, "container-code")
def any_image(self: Any) -> Any:
    return self._images[0]


@at(calls, "key-never-on-disk")
def file_on_the_disk(_create: Call, *_how: object) -> int:
    return tempfile.mkstemp()[0]


@at(calls, "journals-kept")
def emptied(open_: Call, path: Path, flags: int, mode: int) -> int:
    return open_(path, flags | os.O_TRUNC, mode)  # type: ignore[no-any-return]


@at(returns, "oldest-handshake-ends")
def newest_closed(connection: Any) -> None:
    connection.close()


@at(gives, "runtime-as-pinned")
def fetched(place: Path) -> bool:
    return place.exists()


@at(gives, "keycloak-home-cleared", where=condition)
def of_the_distribution(e: Path) -> bool:
    return e.name in ("lib", "conf", "providers", "data")


@at(gives, "keycloak-password-not-in-arguments")
def password_as_argument(self: Any) -> str:
    return f"--bootstrap-admin-password={self.admin[1]}"


@at(calls, "secrets-not-in-arguments (the token)")
def token_as_argument(format_: Any, **values: str) -> str:
    return str(format_.__self__.replace('<<< "$TOKEN"', '"$TOKEN"').format(**values))


@at(calls, "secrets-not-in-arguments (the password)")
def password_typed(format_: Any, **values: str) -> str:
    return str(format_.__self__.replace("alice <<<", "alice --password").format(**values))


@at(calls, "signed-text-judged")
def files_that_are_cedar(rules_of: Call, _signed: str, *, content: Any, places: list[str]) -> Any:
    return rules_of(
        "\n".join(content.policies[name] for name in dict.fromkeys(one.partition(",")[0] for one in places))
    )


# What is shown


@at(calls, "sign-in-address-in-file")
def opened_by_its_address(opened: Call, _page: object, *, address: str) -> Any:
    return opened(address)


@at(calls, "text-escaped")
def unescaped(text: Call, escaped: str) -> Any:
    return text(escaped.encode().decode("unicode_escape"))


@at(gives, "terminal-text-escaped")
def as_it_came(text: str) -> str:
    return text


@at(gives, "progress-without-markup")
def printed_as_markup(was: Any, text: Any) -> Any:
    program.console.print(text)
    return was


@at(gives, "branch-as-claimed")
def id_alone(token: Any) -> Any:
    return token.token_id


# Receipts and the audit log


@at(calls, "deleted-when-proven")
def checkpoint_alone(check: Any, *_given: object) -> tuple[Any, None]:
    return checkpoint_of(check.__self__.checkpoint), None


@at(calls, "receipt-kind")
def certificates_of_any_kind(_certificates: Call, statement: str, **_how: object) -> Any:
    return jwt.get_unverified_header(statement)["x5c"]


@at(sets, "receipt-seen")
def time_of_the_receipt(at: Any, root: Any) -> Any:
    return root.receipt.iat if at is None else at


@at(calls, "receipts-room-shared")
def share_of_the_latest_call(_max: Call, shares: Iterable[Any], **_how: object) -> Any:
    return max((one for one in shares if one.calls), key=lambda one: one.calls[-1].number)


@at(gives, "log-call-on-receipt (in the same trace)", where=partial(operand, 2))
def in_the_same_trace(key: Any, others: Any) -> bool:
    return key[1].trace_id in {other[1].trace_id for other in others}


# Traces


@at(gives, "span-method-known")
def method_as_sent(method: str) -> str:
    return method


@at(gives, "span-route-listed")
def path_as_sent(target: str) -> str:
    return target


@at(gives, "span-tool-approved")
def tool_as_named(tool: str) -> str:
    return tool
