"""Shows what the journals say of a task, as `zt audit show` does, and whether each journal is whole."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from local.program import console
from local.system import Running
from zerotrust.audit.chain import first_bad_record
from zerotrust.audit.event import AuditEvent
from zt.names import Calls
from zt.trail import trail


def show_trail(to: Console, events: Sequence[AuditEvent], calls: Calls) -> None:
    """Show the records of one task; `calls`: the parties that each party may call."""
    to.print(trail(events, calls=calls))


def show_journals(system: Running) -> None:
    """Show whether the chain of each service's journal is whole."""
    for name in system.registry.services:
        bad = first_bad_record(system.journal(name))
        state = Text(f"record {bad} was changed", "red") if bad else "chain intact"
        console.print(Text.assemble(f"journal of {name}: {len(system.events(name))} records, ", state))
