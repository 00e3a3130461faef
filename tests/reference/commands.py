"""docs/reference/zt.md: the commands and options of `zt` as it has them, and the reasons of its own errors."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from tests.reference.source import one_space
from tests.support.system import ROOT
from zt.commands import app
from zt.people.authorities import POLICY_AUTHORITY, REGISTRY

ERRORS = {"output.fail", "CommandError"}
"""What an error of `zt` is made with: its text, and then its reason."""
UNKNOWN = {"unknown_session", "unknown_token"}
"""Of what is revoked; the kind is taken in when the error is made."""
MEANINGS = Path(__file__).with_name("errors.txt")
_INTRODUCTION = """\
# zt

`start/run tests.reference` writes this page from the program. [Operate the system](../how-to/operate.md) says how
to sign in, and has recipes. `--help` after any command prints the same.

With `--json`, a command prints one JSON document on standard output. Errors go to standard error: with `--json` as one
JSON object with `reason` for programs and `error` for people. How to sign in is printed there, too, before any error.

| status | meaning |
|---|---|
| 0 | The command was carried out. |
| 1 | It was refused or failed, or Keycloak did not confirm it. Or what was verified is not as it was signed. |
| 2 | The command line has a mistake. This error is text, also with `--json`. |
| 3 | `zt receipt verify --export`: nothing is wrong, but the export does not show yet whether a call was left out. |
| 130 | The command was interrupted. |

## Options before the command

As in `zt --user olga party list`."""
_REASONS = """\
## Reasons

An error's `reason` is the [reason](reasons.md) that an authority gave, or `step_1` to `step_10` for
[the step](receipts.md#the-ten-steps) of a receipt that failed, or one of these:

| reason | meaning |
|---|---|"""


def page() -> str:
    program: Any = typer.main.get_command(app)
    return "\n".join([_INTRODUCTION, *_options(program.params), *_commands(program, "zt"), _REASONS, *_reasons(), ""])


def _commands(group: Any, above: str) -> Iterator[str]:
    yield f"\n## {above}\n\n{one_space(group.help)}\n"
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            continue
        usage = [above, name, "[OPTIONS]", *(_place(one) for one in command.params if one.opts[0][0] != "-")]
        yield f"### {above} {name}\n\n`{' '.join(usage)}`\n\n{one_space(command.help)}"
        yield from _options(one for one in command.params if "--json" not in one.opts)
        yield ""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{above} {name}")


def _place(argument: Any) -> str:
    return argument.metavar if argument.required or "[" in argument.metavar else f"[{argument.metavar}]"


def _options(parameters: Any) -> Iterator[str]:
    found = list(parameters)
    variables = any(one.envvar for one in found)
    if found:
        yield f"\n| option | {'variable | ' * variables}meaning |\n|---|{'---|' * variables}---|"
    for one in found:
        name = one.opts[0] if one.opts[0].startswith("-") else one.metavar
        required = " (required)" if one.required and name.startswith("-") else ""
        yield f"| `{name}` | {f'`{one.envvar}` | ' * variables}{one.help}{required} |"


def _reasons() -> Iterator[str]:
    meanings = dict(line.split(": ", 1) for line in MEANINGS.read_text().splitlines())
    yield from (f"| `{reason}` | {meanings[reason]} |" for reason in sorted(reasons()))


def reasons() -> set[str]:
    """Return the reasons of errors that `zt` itself has."""
    trees = [ast.parse(file.read_text()) for file in (ROOT / "zt").rglob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    given = [call.args[1] for call in calls if ast.unparse(call.func) in ERRORS]
    of_doors = {
        reason for door in (REGISTRY, POLICY_AUTHORITY) for reason in (door.expired_reason, door.impostor_reason)
    }
    return {str(one.value) for one in given if isinstance(one, ast.Constant)} | of_doors | UNKNOWN


def drop_what_is_gone() -> None:
    """Write `errors.txt` without reasons that `zt` does not have."""
    kept = [line for line in MEANINGS.read_text().splitlines() if line.partition(":")[0] in reasons()]
    MEANINGS.write_text("".join(f"{line}\n" for line in kept))
