"""Real containers: a task from end to end, and identities for parties' containers as built and for nobody else."""

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.compose.conftest import IDENTITY, PROJECT, Stack, run

pytestmark = pytest.mark.compose
READER = f"{PROJECT}/reader"
HARDENED = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true", "--tmpfs", "/tmp"]  # noqa: S108
AS_A_PARTY = [*HARDENED, "--network", "none", "-v", f"{PROJECT}_identity:/run/identity:ro"]
SETTINGS = {
    "SPIFFE_ENDPOINT_SOCKET": "unix:/run/identity/api.sock",
    "ZT_REGISTRY": "https://registry.authority.agents.example",
    "ZT_REGISTRY_PARTY": "authority/registry",
    "ZT_ISSUER": "https://localhost:8443/realms/agents",
    "ZT_ISSUER_AT": "https://keycloak:8443",
    "ZT_HOST": "127.0.0.1",
    "ZT_PORT": "443",
    "ZT_DATA": "/data",
}
SERVICES = ["attestation", "registry", "orchestrator", "reader", "writer", "documents", "inference", "keycloak"]
LONGEST = 180
"""Seconds for what has to happen; it takes some of them on an idle machine."""


def until(found: Callable[[], bool]) -> bool:
    """Wait for something that has to come."""
    end = time.monotonic() + LONGEST
    while not (there := found()) and time.monotonic() < end:
        time.sleep(0.5)
    return there


def with_settings(**more: str) -> list[str]:
    return [part for name, value in (SETTINGS | more).items() for part in ("-e", f"{name}={value}")]


@pytest.fixture
def rogue(stack: Stack) -> Iterator[Callable[..., None]]:
    """Start a container that asks for an identity, and check why it gets none."""
    name = f"{PROJECT}-rogue-{uuid.uuid4().hex[:8]}"

    def start(image: str, options: list[str], command: list[str], why: str) -> None:
        before = len(stack.refusals())
        started = run("run", "-d", "--name", name, *options, image, *command)
        assert started.status == 0, started.text
        assert until(lambda: any(why in refusal for refusal in stack.refusals()[before:])), stack.refusals()[before:]
        assert "agents.example" not in run("logs", name).text.replace("registry.authority.agents.example", "")

    yield start
    run("rm", "-f", name)


def test_the_story_is_told_and_operators_have_their_command(stack: Stack) -> None:
    told = stack.compose("run", "--rm", "-T", "walkthrough")
    assert told.status == 0, told.text
    assert "All as expected." in told.text
    passwords = stack.compose("run", "--rm", "-T", "walkthrough", "passwords").text
    [olga] = [line.split()[1] for line in passwords.splitlines() if line.startswith("olga ")]
    listed = stack.compose("run", "--rm", "-T", "zt", "--user", "olga", "party", "list", given=f"{olga}\n")
    assert listed.status == 0, listed.text
    assert "agent/reader" in listed.text


def test_a_process_beside_the_main_one_gets_no_identity(stack: Stack) -> None:
    for user in ([], ["-u", "0"]):
        answer = stack.python("reader", IDENTITY, *user)
        assert "no identity issued" in answer.text
    assert "it is not the main process of a container" in stack.refusals()[-1]


ROGUES = {
    "a twin of a running party": (AS_A_PARTY, {}, [], "runs already"),
    "a twin without a read-only root": (
        [option for option in AS_A_PARTY if option != "--read-only"],
        {},
        [],
        "its root is writable",
    ),
    "a twin with capabilities": (
        [*HARDENED[:1], *HARDENED[3:], *AS_A_PARTY[len(HARDENED) :]],
        {},
        [],
        "it has capabilities",
    ),
    "a privileged twin": ([*AS_A_PARTY, "--privileged"], {}, [], "it has capabilities"),
    "a twin that can gain privileges": ([*HARDENED[:3], *AS_A_PARTY[5:]], {}, [], "it can gain privileges"),
    "a twin without a seccomp filter": (
        [*AS_A_PARTY, "--security-opt", "seccomp=unconfined"],
        {},
        [],
        "no seccomp filter",
    ),
    "a twin as root": ([*AS_A_PARTY, "--user", "0:47823"], {}, [], "it runs as root"),
    "a file mounted over the code": (
        [*AS_A_PARTY, "-v", "/etc/hostname:/app/zerotrust/py.typed:ro"],
        {},
        [],
        "something is mounted at /app/zerotrust/py.typed",
    ),
    "a library that is loaded first": (AS_A_PARTY, {"LD_PRELOAD": "/tmp/x.so"}, [], "LD_PRELOAD"),  # noqa: S108
    "another issuer": (
        AS_A_PARTY,
        {"ZT_ISSUER": "https://mine.example"},
        [],
        "its ZT_ISSUER is not that of attestation",
    ),
    "another command": (AS_A_PARTY, {}, ["python", "-I", "-c", IDENTITY], "it was started as"),
}


@pytest.mark.parametrize("who", ROGUES)
def test_a_container_that_is_no_partys_gets_no_identity(rogue: Callable[..., None], who: str) -> None:
    options, variables, command, why = ROGUES[who]

    rogue(READER, [*options, *with_settings(**variables)], command, why)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/app/agents/reader/planted.py", "code that is not approved: /app/agents/reader/planted.py"),
        ("/etc/ld.so.preload", "agent/reader: not what was built: /etc/ld.so.preload"),
        ("/usr/lib/planted.so", "agent/reader: not what was built: /usr/lib/planted.so"),
    ],
)
def test_an_image_with_one_file_more_gets_no_identity(
    stack: Stack, rogue: Callable[..., None], tmp_path: Path, path: str, why: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "Dockerfile").write_text(f"FROM {READER}\nCOPY file {path}\n")
    image = f"{PROJECT}-planted"
    built = run("build", "-q", "-t", image, str(tmp_path))
    assert built.status == 0, built.text
    stack.compose("stop", "reader")
    try:
        rogue(image, [*AS_A_PARTY, *with_settings()], [], why)
    finally:
        run("rmi", "-f", image)
        assert stack.up().status == 0


PLACES = {
    name: (f"{name}.agents.example", 443) for name in ("orchestrator", "reader.agent", "writer.agent", "inference")
}
PLACES |= {
    "documents": ("documents.tool.agents.example", 443),
    "registry": ("registry.authority.agents.example", 443),
    "Keycloak": ("keycloak", 8443),
    "database": ("database", 5432),
    "the internet": ("1.1.1.1", 443),
}
REACHED = {
    "orchestrator": {"orchestrator", "reader.agent", "writer.agent", "inference", "registry", "Keycloak"},
    "reader": {"reader.agent", "documents", "inference", "registry", "Keycloak"},
    "writer": {"writer.agent", "documents", "inference", "registry", "Keycloak"},
    "documents": {"documents", "registry", "Keycloak"},
    "inference": {"inference", "registry", "Keycloak"},
}
CONNECT = f"""
import socket
for name, place in {PLACES!r}.items():
    try:
        socket.create_connection(place, timeout=5).close()
        print(name)
    except OSError:
        pass
"""


@pytest.mark.parametrize("who", REACHED)
def test_a_party_reaches_whom_the_registry_lets_it_call_and_nobody_else(stack: Stack, who: str) -> None:
    assert set(stack.python(who, CONNECT).text.splitlines()) == REACHED[who]


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_whose_main_process_is_killed_comes_back(stack: Stack, service: str) -> None:
    killed = stack.main_process(service)
    os.kill(killed, signal.SIGKILL)

    assert until(lambda: stack.main_process(service) not in (0, killed))
    assert until(lambda: stack.inspect(service)["State"]["Health"]["Status"] == "healthy"), stack.log(service)[-2000:]


def test_a_realm_older_than_the_images_is_refused_with_the_way_out(stack: Stack) -> None:
    stale = "from pathlib import Path; Path('/setup/keycloak/realm.sha256').write_text('of another realm')"
    setup = ["run", "--rm", "--no-deps", "--entrypoint", "python", "setup", "-c"]
    kept = stack.compose(*setup, "print(open('/setup/keycloak/realm.sha256').read())").text.split()[-1]
    stack.compose(*setup, stale)
    refused = stack.compose("run", "--rm", "--no-deps", "setup")
    stack.compose(*setup, stale.replace("of another realm", kept))

    assert refused.status == 1
    assert "docker compose down -v && docker compose up --wait" in refused.text
    assert stack.compose("run", "--rm", "--no-deps", "setup").status == 0
