"""A project of a test's own, whose parties are launched and measured for real; and what can be asked of them."""

import asyncio
import json
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from authorities.attestation.local import authority as module
from authorities.attestation.local.launch import Launched
from authorities.attestation.spiffe.svid_issuer import Issuer
from registration.approval import approve_all
from registration.derive import as_text
from start.launches import launch_of
from tests.support.ca import ATTESTATION_PARTY
from tests.support.waiting import until
from zerotrust.authority.files.deployment import load_deployment
from zerotrust.authority.files.lock import Lock
from zerotrust.authority.files.snapshot_files import load_registry
from zerotrust.registry.model import Registry

PROJECT = Path(__file__).parents[2]
READER = "spiffe://agents.example/agent/reader"
REALM = "https://localhost:8443/realms/agents"

# A party for these tests: runs what it is sent, and answers with what that calls `answer`.
PROBE = """
import json, os, socket

def import_library():  # never called: a party for which nothing is approved has no such file, and must start too
    import library.shared

server = socket.socket(socket.AF_UNIX)
server.bind(os.environ["ZT_PROBE"])
server.listen()
while True:
    connection, _ = server.accept()
    with connection:
        source = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        scope = {}
        try:
            exec(source, scope)
        except Exception as error:
            scope["answer"] = f"{type(error).__name__}: {error}"
        connection.sendall(json.dumps(scope["answer"]).encode())
"""

FETCH = f"""
from spiffe import WorkloadApiClient

with WorkloadApiClient(default_timeout=5) as client:
    answer = client.fetch_jwt_svid({{{REALM!r}}}).token
"""

FETCH_IN_A_FORK = f"""
import os

read, write = os.pipe()
if os.fork() == 0:
    try:
        {FETCH.replace(chr(10), chr(10) + "        ")}
    except Exception as error:
        answer = str(error)
    os.write(write, answer.encode())
    os._exit(0)
os.close(write)
answer = os.read(read, 65536).decode()
os.wait()
"""


class Authority(module.Authority):
    """The authority in the tests' own process, where others could read its keys: they open nothing but the tests'."""

    site: "Site"

    def __init__(self, registry: Registry, lock: Lock, root: Path, run_dir: Path, **how: Any) -> None:
        """It listens where the project says, unless the test does."""
        port = load_deployment(root / "start/generated/local.yaml", registry).parties[ATTESTATION_PARTY].port
        super().__init__(registry, lock, root, run_dir, **{"port": port, **how}, issuer=Issuer)

    async def probe(self, party: str = "agent/reader") -> "Probe":
        """Launch a party of its site that can be asked."""
        return await launch_probe(self, self.site.registry, self.site.place, party=party)


async def ask(path: Path, text: str) -> Any:
    """Send something to a program's socket once it is there, and return its answer."""
    await until(path.exists)
    async with asyncio.timeout(20):
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(path)
                break
            except ConnectionRefusedError:  # bound, and not listening yet
                await asyncio.sleep(0.01)
        writer.write(text.encode())
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    return json.loads(answer)


@contextmanager
def project() -> Iterator[Path]:
    """A project of its own. Not `tmp_path`: that is too long for the address of a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="zt-") as name:
        place = Path(name)
        root = place / "project"
        (root / "agents/reader").mkdir(parents=True)
        (root / "agents/reader/main.py").write_text(PROBE)
        (root / "agents/reader/helper.py").write_text("value = 'genuine'\n")
        (root / "library").mkdir()
        (root / "library/shared.py").write_text("value = 'genuine'\n")
        registry = yaml.safe_load((PROJECT / "registry.yaml").read_text())
        for party in registry["parties"].values():
            if "code" in party:
                party["code"] = "agents/reader"
        (root / "registry.yaml").write_text(yaml.safe_dump(registry))
        deployment = yaml.safe_load((PROJECT / "start/generated/local.yaml").read_text())
        with socket.create_server(("127.0.0.1", 0)) as free:
            deployment["parties"][ATTESTATION_PARTY]["port"] = free.getsockname()[1]
        (root / "start/generated").mkdir(parents=True)
        (root / "start/generated/local.yaml").write_text(yaml.safe_dump(deployment))
        yield place


def locked(registry: Registry, root: Path) -> Lock:
    """Approve a project as it is."""
    lock = approve_all(registry, root)
    (root / "registry.lock").write_text(as_text(lock))
    return lock


class Probe:
    def __init__(self, launched: Launched, path: Path) -> None:
        self.launched, self._path = launched, path

    async def run(self, source: str) -> Any:
        return await ask(self._path, source)


async def launch_probe(authority: Authority, registry: Registry, place: Path, *, party: str = "agent/reader") -> Probe:
    path = place / f"{party.replace('/', '-')}.sock"
    launch = launch_of(registry, party, {"ZT_PROBE": str(path)})
    return Probe(await authority.launch(launch), path)


def log_of(run_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / "logs/authority-attestation.log").read_text().splitlines()]


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusals(run_dir: Path) -> list[str]:
    return [line["why"] for line in log_of(run_dir) if line["event"] == "refused"]


async def bundle(address: str, tls: ssl.SSLContext, path: str = "/bundle", method: str = "GET") -> httpx.Response:
    """Ask for the keys, as Keycloak does: by the authority's name, which leads to this machine."""
    url = httpx.URL(address)
    async with httpx.AsyncClient(verify=tls, trust_env=False) as http:
        asked = url.copy_with(host="127.0.0.1", path=path)
        return await http.request(method, asked, extensions={"sni_hostname": url.host})


class Site:
    """A project of a test's own: approved as it is, with its authority and a party that can be asked."""

    def __init__(self, place: Path) -> None:
        self.place, self.root, self.run_dir = place, place / "project", place / "run"
        self.helper = self.root / "agents/reader/helper.py"
        self.registry = load_registry(self.root / "registry.yaml")
        self.lock = locked(self.registry, self.root)

    def approve(self) -> None:
        """Approve it as it is now."""
        self.lock = locked(self.registry, self.root)

    def authority(self, *, registry: Registry | None = None, lock: Lock | None = None, **how: Any) -> Authority:
        """Return its authority, which has not started yet."""
        authority = Authority(registry or self.registry, lock or self.lock, self.root, self.run_dir, **how)
        authority.site = self
        return authority


@pytest.fixture
def site() -> Iterator[Site]:
    with project() as place:
        yield Site(place)


@pytest.fixture
async def authority(site: Site) -> AsyncIterator[Authority]:
    async with site.authority() as authority:
        yield authority


@pytest.fixture
async def probe(authority: Authority) -> Probe:
    return await authority.probe()
