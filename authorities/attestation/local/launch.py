"""Measured launch: runs a party's code from a measured copy, and recognizes that process by its pidfd."""

import asyncio
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from authorities.attestation.local.environment import Environment, unfit_message
from authorities.attestation.local.installed import NEXT_STEP
from authorities.attestation.local.stage import Stage
from authorities.attestation.process.closed import Interpreter
from authorities.attestation.process.peers import ProcessKey, key_of_child, key_of_peer
from authorities.attestation.spiffe.workload_api import NotAttestedError
from authorities.attestation.verifier.drift import Log
from authorities.attestation.verifier.measure import BYTECODE_CACHES, Files, MeasureError, digest_of, format_paths
from authorities.attestation.verifier.target import Code, Copy, SmallRoot, Target
from zerotrust.authority.files.lock import Lock, changes

SECONDS_TO_END = 5


class LaunchError(Exception):
    """The launch failed; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """The code to run, and the party that it runs as.

    `code` is the folder with `main.py`, relative to the project's root.  `name` is the lock's entry with the approved
    files and their digest.
    """

    party_id: str
    name: str
    code: str
    env: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # LD_PRELOAD and its like change the code that runs, and not the code that is measured.
        if unfit := [key for key in self.env if not re.fullmatch(r"ZT_[A-Z0-9_]+", key)]:
            raise LaunchError(f"{self.name}: only ZT_* can be set for a launched party, not {', '.join(unfit)}")

    @property
    def party(self) -> str:
        return self.party_id.removeprefix("spiffe://").partition("/")[2]

    @property
    def file_name(self) -> str:
        return self.name.replace("/", "-")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Launched:
    """A launched process.  `end_requested` is set when the authority has sent it a signal, `ended` when it is gone."""

    launch: Launch
    stage: Stage
    target: Target
    process: subprocess.Popen[bytes]
    pidfd: int
    key: ProcessKey
    end_requested: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def end(self) -> None:
        self.send_signal(signal.SIGTERM)
        await self.ended.wait()

    def send_signal(self, number: signal.Signals) -> None:
        """Send it this signal, which asks it to end or kills it, unless it has ended."""
        if self.ended.is_set():  # its pidfd is closed, and the descriptor may refer to another file by now
            return
        self.end_requested.set()
        signal.pidfd_send_signal(self.pidfd, number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The folders and the address that launches use."""

    root: Path
    """The project's folder."""
    stages: Path
    """The folder for stages, private to this user."""
    logs: Path
    endpoint: str
    """The Workload API's address."""


class Launcher:
    """The launch table.  A process that is not in it has no identity; one that is in it ends with the authority."""

    def __init__(  # noqa: PLR0913 - its dependencies, the last three by name
        self,
        places: Places,
        lock: Lock,
        environment: Environment,
        *,
        log: Log,
        ended: Callable[[Target], None],
        more: Mapping[str, SmallRoot] | None = None,
    ) -> None:
        """`ended` is called with the target of a process that has ended; `more` has further files of a party, by name.

        Raises `LaunchError` for an interpreter that was not pinned.
        """
        self._places, self.lock, self._environment, self._log, self._ended = places, lock, environment, log, ended
        self._more, self._table = more or {}, dict[ProcessKey, Launched]()
        self._interpreter = Interpreter(environment.python)
        if not environment.approves(environment.python, self._interpreter.digest):
            self._interpreter.close()
            raise LaunchError(f"{environment.python} has just changed: {NEXT_STEP}")

    def start(self, launch: Launch) -> Launched:
        """Copy a party's code, measure the copy, compare it with the lock, and run it.

        Call it in the event loop's own thread: the kernel ends a child when the *thread* that made it ends.
        Raises `LaunchError`.
        """
        for other in self._table.values():
            if (other.launch.name, other.launch.party_id) == (launch.name, launch.party_id):  # control: launched-once
                raise LaunchError(f"{launch.name}: runs already, as process {other.process.pid}")
        places, prefix = self._places, f"{launch.file_name}-"
        try:
            approved = self.lock.files_of(launch.name)
            stage = Stage.build(places.root, launch.code, approved, parent=places.stages, prefix=prefix)
        except (MeasureError, OSError) as error:
            raise LaunchError(f"{launch.name}: {error}") from error
        try:
            self._check_approved(launch, stage)
            process = self._spawn(launch, stage.path)
        except (LaunchError, OSError) as error:
            stage.remove()
            raise error if isinstance(error, LaunchError) else LaunchError(f"{launch.name}: {error}") from error
        # Only this process waits for the child, so its pid cannot have been reused yet.
        pidfd = os.pidfd_open(process.pid)
        key = key_of_child(process.pid, pidfd)
        target = self._target(launch, stage, process.pid)
        launched = Launched(launch=launch, stage=stage, target=target, process=process, pidfd=pidfd, key=key)
        self._table[key] = launched
        asyncio.get_running_loop().add_reader(pidfd, self._on_end, launched)
        code = {"folder": launch.code, "code": digest_of(stage.code)}
        self._log("launched", party=launch.party_id, pid=process.pid, **code, environment=self._environment.digest)
        return launched

    def _check_approved(self, launch: Launch, stage: Stage) -> None:
        if self._environment.changed:
            raise LaunchError(f"{launch.name}: {unfit_message(self._environment)}")
        if wrong := changes(self.lock.files_of(launch.name), stage.code):  # control: code-as-locked
            raise LaunchError(
                f"{launch.name}: not as registry.lock approves: {format_paths(wrong)}.  Restore it, or approve it by "
                f"`make register` and start again."
            )

    def _target(self, launch: Launch, stage: Stage, pid: int) -> Target:
        project = Files(self._places.root, leave_out=BYTECODE_CACHES)
        small: list[SmallRoot] = [Code(project, launch.code, stage.code), Copy(stage.path, stage.everything)]
        small += [self._more[launch.party]] if launch.party in self._more else []
        return Target(
            party=launch.party, party_id=launch.party_id, pid=pid, small=tuple(small), large=(self._environment,)
        )

    def _spawn(self, launch: Launch, stage: Path) -> subprocess.Popen[bytes]:
        # -I: no PYTHON* variables, no user's site-packages, no working folder on the path.
        # -B: writes no bytecode, so that every new file on the stage is a change.  -u: logs appear at once.
        # -X pycache_prefix: reads measured bytecode only.
        command = [
            self._environment.python,
            "-I",
            "-B",
            "-u",
            "-X",
            f"pycache_prefix={self._environment.bytecode}",
            str(stage),
        ]
        # A new environment, which inherits no variable of ours.
        env = {
            "LANG": "C.UTF-8",
            **self._interpreter.env,
            **launch.env,
            "SPIFFE_ENDPOINT_SOCKET": self._places.endpoint,
        }
        with (self._places.logs / f"{launch.file_name}.log").open("ab") as out:
            return subprocess.Popen(  # noqa: S603 - our own interpreter, and a path that we made
                command,
                executable=self._interpreter.path,
                pass_fds=(self._interpreter.fd,),
                env=env,
                cwd="/",
                umask=0o077,  # no other Unix user may read what a party stores (documents, journal, revocations)
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # ^C in a terminal goes to the authority, which ends what it launched
            )

    @property
    def running(self) -> list[Launched]:
        """The launched processes that have not ended."""
        return list(self._table.values())

    async def caller(self, connection: socket.socket) -> Target:
        """Return the launched process that opened this Unix connection.  Raises `NotAttestedError`."""
        try:
            launched = self._table.get(key_of_peer(connection))
        except OSError as error:  # it has ended
            raise NotAttestedError(str(error)) from error
        if launched is None:  # control: caller-was-launched
            raise NotAttestedError("not launched by this authority")
        return launched.target

    def _on_end(self, launched: Launched) -> None:
        """Remove a process from the table, when its pidfd is readable because it has ended: it has no identity now."""
        del self._table[launched.key]
        asyncio.get_running_loop().remove_reader(launched.pidfd)
        # Kill its children as well.  Until `wait`, the pid and so the process group are still its own.
        os.killpg(launched.process.pid, signal.SIGKILL)
        status = launched.process.wait()
        os.close(launched.pidfd)
        self._ended(launched.target)
        launched.stage.remove()
        launched.ended.set()  # before the log, which may fail to write
        requested = launched.end_requested.is_set()
        self._log("ended", party=launched.launch.party_id, pid=launched.process.pid, status=status, requested=requested)

    async def end(self) -> None:
        """End everything launched: SIGTERM, and SIGKILL for what still runs 5 seconds later."""
        for number in signal.SIGTERM, signal.SIGKILL:
            running = self.running
            for launched in running:
                launched.send_signal(number)
            try:
                async with asyncio.timeout(SECONDS_TO_END):
                    for launched in running:
                        await launched.ended.wait()
            except TimeoutError:
                self._log("still running", parties=[left.launch.party_id for left in self._table.values()])
        self._interpreter.close()
