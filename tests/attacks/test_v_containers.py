# ruff: noqa: S108 - folders of a container
"""V. Containers: an identity for a process that is not a party's container as it was built.

In process, over a `/proc` made of files.  `make attacks-compose` tries the same with real containers.
"""

import errno
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import patch

from authorities.attestation.containers import attested
from authorities.attestation.containers.attested import images
from authorities.attestation.containers.key_file import FILE, KeysError, load_keys
from authorities.attestation.spiffe.workload_api import NotAttestedError
from authorities.attestation.verifier.drift import Drift
from tests.support.attack import Attempt, Scene, Tries, attack
from tests.support.container import COMMAND, ENVIRON, HOSTS, MOUNTS, STATUS, Machine
from tests.support.issuer import Issuer
from tests.support.system import ROOT, registry
from zerotrust.authority.files.lock import load_lock
from zerotrust.authority.files.reading import RegistryError
from zerotrust.service import Service


class Target(Scene):
    """A machine with containers, and the attestation authority that examines them."""

    def __init__(self, machine: Machine, drift: Drift) -> None:
        super().__init__(machine.proc)
        self.machine, self.drift, self.containers = machine, drift, machine.containers(drift)

    async def ask(self, why: str) -> Attempt:
        """Ask for an identity; `why` is what has to be logged otherwise."""
        try:
            with socket.socket() as connection:
                await self.containers.caller(connection)
        except NotAttestedError as error:
            return Attempt("no identity", succeeded=False, recorded=[why] if why in str(error) else [], reason=why)
        return Attempt("an identity", succeeded=True)

    async def with_(self, name: str, *changes: tuple[str | bytes, str, str]) -> Tries:
        """Start a container for each content of a file about it, and have it ask; each with the control about that."""
        for content, why, by in changes:
            pid = self.machine.start()
            file = self.machine.file(name)
            file.write_bytes(content) if isinstance(content, bytes) else file.write_text(content)
            yield (await self.ask(why)).stopped_by(by)
            self.machine.end(pid)


@asynccontextmanager
async def machine(_folder: Path, _issuer: Issuer, _kind: type[Service]) -> AsyncIterator[Target]:
    with tempfile.TemporaryDirectory() as folder:
        running = Machine(Path(folder))
        # The kernel's own links to a program and to its root are no files.
        with patch.object(attested, "_problem_of_program", lambda *_: None):
            async with Drift(lambda *_, **__: None) as drift:
                yield Target(running, drift)
        running.end_all()


@attack(200, machine)
def test_a_process_beside_the_main_one(target: Target) -> Tries:
    """What `docker exec` starts, and what a party's process forks: process 1 of the container, and nobody else."""
    beside, of_the_machine = STATUS.replace("7089\t1", "7089\t890"), STATUS.replace("7089\t1", "7089")
    why, by = "not the main process", "main-process-of-container"
    return target.with_("status", (beside, why, by), (of_the_machine, why, by))


@attack(201, machine)
def test_a_container_with_more_rights(target: Target) -> Tries:
    gaining = STATUS.replace("NoNewPrivs:\t1", "NoNewPrivs:\t0")
    return target.with_(
        "status",
        (STATUS.replace("CapBnd:\t0000", "CapBnd:\t00a8"), "capabilities", "container-without-capabilities"),
        (gaining, "can gain privileges", "container-no-new-privileges"),
        (STATUS.replace("Seccomp:\t2", "Seccomp:\t0"), "no seccomp filter", "container-seccomp"),
        (STATUS.replace("Uid:\t47823", "Uid:\t0"), "runs as root", "container-not-root"),
    )


@attack(202, machine)
def test_a_container_that_could_change_what_it_runs(target: Target) -> Tries:
    sockets = MOUNTS.replace("/run/identity ro", "/run/identity rw")
    return target.with_(
        "mountinfo",
        (MOUNTS.replace("/ / ro,", "/ / rw,"), "root is writable", "container-root-read-only"),
        (MOUNTS.replace("overlay overlay", "btrfs /dev/vda"), "root is btrfs", "container-root-overlay"),
        (MOUNTS.replace("/data rw", "/usr/six.py ro"), "mounted at /usr/six.py", "container-nothing-mounted"),
        (sockets, "is mounted without ro", "container-mount-options"),
    )


@attack(203, machine)
async def test_an_approved_image_that_runs_something_else(target: Target) -> Tries:
    other = COMMAND.replace(b"/app", b"/tmp")
    async for tried in target.with_("cmdline", (other, "was started as", "container-command")):
        yield tried
    mine, not_ours = ENVIRON.replace(b"https://issuer", b"https://mine"), "is not that of attestation"
    async for tried in target.with_(
        "environ",
        (ENVIRON + b"LD_PRELOAD=/data/x.so\0", "LD_PRELOAD", "container-environment"),
        (mine, f"ZT_ISSUER {not_ours}", "container-settings"),
        (b"ZT_ISSUER=https://mine\0" + ENVIRON, "a variable twice", "container-once-set"),
        (ENVIRON + b"ZT_POLICIES=/data/mine\0", f"ZT_POLICIES {not_ours}", "container-settings"),
    ):
        yield tried


@attack(204, machine)
async def test_an_image_with_other_files(target: Target) -> Tries:
    planted, other = "container-code and container-as-built", "container-as-built"
    for file, content, why, by in (
        ("/app/planted.py", "import os", "code that is not approved", planted),
        ("/app/packages/client/__init__.py", "import os", "not approved", planted),
        ("/app/packages/planted.py", "import os", "not approved", planted),
        ("/usr/libc.so", "another libc", "not what was built", other),
        ("/usr/six.py", "import os", "not what was built", other),
    ):
        async for tried in target.with_(f"root{file}", (content, f"{why}: {file}", by)):
            yield tried


@attack(205, machine)
async def test_a_second_container_of_a_party(target: Target) -> Tries:
    target.machine.start()
    await target.ask("")
    target.machine.start()
    yield await target.ask("runs already")


@attack(206, machine)
async def test_a_party_registered_with_the_code_of_another(target: Target) -> Tries:
    known = registry()
    twins = known.model_copy(update={"parties": known.parties | {"agent/twin": known.parties["agent/reader"]}})
    lock = load_lock(ROOT / "registry.lock")
    lock = lock.model_copy(update={"runs": lock.runs | {"agent/twin": lock.runs["agent/reader"]}})
    yield _raises(lambda: images(twins, lock, {}), RegistryError, "indistinguishable")


@attack(207, machine)
async def test_keys_that_others_could_read(target: Target) -> Tries:
    folder = target.machine.proc
    load_keys(folder)
    (folder / FILE).chmod(0o644)
    yield _raises(lambda: load_keys(folder), KeysError, "others may have read it")


@attack(220, machine)
async def test_a_change_that_attestation_cannot_see_for_want_of_descriptors(target: Target) -> Tries:
    """Nobody is suspended for it, because nothing is known; and nobody gets a certificate."""
    target.machine.start()
    with socket.socket() as connection:
        party = await target.containers.caller(connection)
    none_left = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    with patch.object(os, "scandir", side_effect=none_left), patch.object(os, "lstat", side_effect=none_left):
        target.machine.file("root/usr/libc.so").write_text("another libc")
        await target.drift.look(party)
        why = target.drift.check(party)
    recorded = [why] if "Too many open files" in why and not target.drift.drifted else []
    yield Attempt("no identity" if why else "an identity", succeeded=not why, recorded=recorded, reason=why)


@attack(426, machine)
def test_a_container_with_another_search_path(target: Target) -> Tries:
    elsewhere = ENVIRON.replace(b"PATH=/usr/local/bin", b"PATH=/data:/usr/local/bin")
    return target.with_("environ", (elsewhere, "its PATH is not that of attestation", "container-settings"))


@attack(427, machine)
def test_a_container_with_names_of_its_own(target: Target) -> Tries:
    name, file = "registry.authority.agents.example", "root/etc/hosts"
    lines = [f"10.0.0.9\t{before}{name}\n" for before in ("", "ip6-a ", "ip6-a\v", "ip6-a\f", "ip6-a\r")]
    # The C library takes each of these for a space.
    why, by = f"leads '{name}' to '10.0.0.9'", "container-hosts"
    return target.with_(file, *((HOSTS + line.encode(), why, by) for line in lines))


@attack(428, machine)
def test_a_container_with_other_mounts_at_the_same_points(target: Target) -> Tries:
    kind, options, kept = "container-mount-kind", "container-mount-options", "container-kept-by-docker"
    elsewhere = "is not what Docker keeps"
    return target.with_(
        "mountinfo",
        (MOUNTS.replace("noexec - tmpfs tmpfs", "noexec - ext4 /dev/vda"), "/tmp is ext4", kind),
        (MOUNTS.replace("/tmp rw,nosuid,nodev,noexec", "/tmp rw"), "/tmp is mounted without nodev", options),
        (MOUNTS.replace("/v/data/_data", "/home/mallory"), f"/data {elsewhere}", kept),
        (MOUNTS.replace("/c/1f/hosts", "/home/mallory/hosts"), f"/etc/hosts {elsewhere}", kept),
        (MOUNTS.replace("0:80 / /tmp", "0:22 /x /tmp"), "/tmp is tmpfs /x", kind),  # `/run/x` of the machine
        (MOUNTS.replace("0:71 / /dev", "0:22 /x /dev"), "/dev is tmpfs /x", kind),
    )


def _raises(do: Callable[[], object], error: type[Exception], why: str) -> Attempt:
    try:
        do()
    except error as refusal:
        return Attempt("refused", succeeded=False, recorded=[why] if why in str(refusal) else [], reason=why)
    return Attempt("done", succeeded=True)
