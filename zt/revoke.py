"""The commands that revoke a session, a user or a token: `zt revoke user alice`."""

import re
from typing import Annotated

import typer
from rich.text import Text

from zerotrust.authority.names import IDS
from zt.operators import NOTIFIED_AGAIN, Because, Settings, run_as_operator, show_done
from zt.output import Json, output

revoking = typer.Typer(no_args_is_help=True)

Sid = Annotated[str, typer.Argument(metavar="SID", help="a session's id, as records have it")]
User = Annotated[str, typer.Argument(metavar="USER", help="by the name that they sign in with")]


def _check_token_id(given: str) -> str:
    """Return a token's id; exit with a message if it is malformed, because the registry has no list of valid ids."""
    if not re.fullmatch(IDS, given):
        form = "ntrtte:0001058d-2f3f-18df-0847-ea6907555bcf"
        why = f"Nothing was revoked: no token has the id {given}. One looks like {form}; records have it as token_id."
        output.fail(why, "malformed_id")
    return given


Jti = Annotated[str, typer.Argument(metavar="JTI", help="a token's id, as records have it", callback=_check_token_id)]
InAdvance = Annotated[bool, typer.Option("--in-advance", help="also if no record here names it")]


# Keycloak's session ids may begin with "-".
@revoking.command("session", context_settings={"ignore_unknown_options": True})
def revoke_session(
    context: typer.Context, session: Sid, because: Because = "", *, in_advance: InAdvance = False, _json: Json = False
) -> None:
    """End a session, and refuse every token of it."""
    _revoke(context, "session", session, because, unknown=in_advance)


@revoking.command("user")
def revoke_user(context: typer.Context, user: User, because: Because = "", *, _json: Json = False) -> None:
    """Refuse every token of a user, and prevent the user from signing in."""
    _revoke(context, "user", user, because, unknown=True)


@revoking.command("token")
def revoke_token(
    context: typer.Context, token: Jti, because: Because = "", *, in_advance: InAdvance = False, _json: Json = False
) -> None:
    """Refuse one token, by its id, and every token derived from it: by a transaction's id, all tokens of it."""
    _revoke(context, "token", token, because, unknown=in_advance)


def _check_known(context: typer.Context, kind: str, name: str) -> None:
    """Exit with a message unless a record names it: nothing else would find a typo in an id."""
    from zt.audit.journals import is_named
    from zt.errors import CommandError

    settings: Settings = context.obj
    try:
        if is_named(settings.journals, kind, name):
            return
        why = f"No record in {settings.journals} names the {kind} {name}: check the id."
    except CommandError as error:
        why = f"The {kind} {name} cannot be looked up: {error}"
    output.fail(f"Nothing was revoked.  {why}  To revoke it all the same: --in-advance.", f"unknown_{kind}")


def _revoke(context: typer.Context, kind: str, name: str, because: str, *, unknown: bool) -> None:
    """Revoke it.  `unknown`: also if no record here names it."""
    if not unknown:
        _check_known(context, kind, name)
    answer = run_as_operator(context, lambda registry: registry.revoke(kind, name, because))
    done = f"Revoked.  No party accepts the {'tokens of the ' if kind != 'token' else ''}{kind} {name}"
    show_done(answer, Text(f"{kind} {name}: refused everywhere."), done, NOTIFIED_AGAIN)
