"""`zt`: the operators' client of the registry.  It signs the operator in for each command, and stores nothing.

zt party list
zt --user olga party suspend agent/reader --because "it was seen reading finance's forecast"
"""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

from zerotrust.adapters.extras import extra
from zerotrust.registry.deployment import load_deployment
from zerotrust.registry.model import NAME, RegistryError, load_registry

with extra("zt"):
    import typer
    from rich.text import Text

    from zt import show as showing
    from zt.password import ask_password
    from zt.registry_client import CommandError, Place, RegistryClient, no_party, signed_in
    from zt.terminal import Terminal

ROOT = Path(__file__).parents[1]
KEYCLOAK = "https://localhost:8443"

app = typer.Typer(name="zt", add_completion=False, no_args_is_help=True)
parties = typer.Typer(no_args_is_help=True)
app.add_typer(parties, name="party", help="List, show, suspend and reinstate parties.")
revoking = typer.Typer(no_args_is_help=True)
app.add_typer(revoking, name="revoke", help="Revoke a session, a user or a token.")
# Wide enough for the tables if the output is not a terminal.
console = Terminal(width=None if sys.stdout.isatty() else 160, highlight=False)


def _name(given: str) -> str:
    """Return a party's name; exit with a message if it is malformed, because it becomes a part of a path."""
    if not re.fullmatch(NAME, given):
        _fail(no_party(given))
    return given


Name = Annotated[
    str, typer.Argument(metavar="NAME", help="as in registry.yaml, for example agent/reader", callback=_name)
]
T = TypeVar("T")

BY_ITSELF = "it is notified again until that succeeds"


def place(system: Path, deployed: Path | None = None, ca: Path | None = None) -> Place:
    """Return the addresses of the system of that folder.  Raises `RegistryError`.

    `deployed` says where its parties run, and `ca` is its certificate authority, if they are elsewhere.
    """
    registry = load_registry(system / "registry.yaml")
    deployment = load_deployment(deployed or system / "deploy" / "local.yaml", registry)
    return Place.of(registry, deployment, keycloak=KEYCLOAK, ca=ca or system / "run" / "ca.pem")


@app.callback()
def zt(
    context: typer.Context,
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
) -> None:
    """Administer the registry, as an operator.  The password is prompted for, or read from standard input."""
    context.obj = user, partial(place, system or ROOT, deployment, ca)


@parties.command("list")
def show_all(context: typer.Context) -> None:
    """List all parties, each with its state."""
    answer = _as_operator(context, lambda registry: registry.ask("GET", "/parties"))
    console.print(showing.parties(answer["parties"]))


@parties.command("show")
def show(context: typer.Context, name: Name) -> None:
    """Show one party, with its state and its approval."""
    console.print(showing.party(_as_operator(context, lambda registry: registry.party(name))))


@parties.command()
def suspend(
    context: typer.Context,
    name: Name,
    because: Annotated[str, typer.Option(help="for the record")] = "",
) -> None:
    """Suspend a party: calls by it and to it are refused, and its calls under way are cut off."""
    suspended = _as_operator(context, lambda registry: registry.suspend(name, because))
    _show_revocations(suspended, BY_ITSELF)


@parties.command()
def reinstate(context: typer.Context, name: Name) -> None:
    """Reinstate a suspended party."""
    reinstated = _as_operator(context, lambda registry: registry.reinstate(name))
    _show_revocations(reinstated, "repeat the command when Keycloak answers")


Because = Annotated[str, typer.Option(help="for the record")]
Sid = Annotated[str, typer.Argument(metavar="SID", help="a session's id, as records have it")]
User = Annotated[str, typer.Argument(metavar="USER", help="by the name that they sign in with")]
IDS = r"([a-z]+:)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""The form of a `jti` of Keycloak: letters for how the token was issued, and a UUID."""


def _token_id(given: str) -> str:
    """Return a token's id; exit with a message if it is malformed, because the registry has no list of valid ids."""
    if not re.fullmatch(IDS, given):
        form = "ntrtte:0001058d-2f3f-18df-0847-ea6907555bcf"
        _fail(f"Nothing was revoked: no token has the id {given}. One looks like {form}; records have it as token_id.")
    return given


Jti = Annotated[str, typer.Argument(metavar="JTI", help="a token's id, as records have it", callback=_token_id)]


# Keycloak's session ids may begin with "-".
@revoking.command("session", context_settings={"ignore_unknown_options": True})
def revoke_session(context: typer.Context, session: Sid, because: Because = "") -> None:
    """End a session, and refuse every token of it."""
    _revoke(context, "session", session, because)


@revoking.command("user")
def revoke_user(context: typer.Context, user: User, because: Because = "") -> None:
    """Refuse every token of a user, and prevent the user from signing in."""
    _revoke(context, "user", user, because)


@revoking.command("token")
def revoke_token(context: typer.Context, token: Jti, because: Because = "") -> None:
    """Refuse one token, by its id, and every token derived from it: by a transaction's id, all tokens of it."""
    _revoke(context, "token", token, because)


def _revoke(context: typer.Context, kind: str, name: str, because: str) -> None:
    answer = _as_operator(context, lambda registry: registry.revoke(kind, name, because))
    console.print(Text(f"{kind} {name}: refused everywhere."))
    _show_keycloak(answer, BY_ITSELF)


@app.command("reinstate")
def reinstate_user(context: typer.Context, user: User) -> None:
    """Reinstate a revoked user."""
    revocation = {"kind": "user", "name": user}
    _as_operator(context, lambda registry: registry.ask("POST", "/reinstatements", revocation))
    console.print(Text(f"user {user}: reinstated. They may sign in again; their earlier tokens stay refused."))


@app.command()
def revocations(context: typer.Context) -> None:
    """List the revocations, the latest last, and how fresh they are."""
    answer = _as_operator(context, lambda registry: registry.ask("GET", "/revocations"))
    console.print(*showing.revoked(answer["revoked"]), sep="\n")
    console.print(showing.sources(answer["number"], answer["sources"], answer["entries"] - len(answer["revoked"])))


@app.command()
def reload(context: typer.Context) -> None:
    """Make the registry read registry.yaml, registry.lock and the policies again."""
    changed = _as_operator(context, lambda registry: registry.ask("POST", "/reload"))["changed"]
    console.print(Text(f"Reloaded; changed: {', '.join(changed)}" if changed else "Reloaded; nothing has changed."))


def _as_operator(context: typer.Context, do: Callable[[RegistryClient], Awaitable[T]]) -> T:
    """Sign the operator in, run `do`, and return its result; exit with a message if that fails."""
    user, where = context.obj
    user = user or (typer.prompt("User") if sys.stdin.isatty() else None)
    if not user:  # standard input is only for the password
        _fail("Name the operator: --user or ZT_USER.")
    password = ask_password()

    async def done() -> T:
        async with signed_in(where(), user, password) as registry:
            return await do(registry)

    try:
        return asyncio.run(done())
    except (CommandError, RegistryError) as error:
        _fail(str(error))


def _show_revocations(answer: dict[str, Any], otherwise: str) -> None:
    console.print(showing.parties([answer["party"]]))
    _show_keycloak(answer, otherwise)


def _show_keycloak(answer: dict[str, Any], otherwise: str) -> None:
    result, _, why = answer["keycloak"].partition(": ")
    if result == "not applicable":
        console.print(Text(f"Keycloak was not notified: {why}."))
    elif result != "notified":
        _fail(f"All services know it, but Keycloak did not confirm it ({why}): {otherwise}.")


def _fail(why: str) -> NoReturn:
    Terminal(stderr=True, highlight=False, soft_wrap=True).print(Text(why, style="red"))
    raise typer.Exit(1)
