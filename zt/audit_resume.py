"""The command by which an operator has a journal go on that the audit log refuses.  It needs nothing running."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from zt.audit import POLICY, Log, PolicyFile, explained
from zt.audit_log import LEDGER, audit
from zt.names import short
from zt.operators import Because
from zt.output import Json, output

if TYPE_CHECKING:
    from zt.operators import Settings

__all__ = ["audit"]
"""With the commands of `zt.audit` and `zt.audit_log`, too."""


@audit.command("resume")
def resume(  # noqa: PLR0913 - one for each option
    context: typer.Context,
    party: Annotated[str, typer.Argument(metavar="PARTY", help="whose journal it is, as in agent/reader")],
    *,
    because: Because,
    log: Log = None,
    export: Annotated[Path | None, typer.Option("--export", help="of `zt audit export`, instead of the log")] = None,
    policy: PolicyFile = None,
    _json: Json = False,
) -> None:
    """Have a journal go on behind records that the audit log has of it, and that it does not have itself.

    The party must not run meanwhile.  The journal then says which records those are, and has its own events again.
    """
    import dataclasses

    from zt import resuming
    from zt.evidence import trusted
    from zt.witness import Witness, default_folder

    settings: Settings = context.obj
    with explained():
        trust = trusted(policy or settings.run / POLICY)
        source = export or log or settings.journals / LEDGER
        service = f"spiffe://{trust.logs[0].name.partition('/')[0]}/{short(party)}"
        verified = resuming.Log(source, trust, Witness(default_folder()).held(trust.logs))
        done = resuming.resume(settings.journals, service, verified, because)
    said, first = done.said, done.said.same + 1
    told = [
        f"Records {first:,} to {said.same + said.foreign:,} of {party} were not in its journal.  They stay in the log."
    ]
    if said.aside:
        told.append(f"Its own {said.aside:,} records from {first:,} on follow them again.")
    told.append(f"The files as they were: {done.aside}.  Start {party} again: its journal is delivered from there on.")
    document = {"journal": str(done.journal), "aside": str(done.aside), "resumed": dataclasses.asdict(said)}
    output.show(document, *map(Text, told))
