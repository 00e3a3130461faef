"""Shows what the journals say of a task, as `zt audit show` does, and whether each journal is whole."""

from collections.abc import Iterable, Mapping

from rich.console import Console

from demo.running import Running
from local.program import console
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.journal import first_bad_record
from zt.trail import level, trail


def show_trail(to: Console, events: Iterable[AuditEvent], names: Mapping[str, str]) -> None:
    """Show the records of one task; `names`: what its tokens are called, by their ids."""
    to.print(trail(events, name=lambda token: names.get(token.token_id) or level(token)))


def show_journals(system: Running) -> None:
    """Show whether the chain of each service's journal is whole."""
    for name in system.registry.services:
        bad = first_bad_record(system.journal(name))
        state = f"[red]record {bad} was changed[/red]" if bad else "chain intact"
        console.print(f"journal of {name}: {len(system.events(name))} records, {state}")
