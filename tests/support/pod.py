"""Pods as the verifier of a node sees them: mounts, variables and hosts file as a cluster had them."""

import asyncio
import os
import re
import socket
import uuid
from pathlib import Path

import httpx

from authorities.attestation.containers.admission import KUBERNETES
from authorities.attestation.kubernetes.main import DEPLOYMENT, Verifier
from authorities.attestation.kubernetes.pods import Pods
from authorities.attestation.verifier.drift import Drift
from tests.support.container import SAME, Machine

_KUBELET, _SANDBOX = "/var/lib/kubelet/pods/8aa2", "/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/e0eb"
MOUNTS = f"""\
624 500 0:176 / / ro,relatime master:64 - overlay overlay rw,lowerdir=/s/28/fs:/s/27/fs,upperdir=/s/41/fs
625 624 0:178 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
626 624 0:179 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
627 626 0:180 / /dev/pts rw,nosuid,noexec,relatime - devpts devpts rw,gid=5,mode=620,ptmxmode=666
628 626 0:168 / /dev/mqueue rw,nosuid,nodev,noexec,relatime - mqueue mqueue rw
629 624 0:173 / /sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs ro
630 629 0:181 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,mode=755
631 630 0:29 /kubepods/besteffort/pod8aa2/e671 /sys/fs/cgroup/cpu ro,nosuid,nodev,noexec,relatime - cgroup cgroup rw,cpu
640 624 254:0 {_KUBELET}/volumes/kubernetes.io~empty-dir/data /data rw,relatime - ext4 /dev/vda rw
641 624 0:164 / /tmp rw,relatime - tmpfs tmpfs rw,size=16384k,noswap
642 624 254:0 /run/spire/agent-sockets /run/identity ro,relatime - ext4 /dev/vda rw
643 624 254:0 {_KUBELET}/etc-hosts /etc/hosts rw,relatime - ext4 /dev/vda rw
644 626 254:0 {_KUBELET}/containers/party/13dd1ba0 /dev/termination-log rw,relatime - ext4 /dev/vda rw
645 624 254:0 {_SANDBOX}/hostname /etc/hostname ro,relatime - ext4 /dev/vda rw
646 624 254:0 {_SANDBOX}/resolv.conf /etc/resolv.conf ro,relatime - ext4 /dev/vda rw
647 626 0:165 / /dev/shm rw,nosuid,nodev,noexec,relatime - tmpfs shm rw,size=65536k
535 625 0:179 /null /proc/keys rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
"""
ENVIRON = b"""\
PATH=/usr/local/bin:/usr/bin\0HOSTNAME=agent-reader-694ff7f757-pz29t\0ZT_ISSUER=https://issuer\0\
SPIFFE_ENDPOINT_SOCKET=unix:/s\0KUBERNETES_SERVICE_HOST=10.96.0.1\0KUBERNETES_SERVICE_PORT_HTTPS=443\0\
KUBERNETES_PORT=tcp://10.96.0.1:443\0KUBERNETES_PORT_443_TCP_ADDR=10.96.0.1\0HOME=/nonexistent\0"""
HOSTS = b"""\
# Kubernetes-managed hosts file.
127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::0	ip6-localnet
10.244.0.4	agent-reader-694ff7f757-pz29t
"""
ATTESTATION = "authority/attestation"


class Node(Machine):
    """A node on which pods of a reader and a writer run.  Each pod is the container of one process."""

    mounts, environ, hosts, rules = MOUNTS, ENVIRON, HOSTS, KUBERNETES
    same = SAME | {"ZT_DEPLOYMENT": DEPLOYMENT}

    def __init__(self, proc: Path) -> None:
        super().__init__(proc)
        self.accounts: dict[str, str] = {}
        (token := proc / "token").write_text("a token")
        self.network = httpx.MockTransport(self.api_server)
        self.belongs = Pods(httpx.AsyncClient(transport=self.network), token=token, proc=proc).check

    def start(self, code: str = "reader", account: str = "") -> int:
        """Start a pod; `account`: NAMESPACE/NAME, if it has not that of the party."""
        pid = super().start(code)
        pod = str(uuid.UUID(int=pid))
        self.accounts[pod] = account or f"zero-trust/agent-{code}"
        (self.proc / str(pid) / "cgroup").write_text(f"3:cpu:/kubepods/besteffort/pod{pod}/e671\n0::/\n")
        return pid

    def api_server(self, request: httpx.Request) -> httpx.Response:
        """Answer as the API server does: which pods of that namespace have that account."""
        asked = re.fullmatch(r"/api/v1/namespaces/([a-z-]+)/pods", request.url.path)
        account, *_ = request.url.params["fieldSelector"].removeprefix("spec.serviceAccountName=").split(",")
        if not asked or request.headers["authorization"] != "Bearer a token":
            return httpx.Response(403)
        found = [uid for uid, theirs in self.accounts.items() if theirs == f"{asked[1]}/{account}"]
        found = found[: int(request.url.params["limit"])]
        return httpx.Response(200, json={"items": [{"metadata": {"uid": uid}} for uid in found] or None})

    def verifier(self, drift: Drift, pid: int = 0, within: float = 60) -> Verifier:
        """The verifier, which takes the process `pid` for its own."""
        self.logged: list[str] = []
        return Verifier(
            ATTESTATION,
            self.containers(drift),
            drift,
            lambda _event, **fields: self.logged.append(str(fields.get("why", ""))),
            pid=pid,
            within=within,
            caller=lambda pid: ("pod", pid),
        )


async def ask(path: Path, pid: int | None, descriptor: int | None = None) -> str:
    """Ask as the plugin does, about a process or with a descriptor of another kind; return the answer."""
    loop = asyncio.get_running_loop()
    about = os.pidfd_open(pid) if pid else descriptor
    with socket.socket(socket.AF_UNIX) as connection:
        connection.setblocking(False)  # noqa: FBT003
        await loop.sock_connect(connection, str(path))
        if about is not None:
            socket.send_fds(connection, [b"\0"], [about])
            os.close(about)
        return (await loop.sock_recv(connection, 256)).decode()
