"""May this caller do this?  Cedar answers, in process, from policies that the services do not own.  Pure.

A decision is a value with a reason from one closed list; errors, audit records and tests use the same list.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import cedarpy

from zerotrust.identity import Principal
from zerotrust.registry import Registry


class Reason(StrEnum):
    """Why a decision went the way it did."""

    GRANTED = "granted"

    # what was presented
    NO_TOKEN = "no_token"  # noqa: S105 - a reason, not a password
    UNSUPPORTED_SCHEME = "unsupported_scheme"
    MALFORMED_CREDENTIALS = "malformed_credentials"
    TOKEN_TOO_LARGE = "token_too_large"  # noqa: S105

    # before the signature is known to be good; a caller is told NOT_VERIFIED for every one of them
    NOT_VERIFIED = "not_verified"
    MALFORMED_TOKEN = "malformed_token"  # noqa: S105
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    FORBIDDEN_HEADER = "forbidden_header"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"

    # what a genuine token says
    BAD_CLAIM = "bad_claim"
    ISSUER_MISMATCH = "issuer_mismatch"
    AUDIENCE_MISMATCH = "audience_mismatch"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    LIFETIME_EXCEEDED = "lifetime_exceeded"
    UNKNOWN_PARTY = "unknown_party"
    ACTOR_MISSING = "actor_missing"
    ACTOR_MISMATCH = "actor_mismatch"
    ACTOR_REPEATED = "actor_repeated"
    CHAIN_TOO_DEEP = "chain_too_deep"
    LINEAGE_MISMATCH = "lineage_mismatch"

    # who presents it, and whether it still stands
    NO_CERTIFICATE = "no_certificate"
    CERTIFICATE_ENDED = "certificate_ended"
    UNKNOWN_PEER = "unknown_peer"
    NOT_BOUND = "not_bound"
    WITHDRAWN = "withdrawn"

    # what was asked for
    NO_PERMISSION_FOR_ROUTE = "no_permission_for_route"
    UNKNOWN_METHOD = "unknown_method"
    LEGACY_ERA = "legacy_era"
    MALFORMED_HEADERS = "malformed_headers"
    WRONG_HOST = "wrong_host"
    WRONG_ORIGIN = "wrong_origin"
    UNSUPPORTED_CONTENT = "unsupported_content"
    DEPARTMENT_NEEDED = "department_needed"
    MALFORMED_BODY = "malformed_body"
    BODY_TOO_LARGE = "body_too_large"
    BODY_TOO_SLOW = "body_too_slow"
    TOO_MANY_REQUESTS = "too_many_requests"
    UNKNOWN_MODEL = "unknown_model"
    UNSUPPORTED_OPTION = "unsupported_option"
    SCOPE_MISSING = "scope_missing"
    POLICY_DENIED = "policy_denied"
    RESOURCE_DENIED = "resource_denied"

    # what could not be handed on
    WOULD_WIDEN = "would_widen"
    EXCHANGE_REFUSED = "exchange_refused"
    PEER_WITHDRAWN = "peer_withdrawn"
    PEER_UNTRUSTED = "peer_untrusted"

    # what an operator cannot have
    DRIFTED = "drifted"
    WOULD_LOCK_OUT = "would_lock_out"
    REGISTRY_UNFIT = "registry_unfit"
    UNKNOWN_SUBJECT = "unknown_subject"

    # what is our own fault
    FAILED = "failed"

    # what cannot be known or done now
    BUSY = "busy"
    POLICY_ERROR = "policy_error"
    STANDING_UNKNOWN = "standing_unknown"
    KEYS_UNAVAILABLE = "keys_unavailable"
    ISSUER_UNAVAILABLE = "issuer_unavailable"
    IDENTITY_UNAVAILABLE = "identity_unavailable"
    PEER_UNAVAILABLE = "peer_unavailable"
    ANSWER_LOST = "answer_lost"
    JOURNAL_UNAVAILABLE = "journal_unavailable"


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer to one access question, with its reason.  True when allowed."""

    allowed: bool
    reason: Reason
    detail: str = ""

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True, slots=True)
class Resource:
    """What is asked about: a kind and a name the policies know, and what the caller of `decide` knows of it."""

    kind: str
    name: str
    attributes: tuple[tuple[str, str], ...] = ()


class PolicyError(Exception):
    """Policies, schema and entities do not fit together; nobody starts with them."""


class Policy:
    """One version of the policies, parsed once.

    A decision is a function of its arguments alone, so it is remembered by all of them.
    """

    MEMORY = 10_000

    def __init__(
        self, *, policies: str, schema: str, entities: list[dict[str, Any]], departments: Iterable[str] = ()
    ) -> None:
        """Take policies and schema as Cedar text, entities as Cedar JSON, and the groups that are departments.

        Raises `PolicyError` on a misfit.
        """
        self._departments = frozenset(departments)
        try:
            checked = cedarpy.validate_policies(policies, schema)
            if not checked.validation_passed:
                raise PolicyError("; ".join(str(error) for error in checked.errors))
            self._policies = cedarpy.PolicySet.from_str(policies)
            self._entities = cedarpy.Entities.from_json_str(json.dumps(entities), schema)
        except ValueError as error:
            raise PolicyError(str(error)) from error
        self._schema = cedarpy.Schema.from_str(schema)
        self.digest = hashlib.sha256("\0".join([policies, schema]).encode()).hexdigest()
        content = "\0".join([policies, schema, json.dumps(entities), *sorted(self._departments)])
        self.version = hashlib.sha256(content.encode()).hexdigest()[:12]
        self._memory: dict[tuple[object, ...], Decision] = {}

    def decide(self, principal: Principal, permission: str, audience: str) -> Decision:
        """May this caller use that permission (a scope) at this party?

        Effective permission = user and agent and scope and policy.  Nested actors never count here
        (RFC 8693 section 4.1).
        """
        if permission not in principal.scopes:
            return Decision(allowed=False, reason=Reason.SCOPE_MISSING, detail=f"needs {permission}")
        return self._ask(principal, permission, Resource("Party", audience), permission=permission)

    def decide_on(self, principal: Principal, action: str, resource: Resource) -> Decision:
        """May this caller do that to this very thing?  For handlers, once they know what they would touch."""
        decision = self._ask(principal, action, resource, permission="")
        if decision.reason is Reason.POLICY_DENIED:
            return Decision(allowed=False, reason=Reason.RESOURCE_DENIED, detail=f"{action} {resource.name}")
        return decision

    def _ask(self, principal: Principal, action: str, resource: Resource, *, permission: str) -> Decision:
        who = (principal.party, principal.subject, principal.delegated, principal.scopes, principal.groups)
        key = (who, action, resource, permission)
        if (known := self._memory.get(key)) is not None:
            return known
        if len(self._memory) >= self.MEMORY:
            self._memory.clear()
        self._memory[key] = answer = self._evaluate(principal, action, resource, permission)
        return answer

    def _evaluate(self, principal: Principal, action: str, resource: Resource, permission: str) -> Decision:
        departments = principal.groups & self._departments
        context = {
            "subject": principal.subject,
            "delegated": principal.delegated,
            "scopes": sorted(principal.scopes),
            "groups": sorted(principal.groups),
            "departments": sorted(departments),
            "one_department": len(departments) == 1,
        }
        thing = {"type": resource.kind, "id": resource.name}
        request = {
            "principal": {"type": "Party", "id": principal.party},
            "action": {"type": "Action", "id": action},
            "resource": thing,
            "context": context | ({"permission": permission} if permission else {}),
        }
        entities = self._entities
        try:
            if resource.attributes:
                known = [{"uid": thing, "attrs": dict(resource.attributes), "parents": []}]
                entities = entities.with_added_json_str(json.dumps(known), schema=self._schema)
            answer = cedarpy.is_authorized(request, self._policies, entities, schema=self._schema)
        except ValueError as error:
            return Decision(allowed=False, reason=Reason.POLICY_ERROR, detail=str(error))
        # Cedar skips a policy that errs, a `forbid` as well: so any error is a no.
        if answer.diagnostics.errors:
            return Decision(
                allowed=False, reason=Reason.POLICY_ERROR, detail="; ".join(map(str, answer.diagnostics.errors))
            )
        if not answer.allowed:
            return Decision(allowed=False, reason=Reason.POLICY_DENIED, detail=f"{action} at {resource.name}")
        return Decision(allowed=True, reason=Reason.GRANTED)


def party_entities(registry: Registry) -> list[dict[str, Any]]:
    """The registry's parties as Cedar entities: what each may hand on, whom it may call, what it serves."""

    def reference(name: str) -> dict[str, str]:
        return {"type": "Party", "id": registry.id(name)}

    return [
        {
            "uid": reference(name),
            "attrs": {
                "hands_on": party.hands_on,
                "calls": [{"__entity": reference(callee)} for callee in party.calls],
                "serves": registry.scopes_at(name),
            },
            "parents": [],
        }
        for name, party in registry.parties.items()
    ]
