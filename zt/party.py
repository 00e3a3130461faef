"""The commands about parties: `zt party suspend agent/reader`."""

import re
from typing import Annotated

import typer

from zt import show as showing
from zt.operators import NOTIFIED_AGAIN, Because, run_as_operator, show_done
from zt.output import Json, output

parties = typer.Typer(no_args_is_help=True)


def _check_name(given: str) -> str:
    """Return a party's name; exit with a message if it is malformed, because it becomes a part of a path."""
    from zerotrust.registry.model import NAME
    from zt.people.registry_client import no_party

    if not re.fullmatch(NAME, given):
        output.fail(no_party(given), "no_such_party")
    return given


Name = Annotated[
    str, typer.Argument(metavar="NAME", help="as in registry.yaml, for example agent/reader", callback=_check_name)
]


@parties.command("list")
def show_all(context: typer.Context, *, _json: Json = False) -> None:
    """List all parties, each with its state."""
    answer = run_as_operator(context, lambda registry: registry.ask("GET", "/parties"))
    output.show(answer, showing.parties(answer["parties"]))


@parties.command("show")
def show(context: typer.Context, name: Name, *, _json: Json = False) -> None:
    """Show one party, with its state and its approval."""
    answer = run_as_operator(context, lambda registry: registry.party(name))
    output.show(answer, showing.party(answer))


@parties.command()
def suspend(context: typer.Context, name: Name, because: Because = "", *, _json: Json = False) -> None:
    """Suspend a party: calls by it and to it are refused, and its calls under way are cut off."""
    suspended = run_as_operator(context, lambda registry: registry.suspend(name, because))
    done = f"Suspended.  No party calls {name} or accepts its calls"
    show_done(suspended, showing.parties([suspended["party"]]), done, NOTIFIED_AGAIN)


@parties.command()
def reinstate(context: typer.Context, name: Name, because: Because = "", *, _json: Json = False) -> None:
    """Reinstate a suspended party."""
    reinstated = run_as_operator(context, lambda registry: registry.reinstate(name, because))
    done = f"Reinstated.  The other parties call {name} and accept its calls again"
    otherwise = f"it may issue no token to {name} yet.  Repeat the command when Keycloak answers."
    show_done(reinstated, showing.parties([reinstated["party"]]), done, otherwise)
