"""`make doctor` as a program, with a `docker` that says what a test wants, and with real ports and certificates."""

import base64
import datetime as dt
import io
import json
import os
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import tarfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authorities.attestation.spiffe.certificates import new_ca, new_key
from deploy.setup import STALE
from local.alone import DemoError
from local.past import failure_noted
from scripts.diagnosis import containers
from scripts.diagnosis.project import ONCE, SERVICES
from scripts.diagnosis.report import WIDTH
from tests.support.system import ROOT
from zerotrust.audit.segments import JournalError, Segments

FAKE = """\
#!{python} -I
import base64, json, sys
for words, status, out, err in json.load(open({table!r})):
    if sys.argv[1:1 + len(words)] == words:
        sys.stdout.buffer.write(base64.b64decode(out))
        sys.stderr.write(err)
        sys.exit(status)
sys.exit("unexpected: " + " ".join(sys.argv))
"""
INFO = {
    "ServerVersion": "28.1.0",
    "Driver": "overlay2",
    "OperatingSystem": "Debian",
    "MemTotal": 8_000_000_000,
    "DefaultRuntime": "runc",
    "SecurityOptions": ["name=seccomp,profile=builtin"],
    "ClientInfo": {"Plugins": [{"Name": "compose", "Version": "v2.40.3"}]},
}


class Stage:
    """A tree of the project with ports of its own, a `docker` with given answers, and a Keycloak of one page."""

    def __init__(self, folder: Path) -> None:
        self.root, self._bin = folder / "tree", folder / "bin"
        self.port, *others = free_ports(4)
        for name in ("deploy", "local", ".venv/uv/bin"):
            (self.root / name).mkdir(parents=True)
        shutil.copytree(ROOT / "scripts" / "diagnosis", self.root / "scripts" / "diagnosis")
        shutil.copy(ROOT / "scripts" / "doctor.py", self.root / "scripts")
        for name in ("deploy/local.yaml", "local/keycloak_options.py", "registry.lock"):
            shutil.copy(ROOT / name, self.root / name)
        compose = (ROOT / "docker-compose.yml").read_text()
        for old, new in zip((8443, 8101, 8106, 8108), (self.port, *others), strict=True):
            compose = compose.replace(f":-{old}}}", f":-{new}}}")
        (self.root / "docker-compose.yml").write_text(compose)
        (self.root / ".venv/uv/bin/uv").touch()
        self._bin.mkdir()
        self.info: dict[str, Any] = {**INFO, "DockerRootDir": str(folder)}
        self.ca = b""
        self.containers: list[dict[str, Any]] = []
        self.logs: dict[str, str] = {}
        self.published = ""
        self.suspended = ""
        """A party's SPIFFE ID."""

    @property
    def issuer(self) -> str:
        return f"https://localhost:{self.port}/realms/agents"

    def with_stack(self, **changed: dict[str, Any]) -> None:
        """All containers, healthy, but for some states."""
        for name in SERVICES:
            state: dict[str, Any] = {"Status": "running", "Health": {"Status": "healthy"}}
            if name == ONCE:
                state = {"Status": "exited", "ExitCode": 0}
            labels = {
                "com.docker.compose.service": name,
                "com.docker.compose.project.working_dir": str(self.root),
            }
            self.containers.append({"Id": name, "State": state | changed.get(name, {}), "Config": {"Labels": labels}})
        self.published = f"a-keycloak-1\tzero-trust-agents\t127.0.0.1:{self.port}->8443/tcp\n"

    def table(self) -> list[tuple[list[str], int, str, str]]:
        """The answers of `docker`, by the words that a command begins with."""
        lock = (self.root / "registry.lock").read_bytes()
        found: list[tuple[list[str], int, bytes]] = [
            (["info"], 0, json.dumps(self.info).encode()),
            (["image"], 0, b"sha256:1\n"),
            (["ps", "-aq"], 0, " ".join(str(one["Id"]) for one in self.containers).encode()),
            (["ps", "--format"], 0, self.published.encode()),
            (["inspect"], 0, json.dumps(self.containers).encode()),
            (["cp", "attestation:/public/ca.pem"], 0, packed(self.ca)),
            (["cp", "attestation:/app/registry.lock"], 0, packed(lock)),
        ]
        found.append((["cp", "registry:/data/revocations.db"], 0, packed(self._revocations())))
        found += [(["logs", "--tail", "200", name], 0, text.encode()) for name, text in self.logs.items()]
        found.append((["logs"], 0, b""))
        return [(words, status, base64.b64encode(out).decode(), "") for words, status, out in found]

    def _revocations(self) -> bytes:
        with closing(sqlite3.connect(":memory:")) as database:
            database.execute("CREATE TABLE changes (number INTEGER, kind TEXT, name TEXT, cause TEXT)")
            if self.suspended:
                database.execute("INSERT INTO changes VALUES (1, 'party', ?, 'a theft')", [self.suspended])
            database.commit()
            return database.serialize()

    def docker(self, table: list[tuple[list[str], int, str, str]] | None = None) -> None:
        """Put a `docker` on the path."""
        answers, program = self._bin / "answers.json", self._bin / "docker"
        answers.write_text(json.dumps(self.table() if table is None else table))
        program.write_text(FAKE.format(python=sys.executable, table=str(answers)))
        program.chmod(0o755)

    def run(self, *arguments: str) -> tuple[int, str]:
        """The program's exit status, and its output."""
        done = subprocess.run(  # noqa: S603 - the program under test
            [sys.executable, "-I", self.root / "scripts" / "doctor.py", *arguments],
            env={"PATH": str(self._bin), "HOME": str(self.root)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert max(map(len, done.stdout.splitlines()), default=0) <= WIDTH
        return done.returncode, done.stdout


def free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    numbers = [int(one.getsockname()[1]) for one in taken]
    for one in taken:
        one.close()
    return numbers


def packed(content: bytes) -> bytes:
    """A file as `docker cp … -` sends it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("file")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def serve(stage: Stage, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Serve the issuer's metadata with a certificate that was made some days ago."""
    servers = []

    class Metadata(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"issuer": stage.issuer}).encode())

        def log_message(self, *_: object) -> None:
            pass

    def start(days_ago: int = 0, life: int = 3600) -> None:
        then = dt.datetime.now(dt.UTC) - dt.timedelta(days=days_ago)
        ca, key = new_ca(new_key(), "CA", "spiffe://agents.example", then), new_key()
        leaf = ca.server(key.public_key(), ["localhost"], then, life)
        stage.ca = ca.certificate.public_bytes(Encoding.PEM)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / "server.pem").write_bytes(pem + leaf.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "server.pem")
        server = HTTPServer(("127.0.0.1", stage.port), Metadata)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_everything_well(stage: Stage, serve: Callable[..., None]) -> None:
    serve()
    stage.with_stack()
    stage.docker()
    status, said = stage.run()

    assert (status, said.splitlines()[0]) == (0, "All is well.")
    assert "12 of 12 work" in said
    assert re.search(rf"ok +issuer +{stage.issuer}", said)


@pytest.mark.parametrize("health", ["unhealthy", "healthy"])  # it was suspended before its start, or after it
def test_a_suspended_party(stage: Stage, serve: Callable[..., None], health: str) -> None:
    serve()
    stage.with_stack(reader={"Health": {"Status": health}})
    stage.suspended = "spiffe://agents.example/agent/reader"
    stage.docker()
    status, said = stage.run("containers")

    assert status == 1
    assert said.startswith("Cause:  suspended: agent/reader: all their requests are refused")
    assert "Repair: zt party reinstate agent/reader" in said


def test_nothing_is_written_into_the_tree(stage: Stage) -> None:
    before = sorted(stage.root.rglob("*"))
    stage.run()

    assert sorted(stage.root.rglob("*")) == before


def test_a_port_that_somebody_has_is_named_with_its_process(stage: Stage) -> None:
    stage.docker()
    with socket.create_server(("127.0.0.1", stage.port)):
        status, said = stage.run("containers")

    assert status == 1
    assert said.startswith(f"Cause:  ports: port {stage.port} is taken by ")
    assert f"kill {os.getpid()}\n" in said


def test_a_stale_realm(stage: Stage) -> None:
    stage.with_stack(setup={"ExitCode": 1}, keycloak={"Status": "created"}, database={"Status": "created"})
    stage.logs["setup"] = STALE
    stage.docker()
    status, said = stage.run()

    assert status == 1
    assert said.startswith("Cause:  realm: ")
    assert f"Repair: {containers.ANEW}" in said


def test_an_unhealthy_container(stage: Stage, serve: Callable[..., None]) -> None:
    serve()
    stage.with_stack(writer={"Health": {"Status": "unhealthy"}})
    stage.logs["writer"] = "fine\nERROR: the disk is full\nfine again\n"
    stage.docker()
    status, said = stage.run()

    assert status == 1
    assert said.startswith("Cause:  writer: runs and is not healthy: ERROR: the disk is full\n")
    assert "11 of 12 work" in said


def test_a_container_whose_journal_is_broken(stage: Stage, serve: Callable[..., None], tmp_path: Path) -> None:
    (journal := tmp_path / "journal.jsonl").write_bytes(b"{}\n")
    with pytest.raises(JournalError) as raised:
        Segments(journal)
    serve()
    stage.with_stack(writer={"Status": "restarting", "ExitCode": 1})
    stage.logs["writer"] = f"Traceback\nzerotrust.audit.segments.JournalError: {raised.value}\n"
    stage.docker()
    status, said = stage.run()

    assert status == 1
    assert "record 1 was changed" in said
    assert "Repair: restore that journal from a copy" in said
    assert "restart writer" not in said


def test_no_docker_is_said_and_make_demo_is_checked(stage: Stage) -> None:
    _, said = stage.run()

    assert not re.search(r"^(ok|note|wrong|-) +(docker|compose|containers) ", said, re.MULTILINE)
    assert re.search(r"note +fetched +`make demo` will fetch", said)
    status, said = stage.run("containers")
    assert status == 1
    assert said.startswith("Cause:  docker: Docker is not installed\n")


@pytest.mark.parametrize(
    ("err", "repair"),
    [
        ("permission denied while trying to connect to the Docker daemon socket", 'sudo usermod -aG docker "$USER"'),
        ("Cannot connect to the Docker daemon at unix:///x.", "sudo systemctl start docker"),
    ],
)
def test_a_docker_that_does_not_answer(stage: Stage, err: str, repair: str) -> None:
    stage.docker([(["info"], 1, "", err)])
    status, said = stage.run("containers")

    assert status == 1
    assert said.startswith("Cause:  docker: ")
    assert f"Repair: {repair}" in said
    assert re.search(r"- +containers +not checked: Docker does not answer", said)


def test_user_namespaces(stage: Stage) -> None:
    stage.info["SecurityOptions"] = ["name=seccomp,profile=builtin", "name=userns"]
    stage.docker()
    status, said = stage.run("containers")

    assert status == 1
    assert said.startswith("Cause:  isolation: userns-remap ")


def test_a_wrong_clock(stage: Stage) -> None:
    future = dt.datetime.now(dt.UTC).timestamp() + 30 * 86400
    os.utime(stage.root / "registry.lock", (future, future))
    stage.docker()
    status, said = stage.run("containers")

    assert status == 1
    assert said.startswith("Cause:  clock: this machine's clock is 30 days before the time of registry.lock\n")


def test_an_expired_certificate(stage: Stage, serve: Callable[..., None]) -> None:
    serve(days_ago=2)
    stage.with_stack()
    stage.docker()
    status, said = stage.run()

    assert status == 1
    assert said.startswith("Cause:  certificates: Keycloak's certificate has expired\n")
    assert "Repair: docker compose restart attestation" in said


def test_a_certificate_of_another_run(stage: Stage, serve: Callable[..., None]) -> None:
    serve()
    other = new_ca(new_key(), "CA", "spiffe://agents.example", dt.datetime.now(dt.UTC))
    stage.ca = other.certificate.public_bytes(Encoding.PEM)
    stage.with_stack()
    stage.docker()
    status, said = stage.run()

    assert status == 1
    assert said.startswith("Cause:  certificates: Keycloak's certificate is not of the CA")


def test_a_docker_that_says_nothing_useful_is_no_crash(stage: Stage) -> None:
    stage.docker([(["info"], 0, base64.b64encode(json.dumps(stage.info).encode()).decode(), "")])
    _, said = stage.run("containers")

    assert re.search(r"note +containers +none", said)


def test_a_tree_without_its_files_is_told_so(stage: Stage) -> None:
    (stage.root / "docker-compose.yml").unlink()

    assert stage.run() == (2, "")


def test_an_older_python_is_told_so(stage: Stage) -> None:
    text = (stage.root / "scripts" / "doctor.py").read_text()
    simulated = textwrap.dedent("""\
        import sys
        sys.version_info = (3, 9, 2)
        """)
    (stage.root / "scripts" / "doctor.py").write_text(simulated + text)
    status, said = stage.run()

    assert status == 1
    assert "Python 3.11 or newer is needed" in said


def test_the_last_start_that_failed_is_told_with_its_own_words(stage: Stage) -> None:
    folder = stage.root / "run" / "walkthrough"
    folder.mkdir(parents=True)
    with pytest.raises(DemoError), failure_noted(folder):
        raise DemoError("agent/reader does not start and makes no progress: in 60 s it has worked for 0.0 s;\nits log")
    status, said = stage.run()

    assert status == 1
    told = " ".join(said.split())  # it is the cause, unless something of this machine hinders a start as well
    assert re.search(r"wrong start the last one failed: \([-0-9]+ [:0-9]+\) agent/reader does not start and", told)
    with failure_noted(folder) as runs:
        runs.set()
    assert "the last one failed" not in stage.run()[1]


def test_what_ends_a_system_that_runs_is_no_start_that_failed(tmp_path: Path) -> None:
    def goes_down() -> None:
        with failure_noted(tmp_path) as runs:
            runs.set()
            raise DemoError

    with pytest.raises(DemoError):
        goes_down()

    assert list(tmp_path.iterdir()) == []
