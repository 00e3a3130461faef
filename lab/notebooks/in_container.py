"""The notebooks in a container, for compose.notebooks.yaml.

`realm` makes what kernels need, once for the volumes: figure 1's realm, and the file with the users' passwords.  Only
it has the password of Keycloak's administrator.  `open` runs JupyterLab; `check` executes the notebooks beside it.
"""

import asyncio
import ssl
import sys
from pathlib import Path

import typer

from demo.containers import CA, passwords
from deploy.setup import ADMIN
from lab.before.one_token.realm import NAME, new, representation
from lab.notebooks.attach import stored
from lab.notebooks.execute import Kernels, check, sources
from lab.notebooks.jupyter import copied, jupyterlab
from local.keycloak_admin import administration
from local.keycloak_options import PORT
from local.llama_stack import end
from local.program import say, until_stopped

FILE, COPIES, LOG = Path("/kernels/notebooks.json"), Path("/copies"), Path("/tmp/jupyterlab.log")  # noqa: S108 - its own
KERNELS = Kernels(Path(sys.executable), FILE)
AT, LAB_PORT, PUBLISHED = "notebooks.browser", 8888, "127.0.0.1"
"""Its name in the network of the published port: JupyterLab listens there alone, where no party is."""
MOST_TO_KEYCLOAK = 32
"""Connections to Keycloak at a time: it has 90 for all, and a notebook needs a few."""
FORWARD = (
    f"TCP4-LISTEN:{PORT},bind=127.0.0.1,reuseaddr,fork,max-children={MOST_TO_KEYCLOAK}",
    f"TCP4:keycloak:{PORT}",
)
"""The issuer's name is `localhost`, as in a browser on the machine."""

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command("realm")
def make_realm() -> None:
    """Make the realm of figure 1 at Keycloak, and the file of the kernels, unless it is there."""
    if not FILE.exists():
        sys.exit(until_stopped(_make()))


@app.command("open")
def open_all() -> None:
    """Run JupyterLab until stopped."""
    sys.exit(until_stopped(_open()))


@app.command("check")
def check_all() -> None:
    """Execute the notebooks, and fail where an output is not the stored one."""
    sys.exit(until_stopped(check(KERNELS, sources())))


async def _make() -> int:
    accounts = passwords()
    admin, before = (ADMIN, accounts.pop(ADMIN)), new(ssl.create_default_context(cafile=CA))
    async with administration(admin, "master", before.tls) as keycloak:
        if NAME in [realm["realm"] for realm in await keycloak.a_get_realms()]:  # of an attempt that was broken off
            await keycloak.a_delete_realm(NAME)
        await keycloak.a_create_realm(representation(before.passwords, before.secret))
    stored(FILE, accounts, before)  # last: without it, everything is made again
    return 0


async def _open() -> int:
    forwarding = await asyncio.create_subprocess_exec("socat", *FORWARD, stdin=asyncio.subprocess.DEVNULL)
    try:
        async with jupyterlab(KERNELS, LOG, AT, LAB_PORT, copied(COPIES)) as lab:
            print(f"\n  {lab.address(PUBLISHED)}\n\nOpen it in a browser.  What you change is a copy.")
            ends = lab.process.wait(), forwarding.wait()
            await asyncio.wait(map(asyncio.ensure_future, ends), return_when="FIRST_COMPLETED")
            say("JupyterLab, or the way to Keycloak, has ended")
    finally:
        await end(forwarding)
    return 1


if __name__ == "__main__":
    app(prog_name="lab.notebooks.in_container")
