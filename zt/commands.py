"""`zt`: the operators' client of the registry and of the policy authority.

A person's sign-in serves several commands, for 15 minutes; a party of the registry operates by its own identity.

zt party list
zt party suspend agent/reader --because "it was seen reading finance's forecast"
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from zt import show as showing
from zt.audit.commands import audit
from zt.operators import Settings, reporting_errors, run_as_operator
from zt.output import Json, output
from zt.party import parties
from zt.policy import commands as policies
from zt.receipt import commands as receipts
from zt.revoke import User, revoking

ROOT = Path(__file__).parents[1]

app = typer.Typer(name="zt", add_completion=False, no_args_is_help=True)
app.add_typer(parties, name="party", help="List, show, suspend and reinstate parties.")
app.add_typer(revoking, name="revoke", help="Revoke a session, a user or a token.")
app.add_typer(policies.policy, name="policy", help="Read, test, activate and roll back what the parties may do.")
app.add_typer(audit, name="audit", help="Show who did what; export the audit log, and verify it.")
app.add_typer(receipts.receipt, name="receipt", help="Verify who took part in a task.")


@app.callback()
def zt(  # noqa: PLR0913 - one for each variable
    context: typer.Context,
    *,
    user: Annotated[
        str, typer.Option(envvar="ZT_USER", help="the operator; if another person signs in, nothing is done")
    ] = "",
    party: Annotated[
        str, typer.Option("--as", envvar="ZT_AS", help="operate as this party; the process must hold its identity")
    ] = "",
    device: Annotated[
        bool, typer.Option("--device", envvar="ZT_DEVICE", help="sign in by a code, in a browser anywhere")
    ] = False,
    system: Annotated[
        Path | None, typer.Option(envvar="ZT_SYSTEM", help="the folder of registry.yaml; by default this project's")
    ] = None,
    deployment: Annotated[
        Path | None,
        typer.Option(envvar="ZT_DEPLOYMENT", help="addresses; by default start/generated/local.yaml"),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(envvar="ZT_CA", help="the certificate authority; by default run/ca.pem there")
    ] = None,
    issuer: Annotated[
        str, typer.Option(envvar="ZT_ISSUER", help="the issuer; by default the realm at https://localhost:8443")
    ] = "",
    journals: Annotated[
        Path | None, typer.Option(envvar="ZT_JOURNALS", help="the journals' folder; by default run/data there")
    ] = None,
) -> None:
    """Operate the registry and the policy authority; read and verify records and receipts.

    The operator signs in in a browser, or by a code (`--device`), for 15 minutes.  No command asks for a password.
    """
    system = system or ROOT
    run = system / "run"
    ca, deployment = ca or run / "ca.pem", deployment or system / "start" / "generated" / "local.yaml"
    context.obj = Settings(user, device, system, deployment, ca, issuer, journals or run / "data", party)


@app.command("reinstate")
def reinstate_user(context: typer.Context, user: User, *, _json: Json = False) -> None:
    """Reinstate a revoked user."""
    revocation = {"kind": "user", "name": user}
    answer = run_as_operator(context, lambda registry: registry.ask("POST", "/reinstatements", revocation))
    if answer["keycloak"] == "notified":
        told = f"user {user}: reinstated. They may sign in again; their earlier tokens stay refused."
    else:
        told = f"user {user}: was not revoked, so nothing was done. `zt revocations` lists what is revoked."
    output.show(answer, Text(told))


@app.command()
def revocations(context: typer.Context, *, _json: Json = False) -> None:
    """List the revocations, the latest last, and how fresh they are.

    The start of a system sets each user's password, which revokes the tokens that the user had before.
    """
    answer = run_as_operator(context, lambda registry: registry.ask("GET", "/revocations"))
    fresh = showing.sources(answer["number"], answer["sources"], answer["entries"] - len(answer["revoked"]))
    output.show(answer, *showing.revocations(answer["revoked"]), fresh)


@app.command()
def status(context: typer.Context, *, _json: Json = False) -> None:
    """Show who answers, and whether each proves who it is.  This needs no sign-in.

    The exit status is 1 if Keycloak or the registry does not.  In containers, agents, tools and inference show no
    answer: `zt` is in none of their networks.
    """
    import asyncio

    from zt import status as system
    from zt.errors import STARTED_BY
    from zt.people.sign_in import client_at

    with reporting_errors():
        place = context.obj.place()
        keycloak = client_at(place.issuer, "", "", ca=place.ca)
        found = asyncio.run(system.check_parties(place, keycloak.tls))
    document = {"parties": [dataclasses.asdict(one) for one in found]}
    runs = any(one.state not in {"unreachable", "unresolved"} for one in found)
    next_step = "Operators see who is suspended: `zt party list`." if runs else f"Nothing runs: {STARTED_BY}"
    output.show(document, showing.status(found), Text(next_step))
    needed = {system.KEYCLOAK, place.known.authorities.registry}
    if any(one.state != "verified" for one in found if one.name in needed):
        raise typer.Exit(1)


@app.command()
def logout(context: typer.Context, *, _json: Json = False) -> None:
    """Sign out at Keycloak, and delete what the sign-in has left on this machine."""
    import asyncio

    from zt.people.sign_in import end_sign_ins

    with reporting_errors():
        ended = asyncio.run(end_sign_ins(context.obj.place()))
    output.show({"signed_out": ended}, Text(f"Signed out: {', '.join(ended) or 'there was no sign-in'}."))


@app.command()
def reload(context: typer.Context, *, _json: Json = False) -> None:
    """Make the registry read registry.yaml and registry.lock again."""
    answer = run_as_operator(context, lambda registry: registry.ask("POST", "/reload"))
    changed = ", ".join(answer["changed"])
    output.show(answer, Text(f"Reloaded; changed: {changed}" if changed else "Reloaded; nothing has changed."))
