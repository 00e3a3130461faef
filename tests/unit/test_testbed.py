"""The test bed as far as it needs no container: what the plugin costs, what it says without Docker, whom it asks."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from testkit import rogue as rogues
from testkit.rogue import Verdict, rogue
from testkit.stack import Stack, StackError
from tests.support.system import ROOT, registry

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
