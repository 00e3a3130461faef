"""Lists what the real system must answer to each attack, and which check of which principle does it.

The only place that knows a result.
"""

from typing import NamedTuple

from lab.before import attacks
from lab.before.attacks import Run

SCOPED = "scoped API enforcement"
DELEGATED = "delegated token exchange"
CONTINUOUS = "continuous verification and auditability"
ATTESTED = "workload attestation"
REGISTERED = "agent registration as a source of truth"


class Expected(NamedTuple):
    """One attack, which must succeed on the system before."""

    run: Run
    what: str
    principle: str
    answered: str
    """By the real system, exactly; the reasons are those on record."""
    check: str
    """Ids of controls (`# control: ID` in the code) or, where there is none to remove, what it is instead."""


EXPECTED = (
    Expected(
        attacks.open_every_door,
        "what the reader has for the tool is tried at all five doors",
        SCOPED,
        "1 of 5 open; at the others 401 audience_mismatch",
        "token-audience",
    ),
    Expected(
        attacks.have_the_report_overwritten,
        "a poisoned report has a published report overwritten",
        SCOPED,
        "reader: scope_missing; writer: resource_denied",
        "scope-held, changes-draft",
    ),
    Expected(
        attacks.spend_the_tools_token_at_the_front_door,
        "a token stolen at the tool is used at the front door",
        DELEGATED,
        "401 audience_mismatch",
        "token-audience",
    ),
    Expected(
        attacks.have_the_forecast_read,
        "a poisoned report has finance's forecast read",
        DELEGATED,
        "reader: resource_denied; writer: scope_missing",
        "document-of-own-department, scope-held",
    ),
    Expected(
        attacks.ask_without_a_department,
        "eve, of no department, asks for the reports",
        DELEGATED,
        "403 policy_denied",
        "user-has-department",
    ),
    Expected(
        attacks.go_on_after_sign_out,
        "alice has signed out; her token is used again",
        CONTINUOUS,
        "401 revoked",
        "caller-not-revoked",
    ),
    Expected(
        attacks.leave_no_name,
        "the tool's record is asked for whom it was called",
        CONTINUOUS,
        "on record: alice, through reader and orchestrator",
        "the gate records each decision",
    ),
    Expected(
        attacks.call_behind_the_front_door,
        "a program without credentials calls an agent",
        ATTESTED,
        "no connection",
        "mutual TLS",
    ),
    Expected(
        attacks.use_it_from_elsewhere,
        "a program uses what the reader sent to the tool",
        ATTESTED,
        "no connection",
        "mutual TLS",
    ),
    Expected(
        attacks.take_an_identity,
        "a program that is not a party gets itself an identity",
        ATTESTED,
        "no identity issued",
        "caller-was-launched",
    ),
    Expected(
        attacks.go_on_with_changed_code,
        "the writer's code is changed; it calls the tool as before",
        ATTESTED,
        "401 revoked",
        "drift-suspends, caller-not-revoked",
    ),
    Expected(
        attacks.call_whom_nobody_foresaw,
        "the reader has the writer work for it",
        REGISTERED,
        "400 invalid_request",
        "registry.yaml: may_call",
    ),
)
