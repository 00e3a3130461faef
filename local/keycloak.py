"""Runs the real Keycloak on this machine: embedded database, https only, on the loopback interface.

    async with Keycloak(run_dir, realm=text, truststore=ca, certificate=crt, key=key) as keycloak:
        await sign_in(
            keycloak.issuer, "walkthrough", "alice", keycloak.passwords["alice"], "task.run", verify=keycloak.tls
        )

`keycloak_instance.py` has its files.

Keycloak's arguments and environment have no secret, and no other process of this user can read its memory: Java runs
from an unreadable copy (`interpreter.py`), does not allow attaching, and gets the first administrator's password in a
file that exists in memory only.  Users get their passwords through the Admin API.
"""

import asyncio
import ctypes
import json
import os
import secrets
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import keycloak as python_keycloak

from authorities.attestation.process.closed import give_up_reading_any_file
from authorities.attestation.process.interpreter import Interpreter
from local.keycloak_instance import BUILD, Instance
from local.keycloak_runtime import KeycloakError, Runtime, Say, find_runtime, going_on
from local.program import FOLDER
from registration.realm.script import SCRIPT
from registration.realm.users import USERS
from zerotrust.issuer.discovery import Metadata, UntrustedMetadata, discover

PORT = 8443
HEALTH_PORT = 9000
URL = f"https://localhost:{PORT}"
ADMIN = "admin"

READY_WITHIN = 240
"""Seconds; ten times what a slow machine was seen to need for a warm start."""

MAX_CONNECTIONS = 500
"""Connections at Keycloak's port, from all callers.  If there are more, the newest is closed."""
THREADS = MAX_CONNECTIONS + 50
"""Of Keycloak, and connections to its database.  A request takes up one of each from its head to its answer, also while
its body is on the way.  A connection carries one request at a time (no HTTP/2), so as many slow requests as there can
be leave some to the others."""
MAX_BODY = 262_144
"""Bytes of a request; our realm has 21 KB.  As many as there are connections have to find room in memory."""
PATIENCE = 10
"""Seconds for the next bytes of a body.  Until then Keycloak does not notice that the sender is gone."""
IDLE = 75
"""Seconds without a byte on a connection; longer than our clients keep one (60)."""

_RUN = [
    "--http-enabled=false",
    "--http-host=127.0.0.1",
    f"--https-port={PORT}",
    "--https-protocols=TLSv1.3",
    f"--hostname={URL}",
    "--http-management-scheme=http",  # health, of which nothing is secret
    f"--http-pool-max-threads={THREADS}",
    f"--db-pool-max-size={THREADS}",
]

LOG_SIZE = 5_000_000
"""Bytes of `keycloak.log` at which it becomes `keycloak.log.1`: strangers can have lines written."""
LOGS_KEPT = 3
"""Older logs beside it."""

_THREADS = "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory"

# What `kc.sh` gives to Java, which we start ourselves: `kc.sh` runs it in the background, where it would outlive us.
_JVM = [
    "-XX:+UseSerialGC",  # on two cores it starts faster than G1
    # The optimising compiler waits four times as long as usual: a start costs 15 s of CPU instead of 20 s, and after a
    # few hundred exchanges each is as fast as ever. (Without that compiler: 11 s, but twice the time per exchange.)
    "-XX:Tier4InvocationThreshold=20000",
    "-XX:Tier4MinInvocationThreshold=2400",
    "-XX:Tier4CompileThreshold=60000",
    "-XX:Tier4BackEdgeThreshold=160000",
    "-Xms64m",
    "-Xmx512m",
    "-XX:MetaspaceSize=96M",
    "-XX:MaxMetaspaceSize=256m",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dfile.encoding=UTF-8",
    "-Dstdout.encoding=UTF-8",
    "-Dstderr.encoding=UTF-8",
    "-Duser.language=en",
    "-Duser.country=US",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    f"-Djava.util.concurrent.ForkJoinPool.common.threadFactory={_THREADS}",
    "-Dpicocli.disable.closures=true",
    "-Dquarkus-log-max-startup-records=10000",
    f"-Dquarkus.log.file.rotation.max-file-size={LOG_SIZE}",
    f"-Dquarkus.log.file.rotation.max-backup-index={LOGS_KEPT}",
    f"-Dquarkus.http.limits.max-connections={MAX_CONNECTIONS}",
    f"-Dquarkus.http.limits.max-body-size={MAX_BODY}",
    f"-Dquarkus.http.read-timeout={PATIENCE}s",
    f"-Dquarkus.http.idle-timeout={IDLE}s",
    "-Dquarkus.http.http2=false",
    "-Dquarkus.log.file.rotation.rotate-on-boot=false",  # what Java says before Keycloak logs is in the same file
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.security=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
    # Or any process of this user could have Java load its code, or write its memory to a file (`jcmd`, `jmap`).
    "-XX:+DisableAttachMechanism",
]
_BUILT = 10
"""The exit status by which Keycloak says that it has built itself and wants to be started again."""


class Keycloak:
    """A running Keycloak with a realm, for as long as the `async with` lasts."""

    issuer: str
    passwords: dict[str, str]
    """The password of every user of the realm: made for this run, never stored."""
    admin: tuple[str, str]
    """Name and password of this run's administrator, for the admin page."""
    metadata: Metadata
    """Its own metadata, with its endpoints."""

    def __init__(  # noqa: PLR0913 - its dependencies, each by name
        self,
        run_dir: Path,
        *,
        realm: str,
        truststore: Path,
        certificate: Path,
        key: Path,
        say: Say = print,
        scripts: tuple[Path, ...] = (SCRIPT,),
    ) -> None:
        """`run_dir` will hold the instance; `realm` is imported, in JSON; all other files are PEM, and need to exist
        when it starts.

        `truststore`: the CA of the SPIFFE bundle endpoint, of Keycloak's own `certificate` (for `localhost`), and of
        the certificates that callers may show.  Only this user may read `key`.
        `scripts` are the mappers that are built in; the realm decides which of them are used.
        """
        self._truststore, self._certificate, self._key = (f.absolute() for f in (truststore, certificate, key))
        self._say = say
        home = (run_dir / "keycloak").absolute()
        ours = (FOLDER, *sorted(FOLDER.glob("*"))) if FOLDER in home.parents else ()
        others = tuple(place / "keycloak" for place in ours if place / "keycloak" != home)
        self._instance = Instance(home, realm=realm, scripts=scripts, others=others)
        self._name = str(json.loads(realm)["realm"])
        self.issuer = f"{URL}/realms/{self._name}"
        # Hexadecimal, for they are typed: what begins with a dash would be taken for an option.
        self.passwords = {user: secrets.token_hex(16) for user in USERS}
        self.admin = (ADMIN, secrets.token_hex(16))
        self._process: asyncio.subprocess.Process | None = None

    @property
    def tls(self) -> ssl.SSLContext:
        """The TLS context of a client without a certificate: it trusts our CA and no other."""
        return ssl.create_default_context(cafile=self._truststore)

    @property
    def log(self) -> Path:
        """The path of Keycloak's log."""
        return self._instance.home / "keycloak.log"

    async def __aenter__(self) -> Self:
        """Start, and return when Keycloak is ready.  Raises `KeycloakError`."""
        began = time.monotonic()
        for port in (PORT, HEALTH_PORT):
            check_port(port)
        check_private(self._key)
        runtime = await asyncio.to_thread(find_runtime, self._say)
        await asyncio.to_thread(self._instance.prepare, runtime.distribution)
        self._say("Keycloak starts and imports the realm")
        try:
            await self._start(runtime)
            await self._set_up()
            self.metadata = await self._discover()
        except BaseException:
            self._kill()
            raise
        self._say(f"Keycloak is ready after {time.monotonic() - began:.0f} s: {URL}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()  # what it leaves is not used again
        await self.ended()

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process  # noqa: S101 - it was started
        return self._process.pid

    async def ended(self) -> None:
        """Wait until the process has ended, for any reason."""
        assert self._process  # noqa: S101 - it was started
        await self._process.wait()

    # --- the process --------------------------------------------------------------------------------------------------

    async def _start(self, runtime: Runtime) -> None:
        options = [
            "start",  # not `start-dev`, which serves plain http whatever its settings are
            *BUILD,
            *_RUN,
            f"--https-certificate-file={self._certificate}",
            f"--https-certificate-key-file={self._key}",
            f"--truststore-paths={self._truststore}",
            "--log=file",
            f"--log-file={self.log}",
            "--import-realm",
        ]
        self.log.unlink(missing_ok=True)
        java = await asyncio.to_thread(Interpreter, str(runtime.java))
        try:
            if not self._instance.built:
                self._say(
                    "Keycloak is built with our script mapper (once for this clone; "
                    "a quarter of a minute, longer under load)"
                )
                async with going_on(self._say, "Keycloak is being built"):
                    process = await self._launch(java, ["-XX:TieredStopAtLevel=1"], options)
                    if await process.wait() != _BUILT:
                        raise self._died(process)
            process = await self._launch(java, ["-Dkc.config.built=true"], options, self._first_administrator())
        finally:
            java.close()
        async with going_on(self._say, "Keycloak is starting"):
            await self._wait_until_ready(process)
        self._instance.has_run()

    def _first_administrator(self) -> str:
        """Return the options for the database alone, in the form of Keycloak's configuration file."""
        name, password = self.admin
        return f"bootstrap-admin-username={name}\nbootstrap-admin-password={password}\n"

    async def _launch(
        self, java: Interpreter, flags: list[str], options: list[str], configuration: str = ""
    ) -> asyncio.subprocess.Process:
        """Start Java; `configuration` is for this process alone, and in no argument or variable."""
        home = self._instance.home
        file = in_memory(configuration)
        # Keycloak wants such a file to have that name.  For each process the link leads to a file of its own.
        link = home / "once.conf"
        link.unlink(missing_ok=True)
        link.symlink_to(f"/proc/self/fd/{file}")
        command = [
            "java",
            *_JVM,
            f"-Dkc.home.dir={home}",
            f"-Djboss.server.config.dir={home / 'conf'}",
            f"-Djdk.net.hosts.file={self._instance.hosts()}",
            *flags,
            "-cp",
            str(home / "lib" / "quarkus-run.jar"),
            "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
            f"--config-file={link}",  # control: keycloak-password-not-in-arguments
            *options,
        ]
        # Nothing else of our environment: KC_* would change the configuration, a proxy would catch the bundle endpoint.
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(Path.home()), **java.env}
        parent = os.getpid()
        try:
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *command,
                    executable=java.path,
                    pass_fds=(java.fd, file),
                    env=environment,
                    cwd=home,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is for us, and we stop Keycloak last
                    preexec_fn=lambda: _before_java(parent),
                )
        finally:
            os.close(file)
        return self._process

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> None:
        """Wait for readiness, not for the port: it listens before the realm is there."""
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            deadline = time.monotonic() + READY_WITHIN
            while time.monotonic() < deadline:
                if process.returncode is not None:
                    raise self._died(process)
                try:
                    if (await client.get(f"http://localhost:{HEALTH_PORT}/health/ready")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
        raise KeycloakError(f"Keycloak was not ready within {READY_WITHIN} s. {self._last_words()}")

    def _died(self, process: asyncio.subprocess.Process) -> KeycloakError:
        return KeycloakError(f"Keycloak ended with status {process.returncode}. {self._last_words()}")

    def _last_words(self) -> str:
        return f"The end of {self.log}:\n{tail(self.log)}"

    def _kill(self) -> None:
        if self._process and self._process.returncode is None:
            self._process.kill()

    # --- the administration -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def administration(self, realm: str | None = None) -> AsyncIterator[python_keycloak.KeycloakAdmin]:
        """Yield python-keycloak's client of the Admin API for a realm, ours by default."""
        async with administration(self.admin, realm or self._name, self.tls) as admin:
            yield admin

    async def _discover(self) -> Metadata:
        try:
            async with httpx.AsyncClient(verify=self.tls, trust_env=False, timeout=5) as client:
                return await discover(self.issuer, client)
        except (UntrustedMetadata, httpx.HTTPError) as error:
            raise KeycloakError(f"No party can use this Keycloak: {error}. {self._last_words()}") from error

    async def _set_up(self) -> None:
        """Set this run's passwords of all users."""
        try:
            async with self.administration() as admin:
                for user, (identifier, _) in USERS.items():
                    await admin.a_set_user_password(identifier, self.passwords[user], temporary=False)
        except python_keycloak.KeycloakError as error:
            raise KeycloakError(f"Keycloak refuses its administrator ({error}): start again.") from error


@asynccontextmanager
async def administration(
    admin: tuple[str, str], realm: str, tls: ssl.SSLContext
) -> AsyncIterator[python_keycloak.KeycloakAdmin]:
    """Yield python-keycloak's client of the Admin API for a realm; `admin`: the administrator's name and password."""
    connection = python_keycloak.KeycloakOpenIDConnection(
        server_url=URL,
        username=admin[0],
        password=admin[1],
        realm_name=realm,
        user_realm_name="master",
        verify=tls,  # type: ignore[arg-type] # handed on to httpx, which wants just that
    )
    try:
        yield python_keycloak.KeycloakAdmin(connection=connection)
    finally:
        await connection.keycloak_openid.connection.aclose()
        await connection.aclose()


def in_memory(text: str) -> int:
    """Return a descriptor of a file that exists in memory only, which a child process can inherit."""
    file = os.memfd_create("configuration", os.MFD_CLOEXEC)
    os.write(file, text.encode())
    return file


def check_port(port: int, needed_by: str = "Keycloak") -> None:
    """Raise `KeycloakError` if another process listens on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection just closed is no hindrance
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise KeycloakError(
                f"Port {port} is in use and {needed_by} needs it: stop what listens there (`ss -ltnp` names it; "
                "where it is another clone of this project, `make down` in that folder)."
            ) from error


def check_private(key: Path) -> None:
    """Raise `KeycloakError` when a private key is missing, or others may read it."""
    try:
        mode = key.stat().st_mode & 0o777
    except OSError as error:
        raise KeycloakError(f"{key}: Keycloak's key cannot be had ({error.strerror}).") from error
    if mode & 0o077:
        raise KeycloakError(f"{key}: others may read Keycloak's key (mode {mode:o}): delete it, and start again.")


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log, without the stack traces between them."""
    said = [line for line in log.read_text(errors="replace").splitlines() if not line.startswith(("\tat ", "\t..."))]
    return "\n".join(said[-lines:])


def _before_java(parent: int) -> None:
    end_with(parent)
    give_up_reading_any_file()  # otherwise the kernel would not close a process of root


def end_with(parent: int) -> None:
    """Run in the child before it becomes its program: the kernel ends it with its parent, even when that is killed."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)
