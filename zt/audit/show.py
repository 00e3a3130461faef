"""Formats the results of a verification, for people.  Pure: returns objects that rich prints."""

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from zerotrust.authority.names import short
from zt.show import new_table, utc_time

if TYPE_CHECKING:
    from evidence.fault import Fault
    from zt.audit.exports import Verified


def verification(found: "Verified") -> list[Table | Text]:
    """Return who vouches for an export that has no fault, and what it has."""
    by = ", ".join(f"{name} at {utc_time(when)}" for name, when in sorted(found.cosigned.items()))
    told: list[Table | Text] = [
        Text.assemble(f"{found.checkpoint.origin}: all {found.checkpoint.size:,} leaves ", ("verified", "green"), "."),
        Text(f"Cosigned by {by or 'no witness'}."),
    ]
    later = found.not_delivered
    table = new_table("journal of", "records", *([] if later is None else ["after this export"]), numbers=True)
    for service, records in found.records.items():
        table.add_row(short(service), f"{records:,}", *([] if later is None else [f"{later[service]:,}"]))
    return [*told, table] if found.records else told


def fault(found: "Fault") -> Text:
    """Return the first fault, and who made it."""
    who = short(found.who)
    record = f"record {found.record:,} of {short(found.party)}" if found.party and found.record else ""
    leaf = f"leaf {found.leaf:,}" if found.leaf is not None else ""
    where = f"{record} ({leaf})" if record and leaf else record or leaf or "the whole"
    return Text(f"{where} is {found.what}: {found.why}.\nAt fault: {who}.")
