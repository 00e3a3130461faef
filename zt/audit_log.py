"""The commands that make evidence of the log: exports, cosignatures, and the policy to verify them by.

Each imports what it needs when it runs, as in `operators`.
"""

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from zt import show as showing
from zt.audit import POLICY, Log, PolicyFile, audit, explained
from zt.operators import Settings, told
from zt.output import Json, output

if TYPE_CHECKING:
    from zerotrust.audit.verification import Verification
    from zerotrust.tlog.note import Note
    from zt.log_folder import LogFolder

__all__ = ["audit"]
"""With the commands of `zt.audit`, too."""

LEDGER = Path("authority-audit", "log")
"""The log's folder, beside the journals of the system on this machine."""


@audit.command("export")
def export(
    context: typer.Context,
    *,
    log: Log = None,
    to: Annotated[Path | None, typer.Option("--to", help="the file to write; otherwise standard output")] = None,
    witness: Annotated[bool, typer.Option("--witness", help="add the cosignature of your own witness")] = False,
    policy: PolicyFile = None,
    _json: Json = False,
) -> None:
    """Write the audit log to one file, which `zt audit verify` checks with nothing running.

    What does not fit the checkpoint of the log is no export: the first fault is named, and the exit status is 1.
    """
    from zerotrust.audit.fault import Faulty
    from zerotrust.tlog.note import Note
    from zt.evidence import export, trusted
    from zt.witness import Witness, default_folder

    settings: Settings = context.obj
    if to is None and sys.stdout.isatty():
        output.fail("An export is for a file: --to FILE, or > FILE.", "no_file")
    with explained():
        there = _log(settings, log)
        note = there.note
        if witness:
            _, signature = Witness(default_folder()).cosign(there, trusted(policy or settings.run / POLICY).logs)
            note = Note(note.text, (*note.signatures, signature))
        try:
            if to is None:
                export(there, note, sys.stdout.buffer)
                sys.stdout.buffer.flush()
                return
            found = _to_file(there, note, to)
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
    from zt.registry_client import audit_policy

    with told():
        text = asyncio.run(audit_policy(context.obj.place()))
    try:
        policy(text)
    except InvalidLog as error:
        output.fail(f"What the registry publishes is no policy: {error}.", "malformed_policy")
    output.show_text({"policy": text}, text)


@audit.command("witness")
def witness(
    context: typer.Context,
    *,
    log: Log = None,
    policy: PolicyFile = None,
    _json: Json = False,
) -> None:
    """Cosign the log as a witness of your own, and print the witness's line for a policy.

    It signs only what continues the checkpoint that it signed last, which it keeps in the folder of `ZT_WITNESS`,
    by default ~/.config/zt/witness.
    """
    from zerotrust.tlog.checkpoint import checkpoint_of
    from zt.evidence import trusted
    from zt.witness import Witness, default_folder

    settings: Settings = context.obj
    with explained():
        there = _log(settings, log)
        key, signature = Witness(default_folder()).cosign(there, trusted(policy or settings.run / POLICY).logs)
    line, checkpoint = f"witness {key.public.name} {key.public}", checkpoint_of(there.note)
    document = {"origin": checkpoint.origin, "size": checkpoint.size, "key": str(key.public)}
    output.show_text(document | {"cosignature": str(signature)}, f"{line}\n")


def _log(settings: Settings, log: Path | None) -> "LogFolder":
    from zt.log_folder import LogFolder

    return LogFolder(log or settings.journals / LEDGER)


def _to_file(log: "LogFolder", note: "Note", to: Path) -> "Verification":
    """Write an export to a file, which has its name once it is whole."""
    from zt.errors import CommandError
    from zt.evidence import export

    unfinished = to.with_name(f"{to.name}.new")
    try:
        with unfinished.open("wb") as file:
            found = export(log, note, file)
        unfinished.replace(to)
    except OSError as error:
        printed = "Without --to, the export is printed: zt audit export > FILE."
        raise CommandError(f"{to} cannot be written: {error.strerror}.  {printed}", "not_written") from error
    finally:
        with suppress(OSError):  # where nothing can be written, nothing can be removed either
            unfinished.unlink()
    return found
