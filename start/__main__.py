"""The system on this machine, left running: `make up`, `make down`, `make fresh`."""

# What takes long to import is imported in the functions: the first line of output comes before.
# ruff: noqa: PLC0415
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urljoin

import typer
from rich.text import Text

from registration.run_lock import running_process
from start.background import leave_running
from start.earlier_runs import HINTS, POLICY_BEFORE, check_links, forget
from start.model import Model, ModelOption
from start.program import FOLDER, ROOT, console, run_until_stopped, showing_progress

SECONDS_TO_END = 60
OF_CHROMIUM = Path.home() / ".pki" / "nssdb"
"""The store that Chromium and Chrome read on Linux, whatever the profile is."""

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def up(model: ModelOption = Model.SCRIPT) -> None:
    """Start everything and leave it running."""
    sys.exit(leave_running([str(ROOT / "start" / "run"), "start", "serve", "--model", model.value]))


@app.command()
def serve(model: ModelOption = Model.SCRIPT) -> None:
    """Run everything in the foreground until stopped."""
    sys.exit(run_until_stopped(_serve(model)))


@app.command()
def down() -> None:
    """Stop the system that `up` started."""
    process = running_process(FOLDER)
    if process is None:
        console.print("Nothing is running.")
        return
    os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + SECONDS_TO_END
    while time.monotonic() < deadline:
        if running_process(FOLDER) is None:
            console.print("Ended.")
            return
        time.sleep(0.1)
    console.print(f"Process {process} has not ended after {SECONDS_TO_END} s; see {FOLDER / 'logs'}.")
    sys.exit(1)


@app.command()
def hints() -> None:
    """Print addresses, passwords and commands again, as `up` did."""
    file = FOLDER / HINTS
    if running_process(FOLDER) is None or not file.exists():
        console.print("Nothing is running, or not ready yet: `make up` starts it.")
        sys.exit(1)
    print(file.read_text(), end="")


@app.command()
def fresh() -> None:
    """Remove the data that `up` keeps: revocations, documents, journals and logs."""
    if process := running_process(FOLDER):
        console.print(f"It runs, as process {process}: `make down` ends it.")
        sys.exit(1)
    try:
        check_links(FOLDER)
    except NotADirectoryError as error:
        console.print(Text(str(error), style="red"))
        sys.exit(1)
    forget(FOLDER)
    console.print("Deleted: revocations, documents, policies that were activated, journals, logs, audit log, run/past.")
    if (FOLDER / POLICY_BEFORE).exists():
        console.print(f"To verify what was exported from the audit log: --policy run/{POLICY_BEFORE}.")


@app.command()
def token(
    user: str,
    scope: Annotated[str, typer.Option(help="what the token may be used for; by default, everything")] = "",
    client: Annotated[str, typer.Option(help="the party that the user signs in with")] = "walkthrough",
) -> None:
    """Sign a user of the demo in at the running system, without a browser, and print the access token and its key.

    The password is prompted for, or read from standard input.
    """
    from start.sign_in import ask_password, print_token
    from testkit.browser import Person

    sys.exit(print_token(Person(user, ask_password()), scope, client))


@app.command()
def browser() -> None:
    """Open the console in a browser's profile that trusts the authority of this run, and is for nothing else."""
    from start.browser import FIREFOX, profile

    with _trusting() as (address, authority):
        command, environment = profile(FOLDER / "browser", authority, address)
        if os.geteuid() == 0 and Path(command[0]).name not in FIREFOX:
            sys.exit(f"{command[0]} does not run as root: start all of this as another user, or with Firefox alone.")
        sys.exit(subprocess.run(command, env=environment, check=False).returncode)  # noqa: S603


@app.command()
def trust(
    database: Annotated[
        Path, typer.Argument(help="the folder of a Firefox profile, instead of what Chromium and Chrome look at")
    ] = OF_CHROMIUM,
    *,
    forget: Annotated[bool, typer.Option("--forget", help="undo it")] = False,
) -> None:
    """Have a browser of yours trust the authority of this run, in place of that of an earlier one.

    That authority could sign for any site, so undo it afterwards.
    """
    from start import browser

    with _trusting() as (address, authority):
        if forget:
            browser.forget(database)
        else:
            browser.trust(database, authority)
            console.print(f"Start the browser anew, and open {address}.  To undo it: the same command with --forget.")


@contextmanager
def _trusting() -> Iterator[tuple[str, Path]]:
    """Yield the console's address and the run's authority; exit with a message if there is none, or it is refused."""
    from start.sign_in import CA
    from zerotrust.authority.files.snapshot_files import load_registry

    if not CA.exists():
        sys.exit(f"There is no {CA}: `make up` makes it.")
    try:
        yield urljoin(load_registry(ROOT / "registry.yaml").parties["console"].redirect_uris[0], "/"), CA
    except FileNotFoundError as error:
        sys.exit(f"{error}.  Needed are Chromium, Chrome or Firefox, and certutil (Debian: libnss3-tools).")
    except subprocess.CalledProcessError as error:
        sys.exit(f"certutil failed: {error}")


async def _serve(model: Model) -> int:
    with showing_progress("The program is loaded"):
        from start.serve import serve
    return await serve(model)


if __name__ == "__main__":
    app(prog_name="start/run start")
