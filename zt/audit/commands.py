"""The commands about the audit log and the journals: `zt audit show TRACE`, `zt audit export`, `zt audit policy`.

None needs an operator, and only `policy` needs a running system.

Each imports what it needs when it runs, as in `operators`.
"""

import dataclasses
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.text import Text

from zt.audit import show as showing
from zt.operators import Settings, reporting_errors
from zt.output import Json, output
from zt.show import counted

if TYPE_CHECKING:
    from evidence.fault import Fault
    from evidence.verification import Verification
    from zerotrust.authority.names import Calls
    from zt.audit.log_folder import LogFolder
    from zt.audit.query import Query, Records

audit = typer.Typer(no_args_is_help=True)

POLICY = "audit.policy"
"""The file of the system on this machine, with the keys that sign its log."""
LEDGER = Path("authority-audit", "log")
"""The log's folder, beside the journals of the system on this machine."""
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
    from zt.audit.diagram import diagram
    from zt.audit.query import parse_query
    from zt.audit.trail import code_digests, group_by_transaction, summary, trail

    if not (what := parse_query(asked)):
        output.fail(
            f"{asked} is neither an id nor one of user:ID, party:NAME and document:ID.  The answer of a task has its "
            "trace_id, 32 hexadecimal digits; records have the ids of transactions, tokens and sessions.",
            "malformed_id",
        )
    settings: Settings = context.obj
    with explaining_faults():
        found = _find(settings, what, export, policy)
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
    document = {"id": asked, "events": [json.loads(event.canonical()) for event in events], "left_out": found.omitted}
    document |= {"left_out_of": dict(found.left_out)} if found.omitted else {}
    document |= {"code": code_digests(events)}
    tree = partial(trail, calls=calls, details=True, ledger=ledger, dated=True)
    shown = map(tree, [events] if what.kind == "id" else group_by_transaction(events))
    output.show(document, *shown, *summary(found, by_id=what.kind == "id"))


def _find(settings: Settings, what: "Query", export: Path | None, policy: Path | None) -> "Records":
    """Return records of an export, verified while it is read, or else of the journals here."""
    from zerotrust.authority.ledger.leaf import Outline
    from zt.audit.exports import leaves, load_policy
    from zt.audit.journals import find
    from zt.audit.query import NoRecordError, find_records
    from zt.errors import CommandError

    if export is None:
        return find(settings.journals, what)
    trust = load_policy(policy or settings.run / POLICY)
    read = leaves(export, trust)
    try:
        return find_records(((f"leaf {at}", line) for at, content, line in read if isinstance(content, Outline)), what)
    except NoRecordError as error:
        raise CommandError(f"{export}: {error} is not a record of schema 1.", "unreadable") from error


@audit.command("verify")
def verify(
    context: typer.Context,
    export: Annotated[
        Path | None,
        typer.Argument(metavar="EXPORT", help="of `zt audit export`, or the folder of a log; without it: the journals"),
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
    from evidence.fault import Faulty
    from zt.audit.exports import load_policy, verify_export

    with explaining_faults():
        trust = load_policy(policy or settings.run / POLICY)
        try:
            found = verify_export(export, trust, local=journals)
        except Faulty as faulty:
            _show_fault(export, faulty.fault)
    output.show({"verified": True} | found.document, *showing.verification(found))


@contextmanager
def explaining_faults() -> Iterator[None]:
    """Exit with a message if a file of the evidence cannot be read, or has a fault."""
    from evidence.fault import Faulty

    with reporting_errors():
        try:
            yield
        except Faulty as faulty:
            output.fail(showing.fault(faulty.fault).plain, "faulty")


def _show_fault(export: Path, fault: "Fault") -> NoReturn:
    document = {"verified": False, "export": str(export), "fault": dataclasses.asdict(fault)}
    output.show(document, Text.assemble((f"{export}: not verified.\n", "red"), showing.fault(fault)))
    raise typer.Exit(1)


def _verify_journals(folder: Path) -> None:
    from zt.audit.journals import check, journals

    with reporting_errors():
        checked = [check(path) for path in journals(folder)]
    lines = []
    for one in checked:
        state = Text(f"record {one.first_bad} was changed", "red") if one.first_bad else Text("chain intact", "green")
        later = f" from {one.after + 1} on" if one.after else ""
        lines.append(Text.assemble(f"{one.path}: {counted(one.records, 'record')}{later}, ", state))
    output.show({"journals": [dataclasses.asdict(one) | {"path": str(one.path)} for one in checked]}, *lines)
    if any(one.first_bad for one in checked):
        raise typer.Exit(1)


@audit.command("export")
def export(
    context: typer.Context,
    *,
    log: Log = None,
    to: Annotated[Path | None, typer.Option("--to", help="the file to write; otherwise standard output")] = None,
    _json: Json = False,
) -> None:
    """Write the audit log to one file, which `zt audit verify` checks with nothing running.

    If an entry does not match the checkpoint, nothing is exported: the command names the first fault and exits with 1.
    """
    from evidence.fault import Faulty
    from zt.audit.exports import export
    from zt.audit.log_folder import LogFolder

    settings: Settings = context.obj
    if to is None and sys.stdout.isatty():
        output.fail("An export is for a file: --to FILE, or > FILE.", "no_file")
    with explaining_faults():
        there = LogFolder(log or settings.journals / LEDGER)
        try:
            if to is None:
                export(there, sys.stdout.buffer)
                sys.stdout.buffer.flush()
                return
            found = _write_export(there, to)
        except Faulty as faulty:
            output.fail(f"{there.folder} is not exported.  {showing.fault(faulty.fault).plain}", "faulty")
    size = found.checkpoint.size
    output.show({"export": str(to), "size": size}, Text(f"{to}: {size:,} leaves of {found.checkpoint.origin}."))


@audit.command("policy")
def policy(context: typer.Context, *, _json: Json = False) -> None:
    """Print the policy that the registry publishes: the log, its witness, the quorum.  This needs no sign-in.

    The registry is verified by its certificate.  Keep what you got once: the keys do not change.
    """
    import asyncio

    from zerotrust.tlog.quorum import policy
    from zerotrust.tlog.tree import InvalidLog
    from zt.people.registry_client import audit_policy

    with reporting_errors():
        text = asyncio.run(audit_policy(context.obj.place()))
    try:
        policy(text)
    except InvalidLog as error:
        output.fail(f"The registry publishes something that is not a policy: {error}.", "malformed_policy")
    output.show_text({"policy": text}, text)


def _write_export(log: "LogFolder", to: Path) -> "Verification":
    """Write an export to a file, which has its name once it is whole."""
    from zt.audit.exports import export
    from zt.errors import CommandError

    unfinished = to.with_name(f"{to.name}.new")
    try:
        with unfinished.open("wb") as file:
            found = export(log, file)
        unfinished.replace(to)
    except OSError as error:
        printed = "Without --to, the export is printed: zt audit export > FILE."
        raise CommandError(f"{to} cannot be written: {error.strerror}.  {printed}", "not_written") from error
    finally:
        with suppress(OSError):  # where nothing can be written, nothing can be removed either
            unfinished.unlink()
    return found
