"""Attests containers: examines a process once, when it asks for an identity, and watches it from then on."""

import asyncio
import errno
import hashlib
import os
import socket
import stat
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from authorities.attestation.containers import admission
from authorities.attestation.containers.image import NOT_OF_IMAGE, ImageFiles
from authorities.attestation.containers.root import ContainerRoot
from authorities.attestation.process.peers import Peer, ProcessKey, is_ending, peer
from authorities.attestation.spiffe.workload_api import NotAttestedError
from authorities.attestation.verifier.drift import Drift, Log
from authorities.attestation.verifier.measure import MeasureError, NotMeasuredError, format_paths, measure_error
from authorities.attestation.verifier.target import Target
from zerotrust.authority.files.lock import Lock, changes
from zerotrust.authority.files.reading import RegistryError
from zerotrust.registry.model import Registry

MAIN = """\
import runpy, sys

sys.path.append("/app/packages")
runpy.run_module("{module}", run_name="__main__", alter_sys=True)
"""
"""`/app/__main__.py` of every party's image.

A party's needs besides the base lie in `/app/packages`, measured with its code; most parties have none.  It comes
last on the path, so that it replaces no package of the base.
"""

MOST_EXAMINED = 32
"""Examinations that wait or run; there are eight parties."""
SECONDS_REFUSED = 10
"""Seconds for which a process that was refused is refused again without a look at its files."""
MOST_REFUSED = 256
"""Refusals that are remembered; one more deletes them all, which costs only a second look."""
MOST_OF_START = 64 * 1024
"""Bytes of a command line, of an environment, or of a hosts file: a party's have less than 1 KiB."""


@dataclass(frozen=True, slots=True)
class Image:
    """The files in `/app` of one party's image."""

    party: str
    party_id: str
    app: Mapping[str, str]


def image(registry: Registry, party: str, folder: str, code: Mapping[str, str], further: Mapping[str, str]) -> Image:
    """Return a party's image.  SHA-256, in hex: `code` by path in the project, `further` by path in the image."""
    main = MAIN.format(module=folder.replace("/", ".") + ".main").encode()
    own = {"/app/__main__.py": hashlib.sha256(main).hexdigest(), **further}
    return Image(party, registry.id(party), {f"/app/{path}": digest for path, digest in code.items()} | own)


def images(registry: Registry, lock: Lock, further: Mapping[str, Mapping[str, str]]) -> list[Image]:
    """Return the image of each party that runs measured code; `further` has more files of a party, by its name.

    Raises `RegistryError` if two parties have the same files, because in a container only the code tells which party
    runs.
    """
    found: list[Image] = []
    for name, folder in registry.measured.items():
        one = image(registry, name, folder, lock.files_of(name), further.get(name, {}))
        # control: images-differ
        if twin := next((other for other in found if other.app == one.app), None):
            raise RegistryError(f"{twin.party} and {name} run the same code: in containers they are indistinguishable")
        found.append(one)
    return found


class Containers:
    """The table of attested containers, by their main process; `caller` examines a process that is not in it yet."""

    def __init__(  # noqa: PLR0913 - its dependencies, each by name
        self,
        images: list[Image],
        base: Mapping[str, str],
        *,
        same: Mapping[str, str],
        drift: Drift,
        log: Log,
        rules: admission.Rules = admission.DOCKER,
        process: Callable[[socket.socket], Peer] = peer,
        clock: Callable[[], float] = time.monotonic,
        proc: Path = Path("/proc"),
        belongs: Callable[[int, str], Awaitable[None]] | None = None,
    ) -> None:
        """`base`: every file of the base image, as `ImageFiles` finds them; `same`: variables of each party.

        `belongs` raises `NotAttestedError` if a process may not be this party, whatever code it has.
        Raises `OSError`, or `ValueError` if this container's own mounts are not those that `rules` has.
        """
        self._images, self._base, self._drift, self._log = images, base, drift, log
        self._own = admission.Own(same, admission.kept_places((proc / "self" / "mountinfo").read_bytes(), rules), rules)
        self._files, self._peer, self._clock, self._proc = ImageFiles(), process, clock, proc
        self._table: dict[ProcessKey, tuple[Image, Target]] = {}
        self._examinations: dict[ProcessKey, asyncio.Task[Target]] = {}
        self._refused: dict[ProcessKey, tuple[str, float]] = {}
        self._belongs, self._one_at_a_time = belongs, asyncio.Lock()

    def read_own_image(self) -> None:
        """Read the base in this container, so that the first party does not wait for it.  Raises `MeasureError`."""
        self._files.look("/proc/self/root", leave_out=NOT_OF_IMAGE | {"/data", "/tmp", "/keys"})  # noqa: S108

    async def caller(self, connection: socket.socket) -> Target:
        """Return the container whose main process opened this connection.  Raises `NotAttestedError`."""
        try:
            who = self._peer(connection)
        except OSError as error:
            raise NotAttestedError(str(error)) from error
        return await self.attest(who)

    async def attest(self, who: Peer) -> Target:
        """Return the container whose main process this is, and close its pidfd.  Raises `NotAttestedError`."""
        try:
            known = self._table.get(who.key)
            return known[1] if known else await self._admit(who)
        finally:
            os.close(who.pidfd)

    async def _admit(self, who: Peer) -> Target:
        self._check_process(who)  # first, because it costs nearly nothing
        if (refusal := self._refused.get(who.key)) and self._clock() < refusal[1]:
            raise NotAttestedError(refusal[0])
        if who.key not in self._examinations:
            if len(self._examinations) >= MOST_EXAMINED:
                raise NotAttestedError(f"{MOST_EXAMINED} processes are being examined")
            examination = asyncio.create_task(self._examine(who._replace(pidfd=os.dup(who.pidfd))))
            self._examinations[who.key] = examination
            examination.add_done_callback(partial(self._on_examined, who.key))
        return await asyncio.shield(self._examinations[who.key])  # a caller gives up sooner than a slow disk

    def _on_examined(self, key: ProcessKey, examination: asyncio.Task[Target]) -> None:
        del self._examinations[key]
        if not examination.cancelled() and (why := examination.exception()):
            if len(self._refused) >= MOST_REFUSED:
                self._refused.clear()
            self._refused[key] = str(why), self._clock() + SECONDS_REFUSED

    async def _examine(self, who: Peer) -> Target:
        """Measure a container, and enter it into the table.  `who.pidfd` is closed when its process has ended."""
        proc = self._proc / str(who.pid)
        try:
            async with self._one_at_a_time:
                image = await asyncio.to_thread(self._image, proc)
                if self._belongs:  # before it takes the party's place
                    await self._belongs(who.pid, image.party)
                if (other := self._running_pid(image)) is not None:  # control: container-once
                    raise NotAttestedError(f"{image.party} runs already, as process {other}")
                root = ContainerRoot(
                    f"{proc}/root",
                    self._files,
                    expected={**self._base, **image.app},
                    leave_out=NOT_OF_IMAGE | admission.mount_points((proc / "mountinfo").read_bytes()),
                    problem=partial(_problem, proc, who.pidfd, self._base, self._own),
                )
                await self._drift.follow(root)
                if root.changed or root.unknown:  # control: container-as-built
                    self._drift.unfollow(root)
                    changed = f"not what was built: {format_paths(root.changed)}" if root.changed else ""
                    raise NotAttestedError(f"{image.party}: " + (changed or f"not examined: {root.unknown}"))
        except BaseException as error:
            os.close(who.pidfd)
            if isinstance(error, NotAttestedError) or not isinstance(error, Exception):
                raise
            why = str(error) if isinstance(error, MeasureError | OSError) else repr(error)
            raise NotAttestedError(why) from error
        target = Target(party=image.party, party_id=image.party_id, pid=who.pid, large=(root,))
        self._table[who.key] = image, target
        asyncio.get_running_loop().add_reader(who.pidfd, self._on_end, who.key, who.pidfd)
        await self._drift.add(target)
        self._log("attested", party=target.party_id, pid=who.pid)
        return target

    def _check_process(self, who: Peer) -> None:
        try:
            why = _problem(self._proc / str(who.pid), who.pidfd, self._base, self._own)
        except NotMeasuredError as error:
            why = str(error)
        if why:
            raise NotAttestedError(why)

    def _image(self, proc: Path) -> Image:
        """Return the party whose code, and nothing else, is in `/app`."""
        app = self._files.look(f"{proc}/root", "/app")
        for image in self._images:
            if image.app == app:
                return image
        nearest = min((changes(image.app, app) for image in self._images), key=len)
        raise NotAttestedError(f"code that is not approved: {format_paths(nearest)}")  # control: container-code

    def _running_pid(self, image: Image) -> int | None:
        return next((target.pid for other, target in self._table.values() if other == image), None)

    def _on_end(self, key: ProcessKey, pidfd: int) -> None:
        """Remove a container from the table, because its main process has ended: it has no identity now."""
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
        _, target = self._table.pop(key)
        self._drift.remove(target)
        for root in target.large:
            self._drift.unfollow(root)
        self._log("ended", party=target.party_id, pid=target.pid)


def _problem(proc: Path, pidfd: int, base: Mapping[str, str], own: admission.Own) -> str | None:
    """Return why this process, as it is now, cannot be attested, or None.

    Raises `NotMeasuredError` if it ends, or if this machine lacks the memory or descriptors to find out.
    """
    try:
        status = (proc / "status").read_text(errors="replace")  # the process chooses its name, in any bytes
        if why := admission.problem_of_rights(status):  # first, because another user's process hides the rest
            return why
        facts = admission.Facts(
            status=status,
            mountinfo=(proc / "mountinfo").read_bytes(),
            cmdline=_start_of(proc / "cmdline"),
            environ=_start_of(proc / "environ"),
            hosts=_start_of(proc / "root/etc/hosts"),
        )
        why = admission.problem(facts, own) or _problem_of_program(proc, base)
    except PermissionError as error:
        why = (
            f"{error.filename} cannot be read: attestation needs the user and group id of the parties, and neither "
            "AppArmor nor SELinux between them (docs/how-to/containers.md)"
        )
    except OSError as error:
        why = str(failed := measure_error(error))
        if isinstance(failed, NotMeasuredError):
            raise failed from error
    # Last: a process that has not ended now had this id until now, so all of these facts are its own.
    try:
        if not is_ending(pidfd, proc / "stat"):
            return why
    except OSError as error:
        raise NotMeasuredError(f"{error.filename}: {error.strerror}") from error
    raise NotMeasuredError("it has ended")


def _start_of(file: Path) -> bytes:
    """Return the content of a file whose size the process chooses.  Raises `OSError` if it is too long, or no file."""
    # A link leads into our own root; a pipe would block us.
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise OSError(errno.EINVAL, "no file", str(file))
        content = opened.read(MOST_OF_START + 1)
    if len(content) > MOST_OF_START:
        raise OSError(errno.EFBIG, f"longer than {MOST_OF_START} bytes", str(file))
    return content


def _problem_of_program(proc: Path, base: Mapping[str, str]) -> str | None:
    program = os.readlink(proc / "exe")
    runs, lies = os.stat(proc / "exe"), os.stat(f"{proc}/root{program}", follow_symlinks=False)
    if program not in base or (runs.st_dev, runs.st_ino) != (lies.st_dev, lies.st_ino):
        return f"it runs {program}, which is not the image's"
    return None
