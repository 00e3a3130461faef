"""What the verifier of a node answers SPIRE's agent.  Rows 530 to 536 of the attack table have the refusals."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import patch

import httpx
import pytest

from authorities.attestation.containers import attested
from authorities.attestation.containers.admission import DOCKER, KUBERNETES, Facts, Own, kept_places, problem
from authorities.attestation.containers.settings import Settings
from authorities.attestation.kubernetes import main
from authorities.attestation.kubernetes.pods import MOST_PODS, pod_of
from authorities.attestation.spiffe.workload_api import REFUSALS_AT_ONCE
from authorities.attestation.verifier.drift import Drift
from tests.support.container import COMMAND, STATUS
from tests.support.pod import ATTESTATION, ENVIRON, HOSTS, MOUNTS, Node, ask
from tests.support.system import ROOT
from tests.support.waiting import until
from zerotrust.authority.files.reading import RegistryError


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    running = Node(tmp_path)
    with patch.object(attested, "_problem_of_program", lambda *_: None):
        async with Drift(lambda *_, **__: None) as drift:
            own = running.start()
            serving = asyncio.create_task(running.verifier(drift, pid=own).serve(running.proc / "s"))
            await until((running.proc / "s").exists)
            yield running
            serving.cancel()
            await asyncio.wait([serving])
    running.end_all()


async def test_a_party_is_told_by_name_and_its_own_process_vouches_for_itself_alone(node: Node) -> None:
    own = node.asking
    assert await ask(node.proc / "s", node.start()) == "party:agent/reader\n"
    assert await ask(node.proc / "s", node.start("writer")) == "party:agent/writer\n"
    assert await ask(node.proc / "s", own) == f"party:{ATTESTATION}\n"


async def test_only_root_and_this_user_may_ask(node: Node) -> None:
    assert (node.proc / "s").stat().st_mode & 0o777 == 0o600


async def test_what_asks_about_no_process_gets_no_answer(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await ask(node.proc / "s", None, os.open("/dev/null", os.O_RDONLY)) == ""
    ended = node.start()
    descriptor = os.pidfd_open(ended)
    node.end(ended)
    assert await ask(node.proc / "s", None, descriptor) == ""
    assert all("the process has ended, or cannot be seen" in why for why in node.logged)

    monkeypatch.setattr(main, "SECONDS_FOR_A_QUESTION", 0.01)
    assert await ask(node.proc / "s", None) == ""
    assert (len(node.logged), node.logged[-1]) == (3, "no pod was examined in time")


async def test_more_questions_than_can_be_answered_get_no_answer(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "MOST_QUESTIONS", 0)
    assert await ask(node.proc / "s", node.start()) == ""
    assert node.logged == ["too many questions at once"]

    for _ in range(asked := REFUSALS_AT_ONCE + 100):  # a further one is logged each second
        await ask(node.proc / "s", node.asking)
    assert len(node.logged) < asked


async def test_a_question_is_given_up_when_the_plugin_no_longer_waits(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "SECONDS_FOR_AN_ANSWER", 0)
    assert await ask(node.proc / "s", pid := node.start()) == ""
    assert node.logged == ["not answered in time "]

    monkeypatch.undo()
    assert await ask(node.proc / "s", pid) == "party:agent/reader\n"  # the examination has gone on


@pytest.mark.parametrize("answer", [httpx.Response(403), httpx.Response(200, text="{}"), httpx.ConnectTimeout("late")])
async def test_whose_pod_it_is_has_to_be_known(
    node: Node, monkeypatch: pytest.MonkeyPatch, answer: httpx.Response | Exception
) -> None:
    def answers(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        answer.request = request
        return answer

    with patch.object(node.network, "handler", answers):
        assert await ask(node.proc / "s", node.start()) == ""
    assert "the API server did not list the pods of agent/reader" in node.logged[-1]


async def test_a_pod_beyond_those_that_are_read_is_not_known(node: Node) -> None:
    node.accounts |= {str(number): "zero-trust/agent-reader" for number in range(MOST_PODS)}
    assert await ask(node.proc / "s", node.start()) == ""
    assert "does not have the account agent-reader" in node.logged[-1]


@pytest.mark.parametrize(
    ("cgroup", "pod"),
    [
        ("0::/../../pod{}/e671", True),
        ("9:cpu:/c/kubepods/besteffort/pod{}/e671\n1:name=systemd:/c/kubepods/besteffort/pod{}/e671", True),
        ("0::/kubepods.slice/kubepods-pod{_}.slice/cri-containerd-e671.scope", True),
        ("0::/user.slice", False),
        ("0::/kubepods/pod{}/e671/pod11111111-2222-3333-4444-555555555555", False),
    ],
)
def test_the_kernel_names_the_pod(cgroup: str, pod: bool) -> None:
    uid = "8aa2c0de-0001-4002-8003-123456789abc"
    assert pod_of(cgroup.replace("{}", uid).replace("{_}", uid.replace("-", "_"))) == (uid if pod else "")


def test_the_plugin_waits_as_long_as_the_verifier_answers() -> None:
    text = (ROOT / "authorities/attestation/kubernetes/spire_plugin/main.go").read_text()
    assert f"longest = {main.SECONDS_FOR_AN_ANSWER} * time.Second" in text


async def test_a_verifier_is_not_ready_by_the_socket_of_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probe looks for the socket, and this one reads its image for a minute before it listens."""
    (left := tmp_path / "verifier.sock").touch()
    monkeypatch.setattr(main, "SOCKET", left)
    monkeypatch.setenv("SPIFFE_ENDPOINT_SOCKET", "unix:///run/spire/agent.sock")
    with patch.object(main, "load_registry", side_effect=RegistryError("read")), pytest.raises(RegistryError):
        await main.serve(Settings.model_construct())
    assert not left.exists()


async def test_every_file_is_looked_at_again_without_a_question(tmp_path: Path) -> None:
    node = Node(tmp_path)
    async with Drift(lambda *_, **__: None) as drift:
        with patch.object(drift, "look") as look:
            looking = asyncio.create_task(node.verifier(drift, within=0.001).look())
            await until(lambda: look.await_count > 1)
            looking.cancel()
            await asyncio.wait([looking])


async def test_parties_that_run_when_the_verifier_starts_are_watched_without_a_question(tmp_path: Path) -> None:
    node = Node(tmp_path)
    with patch.object(attested, "_problem_of_program", lambda *_: None):
        async with Drift(lambda *_, **__: None) as drift:
            node.start("writer")
            node.file("mountinfo").write_bytes(b"\xff")  # a process with mounts of its own
            node.start()
            looking = asyncio.create_task(node.verifier(drift).look(node.proc))
            await until(lambda: len(drift._found) == 1)
            node.file("root/app/main.py").write_text("import os")
            await until(lambda: drift.drifted == {"agent/reader": "/app/main.py"})
            assert not looking.done()
            looking.cancel()
            await asyncio.wait([looking])
    node.end_all()


async def test_code_behind_a_link_is_not_looked_at(node: Node) -> None:
    """A volume of the pod could be there, with files without end."""
    pid = node.start()
    app = node.file("root/app")
    app.rename(app.with_name("data"))
    app.symlink_to("data")
    assert await ask(node.proc / "s", pid) == ""
    assert node.logged == ["/app is a link"]


def test_what_kubernetes_adds_to_each_container_is_known_in_pods_alone() -> None:
    facts = Facts(STATUS, MOUNTS.encode(), COMMAND, ENVIRON, HOSTS)
    own = Own(Node.same, kept_places(MOUNTS.encode(), KUBERNETES), KUBERNETES)

    assert problem(facts, own) is None
    assert problem(facts, Own(Node.same, {**own.kept, "_data": own.kept["hostname"]}, DOCKER)) is not None
    with pytest.raises(ValueError, match="is not what Docker keeps: no _data, hosts"):
        kept_places(MOUNTS.encode(), DOCKER)


def test_without_the_address_of_the_workload_api_it_says_which_variable_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SPIFFE_ENDPOINT_SOCKET", raising=False)
    for name in ("registry", "registry_party", "issuer", "issuer_at"):
        monkeypatch.setenv(f"ZT_{name.upper()}", "https://there.test")

    with pytest.raises(SystemExit, match="attestation: SPIFFE_ENDPOINT_SOCKET is not set"):
        main.main()
