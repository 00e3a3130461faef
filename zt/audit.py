"""The commands about the audit log and the journals.  They need no operator, and but for `policy` nothing that runs.

Each imports what it needs when it runs, as in `operators`.
"""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.text import Text

from zt import show_evidence as showing
from zt.names import token_names
from zt.output import Json, output

if TYPE_CHECKING:
    from zerotrust.audit.event import AuditEvent
    from zerotrust.audit.fault import Fault
    from zt.operators import Settings

audit = typer.Typer(no_args_is_help=True)

IDS = r"([a-z]+:)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""The form of a `jti` of Keycloak: letters for how the token was issued, and a UUID."""
_FOUND_BY = re.compile(rf"[0-9a-f]{{32}}|{IDS}")

POLICY = "audit.policy"
"""The file of the system on this machine, which says who signs its log."""
Log = Annotated[
    Path | None, typer.Option("--log", help="the folder of the log; by default that of the ledger on this machine")
]
PolicyFile = Annotated[
    Path | None, typer.Option("--policy", help="which log and which witnesses; by default run/audit.policy")
]
After = Annotated[int, typer.Option("--after", min=0, help="without so many leaves at the beginning of the log")]


@audit.command("show")
def show(
    context: typer.Context,
    found_by: Annotated[str, typer.Argument(metavar="ID", help="a task's trace id, or a transaction's or token's id")],
    *,
    _json: Json = False,
) -> None:
    """Show what a task did: each token below the one it came from, with the decisions about its calls."""
    if not _FOUND_BY.fullmatch(found_by):
        output.fail(
            f"{found_by} is no id: the answer of a task has its trace_id, 32 hexadecimal digits.", "malformed_id"
        )
    from zt.journals import JournalsError, find
    from zt.trail import trail

    settings: Settings = context.obj
    folder = settings.journals
    try:
        found = find(folder, found_by)
        names = _names(settings, found_by, found)
    except JournalsError as error:
        output.fail(str(error), "journals_unreadable")
    if not found:
        output.fail(f"No record in {folder} names {found_by}.  Earlier runs are in run/past: --journals.", "unknown_id")
    events = [json.loads(event.canonical()) for event in found]
    tree = trail(found, name=lambda token: names[token.token_id], details=True)
    output.show({"id": found_by, "events": events}, tree, _summary(found))


def _names(settings: "Settings", found_by: str, found: list["AuditEvent"]) -> dict[str, str]:
    """Return the names of the tokens of these records.  Raises `JournalsError`."""
    from zt.journals import find

    tokens = [token for event in found if (token := getattr(event.data, "principal", None))]
    # By a token's id only a part is found.  Its tokens have the names that they have in the whole.
    if tokens and re.fullmatch(IDS, found_by) and found_by != tokens[0].transaction:
        whole = find(settings.journals, tokens[0].transaction)
        tokens = [token for event in whole if (token := getattr(event.data, "principal", None))]
    return token_names(settings.calls(), tokens)


def _summary(found: list["AuditEvent"]) -> Text:
    from zerotrust.audit.event import MICROSECONDS
    from zt.trail import decisions

    outcomes = Counter(data.decision.allowed for _, data in decisions(found))
    services = len({event.service for event in found})
    seconds = (found[-1].time - found[0].time) / MICROSECONDS
    parties = "1 party" if services == 1 else f"{services} parties"
    return Text(f"{outcomes[True]} allowed, {outcomes[False]} refused, within {seconds:.1f} s; records of {parties}.")


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
    after: After = 0,
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
            found = verified(export, trust, after=after, held=held, local=journals)
        except Faulty as faulty:
            _show_fault(export, faulty.fault)
    output.show({"verified": True} | found.document, *showing.verified(found))


@contextmanager
def explained() -> Iterator[None]:
    """Exit with a message if a file of the evidence cannot be read."""
    from zt.evidence import EvidenceError
    from zt.journals import JournalsError
    from zt.log_folder import LogFolderError
    from zt.witness import WitnessError

    try:
        yield
    except EvidenceError as error:
        output.fail(str(error), error.reason)
    except JournalsError as error:
        output.fail(str(error), "journals_unreadable")
    except LogFolderError as error:
        output.fail(str(error), "log_unreadable")
    except WitnessError as error:
        output.fail(str(error), "not_cosigned")


def _show_fault(export: Path, fault: "Fault") -> NoReturn:
    document = {"verified": False, "export": str(export), "fault": dataclasses.asdict(fault)}
    told = Text.assemble((f"{export}: not verified.\n", "red"), showing.fault(fault))
    output.show(document, told)
    raise typer.Exit(1)


def _verify_journals(folder: Path) -> None:
    from zt.journals import JournalsError, check, journals

    try:
        checked = [check(path) for path in journals(folder)]
    except JournalsError as error:
        output.fail(str(error), "journals_unreadable")
    lines = []
    for one in checked:
        state = Text(f"record {one.first_bad} was changed", "red") if one.first_bad else Text("chain intact", "green")
        records = "1 record" if one.records == 1 else f"{one.records} records"
        lines.append(Text.assemble(f"{one.path}: {records}, ", state))
    output.show({"journals": [dataclasses.asdict(one) | {"path": str(one.path)} for one in checked]}, *lines)
    if any(one.first_bad for one in checked):
        raise typer.Exit(1)
