"""The realm without one control, for the lab only.

A control of the realm is a setting of Keycloak, or a line of one of our scripts.  `weaken(realm, control)` is the same
realm without it, for a Keycloak that has `LAB_SCRIPT` built in.
"""

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.without import NoSuchControl
from registration.realm.script import SCRIPT

LAB_SCRIPT = Path(__file__).with_name("realm.js")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RealmControl:
    """A control of the realm, and how to remove it."""

    where: str
    remove: Callable[[Json], None]

    def __str__(self) -> str:
        return self.where


def weaken(derived: Json, *controls: RealmControl) -> Json:
    """Return a realm without these controls.  Raises `NoSuchControl`."""
    realm = deepcopy(derived)
    for control in controls:
        control.remove(realm)
    return realm


def _script(take: str, put: str = "", *, where: str | None = None, script: Path = SCRIPT) -> RealmControl:
    """Return the control that is a piece of the script of a scope, named by the message that it throws."""
    where = where or re.findall(r'"([^"]+)"', take)[-1]

    def remove(realm: Json) -> None:
        attributes = realm.setdefault("attributes", {})
        attributes.setdefault("script", script.read_text())
        if (times := attributes["script"].count(take)) != 1:
            raise NoSuchControl(f"{script.name}: {take!r} occurs {times} times")
        attributes["script"] = attributes["script"].replace(take, put)
        (scope,) = (scope for scope in realm["clientScopes"] if scope["name"] == script.stem)
        scope["protocolMappers"][0]["protocolMapper"] = f"script-{LAB_SCRIPT.name}"

    return RealmControl(f"{script.name}: {where}", remove)


def _without_executor(name: str) -> RealmControl:
    def remove(realm: Json) -> None:
        (profile,) = realm["clientProfiles"]["profiles"]
        profile["executors"] = [executor for executor in profile["executors"] if executor["executor"] != name]

    return RealmControl(f"realm: {name}", remove)


def _setting(where: str, objects: Callable[[Json], list[Json]], values: Json) -> RealmControl:
    """Return the control that is a setting of these objects of a realm; None removes the setting."""

    def remove(realm: Json) -> None:
        for one in objects(realm):
            one.update(values)
            for key in [key for key, value in values.items() if value is None]:
                del one[key]

    return RealmControl(f"realm: {where}", remove)


def _realm(realm: Json) -> list[Json]:
    return [realm]


def _workloads(realm: Json) -> list[Json]:
    return [client for client in realm["clients"] if client.get("clientAuthenticatorType") == "federated-jwt"]


def _attributes(realm: Json) -> list[Json]:
    return [client["attributes"] for client in _workloads(realm)]


def _of_public_clients(realm: Json) -> list[Json]:
    return [client["attributes"] for client in realm["clients"] if client.get("publicClient")]


def _every_scope(realm: Json) -> None:
    scopes = [s["name"] for s in realm["clientScopes"] if s["attributes"]["include.in.token.scope"] == "true"]
    for client in _workloads(realm):
        client["optionalClientScopes"] = scopes


def _every_audience(realm: Json) -> None:
    audiences = {scope["name"] for scope in realm["clientScopes"] if scope["name"].startswith("aud:")}
    for client in _workloads(realm):
        client["defaultClientScopes"] = sorted({*client["defaultClientScopes"], *audiences})


def _built_in_clients(realm: Json) -> None:
    realm["clients"] = [client for client in realm["clients"] if "optionalClientScopes" in client]


def _remembered_consent(realm: Json) -> None:
    (flow,) = realm["authenticationFlows"]
    flow["authenticationExecutions"].pop()


DOWNSCOPE = _without_executor("downscope-assertion-grant-enforcer")
NO_PASSWORD_GRANT = _without_executor("reject-ropc-grant")
DELEGATES = RealmControl("realm: delegates", _every_scope)
MAY_CALL = RealmControl("realm: may_call", _every_audience)
MAX_TTL = _setting("max_ttl", _attributes, {"access.token.lifespan": None})
REFRESH = {"standard.token.exchange.enableRefreshRequestedTokenType": "SAME_SESSION"}
NO_REFRESH_TOKEN = _setting("no refresh token by exchange", _attributes, REFRESH)
NAMES_NO_SESSION = _script("token.setSessionId(null);", where="an ID token names no session")
# Without it, an account is locked after three wrong passwords at any rate, not after 30, or two within a second.
LOCK_OUT = {"bruteForceProtected": True, "failureFactor": 3, "waitIncrementSeconds": 900}
NO_LOCK_OUT = _setting("bruteForceProtected is off", _realm, LOCK_OUT)
NO_REQUIRED_ACTIONS = _setting("requiredActions is empty", _realm, {"requiredActions": None})
ASKS_EACH_TIME = _setting("browserFlow asks for the password each time", _realm, {"browserFlow": None})
CONFIRMED = _setting(
    "consentRequired where operators sign in",
    lambda realm: [client for client in realm["clients"] if client.get("consentRequired")],
    {"consentRequired": False},
)
CONFIRMED_EACH_TIME = RealmControl("realm: consent.js", _remembered_consent)
SHORT_REFRESH_TOKEN = _setting(
    "client.session.max.lifespan of zt",
    lambda realm: [client["attributes"] for client in realm["clients"] if client["clientId"] == "zt"],
    {"client.session.max.lifespan": None},
)
PKCE = _setting("pkce.code.challenge.method", _of_public_clients, {"pkce.code.challenge.method": None})
BOUND = _setting("dpop.bound.access.tokens", _of_public_clients, {"dpop.bound.access.tokens": None})
DEVICE_GRANT = _setting(
    "oauth2.device.authorization.grant.enabled for zt and zt-policy alone",
    lambda realm: [client["attributes"] for client in realm["clients"] if "attributes" in client],
    {"oauth2.device.authorization.grant.enabled": "true"},
)
# Keycloak reads an empty list as all types.
NO_ERROR_EVENTS = _setting("enabledEventTypes without errors", _realm, {"enabledEventTypes": []})
NO_SECRETS = _setting("federated-jwt", _workloads, {"clientAuthenticatorType": "client-secret"})
NO_SERVICE_ACCOUNTS = _setting("no token without a user", _workloads, {"serviceAccountsEnabled": True})
ASSERTION_AGE = _setting(
    "the age of an assertion",
    lambda realm: [provider["config"] for provider in realm["identityProviders"]],
    {"fedClientAssertionMaxExp": None},
)
BUILT_IN_DISABLED = RealmControl("realm: built-in clients disabled", _built_in_clients)

BINDING = SCRIPT.with_name("binding.js")
BINDING_DEAD_FIRST = _script("token.exp(1);", where="dead first", script=BINDING)
REFRESH_BOUND = _script(
    'keycloakSession.setAttribute("dpop-binding-only-refresh-token", java.lang.Boolean.TRUE);',
    where="the refresh token stays bound",
    script=BINDING,
)
DEAD_FIRST = _script("token.exp(1);", where="dead first")
OWN_TOKEN = _script('require(holder != actor, "own token");')
CHAIN_MISSING = _script('require(before != null || !mayExchange(holder), "chain missing");')
REPEATED = _script('require(actors.indexOf(actor) < 0, "actor repeated");')
TOO_DEEP = _script('require(actors.length < MAX_ACTORS, "chain too deep");')
ONE_AUDIENCE = _script('require(form.get("audience") != null && form.get("audience").size() == 1, "not one audience");')
WHOLE_LINEAGE = _script("if (ancestors != null) lineage.addAll(ancestors);", where="the whole lineage")
ROOT = _script("if (root == null) {", "if (true) {", where="the root stays")
ACTOR = _script(
    "context.getClient().getClientId();",
    'form.getFirst("actor") || context.getClient().getClientId();',
    where="the actor is who authenticated",
)
OWN_DEPARTMENT = _script('require(groups.contains(wanted), "not of that department");')
FEWER_GROUPS = _script("if (before != null) groups.retainAll(before);", where="no group that the subject token lacks")
WHOLE_CHAIN = _script('if (before != null) act.put("act", before);', where="the whole chain")
PARENTS_END = _script("Math.min(ceiling, subject.getExp())", "ceiling", where="never past the parent's end")
ONLY_SHORTER = _script(
    "Math.min(end, token.getIat() + wanted)", "token.getIat() + wanted", where="a wish can only shorten"
)
