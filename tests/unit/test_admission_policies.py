"""What start/kubernetes/admission.yaml refuses, as its text shows it; tests/kubernetes tries it on an API server."""

import re
from typing import Any

import pytest
import yaml

from registration.derived.kubernetes import NAMESPACE, OF_ATTESTATION, OF_SPIRE, label
from tests.support.system import ROOT
from zerotrust.registry.model import Registry

FOLDER = ROOT / "start" / "kubernetes"
OURS, IN_KEY = [NAMESPACE, OF_ATTESTATION], "kubernetes.io/metadata.name"


def manifests(name: str, kind: str) -> dict[str, Any]:
    """Return the specifications or rules of a kind in a file, by name."""
    found = [one for one in yaml.safe_load_all((FOLDER / name).read_text()) if one["kind"] == kind]
    return {one["metadata"]["name"]: one.get("spec") or one.get("rules") or one["data"] for one in found}


POLICIES = manifests("admission.yaml", "ValidatingAdmissionPolicy")


def test_each_policy_is_applied_and_none_is_passed_over() -> None:
    assert "admission.yaml" in yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    bindings = manifests("admission.yaml", "ValidatingAdmissionPolicyBinding")
    assert bindings == {name: {"policyName": name, "validationActions": ["Deny"]} for name in POLICIES}
    for policy in POLICIES.values():
        assert not {"failurePolicy", "matchConditions", "paramKind"} & policy.keys()


@pytest.mark.parametrize(
    ("name", "namespaces", "operations", "resources"),
    [
        ("images-by-digest", OURS, {"CREATE", "UPDATE"}, {"pods", "pods/ephemeralcontainers"}),
        (
            "nobody-in-pods",
            [*OURS, OF_SPIRE],
            {"CONNECT", "UPDATE"},
            {"pods/exec", "pods/attach", "pods/ephemeralcontainers"},
        ),
        ("parties-as-made", [NAMESPACE], {"CREATE"}, {"pods"}),
    ],
)
def test_what_is_asked_of_pods(name: str, namespaces: list[str], operations: set[str], resources: set[str]) -> None:
    constraints = POLICIES[f"zero-trust-{name}"]["matchConstraints"]
    [selected], [rule] = constraints["namespaceSelector"]["matchExpressions"], constraints["resourceRules"]
    assert selected == {"key": IN_KEY, "operator": "In", "values": namespaces}
    assert ({*rule["operations"]}, {*rule["resources"]}) == (operations, resources)


def test_the_volume_by_which_a_partys_pod_asks_is_for_our_namespaces() -> None:
    policy = POLICIES["zero-trust-socket-of-spire"]
    [selected] = policy["matchConstraints"]["namespaceSelector"]["matchExpressions"]
    assert selected == {"key": IN_KEY, "operator": "NotIn", "values": OURS}
    [volume] = [
        one for one in manifests("party.yaml", "Deployment")["party"]["template"]["spec"]["volumes"] if "csi" in one
    ]
    expression = policy["validations"][0]["expression"]
    assert f"== '{volume['csi']['driver']}'" in expression
    [folder] = re.findall(r"matches\('(.*)'\)", expression)
    daemons = [("spire.yaml", "spire-agent"), ("attestation/verifier.yaml", "authority-attestation")]
    pods = [manifests(file, "DaemonSet")[name]["template"]["spec"]["volumes"] for file, name in daemons]
    own = [one["hostPath"]["path"] for volumes in pods for one in volumes if "hostPath" in one]
    assert [path for path in own if re.search(folder, path)] == [one for one in own if one.startswith("/run/")]


def test_automation_alone_has_words_of_its_own(registry: Registry) -> None:
    [more] = POLICIES["zero-trust-parties-as-made"]["variables"]
    [account] = re.findall(r"has\(one.args\) && object.spec.serviceAccountName != '(.*?)'", more["expression"])
    assert [account] == [label(name) for name in registry.measured if registry.parties[name].operates]


def test_no_kubelet_is_asked_unverified() -> None:
    """What answers for it names the pod of a process, and gets the agent's token."""
    agent = manifests("spire.yaml", "ConfigMap")["spire-agent"]["agent.conf"]
    [plugin] = re.findall(r'WorkloadAttestor "k8s" \{ plugin_data \{(.*?)\} \}', agent)
    assert plugin.strip() == 'kubelet_ca_path = "/plugins/kubelet.pem"'
    patch = manifests("attestation/spire-agent.yaml", "DaemonSet")["spire-agent"]["template"]["spec"]
    mounted = {one["name"]: one["mountPath"] for one in patch["initContainers"][0]["volumeMounts"]}
    assert patch["initContainers"][0]["args"][:2] == ["install", mounted["plugins"]]
    assert patch["initContainers"][0]["args"][-1] == f"{mounted['kubelet']}/kubelet.crt"


def test_what_gives_identities_runs_on_every_node_and_is_not_evicted() -> None:
    for file in "spire.yaml", "attestation/verifier.yaml":
        [daemon] = manifests(file, "DaemonSet").values()
        pod = daemon["template"]["spec"]
        assert (pod["priorityClassName"], pod["tolerations"]) == ("system-node-critical", [{"operator": "Exists"}])


@pytest.mark.parametrize("end", ["", ":1.13", "@sha256:0f", "@sha256:" + 63 * "0" + "g", "@sha512:" + 64 * "0"])
def test_a_name_without_a_whole_digest_is_none(end: str) -> None:
    [variable] = POLICIES["zero-trust-images-by-digest"]["variables"]
    [pattern] = re.findall(r"matches\('(.*)'\)", variable["expression"])
    assert re.search(pattern, "registry.example:5000/reader:1@sha256:" + 64 * "0")
    assert not re.search(pattern, f"registry.example/reader{end}")


def test_all_that_spires_controller_makes_identities_of_is_the_pipelines() -> None:
    [rule] = POLICIES["zero-trust-identities-by-pipeline"]["matchConstraints"]["resourceRules"]
    rights = manifests("spire.yaml", "ClusterRole")["spire-server"]
    [read] = [one["resources"] for one in rights if one["apiGroups"] == ["spire.spiffe.io"] and "list" in one["verbs"]]
    assert {*rule["resources"]} == {*read}
    assert {*rule["operations"]} == {"CREATE", "UPDATE", "DELETE"}


def test_the_page_and_the_messages_name_the_group_and_the_role() -> None:
    page = (ROOT / "docs/how-to/kubernetes.md").read_text()
    [role] = manifests("admission.yaml", "ClusterRole")
    for name, named in ("nobody-in-pods", "zero-trust:break-glass"), ("identities-by-pipeline", role):
        [validation] = POLICIES[f"zero-trust-{name}"]["validations"]
        assert named in validation["messageExpression"]
        assert f"`{named}`" in page
