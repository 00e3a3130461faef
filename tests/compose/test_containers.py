"""Real containers: a task from end to end, and identities for parties' containers as built and for nobody else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zerotrust.testing.rogue import Verdict
from zerotrust.testing.stack import Stack, until

pytestmark = pytest.mark.compose
ASK = """
from spiffe import WorkloadApiClient
with WorkloadApiClient(default_timeout=20) as client:
    print(client.fetch_x509_svid().spiffe_id)
"""
SERVICES = ["attestation", "registry", "orchestrator", "reader", "writer", "documents", "inference", "keycloak"]
Rogue = Callable[..., Verdict]


def test_the_story_is_told_and_operators_have_their_command(stack: Stack) -> None:
    told = stack.run("run", "--rm", "-T", "walkthrough")
    assert "All as expected." in told.stdout
    passwords = stack.run("run", "--rm", "-T", "walkthrough", "passwords").stdout
    [olga] = [line.split()[1] for line in passwords.splitlines() if line.startswith("olga ")]
    listed = stack.run("run", "--rm", "-T", "zt", "--user", "olga", "party", "list", given=f"{olga}\n")
    assert "agent/reader" in listed.stdout


def test_a_process_beside_the_main_one_gets_no_identity(stack: Stack) -> None:
    for user in "", "0":
        assert "no identity issued" in stack.execute("reader", "python", "-I", "-c", ASK, user=user)[1]
    assert "it is not the main process of a container" in stack.refusals()[-1]


ROGUES: dict[str, tuple[dict[str, Any], str]] = {
    "a twin of a running party": ({}, "runs already"),
    "a twin without a read-only root": ({"read_only": False}, "its root is writable"),
    "a twin with capabilities": ({"cap_drop": []}, "it has capabilities"),
    "a privileged twin": ({"privileged": True}, "it has capabilities"),
    "a twin that can gain privileges": ({"security_opt": []}, "it can gain privileges"),
    "a twin without a seccomp filter": (
        {"security_opt": ["no-new-privileges:true", "seccomp=unconfined"]},
        "no seccomp filter",
    ),
    "a twin as root": ({"user": "0:47823"}, "it runs as root"),
    "a file mounted over the code": (
        {"volumes": {"/etc/hostname": {"bind": "/app/zerotrust/py.typed", "mode": "ro"}}},
        "something is mounted at /app/zerotrust/py.typed",
    ),
    "a library that is loaded first": ({"environment": {"LD_PRELOAD": "/tmp/x.so"}}, "LD_PRELOAD"),  # noqa: S108
    "another issuer": ({"environment": {"ZT_ISSUER": "https://mine.example"}}, "its ZT_ISSUER is not that of attest"),
    "another command": ({"command": ["python", "-I", "-c", f"{ASK}\ninput()"]}, "it was started as"),
}


@pytest.mark.parametrize("who", ROGUES)
def test_a_container_that_is_no_partys_gets_no_identity(stack: Stack, zt_rogue: Rogue, who: str) -> None:
    changes, why = ROGUES[who]

    verdict = zt_rogue("reader", **changes)

    assert (verdict.identity, why in verdict.refusal) == ("", True), verdict


def test_a_container_as_the_partys_own_gets_its_identity_while_that_one_is_stopped(
    stack: Stack, zt_rogue: Rogue
) -> None:
    """So it is the change alone for which each of the others is refused."""
    stack.run("stop", "reader")
    try:
        assert zt_rogue("reader").identity == stack.registry.id("agent/reader")
    finally:
        stack.start()


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/app/agents/reader/planted.py", "code that is not approved: /app/agents/reader/planted.py"),
        ("/etc/ld.so.preload", "agent/reader: not what was built: /etc/ld.so.preload"),
        ("/usr/lib/planted.so", "agent/reader: not what was built: /usr/lib/planted.so"),
    ],
)
def test_an_image_with_one_file_more_gets_no_identity(
    stack: Stack, zt_rogue: Rogue, tmp_path: Path, path: str, why: str
) -> None:
    (tmp_path / "file").write_text("")
    original = stack.container("reader").attrs["Config"]["Image"]
    (tmp_path / "Dockerfile").write_text(f"FROM {original}\nCOPY file {path}\n")
    image, _ = stack.docker.images.build(path=str(tmp_path), rm=True)
    stack.run("stop", "reader")
    try:
        assert why in zt_rogue("reader", image=str(image.id)).refusal
    finally:
        stack.docker.images.remove(str(image.id), force=True)
        stack.start()


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
    assert set(stack.execute(who, "python", "-I", "-c", CONNECT)[1].splitlines()) == REACHED[who]


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_whose_main_process_is_killed_comes_back(stack: Stack, service: str) -> None:
    killed = stack.kill(service)

    def state() -> dict[str, Any]:
        found: dict[str, Any] = stack.container(service).attrs["State"]
        return found

    assert until(lambda: state()["Pid"] not in (0, killed))
    assert until(lambda: state()["Health"]["Status"] == "healthy"), stack.log(service)[-2000:]


def test_a_realm_older_than_the_images_is_refused_with_the_way_out(stack: Stack) -> None:
    stale = "from pathlib import Path; Path('/setup/keycloak/realm.sha256').write_text('of another realm')"
    setup = ["run", "--rm", "--no-deps", "-T", "--entrypoint", "python", "setup", "-c"]
    kept = stack.run(*setup, "print(open('/setup/keycloak/realm.sha256').read())").stdout.split()[-1]
    stack.run(*setup, stale)
    refused = stack.run("run", "--rm", "--no-deps", "-T", "setup", check=False)
    stack.run(*setup, stale.replace("of another realm", kept))

    assert refused.returncode == 1
    assert "docker compose down -v && docker compose up --wait" in refused.stdout + refused.stderr
    stack.run("run", "--rm", "--no-deps", "-T", "setup")
