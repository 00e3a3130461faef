"""What records say that are about no decision: changes of who may take part, counted calls, resumed journals.  Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from zerotrust.audit.event_types import Action, Counts, RegistryChange, Resumed
from zt.names import short

DONE: Mapping[Action, str] = {
    "suspend": "suspended {}",
    "reinstate": "reinstated {}",
    "revoke": "revoked {}",
    "drift": "suspended {}, whose code has changed",
    "reload": "reloaded the {}",
    "activate": "activated {}",
    "rollback": "rolled back: {} is in force",
    "in_force": "{} is in force",
}
"""What was done to a target."""
_VERSION = re.compile(r"policy (\d+) ([0-9a-f]{12})[0-9a-f]*")
"""A version of the policies, as the target of a change names it: with the whole digest."""


def changed(change: RegistryChange) -> str:
    """Return what was changed, why, and by whom: the operator's subject, or the party that reported it.

    What Keycloak changed names nobody; its cause begins with `keycloak: `.
    """
    told = DONE[change.action].format(_VERSION.sub(r"policy \1-\2", change.target))
    told += f": {change.cause}" if change.cause else ""
    by = change.principal.subject if change.principal else short(change.peer.id) if change.peer else None
    return f"{told} (by {by})" if by else told


def resumed(said: Resumed, party: str) -> str:
    """Return which records of a party were not in its journal, and why."""
    first, last = said.same + 1, said.same + said.foreign
    return f"resumed: records {first} to {last} of {party} were not in its journal: {said.cause}"


def counted(counts: Iterable[Counts]) -> list[str]:
    """Return how many calls were only counted, a line for each reason: they have no records of their own.

    Records that count nothing, which are valid, make a line that says so.
    """
    times, known = Counter[tuple[str, str]](), list(counts)
    for one in known:
        for few in one.unverified or ():
            times["of callers that were not verified", few.reason] += few.times
        for again in one.repeated or ():
            times["more like one that is recorded", again.reason] += again.times
    lines = [f"only counted: {number:,} {which}: {reason}" for (which, reason), number in times.items()]
    return lines or ["only counted: nothing"] * bool(known)
