"""Functions for the cells about the token exchange: they print Keycloak's answer, and the records of the tokens."""

import io
import re
from collections.abc import Mapping, Sequence

import httpx

from demo.intruder import claims_of
from demo.tokens import CLAIMS, claims_table, longest_chain, tokens_of
from lab.notebooks.normal import normal, sorted_lists
from start.system import Running
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller
from zerotrust.registry.model import Registry
from zt.audit.trail import trail
from zt.terminal import Terminal

MEMBERS = ("access_token", "issued_token_type", "token_type", "expires_in", "scope")
"""Members of an answer by RFC 8693 section 2.2.1; Keycloak's own members are left out."""
SHOWN = tuple(claim for claim in CLAIMS if "jti" not in claim)
WIDTH = 80
"""Columns of a trail: what JupyterLab shows without a break."""
_POLICY = re.compile(r"(?<=policy )\d+-[0-9a-f]{12}")


def show_answer(answer: httpx.Response, name: str = "the token") -> None:
    """Print Keycloak's answer to a request for a token, which is shown by its name."""
    body = answer.json()
    if not answer.is_success:
        print(answer.status_code, f"{body['error']}: {sorted_lists(body['error_description'])}")
        return
    claims = claims_of(body["access_token"])
    life = claims["exp"] - claims["iat"]
    left = f"what is left of {life} s" if life > 0 else "nothing: it ended before it was issued"
    body |= {"access_token": f"<{name}>", "expires_in": left, "scope": " ".join(sorted(body["scope"].split()))}
    print(answer.status_code, *(f"{member:<19}{body[member]}" for member in MEMBERS), sep="\n")


def chain(system: Running, t0: str) -> Mapping[str, Caller]:
    """Return T0, T1 and T2 of T0's transaction, as the parties that got them have recorded them."""
    return longest_chain(tokens_of(system.registry, records_of(system, t0)))


def records_of(system: Running, t0: str) -> Sequence[AuditEvent]:
    """Return what all services have recorded of the calls with T0 and with what was derived from it."""
    transaction = claims_of(t0)["jti"]
    found = [event for party in system.registry.services for event in system.events(party)]
    return [event for event in found if _is_of(event.data, transaction)]


def show_recorded(system: Running, t0: str) -> None:
    """Print the same as `zt audit show` does, without what differs between runs."""
    print(trail_of(system.registry, records_of(system, t0)))


def trail_of(registry: Registry, events: Sequence[AuditEvent]) -> str:
    """Return the trail of a task as text, without the ids of its run and the version of the policies."""
    page = Terminal(file=(text := io.StringIO()), width=WIDTH, color_system=None, force_jupyter=False)
    page.print(trail(events, calls={name: party.may_call for name, party in registry.parties.items()}))
    said = _POLICY.sub("<version>", normal(text.getvalue()))
    return "\n".join(line.rstrip() for line in said.strip("\n").splitlines())


def show_tokens(tokens: Mapping[str, Caller]) -> None:
    """Print tokens beside each other: what one has lost is marked by -, and what is new by +."""
    page = Terminal(file=(text := io.StringIO()), width=110, color_system=None, force_jupyter=False)
    page.print(claims_table(tokens, SHOWN))
    print(*(line.rstrip() for line in text.getvalue().strip("\n").splitlines()), sep="\n")


def _is_of(data: object, transaction: str) -> bool:
    token = getattr(data, "principal", None)
    return isinstance(token, Caller) and token.transaction == transaction
