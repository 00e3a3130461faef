"""Runs a Llama Stack (OGX) server on this machine, with a model of the user's choice behind it: `MODEL=llama-stack`.

The server is not a party: it is not measured, and its TLS key alone identifies it.  That key is made at each
start, and its pin is enrolled at the registry before that starts.
"""

import asyncio
import datetime as dt
import importlib.util
import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from registration.run_lock import RunError
from start.before_start import check_port
from start.child import end, start_child, wait_for_process
from start.llama_stack.ogx import NAME, Place, Provider, configuration, new_server_key
from start.progress import Say, reporting_progress
from zerotrust.durable import write_file

ROOT = Path(__file__).parents[2]
OGX = ROOT / ".ogx" / "bin" / "ogx"
HOST, SCRIPT_PORT = "127.0.0.1", 8322
"""The scripted model behind the Llama Stack server."""
SCRIPTED = Provider(f"http://{HOST}:{SCRIPT_PORT}/v1", models=("scripted",))
"""A model server that answers by our script, for which no model is needed."""


class LlamaStackError(Exception):
    """The server does not run.  The text names the cause and the next step."""


def provider_of(variables: Mapping[str, str]) -> Provider:
    """Return the model server that the variables name; by default, the server that answers by our script.

    Raises `LlamaStackError` if the file with its key cannot be read, or no model is named.
    """
    if not (url := variables.get("OPENAI_BASE_URL")):
        return SCRIPTED
    file = variables.get("OPENAI_API_KEY_FILE")
    try:
        key = Path(file).read_text().strip() if file else ""
    except OSError as error:
        raise LlamaStackError(f"OPENAI_API_KEY_FILE: {file} cannot be read ({error.strerror}).") from error
    models = tuple(variables.get("OPENAI_MODEL", "").split())
    if not models and not variables.get("ZT_MODEL"):  # agents cannot list models, so none would be theirs
        raise LlamaStackError(f"Which model of {url}?  Set OPENAI_MODEL as well.")
    return Provider(url, key, models)


def check_setup() -> None:
    """Raise `LlamaStackError` unless the server and its client are installed."""
    if importlib.util.find_spec("llama_stack_client") is None:
        raise LlamaStackError(
            "A Llama Stack server needs Python 3.12 or newer, and .venv has an older version: "
            "`make up MODEL=llama-stack PYTHON=python3.13`, or the name of your newer Python."
        )
    if not OGX.exists():
        raise LlamaStackError("The Llama Stack server is not installed: `make .ogx/ready` installs it.")


@dataclass(frozen=True, slots=True)
class LlamaStack:
    """A server that is about to run: where, in which folder, and with which model behind it."""

    origin: str
    folder: Path
    provider: Provider
    spki_sha256: str
    """The SHA-256 of its key."""

    @property
    def port(self) -> int:
        return _port(self.origin)

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def settings(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return inference's settings: the model that these variables name, or else the first that is offered."""
        offered = [f"provider/{model}" for model in self.provider.models]
        model = variables.get("ZT_MODEL") or next(iter(offered), "")
        return {"ZT_MODEL": model} if model else {}


def _port(origin: str) -> int:
    return urlsplit(origin).port or 443


def enrol(registry_data: Path, server: LlamaStack | None) -> None:
    """Write which key the server has, for the registry to read when it starts; nothing where there is no server."""
    file = registry_data / "outside.json"
    file.unlink(missing_ok=True)
    if server:
        registry_data.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(file, json.dumps({NAME: server.spki_sha256}).encode())


def prepare(folder: Path, origin: str, provider: Provider, issuer: str, ca_file: Path) -> LlamaStack:
    """Make the server's folder, with a new key and its configuration, which only this user can read.

    Raises `KeycloakError` if its port is taken.
    """
    check_port(port := _port(origin), "the Llama Stack server")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    made = new_server_key(NAME, dt.datetime.now(dt.UTC))
    place = Place(
        issuer=issuer,
        keys_uri=f"{issuer}/protocol/openid-connect/certs",
        ca=str(ca_file),
        host=str(urlsplit(origin).hostname),
        port=port,
        certificate=str(folder / "server.crt"),
        key=str(folder / "server.key"),
        folder=str(folder),
    )
    files = {"server.crt": made.certificate, "server.key": made.key}
    for name, content in {**files, "config.yaml": configuration(place, provider).encode()}.items():
        write_file(folder / name, content)
    return LlamaStack(origin, folder, provider, made.spki_sha256)


Ended = Callable[[], Awaitable[object]]


@asynccontextmanager
async def serving(server: LlamaStack, say: Say) -> AsyncIterator[list[tuple[str, Ended, Path]]]:
    """Run a server for a block, and before it the script's, if that is the model.

    Yields for each its name, what waits for its end, and its log.  Raises `LlamaStackError`.
    """
    command = [str(OGX), "run", str(server.folder / "config.yaml"), "--port", str(server.port)]
    script = [str(ROOT / "start" / "run"), "start.llama_stack.scripted_model", HOST, str(SCRIPT_PORT)]
    async with AsyncExitStack() as stack:
        stack.callback(_forget_all_but_logs, server.folder)
        found = list[tuple[str, Ended, Path]]()

        async def start(name: str, command: list[str], host: str, port: int, log: Path) -> None:
            process = await start_program(command, host, port, log)
            stack.push_async_callback(end, process)
            found.append((name, process.wait, log))

        async with reporting_progress(say, "The Llama Stack server is starting"):
            if server.provider == SCRIPTED:
                check_port(SCRIPT_PORT, "the scripted model")
                await start("The scripted model", script, HOST, SCRIPT_PORT, server.folder / "model.log")
            await start(
                "The Llama Stack server", command, str(urlsplit(server.origin).hostname), server.port, server.log
            )
        yield found


def _forget_all_but_logs(folder: Path) -> None:
    """Remove what a server had, for its configuration has the key of the user's model server."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.suffix != ".log":
            entry.unlink()


async def start_program(command: list[str], host: str, port: int, log: Path) -> asyncio.subprocess.Process:
    """Start a program in the folder of its log, and wait until it listens.  Raises `LlamaStackError`."""
    folder = log.parent
    # Nothing else of our environment, for OGX reads settings there.
    env = {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "OGX_CONFIG_DIR": str(folder)}
    process = await start_child(*command, env=env, folder=folder, log=log)
    name, process_id = Path(command[0]).name, process.pid
    try:
        await wait_for_process(
            partial(_listens, host, port), name, process_id, lambda: process.returncode is not None, log
        )
    except BaseException as error:
        await end(process)
        if isinstance(error, RunError):
            raise LlamaStackError(str(error)) from error
        raise
    return process


async def _listens(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True
