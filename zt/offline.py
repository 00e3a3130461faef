"""The commands that need no operator: they read journals on this machine, and tokens that are piped in.

Each imports what it needs when it runs, as in `operators`.
"""

import dataclasses
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from zt.names import token_names
from zt.output import Json, console, output

if TYPE_CHECKING:
    from zerotrust.audit.event import AuditEvent
    from zt.operators import Settings

audit = typer.Typer(no_args_is_help=True)
token = typer.Typer(no_args_is_help=True)

IDS = r"([a-z]+:)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""The form of a `jti` of Keycloak: letters for how the token was issued, and a UUID."""
_FOUND_BY = re.compile(rf"[0-9a-f]{{32}}|{IDS}")


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
def verify(context: typer.Context, *, _json: Json = False) -> None:
    """Check the hash chain of every journal; exit with status 1 if a record was changed.

    To detect that the last records were changed or cut off takes an anchor outside the journal.
    """
    from zt.journals import JournalsError, check, journals

    folder: Path = context.obj.journals
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


@token.command("show")
def show_token(*, _json: Json = False) -> None:
    """Decode one token on standard input, or compare two.  Signatures are not verified."""
    from zt import tokens

    if sys.stdin.isatty():  # it would be shown, and stay on the screen
        output.fail("Pipe a token in, for example: scripts/run local token alice | zt token show", "no_token")
    try:
        found = [tokens.decode(one) for one in tokens.tokens_in(sys.stdin.read(tokens.MAX_INPUT + 1))]
    except (tokens.TokenError, UnicodeDecodeError) as error:
        output.fail(str(error), "malformed_token")
    document = {"signature_verified": False, "tokens": [{"header": one.header, "claims": one.claims} for one in found]}
    if len(found) == 1:
        output.show(document, tokens.one(found[0], console.width), Text(tokens.NOT_VERIFIED))
    else:
        first, second = found
        shown = tokens.compared(first, second, console.width)
        output.show(document | {"changes": tokens.changes(first, second)}, shown, Text(tokens.NOT_VERIFIED))
