"""The table of attested containers, over a `/proc` made of files: who gets an identity, and until when."""

import asyncio
import errno
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast
from unittest.mock import Mock

import pytest
from grpclib import GRPCError
from spiffe._proto import workload_pb2 as pb

from authorities.attestation.containers import attested
from authorities.attestation.containers.attested import MOST_OF_START, SECONDS_REFUSED, Containers
from authorities.attestation.containers.image import ImageFiles
from authorities.attestation.containers.root import ContainerRoot
from authorities.attestation.process.peers import Peer, is_ending
from authorities.attestation.spiffe import bounded_server
from authorities.attestation.spiffe.workload_api import REFUSALS_AT_ONCE, NotAttestedError, WorkloadApi
from authorities.attestation.verifier.drift import Drift
from authorities.attestation.verifier.target import Target
from tests.support.container import EXITING, STAT, STATUS, Machine
from tests.support.system import registry
from tests.support.waiting import until
from zerotrust.authority.budget import Budget


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setattr(attested, "_problem_of_program", lambda *_: None)  # a link of the kernel's
    running = Machine(tmp_path)
    yield running
    running.end_all()


@pytest.fixture
async def drift() -> AsyncIterator[Drift]:
    async with Drift(lambda *_, **__: None) as drift:
        yield drift


@pytest.fixture
def containers(machine: Machine, drift: Drift) -> Containers:
    return machine.containers(drift)


async def asks(containers: Containers) -> str:
    with socket.socket() as connection:
        return (await containers.caller(connection)).party


async def refused(containers: Containers) -> str:
    with pytest.raises(NotAttestedError) as why:
        await asks(containers)
    return str(why.value)


async def test_the_code_in_a_container_decides_who_it_is(machine: Machine, containers: Containers) -> None:
    machine.start("reader")
    assert await asks(containers) == "agent/reader"
    machine.start("writer")
    assert await asks(containers) == "agent/writer"


async def test_a_twin_gets_no_identity_until_the_first_has_ended_and_suspends_nobody(
    machine: Machine, containers: Containers, drift: Drift
) -> None:
    first = machine.start()
    await asks(containers)
    twin = machine.start()
    machine.file("root/usr/libc.so").write_text("another")
    assert f"runs already, as process {first}" in await refused(containers)
    assert drift.drifted == {}
    machine.file("root/usr/libc.so").write_text("libc")
    machine.end(first)
    machine.now += SECONDS_REFUSED
    await until(lambda: not containers._running_pid(containers._images[0]))

    machine.asking = twin
    assert await asks(containers) == "agent/reader"


async def test_a_process_that_has_ended_has_no_identity(machine: Machine, containers: Containers) -> None:
    gone = machine.start()
    kept = os.pidfd_open(gone)
    machine.end(gone)
    containers._peer = lambda _: Peer(gone, os.dup(kept), (gone, 0))

    assert await refused(containers) == "it has ended"
    os.close(kept)


async def test_who_was_examined_in_vain_costs_no_second_look_at_once(
    machine: Machine, containers: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.start()
    machine.file("root/app/main.py").write_text("other code")
    looks: list[str] = []
    look = ImageFiles.look

    def counted(files: ImageFiles, root: str, folder: str = "", **how: Any) -> dict[str, str]:
        looks.append(folder)
        return look(files, root, folder, **how)

    monkeypatch.setattr(ImageFiles, "look", counted)
    for _ in range(3):
        assert "not approved" in await refused(containers)
    assert len(looks) == 1
    machine.now += SECONDS_REFUSED
    await refused(containers)

    assert len(looks) == 2


async def test_an_examination_goes_on_when_the_asker_gives_up(machine: Machine, containers: Containers) -> None:
    machine.start()
    asking = asyncio.create_task(asks(containers))
    await until(lambda: containers._examinations)
    asking.cancel()
    await asyncio.wait([asking])
    await asyncio.gather(*containers._examinations.values())

    assert [target.party for _, target in containers._table.values()] == ["agent/reader"]


async def test_only_so_many_are_examined_at_a_time(
    machine: Machine, containers: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attested, "MOST_EXAMINED", 0)
    machine.start()

    assert "0 processes are being examined" in await refused(containers)


async def examined(machine: Machine, containers: Containers) -> Target:
    """Start a container, and let it have its identity."""
    machine.start()
    with socket.socket() as connection:
        return await containers.caller(connection)


async def test_files_that_are_gone_because_the_process_ends_are_no_drift(
    machine: Machine, containers: Containers, drift: Drift
) -> None:
    """The kernel takes the files of a process away before it says that the process has ended."""
    target = await examined(machine, containers)
    machine.file("root/usr/libc.so").unlink()
    machine.file("stat").write_bytes(EXITING)
    for look in (drift.look(target), drift._look_at({str(machine.file("root/usr/libc.so"))})):
        await look

        assert drift.check(target) == "it has ended"
        assert drift.drifted == {}
    machine.file("stat").write_bytes(STAT)
    await drift.look(target)

    assert drift.drifted == {"agent/reader": "/usr/libc.so"}


async def test_a_container_that_cannot_be_examined_now_is_refused_and_suspends_nobody(
    machine: Machine, containers: Containers, drift: Drift, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.start()
    with monkeypatch.context() as without:
        without.setattr(Path, "read_text", Mock(side_effect=OSError(errno.EMFILE, "Too many open files")))
        assert "Too many open files" in await refused(containers)

    assert await asks(containers) == "agent/reader"
    assert drift.drifted == {}


async def test_a_process_ends_before_the_kernel_says_that_it_has() -> None:
    """One thread goes on after the main one has ended: files are gone by then, and the pidfd is silent."""
    leader_ends = "import ctypes, threading; threading.Thread(target=input).start(); ctypes.CDLL(None).pthread_exit(0)"
    with subprocess.Popen(  # noqa: S603, ASYNC220 - it starts at once
        [sys.executable, "-S", "-c", leader_ends], stdin=subprocess.PIPE
    ) as process:
        pidfd, stat = os.pidfd_open(process.pid), Path(f"/proc/{process.pid}/stat")
        await until(lambda: is_ending(pidfd, stat))
        assert not (Path(f"/proc/{process.pid}/root")).exists()
        assert process.poll() is None
        process.communicate(b"\n")
        assert is_ending(pidfd, stat)
        os.close(pidfd)


def test_the_program_has_to_be_the_images_own_and_not_one_of_that_name_from_elsewhere(tmp_path: Path) -> None:
    program = os.path.realpath(sys.executable)
    (tmp_path / "exe").symlink_to(program)
    lies = Path(f"{tmp_path}/root{program}")
    lies.parent.mkdir(parents=True)
    lies.write_text("another file")

    assert attested._problem_of_program(Path("/proc/self"), {program: "its digest"}) is None
    for proc, files in (Path("/proc/self"), {}), (tmp_path, {program: "its digest"}):
        assert "which is not the image's" in str(attested._problem_of_program(proc, files))


@pytest.mark.parametrize("name", ["cmdline", "environ", "root/etc/hosts"])
async def test_what_a_process_says_of_itself_is_read_up_to_a_bound(
    machine: Machine, containers: Containers, name: str
) -> None:
    machine.start()
    machine.file(name).write_bytes(b"x" * (MOST_OF_START + 1))

    assert f"longer than {MOST_OF_START} bytes" in await refused(containers)


@pytest.mark.parametrize("make", [os.mkfifo, lambda file: file.symlink_to("/etc/hosts")])
async def test_a_hosts_file_that_is_none_is_neither_followed_nor_waited_for(
    machine: Machine, containers: Containers, make: Callable[[Path], None]
) -> None:
    machine.start()
    hosts = machine.file("root/etc/hosts")
    hosts.unlink()
    make(hosts)

    assert "root/etc/hosts: " in await refused(containers)


async def test_so_many_refusals_are_remembered_and_then_none(
    machine: Machine, containers: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attested, "MOST_REFUSED", 2)
    for _ in range(3):
        machine.start()
        machine.file("root/app/main.py").write_text("other code")
        await refused(containers)

    assert [why for why, _ in containers._refused.values()] == ["code that is not approved: /app/main.py"]


@pytest.mark.parametrize(
    ("who", "look", "why"),
    [
        (ImageFiles, Mock(side_effect=RecursionError("too deep")), "RecursionError('too deep')"),
        (ContainerRoot, lambda root: setattr(root, "unknown", "Too many"), "agent/reader: not examined: Too many"),
    ],
)
async def test_an_examination_that_fails_in_any_way_is_a_refusal_and_keeps_no_descriptor(
    machine: Machine, containers: Containers, monkeypatch: pytest.MonkeyPatch, who: type, look: object, why: str
) -> None:
    machine.start()
    monkeypatch.setattr(who, "look", look)
    before = len(list(Path("/proc/self/fd").iterdir()))

    assert await refused(containers) == why
    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_a_container_that_was_refused_or_has_ended_is_watched_no_longer(
    machine: Machine, containers: Containers, drift: Drift
) -> None:
    refused_one = machine.start()
    machine.file("root/usr/libc.so").write_text("another")
    await refused(containers)
    gone = machine.start()
    await asks(containers)
    machine.end(gone)
    await until(lambda: not containers._running_pid(containers._images[0]))

    assert not [path for path in drift._watch._paths.values() if f"/{gone}" in path or f"/{refused_one}" in path]


async def test_a_process_may_have_a_name_in_any_bytes(machine: Machine, containers: Containers) -> None:
    machine.start()
    machine.file("status").write_bytes(b"Name:\t\xff\n" + STATUS.encode())

    assert await asks(containers) == "agent/reader"


Api = Callable[..., WorkloadApi]


@pytest.fixture
def api(containers: Containers, drift: Drift) -> Api:
    """Makes a Workload API for these containers."""

    def make(issuer: object = None, log: Callable[..., None] = lambda *_, **__: None, **how: str) -> WorkloadApi:
        return WorkloadApi(registry(), containers, drift, cast("Any", issuer), log, **how)

    return make


async def test_a_container_is_looked_at_again_before_it_gets_a_jwt_svid(
    machine: Machine, api: Api, drift: Drift, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel reports no change when another program takes the place of the main process."""
    machine.start()
    asked = api(SimpleNamespace(jwt_svid=lambda *_, **__: "a token"))

    async def fetched() -> object:
        with socket.socket() as connection:
            stream: Any = Asking(connection)
            await asked._fetch_jwt_svid(stream)
            return stream.sent

    assert await fetched()
    machine.file("cmdline").write_bytes(b"another program\0")
    assert await fetched()  # the last look is recent
    monkeypatch.setattr(drift, "seconds_since_look", lambda _: registry().freshness.x509_svid * 3 / 4)
    with pytest.raises(GRPCError):
        await fetched()


class Asking:
    """A stream with one request."""

    metadata: ClassVar = {"workload.spiffe.io": "true"}

    def __init__(self, connection: socket.socket) -> None:
        self.sent: object = None
        transport = Mock(get_extra_info=lambda _: connection, is_closing=lambda: False)
        self.peer = SimpleNamespace(_transport=transport)

    async def recv_message(self) -> pb.JWTSVIDRequest:
        return pb.JWTSVIDRequest(audience=["https://issuer"])

    async def send_message(self, message: object) -> None:
        self.sent = message


async def test_a_container_is_one_caller_however_many_processes_it_has() -> None:
    assert bounded_server.container_caller(os.getpid()) == bounded_server.container_caller(os.getpid())
    assert bounded_server.container_caller(os.getpid()) != ("hidden", 0)
    assert bounded_server.container_caller(0) == ("hidden", 0)
    assert bounded_server.process_caller(1) != bounded_server.process_caller(2)


def test_refusals_are_logged_up_to_a_bound_and_then_counted(api: Api) -> None:
    logged: list[dict[str, object]] = []
    asked = api(log=lambda _, **fields: logged.append(fields))
    now = 0.0
    asked._refusals = Budget(REFUSALS_AT_ONCE, 1, clock=lambda: now)

    for _ in range(REFUSALS_AT_ONCE + 5):
        asked._no_identity("of a flood")
    assert logged == [{"why": "of a flood"}] * REFUSALS_AT_ONCE
    now = 1.0
    asked._no_identity("of somebody else")
    assert logged[-1] == {"why": "of somebody else", "not_logged": 5}


def test_whoever_is_refused_is_told_where_the_reason_is_and_not_the_reason(api: Api) -> None:
    for where, told in ("", ""), ("docker compose logs attestation", ": docker compose logs attestation says why"):
        assert api(log_at=where)._no_identity("it runs as root").message == f"no identity issued{told}"


async def test_callers_without_a_connection_are_forgotten_when_there_are_too_many(api: Api) -> None:
    server = bounded_server.BoundedServer(api(), bounded_server.process_caller)
    connected = server._share(0)
    connected.connections = 1

    for pid in range(1, bounded_server.MOST_CALLERS + 1):
        server._share(pid)

    assert len(server._shares) <= bounded_server.MOST_CALLERS
    assert server._share(0) is connected


async def test_a_connection_has_a_cost_of_its_own(api: Api) -> None:
    server = bounded_server.BoundedServer(api(), bounded_server.process_caller)
    share = server._share(os.getpid())
    share.sent = Budget(bounded_server.COST_OF_CONNECTION, 0)
    ours, theirs = socket.socketpair(socket.AF_UNIX)

    with ours, theirs:
        transports = [Mock(get_extra_info=lambda _: theirs) for _ in range(2)]
        for transport in transports:
            server._protocol_factory().connection_made(transport)

    assert [transport.abort.called for transport in transports] == [False, True]
    assert share.connections == 1
