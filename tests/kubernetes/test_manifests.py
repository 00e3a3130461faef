"""What an API server with admission makes of start/kubernetes: it runs no image, and each digest is made up.

`.ci/api-server` runs this on a cluster of its own, and then test_admission.py, which needs what this applies.
"""

import datetime as dt
from pathlib import Path

import pytest
import yaml

from registration.derived.kubernetes import NAMESPACE, OF_ATTESTATION, OF_SPIRE, images
from start import cluster
from tests.support.kubectl import awaited, kubectl
from tests.support.system import ROOT
from zerotrust.registry.model import Registry

pytestmark = pytest.mark.kubernetes


def test_each_object_is_accepted_and_a_second_time_no_pod_is_replaced(registry: Registry, tmp_path: Path) -> None:
    assert "NotFound" in kubectl("get", "namespace", NAMESPACE), "It runs on this cluster, and this would end it."
    (tmp_path / "start").symlink_to(ROOT / "start")
    (folder := tmp_path / "run" / "kubernetes").mkdir(parents=True)
    cluster.make_secrets(folder, registry, dt.datetime.now(dt.UTC))
    names = [*images(registry).values(), *(f"zero-trust-agents/{one}" for one in cluster.OTHERS)]
    overlay = cluster.overlay(registry, {one: (one, "sha256:" + 64 * "0") for one in names})
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))

    first, again = (kubectl("apply", "-k", str(folder)).splitlines() for _ in range(2))
    assert [line for line in first if not line.endswith(" created")] == []
    # kubectl writes these each time: the server adds defaults to their lists, and kustomize folds a Secret's values.
    each_time = "networkpolicy.", "secret/", "validatingadmissionpolicy."
    assert [line for line in again if not line.endswith(" unchanged") and not line.startswith(each_time)] == []


@pytest.mark.parametrize("namespace", [NAMESPACE, OF_ATTESTATION, OF_SPIRE])
def test_each_pod_is_let_in(namespace: str) -> None:
    tagged = ["run", "none", "-n", OF_ATTESTATION, "--image=nowhere.example/none:1", "--dry-run=server"]
    awaited(lambda: kubectl(*tagged), "has no digest")  # from now on: policies are not in force at once
    kubectl("-n", namespace, "delete", "pod", "--all", "--now")
    get = ["-n", namespace, "get", "-o"]
    owners = kubectl(*get, "jsonpath={.items[*].metadata.name}", "deployment,daemonset").split()
    pods = [*get, "jsonpath={range .items[*]}<{.metadata.labels.app}>{end}", "pod"]
    refused = [*get, "jsonpath={.items[*].message}", "event", "--field-selector=reason=FailedCreate"]
    assert owners
    awaited(lambda: kubectl(*pods) + kubectl(*refused), *(f"<{one}>" for one in owners))
