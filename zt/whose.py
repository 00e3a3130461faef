"""Says of records for whom they are, and which code their writers ran.  Pure."""

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from zerotrust.audit.event import AuditEvent
from zerotrust.audit.forms import sanitize
from zt.names import short
from zt.show import listing

DIGITS = 12
"""Of a digest of code that people are shown: nobody finds other code with the same ones by chance."""

MOST_DIGESTS = 3
"""Of a party that people are shown: it has one, and another one after it was changed and approved again."""

MOST_USERS = 10
"""Of a task that are named: it has one, unless somebody lies; a party, or a session of an operator, has more."""


def for_whom(events: Iterable[AuditEvent]) -> list[str]:
    """Return a line for each user whose token was presented, with the groups that the token names, in order.

    A task has one user.  Where records name others as well, the parties that say so are named: one of them may lie.
    """
    by: dict[str, dict[str, None]] = {}
    for event in events:
        if token := getattr(event.data, "principal", None):
            groups = f" ({', '.join(map(sanitize, token.groups))})" if token.groups else ""
            by.setdefault(f"for user {token.subject}{groups}", {})[short(event.service)] = None
    if len(by) < 2:
        return list(by)
    told = [f"{user}, by the records of {', '.join(parties)}" for user, parties in by.items()]
    more = [f"and for {len(told) - MOST_USERS:,} others, which --json has"] if len(told) > MOST_USERS else []
    return [*told[:MOST_USERS], *more]


def codes(events: Iterable[AuditEvent]) -> dict[str, list[str]]:
    """Return the digests of the code of each party that wrote records, by its SPIFFE ID; usually one, or none."""
    found: dict[str, dict[str, None]] = {}
    for event in events:
        of = found.setdefault(event.service, {})
        of |= {event.measurement: None} if event.measurement else {}
    return {party: list(digests) for party, digests in found.items()}


def in_brief(digests: Sequence[str]) -> str:
    """Return the digests of a party as people are shown them."""
    more = f" and {len(digests) - MOST_DIGESTS:,} more" if len(digests) > MOST_DIGESTS else ""
    return ", ".join(digest[:DIGITS] for digest in digests[:MOST_DIGESTS]) + more or "not recorded"


def code_table(events: Iterable[AuditEvent]) -> Table:
    """Return a table of the code of each party."""
    table = listing("records of", "with code")
    for party, digests in codes(events).items():
        table.add_row(Text(short(party)), Text(in_brief(digests)))
    return table
