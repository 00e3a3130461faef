"""`zt`: the operators' client of the registry.  It signs the operator in for each command, and stores nothing.

zt party list
zt --user olga party suspend agent/reader --because "it was seen reading finance's forecast"
"""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from zerotrust.adapters.extras import extra
from zerotrust.registry.deployment import load_deployment
from zerotrust.registry.model import NAME, RegistryError, load_registry

with extra("zt"):
    import typer
    from rich.console import RenderableType
    from rich.text import Text

    from zt import offline
    from zt import show as showing
    from zt.journals import JournalsError, named
    from zt.offline import IDS
    from zt.output import Json, output
    from zt.password import ask_password
    from zt.registry_client import CommandError, Place, RegistryClient, no_party, signed_in

ROOT = Path(__file__).parents[1]
KEYCLOAK = "https://localhost:8443"

app = typer.Typer(name="zt", add_completion=False, no_args_is_help=True)
parties = typer.Typer(no_args_is_help=True)
app.add_typer(parties, name="party", help="List, show, suspend and reinstate parties.")
revoking = typer.Typer(no_args_is_help=True)
app.add_typer(revoking, name="revoke", help="Revoke a session, a user or a token.")
app.add_typer(offline.audit, name="audit", help="Show a task, and verify the journals.")
app.add_typer(offline.token, name="token", help="Decode a token, and compare two.")


def _name(given: str) -> str:
    """Return a party's name; exit with a message if it is malformed, because it becomes a part of a path."""
    if not re.fullmatch(NAME, given):
        output.fail(no_party(given), "no_such_party")
    return given


Name = Annotated[
    str, typer.Argument(metavar="NAME", help="as in registry.yaml, for example agent/reader", callback=_name)
]
T = TypeVar("T")

BY_ITSELF = "it is notified again until that succeeds"


@dataclass(frozen=True, slots=True)
class Settings:
    """The options that stand before a command."""

    user: str
    place: Callable[[], Place]
    journals: Path
    """The folder of the journals on this machine."""


def place(system: Path, deployed: Path | None = None, ca: Path | None = None) -> Place:
    """Return the addresses of the system of that folder.  Raises `RegistryError`.

    `deployed` says where its parties run, and `ca` is its certificate authority, if they are elsewhere.
    """
    registry = load_registry(system / "registry.yaml")
    deployment = load_deployment(deployed or system / "deploy" / "local.yaml", registry)
    return Place.of(registry, deployment, keycloak=KEYCLOAK, ca=ca or system / "run" / "ca.pem")


@app.callback()
def zt(  # noqa: PLR0913 - one for each variable
    context: typer.Context,
    *,
    user: Annotated[
        str, typer.Option(envvar="ZT_USER", help="an operator; prompted for at a terminal if it is not given")
    ] = "",
    system: Annotated[
        Path | None, typer.Option(envvar="ZT_SYSTEM", help="the folder of registry.yaml; by default this project's")
    ] = None,
    deployment: Annotated[
        Path | None, typer.Option(envvar="ZT_DEPLOYMENT", help="where parties run; by default deploy/local.yaml there")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(envvar="ZT_CA", help="the certificate authority; by default run/ca.pem there")
    ] = None,
    journals: Annotated[
        Path | None, typer.Option(envvar="ZT_JOURNALS", help="the journals' folder; by default run/data there")
    ] = None,
) -> None:
    """Administer the registry as an operator; read journals and tokens.

    The password is prompted for, or read from standard input.
    """
    system = system or ROOT
    there = partial(place, system, deployment, ca)
    context.obj = Settings(user, there, journals or system / "run" / "data")


@parties.command("list")
def show_all(context: typer.Context, *, _json: Json = False) -> None:
    """List all parties, each with its state."""
    answer = _as_operator(context, lambda registry: registry.ask("GET", "/parties"))
    output.show(answer, showing.parties(answer["parties"]))


@parties.command("show")
def show(context: typer.Context, name: Name, *, _json: Json = False) -> None:
    """Show one party, with its state and its approval."""
    answer = _as_operator(context, lambda registry: registry.party(name))
    output.show(answer, showing.party(answer))


Because = Annotated[str, typer.Option(help="for the record")]


@parties.command()
def suspend(context: typer.Context, name: Name, because: Because = "", *, _json: Json = False) -> None:
    """Suspend a party: calls by it and to it are refused, and its calls under way are cut off."""
    suspended = _as_operator(context, lambda registry: registry.suspend(name, because))
    _show(suspended, showing.parties([suspended["party"]]), BY_ITSELF)


@parties.command()
def reinstate(context: typer.Context, name: Name, *, _json: Json = False) -> None:
    """Reinstate a suspended party."""
    reinstated = _as_operator(context, lambda registry: registry.reinstate(name))
    _show(reinstated, showing.parties([reinstated["party"]]), "repeat the command when Keycloak answers")


Sid = Annotated[str, typer.Argument(metavar="SID", help="a session's id, as records have it")]
User = Annotated[str, typer.Argument(metavar="USER", help="by the name that they sign in with")]


def _token_id(given: str) -> str:
    """Return a token's id; exit with a message if it is malformed, because the registry has no list of valid ids."""
    if not re.fullmatch(IDS, given):
        form = "ntrtte:0001058d-2f3f-18df-0847-ea6907555bcf"
        why = f"Nothing was revoked: no token has the id {given}. One looks like {form}; records have it as token_id."
        output.fail(why, "malformed_id")
    return given


Jti = Annotated[str, typer.Argument(metavar="JTI", help="a token's id, as records have it", callback=_token_id)]


InAdvance = Annotated[bool, typer.Option("--in-advance", help="also if no record here names it")]


# Keycloak's session ids may begin with "-".
@revoking.command("session", context_settings={"ignore_unknown_options": True})
def revoke_session(
    context: typer.Context, session: Sid, because: Because = "", *, in_advance: InAdvance = False, _json: Json = False
) -> None:
    """End a session, and refuse every token of it."""
    if not in_advance:
        _check_known(context, "session", session)
    _revoke(context, "session", session, because)


@revoking.command("user")
def revoke_user(context: typer.Context, user: User, because: Because = "", *, _json: Json = False) -> None:
    """Refuse every token of a user, and prevent the user from signing in."""
    _revoke(context, "user", user, because)


@revoking.command("token")
def revoke_token(
    context: typer.Context, token: Jti, because: Because = "", *, in_advance: InAdvance = False, _json: Json = False
) -> None:
    """Refuse one token, by its id, and every token derived from it: by a transaction's id, all tokens of it."""
    if not in_advance:
        _check_known(context, "token", token)
    _revoke(context, "token", token, because)


def _check_known(context: typer.Context, kind: str, name: str) -> None:
    """Exit with a message unless a record names it: nobody else could say that an id has a typo."""
    settings: Settings = context.obj
    try:
        if named(settings.journals, kind, name):
            return
        why = f"No record in {settings.journals} names the {kind} {name}: check the id."
    except JournalsError as error:
        why = f"The {kind} {name} cannot be looked up: {error}"
    output.fail(f"Nothing was revoked.  {why}  To revoke it all the same: --in-advance.", f"unknown_{kind}")


def _revoke(context: typer.Context, kind: str, name: str, because: str) -> None:
    answer = _as_operator(context, lambda registry: registry.revoke(kind, name, because))
    _show(answer, Text(f"{kind} {name}: refused everywhere."), BY_ITSELF)


@app.command("reinstate")
def reinstate_user(context: typer.Context, user: User, *, _json: Json = False) -> None:
    """Reinstate a revoked user."""
    revocation = {"kind": "user", "name": user}
    answer = _as_operator(context, lambda registry: registry.ask("POST", "/reinstatements", revocation))
    if answer["keycloak"] == "notified":
        told = f"user {user}: reinstated. They may sign in again; their earlier tokens stay refused."
    else:
        told = f"user {user}: was not revoked, so nothing was done. `zt revocations` lists what is revoked."
    output.show(answer, Text(told))


@app.command()
def revocations(context: typer.Context, *, _json: Json = False) -> None:
    """List the revocations, the latest last, and how fresh they are."""
    answer = _as_operator(context, lambda registry: registry.ask("GET", "/revocations"))
    fresh = showing.sources(answer["number"], answer["sources"], answer["entries"] - len(answer["revoked"]))
    output.show(answer, *showing.revoked(answer["revoked"]), fresh)


@app.command()
def reload(context: typer.Context, *, _json: Json = False) -> None:
    """Make the registry read registry.yaml, registry.lock and the policies again."""
    answer = _as_operator(context, lambda registry: registry.ask("POST", "/reload"))
    changed = ", ".join(answer["changed"])
    output.show(answer, Text(f"Reloaded; changed: {changed}" if changed else "Reloaded; nothing has changed."))


def _as_operator(context: typer.Context, do: Callable[[RegistryClient], Awaitable[T]]) -> T:
    """Sign the operator in, run `do`, and return its result; exit with a message if that fails."""
    settings: Settings = context.obj
    user = settings.user or (typer.prompt("User") if sys.stdin.isatty() else None)
    if not user:  # standard input is only for the password
        output.fail("Name the operator: --user or ZT_USER.", "no_operator")
    password = ask_password()

    async def done() -> T:
        async with signed_in(settings.place(), user, password) as registry:
            return await do(registry)

    try:
        return asyncio.run(done())
    except CommandError as error:
        output.fail(str(error), error.reason)
    except RegistryError as error:
        output.fail(str(error), "registry_unfit")


def _show(answer: dict[str, Any], shown: RenderableType, otherwise: str) -> None:
    """Show what was done; exit with a message if Keycloak has not confirmed it, and then `otherwise`."""
    output.show(answer, shown)
    result, _, why = answer["keycloak"].partition(": ")
    if result == "not applicable":
        output.note(f"Keycloak was not notified: {why}.")
    elif result != "notified":
        why = f"All services know it, but Keycloak did not confirm it ({why}): {otherwise}."
        output.fail(why, "keycloak_unconfirmed")
