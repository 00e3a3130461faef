"""What the attacked code does where a control is missing: expressions and functions, each with how it gets there.

`hooks.py` has how.  What `calls` takes has the called function first, then its arguments; keyword-only parameters are
local variables there.  All others have local variables as parameters; `was` is the value that is replaced.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import sqlalchemy
from a2a.server.routes import create_rest_routes
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import BaseModel

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
    code,
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
from zerotrust.routes import Public, Route
from zerotrust.tlog.checkpoint import checkpoint_of
from zerotrust.transport import requests

Call = Callable[..., Any]


def opens_links(opens: Call, file: Path, flags: int) -> Any:
    return opens(file, flags & ~os.O_NOFOLLOW)


def no_turns() -> Any:
    return nullcontext(), nullcontext()


HOOKS: dict[str, Hook] = {
    "absent-document-decided": unless("found is None"),
    "acting-parties-not-suspended (the latest party alone)": gives(
        code("[('party', principal.client), ('party', principal.party)]")
    ),
    "acting-parties-not-suspended (without the client)": gives(
        code("[('party', party) for party in principal.actors or (principal.party,)]")
    ),
    "alarm-of-the-ledger": HOLDS,
    "alarms-bounded": operand(1, DROP),
    "alarms-by-party": index(gives("")),
    "alarms-of-a-cause-counted": HOLDS,
    "answer-ends-with-token": gives(60.0),
    "answers-bounded": operand(2, DROP),
    "answer-has-an-end": argument(0, gives(60)),
    "approval-line-escaped": argument(0, gives(code("line"))),
    "authorization-header-alone": condition(
        gives(
            code("was or name in {b'x-forwarded-access-token', b'x-forwarded-authorization', b'proxy-authorization'}")
        )
    ),
    "branch-as-claimed": gives(code("token.token_id")),
    "call-belongs-by-lineage (its receipt)": operand(2, DROP),
    "call-belongs-by-lineage (its token)": operand(0, DROP),
    "caller-not-revoked-at-decision": TRUE,
    "caller-not-revoked-when-decided": HOLDS,
    "caller-was-launched": sets("launched", "launched or self.running[0]"),
    "calls-per-person": HOLDS,
    "card-offers-no-push": with_arguments(push_notifications=True),
    "card-remembered-until-its-end": gives(2.0**40),
    "certificate-before-public-client": gives(
        code("principal.party if principal.party in expected.without_certificate else peer.id")
    ),
    "certificate-before-public-client (of initiating clients)": gives(
        code("principal.party if principal.party in expected.initiating_clients else peer.id")
    ),
    "chain-started-after-revocation (by the time of the token)": condition(gives(code("principal.issued_at <= until"))),
    "cleared-events-end-sessions": gives(("before", "0")),
    "codes-at-once-bounded": gives(no_turns),
    "codes-by-network": gives(code("host")),
    "codes-room-for-others": gives(10),
    "connection-ends-with-certificate": operand(0, DROP),
    "connections-of-own-party": operand(1, DROP),
    "container-code": returns(code("self._images[0]")),
    "container-not-root": FAILS,
    "container-nothing-mounted": SKIP,
    "container-settings": FAILS,
    "credential-removed-ends-sessions": FAILS,
    "cosigned-by-a-quorum": condition(DROP),
    "delivered-once": WHOLE,
    "details-for-operators": gives(""),
    "drift-of-all-nodes": call(0, gives(code("{*[*self._reports][-1:]}"))),
    "early-by-party": index(gives("everybody")),
    "exchange-cached-by-token": element(0, DROP),
    "exchanged-for-same-subject": operand(0, DROP),
    "exchanges-by-party": index(gives("everybody")),
    "expired-revocations-dropped": gives([]),
    "explained-by-shares": gives_argument(0),
    "export-not-too-early (its end)": operand(2, DROP),
    "export-not-too-early (late journals)": operand(1, DROP),
    "failed-calls-cost": gives(0),
    "failure-keeps-cause": gives(code("f'{what}: {cause}'[: len(was)]")),
    "first-route-that-matches (by its spelling)": condition(
        gives(code("was and ('{' in it.path or it.path == scope['path'])"))
    ),
    "first-route-that-matches (with a row)": condition(gives(code("was and (scope['method'], it.path) in self._rows"))),
    "follower-queue-bounded": argument(0, DROP),
    "foreign-record-named": FALSE,
    "freshness-counts-from-oldest-read": FIRST_TERM,
    "full-store-names-drafts": gives(""),
    "half-a-reply-stays-half": argument(0, gives("stop")),
    "header-holds-one-receipt": operand(2, DROP),
    "interpreter-unreadable": argument(1, gives(0o755)),
    "introspection-status": HOLDS,
    "issuer-not-redirected": call(1, with_arguments(follow_redirects=True)),
    "journal-goes-on-from-the-log": TRUE,
    "jwt-svid-for-own-id": sets("spiffe_id", "request.spiffe_id or spiffe_id"),
    "kept-sign-in-no-link": calls(opens_links),
    "kept-version-tested": gives([]),
    "key-known": returns(code("next(iter(self._keys.values()))")),
    "key-set-status": HOLDS,
    "keycloak-build-measured": element(-1, DROP),
    "keycloak-home-cleared": condition(gives(code("e.name in {'lib', 'conf', 'providers', 'data'}"))),
    "keycloak-password-not-in-arguments": gives(code("f'--bootstrap-admin-password={self.admin[1]}'")),
    "listed-as-permitted": gives(code("tasks.owners")),
    "listed-tools-permitted": condition(DROP),
    "log-call-on-receipt": GO_ON,
    "log-call-on-receipt (in the same trace)": operand(
        2, gives(code("key[1].trace_id in {other[1].trace_id for other in others}"))
    ),
    "log-exchange-on-receipt": GO_ON,
    "log-key-pinned": FAILS,
    "mcp-request-id": operand(1, DROP),
    "model-connections-shared": FAILS,
    "model-tokens-at-least": gives_argument(0),
    "model-tokens-at-most": gives_argument(0),
    "most-connections-give-way": element(0, DROP),
    "no-act-without-record": SKIP,
    "node-from-certificate": returns("local"),
    "no-exchange-for-suspended-audience": element(1, DROP),
    "nothing-left-out-later": HOLDS,
    "numbers-used-once": gives(code("recorded.number")),
    "oldest-handshake-ends": returns(code("connection.close()")),
    "one-of-each-witness": WHOLE,
    "operates-at-its-authorities": gives(code("registry.operating")),
    "operator-signs-in-again": gives(code("session.operator or session.principal")),
    "orders-bounded": gives_argument(0),
    "outside-for-one-party": condition(DROP),
    "policy-judges-who-acts": gives(
        code("was | {'id': (principal.actors[1:] or principal.actors or (principal.party,))[0]}")
    ),
    "policy-lives": TRUE,
    "possession-proven": returns(None),
    "receipt-fits-its-call": SKIP,
    "receipt-of-one-call": PASS_OVER,
    "receipt-seen": sets("at", "root.receipt.iat if at is None else at"),
    "receipt-within-its-caller": SKIP,
    "receipts-complete": PASS_OVER,
    "refusal-detail-hidden": gives(code("was | {'reason': refusal.reason}")),
    "reinstated-still-without-drift": operand(1, DROP),
    "removed-keys-forgotten": gives(code("self._keys | was")),
    "repeated-calls-only-counted": FALSE,
    "restart-repeats-suspensions": gives(set()),
    "revocation-ends-answer": UNWRAP,
    "revocations-fresh": HOLDS,
    "revoked-for-its-client": argument(1, DROP),
    "revoked-operator-revokes-nobody": SKIP,
    "runtime-as-pinned": gives(code("place.exists()")),
    "search-own-department": argument(0, DROP),
    "search-own-drafts": call(1, argument(1, DROP)),
    "search-owners-by-turns": gives(0),
    "search-published-first": element(0, gives(code("~was"))),
    "search-result-permitted": gives_argument(1),
    "search-word-escaped": argument("autoescape", DROP),
    "search-word-printable": operand(1, DROP),
    "sent-away-says-the-ledger": HOLDS,
    "share-of-an-owner": gives(code("next(iter(self._sizes))")),
    "silent-journal-noticed": FAILS,
    "span-method-known": gives(code("method")),
    "span-route-listed": gives(code("target")),
    "span-tool-approved": gives(code("tool")),
    "state-complete": HOLDS,
    "statement-chain": SKIP,
    "stream-ends-with-session": operand(1, DROP),
    "suspended-party-may-not-follow": operand(1, DROP),
    "suspension-ends-call": UNWRAP,
    "terminal-text-escaped": gives(code("text")),
    "terminal-without-markup": with_arguments(markup=True),
    "token-cached-by-digest": gives(b""),
    "token-for-one-department": argument("department", DROP),
    "token-only-from-header": gives(code("call.scope['query_string'].decode().removeprefix('access_token=')")),
    "tokens-not-recorded": gives_argument(1),
    "tool-named-in-body": gives(code("dict(headers)[b'mcp-name'].decode()")),
    "unreadable-document-unnamed": condition(gives(code("found"))),
    "user-change-ends-sessions": element(1, DROP),
}
"""What happens in the place of a control, where it is not just deleted: below where that needs a function.
Where that can be one of several things, a few words in brackets after the control's id say which."""


def at(
    how: Callable[[Any], Hook], *controls: str, where: Callable[[Hook], Hook] = lambda hook: hook
) -> Callable[[Call], Call]:
    """Have a function happen in the place of these controls: how, and where in the statement."""

    def put(function: Call) -> Call:
        HOOKS.update(dict.fromkeys(controls, where(how(function))))
        return function

    return put


# Credentials and tokens


@at(returns, "policy-decides")
def granted() -> Decision:
    return Decision(allowed=True, reason=Reason.GRANTED)


@at(calls, "header-holds-one-token")
def last_word(partition: Any, _separator: bytes, *, scheme: bytes) -> tuple[bytes, bytes, bytes]:
    return scheme, b"", partition.__self__.split()[-1]


@at(calls, "unlisted-route-closed")
def open_route(get: Call, key: object, _unlisted: Route) -> Route:
    return get(key, Route("", Public()))  # type: ignore[no-any-return]


@at(calls, "proof-signature", "token-signature")
def unverified(_decode: Call, token: str, *_: object, **_how: object) -> bytes:
    return jwt.PyJWS().decode(token, options={"verify_signature": False})  # type: ignore[no-any-return]


@at(calls, "logout-token-signature")
def unsigned_claims(_claims: Call, token: str, _key: object, kind: type[BaseModel]) -> BaseModel:
    return kind.model_validate(jwt.decode(token, options={"verify_signature": False}))


@at(calls, "token-signature (any RSA)")
def verified_with_any_rsa(_decode: Call, token: str, key: Any, **_how: object) -> bytes:
    return jwt.PyJWS().decode(token, key, algorithms=["RS256", "RS384", "RS512", "PS256", "PS512"])  # type: ignore[no-any-return]


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


# Calls of others


@at(calls, "request-sent-once (the test adds a retry)")
async def sent_twice(sending: Call, request: Any, **options: Any) -> Any:
    return await weak.send_twice(sending, request, options)


@at(calls, "request-sent-once (sent wherever it leads)")
async def sent_wherever_it_leads(sending: Call, request: Any, **options: Any) -> Any:
    return await sending(request, **options | {"follow_redirects": True})


@at(gives, "step-asked-once (the test adds a retry)")
async def asked_with_more_scopes(service: Any, step: Any, text: Any, token: Any) -> Any:
    return await weak.ask_agent(service, step, text, token)


@at(gives, "peer-address-from-registry (the test adds the address of the card)")
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


@at(gives, "introspection-not-cached", where=condition)
def or_asked_before(was: bool, self: Any, caller: Any) -> bool:
    said: set[str] = vars(self).setdefault("said", set())
    known = caller.token_id in said
    said.add(caller.token_id)
    return was or known


@at(gives, "new-policy-used")
def with_the_first_policy(was: tuple[Any, Any], self: Any) -> tuple[Any, Any]:
    expected, _ = was
    return expected, self.policy


@at(gives, "decided-before-body", where=condition)
async def after_the_body(was: Any, call: Any) -> Any:
    return await requests.read_json_body(call.scope["headers"], call.receive, most=1 << 20) and was


@at(calls, "tool-known")
def tool_that_reads(get: Call, tool: str) -> Any:
    return get(tool, "tool.read")


@at(calls, "mcp-method-known")
def method_that_reads(need: Call, _permissions: object, method: str, _reason: object) -> Any:
    return need(("tool.read",), method)


@at(calls, "mcp-host")
def any_host(settings: Call, **_how: object) -> TransportSecuritySettings:
    return settings(enable_dns_rebinding_protection=False)  # type: ignore[no-any-return]


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


# Attestation, registry, keys


@at(calls, "key-never-on-disk")
def file_on_the_disk(_create: Call, *_how: object) -> int:
    return tempfile.mkstemp()[0]


@at(calls, "journals-kept")
def emptied(open_: Call, path: Path, flags: int, mode: int) -> int:
    return open_(path, flags | os.O_TRUNC, mode)  # type: ignore[no-any-return]


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


@at(gives, "progress-without-markup")
def printed_as_markup(was: Any, text: Any) -> Any:
    program.console.print(text)
    return was


# Receipts and the audit log


@at(calls, "deleted-when-proven")
def checkpoint_alone(check: Any, *_given: object) -> tuple[Any, None]:
    return checkpoint_of(check.__self__.checkpoint), None


@at(calls, "receipt-kind")
def certificates_of_any_kind(certificates: Call, statement: str, **_how: object) -> Any:
    return certificates(statement, kind=jwt.get_unverified_header(statement)["typ"])


@at(calls, "receipts-room-shared")
def share_of_the_latest_call(_max: Call, shares: Iterable[Any], **_how: object) -> Any:
    return max((one for one in shares if one.calls), key=lambda one: one.calls[-1].number)
