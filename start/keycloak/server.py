"""Runs the real Keycloak on this machine: embedded database, https only, on the loopback interface.

    async with Keycloak(run_dir, realm=text, truststore=ca, certificate=crt, key=key) as keycloak:
        await sign_in(
            keycloak.issuer, "walkthrough", "alice", keycloak.passwords["alice"], "task.run", verify=keycloak.tls
        )

`instance.py` has its files, `options.py` its options.

Keycloak's arguments and environment have no secret, and no other process of this user can read its memory: Java runs
from an unreadable copy (`closed.py`), does not allow attaching, and gets the first administrator's password in a
file that exists in memory only.  Users get their passwords through the Admin API.
"""

import asyncio
import json
import os
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import keycloak as python_keycloak

from authorities.attestation.process.closed import Interpreter
from registration.realm.script import SCRIPTS
from registration.realm.users import USERS
from start import child
from start.before_start import check_port, check_private
from start.errors import KeycloakError
from start.keycloak.distribution import find_distribution
from start.keycloak.instance import BUILD, Instance
from start.keycloak.java import find_java
from start.keycloak.options import HEALTH_PORT, JVM, PORT, RUN, URL
from start.program import FOLDER
from start.progress import Say, reporting_progress
from zerotrust.issuer.discovery import Metadata, UntrustedMetadata, discover

T = TypeVar("T")

ADMIN = "admin"

LOOK = 1.0
"""Seconds between two questions whether it is ready."""

_BUILT = 10
"""The exit status by which Keycloak says that it has built itself and wants to be started again."""


class Keycloak:
    """A running Keycloak with a realm, for as long as the `async with` lasts."""

    issuer: str
    passwords: dict[str, str]
    """The password of every user of the realm: made for this run."""
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
        scripts: tuple[Path, ...] = SCRIPTS,
    ) -> None:
        """`run_dir` will hold the instance; `realm` is imported, in JSON; all other files are PEM, and need to exist
        when it starts.

        `truststore`: the CA of the SPIFFE bundle endpoint, of Keycloak's own `certificate` (for `localhost`), and of
        the certificates that callers may show.  Only this user may read `key`.
        `scripts` are those that are built in; the realm decides which of them are used.
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
        return self._instance.home / "keycloak.log"

    async def __aenter__(self) -> Self:
        """Start, and return when Keycloak is ready.  Raises `KeycloakError`."""
        began = time.monotonic()
        for port in (PORT, HEALTH_PORT):
            check_port(port)
        check_private(self._key)
        java = await asyncio.to_thread(find_java, self._say)
        distribution = await asyncio.to_thread(find_distribution, self._say)
        await asyncio.to_thread(self._instance.prepare, distribution)
        self._say("Keycloak starts and imports the realm")
        try:
            await self._start(java)
        except BaseException:
            self._kill()
            raise
        self._say(f"Keycloak is ready after {time.monotonic() - began:.0f} s: {URL}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()  # what it leaves is not used again
        await self.wait_until_ended()

    @property
    def pid(self) -> int:
        assert self._process  # noqa: S101 - it was started
        return self._process.pid

    async def wait_until_ended(self) -> None:
        assert self._process  # noqa: S101 - it was started
        await self._process.wait()

    # --- the process --------------------------------------------------------------------------------------------------

    async def _start(self, executable: Path) -> None:
        options = [
            "start",  # not `start-dev`, which serves plain http whatever its settings are
            *BUILD,
            *RUN,
            f"--https-certificate-file={self._certificate}",
            f"--https-certificate-key-file={self._key}",
            f"--truststore-paths={self._truststore}",
            "--log=file",
            f"--log-file={self.log}",
            "--import-realm",
        ]
        self.log.unlink(missing_ok=True)
        java = await asyncio.to_thread(Interpreter, str(executable))
        try:
            if not self._instance.built:
                self._say(
                    "Keycloak is built with our scripts (once for this clone; a quarter of a minute, longer under load)"
                )
                process = await self._launch(java, ["-XX:TieredStopAtLevel=1"], options)
                if await self._wait_for("is being built", process.wait()) != _BUILT:
                    raise self._end_error(process)
                await asyncio.to_thread(self._instance.seal)
            process = await self._launch(java, ["-Dkc.config.built=true"], options, self._administrator_options())
        finally:
            java.close()
        await self._wait_for("is starting", self._wait_until_ready(process))

    async def _wait_for(self, what: str, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`, and print what Keycloak does.  Raises `KeycloakError` if it does nothing."""
        try:
            async with reporting_progress(self._say, f"Keycloak {what}", partial(child.describe_activity, self.log)):
                return await child.wait_while_working(self.pid, work)
        except child.NoProgress as error:
            raise KeycloakError(f"Keycloak {what} and makes no progress: {error}. {self._end_of_log()}") from error

    def _administrator_options(self) -> str:
        """Return the options for the database alone, in the form of Keycloak's configuration file."""
        name, password = self.admin
        return f"bootstrap-admin-username={name}\nbootstrap-admin-password={password}\n"

    async def _launch(
        self, java: Interpreter, flags: list[str], options: list[str], configuration: str = ""
    ) -> asyncio.subprocess.Process:
        """Start Java; `configuration` is for this process alone, and in no argument or variable."""
        home = self._instance.home
        file = child.create_memory_file(configuration)
        # Keycloak wants such a file to have that name.  For each process the link leads to a file of its own.
        link = home / "once.conf"
        link.unlink(missing_ok=True)
        link.symlink_to(f"/proc/self/fd/{file}")
        command = [
            "java",
            *JVM,
            f"-Dkc.home.dir={home}",
            f"-Djboss.server.config.dir={home / 'conf'}",
            f"-Djdk.net.hosts.file={self._instance.write_hosts()}",
            *flags,
            "-cp",
            str(home / "lib" / "quarkus-run.jar"),
            "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
            f"--config-file={link}",  # control: keycloak-password-not-in-arguments
            *options,
        ]
        # Nothing else of our environment: KC_* would change the configuration, a proxy would catch the bundle endpoint.
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(Path.home()), **java.env}
        own: dict[str, Any] = {"executable": java.path, "pass_fds": (java.fd, file), "before": _prepare_process}
        try:
            self._process = await child.start_child(*command, env=environment, folder=home, log=self.log, **own)
        finally:
            os.close(file)
        return self._process

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> None:
        """Wait for readiness, not for the port, which listens before the realm is there; then set it up."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            while process.returncode is None:
                try:
                    if (await client.get(f"http://localhost:{HEALTH_PORT}/health/ready")).status_code == 200:
                        await self._set_up()
                        self.metadata = await self._discover()
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(LOOK)
        raise self._end_error(process)

    def _end_error(self, process: asyncio.subprocess.Process) -> KeycloakError:
        return KeycloakError(f"Keycloak ended with status {process.returncode}. {self._end_of_log()}")

    def _end_of_log(self) -> str:
        return f"The end of {self.log}:\n{child.tail(self.log)}"

    def _kill(self) -> None:
        if self._process and self._process.returncode is None:
            self._process.kill()

    # --- the administration -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def administration(self, realm: str | None = None) -> AsyncIterator[python_keycloak.KeycloakAdmin]:
        """Yield python-keycloak's client of the Admin API for a realm, ours by default."""
        connection = python_keycloak.KeycloakOpenIDConnection(
            server_url=URL,
            username=self.admin[0],
            password=self.admin[1],
            realm_name=realm or self._name,
            user_realm_name="master",
            verify=self.tls,  # type: ignore[arg-type] # handed on to httpx, which wants just that
        )
        try:
            yield python_keycloak.KeycloakAdmin(connection=connection)
        finally:
            await connection.keycloak_openid.connection.aclose()
            await connection.aclose()

    async def _discover(self) -> Metadata:
        """Return its metadata.  Raises `KeycloakError`, and `httpx.TimeoutException`."""
        try:
            async with httpx.AsyncClient(verify=self.tls, trust_env=False, timeout=5) as client:
                return await discover(self.issuer, client)
        except httpx.TimeoutException:
            raise
        except (UntrustedMetadata, httpx.HTTPError) as error:
            raise KeycloakError(f"No party can use this Keycloak: {error}. {self._end_of_log()}") from error

    async def _set_up(self) -> None:
        """Set this run's passwords of all users.  Raises `KeycloakError`, and `httpx.TimeoutException`."""
        try:
            async with self.administration() as admin:
                for user, (identifier, _) in USERS.items():
                    await admin.a_set_user_password(identifier, self.passwords[user], temporary=False)
        except python_keycloak.KeycloakError as error:
            if isinstance(error.__cause__, httpx.TimeoutException):
                raise error.__cause__ from error
            raise KeycloakError(f"Keycloak refuses its administrator ({error}): start again.") from error


def _prepare_process(parent: int) -> None:
    child.end_with(parent)
    child.give_up_reading_any_file()  # otherwise the kernel would not close a process of root
