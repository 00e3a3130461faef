"""Attacks the pass-through of figure 3 (`make before`), and says after each attack what stops it in this project."""

import sys

import typer

from demo.parts import paragraph
from local.program import busy, console, until_stopped

INTRODUCTION = (
    "The system that figure 3 of the series draws as today's. alice's client calls an agent. The agent hands her own "
    "token to a Llama Stack server, and with it the static key of its tool. The server checks that one token, asks the "
    "model, and calls the tool with the key. Server and Keycloak are the real ones; documents, their poison and the "
    "model's rules are those of this project."
)


def main() -> None:
    """Start Keycloak and the pass-through, attack it, and end everything."""
    paragraph(INTRODUCTION)
    console.print()
    sys.exit(until_stopped(_story()))


async def _story() -> int:
    with busy("The program is loaded"):
        from lab.before.llama_stack.story import story  # noqa: PLC0415 - takes seconds, and the introduction is first
    return await story()


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app(prog_name="scripts/run lab.before.llama_stack")
