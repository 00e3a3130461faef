"""The commands about the audit log and the journals.  They need no operator, and but for `policy` nothing that runs.

Each imports what it needs when it runs, as in `operators`.
"""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.text import Text

from zt import show as showing
from zt.operators import Settings, told
from zt.output import Json, output

if TYPE_CHECKING:
    from zerotrust.audit.fault import Fault
    from zt.names import Calls
    from zt.wanted import Found, Wanted

audit = typer.Typer(no_args_is_help=True)

POLICY = "audit.policy"
"""The file of the system on this machine, which says who signs its log."""
Log = Annotated[
    Path | None, typer.Option("--log", help="the folder of the log; by default that of the ledger on this machine")
]
PolicyFile = Annotated[
    Path | None, typer.Option("--policy", help="which log and which witnesses; by default run/audit.policy")
]
_HINTS = {
    "id": "  A refusal before the caller was verified has no record, and is only counted: `zt audit show party:NAME` "
    "shows the counts of a party.",
    "user": "  Records name a user by the subject of their tokens, not by the name that they sign in with: "
    "`zt policy explain TRACE` shows the subject of a task's user.",
    "party": "  A party is named as in registry.yaml: `zt status` lists all of them.",
    "document": "  A document is named by its id, such as ENG-101: `zt audit show TRACE` shows those of a task.",
}
"""Where to find the name that was meant, by the kind of the question."""


@audit.command("show")
def show(
    context: typer.Context,
    asked: Annotated[
        str,
        typer.Argument(metavar="WHAT", help="an id of a trace, transaction or token; user:ID, party:NAME, document:ID"),
    ],
    *,
    export: Annotated[
        Path | None, typer.Option("--export", help="of `zt audit export`, or the folder of a log, instead of journals")
    ] = None,
    policy: PolicyFile = None,
    svg: Annotated[Path | None, typer.Option("--svg", help="the file for a diagram: who called whom, in order")] = None,
    _json: Json = False,
) -> None:
    """Show who did what, for whom, when and with which code: each token below the one it came from."""
    from zt.diagram import diagram
    from zt.trail import by_transaction, codes, summary, trail
    from zt.wanted import wanted

    if not (what := wanted(asked)):
        output.fail(
            f"{asked} is neither an id nor one of user:ID, party:NAME and document:ID.  The answer of a task has its "
            "trace_id, 32 hexadecimal digits; records have the ids of transactions, tokens and sessions.",
            "malformed_id",
        )
    settings: Settings = context.obj
    with explained():
        found = _found(settings, what, export, policy)
    events = found.events
    if not events:
        where = str(export) if export else f"{settings.journals}"
        hint = _HINTS.get(what.kind, "") + ("" if export else "  Other journals: --journals.")
        output.fail(f"No record in {where} names {what.name}.{hint}", "unknown_id")
    registry = settings.registry()
    calls: Calls = {name: party.may_call for name, party in registry.parties.items()} if registry else {}
    ledger = registry.id(registry.authorities.audit) if registry else ""
    if svg:
        try:
            svg.write_text(diagram(asked, events, calls))
        except OSError as error:
            output.fail(f"{svg} cannot be written: {error.strerror}.", "not_written")
    document = {"id": asked, "events": [json.loads(event.canonical()) for event in events], "left_out": found.more}
    document |= {"left_out_of": dict(found.left_out)} if found.more else {}
    document |= {"code": codes(events)}
    tree = partial(trail, calls=calls, details=True, ledger=ledger, dated=True)
    shown = map(tree, [events] if what.kind == "id" else by_transaction(events))
    output.show(document, *shown, *summary(found, by_id=what.kind == "id"))


def _found(settings: Settings, what: "Wanted", export: Path | None, policy: Path | None) -> "Found":
    """Return records of an export, which is verified meanwhile, or else of the journals here."""
    from zerotrust.audit.fault import Outline
    from zt.errors import CommandError
    from zt.evidence import leaves, trusted
    from zt.journals import find
    from zt.wanted import NoRecordError, found
    from zt.witness import Witness, default_folder

    if export is None:
        return find(settings.journals, what)
    trust = trusted(policy or settings.run / POLICY)
    held = Witness(default_folder()).held(trust.logs)
    read = leaves(export, trust, held=held)
    try:
        return found(((f"leaf {at}", line) for at, content, line in read if isinstance(content, Outline)), what)
    except NoRecordError as error:
        raise CommandError(f"{export}: {error} is no record of schema 1.", "unreadable") from error


@audit.command("verify")
def verify(
    context: typer.Context,
    export: Annotated[
        Path | None,
        typer.Argument(
            metavar="EXPORT",
            help="of `zt audit export`, or the folder of a log; without it: the journals",
        ),
    ] = None,
    *,
    policy: PolicyFile = None,
    journals: Annotated[
        Path | None, typer.Option("--journals", help="the folder of journals that are compared with the export")
    ] = None,
    _json: Json = False,
) -> None:
    """Verify an export of the audit log, or the hash chains of the journals, with nothing running.

    It names the first fault, and who is at fault; the exit status is then 1.
    """
    settings: Settings = context.obj
    if export is None:
        _verify_journals(journals or settings.journals)
        return
    from zerotrust.audit.fault import Faulty
    from zt.evidence import trusted, verified
    from zt.witness import Witness, default_folder

    with explained():
        trust = trusted(policy or settings.run / POLICY)
        held = Witness(default_folder()).held(trust.logs)
        try:
            found = verified(export, trust, held=held, local=journals)
        except Faulty as faulty:
            _show_fault(export, faulty.fault)
    output.show({"verified": True} | found.document, *showing.verified(found))


@contextmanager
def explained() -> Iterator[None]:
    """Exit with a message if a file of the evidence cannot be read, or has a fault."""
    from zerotrust.audit.fault import Faulty

    with told():
        try:
            yield
        except Faulty as faulty:
            output.fail(showing.fault(faulty.fault).plain, "faulty")


def _show_fault(export: Path, fault: "Fault") -> NoReturn:
    document = {"verified": False, "export": str(export), "fault": dataclasses.asdict(fault)}
    output.show(document, Text.assemble((f"{export}: not verified.\n", "red"), showing.fault(fault)))
    raise typer.Exit(1)


def _verify_journals(folder: Path) -> None:
    from zt.journals import check, journals

    with told():
        checked = [check(path) for path in journals(folder)]
    lines = []
    for one in checked:
        state = Text(f"record {one.first_bad} was changed", "red") if one.first_bad else Text("chain intact", "green")
        records = "1 record" if one.records == 1 else f"{one.records} records"
        records += f" from {one.after + 1} on" if one.after else ""
        lines.append(Text.assemble(f"{one.path}: {records}, ", state))
    output.show({"journals": [dataclasses.asdict(one) | {"path": str(one.path)} for one in checked]}, *lines)
    if any(one.first_bad for one in checked):
        raise typer.Exit(1)
