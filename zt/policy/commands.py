"""The commands about the policies: `zt policy list`, `zt policy activate`, `zt policy explain TRACE`."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.text import Text

from zt.operators import Because, Settings, reporting_errors, run_at
from zt.output import Json, output
from zt.policy import show as showing

if TYPE_CHECKING:
    from zt.people.authority_client import PolicyClient

T = TypeVar("T")
policy = typer.Typer(no_args_is_help=True)

Folder = Annotated[
    Path | None,
    typer.Argument(
        metavar="FOLDER",
        help="the folder of the policies; by default policies/ of the system; `-`: standard input, with the `content` "
        "that `zt policy show --json` prints",
    ),
]
Number = Annotated[int | None, typer.Argument(metavar="N", min=1, help="the number of a version")]


@policy.command("list")
def show_all(context: typer.Context, *, _json: Json = False) -> None:
    """List the versions of the policies, the newest first."""
    answer = _at(context, lambda authority: authority.ask("GET", "/versions"))
    output.show(answer, showing.versions(answer))


@policy.command("show")
def show(
    context: typer.Context,
    number: Number = None,
    *,
    to: Annotated[Path | None, typer.Option("--to", help="a new folder that the files are written to")] = None,
    _json: Json = False,
) -> None:
    """Show a version of the policies, by default the version in force: its rules, schema and decision table."""
    from zt.policy.folder import files, write

    answer = _at(context, lambda authority: _version(authority, number))
    with reporting_errors():
        if to:
            write(answer["content"], to)
            output.show(answer, Text(f"Version {answer['number']} is in {to}."))
        else:
            output.show_text(answer, showing.version(answer, files(answer["content"])))


@policy.command("test")
def try_out(context: typer.Context, folder: Folder = None, *, _json: Json = False) -> None:
    """Have the policy authority test policies, which keeps nothing; exit with status 1 if they are unfit.

    It tells which rules and answers would be others than in the policies in force, and what is wrong.
    """
    content = _read(context, folder)
    answer = _at(context, lambda authority: authority.ask("POST", "/versions/test", content))
    output.show(answer, *showing.test_result(answer))
    if answer["problems"]:
        raise typer.Exit(1)


@policy.command()
def activate(context: typer.Context, folder: Folder = None, *, because: Because, _json: Json = False) -> None:
    """Put policies into force at every service, as a new version, if they are fit."""
    content = _read(context, folder)

    async def ask(authority: "PolicyClient") -> tuple[dict[str, Any], dict[str, Any]]:
        tested = await authority.ask("POST", "/versions/test", content)
        if tested["same"] and not tested["problems"]:
            return tested, {}
        activation = {"content": content, "why": because, "after": tested["active"]}
        return tested, await authority.ask("POST", "/versions", activation)

    tested, version = _at(context, ask)
    if version:
        output.show(version, *showing.activation(version, tested))
    else:
        text = f"Nothing was activated: version {tested['active']}, which is in force, has the same text."
        output.show({"active": tested["active"]}, Text(text))


@policy.command()
def rollback(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="N", min=1, help="the number of a version")],
    *,
    because: Because,
    again: Annotated[
        bool, typer.Option("--again", help="also if it is in force: after a backup was restored, it is published again")
    ] = False,
    _json: Json = False,
) -> None:
    """Put an older version of the policies into force again, under a new number."""

    async def ask(authority: "PolicyClient") -> tuple[int, dict[str, Any], dict[str, Any]]:
        before = (await authority.ask("GET", "/versions"))["active"]
        content = (await _version(authority, number))["content"]
        differences = await authority.ask("POST", "/versions/test", content)
        if differences["same"] and not again:
            return before, {}, {}
        body = {"version": number, "why": because, "after": before}
        return before, await authority.ask("POST", "/versions/rollback", body), differences

    before, version, differences = _at(context, ask)
    if not version:
        same = "is in force" if before == number else f"has the same text as version {before}, which is in force"
        output.fail(
            f"Nothing was rolled back: version {number} {same}.  `zt policy list` lists the others.  To publish it "
            "once more under a new number, as after a backup was restored: --again.",
            "in_force",
        )
    output.show(version, *showing.activation(version, differences))


@policy.command()
def explain(
    context: typer.Context,
    trace: Annotated[str, typer.Argument(metavar="TRACE", help="an id of a trace, transaction or token")],
    *,
    _json: Json = False,
) -> None:
    """Explain in words why a task was refused or allowed what it asked for: first the refusals.

    Decisions that are alike are one line; `--json` has each.  They are those in the journals on this machine; the
    policy authority says which rules they are by.
    """
    from zt.audit.commands import explaining_faults
    from zt.audit.journals import find
    from zt.audit.query import parse_query
    from zt.policy.explanation import decisions, explanations
    from zt.policy.show import explanation_lines as explained_to_people

    if not (what := parse_query(trace)) or what.kind != "id":
        output.fail(f"{trace} is not an id: the answer of a task has its trace_id.", "malformed_id")
    settings: Settings = context.obj
    with explaining_faults():
        records = find(settings.journals, what)
    found = decisions(records.events)
    if not found:
        output.fail(f"No decision in {settings.journals} is about {trace}.  Other journals: --journals.", "unknown_id")
    authors = {id(event): author for event, author in zip(records.events, records.authors, strict=True)}
    answer = _at(context, lambda authority: explanations(authority, found, authors))
    output.show(answer, *explained_to_people(answer))


def _at(context: typer.Context, do: "Callable[[PolicyClient], Awaitable[T]]") -> T:
    from zt.people.authority_client import PolicyClient

    return run_at(PolicyClient, context, do)


def _read(context: typer.Context, folder: Path | None) -> dict[str, Any]:
    """Return the policies of a folder; exit with a message if they cannot be read."""
    from zt.policy.folder import other_files, read, read_input

    settings: Settings = context.obj
    folder = folder or settings.system / "policies"
    with reporting_errors():
        if folder == Path("-"):
            return read_input()
        content = read(folder)
        if unread := other_files(folder):
            output.say(f"Not read: {', '.join(unread)}.", {"not_read": unread})
        return content


async def _version(authority: "PolicyClient", number: int | None) -> dict[str, Any]:
    return await authority.ask("GET", f"/versions/{number or (await authority.ask('GET', '/versions'))['active']}")
