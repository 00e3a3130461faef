"""Prints each command's output: text for people or, with `--json`, one JSON document; errors go to standard error."""

import json
import shutil
import sys
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

import typer
from rich.console import RenderableType
from rich.text import Text

from zerotrust.authority.visible import printable
from zt.terminal import Terminal

# If the output is not a terminal: as wide as COLUMNS says, or wide enough for the tables.
console = Terminal(width=None if sys.stdout.isatty() else shutil.get_terminal_size((160, 24)).columns, highlight=False)


class Output:
    """Prints a command's results and its error, in the form that the command was asked for."""

    as_json = False

    def show(self, document: Any, *shown: RenderableType) -> None:
        if self.as_json:
            # ASCII: a terminal finds nothing in it to obey.  Flushed now: a reader that has gone is no traceback here.
            print(json.dumps(document), flush=True)
        else:
            console.print(*shown, sep="\n", crop=False)  # a value that is longer than a line stays whole

    def show_text(self, document: Any, text: str) -> None:
        """Print the JSON document, or a text for a file: its lines are not broken."""
        print(json.dumps(document) if self.as_json else printable(text).removesuffix("\n"), flush=True)

    def note(self, text: str) -> None:
        """Print a sentence for people, which the JSON document has in another form."""
        if not self.as_json:
            console.print(Text(text))

    def say(self, text: str, facts: Mapping[str, Any]) -> None:
        """Tell a person on standard error what to do, in a text or in facts for programs."""
        if self.as_json:
            print(json.dumps(facts), file=sys.stderr, flush=True)
        else:
            Terminal(stderr=True, highlight=False, soft_wrap=True).print(Text(text))

    def fail(self, why: str, reason: str) -> NoReturn:
        """Print an error to standard error, and exit with status 1.  `reason` is its name for programs."""
        if self.as_json:
            print(json.dumps({"reason": reason, "error": why}), file=sys.stderr)
        else:
            Terminal(stderr=True, highlight=False, soft_wrap=True).print(Text(why, style="red"))
        raise typer.Exit(1)


output = Output()


def _choose(*, chosen: bool) -> None:
    output.as_json = chosen


Json = Annotated[
    bool,
    typer.Option(
        "--json", help="print one JSON document; an error too, to standard error", is_eager=True, callback=_choose
    ),
]
