# ruff: noqa: S108 - folders of a container
"""V. Containers: pods that ask SPIRE for a party's identity.

In process, over a `/proc` made of files, by the verifier's own socket.  `.ci/kubernetes` tries it with real pods.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from unittest.mock import patch

from authorities.attestation.containers import attested
from authorities.attestation.kubernetes.main import MOST_QUESTIONS
from authorities.attestation.verifier.drift import Drift
from tests.support.attack import Attempt, Scene, Tries, attack
from tests.support.container import STATUS
from tests.support.issuer import Issuer
from tests.support.pod import ENVIRON, HOSTS, MOUNTS, Node, ask
from tests.support.waiting import until
from zerotrust.service import Service


class Target(Scene):
    """A node with pods, and the verifier that SPIRE's agent asks."""

    def __init__(self, node: Node, drift: Drift) -> None:
        super().__init__(node.proc)
        self.node, self.drift, self.socket = node, drift, node.proc / "verifier.sock"
        self.verifier = node.verifier(drift)

    async def about(self, pid: int, why: str, by: str = "") -> Attempt:
        """Have the agent ask; `why` is what has to be logged if there is no answer."""
        answer = await ask(self.socket, pid)
        recorded = [why] if any(why in one for one in self.node.logged) else []
        told = "a selector" if answer else "no identity"
        attempt = Attempt(told, succeeded=bool(answer), recorded=recorded, reason=None if answer else why)
        return attempt.stopped_by(by) if by else attempt

    async def with_(self, name: str, *changes: tuple[str | bytes, str, str]) -> Tries:
        """Start a pod for each content of a file about it; each with why it is refused, and the control."""
        for content, why, by in changes:
            pid = self.node.start()
            file = self.node.file(name)
            file.write_bytes(content) if isinstance(content, bytes) else file.write_text(content)
            yield await self.about(pid, why, by)
            self.node.end(pid)


@asynccontextmanager
async def node(_folder: Path, _issuer: Issuer, _kind: type[Service]) -> AsyncIterator[Target]:
    with tempfile.TemporaryDirectory() as folder, patch.object(attested, "_problem_of_program", lambda *_: None):
        running = Node(Path(folder))
        async with Drift(lambda *_, **__: None) as drift:
            target = Target(running, drift)
            serving = asyncio.create_task(target.verifier.serve(target.socket))
            await until(target.socket.exists)
            yield target
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving
        running.end_all()


@attack(530, node)
def test_a_process_beside_the_main_one_of_a_pod(target: Target) -> Tries:
    """What `kubectl exec` starts, a debug container in the pod's process namespace, and a pod that shares that."""
    beside, shared = STATUS.replace("7089\t1", "7089\t890"), STATUS.replace("7089\t1", "7089\t7")
    why, by = "not the main process", "main-process-of-container"
    return target.with_("status", (beside, why, by), (shared, why, by))


@attack(531, node)
def test_a_config_map_among_the_code(target: Target) -> Tries:
    over = "254:0 /var/lib/kubelet/pods/8aa2/volume-subpaths/code/party/3 /usr/six.py ro - ext4 /dev/vda rw\n"
    return target.with_("mountinfo", (f"{MOUNTS}650 624 {over}", "mounted at /usr/six.py", "container-nothing-mounted"))


@attack(532, node)
async def test_another_image_under_the_partys_account_or_tag(target: Target) -> Tries:
    planted, other = (
        f"{control}container-as-built and selector-for-unchanged-code" for control in ("container-code and ", "")
    )
    for file, why, by in (
        ("/app/planted.py", "code that is not approved", planted),
        ("/usr/libc.so", "not what was built", other),
    ):
        async for tried in target.with_(f"root{file}", ("import os", f"{why}: {file}", by)):
            yield tried


@attack(533, node)
def test_a_pod_with_volumes_of_its_own_where_kubernetes_keeps_its_files(target: Target) -> Tries:
    elsewhere, kept, kind = "is not what Kubernetes keeps", "container-kept-by-docker", "container-mount-kind"
    empty = "/var/lib/kubelet/pods/8aa2/volumes/kubernetes.io~empty-dir/mine"
    return target.with_(
        "mountinfo",
        (MOUNTS.replace("/run/spire/agent-sockets", empty), f"/run/identity {elsewhere}", kept),
        (MOUNTS.replace("/8aa2/etc-hosts", "/8aa2/volume-subpaths/mine/party/0"), f"/etc/hosts {elsewhere}", kept),
        (MOUNTS.replace("/8aa2/etc-hosts", "/8aa2/volumes/x/etc-hosts"), f"/etc/hosts {elsewhere}", kept),
        (MOUNTS.replace("/containers/party/13dd1ba0", "/volumes/x"), "/dev/termination-log is ext4", kind),
        (MOUNTS.replace("0:164 / /tmp rw,relatime - tmpfs", "254:0 /x /tmp rw - ext4"), "/tmp is ext4", kind),
    )


@attack(534, node)
async def test_a_pod_with_names_or_settings_of_its_own(target: Target) -> Tries:
    alias, name = b"10.0.0.9\tauthority-registry.zero-trust.svc\n", "leads 'authority-registry.zero-trust.svc'"
    async for tried in target.with_("root/etc/hosts", (HOSTS + alias, name, "container-hosts")):
        yield tried
    mine = ENVIRON.replace(b"https://issuer", b"https://mine")
    async for tried in target.with_(
        "environ",
        (ENVIRON + b"LD_PRELOAD=/data/x.so\0", "LD_PRELOAD", "container-environment"),
        (ENVIRON + b"AUTHORITY_REGISTRY_SERVICE_HOST=10.0.0.9\0", "AUTHORITY_REGISTRY", "container-environment"),
        (mine, "ZT_ISSUER is not that of attestation", "container-settings"),
    ):
        yield tried


@attack(535, node)
async def test_code_that_changes_while_the_pod_runs(target: Target) -> Tries:
    """For example by root of the node, below the overlay: drift is reported, and there is no further token."""
    pid = target.node.start()
    assert await ask(target.socket, pid) == "party:agent/reader\n"
    target.node.file("root/app/main.py").write_text("import os")
    await until(lambda: target.drift.drifted == {"agent/reader": "/app/main.py"})
    yield await target.about(pid, "agent/reader: changed: /app/main.py")


@attack(536, node)
async def test_a_pod_that_asks_so_often_that_others_get_no_answer(target: Target) -> Tries:
    """It waits for its examination; the verifier asks nobody else meanwhile.  A party that is known gets its answer."""
    reader = target.node.start()
    assert await ask(target.socket, reader)
    writer = target.node.start("writer")
    async with target.verifier._containers._one_at_a_time:
        waiting = [asyncio.create_task(ask(target.socket, writer)) for _ in range(MOST_QUESTIONS)]
        await until(lambda: target.verifier._asked.total() + sum(task.done() for task in waiting) == MOST_QUESTIONS)
        answer = await ask(target.socket, reader)
    for task in waiting:
        await task
    recorded = ["too many questions at once"] if "too many questions at once" in target.node.logged else []
    yield Attempt("answered" if answer else "not answered", succeeded=not answer, recorded=recorded)


@attack(580, node)
async def test_a_pod_from_elsewhere_that_takes_a_partys_place(target: Target) -> Tries:
    """It has the party's image, and the agent's socket by a folder of the node; or another account of the namespace."""
    for account in "default/default", "default/agent-reader", "zero-trust/default", "zero-trust/agent-writer":
        pid = target.node.start(account=account)
        yield await target.about(pid, "does not have the account agent-reader in the namespace zero-trust")
        target.node.end(pid)
