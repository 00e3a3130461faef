"""`make kubernetes` and `make kubernetes-down`: start/kubernetes, with secrets and the digests of the images.

The secrets are made once, in run/kubernetes, which only its user may enter; there, `kubectl apply -k` finds all of it.
"""

import datetime as dt
import json
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from authorities.attestation.spiffe.bundle import PATH as BUNDLE
from authorities.attestation.spiffe.certificates import CA, Key, new_ca, new_key
from registration.derived.kubernetes import (
    KEYCLOAK,
    NAMESPACE,
    OF_ATTESTATION,
    OF_SPIRE,
    PEOPLE,
    PORT,
    SPIRE_KEYS,
    images,
    label,
    service,
)
from registration.realm import to_json
from registration.realm.users import USERS
from start.setup import ADMIN, keycloak_configuration, with_passwords
from zerotrust.authority.files.lock import REGISTRY
from zerotrust.authority.files.snapshot_files import load_registry
from zerotrust.registry.model import Registry

ROOT = Path(__file__).parents[1]
FOLDER, MANIFESTS = ROOT / "run" / "kubernetes", ROOT / "start" / "kubernetes"
YEAR = 365
"""Days for which certificates are valid.  In the second half of them, `make kubernetes` makes new certificates."""
STARTS_IN = 600
"""Seconds in which everything has to start."""
STARTS_WITHIN = 120
"""Seconds in which the pod of a job has to start."""
OTHERS = KEYCLOAK, "database", "spire-plugin", "tools"
"""The images of programs that are not parties."""
IMAGE = re.compile(r"(?P<name>\S+/(?P<last>[a-z0-9-]+))@(?P<digest>sha256:[0-9a-f]{64})")
STALE = """\
The realm on the cluster was imported from an older registry.yaml.  Keycloak imports one only into an empty database.
Nothing was changed.  Keep the old registry.yaml; or remove everything, and with it documents, journals and revocations,
and start again:
make kubernetes-down kubernetes IMAGES=images.txt"""
LOST = """\
The cluster has {}, and run/kubernetes has no secrets that fit.  If that is a SPIRE of your own, take another cluster.
If `make kubernetes` has started it, remove it, with documents, journals and revocations, and start again:
make kubernetes-down kubernetes IMAGES=images.txt"""
USAGE = """\
IMAGES names a file with a line NAME@sha256:DIGEST for each image of docker-compose.yml, as the cluster can get it:
docs/how-to/kubernetes.md, "Images".  {}"""


def named_images(text: str, registry: Registry) -> dict[str, tuple[str, str]]:
    """Return for each image of the project name and digest.  Exit with a message if one is missing."""
    found = {match["last"]: (match["name"], match["digest"]) for match in map(IMAGE.fullmatch, text.split()) if match}
    needed = {f"zero-trust-agents/{one}" for one in OTHERS} | {*images(registry).values()}
    if missing := sorted(one for one in needed if one.rpartition("/")[2] not in found):
        sys.exit(USAGE.format(f"It has none of: {', '.join(missing)}"))
    return {one: found[one.rpartition("/")[2]] for one in sorted(needed)}


def realm_for_cluster(registry: Registry) -> str:
    """Return the realm, with the two addresses to which Keycloak connects as the cluster resolves them.  Pure."""
    own, text = registry.authorities, to_json(registry)
    for old, new in (
        (f'"{registry.address(own.attestation)}{BUNDLE}"', f'"https://{SPIRE_KEYS}:{PORT}/keys"'),
        (f'"{registry.address(own.registry)}/', f'"https://{service(own.registry)}/'),
    ):
        if old not in text:
            raise ValueError(f"the realm has no address {old}")
        text = text.replace(old, new)
    return text


def overlay(registry: Registry, found: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """Return the kustomization that adds secrets and digests to start/kubernetes.  Pure.

    `found`: name and digest of each image.  The digest is also what SPIRE demands of the party that has the image.
    """

    def secret(name: str, namespace: str, *files: str) -> dict[str, Any]:
        return {"name": name, "namespace": namespace, "files": [*files]}

    def demand(party: str, image: str) -> dict[str, Any]:
        value = "k8s:container-image:" + "@".join(found[image])
        change = [{"op": "replace", "path": "/spec/workloadSelectorTemplates/2", "value": value}]
        return {"target": {"kind": "ClusterSPIFFEID", "name": label(party)}, "patch": json.dumps(change)}

    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../../start/kubernetes"],
        "images": [{"name": one, "newName": name, "digest": digest} for one, (name, digest) in found.items()],
        "patches": [demand(party, image) for party, image in images(registry).items()],
        "generatorOptions": {"disableNameSuffixHash": True},
        "configMapGenerator": [secret("bundle", one, "ca.pem=root.crt") for one in (NAMESPACE, OF_SPIRE)],
        "secretGenerator": [
            secret("upstream", OF_SPIRE, "tls.crt=root.crt", "tls.key=root.key"),
            secret("keys-tls", OF_SPIRE, "tls.crt=keys.crt", "tls.key=keys.key"),
            secret("keycloak-tls", NAMESPACE, "tls.crt=keycloak.crt", "tls.key=keycloak.key"),
            secret("keycloak", NAMESPACE, "realm.json", "keycloak.conf"),
            secret("database", NAMESPACE, "password"),
            secret("accounts", NAMESPACE, "passwords.json"),
        ],
    }


def make_secrets(folder: Path, registry: Registry, now: dt.datetime) -> None:
    """Write keys, certificates, passwords and the realm into a folder.  The certificates are for a year from `now`."""
    make_certificates(folder, registry, now)
    passwords = {user: secrets.token_hex(16) for user in (ADMIN, *USERS)}
    database = secrets.token_hex(32)
    realm = with_passwords(json.loads(realm_for_cluster(registry)), passwords)
    (folder / "passwords.json").write_text(json.dumps({user: passwords[user] for user in USERS}, indent=2))
    (folder / "password").write_text(database)
    (folder / "keycloak.conf").write_text(keycloak_configuration(database, passwords[ADMIN]))
    (folder / "realm.json").write_text(json.dumps(realm))
    (folder / "imported.json").write_text(to_json(registry))  # last: without it, everything is made again


def make_certificates(folder: Path, registry: Registry, now: dt.datetime) -> bool:
    """Write the root's certificate, Keycloak's, and that of SPIRE's keys, for a year.  Return whether they were due.

    The root keeps its key, so that what its old certificate verifies is verified by the new one as well.
    """
    own, made = new_key(), folder / "root.crt"
    if made.exists():
        ends = x509.load_pem_x509_certificate(made.read_bytes()).not_valid_after_utc
        if ends - now > dt.timedelta(days=YEAR) / 2:  # not due
            return False
        own = cast("Key", serialization.load_pem_private_key(made.with_suffix(".key").read_bytes(), None))
    root = new_ca(own, "zero trust", f"spiffe://{registry.trust_domain}", now, path_length=1, days=YEAR)
    for name, hosts in ("keycloak", ["localhost", KEYCLOAK]), ("keys", [SPIRE_KEYS]):
        certificate = root.server((key := new_key()).public_key(), hosts, now, YEAR * 86400)
        _write_pair(folder / name, key, CA(key, certificate))
    _write_pair(folder / "root", root.key, root)  # last, because its end is looked at
    return True


def _write_pair(file: Path, key: Key, one: CA) -> None:
    encodings = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.with_suffix(".key").write_bytes(key.private_bytes(*encodings))
    file.with_suffix(".crt").write_bytes(one.certificate.public_bytes(serialization.Encoding.PEM))


def up(listed: str) -> None:
    """Start everything on the cluster that kubectl reaches.  `listed`: the file that names the images."""
    registry = load_registry(ROOT / REGISTRY)
    if not listed or not Path(listed).is_file():
        sys.exit(USAGE.format(f"{listed} is no file." if listed else "IMAGES is not given."))
    found = named_images(Path(listed).read_text(), registry)
    _kubectl("cluster-info")  # which one it is
    imported, now, renewed = FOLDER / "imported.json", dt.datetime.now(dt.UTC), False
    if not imported.exists():
        if there := _namespaces():
            sys.exit(LOST.format(" and ".join(there)))
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True, mode=0o700)
        make_secrets(FOLDER, registry, now)
    elif imported.read_text() != to_json(registry):
        sys.exit(STALE)
    else:
        renewed = make_certificates(FOLDER, registry, now)
    (FOLDER / "kustomization.yaml").write_text(yaml.safe_dump(overlay(registry, found), sort_keys=False, width=120))
    _kubectl("apply", "-k", str(FOLDER))
    if renewed:  # what has read the old certificates reads the new ones
        _kubectl("rollout", "restart", "deployment/spire-server", "-n", OF_SPIRE)
        _kubectl("rollout", "restart", "deployment/keycloak", "-n", NAMESPACE)
    print("Waiting until all of it is there, for at most ten minutes", flush=True)
    end = time.monotonic() + STARTS_IN
    while missing := _missing():
        if time.monotonic() >= end:
            sys.exit(f"These are not there: {', '.join(missing)}.  To see why: kubectl get pods -n {NAMESPACE}")
        time.sleep(2)
    print("Trying who reaches whom", flush=True)
    sources = [*registry.measured, KEYCLOAK, PEOPLE]
    text = _with_image((MANIFESTS / "reach.yaml").read_text())
    jobs = [text.replace("LABEL", label(name)).replace("NAME", name) for name in sources]
    _kubectl("delete", "job", "-n", NAMESPACE, "-l", "zero-trust=reach")
    _kubectl("apply", "-f", "-", given="\n---\n".join(jobs))
    for name in sources:
        _follow(f"job/reach-{label(name)}")
    too_much = "A pod reaches another one against registry.yaml, as said above.  Are NetworkPolicies enforced here?"
    complete = "wait", "-n", NAMESPACE, "--for=condition=Complete", "job", "-l", "zero-trust=reach", "--timeout=30s"
    _kubectl(*complete, otherwise=too_much)
    print(f"It runs.  The people's passwords: {FOLDER.relative_to(ROOT)}/passwords.json")


def run(name: str) -> None:
    """Run a job of start/kubernetes/jobs on the cluster, and print what it prints."""
    jobs = [one["metadata"]["name"] for one in yaml.safe_load_all((MANIFESTS / "jobs" / "jobs.yaml").read_text())]
    if name not in jobs:
        sys.exit(f"JOB is one of: {', '.join(jobs)}")
    _kubectl("delete", "job", name, "-n", NAMESPACE, "--ignore-not-found")
    _kubectl("create", "job", name, "-n", NAMESPACE, f"--from=cronjob/{name}")
    _follow(f"job/{name}")
    complete = "wait", "-n", NAMESPACE, "--for=condition=Complete", f"job/{name}", "--timeout=30s"
    _kubectl(*complete, otherwise=f"{name} failed, as said above.")


def _with_image(text: str) -> str:
    """Return a manifest with the image of the tools that was named at the start."""
    tools = "zero-trust-agents/tools"
    try:
        known = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["images"]
    except FileNotFoundError:
        sys.exit("Nothing was started from this folder: make kubernetes")
    return text.replace(tools, next(f"{one['newName']}@{one['digest']}" for one in known if one["name"] == tools))


def down() -> None:
    """Remove it from the cluster, with its data and secrets: pods first, which end only while SPIRE's driver runs."""
    _kubectl("cluster-info")
    if not FOLDER.exists() and f"namespace/{NAMESPACE}" not in _namespaces():
        sys.exit("Nothing was started there from this folder, and there is no namespace of ours.")
    _kubectl("delete", "namespace", NAMESPACE, OF_ATTESTATION, "--ignore-not-found")
    _kubectl("delete", "--ignore-not-found", "-k", str(MANIFESTS))  # and the secrets, with their namespaces
    shutil.rmtree(FOLDER, ignore_errors=True)
    print("All of it is removed, but the definitions of SPIRE's objects, volumes that your cluster retains,")
    print("and on each node the folders /run/zero-trust-attestation and /run/spire: at their sockets nothing listens.")


def _missing() -> list[str]:
    """Return the Deployments whose pods, as they are to be now, are not all available."""
    given = _kubectl("get", "deployments", "-n", NAMESPACE, "-o", "json", output=subprocess.PIPE)
    return [
        one["metadata"]["name"]
        for one in json.loads(given or "")["items"]
        if one["status"].get("observedGeneration") != one["metadata"]["generation"]
        or min(one["status"].get(of, 0) for of in ("updatedReplicas", "availableReplicas")) < one["spec"]["replicas"]
    ]


def _namespaces() -> list[str]:
    """Return which of the namespaces of ours and of SPIRE the cluster has."""
    given = _kubectl(
        "get", "namespace", NAMESPACE, OF_SPIRE, "--ignore-not-found", "-o", "name", output=subprocess.PIPE
    )
    return (given or "").split()


def _follow(job: str) -> None:
    """Print what a job prints, once its container has started, until it ends."""
    command = ["kubectl", "logs", "-f", "-n", NAMESPACE, job]
    for _ in range(STARTS_WITHIN):
        if not subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode:  # noqa: S603 - ours
            return
        time.sleep(1)
    _kubectl(*command[1:])  # says why


def _kubectl(*arguments: str, given: str | None = None, otherwise: str = "", output: int | None = None) -> str | None:
    """Run kubectl, `given` as its input; return what goes to a pipe.  Exit with a message if it fails."""
    command = ["kubectl", *arguments]
    try:
        ended = subprocess.run(command, check=False, text=True, input=given, stdout=output)  # noqa: S603 - the user's
    except FileNotFoundError:
        sys.exit("There is no kubectl: install the version that fits your cluster.")
    if ended.returncode:
        sys.exit(otherwise or f"It stopped at: kubectl {' '.join(arguments)}")
    return ended.stdout


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["up", listed]:
            up(listed)
        case ["run", name]:
            run(name)
        case ["down"]:
            down()
        case _:
            sys.exit("usage: start.cluster up FILE | run JOB | down")
