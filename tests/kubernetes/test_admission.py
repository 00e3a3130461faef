"""What the API server refuses, by start/kubernetes, and whom it lets through.

`.ci/kubernetes` and `.ci/api-server` run this.  It needs the namespaces and the policies alone: its pod is on no node,
and has no image.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.kubectl import awaited, kubectl

pytestmark = pytest.mark.kubernetes
OF_PEOPLE = ["--as=carol", "--as-group=system:masters"]
"""One who may do everything: that Kubernetes' roles refuse her nothing shows that a refusal is the policy's."""
BREAK_GLASS = [*OF_PEOPLE, "--as-group=zero-trust:break-glass"]
NAMESPACES = ["zero-trust", "zero-trust-attestation", "spire-system"]
DIGEST, TAG = "nowhere.example/none@sha256:" + 64 * "0", "nowhere.example/none:1"
FOR_ONE_GROUP = "is for the group zero-trust:break-glass alone"
ENTER = [["exec", "nobody", "--", "sh"], ["attach", "nobody"]]
DEBUG = ["debug", "nobody", "--profile=restricted", "--target=party", "-c", "beside"]
CLOSED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
USER = {"runAsNonRoot": True, "runAsUser": 47823, "seccompProfile": {"type": "RuntimeDefault"}}
SPIFFE = "spire.spiffe.io/v1alpha1"
IDENTITIES = [
    {"kind": "ClusterSPIFFEID", "spec": {"spiffeIDTemplate": "spiffe://agents.example/agent/reader"}},
    {
        "kind": "ClusterStaticEntry",
        "spec": {
            "spiffeID": "spiffe://agents.example/agent/reader",
            "parentID": "spiffe://agents.example/x",
            "selectors": ["k8s:ns:x"],
        },
    },
]


def pod(image: str, first: str = DIGEST) -> dict[str, Any]:
    closed = {"securityContext": CLOSED}
    spec = {
        "nodeSelector": {"nowhere": "yes"},
        "automountServiceAccountToken": False,
        "securityContext": USER,
        "initContainers": [{"name": "first", "image": first, **closed}],
        "containers": [{"name": "party", "image": image, **closed}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "nobody"}, "spec": spec}


@pytest.fixture(params=NAMESPACES)
def namespace(request: pytest.FixtureRequest) -> Iterator[str]:
    kubectl("-n", request.param, "delete", "pod", "nobody", "--ignore-not-found", "--now")
    assert "created" in (said := kubectl("-n", request.param, "create", "-f", "-", given=pod(DIGEST))), said
    yield request.param
    kubectl("-n", request.param, "delete", "pod", "nobody", "--now")


def test_nobody_enters_a_pod_but_one_group(namespace: str) -> None:
    for enter in ENTER:
        assert FOR_ONE_GROUP in (said := kubectl("-n", namespace, *OF_PEOPLE, *enter)), said
        assert "does not have a host assigned" in (said := kubectl("-n", namespace, *BREAK_GLASS, *enter)), said


def test_nobody_adds_a_debug_container_but_one_group_and_that_by_digest(namespace: str) -> None:
    added = ["-n", namespace, "get", "pod", "nobody", "-o", "jsonpath={.spec.ephemeralContainers[*].name}"]
    assert FOR_ONE_GROUP in (said := kubectl("-n", namespace, *OF_PEOPLE, *DEBUG, f"--image={DIGEST}")), said
    if namespace != "spire-system":
        assert f"image {TAG} has no digest" in kubectl("-n", namespace, *BREAK_GLASS, *DEBUG, f"--image={TAG}")
    assert not kubectl(*added)

    kubectl("-n", namespace, *BREAK_GLASS, *DEBUG, f"--image={DIGEST}")
    assert kubectl(*added) == "beside"


@pytest.mark.parametrize("namespace", NAMESPACES[:2], indirect=True)
def test_an_image_without_a_digest_is_refused_also_in_a_pod_that_runs(namespace: str) -> None:
    create = ["-n", namespace, "create", "--dry-run=server", "-f", "-"]
    for tagged in pod(TAG), pod(DIGEST, first=TAG):
        assert f"image {TAG} has no digest" in (said := kubectl(*create, given=tagged)), said
    change = ["-n", namespace, "set", "image", "pod/nobody"]
    assert f"image {TAG} has no digest" in (said := kubectl(*change, f"party={TAG}")), said
    assert "image updated" in (said := kubectl(*change, f"party={DIGEST[:-1]}1")), said


@pytest.mark.parametrize(
    ("weakness", "why"),
    [
        ({"containers": [{"name": "party", "image": DIGEST, "securityContext": {"privileged": True}}]}, "privileged"),
        ({"hostPID": True}, "hostPID=true"),
        ({"volumes": [{"name": "agent", "hostPath": {"path": "/run/spire/agent-sockets"}}]}, 'volume type "hostPath"'),
        ({"securityContext": USER | {"runAsUser": 0}}, "runAsUser=0"),
    ],
)
def test_a_partys_pod_with_a_weakness_is_refused(weakness: dict[str, object], why: str) -> None:
    (weak := pod(DIGEST))["spec"] |= weakness
    said = kubectl("-n", "zero-trust", "create", "--dry-run=server", "-f", "-", given=weak)
    assert 'violates PodSecurity "restricted:latest"' in said, said
    assert why in said


def test_the_sockets_of_spires_agent_and_of_the_verifier_are_for_our_namespaces() -> None:
    create = ["create", "--dry-run=server", "-f", "-", "-n"]

    def asks(**volume: object) -> dict[str, Any]:
        (one := pod(DIGEST))["spec"]["volumes"] = [{"name": "identity", **volume}]
        return one

    by_driver = asks(csi={"driver": "csi.spiffe.io", "readOnly": True})
    folders = ["/run/spire/agent-sockets", "/var/run/spire", "/run//./spire/", "/run/zero-trust-attestation"]
    for refused in by_driver, *(asks(hostPath={"path": folder}) for folder in folders):
        assert "are for the namespaces" in (said := kubectl(*create, "default", given=refused)), said
    others = [("default", asks(hostPath={"path": folder})) for folder in ("/run", "/run/spires", "/opt/spire")]
    agents = ("spire-system", asks(hostPath={"path": folders[0]}))
    for where, given in ("zero-trust", by_driver), ("default", pod(DIGEST)), *others, agents:
        assert "created" in (said := kubectl(*create, where, given=given)), said


COMMAND = {"exec": {"command": ["sh"]}}
BESIDE = {"name": "beside", "image": DIGEST, "securityContext": CLOSED}


def of_reader(**change: object) -> dict[str, Any]:
    """Return the specification of a pod with the reader's account and one container, which has a change."""
    spec: dict[str, Any] = pod(DIGEST)["spec"] | {"serviceAccountName": "agent-reader", "initContainers": []}
    spec["containers"][0] |= change
    return spec


@pytest.mark.parametrize(
    ("spec", "more"),
    [
        (of_reader(lifecycle={"postStart": COMMAND}), "a lifecycle hook"),
        (of_reader(lifecycle={"preStop": COMMAND}), "a lifecycle hook"),
        (of_reader(startupProbe=COMMAND), "a probe that runs a command"),
        (of_reader(readinessProbe=COMMAND), "a probe that runs a command"),
        (of_reader(livenessProbe=COMMAND), "a probe that runs a command"),
        (of_reader(command=["sh"]), "a command of its own"),
        (of_reader(args=["-c"]), "a command of its own"),
        (of_reader() | {"initContainers": [BESIDE]}, "a second container"),
        (of_reader() | {"containers": [*of_reader()["containers"], BESIDE]}, "a second container"),
        (of_reader(), ""),
    ],
)
def test_a_partys_pod_is_one_container_as_it_was_made(spec: dict[str, Any], more: str) -> None:
    """A pod with another account is no party's, and one of automation/ci has words of its own."""
    words = "args" in spec["containers"][0]
    for account, refused in ("agent-reader", more), ("automation-ci", "" if words else more), ("default", ""):
        one = pod(DIGEST) | {"spec": spec | {"serviceAccountName": account}}
        said = kubectl("-n", "zero-trust", "create", "--dry-run=server", "-f", "-", given=one)
        assert (f"account {account} has {refused}:" if refused else "pod/nobody created") in said, said


def test_a_hook_that_is_patched_into_a_deployment_starts_no_pod() -> None:
    """The Deployment is accepted.  Its pod is not, and the Deployment says so."""
    one = ["-n", "zero-trust", "deployment", "patched"]
    template = {"metadata": {"labels": {"app": "patched"}}, "spec": of_reader()}
    spec = {"selector": {"matchLabels": {"app": "patched"}}, "template": template}
    metadata = {"name": "patched", "namespace": "zero-trust"}
    kubectl(
        "create", "-f", "-", given={"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    )
    try:
        change = {"op": "add", "path": "/spec/template/spec/containers/0/lifecycle", "value": {"postStart": COMMAND}}
        assert "patched" in (said := kubectl("patch", *one, "--type=json", "-p", json.dumps([change]))), said
        awaited(lambda: kubectl("get", *one, "-o", "yaml"), "account agent-reader has a lifecycle hook")
    finally:
        kubectl("delete", *one)


@pytest.fixture
def roles() -> Iterator[None]:
    """Let carol and dave write SPIRE's objects; dave is also the pipeline."""
    verbs = ["--verb=create,update,patch,delete,get"]
    writer = ["clusterrole", "writes-spire", *verbs, "--resource=clusterspiffeids.spire.spiffe.io"]
    kubectl("create", *writer, "--resource=clusterstaticentries.spire.spiffe.io")
    kubectl("create", "clusterrolebinding", "writes-spire", "--clusterrole=writes-spire", "--user=carol", "--user=dave")
    kubectl("create", "clusterrolebinding", "pipeline-dave", "--clusterrole=zero-trust-pipeline", "--user=dave")
    yield
    kubectl("delete", "clusterrolebinding", "writes-spire", "pipeline-dave")
    kubectl("delete", "clusterrole", "writes-spire")


@pytest.mark.usefixtures("roles")
@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda one: str(one["kind"]))
def test_identities_are_written_by_the_pipeline_alone(identity: dict[str, object]) -> None:
    given = {"apiVersion": SPIFFE, "metadata": {"name": "mine"}, **identity}
    refused = "carol may not issue identities"
    assert refused in (said := kubectl("--as=carol", "create", "-f", "-", given=given)), said
    try:
        assert "created" in (said := kubectl("--as=dave", "create", "-f", "-", given=given)), said
        label = ["label", str(identity["kind"]), "mine", "a=b"]
        assert refused in (said := kubectl("--as=carol", *label)), said
        assert refused in (said := kubectl("--as=carol", "delete", str(identity["kind"]), "mine")), said
    finally:
        assert "deleted" in (said := kubectl("--as=dave", "delete", str(identity["kind"]), "mine")), said
