"""The test bed as far as it needs no container: what the plugin costs, what it says without Docker, whom it asks."""

import json
import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import httpx
import pytest
from docker.errors import APIError

from testkit import intruders
from testkit import rogue as rogues
from testkit import stack as stacks
from testkit.records import refusal_reasons
from testkit.rogue import Verdict, rogue
from testkit.stack import Stack, StackError
from testkit.users import authorities, directory, passwords
from tests.support.system import ROOT, registry
from zerotrust.audit.record import GENESIS, line_of

RUN = """
import sys; sys.path.append(sys.argv[1]); import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "testkit.pytest_plugin", *sys.argv[2:]]))
"""
NOWHERE = {**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"}
PID, STARTED = 4711, "2026-11-26T12:00:00.123456789Z"


def python(source: str, *arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", source, str(ROOT), *arguments]
    return subprocess.run(command, cwd=folder, env=NOWHERE, capture_output=True, text=True, check=False)  # noqa: S603


@pytest.mark.parametrize(
    ("options", "status", "outcome"),
    [((), 1, "1 passed, 2 errors"), (("-rs", "-o", "zt_without_docker=skip"), 0, "1 passed, 2 skipped")],
)
def test_where_no_docker_answers_a_test_fails_unless_it_may_be_skipped(
    tmp_path: Path, options: tuple[str, ...], status: int, outcome: str
) -> None:
    (tmp_path / "test_it.py").write_text("def test_a(zt_stack): pass\ndef test_b(zt_stack): pass\ndef test_c(): pass")

    done = python(RUN, "-o", f"zt_folder={ROOT}", *options, folder=tmp_path)

    assert (done.returncode, outcome in done.stdout) == (status, True)
    assert "no Docker answers" in done.stdout
    assert "Traceback" not in done.stdout
    assert "another exception" not in done.stdout


class Asked:
    """A stack whose Docker is asked nothing: what its containers are is given."""

    def __init__(self, *logged: dict[str, Any], **containers: dict[str, Any]) -> None:
        self.registry, self.logged, self.started, self.ended = registry(), logged, dict[str, Any](), list[bool]()
        self._containers = {name: SimpleNamespace(attrs=attrs) for name, attrs in containers.items()}
        self.docker, self.project = SimpleNamespace(containers=self), "project"
        self.attrs = {"State": {"Pid": PID, "StartedAt": STARTED}}

    def containers(self) -> dict[str, Any]:
        return self._containers

    def container(self, service: str) -> Any:
        return self._containers[service]

    def variables(self, service: str) -> dict[str, str]:  # noqa: ARG002
        return {"ZT_ISSUER": "https://issuer"}

    def attestation_events(self) -> list[dict[str, Any]]:
        return [*self.logged]

    def run(self, **options: Any) -> "Asked":
        self.started = options
        return self

    def reload(self) -> None:
        pass

    def remove(self, *, force: bool, v: bool) -> None:
        self.ended.append(force and v)

    def logs(self) -> bytes:
        return b"what it printed"


def event(kind: str, *, pid: int = PID, time: str = "2026-11-26T12:00:01+00:00", **more: str) -> dict[str, Any]:
    return {"time": time, "event": kind, "pid": pid, **more}


def with_party(*logged: dict[str, Any]) -> Asked:
    sockets = {"Mounts": [{"Destination": "/run/identity", "Name": "sockets"}]}
    host = {
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "Tmpfs": {"/data": ""},
    }
    party = {"Config": {"Image": "image", "User": "47823:47823"}, "HostConfig": host}
    return Asked(*logged, reader=party, attestation=sockets)


@pytest.mark.parametrize(
    ("logged", "verdict"),
    [
        (event("refused", why="it runs as root"), Verdict(refusal="it runs as root")),
        (event("attested", party="spiffe://x/reader"), Verdict(identity="spiffe://x/reader")),
    ],
)
def test_a_rogue_is_answered_by_what_attestation_logs_of_its_process_and_removed(
    logged: dict[str, Any], verdict: Verdict
) -> None:
    others = (
        event("refused", pid=PID + 1, why="other"),
        event("refused", time="2026-11-26T11:59:59+00:00", why="before"),
    )
    stack = with_party(*others, event("changed"), logged, event("refused", why="later"))

    found = rogue(cast("Stack", stack), "reader", environment={"LD_PRELOAD": "x"}, cap_drop=[], user="0")

    assert found == verdict
    assert stack.ended == [True]
    assert stack.started["environment"] == {"ZT_ISSUER": "https://issuer", "LD_PRELOAD": "x"}
    assert (stack.started["image"], stack.started["cap_drop"], stack.started["user"]) == ("image", [], "0")
    assert stack.started["volumes"] == {"sockets": {"bind": "/run/identity", "mode": "ro"}}
    assert (stack.started["read_only"], stack.started["network_mode"]) == (True, "none")
    assert stack.started["security_opt"] == ["no-new-privileges:true"]


def test_a_rogue_that_never_asks_is_an_error_and_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = with_party()
    monkeypatch.setattr(rogues, "wait_until", lambda found: bool(found()))
    with pytest.raises(StackError, match="did not ask for an identity: what it printed"):
        rogue(cast("Stack", stack), "reader")

    stack.attrs["State"]["Pid"] = 0
    with pytest.raises(StackError, match=r"its command ended .*: what it printed"):
        rogue(cast("Stack", stack), "reader")
    assert stack.ended == [True, True]


def test_a_party_is_called_at_its_published_port_or_in_its_network_and_must_be_who_it_is_called() -> None:
    edge = {"edge": {"Aliases": ["orchestrator.agents.example"], "IPAddress": "10.0.0.2"}, "other": {"Aliases": None}}
    inner = {"to-reader": {"Aliases": ["reader", "reader.agent.agents.example"], "IPAddress": "10.0.1.3"}}
    published = {"443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8101"}]}
    stack = Asked(
        one={"NetworkSettings": {"Networks": edge, "Ports": published}},
        two={"NetworkSettings": {"Networks": inner, "Ports": {"443/tcp": None}}},
    )

    found = directory(cast("Stack", stack))

    assert found.places == {
        "orchestrator.agents.example": ("127.0.0.1", 8101),
        "reader.agent.agents.example": ("10.0.1.3", 443),
    }
    assert found.parties["reader.agent.agents.example"] == "spiffe://agents.example/agent/reader"
    assert found.names["https://orchestrator.agents.example"] == "orchestrator.agents.example"


def test_a_stack_that_is_there_already_is_neither_used_nor_removed_unless_it_is_kept() -> None:
    did = list[str]()

    class Here(Stack):
        def __init__(self) -> None:
            self.project = "project"
            self.docker = cast("Any", SimpleNamespace(close=lambda: None))

        def leftovers(self) -> list[str]:
            return ["project_keys"]

        def start(self) -> None:
            did.append("start")

        def stop(self) -> None:
            did.append("stop")

    with pytest.raises(StackError, match="has containers or volumes already"), Here().running():
        pass
    assert did == []
    with Here().running(keep=True):
        pass
    assert did == ["start"]


class Network:
    """A network of the project that Docker refuses to remove so many times."""

    def __init__(self, refusals: int, *inside: str) -> None:
        self.name, self.refusals, self.removed = "project_authorities", refusals, False
        self.attrs = {"Containers": {name: {"Name": name} for name in inside}}

    def remove(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise APIError("has active endpoints")
        self.removed = True


def stopped(network: Network, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stop a stack with that network, a container that `down` leaves, and a volume; return what is removed."""
    did: list[str] = []
    container = SimpleNamespace(remove=lambda *, force, v: did.append("container") if force and v else None)
    volume = SimpleNamespace(remove=lambda *, force: did.append("volume") if force else None)

    class Leaving(Stack):
        def __init__(self) -> None:
            self.project = "project"
            ours = {"label": "com.docker.compose.project=project"}
            found = {"containers": [container], "volumes": [volume]}

            def listing(kind: str) -> Any:
                def listed(*, filters: Any, **_: object) -> list[Any]:
                    assert filters == ours
                    return found.get(kind) or [network] * (not network.removed)

                return SimpleNamespace(list=listed)

            self.docker = cast("Any", SimpleNamespace(**{k: listing(k) for k in ("containers", "volumes", "networks")}))

        def run(self, *command: str, check: bool = True, **_: object) -> subprocess.CompletedProcess[str]:
            assert (command, check) == (("down", "--volumes", "--remove-orphans"), False)
            did.append("down")
            return subprocess.CompletedProcess(command, 1, "", "what down printed")

    looks = iter(range(1000))
    monkeypatch.setattr(stacks, "time", SimpleNamespace(monotonic=lambda: float(next(looks)), sleep=lambda _: None))
    monkeypatch.setattr(stacks, "LETS_GO", 5)
    Leaving().stop()
    return did


@pytest.mark.parametrize(("refusals", "removed"), [(0, True), (2, True), (1000, False)])
def test_a_network_that_docker_does_not_let_go_of_yet_is_removed_a_moment_later_or_told_if_it_is_empty(
    refusals: int, removed: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    network = Network(refusals)

    assert stopped(network, monkeypatch) == ["down", "container", "volume"]
    assert network.removed is removed
    assert ("the empty network project_authorities" in caplog.text) is not removed
    with pytest.raises(StackError, match=r"project_authorities is left, with a-stranger in it: what down printed"):
        stopped(Network(1000, "a-stranger"), monkeypatch)


def with_file(service: str, path: str, content: bytes) -> "Stack":
    made = BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        (file := tarfile.TarInfo(path.rpartition("/")[2])).size = len(content)
        archive.addfile(file, BytesIO(content))
    stack = Asked(**{service: {}})
    stack.container(service).get_archive = {path: ([made.getvalue()[:99], made.getvalue()[99:]], {})}.get
    return cast("Stack", stack)


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


REFUSED = b'{"data":{"decision":{"allowed":false,"reason":"not_bound"},"type":"refusal"},"schema":1,"service":"%b",'
REFUSED += b'"time":1,"trace":{"span_id":"00f067aa0ba902b7","trace_id":"%b"}}'
"""In the canonical form of an event (docs/reference/audit-events.md)."""


def test_what_is_on_record_for_an_answer_is_found_by_its_trace_at_the_party_that_refused() -> None:
    event = REFUSED % (registry().id("inference").encode(), TRACE.encode())
    journal = line_of(event, GENESIS) + b'\n{"event":{"da'  # the next one is being written
    stack = with_file("inference", "/data/journal.jsonl", journal)
    stack.containers()["inference"].attrs["Config"] = {"Env": ["ZT_DATA=/data"]}
    answer = httpx.Response(401, json={"error": {"data": {"reason": "not_bound", "trace_id": TRACE}}})

    assert refusal_reasons(stack, answer) == refusal_reasons(stack, TRACE) == {"inference": ["not_bound"]}
    assert refusal_reasons(stack, "0" * 32) == {}
    with pytest.raises(StackError, match="names no trace: Hello"):
        refusal_reasons(stack, httpx.Response(200, text="Hello"))


def test_passwords_and_authorities_are_read_where_they_were_made() -> None:
    """A file without content is no answer: without authorities of its own, `ssl` would take the machine's."""
    assert passwords(with_file("setup", "/accounts/passwords.json", b'{"alice": "secret"}')) == {"alice": "secret"}
    assert authorities(with_file("attestation", "/public/ca.pem", b"a certificate")) == "a certificate"
    with pytest.raises(StackError, match="is empty"):
        authorities(with_file("attestation", "/public/ca.pem", b""))


class WithIntruders(Asked):
    """Its containers have intruders inside of the orchestrator and the reader; each answers with what it was asked."""

    INSIDE: ClassVar = {"one": "orchestrator", "two": "agent/reader"}

    def __init__(self, answer: dict[str, str] | None = None) -> None:
        inside = {"Config": {"Env": ["ZT_INSIDER_SOCKET=/s"]}}
        super().__init__(reader={"Config": {"Env": ["ZT_PORT=443"]}}, one=inside, two=inside)
        self._answer, self.asked = answer, list[tuple[str, str]]()

    def execute(self, service: str, *command: str) -> tuple[int, str]:
        if command == ("cat", "/app/inside"):
            return 0, self.INSIDE[service]
        self.asked.append((service, command[-1]))
        return 0, json.dumps(self._answer or {"jwt_svid": f"of {service}"})


def test_an_intruder_is_asked_in_the_container_that_is_inside_the_party(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intruders, "issuer", lambda _: "https://issuer")
    stack = WithIntruders()

    assert intruders.Intruder(cast("Stack", stack), "agent/reader").assertion() == "of two"
    assert stack.asked == [("two", "https://issuer")]
    with pytest.raises(StackError, match="no container has an intruder inside agent/writer"):
        intruders.Intruder(cast("Stack", stack), "agent/writer").assertion()
    with pytest.raises(StackError, match="no identity issued"):
        intruders.Intruder(cast("Stack", WithIntruders({"error": "no identity issued"})), "agent/reader").assertion()
