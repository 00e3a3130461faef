"""The pages that somebody writes by hand, as paths in this repository."""

import pytest

from tests.reference.pages import FOLDER, PAGES
from tests.support.system import ROOT
from zerotrust.authority.files.snapshot_files import load_registry

GENERATED = {FOLDER / name for name in PAGES}
"""Each is compared byte for byte with what its generator returns: tests/docs."""

BY_HAND = sorted(
    str(each.relative_to(ROOT))
    for each in [ROOT / "README.md", ROOT / "keycloak-realm" / "README.md", *(ROOT / "docs").rglob("*.md")]
    if each not in GENERATED
)


TEXTS = [
    ROOT / "README.md",
    ROOT / "keycloak-realm" / "README.md",
    *(ROOT / "docs").rglob("*.md"),
]
MAKEFILE = (ROOT / "Makefile").read_text()
REGISTRY = load_registry(ROOT / "registry.yaml")
texts = pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))


PRINCIPLES = [
    "scoped API enforcement",
    "delegated token exchange",
    "continuous verification and auditability",
    "workload attestation",
    "agent registration as a source of truth",
]
