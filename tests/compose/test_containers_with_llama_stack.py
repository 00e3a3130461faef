"""The overlay compose.llama-stack.yaml, on real containers: the same story through a real server, and back again."""

import json
from collections.abc import Callable

import pytest

from start.llama_stack.ogx import NAME
from testkit.stack import Stack, wait_until
from testkit.users import User
from tests.support.compose import CONNECT, PORTS, REACHED, works
from tests.support.system import ROOT

pytestmark = pytest.mark.compose
SERVER_PORTS = PORTS | {"llama-stack": 8321, "scripted-model": 8080}
SERVER_REACHED = REACHED | {
    "inference": REACHED["inference"] | {"llama-stack"},
    "llama-stack": {"llama-stack", "scripted-model", "keycloak"},
    "scripted-model": {"scripted-model"},
}
ASK = """
import ssl, sys, urllib.error, urllib.request
request = urllib.request.Request("https://llama-stack:8321" + sys.argv[1], headers={"authorization": sys.argv[2]})
try:
    print(urllib.request.urlopen(request, context=ssl._create_unverified_context(), timeout=20).status)
except urllib.error.HTTPError as refusal:
    print(refusal.code)
"""
CHAT = '"POST /v1/chat/completions HTTP/1.1" 200'


@pytest.fixture(scope="module")
def with_server(stack: Stack) -> Stack:
    """The containers of both files."""
    more = Stack(ROOT, ["docker-compose.yml", "start/compose.llama-stack.yaml"])
    more.start()
    assert stack.project == more.project
    return more


def enrolled(stack: Stack) -> bool:
    return stack.execute("registry", "cat", "/data/outside.json")[0] == 0


def test_the_story_is_the_same_and_the_server_answers_in_it(with_server: Stack) -> None:
    told = with_server.run("run", "--rm", "-T", "walkthrough").stdout

    assert " checks behaved as expected: " in told, told
    assert "the model `provider/scripted` answered, behind a Llama Stack server" in " ".join(told.split())
    assert CHAT in with_server.log("llama-stack")
    assert '"GET /v1/models HTTP/1.1" 200' in with_server.log("llama-stack")  # it is named by a plan that has asked


@pytest.mark.parametrize("who", ["orchestrator", "reader", "inference", "llama-stack", "scripted-model"])
def test_the_server_is_reached_by_inference_alone_and_reaches_no_party(with_server: Stack, who: str) -> None:
    known = [
        (name, network["IPAddress"], port)
        for name, port in SERVER_PORTS.items()
        for network in with_server.container(name).attrs["NetworkSettings"]["Networks"].values()
    ]
    printed = with_server.execute(who, "python", "-I", "-c", CONNECT, json.dumps(known))[1]

    assert set(printed.splitlines()) == SERVER_REACHED[who]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/v1/health", "/docs"])
def test_the_server_itself_opens_nothing_without_a_token_for_it(
    with_server: Stack, zt_user: Callable[[str], User], path: str
) -> None:
    alice = zt_user("alice").token
    for credentials, refused in [("", {"401", "403"}), (f"Bearer {alice}", {"401", "403"})]:
        assert with_server.execute("inference", "python", "-I", "-c", ASK, path, credentials)[1].strip() in refused


def test_the_servers_key_is_in_no_configuration_of_a_container(with_server: Stack) -> None:
    key = with_server.execute("llama-stack", "cat", "/setup/server.key")[1].splitlines()[1]
    pinned = json.loads(with_server.execute("registry", "cat", "/data/outside.json")[1])

    assert len(pinned[NAME]) == 64
    for container in with_server.containers().values():
        assert key not in json.dumps(container.attrs)


def test_without_the_file_the_script_answers_again(
    with_server: Stack, stack: Stack, zt_user: Callable[[str], User]
) -> None:
    """`setup` and the registry start anew, and inference hears from the registry's feed that there is no server."""
    assert enrolled(with_server)
    stack.run("up", "--detach", "--wait", "registry")

    assert wait_until(lambda: not enrolled(stack))
    assert wait_until(lambda: works(zt_user))
    answered = with_server.log("llama-stack").count(CHAT)
    assert works(zt_user)
    assert with_server.log("llama-stack").count(CHAT) == answered
