"""Pods that are the reader but for one change get no identity, and would by Kubernetes' own selectors; and suspensions.

`.ci/kubernetes` runs this.  It needs a cluster on which start/kubernetes runs, and an image as the reader's, with one
file more, by its digest: `ZT_CHANGED_IMAGE`.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.kubectl import SECONDS, awaited, kubectl

pytestmark = pytest.mark.kubernetes
BREAK_GLASS = ["--as=tests", "--as-group=system:masters", "--as-group=zero-trust:break-glass"]
PARTIES, OF_VERIFIER = ["-n", "zero-trust"], ["-n", "zero-trust-attestation"]
ALONE = "spiffe://agents.example/by-kubernetes-alone"
BY_KUBERNETES_ALONE = {
    "apiVersion": "spire.spiffe.io/v1alpha1",
    "kind": "ClusterSPIFFEID",
    "metadata": {"name": "by-kubernetes-alone"},
    "spec": {
        "spiffeIDTemplate": ALONE,
        "podSelector": {"matchLabels": {"by-kubernetes-alone": "yes"}},
        "workloadSelectorTemplates": ["k8s:ns:zero-trust", "k8s:sa:agent-reader"],
    },
}
ASK = """
import sys
sys.path.append("/app")
from spiffe import WorkloadApiClient
with WorkloadApiClient(default_timeout=20) as client:
    print(client.fetch_x509_svid().spiffe_id)
"""
BESIDE = ["python", "-I", "-c", ASK]
PLANT = """
import sys
points = [line.split(" ")[4] for line in open("/proc/1/mountinfo")]
point = next(one for one in points if sys.argv[1] in one and one.endswith("/rootfs"))
open(f"/proc/1/root{point}/app/agents/reader/planted.py", "w")
"""
Spec = dict[str, Any]


def create(*where: str, given: Spec) -> None:
    assert "created" in (said := kubectl(*where, "create", "-f", "-", given=given)), said


def run(job: str) -> str:
    """Run a job of start/kubernetes/jobs; return what it prints."""
    kubectl(*PARTIES, "delete", "job", job, "--ignore-not-found")
    assert "created" in (said := kubectl(*PARTIES, "create", "job", job, f"--from=cronjob/{job}")), said
    kubectl(*PARTIES, "wait", "--for=condition=Complete", f"job/{job}", f"--timeout={SECONDS}s")
    return kubectl(*PARTIES, "logs", f"job/{job}")


def verifier() -> str:
    return kubectl(*OF_VERIFIER, "logs", "daemonset/authority-attestation", "-c", "verifier", "--tail=-1")


class Cluster:
    """The cluster while the reader is stopped; pods take its place."""

    def __init__(self) -> None:
        deployment = json.loads(kubectl(*PARTIES, "get", "deployment", "agent-reader", "-o", "json"))
        self.template, self._started = deployment["spec"]["template"], 0
        self.party: Spec = self.template["spec"]["containers"][0]
        self.pod = ""

    def verifier(self) -> str:
        """What the verifier has logged since the pod was created."""
        return verifier()[self._logged :]

    def start(
        self, change: Callable[[Spec, Spec], object] = lambda _pod, _container: None, namespace: str = "zero-trust"
    ) -> None:
        """Start a pod as the reader's, but for what `change` does to it and to its container."""
        template = json.loads(json.dumps(self.template))
        change(template["spec"], template["spec"]["containers"][0])
        self._started += 1
        self.pod = f"agent-reader-attempt{self._started}-abcde"
        self._logged = len(verifier())
        metadata = {**template["metadata"], "name": self.pod, "namespace": namespace}
        create(given={"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})

    def wait_until_ready(self) -> None:
        kubectl(*PARTIES, "wait", "--for=condition=Ready", f"pod/{self.pod}", f"--timeout={SECONDS}s")

    def logs(self) -> str:
        return kubectl(*PARTIES, "logs", self.pod, "-c", "party")

    def execute(self, *command: str) -> str:
        return kubectl(*PARTIES, *BREAK_GLASS, "exec", self.pod, "-c", "party", "--", *command)

    def end(self) -> None:
        kubectl(*PARTIES, "delete", "pod", self.pod, "--now", "--ignore-not-found")

    def gets_nothing_beside_its_process(self) -> None:
        """Check that a command in the pod gets no identity, and gets one by Kubernetes' own selectors."""
        assert "no identity issued" in self.execute(*BESIDE)
        kubectl(*PARTIES, "label", "pod", self.pod, "by-kubernetes-alone=yes")
        awaited(lambda: self.execute(*BESIDE), ALONE)


def test_two_replicas_are_one_party_and_are_suspended_as_one() -> None:
    """One alone has the identity.  Suspended, no other gets further in its place."""
    replicas, pods = [*PARTIES, "scale", "deployment", "agent-reader"], [*PARTIES, "-l", "app=agent-reader,!job-name"]
    first = kubectl(*pods, "get", "pods", "-o", "name").strip()
    kubectl(*replicas, "--replicas=2")
    try:
        awaited(verifier, "agent/reader runs already, as process")
        assert "Filed as DRAFT-" in (said := run("task")), said

        assert "suspended" in (said := run("suspend-reader")), said
        assert "403 peer_revoked agent/reader" in (said := run("task")), said
        kubectl(*PARTIES, "delete", first, "--now")
        awaited(lambda: kubectl(*pods, "logs", "--tail=-1"), "authority/registry refuses agent/reader: revoked")
        assert "403 peer_revoked agent/reader" in (said := run("task")), said
    finally:
        kubectl(*replicas, "--replicas=1")
        run("reinstate-reader")
    awaited(lambda: run("task"), "Filed as DRAFT-")


@pytest.fixture(scope="module")
def reader_stopped() -> Iterator[Cluster]:
    cluster = Cluster()
    kubectl("apply", "-f", "-", given=BY_KUBERNETES_ALONE)
    kubectl(*PARTIES, "create", "configmap", "planted", "--from-literal=file=")
    kubectl(*PARTIES, "scale", "deployment", "agent-reader", "--replicas=0")
    kubectl(*PARTIES, "wait", "--for=delete", "pod", "-l", "app=agent-reader", f"--timeout={SECONDS}s")
    yield cluster
    kubectl("delete", "clusterspiffeid", "by-kubernetes-alone")
    kubectl(*PARTIES, "delete", "configmap", "planted")
    kubectl(*PARTIES, "scale", "deployment", "agent-reader", "--replicas=1")


@pytest.fixture
def cluster(reader_stopped: Cluster) -> Iterator[Cluster]:
    yield reader_stopped
    reader_stopped.end()


def test_the_genuine_pod_gets_its_identity_and_nothing_beside_its_process(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 530.  The first half shows that it is the change alone for which each of the others is refused."""
    began = time.monotonic()
    cluster.start()
    awaited(cluster.verifier, '"attested"', "spiffe://agents.example/agent/reader")
    cluster.wait_until_ready()
    with capsys.disabled():
        print(f"\nA reader's pod has its identity and listens {time.monotonic() - began:.0f} s after its creation")
    cluster.gets_nothing_beside_its_process()

    asked = cluster.verifier().count(why := "it is not the main process of a container")
    custom = {key: cluster.party[key] for key in ("env", "volumeMounts", "securityContext")}
    (file := tmp_path / "debug.json").write_text(json.dumps(custom))
    debug = ["--target=party", f"--image={cluster.party['image']}", "--profile=restricted", f"--custom={file}"]
    kubectl(*PARTIES, *BREAK_GLASS, "debug", cluster.pod, "-c", "beside", *debug, "--", *BESIDE)
    # SPIRE 1.13 knows no container that was added to a pod; without that, it would be as with `exec`.
    awaited(lambda: kubectl(*PARTIES, "logs", cluster.pod, "-c", "beside"), "Error fetching X.509 SVID")
    assert cluster.verifier().count(why) > asked > 0


def test_a_file_that_changes_in_a_running_pod_is_drift_and_suspends_the_party(cluster: Cluster) -> None:
    """Row 535, by root of the node, below the overlay: the pod itself cannot."""
    cluster.start()
    cluster.wait_until_ready()
    awaited(lambda: run("task"), "Filed as DRAFT-")

    status = json.loads(kubectl(*PARTIES, "get", "pod", cluster.pod, "-o", "json"))["status"]
    container = status["containerStatuses"][0]["containerID"].rpartition("/")[2]
    root = {
        "name": "root",
        "image": cluster.party["image"],
        "command": ["python", "-I", "-c", PLANT, container],
        "securityContext": {"privileged": True, "runAsUser": 0},
    }
    spec = {"restartPolicy": "Never", "hostPID": True, "containers": [root]}
    create(*OF_VERIFIER, given={"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root-of-node"}, "spec": spec})
    try:
        awaited(cluster.verifier, '"drifted"', "/app/agents/reader/planted.py")
        assert "403 peer_revoked agent/reader" in (said := run("task")), said
    finally:
        kubectl(*OF_VERIFIER, "delete", "pod", "root-of-node", "--now")

    cluster.end()
    cluster.start()
    awaited(cluster.verifier, '"attested"')
    assert "active" in (said := run("reinstate-reader")), said


def from_elsewhere(pod: Spec, container: Spec) -> None:
    """Have the agent's socket by a folder above it, which the API server cannot refuse; and no account of a party."""
    del pod["serviceAccountName"], pod["serviceAccount"]
    pod["volumes"] = [{"name": "tmp", "emptyDir": {"medium": "Memory"}}, {"name": "run", "hostPath": {"path": "/run"}}]
    pod["volumes"].append({"name": "data", "emptyDir": {}})
    [identity] = [one for one in container["volumeMounts"] if one["name"] == "identity"]
    identity.update(name="run", subPath="spire/agent-sockets")


def test_a_pod_from_elsewhere_does_not_take_the_readers_place(cluster: Cluster) -> None:
    """Row 580.  It is there first, and asks each second."""
    cluster.start(from_elsewhere, namespace="default")
    foreign = cluster.pod
    try:
        awaited(cluster.verifier, "does not have the account agent-reader in the namespace zero-trust")
        cluster.start()
        cluster.wait_until_ready()
    finally:
        kubectl("-n", "default", "delete", "pod", foreign, "--now")


def mounted_at(path: str) -> Callable[[Spec, Spec], None]:
    """Return the change that mounts a file of a ConfigMap there."""

    def change(pod: Spec, container: Spec) -> None:
        pod["volumes"].append({"name": "planted", "configMap": {"name": "planted"}})
        container["volumeMounts"].append({"name": "planted", "mountPath": path, "subPath": "file"})

    return change


def with_variable(name: str, value: str) -> Callable[[Spec, Spec], None]:
    """Return the change that adds a variable."""
    return lambda _pod, container: container["env"].append({"name": name, "value": value})


CHANGES: dict[str, tuple[Callable[[Spec, Spec], object], str]] = {
    "531: a ConfigMap over the code": (
        mounted_at("/app/zerotrust/py.typed"),
        "something is mounted at /app/zerotrust/py.typed",
    ),
    "532: another image": (
        lambda _, container: container.update(image=os.environ["ZT_CHANGED_IMAGE"]),
        "code that is not approved: /app/planted.py",
    ),
    "533: a hosts file of its own": (mounted_at("/etc/hosts"), "/etc/hosts is not what Kubernetes keeps"),
    "534: a name that leads elsewhere": (
        lambda pod, _: pod.update(hostAliases=[{"ip": "10.0.0.9", "hostnames": ["authority-registry"]}]),
        "its /etc/hosts leads 'authority-registry' to '10.0.0.9'",
    ),
    "534: a library that is loaded first": (
        with_variable("LD_PRELOAD", "/data/x.so"),
        "its environment has 'LD_PRELOAD'",
    ),
    "534: another issuer": (
        with_variable("ZT_ISSUER", "https://mine.example"),
        "its ZT_ISSUER is not that of attestation",
    ),
    "a process namespace that its containers share": (
        lambda pod, _: pod.update(shareProcessNamespace=True),
        "it is not the main process of a container",
    ),
    "a writable root": (
        lambda _, container: container["securityContext"].update(readOnlyRootFilesystem=False),
        "its root is writable",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_pod_with_one_change_gets_no_identity(cluster: Cluster, what: str) -> None:
    change, why = CHANGES[what]
    cluster.start(change)
    awaited(cluster.verifier, why)
    awaited(cluster.logs, "no identity issued")
    cluster.gets_nothing_beside_its_process()
