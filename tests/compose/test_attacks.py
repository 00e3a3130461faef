"""What only containers can show: identities for parties' containers as built and for nothing else; who reaches whom."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testkit.rogue import Verdict
from testkit.stack import Stack
from tests.support.compose import CONNECT, PORTS, REACHED, Tried

pytestmark = pytest.mark.compose
ASK = """
from spiffe import WorkloadApiClient
with WorkloadApiClient(default_timeout=20) as client:
    print(client.fetch_x509_svid().spiffe_id)
"""
Rogue = Callable[..., Verdict]


@pytest.mark.parametrize(("user", "who"), [("", "the party's own user"), ("0", "root")])
def test_a_process_beside_the_main_one_gets_no_identity(stack: Stack, tried: Tried, user: str, who: str) -> None:
    said = stack.execute("reader", "python", "-I", "-c", ASK, user=user)[1]
    assert "no identity issued: docker compose logs attestation says why" in said
    assert "it is not the main process of a container" in stack.refusals()[-1]
    tried(f"docker exec in the reader, as {who}", stack.refusals()[-1])


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
    "another search path": ({"environment": {"PATH": "/data:/usr/local/bin"}}, "its PATH is not that of attestation"),
    "a name that leads elsewhere": (
        {"extra_hosts": {"registry.authority.agents.example": "10.0.0.9"}},
        "its /etc/hosts leads 'registry.authority.agents.example'",
    ),
    "a name that leads elsewhere, behind a space that only the C library takes for one": (
        {"extra_hosts": {"ip6-a\vregistry.authority.agents.example": "10.0.0.9"}},
        "its /etc/hosts leads 'registry.authority.agents.example'",
    ),
    "the machine's hosts file as its own": (
        {"volumes": {"/etc/hosts": {"bind": "/etc/hosts", "mode": "ro"}}},
        "/etc/hosts is not what Docker keeps",
    ),
    "a folder of the machine as its temporary folder": (
        {"tmpfs": {}, "volumes": {"/var/tmp": {"bind": "/tmp", "mode": "rw"}}},  # noqa: S108
        "only tmpfs / may be there",
    ),
    "a temporary folder with programs": ({"tmpfs": {"/tmp": "size=16m,exec"}}, "/tmp is mounted without noexec"),  # noqa: S108
    "a folder of the machine as its data": (
        {"volumes": {"/var/tmp": {"bind": "/data", "mode": "rw"}}},  # noqa: S108
        "/data is not what Docker keeps",
    ),
    "another issuer": ({"environment": {"ZT_ISSUER": "https://mine.example"}}, "its ZT_ISSUER is not that of attest"),
    "another command": ({"command": ["python", "-I", "-c", f"{ASK}\ninput()"]}, "it was started as"),
}


@pytest.mark.parametrize("who", ROGUES)
def test_a_container_that_is_no_partys_gets_no_identity(stack: Stack, zt_rogue: Rogue, tried: Tried, who: str) -> None:
    changes, why = ROGUES[who]

    verdict = zt_rogue("reader", **changes)

    assert (verdict.identity, why in verdict.refusal) == ("", True), verdict
    tried(who, verdict.refusal)


def test_a_container_as_the_partys_own_gets_its_identity_while_that_one_is_stopped(
    stack: Stack, zt_rogue: Rogue
) -> None:
    """So it is the change alone for which each of the others is refused."""
    assert zt_rogue("reader", stopped=True).identity == stack.registry.id("agent/reader")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/app/agents/reader/planted.py", "code that is not approved: /app/agents/reader/planted.py"),
        ("/etc/ld.so.preload", "agent/reader: not what was built: /etc/ld.so.preload"),
        ("/usr/lib/planted.so", "agent/reader: not what was built: /usr/lib/planted.so"),
    ],
)
def test_an_image_with_one_file_more_gets_no_identity(
    stack: Stack, zt_rogue: Rogue, tried: Tried, tmp_path: Path, path: str, why: str
) -> None:
    (tmp_path / "file").write_text("")
    original = stack.container("reader").attrs["Config"]["Image"]
    (tmp_path / "Dockerfile").write_text(f"FROM {original}\nCOPY file {path}\n")
    image, _ = stack.docker.images.build(path=str(tmp_path), rm=True)
    stack.run("stop", "reader")
    try:
        refusal = zt_rogue("reader", image=str(image.id)).refusal
        assert why in refusal
        tried(f"an image with one file more: {path}", refusal)
    finally:
        stack.docker.images.remove(str(image.id), force=True)
        stack.start()


INTERNET = ("the internet", "1.1.1.1", 443)


def places(stack: Stack) -> list[tuple[str, str, int]]:
    """Each address that a container has, in any network, with its port: no name has to be known to an intruder."""
    return [INTERNET] + [
        (name, network["IPAddress"], port)
        for name, port in PORTS.items()
        for network in stack.container(name).attrs["NetworkSettings"]["Networks"].values()
    ]


@pytest.mark.parametrize("who", REACHED)
def test_a_party_reaches_whom_the_registry_lets_it_call_and_nobody_else(stack: Stack, tried: Tried, who: str) -> None:
    known = places(stack)
    printed = stack.execute(who, "python", "-I", "-c", CONNECT, json.dumps(known))[1]
    assert set(printed.splitlines()) == REACHED[who]
    others = {name for name, *_ in known} - REACHED[who]
    tried(f"{who} connects to every address of: {', '.join(sorted(others))}", "no connection: the networks")
