"""`make before`: attacks the systems that figures 1 and 3 of the series draw as today's."""

import sys

import typer

from demo.parts import paragraph
from local.program import busy, console, until_stopped

INTRODUCTION = (
    "The system that figure 1 of the series draws as today's. alice signs in at an application. The application has a "
    "client id and a secret; for those it gets one token, in which no user is named, good for everything, for an hour. "
    "The orchestrator checks that token; agents and tool get it passed on, and check nothing but the tool's static "
    "key. Agents' task, documents and model are those of this project, and the token is of the same Keycloak."
)


def main() -> None:
    """Start Keycloak, attack the systems before one after the other, and end everything."""
    paragraph(INTRODUCTION)
    console.print()
    sys.exit(until_stopped(_story()))


async def _story() -> int:
    with busy("The program is loaded"):
        from lab.before.story import story  # noqa: PLC0415 - takes seconds, and the introduction is first
    return await story()


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app(prog_name="scripts/run lab.before")
