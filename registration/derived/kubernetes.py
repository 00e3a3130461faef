"""Derives from `registry.yaml` what Kubernetes runs, whom it connects and which identities SPIRE issues there.

`make register` writes the result to `start/kubernetes/generated`.  docs/how-to/kubernetes.md explains it.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from registration.derived.manifest import as_yaml
from registration.names import KUBERNETES
from zerotrust.registry.model import Registry
from zerotrust.spiffe.svid import LONGEST_JWT_SVID, LONGEST_X509_SVID

FOLDER = "start/kubernetes/generated"
NAMESPACE, OF_ATTESTATION, OF_SPIRE = "zero-trust", "zero-trust-attestation", "spire-system"
PORT, KEYCLOAK, PEOPLE = 8443, "keycloak", "people"
SPIRE_KEYS = f"spire-server.{OF_SPIRE}.svc"
"""Where Keycloak reads the keys of JWT-SVIDs."""
PROTOCOLS = {"agent": "a2a", "tool": "mcp"}
"""The protocol of a party in rossoctl's labels, by the first word of its name."""
PUT_BACK = 10
"""Seconds by which SPIRE puts notBefore before the time of issue; our own limit leaves room for 5."""

Object = dict[str, Any]


def files(registry: Registry) -> dict[str, str]:
    """Return the generated manifests, by their paths in the project.  Pure."""
    contents = {
        "parties.yaml": [one for name in registry.measured for one in _party(registry, name)],
        "network.yaml": [*_network(registry)],
        "identities.yaml": [_identity(registry, name) for name in _named_by_spiffe(registry)],
    }
    return {f"{FOLDER}/{name}": as_yaml(objects) for name, objects in contents.items()}


def label(name: str) -> str:
    """Return a party's name in Kubernetes, which allows no slash: of its Service, its account and its pods."""
    return name.replace("/", "-")


def images(registry: Registry) -> dict[str, str]:
    """Return the image of each party with a SPIFFE ID, as docker-compose.yml names it, without a tag."""
    return {name: f"zero-trust-agents/{name.rpartition('/')[2]}" for name in _named_by_spiffe(registry)}


def service(name: str) -> str:
    """Return the host name of a party's Service, as all namespaces resolve it, whatever the cluster's domain is."""
    return f"{label(name)}.{NAMESPACE}.svc"


def callers(registry: Registry) -> dict[str, set[str]]:
    """Return who may connect to each party and to Keycloak: the edges of `may_call`, and those to the authorities.

    The clients without a SPIFFE ID are programs of people, and run in pods of one kind.
    """
    own = registry.authorities
    parties = {name: PEOPLE if party.id == "client" else name for name, party in registry.parties.items()}
    calls = [(parties[name], callee) for name, party in registry.parties.items() for callee in party.may_call]
    found = {name: {caller for caller, callee in calls if callee == name} for name in registry.launched}
    for authority in own.registry, own.audit, own.policy:
        found[authority] |= {*registry.launched} - {authority}
    found[own.registry] |= {own.attestation, KEYCLOAK}
    found[KEYCLOAK] = {parties[name] for name, party in registry.parties.items() if party.keycloak != "none"}
    return found


def _named_by_spiffe(registry: Registry) -> list[str]:
    return [*registry.measured, registry.authorities.attestation]


def _party(registry: Registry, name: str) -> Iterator[Object]:
    """Yield what runs a party: its account, its Service, its volume and its pod.

    `start/kubernetes/party.yaml` adds to each pod what all parties have alike.  A party that operates by itself
    has an account alone: `start/kubernetes/jobs` starts it for one command.
    """
    own, metadata, app = registry.authorities, {"name": label(name), "namespace": NAMESPACE}, {"app": label(name)}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": False}
    if registry.parties[name].operates:
        return
    settings = {}
    if name == own.registry:
        settings = {"ZT_FILES": "/app", "ZT_DEPLOYMENT": f"/app/{KUBERNETES}"}
    if name == own.policy:
        settings = {"ZT_POLICIES": "/app/policies"}
    container: Object = {"name": "party", "image": images(registry)[name]}
    if settings:
        container |= {"env": [{"name": key, "value": value} for key, value in settings.items()]}
    pod = {
        "serviceAccountName": label(name),
        "containers": [container],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": label(name)}}],
    }
    # A sidecar of rossoctl would end our TLS.
    template = {"metadata": {"labels": {**app, "rossoctl.io/inject": "disabled"}}, "spec": pod}
    protocol = PROTOCOLS.get(name.partition("/")[0])
    labels = {"zero-trust": "party", "app.kubernetes.io/name": label(name)}
    if protocol:
        labels[f"protocol.rossoctl.io/{protocol}"] = ""
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    ports = [{"port": 443, "targetPort": PORT}]
    yield {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": app, "ports": ports}}
    yield {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim}
    yield {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**metadata, "labels": labels},
        "spec": {"selector": {"matchLabels": app}, "template": template},
    }


def _network(registry: Registry) -> Iterator[Object]:
    """Yield the NetworkPolicies: nothing in or out of the namespace's pods, but names, and the edges of `callers`."""
    called, attestation = callers(registry), registry.authorities.attestation
    yield _policy("nobody", {})
    dns = {"namespaceSelector": _in("kube-system"), "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}
    ports = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    yield _policy("names", {}, egress=[{"to": [dns], "ports": ports}])
    for name in sorted({*called, *(one for those in called.values() for one in those)} - {attestation}):
        inside = {label(one) for one in called.get(name, ()) if one != attestation}
        sources = [_pods(inside)] if inside else []
        if attestation in called.get(name, ()):
            sources.append({"namespaceSelector": _in(OF_ATTESTATION), **_pods({label(attestation)})})
        targets = {label(callee) for callee, those in called.items() if name in those}
        egress = [{"to": [_pods(targets)], "ports": [{"port": PORT}]}] if targets else []
        if name == KEYCLOAK:
            egress.append({"to": [_pods({"database"})], "ports": [{"port": 5432}]})
            keys = {"namespaceSelector": _in(OF_SPIRE), **_pods({"spire-server"})}
            egress.append({"to": [keys], "ports": [{"port": PORT}]})
        ingress = [{"from": sources, "ports": [{"port": PORT}]}] if sources else []
        yield _policy(label(name), {"matchLabels": {"app": label(name)}}, ingress=ingress, egress=egress)
    inside_database = [{"from": [_pods({KEYCLOAK})], "ports": [{"port": 5432}]}]
    yield _policy("database", {"matchLabels": {"app": "database"}}, ingress=inside_database)


def _policy(name: str, selected: Object, *, ingress: Iterable[Object] = (), egress: Iterable[Object] = ()) -> Object:
    spec = {"podSelector": selected, "policyTypes": ["Ingress", "Egress"], "ingress": [*ingress], "egress": [*egress]}
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def _pods(names: Iterable[str]) -> Object:
    return {"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": sorted(names)}]}}


def _in(namespace: str) -> Object:
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


def _identity(registry: Registry, name: str) -> Object:
    """Return the rule by which SPIRE issues a party's identity.

    The last selector is the word of our verifier, which measures the code, and vouches for its own process.
    The image has no digest here: no container matches until `make kubernetes` fills in the one that runs.
    """
    own = registry.authorities
    namespace = OF_ATTESTATION if name == own.attestation else NAMESPACE
    # Keycloak tells the registry of ended sessions, and resolves the names of Services alone.
    further = [service(name)] if name == own.registry else []
    if name == own.attestation:  # each node's verifier reports for that node alone
        further = [f"{{{{ .NodeMeta.Name }}}}.{registry.dns_name(name)}"]
    selectors = [
        f"k8s:ns:{namespace}",
        f"k8s:sa:{label(name)}",
        f"k8s:container-image:{images(registry)[name]}",
        f"zt:party:{name}",
    ]
    spec = {
        "spiffeIDTemplate": registry.id(name),
        "dnsNameTemplates": [*registry.dns_names(name), *further],
        "ttl": f"{min(registry.freshness.x509_svid, LONGEST_X509_SVID) - PUT_BACK}s",
        "jwtTtl": f"{min(registry.freshness.svid, LONGEST_JWT_SVID)}s",
        "namespaceSelector": _in(namespace),
        "podSelector": {"matchLabels": {"app": label(name)}},
        "workloadSelectorTemplates": selectors,
    }
    metadata = {"name": label(name)}
    return {"apiVersion": "spire.spiffe.io/v1alpha1", "kind": "ClusterSPIFFEID", "metadata": metadata, "spec": spec}
