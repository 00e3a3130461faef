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


def users(events: Iterable[AuditEvent]) -> list[str]:
    """Return the users whose tokens were presented, each with the groups that the token names, in order."""
    tokens = [token for event in events if (token := getattr(event.data, "principal", None))]
    named = {(token.subject, token.groups): None for token in tokens}
    return [f"{subject} ({', '.join(map(sanitize, groups))})" if groups else subject for subject, groups in named]


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
