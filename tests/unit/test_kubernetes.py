"""What is derived for Kubernetes: who connects to whom, which identities SPIRE issues, and the secrets of a start; and
what `make check` finds in a manifest."""

import datetime as dt
import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from authorities.attestation.containers.admission import KUBERNETES as HOSTS_OF_PODS
from registration.derived import kubernetes
from registration.derived.kubernetes import KEYCLOAK, PEOPLE, callers, files, images, label
from registration.names import KUBERNETES
from start import cluster, reach
from tests.kubernetes.schemas import FOLDER, problems
from tests.support.system import ROOT
from zerotrust.authority.files.deployment import load_deployment
from zerotrust.registry.model import Registry
from zerotrust.spiffe.svid import LONGEST_CERTIFICATE, LONGEST_JWT_SVID

NOW = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)


def objects(registry: Registry, kind: str) -> dict[str, Any]:
    """Return the generated objects of a kind, by name."""
    found = [one for text in files(registry).values() for one in yaml.safe_load_all(text)]
    return {one["metadata"]["name"]: one for one in found if one["kind"] == kind}


def lets(rules: list[dict[str, Any]], side: str, pod: str) -> bool:
    """Return whether a rule of a policy names a pod of the namespace by its label, at the port where parties listen."""
    peers = [peer for rule in rules if {"port": kubernetes.PORT} in rule["ports"] for peer in rule[side]]
    return any(
        pod in peer["podSelector"]["matchExpressions"][0]["values"] for peer in peers if "namespaceSelector" not in peer
    )


def test_pods_connect_where_the_registry_has_an_edge_and_nowhere_else(registry: Registry) -> None:
    policies, own = objects(registry, "NetworkPolicy"), registry.authorities
    everybodys = {own.registry, own.audit, own.policy}
    people = [party for party in registry.parties.values() if party.id == "client"]
    edges = {(source, target) for source in registry.launched for target in everybodys - {source}}
    edges |= {(source, one) for source in registry.launched for one in registry.parties[source].may_call}
    edges |= {(PEOPLE, target) for party in people for target in party.may_call} | {(PEOPLE, KEYCLOAK)}
    edges |= {(source, KEYCLOAK) for source in registry.launched if source != own.audit} | {(KEYCLOAK, own.registry)}

    names = [*registry.launched, KEYCLOAK, PEOPLE]
    for source in names:
        for target in names:
            leaves = lets(policies[label(source)]["spec"]["egress"], "to", label(target))
            enters = lets(policies[label(target)]["spec"]["ingress"], "from", label(source))
            assert leaves == enters == ((source, target) in edges), (source, target)


def test_without_a_rule_of_its_own_a_pod_connects_nowhere(registry: Registry) -> None:
    nobody = objects(registry, "NetworkPolicy")["nobody"]["spec"]
    assert nobody == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []}
    selected = {name: one["spec"]["podSelector"] for name, one in objects(registry, "NetworkPolicy").items()}
    assert [name for name, selector in selected.items() if not selector] == ["nobody", "names"]
    everybody = objects(registry, "NetworkPolicy")["names"]["spec"]
    assert not everybody["ingress"]
    assert [port["port"] for rule in everybody["egress"] for port in rule["ports"]] == [53, 53]


def test_each_identity_needs_account_image_and_the_word_of_our_verifier(registry: Registry) -> None:
    found = objects(registry, "ClusterSPIFFEID")
    assert len(found) == len(registry.measured) + 1
    for name in images(registry):
        spec = found[label(name)]["spec"]
        assert spec["spiffeIDTemplate"] == registry.id(name)
        assert registry.dns_name(name) in spec["dnsNameTemplates"]
        of_node = f"{{{{ .NodeMeta.Name }}}}.{registry.dns_name(name)}"
        assert (of_node in spec["dnsNameTemplates"]) == (name == registry.authorities.attestation)
        assert spec["workloadSelectorTemplates"] == [
            f"k8s:ns:{kubernetes.OF_ATTESTATION if name == registry.authorities.attestation else kubernetes.NAMESPACE}",
            f"k8s:sa:{label(name)}",
            f"k8s:container-image:{images(registry)[name]}",  # no container's image has a name without tag and digest
            f"zt:party:{name}",
        ]
        assert int(spec["ttl"].removesuffix("s")) + kubernetes.PUT_BACK <= LONGEST_CERTIFICATE
        assert int(spec["jwtTtl"].removesuffix("s")) <= LONGEST_JWT_SVID


def test_each_party_has_its_place_and_its_own_account_and_volume(registry: Registry) -> None:
    places = load_deployment(ROOT / KUBERNETES, registry).parties
    for name, deployment in objects(registry, "Deployment").items():
        pod = deployment["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] == pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == name
    assert {name: (place.host, place.port) for name, place in places.items()} == {
        name: (label(name), 443) for name in images(registry) if not registry.parties[name].operates
    }


def test_a_job_that_operates_has_an_account_and_a_name_as_the_verifier_takes_it_for_a_pods(registry: Registry) -> None:
    jobs = [*yaml.safe_load_all((ROOT / "start/kubernetes/jobs/jobs.yaml").read_text())]
    named = [job["metadata"]["name"] for job in jobs if job["metadata"]["labels"] == {"zero-trust": "automation"}]
    assert named
    assert all(HOSTS_OF_PODS.names.fullmatch(f"{name}-x7k2p") for name in named)
    pod = yaml.safe_load((ROOT / "start/kubernetes/jobs/automation.yaml").read_text())
    account = pod["spec"]["jobTemplate"]["spec"]["template"]["spec"]["serviceAccountName"]
    assert {account} == {label(name) for name in registry.measured if registry.parties[name].operates}
    assert account in objects(registry, "ServiceAccount")


def test_the_overlay_demands_the_digest_of_the_image_that_runs(registry: Registry) -> None:
    lines = "\n".join(
        f"registry.example/{one.rpartition('/')[2]}@sha256:{number:064x}"
        for number, one in enumerate([*images(registry).values(), *cluster.OTHERS])
    )
    found = cluster.named_images(lines, registry)
    overlay = cluster.overlay(registry, found)

    digests = {one["name"]: f"{one['newName']}@{one['digest']}" for one in overlay["images"]}
    for name, image in images(registry).items():
        [patch] = [one["patch"] for one in overlay["patches"] if one["target"]["name"] == label(name)]
        [change] = json.loads(patch)
        assert change["path"] == "/spec/workloadSelectorTemplates/2"
        assert change["value"] == f"k8s:container-image:{digests[image]}"

    with pytest.raises(SystemExit, match="reader"):
        cluster.named_images(lines.replace("reader@", "reader:latest@x"), registry)


def test_one_root_signs_keycloaks_certificate_and_may_sign_spires_authority(registry: Registry, tmp_path: Path) -> None:
    cluster.make_secrets(tmp_path, registry, NOW)
    root, *servers = (
        x509.load_pem_x509_certificate((tmp_path / name).read_bytes())
        for name in ("root.crt", "keycloak.crt", "keys.crt")
    )

    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 1
    for server in servers:
        server.verify_directly_issued_by(root)
    passwords = json.loads((tmp_path / "passwords.json").read_text())
    assert passwords["alice"] in (tmp_path / "realm.json").read_text()
    assert "admin" not in passwords  # a job has this file
    assert re.search(r"^bootstrap-admin-password=[0-9a-f]{32}$", (tmp_path / "keycloak.conf").read_text(), re.MULTILINE)


def test_in_the_second_half_of_their_year_certificates_are_made_again_by_the_same_root(
    registry: Registry, tmp_path: Path
) -> None:
    def read(*names: str) -> list[x509.Certificate]:
        return [x509.load_pem_x509_certificate((tmp_path / f"{name}.crt").read_bytes()) for name in names]

    cluster.make_secrets(tmp_path, registry, NOW)
    (tmp_path / "passwords.json").write_text("kept")
    of_all = "root", "keycloak", "keys"
    first = read(*of_all)
    assert not cluster.make_certificates(tmp_path, registry, NOW + dt.timedelta(days=182))
    assert read(*of_all) == first

    assert cluster.make_certificates(tmp_path, registry, later := NOW + dt.timedelta(days=183))
    second = read(*of_all)
    assert [one.not_valid_after_utc for one in second] == [later + dt.timedelta(days=365)] * 3
    for root, servers in (first[0], second[1:]), (second[0], first[1:]):
        for server in servers:
            server.verify_directly_issued_by(root)
    assert (tmp_path / "passwords.json").read_text() == "kept"


def deployment(name: str, **status: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "generation": 2}, "spec": {"replicas": 1}, "status": status}


def test_what_has_not_come_is_named_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, registry: Registry
) -> None:
    """The certificates are old, so that Keycloak and SPIRE's server are started again before that."""
    there = {"observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 1}
    items = [
        deployment("keycloak", **there),
        deployment("console"),
        deployment("inference", **there | {"updatedReplicas": 0}),
    ]
    items.append(deployment("agent-reader", **there | {"observedGeneration": 1}))
    asked: list[tuple[str, ...]] = []

    def kubectl(*arguments: str, **_: object) -> str:
        asked.append(arguments)
        return json.dumps({"items": items})

    monkeypatch.setattr(cluster, "FOLDER", tmp_path)
    monkeypatch.setattr(cluster, "_kubectl", kubectl)
    monkeypatch.setattr(cluster, "STARTS_IN", 0)
    cluster.make_secrets(tmp_path, registry, NOW - dt.timedelta(days=4000))
    named = [*images(registry).values(), *cluster.OTHERS]
    (listed := tmp_path / "images.txt").write_text("\n".join(f"r.example/{one}@sha256:{64 * '0'}" for one in named))
    with pytest.raises(SystemExit, match="not there: console, inference, agent-reader"):
        cluster.up(str(listed))
    assert [one[2] for one in asked if one[0] == "rollout"] == ["deployment/spire-server", "deployment/keycloak"]


def test_keycloak_connects_to_names_that_a_cluster_resolves(registry: Registry) -> None:
    realm = cluster.realm_for_cluster(registry)
    assert "authority.agents.example" not in realm.replace('"spiffe://agents.example', "")
    [name] = [one for one in callers(registry) if KEYCLOAK in callers(registry)[one]]
    assert kubernetes.service(name) in realm
    # The certificate that it finds there has that name.
    assert kubernetes.service(name) in objects(registry, "ClusterSPIFFEID")[label(name)]["spec"]["dnsNameTemplates"]


async def test_who_reaches_too_much_or_too_little_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "TRIES", 1)
    with socket.create_server(("127.0.0.1", 0)) as open_, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        targets = {"open": open_.getsockname(), "closed": closed.getsockname()}
        assert await reach.differences("reader", targets, {"open"}) == []
        assert await reach.differences("reader", targets, {"closed"}) == [
            "reader reaches open, which no entry of registry.yaml allows",
            "reader does not reach closed, which it may call",
        ]


def test_what_is_tried_is_what_the_policies_allow(registry: Registry) -> None:
    targets = reach.addresses(registry, ROOT)
    assert reach.allowed(registry, "agent/writer") < targets.keys()
    assert "agent/reader" not in reach.allowed(registry, "agent/writer")
    assert reach.allowed(registry, KEYCLOAK) == {"database", "keys", registry.authorities.registry}


def test_no_sidecar_is_let_into_a_pod_and_each_protocol_is_labelled(registry: Registry) -> None:
    for name, deployment in objects(registry, "Deployment").items():
        assert deployment["spec"]["template"]["metadata"]["labels"]["rossoctl.io/inject"] == "disabled"
        assert deployment["metadata"]["name"] in objects(registry, "Service")
        labels = deployment["metadata"]["labels"]
        protocols = [label for label in labels if label.startswith("protocol.rossoctl.io/")]
        kinds = {"agent": ["protocol.rossoctl.io/a2a"], "tool": ["protocol.rossoctl.io/mcp"]}
        assert protocols == kinds.get(name.partition("-")[0], [])


def test_secrets_that_are_lost_are_not_made_again_while_the_cluster_has_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, registry: Registry
) -> None:
    monkeypatch.setattr(cluster, "FOLDER", tmp_path / "kubernetes")
    monkeypatch.setattr(cluster, "_kubectl", lambda *_, **__: "namespace/zero-trust\n")
    named = [*images(registry).values(), *cluster.OTHERS]
    (listed := tmp_path / "images.txt").write_text("\n".join(f"r.example/{one}@sha256:{64 * '0'}" for one in named))

    with pytest.raises(SystemExit, match="make kubernetes-down kubernetes"):
        cluster.up(str(listed))
    assert not cluster.FOLDER.exists()


@pytest.mark.parametrize(
    ("text", "mistake", "said"),
    [
        ("limits:", "limit:", "there is no $.spec.template.spec.containers.0.resources.limit"),
        ("replicas: 1", "replicas: one", "Expected `int | null`, got `str` - at `$.spec.replicas`"),
        ("{ containerPort:", "{ hostPort:", "Object missing required field `containerPort` - at `$.spec.template"),
    ],
)
def test_a_mistake_in_a_manifest_is_named(text: str, mistake: str, said: str) -> None:
    manifest = (FOLDER / "party.yaml").read_text()
    assert not [*problems("party.yaml", manifest)]
    found = next(problems("party.yaml", manifest.replace(text, mistake, 1)))
    assert found.startswith(f"party.yaml: Deployment party: {said}")


def test_what_is_not_ours_is_not_removed_and_an_unknown_job_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def kubectl(verb: str, *_: str, **__: object) -> str:
        asked.append(verb)
        return "namespace/spire-system\n"

    monkeypatch.setattr(cluster, "FOLDER", tmp_path / "kubernetes")
    monkeypatch.setattr(cluster, "_kubectl", kubectl)

    with pytest.raises(SystemExit, match="no namespace of ours"):
        cluster.down()
    with pytest.raises(SystemExit, match="JOB is one of: task, walkthrough, suspend-reader, reinstate-reader"):
        cluster.run("")
    assert asked == ["cluster-info", "get"]
