"""Compares start/kubernetes with the schemas of Kubernetes 1.30, the first version that has policies as ours.

ClusterSPIFFEIDs have none there.  The API server has one, by SPIRE's definition: `.ci/api-server` applies them all.
"""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import yaml

FOLDER = Path(__file__).parents[2] / "start" / "kubernetes"
SELECTOR: dict[str, Any] = {"selector": {}}
LEFT_OUT = {"attestation/spire-agent.yaml": SELECTOR, "jobs/jobs.yaml": {"schedule": ""}, "party.yaml": SELECTOR}
"""The field that an object of these files has in another file: kustomization.yaml joins them."""


def problems(name: str, text: str) -> Iterator[str]:
    """Yield what the API server would refuse in the objects of a file."""
    for given in yaml.safe_load_all(text):
        group, _, version = given["apiVersion"].rpartition("/")
        if group in ("spire.spiffe.io", "kustomize.config.k8s.io"):
            continue
        if name in LEFT_OUT:
            given["spec"] |= LEFT_OUT[name]
        where = f"{name}: {given['kind']} {given['metadata']['name']}:"
        try:
            models = import_module(f"lightkube.models.{group.partition('.')[0] or 'core'}_{version}")
            kept = {*_keys(msgspec.to_builtins(msgspec.convert(given, getattr(models, given["kind"]))))}
            yield from (f"{where} there is no {key}" for key in _keys(given) if key not in kept)
        except (ImportError, AttributeError, msgspec.ValidationError) as error:
            yield f"{where} {error}"


def _keys(value: Any, path: str = "$") -> Iterator[str]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield f"{path}.{key}"
        yield from _keys(inner, f"{path}.{key}")


if __name__ == "__main__":
    texts = {str(file.relative_to(FOLDER)): file.read_text() for file in sorted(FOLDER.rglob("*.yaml"))}
    sys.exit("\n".join(one for name, text in texts.items() for one in problems(name, text)) or 0)
