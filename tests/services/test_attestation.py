"""The attestation authority with real processes, and with the official SPIFFE client on their side."""

import asyncio
import errno
import hashlib
import os
import py_compile
import resource
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from grpclib import GRPCError, Status
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.exceptions import StreamTerminatedError
from spiffe._proto import workload_pb2 as pb

from authorities.attestation.local import launch as launch_module
from authorities.attestation.local.environment import Environment
from authorities.attestation.local.launch import Launcher, LaunchError, Places
from authorities.attestation.local.stage import Stage
from authorities.attestation.process import peers as process
from authorities.attestation.process.closed import Interpreter
from authorities.attestation.spiffe import workload_api
from authorities.attestation.spiffe.bounded_server import MOST_CONNECTIONS
from start.launches import launch_of
from tests.support.ca import ATTESTATION_PARTY
from tests.support.launched import (
    FETCH,
    FETCH_IN_A_FORK,
    PROJECT,
    READER,
    REALM,
    Authority,
    Probe,
    Site,
    ask,
    authority,
    bundle,
    log_of,
    probe,
    site,
)
from tests.support.waiting import until
from zerotrust.authority.files.lock import Lock
from zerotrust.spiffe.svid import WorkloadError
from zerotrust.spiffe.workload import Workload

__all__ = ["authority", "probe", "site"]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_parties_may_open_as_many_files_as_this_user_may(site: Site) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] - 1, before[1]))
    try:
        async with site.authority() as authority:
            probe = await authority.probe()
            asked = "import resource; answer = resource.getrlimit(resource.RLIMIT_NOFILE)"
            assert await probe.run(asked) == [before[1], before[1]]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


# Who gets an identity


async def test_where_the_kernel_has_no_pidfs_pid_and_start_time_tell_processes_apart(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PIDFS", False)
    probe = await authority.probe()

    assert "no identity issued" in await probe.run(FETCH_IN_A_FORK)
    assert (await probe.run(FETCH)).count(".") == 2
    assert probe.launched.key[1] > process.key_of_child(os.getpid(), -1)[1]


@pytest.mark.parametrize("kernel", ["this one", "one without pidfs"])
async def test_a_connection_that_outlives_its_process_is_nobodys(
    site: Site, monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    if kernel == "one without pidfs":
        monkeypatch.setattr("authorities.attestation.process.peers.PIDFS", False)
    places = Places(root=site.place, stages=site.place, logs=site.place, endpoint="")
    launcher = Launcher(
        places, Lock(files={}, parties={}), Environment.load(Path(sys.prefix)), log=print, ended=lambda _: None
    )
    address = str(site.place / "api.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        connect = f"import socket; socket.socket(socket.AF_UNIX).connect({address!r})"
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", connect)
        assert await process.wait() == 0
        connection, _ = listener.accept()
        with connection, pytest.raises(workload_api.NotAttestedError):
            await launcher.caller(connection)


# What is measured


async def test_bytecode_planted_in_a_cache_folder_does_not_run(authority: Authority) -> None:
    """Same name, size and time as the genuine source: Python itself would take it, as the first line shows."""
    helper = authority.site.helper
    genuine = helper.read_text()
    helper.write_text(genuine.replace("genuine", "planted"))
    os.utime(helper, (1_700_000_000, 1_700_000_000))
    cached = helper.parent / "__pycache__" / f"helper.{sys.implementation.cache_tag}.pyc"
    py_compile.compile(str(helper), str(cached))  # where Python looks, whatever this one was told
    helper.write_text(genuine)
    os.utime(helper, (1_700_000_000, 1_700_000_000))
    show = "from agents.reader import helper; answer = helper.value"
    python = [sys.executable, "-c", show + "; print(answer)"]
    root = authority.site.root
    assert subprocess.run(python, cwd=root, capture_output=True, text=True, check=True).stdout == "planted\n"  # noqa: ASYNC221, S603

    probe = await authority.probe()

    assert await probe.run(show) == "genuine"
    assert (await probe.run(FETCH)).count(".") == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda file: file.with_name("linked.py").symlink_to("/etc/hostname"), "agent/reader: .*neither a file nor a"),
        (Path.unlink, r"agents/reader/helper\.py"),
    ],
    ids=["a link", "a file that is missing"],
)
async def test_code_that_is_not_as_approved_is_not_launched(
    authority: Authority, change: Callable[[Path], object], told: str
) -> None:
    change(authority.site.helper)

    with pytest.raises(LaunchError, match=told):
        await authority.probe()


# What a launched process sees


async def test_nothing_of_the_authoritys_environment_comes_through(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "PYTHONPATH", "PYTHONSTARTUP", "LD_PRELOAD", "LD_LIBRARY_PATH", "HTTPS_PROXY", "SSL_CERT_FILE":
        monkeypatch.setenv(name, str(authority.site.place))
    probe = await authority.probe()

    environment = await probe.run("import os; answer = dict(os.environ)")

    assert environment.keys() == {"LANG", "SPIFFE_ENDPOINT_SOCKET", "ZT_PROBE"}
    assert await probe.run("import sys; answer = [sys.flags.isolated, sys.flags.no_user_site]") == [1, 1]


async def test_what_a_party_writes_is_for_this_user_alone(probe: Probe, site: Site) -> None:
    folder = site.place / "data"
    await probe.run(f"import os; os.mkdir({str(folder)!r}); open({str(folder / 'file')!r}, 'w').close(); answer = None")

    before = os.umask(0o022)
    os.umask(before)
    assert before & 0o077 != 0o077  # this process's own would not do
    assert (mode_of(folder), mode_of(folder / "file")) == (0o700, 0o600)


async def test_what_was_not_measured_cannot_be_imported(probe: Probe, site: Site) -> None:
    """Neither a folder beside the measured ones, nor another party's code, nor what lies where it was started."""
    for folder in site.root / "planted", site.root / "agents/writer", site.place / "planted":
        folder.mkdir()
        (folder / "__init__.py").touch()

    for module in "planted", "agents.writer":
        assert "ModuleNotFoundError" in await probe.run(f"import {module}; answer = 0")
    assert await probe.run("import agents.reader.helper; answer = 'found'") == "found"


@pytest.mark.parametrize("name", ["LD_PRELOAD", "PYTHONPATH", "SPIFFE_ENDPOINT_SOCKET", "ZT_A=B", ""])
def test_a_launch_can_set_no_variables_but_those_of_this_project(site: Site, name: str) -> None:
    with pytest.raises(LaunchError, match=r"only ZT_\*"):
        launch_of(site.registry, "agent/reader", {name: "value"})


@pytest.mark.parametrize("name", ["walkthrough", ATTESTATION_PARTY, "nobody"])
def test_only_workloads_of_the_registry_are_launched_by_name(site: Site, name: str) -> None:
    with pytest.raises(LaunchError, match="not a party of the registry that is launched"):
        launch_of(site.registry, name, {})


SPY = """
import os, sys

for name in "environ", "mem", "maps", "fd/1", "exe":
    path = f"/proc/{sys.argv[1]}/{name}"
    try:
        os.readlink(path) if name in {"fd/1", "exe"} else open(path, "rb").read(1 if name != "mem" else 0)
    except PermissionError:
        print(name, end=" ")
"""
"""Prints what it is not let into."""


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, Any]]]:
    """An interpreter, and how to run it as an ordinary user: root may look into everything.

    Where root runs the tests, the interpreter is copied to where others can read it.
    """
    if os.geteuid():
        yield sys.executable, {}
        return
    version = f"python3.{sys.version_info.minor}"
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        unneeded = shutil.ignore_patterns("site-packages", "test", "__pycache__", "idlelib", "config-*")
        shutil.copytree(Path(os.__file__).parent, Path(name, "lib", version), ignore=unneeded)
        for library in Path(sys.base_prefix, "lib").glob("libpython*.so*"):
            shutil.copy2(library, Path(name, "lib"))
        python = Path(name, "bin", version)
        python.parent.mkdir()
        shutil.copy2(Path(sys.executable).resolve(), python)
        yield (
            str(python),
            {"user": 54321, "group": 54321, "extra_groups": [], "env": {"LD_LIBRARY_PATH": f"{name}/lib"}},
        )


def staged(site: Site, user: dict[str, Any], main: str) -> Stage:
    """A stage with this program, which that user can run."""
    site.place.chmod(0o755)
    (site.root / "agents/reader/main.py").write_text(main)
    stage = Stage.build(site.root, "agents/reader", site.lock.files, parent=site.place, prefix="stage-")
    for path in [stage.path, *stage.path.rglob("*")]:
        os.chown(path, user.get("user", -1), -1)
    return stage


async def test_a_party_runs_its_folder_with_what_that_imports_and_nothing_else(site: Site) -> None:
    (site.root / "library/unused.py").touch()

    async with site.authority() as authority:
        probe = await authority.probe()
        assert {*probe.launched.stage.code} == {"agents/reader/main.py", "agents/reader/helper.py", "library/shared.py"}
        (site.root / "library/unused.py").write_text("value = 'another'\n")
        assert (await probe.run(FETCH)).count(".") == 2


def test_no_process_of_the_same_user_can_look_into_a_launched_one(
    site: Site, ordinary: tuple[str, dict[str, Any]]
) -> None:
    python, user = ordinary
    stage = staged(site, user, "print('ready', flush=True)\nimport time\ntime.sleep(60)\n")

    def shut(*program: str) -> list[str]:
        with subprocess.Popen([python, "-I", "-B", *program], stdout=subprocess.PIPE, cwd="/", **user) as target:  # noqa: S603
            assert target.stdout
            assert target.stdout.readline() == b"ready\n"
            spy = [python, "-I", "-B", "-c", SPY, str(target.pid)]
            spied = subprocess.run(spy, stdout=subprocess.PIPE, check=True, cwd="/", **user)  # noqa: S603
            target.kill()
        return str(spied.stdout.decode()).split()

    assert "environ" not in shut("-c", (site.root / "agents/reader/main.py").read_text())  # as it is elsewhere
    assert shut(str(stage.path)) == ["environ", "mem", "maps", "fd/1", "exe"]


def test_the_copy_of_the_interpreter_can_be_run_and_neither_read_nor_written(
    ordinary: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    python, user = ordinary
    known = os.memfd_create
    for kernel in "this one", "one before 6.3":
        if kernel != "this one":

            def older(name: str, flags: int) -> int:
                if flags & 0x10:
                    raise OSError(errno.EINVAL, "what flag?")
                return known(name, flags)

            monkeypatch.setattr(os, "memfd_create", older)
        interpreter = Interpreter(python)
        assert interpreter.digest == hashlib.sha256(Path(python).read_bytes()).hexdigest()
        assert os.fstat(interpreter.fd).st_mode & 0o777 == 0o111
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(interpreter.fd, b"x")
        run = subprocess.run(  # noqa: S603
            [python, "-I", "-c", "import sys; print(sys.executable)"],
            executable=interpreter.path,
            pass_fds=(interpreter.fd,),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd="/",
            **user,
        )
        assert run.stdout == f"{python}\n"
        interpreter.close()


async def test_whatever_is_launched_runs_that_copy(probe: Probe) -> None:
    assert await probe.run("import os; answer = os.readlink('/proc/self/exe')") == "/memfd:python (deleted)"


async def test_an_interpreter_that_is_not_as_it_was_pinned_launches_nothing(site: Site) -> None:
    environment = Environment.load(Path(sys.prefix))
    environment._approved[environment.python] = "0" * 64
    places = Places(root=site.place, stages=site.place, logs=site.place, endpoint="")
    with pytest.raises(LaunchError, match=r"python has just changed"):
        Launcher(places, Lock(files={}, parties={}), environment, log=print, ended=lambda _: None)


async def test_what_a_party_prints_is_in_its_own_log(probe: Probe, site: Site) -> None:
    await probe.run("import sys; print('hello'); print('oops', file=sys.stderr); answer = 0")

    assert (site.run_dir / "logs/agent-reader.log").read_text() == "hello\noops\n"


# The Workload API


HEADER = {"workload.spiffe.io": "true"}


async def call(channel: Channel, audience: list[str], metadata: dict[str, str]) -> Status:
    """Fetch as the official client never would, and return the status of the refusal."""
    fetch = UnaryUnaryMethod[pb.JWTSVIDRequest, pb.JWTSVIDResponse](
        channel, "/SpiffeWorkloadAPI/FetchJWTSVID", pb.JWTSVIDRequest, pb.JWTSVIDResponse
    )
    with pytest.raises(GRPCError) as refused:
        await fetch(pb.JWTSVIDRequest(audience=audience), metadata=metadata)
    return refused.value.status


@pytest.fixture
async def channel(authority: Authority) -> AsyncIterator[Channel]:
    async with Channel(path=authority.endpoint.removeprefix("unix:")) as channel:
        yield channel


@pytest.mark.parametrize("metadata", [{}, {"workload.spiffe.io": "false"}, {"workload.spiffe.io": "True"}])
async def test_a_request_without_the_security_header_is_invalid(channel: Channel, metadata: dict[str, str]) -> None:
    assert await call(channel, [REALM], metadata) is Status.INVALID_ARGUMENT


@pytest.mark.parametrize("audience", [[], [""], [REALM, ""]])
async def test_a_request_for_no_audience_is_invalid(channel: Channel, audience: list[str]) -> None:
    assert await call(channel, audience, HEADER) is Status.INVALID_ARGUMENT
    assert await call(channel, [REALM], HEADER) is Status.PERMISSION_DENIED


WATCH = """
import builtins, queue
from spiffe import WorkloadApiClient

def got(context):
    svid = context.default_svid
    seen.put([str(svid.spiffe_id), svid.leaf.serial_number % 10**9, svid.leaf.not_valid_after_utc.timestamp()])

builtins.seen, client = queue.Queue(), WorkloadApiClient()
builtins.stream = client.stream_x509_contexts(got, lambda error: seen.put(str(error)), retry_connect=False)
answer = seen.get(timeout=20)
"""


async def test_the_official_client_gets_a_certificate_with_its_key_and_the_ca(
    authority: Authority, probe: Probe
) -> None:
    fetch = """
from cryptography.hazmat.primitives.serialization import Encoding
from spiffe import TrustDomain, WorkloadApiClient

with WorkloadApiClient(default_timeout=20) as client:
    context = client.fetch_x509_context()
    svid = context.default_svid
    here = context.x509_bundle_set.get_bundle_for_trust_domain(TrustDomain("agents.example"))
pem = [each.public_bytes(Encoding.PEM).decode() for each in here.x509_authorities]
life = svid.leaf.not_valid_after_utc - svid.leaf.not_valid_before_utc
answer = [str(svid.spiffe_id), life.total_seconds(), pem]
"""
    name, life, here = await probe.run(fetch)

    assert name == READER
    assert 120 <= life <= 125
    assert here == [authority.ca_file.read_text()]


async def test_a_certificate_is_renewed_at_half_of_its_life(site: Site) -> None:
    short = site.registry.model_copy(update={"freshness": site.registry.freshness.model_copy(update={"x509_svid": 4})})
    async with site.authority(registry=short) as authority:
        probe = await authority.probe()
        first = await probe.run(WATCH)
        second = await probe.run("answer = seen.get(timeout=20)")

    assert first[0] == second[0] == READER
    assert first[1] != second[1]
    assert second[2] - first[2] >= 2


async def test_the_socket_is_for_this_user_alone(authority: Authority) -> None:
    path = Path(authority.endpoint.removeprefix("unix:"))

    assert mode_of(path) == 0o600
    assert mode_of(path.parent) == 0o700


async def test_a_process_has_a_bounded_number_of_connections(authority: Authority) -> None:
    path = authority.endpoint.removeprefix("unix:")
    ours = [await asyncio.open_unix_connection(path) for _ in range(MOST_CONNECTIONS)]
    for reader, _ in ours:
        await reader.readexactly(9)  # the head of an HTTP/2 frame: it is served

    assert await closed(path)
    assert not any(reader.at_eof() for reader, _ in ours)

    for _, writer in ours:
        writer.close()
    while await closed(path):
        pass  # until the authority knows that ours have ended


async def test_a_process_that_sends_more_than_its_share_is_cut_off(authority: Authority) -> None:
    path = authority.endpoint.removeprefix("unix:")
    reader, writer = await asyncio.open_unix_connection(path, limit=1 << 25)
    writer.write(PREFACE + PING * 100_000 + PING.replace(b"12345678", b"the last"))

    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await reader.readuntil(b"the last")
    writer.close()
    while await closed(path):
        pass  # until there is a share again


async def test_a_request_that_does_not_become_whole_is_not_waited_for(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workload_api, "SECONDS_FOR_A_REQUEST", 0.01)
    fetch = UnaryUnaryMethod[pb.JWTSVIDRequest, pb.JWTSVIDResponse](
        channel, "/SpiffeWorkloadAPI/FetchJWTSVID", pb.JWTSVIDRequest, pb.JWTSVIDResponse
    )

    async def begun() -> None:
        async with fetch.open(metadata=HEADER) as stream:
            await stream.send_request()
            await stream.recv_message()

    with pytest.raises(GRPCError) as refused:
        await begun()
    assert refused.value.status is Status.DEADLINE_EXCEEDED


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4" + bytes(5)
PING = b"\0\0\x08\6" + bytes(5) + b"12345678"


async def closed(path: str) -> bool:
    """Open one more connection; return whether the authority closes it, rather than answer a ping (RFC 9113, 6.7)."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(PREFACE + PING)
        await reader.readuntil(b"12345678")
    except (asyncio.IncompleteReadError, ConnectionError):
        return True
    finally:
        writer.close()
    return False


# The keys


async def test_the_bundle_is_served_over_tls_1_3_only(authority: Authority) -> None:
    tls = ssl.create_default_context(cafile=authority.ca_file)
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(httpx.ConnectError):
        await bundle(authority.bundle_url, tls)


async def test_nothing_but_the_bundle_is_served(authority: Authority) -> None:
    tls = ssl.create_default_context(cafile=authority.ca_file)
    answers = [
        await bundle(authority.bundle_url, tls, *other) for other in (("/",), ("/bundle/x",), ("/bundle", "POST"))
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]


async def test_a_second_authority_does_not_take_the_place_of_the_first(authority: Authority, probe: Probe) -> None:
    ca = authority.ca_file.read_bytes()
    with pytest.raises(OSError, match=r"(?i)address already in use"):
        async with authority.site.authority():
            pass

    assert authority.ca_file.read_bytes() == ca
    assert (await probe.run(FETCH)).count(".") == 2


# How it ends


async def test_what_was_launched_ends_with_the_authority(site: Site) -> None:
    async with site.authority() as authority:
        probe = await authority.probe()
        await probe.run("answer = 0")

    assert probe.launched.process.returncode == -signal.SIGTERM
    assert log_of(site.run_dir)[-1].items() >= {"event": "ended", "party": READER, "requested": True}.items()
    assert list((site.run_dir / "attestation/stages").iterdir()) == []


async def test_nobody_is_answered_on_an_old_connection_once_the_authority_has_ended(site: Site) -> None:
    async with site.authority() as authority:
        channel = Channel(path=authority.endpoint.removeprefix("unix:"))
        assert await call(channel, [REALM], HEADER) is Status.PERMISSION_DENIED

    async with channel:
        with pytest.raises((ConnectionRefusedError, StreamTerminatedError)):
            await call(channel, [REALM], HEADER)


async def test_what_does_not_heed_sigterm_is_killed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch_module, "SECONDS_TO_END", 0.3)
    async with site.authority() as authority:
        probe = await authority.probe()
        await probe.run("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); answer = 0")

    assert probe.launched.process.returncode == -signal.SIGKILL


async def test_a_party_that_ends_by_itself_is_logged_and_what_it_forked_ends_too(probe: Probe, site: Site) -> None:
    child = await probe.run("import subprocess; answer = subprocess.Popen(['sleep', '60']).pid")
    assert is_running(child)

    os.kill(probe.launched.process.pid, signal.SIGKILL)
    await asyncio.wait_for(probe.launched.ended.wait(), 10)

    assert log_of(site.run_dir)[-1].items() >= {"event": "ended", "status": -signal.SIGKILL, "requested": False}.items()
    await until(lambda: not is_running(child))


async def test_what_comes_to_life_after_its_authority_has_ended_ends_at_once(site: Site) -> None:
    """It finds another parent, here a shell: too late to be told by the kernel when its own one ends."""
    stage = Stage.build(site.root, "agents/reader", site.lock.files, parent=site.place, prefix="stage-")
    (stage.path / "agents/reader/main.py").write_text("print('alive')")

    orphan = await asyncio.create_subprocess_shell(
        f"{sys.executable} -I -B {stage.path}; exit $?", stdout=subprocess.PIPE
    )

    output, _ = await orphan.communicate()
    assert (output, orphan.returncode) == (b"", 1)


# The authority as a process


async def test_an_authority_that_is_killed_ends_what_it_launched_and_the_next_one_starts_clean(site: Site) -> None:
    path, stages = site.place / "agent-reader.sock", site.run_dir / "attestation/stages"
    program = [
        str(PROJECT / "start" / "run"),
        "tests.support.authority_alone",
        *map(str, (site.root, site.run_dir, path)),
    ]
    alone = await asyncio.create_subprocess_exec(*program, cwd=PROJECT, stdout=subprocess.PIPE)
    assert alone.stdout
    pid = int(await asyncio.wait_for(alone.stdout.readline(), 60))
    assert (await ask(path, FETCH)).count(".") == 2
    left = list(stages.iterdir())

    alone.kill()
    await alone.communicate()
    await until(lambda: not is_running(pid))

    path.unlink()
    async with site.authority() as authority:
        assert left
        assert list(stages.iterdir()) == []
        probe = await authority.probe()
        assert (await probe.run(FETCH)).count(".") == 2


# The service's side of it


async def test_a_workload_finds_an_authority_that_was_away(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told by the text of the error: this process gets no identity, but from whom it hears that changes."""
    workload = Workload()
    away = site.authority()
    monkeypatch.setenv("SPIFFE_ENDPOINT_SOCKET", away.endpoint)
    with pytest.raises(WorkloadError, match="does not exist"):
        await workload.assertion(REALM)

    async with away:
        with pytest.raises(WorkloadError, match="no identity issued"):
            await workload.assertion(REALM)
    with pytest.raises(WorkloadError, match=r"UNAVAILABLE|does not exist"):  # asyncio removes the socket since 3.13
        await workload.assertion(REALM)
    async with site.authority():
        with pytest.raises(WorkloadError, match="no identity issued"):
            await workload.assertion(REALM)
    workload.close()
