"""JupyterLab beside a running system, and the folder of what a reader changes."""

import asyncio
import json
import os
import re
import secrets
import shutil
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from lab.notebooks.execute import OURS, Kernels, environment, new_home, sources
from local.alone import DemoError
from local.child import end_with, until_it_does
from local.llama_stack import end
from local.program import ROOT

FOLDER = "notebooks"
"""The same as in the project, so that the links of the notebooks lead to the same files."""
_LINK = re.compile(r"\]\(\.\./([^)#\s]+)")


class JupyterLab(NamedTuple):
    """One that runs, and where."""

    process: Process
    port: int
    path: str
    """It begins and ends with a slash, and is as secret as the token: see `lab_server.py`."""
    token: str

    def address(self, host: str) -> str:
        """Return the address of the first notebook.  Whoever has it may run cells."""
        first = sources()[0].with_suffix(".ipynb").name
        return f"http://{host}:{self.port}{self.path}lab/tree/{FOLDER}/{first}?token={self.token}"


@asynccontextmanager
async def jupyterlab(kernels: Kernels, log: Path, ip: str, port: int, root: Path) -> AsyncIterator[JupyterLab]:
    """Run JupyterLab for a block, from when it listens; port 0 is any free one.  `root` is what `copied` made.

    Raises `DemoError` if the notebooks cannot be signed, or it does not start.
    """
    path, token, parent = f"/{secrets.token_hex(24)}/", secrets.token_hex(24), os.getpid()
    with new_home() as folder:
        home = Path(folder)
        # Neither among the arguments, which are public, nor in the environment, which kernels inherit.
        (file := home / "jupyter_server_config.json").touch(mode=0o600)
        file.write_text(json.dumps(_settings(ip, port, root, path, token)))
        variables = environment(kernels, home)
        await _sign(
            kernels, variables, [copy for copy in _copies(root) if copy.read_bytes() == _ours(copy).read_bytes()]
        )
        with os.fdopen(os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as said:
            process = await asyncio.create_subprocess_exec(
                *(str(kernels.python), "-I", "-B", str(OURS / "lab_server.py")),
                env=variables,
                cwd=home,
                stdin=DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # Ctrl-C is for us
                preexec_fn=lambda: end_with(parent),
            )
        try:
            yield JupyterLab(process, await _listens(process, home, log), path, token)
        finally:
            await end(process)


def _settings(ip: str, port: int, root: Path, path: str, token: str) -> dict[str, Any]:
    unused = ("jupyter_server_terminals", "jupyter_lsp")
    server = {
        "ip": ip,
        "port": port,
        "port_retries": 0,
        "base_url": path,
        "root_dir": str(root),
        "open_browser": False,
        "allow_root": os.geteuid() == 0,
        "allow_remote_access": False,  # only a browser that calls it by an address of its own machine is answered
        "terminals_enabled": False,
        "jpserver_extensions": dict.fromkeys(unused, False),
        "tornado_settings": {"headers": {"Referrer-Policy": "same-origin"}},  # nobody else is told the path
    }
    return {
        "ServerApp": server,
        "IdentityProvider": {"token": token},
        "PasswordIdentityProvider": {"allow_password_change": False},
        "KernelManager": {"transport": "ipc"},  # by TCP, every account could read what cells print
        "LabApp": {"extension_manager": "readonly", "check_for_updates_class": "jupyterlab.NeverCheckForUpdate"},
    }


async def _listens(process: Process, home: Path, log: Path) -> int:
    """Wait until it says in its folder at which port it listens, and return that."""
    said = home / f"jpserver-{process.pid}.json"

    async def port() -> int:
        try:
            return int(json.loads(said.read_text())["port"])
        except (FileNotFoundError, ValueError):  # not yet, or not yet all of it
            return 0

    return await until_it_does(port, "JupyterLab", process.pid, lambda: process.returncode is not None, log)


async def _sign(kernels: Kernels, variables: dict[str, str], copies: list[Path]) -> None:
    """Have Jupyter trust notebooks that are as committed: it shows the figures of no others until they were run."""
    process = await asyncio.create_subprocess_exec(
        *(str(kernels.python), "-I", "-m", "nbformat.sign", *map(str, copies)),
        env=variables,
        cwd=variables["HOME"],
        stdin=DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise DemoError(f"Jupyter cannot sign the notebooks: {said.decode(errors='replace')[-1000:]}")


def copied(folder: Path) -> Path:
    """Make the reader's folder, and return it: the notebooks, and beside them each file that one of them links to.

    A notebook that is there stays as it is, for it is the reader's.  The other files are copied anew.
    """
    (folder / FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
    for copy in _copies(folder):
        if not copy.exists():
            shutil.copy(_ours(copy), copy)
        for name in linked(_ours(copy).read_text()):
            if (ROOT / name).is_file():  # and no folder
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
    return folder


def linked(notebook: str) -> set[str]:
    """Return the files of the project to which a notebook links, as paths from its root.  Pure."""
    return set(_LINK.findall(notebook))


def _copies(folder: Path) -> list[Path]:
    return [folder / FOLDER / _ours(source).name for source in sources()]


def _ours(notebook: Path) -> Path:
    return sources((notebook.stem,))[0].with_suffix(".ipynb")
