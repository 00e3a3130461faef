"""Real containers: the story from end to end, crashes, new certificates, and a realm that is too old."""

import asyncio
import re
import shutil
import ssl
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, run
from typing import Any

import pytest

from testkit.browser import Person
from testkit.stack import Stack, wait_until
from testkit.users import authorities
from tests.support.compose import SignIn, works
from tests.support.system import ROOT

pytestmark = pytest.mark.compose
SERVICES = ["attestation", "registry", "policy", "audit", "orchestrator", "reader", "writer", "documents", "inference"]
SERVICES += ["keycloak", "database"]


def test_the_story_is_told(stack: Stack) -> None:
    told = stack.run("run", "--rm", "-T", "walkthrough")
    assert " checks behaved as expected: " in told.stdout


def typed(block: str) -> str:
    """A block of docs/how-to/containers.md, for bash."""
    section = (ROOT / "docs" / "how-to" / "containers.md").read_text().partition("## zt in its container\n")[2]
    return next(str(each) for each in re.findall(r"```bash\n(.*?)```", section, re.DOTALL) if block in each)


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    """A folder in the place of `run`, which an account of the containers can read."""
    folder = tmp_path / "run"
    folder.mkdir()
    tmp_path.chmod(0o755)
    return folder


def test_what_the_page_says_of_zt_is_typed_off_and_it_works(stack: Stack, evidence: Path) -> None:
    blocks = [typed("alias zt="), typed("zt audit export"), typed("zt receipt verify"), typed("alias zt-offline=")]
    script = re.sub(r"(\./)?\brun/", f"{evidence}/", "\n".join(blocks).replace("./run:", f"{evidence}:"))
    script = script.replace(f"verify {evidence}/", "verify run/").replace(f"digest {evidence}/", "digest run/")
    ask = shutil.copytree(ROOT / "start", evidence.parent / "start") / "ask"  # it looks for run/ca.pem beside it
    script = script.replace("start/ask", str(ask))
    command = ["bash", "-ec", f"shopt -s expand_aliases\n{script}"]

    done = run(command, cwd=ROOT, stdin=DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603

    assert done.returncode == 0, done.stdout + done.stderr
    assert "answers, identity verified" in done.stdout
    assert re.search(r"agents.example/audit: all \d+ leaves verified", done.stdout)
    assert "Proven: agent/reader, inference, orchestrator, tool/documents took part" in done.stdout


def test_operators_have_their_command(stack: Stack, tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / "policies", tmp_path / "policies")
    tmp_path.chmod(0o755)
    assert "agent/reader" in as_olga(stack, "party", "list")
    mounted = f"--volume={folder}:/app/policies:ro"
    assert "These are the policies in force, version" in as_olga(stack, "policy", "test", mounted=mounted)
    rules = folder / "documents.cedar"
    rules.write_text(re.sub(r'@id\("read-public"\).*?\n};\n', "", rules.read_text(), flags=re.DOTALL))
    tested = as_olga(stack, "policy", "test", mounted=mounted, status=1)
    assert "yes by 'read-public' expected" in tested
    assert "yes (read-public) -> no (resource_denied)" in tested


def as_olga(stack: Stack, *words: str, mounted: str = "--no-deps", status: int = 0) -> str:
    """Run `zt` as an operator, who confirms its code in a browser of this machine; return what it printed."""
    passwords = stack.run("run", "--rm", "-T", "--no-deps", "walkthrough", "passwords").stdout
    [olga] = [line.split()[1] for line in passwords.splitlines() if line.startswith("olga ")]
    how = ["run", "--rm", "-T", "--no-deps", mounted]
    command = [*stack.compose.docker_compose_command(), *how, "zt", "--user", "olga", *words]
    with Popen(command, cwd=stack.folder, stdout=PIPE, stderr=PIPE, text=True) as zt:  # noqa: S603
        assert zt.stderr
        address = next(found[0] for line in zt.stderr if (found := re.search(r"https://\S+user_code=\S+", line)))
        tls = ssl.create_default_context(cadata=authorities(stack))
        asyncio.run(Person("olga", olga).visit(address, tls))
        printed, errors = zt.communicate(timeout=60)
    assert zt.returncode == status, printed + errors
    return printed + errors


def state(stack: Stack, service: str) -> dict[str, Any]:
    """What Docker knows of a container that may be starting."""
    found: dict[str, Any] = stack.container(service).attrs["State"]
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_after_a_crash_of_any_container_tasks_succeed_again(stack: Stack, zt_user: SignIn, service: str) -> None:
    killed = stack.kill(service)

    assert wait_until(lambda: state(stack, service)["Pid"] not in (0, killed))
    assert wait_until(lambda: state(stack, service)["Health"]["Status"] == "healthy"), stack.log(service)[-2000:]
    assert wait_until(lambda: works(zt_user))


def test_after_a_crash_of_all_of_them_too(stack: Stack, zt_user: SignIn) -> None:
    killed = {service: stack.kill(service) for service in SERVICES}

    for service in SERVICES:
        assert wait_until(lambda name=service: state(stack, name)["Pid"] not in (0, killed[name]))  # type: ignore[misc]
    assert wait_until(lambda: works(zt_user))


def test_after_two_rotations_of_every_certificate_tasks_succeed(stack: Stack, zt_user: SignIn) -> None:
    port = stack.container("orchestrator").attrs["NetworkSettings"]["Ports"]["443/tcp"][0]["HostPort"]
    seen = set()

    def shown() -> int:
        seen.add(ssl.get_server_certificate(("127.0.0.1", int(port))))
        return len(seen)

    assert wait_until(lambda: shown() == 3)
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
