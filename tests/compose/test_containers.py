"""Real containers: the story from end to end, crashes, new certificates, and a realm that is too old."""

import asyncio
import re
import ssl
from collections.abc import Callable
from subprocess import PIPE, Popen
from typing import Any

import httpx
import pytest

from zerotrust.testing.browser import Person
from zerotrust.testing.stack import Stack, until
from zerotrust.testing.users import User, authorities

pytestmark = pytest.mark.compose
SERVICES = ["attestation", "registry", "audit", "orchestrator", "reader", "writer", "documents", "inference"]
SERVICES += ["keycloak", "database"]
SignIn = Callable[[str], User]


def test_the_story_is_told_and_operators_have_their_command(stack: Stack) -> None:
    told = stack.run("run", "--rm", "-T", "walkthrough")
    assert " checks behaved as expected: " in told.stdout
    passwords = stack.run("run", "--rm", "-T", "walkthrough", "passwords").stdout
    [olga] = [line.split()[1] for line in passwords.splitlines() if line.startswith("olga ")]
    command = [*stack.compose.docker_compose_command(), "run", "--rm", "-T", "zt", "--user", "olga", "party", "list"]
    with Popen(command, cwd=stack.folder, stdout=PIPE, stderr=PIPE, text=True) as zt:  # noqa: S603
        assert zt.stderr
        address = next(found[0] for line in zt.stderr if (found := re.search(r"https://\S+user_code=\S+", line)))
        tls = ssl.create_default_context(cadata=authorities(stack))
        asyncio.run(Person("olga", olga).visit(address, tls))  # in a browser of this machine
        assert "agent/reader" in zt.communicate(timeout=60)[0]
    assert zt.returncode == 0


def works(sign_in: SignIn) -> bool:
    """Whether a user can sign in, and a task of theirs succeeds."""
    try:
        answer = sign_in("alice").send("orchestrator", "/tasks", json={"request": "Summarise the incident reports."})
    except httpx.HTTPError:
        return False
    return answer.status_code == 200 and answer.json()["result"]["event"] == "finished"


def state(stack: Stack, service: str) -> dict[str, Any]:
    """What Docker knows of a container that may be starting."""
    found: dict[str, Any] = stack.container(service).attrs["State"]
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_after_a_crash_of_any_container_tasks_succeed_again(stack: Stack, zt_user: SignIn, service: str) -> None:
    killed = stack.kill(service)

    assert until(lambda: state(stack, service)["Pid"] not in (0, killed))
    assert until(lambda: state(stack, service)["Health"]["Status"] == "healthy"), stack.log(service)[-2000:]
    assert until(lambda: works(zt_user))


def test_after_a_crash_of_all_of_them_too(stack: Stack, zt_user: SignIn) -> None:
    killed = {service: stack.kill(service) for service in SERVICES}

    for service in SERVICES:
        assert until(lambda name=service: state(stack, name)["Pid"] not in (0, killed[name]))  # type: ignore[misc]
    assert until(lambda: works(zt_user))


def test_after_two_rotations_of_every_certificate_tasks_succeed(stack: Stack, zt_user: SignIn) -> None:
    port = stack.container("orchestrator").attrs["NetworkSettings"]["Ports"]["443/tcp"][0]["HostPort"]
    seen = set()

    def shown() -> int:
        seen.add(ssl.get_server_certificate(("127.0.0.1", int(port))))
        return len(seen)

    assert until(lambda: shown() == 3)
    assert works(zt_user)


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
