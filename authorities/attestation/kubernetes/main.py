"""The verifier of a node: tells SPIRE's agent which party a process is, and reports drift to the registry.

The agent's plugin hands over a pidfd.  The answer is a line, `party:NAME`, or nothing: then the process gets no
identity.  A container is measured and watched as in `authorities/attestation/containers`.

The authority's own identity comes from SPIRE as well, for which it vouches for its own process, and no other.
"""

import asyncio
import contextlib
import os
import socket
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from authorities.attestation.containers.admission import KUBERNETES
from authorities.attestation.containers.attested import Containers
from authorities.attestation.containers.image import load_pin
from authorities.attestation.containers.main import APP, PIN, approved_images, log, until_ended
from authorities.attestation.containers.settings import Settings
from authorities.attestation.kubernetes.pods import Pods, api_server
from authorities.attestation.process.peers import Peer, allow_open_files, process_of
from authorities.attestation.spiffe.bounded_server import Caller, container_caller
from authorities.attestation.spiffe.workload_api import REFUSALS_AT_ONCE, REFUSALS_PER_SECOND, NotAttestedError
from authorities.attestation.verifier.drift import Drift, Log
from authorities.attestation.verifier.measure import MeasureError
from authorities.attestation.verifier.report import report
from zerotrust.authority.budget import Budget
from zerotrust.authority.files.lock import LOCK, REGISTRY, load_lock
from zerotrust.authority.files.reading import RegistryError
from zerotrust.authority.files.snapshot_files import load_registry
from zerotrust.spiffe.workload import Workload

SOCKET = Path("/run/verifier/verifier.sock")
DEPLOYMENT, IDENTITY = "/app/start/generated/kubernetes.yaml", b" /run/identity "
"""Where parties run; and how the table of mounts has the socket of SPIRE's agent, which only they and people have."""
SECONDS_FOR_A_QUESTION = 1
"""Seconds until the agent, which has connected, has handed over the pidfd."""
SECONDS_FOR_AN_ANSWER = 10
"""Seconds for which the plugin waits; what is examined then is examined to its end, for the next question."""
MOST_QUESTIONS, MOST_OF_CONTAINER = 64, 8
"""Questions that are answered at once, and those about the processes of one container; a party asks one at a time."""


class Verifier:
    """Answers the agent's questions."""

    def __init__(  # noqa: PLR0913 - its dependencies
        self,
        own: str,
        containers: Containers,
        drift: Drift,
        log: Log,
        *,
        pid: int,
        within: float,
        caller: Callable[[int], Caller] = container_caller,
    ) -> None:
        """`own` is the party that the process `pid`, this one, is; `within`: seconds for which a look is enough.

        `caller` returns the container of a process id.
        """
        self._own, self._pid, self._within, self._caller = own, pid, within, caller
        self._containers, self._drift, self._log = containers, drift, log
        self._asked: Counter[Caller] = Counter()
        self._refusals, self.looked = Budget(REFUSALS_AT_ONCE, REFUSALS_PER_SECOND), asyncio.Event()
        """`looked`: set when every process that ran at the start has been examined."""

    async def serve(self, path: Path) -> None:
        """Answer at a Unix socket, which root and this user may open, until cancelled.  Raises `OSError`."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as listening:
            listening.setblocking(False)  # noqa: FBT003 - the standard library's
            mask = os.umask(0o177)
            listening.bind(str(path))
            os.umask(mask)
            listening.listen(MOST_QUESTIONS)
            async with asyncio.TaskGroup() as group:
                while True:
                    connection, _ = await loop.sock_accept(listening)
                    group.create_task(self._answer(connection))

    async def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                who = await _asked_about(connection)
            except OSError as error:
                self._refuse(str(error) or "no pod was examined in time")
                return
            caller, too_many = self._caller(who.pid), self._asked.total() >= MOST_QUESTIONS
            if self._asked[caller] >= MOST_OF_CONTAINER:  # control: questions-of-one-container
                too_many = True
            if too_many:
                os.close(who.pidfd)
                self._refuse("too many questions at once", who.pid)
                return
            self._asked[caller] += 1
            try:
                async with asyncio.timeout(SECONDS_FOR_AN_ANSWER):
                    answer = f"party:{await self.party_of(who)}\n"
                await asyncio.get_running_loop().sock_sendall(connection, answer.encode())
            except NotAttestedError as error:
                self._refuse(str(error), who.pid)
            except OSError as error:  # the agent no longer waits; the party asks again
                self._refuse(f"not answered in time {error}", who.pid)
            finally:
                self._asked[caller] -= 1
                self._asked += Counter()  # without those that are 0

    async def party_of(self, who: Peer) -> str:
        """Return the party that a process is, and close its pidfd.  Raises `NotAttestedError`."""
        if who.pid == self._pid:
            os.close(who.pidfd)
            return self._own
        target = await self._containers.attest(who)
        if self._drift.seconds_since_look(target) >= self._within:
            await self._drift.measure(target)
        if files := self._drift.check(target):  # control: selector-for-unchanged-code
            raise NotAttestedError(f"{target.party}: changed: {files}")
        return target.party

    async def look(self, proc: Path = Path("/proc")) -> None:
        """Look at every file of all parties, so often that no question waits for it; until cancelled.

        SPIRE renews certificates without a question, and a change below the overlay is not reported to its watcher.
        So those that run already, when this verifier starts, are examined first; and each time, because that can fail.
        """
        while True:
            for pid in [int(one.name) for one in proc.iterdir() if one.name.isdecimal()]:  # noqa: ASYNC240 - the kernel's
                with contextlib.suppress(OSError, NotAttestedError):
                    if IDENTITY in (proc / str(pid) / "mountinfo").read_bytes():  # any bytes: it names its mounts
                        await self._containers.attest(_process(os.pidfd_open(pid)))
            self.looked.set()
            await asyncio.sleep(self._within / 2)
            await self._drift.look()

    def _refuse(self, why: str, pid: int = 0) -> None:
        if self._refusals.take(1):
            self._log("refused", why=why, pid=pid)


async def _asked_about(connection: socket.socket) -> Peer:
    """Return the process whose pidfd comes with the first byte.  Raises `OSError`, also if none comes in time."""
    connection.setblocking(False)  # noqa: FBT003
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        async with asyncio.timeout(SECONDS_FOR_A_QUESTION):
            await readable.wait()
    finally:
        loop.remove_reader(connection)
    _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    if not descriptors:
        raise ProcessLookupError("no pod was examined")
    return _process(descriptors[0])


def _process(pidfd: int) -> Peer:
    """Return the process of a pidfd, or close that.  Raises `OSError`."""
    try:
        return process_of(pidfd)
    except OSError:
        os.close(pidfd)
        raise


async def serve(settings: Settings) -> None:
    """Serve until cancelled.  Raises `RegistryError`, `MeasureError`, `OSError` or `ValueError`."""
    if not (endpoint := os.environ.get("SPIFFE_ENDPOINT_SOCKET")):
        raise ValueError("SPIFFE_ENDPOINT_SOCKET is not set: parties and this verifier get their identities there")
    SOCKET.unlink(missing_ok=True)  # noqa: ASYNC240 - the last verifier's: where one is, this verifier is ready
    allow_open_files()
    registry, lock = load_registry(APP / REGISTRY), load_lock(APP / LOCK)
    own, workload = registry.authorities, Workload()
    here = {"SPIFFE_ENDPOINT_SOCKET": endpoint, "ZT_DEPLOYMENT": DEPLOYMENT}
    async with Drift(log) as drift, api_server() as http:
        containers = Containers(
            approved_images(registry, lock),
            load_pin(PIN),
            same=settings.variables | here,
            drift=drift,
            log=log,
            rules=KUBERNETES,
            belongs=Pods(http).check,
        )
        await asyncio.to_thread(containers.read_own_image)
        within = registry.freshness.x509_svid * 3 / 4
        verifier = Verifier(own.attestation, containers, drift, log, pid=os.getpid(), within=within)

        async def reporting() -> None:
            await verifier.looked.wait()  # a report leaves out no party that runs
            async with workload.running():
                svid = lambda: workload.svid  # noqa: E731 - of now
                await report(settings.registry, own.registry, drift.changes(), svid=svid, log=log)

        await asyncio.gather(verifier.serve(SOCKET), verifier.look(), reporting())


def main() -> None:
    """Run until ended; exit with a message if that is not possible."""
    try:
        asyncio.run(until_ended(serve(Settings())))
    except (OSError, ValueError, RegistryError, MeasureError) as problem:
        sys.exit(f"attestation: {problem}")


if __name__ == "__main__":
    main()
