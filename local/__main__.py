"""The system on this machine, left running: `make up`, `make down`, `make fresh`."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from local.alone import process_running
from local.keycloak import URL
from local.llama_stack import Model, ModelOption
from local.manual_steps import READY, steps
from local.password import ask_password
from local.past import check_links, forget
from local.program import FOLDER, INTERRUPTED, console, say, until_stopped
from local.start import running
from local.system import EVERYTHING, HOST, ROOT, System
from registration.realm.users import USERS
from zerotrust.testing.browser import Person
from zt.registry_client import CommandError, client_at, sign_in_at
from zt.terminal import Terminal

CA = FOLDER / "ca.pem"
ISSUER = f"{URL}/realms/agents"
SECONDS_TO_END = 30

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def up(model: ModelOption = Model.SCRIPT) -> None:
    """Start everything and leave it running."""
    sys.exit(left_running([str(ROOT / "scripts" / "run"), "local", "serve", "--model", model.value]))


def left_running(command: list[str]) -> int:
    """Start a program, print its output, and leave it running after it printed `READY`; return our exit status.

    A program that ends before has failed, whatever its own status.  If we are stopped by a signal, it is stopped, too,
    and waited for.
    """
    env = {**os.environ, "COLUMNS": str(console.width)}  # its output is a pipe, ours the terminal
    process = subprocess.Popen(command, cwd=ROOT, env=env, start_new_session=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    signals: list[int] = []

    def end(number: int, _frame: object) -> None:
        if not signals:  # a second signal would interrupt its orderly end
            process.terminate()
        signals.append(number)

    for number in signal.SIGTERM, signal.SIGINT:
        signal.signal(number, end)
    assert process.stdout  # noqa: S101 - a pipe, as requested
    line = ""
    for line in process.stdout:
        print(line, end="", flush=True)
    if line.rstrip() == READY and not signals:
        return 0
    status = process.wait()  # after its last output it may still be ending
    if signals:
        console.print(INTERRUPTED)
        return 128 + signals[0]
    return status or 1


@app.command()
def serve(model: ModelOption = Model.SCRIPT) -> None:
    """Run everything in the foreground until stopped."""
    sys.exit(until_stopped(_serve(model)))


@app.command()
def down() -> None:
    """Stop the system that `up` started."""
    process = process_running(FOLDER)
    if process is None:
        console.print("Nothing is running.")
        return
    os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + SECONDS_TO_END
    while time.monotonic() < deadline:
        if process_running(FOLDER) is None:
            console.print("Ended.")
            return
        time.sleep(0.1)
    console.print(f"Process {process} has not ended after {SECONDS_TO_END} s; see {FOLDER / 'logs'}.")
    sys.exit(1)


@app.command()
def fresh() -> None:
    """Remove the data that `up` keeps: revocations, documents, journals and logs."""
    if process := process_running(FOLDER):
        console.print(f"It runs, as process {process}: `make down` ends it.")
        sys.exit(1)
    try:
        check_links(FOLDER)
    except NotADirectoryError as error:
        console.print(Text(str(error), style="red"))
        sys.exit(1)
    forget(FOLDER)
    console.print("Removed: revocations, documents, journals and logs.")


@app.command()
def token(
    user: str,
    scope: Annotated[str, typer.Option(help="what the token may be used for")] = EVERYTHING,
    client: Annotated[str, typer.Option(help="the party that the user signs in with")] = "walkthrough",
) -> None:
    """Sign a user of the demo in at the running system, without a browser, and print the access token.

    The password is prompted for, or read from standard input.
    """
    password = ask_password()
    try:
        person, at = Person(user, password), client_at(ISSUER, client, scope, ca=CA)
        login = asyncio.run(sign_in_at(at, person.sign_in))
    except CommandError as error:
        # On standard error, because the token is expected on standard output.
        Terminal(stderr=True, highlight=False, soft_wrap=True).print(Text(str(error), style="red"))
        sys.exit(1)
    print(login.access_token)


async def _serve(model: Model) -> int:
    async with running(FOLDER, say=say, provider=model.provider(), keep=True) as system:
        _show_addresses(system)
        let_go(FOLDER / "logs" / "local.log")
        await asyncio.Event().wait()
    return 0


def let_go(log: Path) -> None:
    """Close the pipe to the process that started us; from now on, output goes to the terminal, or to `log`."""
    sys.stdout.flush()
    if sys.stderr.isatty():
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        return
    with log.open("ab") as file:  # a process that reads our standard error to its end would wait as long as we run
        for stream in sys.stdout, sys.stderr:
            os.dup2(file.fileno(), stream.fileno())


def _show_addresses(system: System) -> None:
    keycloak = system.keycloak
    admin, password = keycloak.admin
    for name in system.registry.services:
        console.print(f"  {name:<16} {system.address(name)}  at {HOST}:{system.port(name)}")
    console.print(f"  {'Keycloak':<16} {keycloak.issuer}")
    console.print(f"  {'its admin page':<16} {URL}/admin  as {admin}, password {password}")
    for user, secret in keycloak.passwords.items():
        console.print(f"  {user:<16} password {secret}  in {', '.join(USERS[user][1]) or 'no group'}")
    console.print(steps(system), soft_wrap=True, markup=False)


if __name__ == "__main__":
    app(prog_name="scripts/run local")
